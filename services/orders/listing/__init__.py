"""Lists orders by what is asked, and counts them, among millions of others; the same rooms as a service."""

"""Takes events of partners outside, when their signatures are right, and publishes them on a bus of their own."""

"""Making a service: what is wanted, its files' texts, the lists it joins, and putting all of it in place at once."""

"""Makes a service: reads what is wanted, writes its files' texts, adds it to the lists it joins.

All of it is put in place at once.
"""

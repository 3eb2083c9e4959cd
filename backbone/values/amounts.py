"""Says how much money a price and a total may be: the one place, and every later place has room for it.

    int64       a total is some 900 million times below what Postgres's bigint and msgspec's int hold
    2^53        and 900,000 times below what every JSON reader keeps exactly: so many of the largest orders fit into
                a customer's points (a currency without minor units earns a point for each unit) and a day's takings
    provider    one charge may be a hundred times the largest total (sandbox/ledger.py)
    at least 1  no provider charges nothing, so nothing is for sale for nothing

What comes in is held to these bounds: a price on the menu, an order, a refund. Contracts allow more, because events of
an earlier release may have said more.
"""

SMALLEST = 1
LARGEST_PRICE = 10**9
"""Minor units of one piece: 10,000,000.00 GBP."""
LARGEST_TOTAL = 10**10
"""Minor units of one order: 100,000,000.00 GBP. The largest quantities at the largest price would be far more."""

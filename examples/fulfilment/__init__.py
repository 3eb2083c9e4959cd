"""Is an outside fulfilment partner: hears the shop's confirmed orders, and writes a shipping label for each."""

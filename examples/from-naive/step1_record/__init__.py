"""Step 1: every change is on record, before anybody outside is asked."""

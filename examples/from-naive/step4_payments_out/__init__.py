"""Step 4: payments move out, and nobody waits for them any more."""

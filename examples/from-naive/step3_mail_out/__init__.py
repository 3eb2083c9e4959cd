"""Step 3: the first listener moves out, and takes the mail along."""

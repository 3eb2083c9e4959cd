"""The way to the customer: by courier or over the counter."""

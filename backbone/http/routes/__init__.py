"""What every process serves beside its own API."""

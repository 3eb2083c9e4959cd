"""What runs for long: pulses, watchdog, faults, retries, coalescing."""

"""Runs parts for long: pulses, watchdog, faults, retries, coalescing."""

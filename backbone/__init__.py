"""What every service stands on. It knows no pizza and imports nothing of ours."""

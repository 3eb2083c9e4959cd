"""What we are measured against: each a fair program as its users would write it."""

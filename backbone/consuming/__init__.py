"""From a topic to effects in the database."""

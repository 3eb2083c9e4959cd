"""Looks at all services at once: makes their servers ready for them, and finds out who says what to whom."""

NOTE = "note: "
"""Begins a line of a step that somebody should read, also when all went well."""

OLD_EVENTS = "SLICELINE_OLD_EVENTS"
"""The setting that tells what tables do that are older than the topics beside them."""
OLD_EVENTS_CHOICES = ("read", "skip")

PASSWORDS = "SLICELINE_PASSWORDS"
"""The setting that names the folder with the passwords of the roles in Postgres."""
CA_FILE = "SLICELINE_DATABASE_CA_FILE"
"""Names the setting that names the file with the authorities that vouch for Postgres."""
AUTH = "SLICELINE_AUTH"
CONSOLE_URL = "SLICELINE_CONSOLE_URL"
"""Names the setting that says whether people and services are let in by tokens alone: on, or off."""

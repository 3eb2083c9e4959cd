"""Event patterns as Amazon EventBridge knows them: parsed, matched one by one or by the thousand, and explained.

Pure: JSON in, answers out. `parsing` reads a pattern, `matching` holds one against an event, `index` holds all rules
against it at once, `reasons` says why one does not match.
"""

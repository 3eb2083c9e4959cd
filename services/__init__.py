"""The services and the port each listens on: the one list that everything else counts through."""

CATALOGUE: dict[str, int] = {
    "orders": 8001,
    "inventory": 8002,
    "payments": 8003,
    "kitchen": 8004,
    "delivery": 8005,
    "loyalty": 8006,
    "alerts": 8007,
    "notifications": 8008,
    "ledger": 8009,
    "carts": 8011,
    "reminders": 8012,
    "reviews": 8013,
    "router": 8014,
    "webhooks": 8015,
    "partners": 8016,
}

"""Runs one step of the way until Ctrl-C, with all that it finds around it: `examples/from-naive/run STEP`."""

import asyncio
import signal
import sys
from contextlib import suppress

from world import STEPS, World, world_of_its_own

SAID = """{step} takes orders:

  curl -s {shop}/orders -H 'Content-Type: application/json' -d '{{
    "customer": {{"id": "ada", "name": "Ada", "email": "ada@example.com"}},
    "address": "1 Mill Lane", "item": "margherita", "quantity": 2}}'

What it takes from the customers is told at {provider}/ledger, what it mails at {mail}. To make the provider slow:

  curl -s -X PUT {provider}/moods -H 'Content-Type: application/json' -d '{{"slow_seconds": 5}}'

{heard}Ctrl-C ends it. Nothing is kept."""
HEARD = """What it publishes is in Kafka at {kafka}:

  SLICELINE_KAFKA={kafka} ./sliceline events --follow

"""


def main() -> None:
    step = sys.argv[1] if len(sys.argv) == 2 else ""
    if step not in STEPS:
        sys.exit(f"Usage: examples/from-naive/run STEP, where STEP is one of {', '.join(STEPS)}.")
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    tell(f"Starting PostgreSQL, Kafka, a payment provider, a mail server and {step}: this takes up to a minute ...")
    with suppress(KeyboardInterrupt), world_of_its_own() as there:
        run(there, step)


def run(there: World, step: str) -> None:
    asyncio.run(there.make_topics())
    asyncio.run(there.make_databases())
    there.start(step)
    addresses = {name: there.url(name) for name in ("shop", "provider", "mail")}
    tell(SAID.format(step=step, heard=HEARD.format(kafka=there.kafka) if publishes(step) else "", **addresses))
    signal.pause()


def publishes(step: str) -> bool:
    """Tell whether others can hear of what happens in a step."""
    return step >= "step2"


def tell(text: str) -> None:
    """Say it now, also to whoever reads it through a pipe."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()

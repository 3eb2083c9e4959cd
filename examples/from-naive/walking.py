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

Ctrl-C ends it. Nothing is kept.
"""


def main() -> None:
    step = sys.argv[1] if len(sys.argv) == 2 else ""
    if step not in STEPS:
        sys.exit(f"Usage: examples/from-naive/run STEP, where STEP is one of {', '.join(STEPS)}.")
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with suppress(KeyboardInterrupt), world_of_its_own() as there:
        run(there, step)


def run(there: World, step: str) -> None:
    asyncio.run(there.make_topics())
    asyncio.run(there.make_databases())
    there.start(step)
    addresses = {name: there.url(name) for name in ("shop", "provider", "mail")}
    sys.stdout.write(SAID.format(step=step, **addresses))
    sys.stdout.flush()
    signal.pause()


if __name__ == "__main__":
    main()

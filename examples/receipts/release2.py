"""Release 2 reads both versions, of which the first to come counts: `.venv/bin/python -m examples.receipts.release2`.

The inbox knows an occurrence by the event's name without version and its `occurrenceid`.
"""

from examples.receipts import mailing, release1, release3
from examples.receipts.running import run

SERVICE = mailing.service({**release1.HANDLERS, **release3.HANDLERS})

if __name__ == "__main__":
    run(SERVICE)

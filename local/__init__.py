"""Real Postgres and real Kafka without Docker, and the supervisor of all processes."""

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# Everything that is made while running: data, logs, state, downloaded jars.
HOME = ROOT / ".sliceline"

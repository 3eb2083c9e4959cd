"""Runs real Postgres and Kafka, the programs of `up` and their supervisor on this machine, without Docker."""

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# Everything that is made while running: data, logs, state, downloaded jars.
HOME = ROOT / ".sliceline"

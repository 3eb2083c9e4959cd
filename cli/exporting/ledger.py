"""Keeps account of an export beside its files: how far each log was read, which events and which files there are.

What belongs together is one transaction of SQLite: the events of a chunk, the places reached with them, and the files
that hold them, which get their names after it. So whatever is killed, a later run finishes the chunk or begins it anew.
"""

import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from backbone.events.topics import PartitionId

TABLES = """
CREATE TABLE IF NOT EXISTS export (since TEXT NOT NULL, chunks INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS places (
    topic TEXT NOT NULL, partition INTEGER NOT NULL, log TEXT NOT NULL, next INTEGER NOT NULL,
    PRIMARY KEY (topic, partition)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS sources (number INTEGER PRIMARY KEY, source TEXT NOT NULL UNIQUE);
CREATE TABLE IF NOT EXISTS events (id NOT NULL, source INTEGER NOT NULL, PRIMARY KEY (id, source)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS unnamed (file TEXT PRIMARY KEY, path TEXT NOT NULL) WITHOUT ROWID;
"""


class InUse(Exception):
    """Another export writes to the folder."""


@dataclass(frozen=True)
class Place:
    """Says how far a partition was read, and of which log: a topic that is made anew has another."""

    log: str
    next: int


class Ledger:
    """Holds the account of one folder, for one run at a time."""

    def __init__(self, path: Path) -> None:
        """Raises InUse."""
        self._db = sqlite3.connect(path, timeout=0, isolation_level=None)
        try:
            # EXTRA: after a power cut no transaction may be undone whose files have their names.
            self._db.executescript("PRAGMA locking_mode = EXCLUSIVE; PRAGMA synchronous = EXTRA; BEGIN EXCLUSIVE;")
        except sqlite3.OperationalError as error:
            self._db.close()
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY:
                raise
            raise InUse from None
        self._db.executescript(TABLES)  # which ends the transaction and keeps the lock
        self._add = self._db.cursor()
        self._sources: dict[str, int] = {source: number for number, source in self._db.execute("SELECT * FROM sources")}

    def close(self) -> None:
        """Let go of the folder; an open transaction is undone."""
        self._db.close()

    def reach_back(self, since: str | None) -> str:
        """Return since when events are wanted: whatever was asked for first, or what reaches back further.

        None reaches back furthest. When that is further than before, everything is read again; what is there already
        is known by its id.
        """
        wanted = since or ""
        [stored] = self._db.execute("SELECT since FROM export").fetchone() or [None]
        if stored is None:
            self._db.execute("INSERT INTO export VALUES (?, 0)", [wanted])
            return wanted
        if wanted >= stored:
            return str(stored)
        self._db.executescript("BEGIN; DELETE FROM places;")
        self._db.execute("UPDATE export SET since = ?", [wanted])
        self._db.execute("COMMIT")
        return wanted

    def places(self) -> dict[PartitionId, Place]:
        """Return how far each partition was read."""
        rows = self._db.execute("SELECT topic, partition, log, next FROM places")
        return {(topic, partition): Place(log, reached) for topic, partition, log, reached in rows}

    def begin(self) -> int:
        """Begin a chunk; return its number."""
        self._db.execute("BEGIN")
        self._db.execute("UPDATE export SET chunks = chunks + 1")
        return int(self._db.execute("SELECT chunks FROM export").fetchone()[0])

    def is_new(self, source: str, event_id: str) -> bool:
        """Note an event; tell whether it was not known before."""
        noted = self._add.execute(
            "INSERT OR IGNORE INTO events VALUES (?, ?)", (_short(event_id), self._number(source))
        )
        return noted.rowcount == 1

    def commit(self, places: Mapping[PartitionId, Place], files: Mapping[str, str]) -> None:
        """End a chunk: these places are reached, and these files are to get these paths."""
        reached = [(*at, place.log, place.next) for at, place in places.items()]
        self._db.executemany("INSERT OR REPLACE INTO places VALUES (?, ?, ?, ?)", reached)
        self._db.execute("DELETE FROM unnamed")  # of the chunk before: they have their names
        self._db.executemany("INSERT INTO unnamed VALUES (?, ?)", files.items())
        self._db.execute("COMMIT")

    def unnamed(self) -> Iterable[tuple[str, str]]:
        """Return the files of the last chunk, which may not have their names yet, each with its path."""
        return self._db.execute("SELECT file, path FROM unnamed").fetchall()

    def _number(self, source: str) -> int:
        if source not in self._sources:
            added = self._db.execute("INSERT INTO sources (source) VALUES (?) RETURNING number", [source])
            self._sources[source] = int(added.fetchone()[0])
        return self._sources[source]


def _short(event_id: str) -> str | bytes:
    """Write a UUID as its bytes, where it stands in its usual form: half the room."""
    try:
        short = bytes.fromhex(event_id.replace("-", ""))
    except ValueError:
        return event_id
    text = short.hex()
    usual = f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
    return short if len(short) == 16 and usual == event_id else event_id

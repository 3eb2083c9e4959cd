"""Writes chunks of events into a folder, so that none is there by half, or twice, whatever is killed and when.

A chunk's files are written aside and synced; then the ledger says, in one transaction, which events it holds and which
files; then they get their names. A run that begins gives names to what the last one left, and removes what no
transaction speaks of.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO, cast

import pyarrow as pa
import pyarrow.parquet as pq

from backbone.events.topics import PartitionId
from cli.exporting.columns import Row, table_of
from cli.exporting.found import Found, untyped
from cli.exporting.ledger import Ledger, Place

OWN = "_sliceline"
"""What begins with _ is no data to those who read such folders (Spark, Hive, pandas)."""
ROWS, WEIGHT = 10_000, 8 * 2**20
"""So many events, or bytes of their data, are held as Python's objects before they become a table."""
LARGEST = 64 * 2**20
"""Tables of so many bytes are written: on this hangs the memory that an export takes, not on the number of events."""

Part = tuple[str, str]
"""A day and a type: a folder of its own."""


class NotOurs(Exception):
    """The folder holds an export, but not the account of it."""


class Chunk:
    """Gathers events until they are worth their files."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.size = 0
        self._rows: dict[Part, list[Row]] = {}
        self._schemas: dict[str, pa.Schema] = {}
        self._tables: dict[Part, list[pa.Table]] = {}
        self._held = self._weight = 0

    def add(self, found: Found) -> None:
        self._rows.setdefault((found.day, found.type), []).append(found.row)
        self._schemas[found.type] = found.schema
        self._held += 1
        self._weight += found.weight
        if self._held >= ROWS or self._weight >= WEIGHT:
            self._settle()

    def tables(self) -> dict[Part, pa.Table]:
        """Return all that was gathered, as one table for each day and type."""
        self._settle()
        return {part: pa.concat_tables(tables) for part, tables in sorted(self._tables.items())}

    def _settle(self) -> None:
        for part, rows in self._rows.items():
            table = _typed(self._schemas[part[1]], rows)
            self._tables.setdefault(part, []).append(table)
            self.size += table.nbytes
        self._rows = {}
        self._held = self._weight = 0


class Folder:
    """Holds an export: the Parquet files, and the ledger beside them."""

    def __init__(self, root: Path) -> None:
        """Finish what an earlier run left. Raises InUse, NotOurs, or OSError."""
        self._root = root
        self._aside = root / OWN / "unfinished"
        if not (root / OWN).exists() and any(root.glob("day=*")):
            raise NotOurs
        self._aside.mkdir(parents=True, exist_ok=True)
        self.ledger = Ledger(root / OWN / "ledger.sqlite")
        self._name(dict(self.ledger.unnamed()))
        for left in self._aside.iterdir():
            left.unlink()

    def close(self) -> None:
        self.ledger.close()

    def write(self, chunk: Chunk, places: Mapping[PartitionId, Place]) -> int:
        """Write a chunk, with which these places are reached; return the number of its files."""
        files = {}
        for number, ((day, event_type), table) in enumerate(chunk.tables().items()):
            name = f"{chunk.number:08}-{number:04}"
            _write(self._aside / name, table)
            files[name] = f"day={day}/type={event_type}/part-{chunk.number:08}.parquet"
        _sync(self._aside)
        self.ledger.commit(places, files)
        self._name(files)
        return len(files)

    def _name(self, files: Mapping[str, str]) -> None:
        """Give files the names under which they are found; one that is not there any more has its name."""
        waiting = {self._aside / name: self._root / path for name, path in files.items()}
        for file, path in waiting.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            if file.exists():
                file.replace(path)
        above = {folder for path in waiting.values() for folder in (path.parent, path.parent.parent)}
        for folder in {self._root, *above} if waiting else ():
            _sync(folder)


def _typed(schema: pa.Schema, rows: list[Row]) -> pa.Table:
    try:
        return table_of(schema, rows)
    except (pa.ArrowException, OverflowError):
        return pa.concat_tables([_typed_alone(schema, row) for row in rows])


def _typed_alone(schema: pa.Schema, row: Row) -> pa.Table:
    try:
        return table_of(schema, [row])
    except (pa.ArrowException, OverflowError) as error:
        return table_of(schema, [untyped(row, error)])


def _write(path: Path, table: pa.Table) -> None:
    with path.open("wb") as file:
        pq.write_table(table, cast(BinaryIO, file), compression="zstd")
        file.flush()
        os.fsync(file.fileno())


def _sync(folder: Path) -> None:
    """Have the names in a folder last."""
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)

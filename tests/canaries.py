"""Texts planted where people tell something of themselves, and looked for everywhere else."""

from typing import Any
from uuid import uuid4

import asyncpg
from asyncpg.pool import PoolConnectionProxy


class Canaries:
    """Somebody whose every text is known by one word, which stands nowhere else."""

    def __init__(self) -> None:
        self.word = f"canary{uuid4().hex[:12]}"
        self.customer = f"customer-{uuid4().hex[:12]}"
        self.person = {"id": self.customer, "name": f"Ada {self.word}", "email": f"{self.word}@example.com"}
        self.address = f"1 {self.word} Lane"

    def said(self, text: str) -> str:
        return f"{text} {self.word}"

    def are_in(self, data: bytes) -> bool:
        return self.word.encode() in data


async def tables_with(
    connection: "asyncpg.Connection[Any] | PoolConnectionProxy[Any]", canaries: Canaries
) -> list[str]:
    """Name the tables of a database in which a canary stands, in whatever column."""
    names = await connection.fetch("SELECT schemaname, tablename FROM pg_tables WHERE schemaname = 'public'")
    found = []
    for name in sorted(each["tablename"] for each in names):
        # As text, bytes are hexadecimal: looked for both ways.
        sought = [f"%{canaries.word}%", f"%{canaries.word.encode().hex()}%"]
        query = f'SELECT count(*) FROM "{name}" AS t WHERE t::text LIKE ANY($1::text[])'
        if await connection.fetchval(query, sought):
            found.append(name)
    return found

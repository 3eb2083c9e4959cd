"""Keys are exchanged while orders come: the issuer's own, and those by which it knows who calls."""

import asyncio
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import httpx
import pytest

from backbone.identity.own_token import OwnToken
from backbone.settings import Settings
from deployment import people
from local import programs
from local.ports import free_port
from local.program import run
from services.orders.service import SERVICE
from tests.conftest import NewDatabase
from tests.integration.one_service import serving
from tests.integration.raw_http import ORDER
from tests.waiting import eventually

CALLER = "carts"
SECONDS = 2
"""How long a token lasts: whoever calls comes for a new one all the time."""


@dataclass
class Provider:
    """The sandbox's, as a process; `folder` is what it keeps, and the keys of those whom it knows."""

    url: str
    folder: Path


@pytest.fixture
def provider(tmp_path: Path) -> Iterator[Provider]:
    folder = tmp_path / "identity"
    described = programs.identity(free_port(), folder)
    hurried = replace(described, env={**described.env, "SLICELINE_TOKEN_SECONDS": str(SECONDS)})
    server = run(hurried, tmp_path / "identity.log")
    yield Provider(described.address, folder)
    server.stop()


async def test_whoever_calls_notices_nothing_of_exchanged_keys(provider: Provider, new_database: NewDatabase) -> None:
    url = await asyncio.to_thread(new_database, SERVICE.name)
    key_file = people.key_of(provider.folder, CALLER)
    issuer = {"issuer": provider.url, "issuer_keys": None, "issuer_tokens": None}
    settings = Settings.model_validate({"database_url": url, "identity_key_file": key_file, **issuer})
    answers: Counter[int] = Counter()
    signers: set[str] = set()
    is_over = asyncio.Event()
    with serving(SERVICE, url, issuer=provider.url) as address:
        async with httpx.AsyncClient(base_url=address, trust_env=False) as http:
            own = OwnToken(CALLER, settings, lambda: http)

            async def call() -> None:
                while not is_over.is_set():
                    let_in = dict(await own.headers())
                    signers.add(let_in["Authorization"].partition(".")[0])  # the header, which names the key
                    headers = {**let_in, "Content-Type": "application/json"}
                    answers[(await http.post("/orders", content=ORDER, headers=headers)).status_code] += 1

            def has_been_signed_by(count: int) -> bool:
                return len(signers) >= count

            async with asyncio.TaskGroup() as calling:
                for _ in range(4):
                    calling.create_task(call())
                for number in range(1, 4):
                    await eventually(partial(has_been_signed_by, number), 30)
                    people.exchange(provider.folder, CALLER)
                    (await http.post(f"{provider.url}/keys/rotate")).raise_for_status()
                await eventually(partial(has_been_signed_by, 4), 30)
                is_over.set()
    assert answers.keys() == {202}


def test_an_issuer_knows_the_last_two_keys_of_a_caller(tmp_path: Path) -> None:
    file = tmp_path / f"clients/{CALLER}/public.jwks.json"
    known: list[list[str]] = []
    for _ in range(3):
        people.exchange(tmp_path, CALLER)
        known.append([key["kid"] for key in json.loads(file.read_text())["keys"]])
    assert [len(keys) for keys in known] == [2, 2, 2]
    assert [keys[1] for keys in known[1:]] == [keys[0] for keys in known[:-1]]
    assert "d" not in json.loads(file.read_text())["keys"][0]

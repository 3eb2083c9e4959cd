"""A new master key takes the place of the old one while services run: nothing is lost, whatever interrupts it."""

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner, Result

from backbone.context import Context
from backbone.sealing import rewrapping, sealing
from backbone.sealing.cipher import NotOurs, id_of, unwrapped
from backbone.sealing.sealing import KeysAway
from cli.__main__ import app
from deployment.master_key import KeyFile, draw_once
from services.carts.service import SERVICE as CARTS
from services.orders.service import SERVICE as ORDERS
from services.reviews.service import SERVICE as REVIEWS
from tests.canaries import Canaries
from tests.conftest import NewDatabase
from tests.integration.one_service import Fed, fed, serving
from tests.integration.standing_in import standing_in_for
from tests.integration.test_sealing import UNUSED, forget, is_shown, place
from tests.issuing import SOMEBODY, by

OLD, NEW = b"o" * 32, b"n" * 32


@pytest.fixture(autouse=True)
def forgetful(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody remembers a key, nor what is in the file."""
    monkeypatch.setattr(sealing, "KEPT", 0.0)
    monkeypatch.setattr("cli.rotate.HEARD", 0.1)


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> KeyFile:
    """The file that all services read their master key from."""
    path = tmp_path / "keys" / "master-key"
    draw_once(path)
    monkeypatch.setenv("SLICELINE_MASTER_KEY_FILE", str(path))
    return KeyFile(path)


@pytest.fixture
async def orders(new_database: NewDatabase, file: KeyFile) -> AsyncIterator[Fed]:
    async with fed(ORDERS, new_database) as service:
        yield service


async def run() -> Result:
    return await asyncio.to_thread(CliRunner().invoke, app, ["rotate", "--yes"])


async def rewrapped(service: Fed, masters: list[bytes]) -> list[int]:
    """How many keys each step had to wrap anew with the first of these master keys."""
    done, after = [], ""
    while True:
        step = await rewrapping.rewrap(service.database, masters, id_of(masters[0]), after)
        assert step.foreign == 0
        done.append(step.rewrapped)
        if step.next is None:
            return done
        after = step.next


async def opened_by(service: Fed, key: str) -> int:
    """How many living data keys a master key opens."""
    rows = await service.database.fetch("SELECT name, wrapped FROM data_keys WHERE wrapped IS NOT NULL")
    count = 0
    for row in rows:
        try:
            unwrapped(row["name"], row["wrapped"], [base64.b64decode(key)])
        except NotOurs:
            continue
        count += 1
    return count


async def test_the_master_key_is_replaced_while_new_customers_order_whatever_interrupts_it(
    new_database: NewDatabase, file: KeyFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    [old] = file.keys
    urls = {each.name: await asyncio.to_thread(new_database, each.name) for each in (ORDERS, CARTS, REVIEWS)}
    monkeypatch.setattr("cli.running.HOME", tmp_path)
    with ExitStack() as stack:
        running = {each.name: stack.enter_context(serving(each, urls[each.name])) for each in (ORDERS, CARTS, REVIEWS)}
        stack.enter_context(standing_in_for(tmp_path, running))
        monkeypatch.setattr("cli.rotate._keepers", lambda: list(running))
        async with fed(ORDERS, lambda _: urls["orders"]) as orders:
            customers, ended = dict[str, Canaries](), asyncio.Event()

            async def ordering() -> None:
                while not ended.is_set():
                    canaries = Canaries()
                    customers[(await place(orders, canaries)).json()["id"]] = canaries

            coming = asyncio.create_task(ordering())
            for step in ("prefer_next", "retire_others"):
                with monkeypatch.context() as patch:
                    patch.setattr(KeyFile, step, interrupted)
                    assert isinstance((await run()).exception, Interrupted)
            with monkeypatch.context() as patch:
                patch.setattr("cli.rotate._rewrap", interrupted)
                assert isinstance((await run()).exception, Interrupted)
            assert (len(file.keys), file.keys[1], len(customers) > 0) == (2, old, True)
            said = await run()
            assert said.exit_code == 0, said.output
            ended.set()
            await coming
            [new] = file.keys
            assert (file.retired.read_text().split(), file.next.exists(), new == old) == ([old], False, False)
            # One more is that of whoever had it done, for the log of acts.
            assert (await opened_by(orders, old), await opened_by(orders, new)) == (0, len(customers) + 1)
            for order, canaries in customers.items():
                assert is_shown((await orders.client.get(f"/orders/{order}")).json(), canaries)


async def test_keys_are_wrapped_anew_some_at_a_time_and_only_once(
    orders: Fed, file: KeyFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rewrapping, "AT_ONCE", 2)
    for _ in range(5):
        await place(orders, Canaries())
    [old] = map(base64.b64decode, file.keys)
    assert await rewrapped(orders, [NEW, old]) == [2, 2, 1]
    assert await rewrapped(orders, [NEW, old]) == [0, 0, 0]


async def test_a_process_that_has_not_heard_of_the_new_key_makes_none_that_the_old_one_alone_opens(
    orders: Fed, file: KeyFile
) -> None:
    await place(orders, known := Canaries())
    [old] = map(base64.b64decode, file.keys)
    late = Context(ORDERS.settings(database_url=UNUSED), orders.database).sealing
    await rewrapped(orders, [NEW, old])
    with pytest.raises(KeysAway, match="was replaced"):
        await late.seal_of("somebody new")
    with pytest.raises(KeysAway):
        await late.seal_of(known.customer)
    await rewrapped(orders, [old, NEW])
    assert (await late.seal_of("somebody new"))("a text").startswith("sealed:")


async def test_a_file_that_cannot_be_read_for_a_while_changes_nothing(orders: Fed, file: KeyFile) -> None:
    order = (await place(orders, canaries := Canaries())).json()["id"]
    for broken in (b"", b"half a k", b"\xff"):
        file.path.write_bytes(broken)
        assert is_shown((await orders.client.get(f"/orders/{order}")).json(), canaries)
    file.path.unlink()
    assert is_shown((await place(orders, other := Canaries())).json(), other)


async def test_a_destroyed_key_does_not_come_back(orders: Fed, file: KeyFile) -> None:
    await place(orders, canaries := Canaries())
    [old] = map(base64.b64decode, file.keys)
    assert await forget(orders, canaries) == 1
    assert await rewrapped(orders, [NEW, old]) == [1]  # that of whoever had it done, in the log of acts
    living = await orders.database.fetch("SELECT person FROM data_keys WHERE wrapped IS NOT NULL")
    assert [row["person"] for row in living] == ["ann"]


async def test_nothing_is_drawn_where_a_service_has_another_master_key(
    new_database: NewDatabase, file: KeyFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = await asyncio.to_thread(new_database, "orders")
    monkeypatch.setattr("cli.running.HOME", tmp_path)
    monkeypatch.setenv("SLICELINE_MASTER_KEY", base64.b64encode(OLD).decode())
    with serving(ORDERS, url) as address, standing_in_for(tmp_path, {"orders": address}):
        said = await run()
        assert (said.exit_code, "orders has another master key" in said.output) == (1, True), said.output
        assert not file.next.exists()
        async with httpx.AsyncClient(base_url=address, headers=by(SOMEBODY)) as client:
            answer = await client.post("/data-keys/rewrap", json={"under": "0" * 16})
            assert (answer.status_code, answer.json()["title"]) == (409, "Other master key")


class Interrupted(Exception):
    """Stands for whatever ends the command."""


def interrupted(*_: object) -> None:
    raise Interrupted

"""What is put into an object store is there, whole, until its days are over: in a folder, and where S3 is spoken."""

import asyncio
import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import httpx
import pytest
from moto.server import ThreadedMotoServer

from backbone.events.dataref import Corrupt, parse, reference_to
from backbone.running.faults import is_outside, is_passing
from backbone.settings import Settings
from backbone.storage import housekeeping, objects
from backbone.storage.database import Database
from backbone.storage.housekeeping import Housekeeping
from backbone.storage.objects import Missing, Unreachable
from tests.conftest import NewDatabase
from tests.integration.things import running
from tests.waiting import eventually

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)
DATA = b'{"number":' + b"1" * 100_000 + b"}"


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    """The endpoint of a server that speaks S3."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(params=["folder", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The address of an empty store, which is the one in use."""
    address = tmp_path.as_uri()
    if request.param == "s3":
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
        endpoint, bucket = request.getfixturevalue("s3"), f"shop-{uuid4().hex[:8]}"
        address = f"s3://{bucket}/shop?endpoint={endpoint}&region=us-east-1"
        with httpx.Client(trust_env=False) as client:
            assert client.put(f"{endpoint}/{bucket}").status_code == 200
    monkeypatch.setattr(objects, "_address", address)
    return address


async def test_what_was_put_is_fetched_whole_and_the_same_again_is_the_same_object(store: str) -> None:
    reference = await objects.put(DATA, "orders", NOW)
    assert reference == reference_to(DATA, "orders", NOW.date())
    assert await objects.put(DATA, "orders", NOW) == reference
    assert await objects.fetch(reference) == DATA
    assert await objects.purge("orders", NOW + timedelta(days=1), timedelta(0)) == 1


async def test_what_is_put_into_a_folder_is_on_its_disk_with_the_names_that_lead_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(objects, "_address", tmp_path.as_uri())
    synced, fsync = set[int](), os.fsync

    def noting(descriptor: int) -> None:
        fsync(descriptor)
        synced.add(os.fstat(descriptor).st_ino)

    monkeypatch.setattr(os, "fsync", noting)
    path = tmp_path / await objects.put(DATA, "orders", NOW)
    assert synced == {each.stat().st_ino for each in (path, path.parent, path.parent.parent, tmp_path)}


async def test_what_is_missing_is_told_from_a_store_that_is_not_there(
    store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    reference = reference_to(DATA, "orders", NOW.date())
    with pytest.raises(Missing, match=reference):
        await objects.fetch(reference)
    gone = store.replace("s3://shop", "s3://gone") if "s3" in store else f"{store}/gone"
    monkeypatch.setattr(objects, "_address", gone)
    for work in (
        objects.fetch(reference),
        objects.put(DATA, "orders", NOW),
        objects.purge("orders", NOW, timedelta(0)),
    ):
        with pytest.raises(Unreachable) as away:
            await work
        assert is_passing(away.value)
        assert is_outside(away.value)
        assert "\n" not in str(away.value)


async def test_a_server_that_does_not_answer_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setattr(objects, "_address", "s3://bucket?endpoint=http://127.0.0.1:9&region=us-east-1")
    with pytest.raises(Unreachable, match="cannot be reached"):
        await objects.put(DATA, "orders", NOW)


@pytest.mark.parametrize("found", [b"", DATA[:-1], DATA + b" ", b"2" * len(DATA)])
async def test_what_is_not_what_was_put_there_is_refused(store: str, found: bytes) -> None:
    reference = await objects.put(DATA, "orders", NOW)
    await objects._store().put(reference, found)
    with pytest.raises(Corrupt, match=reference):
        await objects.fetch(reference)


async def test_only_whole_days_that_are_over_and_ones_own_are_purged(store: str) -> None:
    days = [NOW - timedelta(days=each) for each in (30, 22, 21, 0)]
    own = [await objects.put(b"%d" % at, "orders", day) for at, day in enumerate(days)]
    others = await objects.put(b"other", "orders-archive", days[0])
    await objects._store().put("orders/0/x", b"of no day")
    assert await objects.purge("orders", NOW, timedelta(days=21)) == 2
    assert await objects.purge("orders", NOW, timedelta(days=21)) == 0
    for reference, is_there in [*zip(own, (False, False, True, True), strict=True), (others, True)]:
        if is_there:
            assert len(await objects.fetch(reference)) == parse(reference).length
        else:
            with pytest.raises(Missing):
                await objects.fetch(reference)


async def test_a_running_process_purges_by_itself(
    store: str, new_database: NewDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(housekeeping, "EVERY", timedelta(seconds=0.1))
    database = Database(await asyncio.to_thread(new_database, "orders"), "orders", size=7)
    try:
        async with database.transaction():
            now = database.now()
        old, young = [await objects.put(DATA, "orders", now - timedelta(days=each)) for each in (17, 1)]

        async def is_purged() -> bool:
            try:
                await objects.fetch(old)
            except Missing:
                return True
            return False

        settings = Settings(database_url="postgresql://unused", object_days=15)
        async with running(Housekeeping(database, settings)):
            await eventually(is_purged)
        assert await objects.fetch(young) == DATA
    finally:
        await database.close()

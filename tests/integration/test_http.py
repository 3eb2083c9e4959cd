"""The HTTP application that every service is made from, on a real server and a real database."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import uuid4

import asyncpg
import httpx
import pytest
import pytest_asyncio
from fastapi import APIRouter, Response
from fastapi.sse import EventSourceResponse
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from backbone.application import create_application
from backbone.context import Context
from backbone.http import Answer, Command, Db, Paging, Problem
from backbone.http.permissions import open_to_all
from backbone.http.wire.server import Server
from backbone.service import Service
from backbone.settings import Settings
from backbone.storage import sql
from backbone.storage.database import Database, Tx
from backbone.storage.housekeeping import prune
from backbone.storage.tables import metadata
from tests.issuing import SOMEBODY, by

pytestmark = pytest.mark.asyncio(loop_scope="module")  # most tests share one server
router = APIRouter()


class Line(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    item: str = Field(max_length=50)
    quantity: int = Field(ge=1, le=100)


class NewOrder(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    lines: list[Line] = Field(min_length=1, max_length=10)


@router.post("/orders", status_code=202)
@open_to_all("It is a test's.")
async def place_order(body: NewOrder, command: Command) -> Response:
    """Place an order."""
    return await command.run(lambda tx: _place(tx, body, command.actor))


async def _place(tx: Tx, body: NewOrder, actor: str) -> Answer:
    order = str(uuid4())
    await tx.raw.execute("INSERT INTO orders (id, item, actor) VALUES ($1, $2, $3)", order, body.lines[0].item, actor)
    await tx.raw.execute("SELECT pg_sleep(0.05)")  # long enough for twins to meet
    if body.lines[0].item == "unknown":
        raise Problem(422, "Unknown item", "There is no such item.", field="lines.0.item")
    if body.lines[0].item == "bug":
        raise ZeroDivisionError("secret")
    if body.lines[0].item == "deadlock":
        raise asyncpg.DeadlockDetectedError("secret")
    return Answer({"id": order, "ünicode": "é"}, 202, {"Location": f"/orders/{order}", "Retry-After": "1"})


@router.get("/orders")
@open_to_all("It is a test's.")
async def list_orders(db: Db, page: Paging) -> dict[str, Any]:
    """List orders."""
    query = text("SELECT id, item FROM orders WHERE id > :after ORDER BY id LIMIT :limit")
    async with db.reading() as connection:
        rows = await connection.execute(query, {"after": page.after or "", "limit": page.limit + 1})
    return page.answer([dict(row) for row in rows.mappings()], key=lambda row: row["id"])


@router.get("/orders/{order}")
@open_to_all("It is a test's.")
async def read_order(order: str) -> dict[str, str]:
    """Read an order."""
    return {"id": order}


@router.post("/bell")
@open_to_all("It is a test's.")
async def ring(command: Command) -> Response:
    """Has no body."""
    return await command.run(_ring)


async def _ring(tx: Tx) -> Answer:
    return Answer(None, 204)


@dataclass
class Gate:
    """Holds requests back until a test lets them go."""

    entered: asyncio.Event
    opened: asyncio.Event


gates: dict[str, Gate] = {}


@router.get("/gates/{name}")
@open_to_all("It is a test's.")
async def wait_at_gate(name: str) -> dict[str, str]:
    """Answers when the test opens the gate."""
    gates[name].entered.set()
    await gates[name].opened.wait()
    return {}


@router.get("/streams/{name}", response_class=EventSourceResponse)
@open_to_all("It is a test's.")
async def stream(name: str) -> AsyncIterator[dict[str, str]]:
    """Begins, then waits."""
    yield {"status": "placed"}
    await gates[name].opened.wait()


@pytest.fixture(scope="module")
def database_url(postgres: str) -> str:
    """A database with the backbone's tables and `orders`."""
    name = f"http_{uuid4().hex[:8]}"
    url = f"{postgres.rpartition('/')[0]}/{name}"
    asyncio.run(_create_database(postgres, name))
    asyncio.run(_create_tables(url))
    return url


async def _create_database(postgres: str, name: str) -> None:
    connection = await asyncpg.connect(postgres)
    await connection.execute(f'CREATE DATABASE "{name}"')
    await connection.close()


async def _create_tables(url: str) -> None:
    engine = create_async_engine(url.replace("postgresql:", "postgresql+asyncpg:"))
    async with engine.begin() as connection:
        await connection.run_sync(metadata.create_all)
        await connection.execute(text("CREATE TABLE orders (id text PRIMARY KEY, item text, actor text)"))
    await engine.dispose()


@asynccontextmanager
async def serving(database_url: str, **settings: Any) -> AsyncIterator[tuple[httpx.AsyncClient, Context[Any]]]:
    given = Settings(database_url=database_url, port=0, **settings)
    context = Context(given, Database(database_url, "orders", given.pool_size))
    application = create_application(Service("orders", Settings, router), context)
    running = Server(application)
    with socket.create_server(("127.0.0.1", 0)) as listening:  # connections wait there until it serves
        task = asyncio.create_task(running.serve([listening]))
        address = f"http://127.0.0.1:{listening.getsockname()[1]}"
        async with httpx.AsyncClient(base_url=address, timeout=20, headers=by(SOMEBODY)) as client:
            yield client, context
        running.should_exit = True
        await task
    await context.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def client(database_url: str) -> AsyncIterator[httpx.AsyncClient]:
    async with serving(database_url) as (client, _):
        yield client


@pytest_asyncio.fixture(loop_scope="module")
async def gate() -> AsyncIterator[str]:
    """The name of a gate; whatever happens it is open in the end."""
    name = uuid4().hex
    gates[name] = Gate(asyncio.Event(), asyncio.Event())
    yield name
    gates.pop(name).opened.set()


def order(item: str = "margherita") -> dict[str, Any]:
    return {"lines": [{"item": item, "quantity": 2}]}


async def count(client: httpx.AsyncClient, item: str) -> int:
    page = (await client.get("/orders", params={"limit": 200})).json()
    return sum(each["item"] == item for each in page["items"])


def told(response: httpx.Response, status: int) -> dict[str, Any]:
    """The problem document, which must be complete."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    problem: dict[str, Any] = response.json()
    assert problem["status"] == status
    assert problem["type"].startswith("/problems/")
    assert problem["title"]
    assert problem["correlationid"] == response.headers["x-correlation-id"]
    return problem


async def test_a_command_answers_after_its_commit(client: httpx.AsyncClient) -> None:
    item = uuid4().hex
    response = await client.post("/orders", json=order(item), headers=by("ada"))
    assert response.status_code == 202
    assert response.headers["location"] == f"/orders/{response.json()['id']}"
    assert await count(client, item) == 1


async def test_ten_twins_have_one_effect_and_one_answer(client: httpx.AsyncClient) -> None:
    item, headers = uuid4().hex, {"Idempotency-Key": f'"{uuid4()}"'}
    twins = await asyncio.gather(*(client.post("/orders", json=order(item), headers=headers) for _ in range(10)))
    assert {each.status_code for each in twins} == {202}
    assert len({each.content for each in twins}) == 1
    assert len({each.headers["location"] for each in twins}) == 1
    assert len({each.headers["x-correlation-id"] for each in twins}) == 1
    assert len({each.headers["content-type"] for each in twins}) == 1
    assert sum("idempotency-replayed" in each.headers for each in twins) == 9
    assert await count(client, item) == 1


async def test_quotes_around_a_key_make_no_difference(client: httpx.AsyncClient) -> None:
    key = uuid4().hex
    first = await client.post("/orders", json=order(), headers={"Idempotency-Key": key})
    second = await client.post("/orders", json=order(), headers={"Idempotency-Key": f'"{key}"'})
    assert second.content == first.content


async def test_a_key_for_another_body_is_refused(client: httpx.AsyncClient) -> None:
    headers = {"Idempotency-Key": uuid4().hex}
    await client.post("/orders", json=order(), headers=headers)
    problem = told(await client.post("/orders", json=order("other"), headers=headers), 422)
    assert problem["errors"][0]["field"] == "Idempotency-Key"


async def test_a_key_belongs_to_one_path(client: httpx.AsyncClient) -> None:
    headers = {"Idempotency-Key": uuid4().hex}
    assert (await client.post("/orders", json=order(), headers=headers)).status_code == 202
    assert (await client.post("/bell", headers=headers)).status_code == 204
    again = await client.post("/bell", headers=headers)
    assert (again.status_code, again.headers["idempotency-replayed"], again.content) == (204, "true", b"")


@pytest.mark.parametrize(("item", "status"), [("unknown", 422), ("bug", 500), ("deadlock", 503)])
async def test_a_failed_effect_leaves_nothing_and_its_key_is_free(
    client: httpx.AsyncClient, item: str, status: int
) -> None:
    headers = {"Idempotency-Key": uuid4().hex}
    response = await client.post("/orders", json=order(item), headers=headers)
    assert "secret" not in response.text
    told(response, status)
    assert ("retry-after" in response.headers) == (status == 503)
    assert await count(client, item) == 0
    assert (await client.post("/orders", json=order(), headers=headers)).status_code == 202


@pytest.mark.parametrize("key", ["", '""', "a b", "x" * 256])
async def test_a_wrong_key_is_refused(client: httpx.AsyncClient, key: str) -> None:
    problem = told(await client.post("/orders", json=order(), headers={"Idempotency-Key": key}), 400)
    assert problem["errors"][0]["field"] == "Idempotency-Key"


async def test_old_keys_are_forgotten(database_url: str) -> None:
    async with serving(database_url) as (client, context):
        headers = {"Idempotency-Key": uuid4().hex}
        first = await client.post("/orders", json=order(), headers=headers)
        assert await prune(context.database, sql.KEYS_PRUNE, timedelta(hours=1)) == 0
        assert await prune(context.database, sql.KEYS_PRUNE, timedelta(0)) >= 1
        second = await client.post("/orders", json=order(), headers=headers)
        assert second.content != first.content


async def test_a_correlation_id_is_taken_over_only_when_it_is_a_uuid(client: httpx.AsyncClient) -> None:
    given = str(uuid4())
    taken = await client.get("/orders", headers={"X-Correlation-Id": given})
    assert taken.headers["x-correlation-id"] == given
    made = await client.get("/orders", headers={"X-Correlation-Id": "x'; DROP TABLE"})
    assert made.headers["x-correlation-id"] != "x'; DROP TABLE"


BAD_BODIES: list[tuple[bytes, int, str]] = [
    (b"", 422, "body"),
    (b"null", 422, "body"),
    (b"[]", 422, "body"),
    (b"{", 400, "body"),
    (b"[" * 30_000, 400, "body"),
    (b'{"lines": ' * 5000, 400, "body"),
    (b'{"lines": [], "lines": []}', 400, "body"),
    (b'{"lines": "\xff"}', 400, "body"),
    (b'{"lines": []}', 422, "lines"),
    (b'{"lines": [{"item": "cola", "quantity": 0}]}', 422, "lines.0.quantity"),
    (b'{"lines": [{"item": "cola", "quantity": -1}]}', 422, "lines.0.quantity"),
    (b'{"lines": [{"item": "cola", "quantity": 1.5}]}', 422, "lines.0.quantity"),
    (b'{"lines": [{"item": "cola", "quantity": true}]}', 422, "lines.0.quantity"),
    (b'{"lines": [{"item": "cola", "quantity": 1e400}]}', 422, "lines.0.quantity"),
    (b'{"lines": [{"item": "cola", "quantity": 99999999999999999999999}]}', 422, "lines.0.quantity"),
    (b'{"lines": [{"item": "cola", "quantity": NaN}]}', 422, "lines.0.quantity"),
    (b'{"lines": [{"item": "a\\u0000b", "quantity": 1}]}', 422, "lines.0.item"),
    (b'{"lines": [{"item": "\\ud83c", "quantity": 1}]}', 422, "lines.0.item"),
    (b'{"lines": [{"item": "cola", "quantity": 1, "price": 0}]}', 422, "lines.0.price"),
    (json.dumps(order() | {"x" * 5000: 1}).encode(), 422, "x" * 200),
    (json.dumps(order() | {f"x{number}": 1 for number in range(1000)}).encode(), 422, "x0"),
    (b" " * 70_000, 413, "body"),
]


@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
@pytest.mark.parametrize(("body", "status", "field"), BAD_BODIES)
async def test_bad_input_is_refused_naming_the_field(
    client: httpx.AsyncClient, body: bytes, status: int, field: str, *, chunked: bool
) -> None:
    content = _chunks(body) if chunked else body
    response = await client.post("/orders", content=content, headers={"Content-Type": "application/json"})
    problem = told(response, status)
    assert problem["errors"][0]["field"] == field
    assert len(response.content) < 20_000


async def _chunks(body: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(body), 1000):
        yield body[start : start + 1000]


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Type": "text/plain"},
        {"Content-Type": "application/x-www-form-urlencoded"},
        {"Content-Type": ""},
        {"Content-Type": "application/json; charset=latin-1"},
        {"Content-Type": "application/json", "Content-Encoding": "gzip"},
    ],
)
async def test_only_json_is_taken(client: httpx.AsyncClient, headers: dict[str, str]) -> None:
    response = await client.post("/orders", content=json.dumps(order()), headers=headers)
    told(response, 415)
    assert "accept" in response.headers or "accept-encoding" in response.headers


@pytest.mark.parametrize("kind", ["application/json; charset=UTF-8", "application/problem+json", "Application/JSON"])
async def test_json_may_be_called_by_its_other_names(client: httpx.AsyncClient, kind: str) -> None:
    response = await client.post("/orders", content=json.dumps(order()), headers={"Content-Type": kind})
    assert response.status_code == 202


@pytest.mark.parametrize(
    ("target", "status", "field"),
    [
        ("/orders/%00", 400, "path"),
        ("/orders/%FF", 400, "path"),
        ("/orders/%ED%A0%80", 400, "path"),
        ("/orders?after=%00", 400, "after"),
        ("/orders?other=%FF", 400, "other"),
        ("/orders?limit=0", 422, "limit"),
        ("/orders?limit=201", 422, "limit"),
        ("/orders?limit=many", 422, "limit"),
        ("/orders?limit=" + "9" * 5000, 422, "limit"),
        ("/orders?after=%C3%A4", 422, "after"),
        ("/orders?after=***", 422, "after"),
        ("/orders?after=AAAA", 422, "after"),
        ("/orders?after=_w", 422, "after"),
        ("/dead-letters?after=eA", 422, "after"),
    ],
)
async def test_a_bad_target_is_refused(client: httpx.AsyncClient, target: str, status: int, field: str) -> None:
    problem = told(await _raw(client, f"GET {target} HTTP/1.1"), status)
    assert problem["errors"][0]["field"] == field
    assert problem["instance"] == target.split("?")[0]


async def test_a_target_is_decoded_once(client: httpx.AsyncClient) -> None:
    assert (await _raw(client, "GET /orders/%2541%2500 HTTP/1.1")).json() == {"id": "%41%00"}
    told(await _raw(client, "GET /orders?limit=%2531 HTTP/1.1"), 422)


async def _raw(client: httpx.AsyncClient, line: str) -> httpx.Response:
    """Send exactly this: a client library would mend it."""
    reader, writer = await asyncio.open_connection("127.0.0.1", client.base_url.port)
    let_in = f"Authorization: {client.headers['Authorization']}"
    writer.write(f"{line}\r\nHost: localhost\r\n{let_in}\r\nConnection: close\r\n\r\n".encode("latin-1"))
    head, _, body = (await asyncio.wait_for(reader.read(), 10)).partition(b"\r\n\r\n")
    writer.close()
    status, *headers = head.decode("latin-1").split("\r\n")
    pairs = [(name, value.strip()) for name, _, value in (each.partition(":") for each in headers)]
    return httpx.Response(int(status.split()[1]), headers=pairs, content=body)


async def test_a_declared_length_is_refused_before_the_body_comes(client: httpx.AsyncClient) -> None:
    head = "POST /orders HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: 10000000"
    told(await _raw(client, head), 413)


async def test_an_unknown_path_and_a_wrong_method(client: httpx.AsyncClient) -> None:
    assert told(await client.get("/nowhere"), 404)["instance"] == "/nowhere"
    told(await client.get("/orders/"), 404)
    wrong = await client.delete("/orders")
    told(wrong, 405)
    assert wrong.headers["allow"] == "GET, HEAD, OPTIONS, POST"
    told(await client.request("TRACE", "/orders"), 405)


async def test_pages_follow_each_other_without_gap_or_repetition(client: httpx.AsyncClient) -> None:
    for _ in range(5):
        await client.post("/orders", json=order())
    whole = (await client.get("/orders", params={"limit": 200})).json()["items"]
    seen, after = [], None
    while True:
        page = (await client.get("/orders", params={"limit": 2} | ({"after": after} if after else {}))).json()
        seen += page["items"]
        if (after := page["next"]) is None:
            break
    assert seen == whole


async def test_when_full_it_says_so_at_once_and_health_still_answers(database_url: str, gate: str) -> None:
    async with serving(database_url, requests_in_flight=1) as (client, _):
        waiting = asyncio.create_task(client.get(f"/gates/{gate}"))
        await asyncio.wait_for(gates[gate].entered.wait(), 10)
        refused = await client.get("/orders")
        told(refused, 429)
        assert refused.headers["retry-after"] == "1"
        counted = 'sliceline_http_requests_total{method="GET",route="/orders",status="429"}'
        assert counted in (await client.get("/metrics")).text
        assert (await client.get("/health/ready")).status_code == 200
        assert (await client.get("/metrics")).status_code == 200
        gates[gate].opened.set()
        assert (await waiting).status_code == 200
        assert (await client.get("/orders")).status_code == 200


async def test_a_stream_that_has_begun_takes_no_place(database_url: str, gate: str) -> None:
    one = serving(database_url, requests_in_flight=1)
    async with one as (client, _), client.stream("GET", f"/streams/{gate}") as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        assert (await client.get("/orders")).status_code == 200
        gates[gate].opened.set()
        assert "placed" in (await response.aread()).decode()


async def test_ready_names_what_is_not_ready(database_url: str) -> None:
    async with serving(database_url) as (client, context):
        assert (await client.get("/health/live")).json() == {"status": "live"}
        context.checks["consumer"] = lambda: "waits for its partitions"
        problem = told(await client.get("/health/ready"), 503)
        assert problem["waiting"] == {"consumer": "waits for its partitions"}


async def test_without_its_database_it_lives_but_is_not_ready() -> None:
    async with serving("postgresql://nobody:nothing@127.0.0.1:9/none") as (client, _):
        assert (await client.get("/health/live")).status_code == 200
        assert "database" in told(await client.get("/health/ready"), 503)["waiting"]
        refused = await client.get("/orders")
        told(refused, 503)
        assert refused.headers["retry-after"] == "1"


async def test_metrics_count_by_route_and_not_by_path(client: httpx.AsyncClient) -> None:
    await client.get("/orders/one-of-very-many")
    await client.get("/some/path/of/a/scanner")
    counted = (await client.get("/metrics")).text
    assert 'sliceline_http_requests_total{method="GET",route="/orders/{order}",status="200"}' in counted
    assert "one-of-very-many" not in counted
    assert "scanner" not in counted


async def test_a_process_without_the_api_role_has_only_its_operations(database_url: str) -> None:
    async with serving(database_url, roles="consumers,jobs") as (client, _):
        told(await client.get("/orders"), 404)
        assert (await client.get("/health/ready")).status_code == 200


async def test_schemas_are_served_where_the_events_point(client: httpx.AsyncClient) -> None:
    listed = (await client.get("/schemas")).json()["schemas"]
    for each in listed:
        schema = (await client.get(each["href"])).json()
        assert schema["$id"].endswith(each["href"])
    for path in ("/schemas/orders/none.v1.json", "/schemas/orders/..%2f..%2fpyproject.toml"):
        told(await client.get(path), 404)


async def test_dead_letters_are_listed_in_pages(database_url: str) -> None:
    async with serving(database_url) as (client, context):
        key = uuid4().hex
        async with context.database.transaction() as tx:
            await tx.raw.executemany(
                'INSERT INTO dead_letters (consumer, topic, partition, "offset", key, type, error, headers) '
                "VALUES ('orders', 'payments.events', 0, $1, $2, 'sliceline.payments.x.v1', $3, '{}')",
                [(number, key, "broken" if number == 0 else None) for number in range(3)],
            )
        first = (await client.get("/dead-letters", params={"limit": 2})).json()
        second = (await client.get("/dead-letters", params={"limit": 2, "after": first["next"]})).json()
        assert [each["offset"] for each in first["items"] + second["items"]] == [0, 1, 2]
        assert first["items"][0]["error"] == "broken"
        assert (await client.post("/dead-letters/redrive", json={"key": "unknown"})).json() == {"handled": 0}


async def test_the_description_tells_of_every_problem(client: httpx.AsyncClient) -> None:
    document = (await client.get("/openapi.json")).json()
    place = document["paths"]["/orders"]["post"]
    assert {each["name"].lower() for each in place["parameters"]} == {"idempotency-key"}
    for status in ("400", "413", "415", "422", "429", "500", "503"):
        assert list(place["responses"][status]["content"]) == ["application/problem+json"]
    assert "404" in document["paths"]["/orders/{order}"]["get"]["responses"]
    assert "HTTPValidationError" not in document["components"]["schemas"]

"""Measures what closed doors cost: tokens in HTTP; TLS, a name and the broker's rules in Kafka. Beside each, open ones.

Both run at once on the same machine, and everything else is the same: orders that are accepted, our relay from a full
outbox, and our consumer, whose effects come once.
"""

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import httpx

from backbone.values.brokers import Brokers
from bench import accept, consume, events, programs, relay
from bench.result import Results, Row, figures
from bench.rounds import Contestant, Sample, Series, interleave
from bench.stage import Stage
from deployment import people
from deployment.admitting import admit_guest
from deployment.doors import GUEST
from deployment.migrate import make_topics
from deployment.rights import Rights, rules
from local import kafka
from local import programs as local_programs
from local.ports import free_port
from sandbox.own_token import OwnToken

GOAL = 0.85
READER = f"{GUEST}shelf"
"""As whom the consumer comes, which is in no catalogue."""
CUSTOMER = "bench"
"""As whom orders come."""


def run(stage: Stage) -> Results:
    results = Results()
    stage.migrate()
    with ExitStack() as stack:
        _judge(results, "accept", "one process", _accepting(stage, stack), unit="orders/s")
    with _closed(stage) as closed, ExitStack() as stack:
        _judge(results, "consume", "a handler of sets", _consuming(stage, closed.closed.user(READER), closed.admin))
        _judge(results, "relay", "full outbox", _relaying(stage, stack, closed.closed.user("orders"), closed.admin))
    return results


@contextmanager
def _closed(stage: Stage) -> Iterator[kafka.Kafka]:
    """Run a second broker, with doors, and let in whoever is measured."""
    stage.tell("starting a Kafka with doors")
    closed = kafka.start(stage.folder / "closed")
    try:
        stage.pids["kafka with doors"] = closed.server.pid
        asyncio.run(make_topics(closed.admin, 1, lambda _: None, closed.closed))
        reading = rules(READER, Rights(reads=(events.TOPIC,), group="shelf"))
        asyncio.run(admit_guest(closed.closed, READER, reading))
        yield closed
    finally:
        stage.pids.pop("kafka with doors", None)
        closed.stop()


def _accepting(stage: Stage, stack: ExitStack) -> Series:
    """Both write into one database; the closed one asks for the token that each order brings."""
    folder = stage.folder / "identity"
    identity = local_programs.identity(free_port(), folder, {CUSTOMER: ("orderer",)})
    stack.enter_context(stage.running(identity))
    token = asyncio.run(_token(OwnToken(CUSTOMER, identity.address, str(people.key_of(folder, CUSTOMER)))))
    told = {"open": {}, "closed": {"SLICELINE_AUTH": "on", "SLICELINE_ISSUER": identity.address}}
    crews = {name: programs.service(stage, "orders", "api", label=name, env=env) for name, env in told.items()}
    for program in crews.values():
        stack.enter_context(stage.running(program))
    contestants = {
        name: accept.contestant(stage, [program], token=token if name == "closed" else "")
        for name, program in crews.items()
    }
    return interleave(contestants, stage.scale.rounds, stage.tell, spare=stage.scale.spare)


async def _token(auth: httpx.Auth) -> str:
    request = await anext(auth.async_auth_flow(httpx.Request("GET", "http://anybody")))
    return request.headers["Authorization"].removeprefix("Bearer ")


def _consuming(stage: Stage, user: Brokers, admin: Brokers) -> Series:
    total = stage.scale.of(300_000, 60_000)
    stage.tell("filling the topics")
    for each in (stage.kafka.admin, admin):
        asyncio.run(events.fill_topic(each, total, consume.ITEMS))
    told: dict[str, dict[str, str]] = {"open": {}, "closed": user.environment()}
    contestants = {name: _consumer(stage, total, name, env) for name, env in told.items()}
    return interleave(contestants, stage.scale.rounds, stage.tell, spare=stage.scale.spare)


def _consumer(stage: Stage, total: int, name: str, env: dict[str, str]) -> Contestant:
    return consume.contestant(stage, total, name, lambda url: consume.ours(stage, url, "sets", env))


def _relaying(stage: Stage, stack: ExitStack, user: Brokers, admin: Brokers) -> Series:
    ways = {"open": (stage.kafka.admin, {}), "closed": (admin, user.environment())}
    urls = {name: stage.new_database(f"relay_{name}", like="orders") for name in ways}
    contestants = {name: _relay(stage, stack, name, urls[name], brokers, env) for name, (brokers, env) in ways.items()}
    return interleave(contestants, stage.scale.rounds, stage.tell, spare=stage.scale.spare)


def _relay(stage: Stage, stack: ExitStack, name: str, url: str, brokers: Brokers, env: dict[str, str]) -> Contestant:
    count = stage.scale.of(100_000, 20_000)
    program = programs.service(stage, "orders", "relay", database=url, label=f"relay {name}", env=env)
    server = stack.enter_context(stage.running(program))
    for _ in range(relay.warm_ups(stage)):
        relay.race(stage, url, count, server, brokers)

    def measured() -> Sample:
        stage.settle()
        return relay.race(stage, url, count, server, brokers)

    return measured


def _judge(results: Results, bench: str, case: str, series: Series, unit: str = "events/s") -> None:
    ours, theirs = series.value("closed"), series.value("open")
    results.add(Row(bench, case, ours, "open doors", theirs, unit, series.ratio("closed", "open"), GOAL))
    for name in series.names:
        results.note(f"{bench}, {name}: cores kept busy: {figures(series.cpu(name))}.")
    series.account(results, bench)

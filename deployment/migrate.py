"""Makes databases, roles, topics and tables of every service: `python -m deployment.migrate`, before they run.

It is harmless when run again, and when run twice at once. The environment tells it SLICELINE_POSTGRES_URL (a
superuser's address; without a password in it, that is in the next), SLICELINE_DATABASE_CA_FILE (by whom that server is
known, where it is asked over TLS), SLICELINE_PASSWORDS (the folder with the roles' passwords, drawn where there are
none), SLICELINE_KAFKA and, where its doors are ours, SLICELINE_KAFKA_KEYS and
SLICELINE_KAFKA_ADMINS (the folder of the keys, and where the administrator comes: see `doors.py`),
SLICELINE_KAFKA_REPLICATION, SLICELINE_OLD_EVENTS (read or skip), where tables and topics do not belong together (see
`belonging.py`), and SLICELINE_MASTER_KEY_FILE, where a master key is drawn if there is none.
"""

import asyncio
import os
import re
import ssl
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import asyncpg
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError, TopicAlreadyExistsError, for_code

from backbone.events.buses import Bus
from backbone.publishing.making import settings
from backbone.running.gather_or_cancel import gather_or_cancel
from backbone.values import shapes
from backbone.values.brokers import Brokers, authorities_in, told_by
from backbone.values.passwords import with_password
from backbone.values.verified import ca_file_of
from deployment import NOTE, OLD_EVENTS, OLD_EVENTS_CHOICES, PASSWORDS, granting, scram, topics
from deployment.addresses import database_url, superuser_told_by, without_password
from deployment.admitting import admit
from deployment.belonging import DoNotBelong, Kept, kept_by, settle
from deployment.doors import Doors
from deployment.master_key import draw_once
from deployment.newcomers import place
from deployment.passwords import Passwords, UnfitPassword
from deployment.published import Report
from deployment.rights import Unwired, every_right
from deployment.roles import SUPERUSER, owner_of
from deployment.showing import show_renewed
from services import CATALOGUE

T = TypeVar("T")

REACHABLE_WITHIN = 150.0
"""Seconds; longer than `up` waits for a server, so that a server that does not start is told of as such."""
ENDS_SOON = timedelta(days=120)
"""A certificate of ours that has less before it was renewed: a server that shows it still has to be told."""
AWAY = (OSError, TimeoutError, KafkaError, asyncpg.CannotConnectNowError, asyncpg.TooManyConnectionsError)

ONCE_EVERYBODYS = "sliceline"
"""The password that the superuser of compose had when nobody told another one; it is replaced where it is met."""


class Unreachable(Exception):
    """A server did not answer in time."""


class NotMigrated(Exception):
    """Tables or topics could not be brought up to date."""


class Repartitioned(Exception):
    """A topic has another number of partitions than its bus."""

    def __init__(self, topic: str, count: int, bus: Bus) -> None:
        super().__init__(
            f"topic {topic} has {count} partitions instead of {bus.partitions} (buses.toml, {bus.name}). A key's "
            "partition follows from their number: events of one key would lie in two, and be read out of order. Put "
            f"its events into a topic of {bus.partitions} (stop the shop, let all be read, delete the topic: it is "
            "made anew), or reset the shop."
        )


REFUSALS = (Unreachable, NotMigrated, Repartitioned, DoNotBelong, UnfitPassword, Unwired, granting.InTheWay)
"""Why `migrate` does not go on, in a sentence for whoever runs it."""


async def migrate(
    postgres_url: str, kafka: Brokers | Doors, passwords: Passwords, report: Report, old_events: str | None = None
) -> None:
    """Make what is missing. `report` gets a line about each step. `old_events`: see `belonging.py`, `newcomers.py`.

    Users of Kafka are made where its doors are ours. Waits `REACHABLE_WITHIN` for servers that are still starting; then
    raises Unreachable. Raises NotMigrated, Repartitioned, DoNotBelong, UnfitPassword, Unwired and InTheWay.
    """
    replication = _replication(os.environ.get("SLICELINE_KAFKA_REPLICATION") or "1")
    admin, doors = (kafka.admin, kafka) if isinstance(kafka, Doors) else (kafka, None)
    kept, _ = await asyncio.gather(
        make_topics(admin, replication, report, doors),
        databases(postgres_url, passwords, report),
    )
    urls = {service: _as_owner(postgres_url, service, passwords) for service in CATALOGUE}
    if kept:
        await settle(kept, admin, urls, old_events, report)
    await place(kept, urls, old_events, report)


def _replication(text: str) -> int:
    if re.fullmatch("[0-9]{1,5}", text) and 0 < int(text) < 2**15:  # Kafka counts in 16 bits
        return int(text)
    raise NotMigrated(f"SLICELINE_KAFKA_REPLICATION is {text}; it takes on how many brokers an event is kept: 1, 3, …")


async def databases(postgres_url: str, passwords: Passwords, report: Report) -> None:
    """Make roles and databases, bring tables up to date, and grant what is declared. Raises as `migrate` does."""
    _check_authorities(postgres_url)
    try:
        url, connection = await _reach("Postgres", postgres_url, lambda: _superuser(postgres_url, passwords), report)
    except ssl.SSLCertVerificationError as error:
        raise NotMigrated(
            f"Postgres at {without_password(postgres_url)} is not shown to be the server that is meant: "
            f"{error.verify_message}. An authority in {ca_file_of(postgres_url)} has to vouch for it by that name."
        ) from None
    try:
        # Held until the end of the session: a second migration waits here and then finds everything made.
        await connection.execute("SELECT pg_advisory_lock(hashtext('sliceline migrate'))")
        await _say_when_it_ends(connection, report)
        await granting.make(connection, url, CATALOGUE, passwords)
        for service in CATALOGUE:
            report(f"tables of {service}")
            for said in await asyncio.to_thread(_upgrade, service, _as_owner(postgres_url, service, passwords)):
                report(f"{NOTE}{said}")
    finally:
        await connection.close()


async def _say_when_it_ends(connection: Any, report: Report) -> None:
    """Report that the server goes on with a certificate that ends: it takes another one when it is told to."""
    shown = connection._transport.get_extra_info("peercert")  # of a server that was verified
    if shown:
        left = await connection.fetchval("SELECT to_timestamp($1) - now()", ssl.cert_time_to_seconds(shown["notAfter"]))
        if left < ENDS_SOON:
            report(f"{NOTE}Postgres shows a certificate that ends in {left.days} days. Restart Postgres before that.")


def _check_authorities(postgres_url: str) -> None:
    if file := ca_file_of(postgres_url):
        try:
            authorities_in(file.read_text())
        except (OSError, ValueError) as error:
            raise NotMigrated(f"What Postgres is known by cannot be read: {file}: {error}") from None


def _as_owner(postgres_url: str, service: str, passwords: Passwords) -> str:
    return database_url(postgres_url, service, owner_of(service), passwords.of(owner_of(service)))


async def _superuser(postgres_url: str, passwords: Passwords) -> tuple[str, Any]:
    """Connect as the superuser; return the address with its password, which may have been drawn, and the connection."""
    if urlsplit(postgres_url).password is not None or not passwords.file(SUPERUSER).exists():
        return postgres_url, await asyncpg.connect(postgres_url, timeout=5)
    drawn = passwords.of(SUPERUSER)
    url = with_password(postgres_url, drawn)
    try:
        return url, await asyncpg.connect(url, timeout=5)
    except asyncpg.InvalidPasswordError:
        with suppress(asyncpg.InvalidPasswordError):
            connection: Any = await asyncpg.connect(with_password(postgres_url, ONCE_EVERYBODYS), timeout=5)
            await connection.execute(f"ALTER ROLE CURRENT_USER PASSWORD '{scram.verifier(drawn)}'")
            return url, connection
        raise NotMigrated(
            f"Postgres does not take the password in {passwords.file(SUPERUSER)}: it was made with another one, which "
            "is to be written there."
        ) from None


def _upgrade(service: str, url: str) -> list[str]:
    from backbone.storage.migrations import MigrationFailed, upgrade
    from deployment import grants

    try:
        return upgrade(service, url, afterwards=partial(grants.bring_up_to_date, service))
    except MigrationFailed as error:
        raise NotMigrated(str(error)) from error


async def make_topics(kafka: Brokers, replication: int, report: Report, doors: Doors | None = None) -> Kept | None:
    """Make the topics that are missing, and users and rules where the doors are ours; return what is kept there."""
    try:
        kafka.client()
    except (OSError, ValueError) as error:
        raise NotMigrated(f"What Kafka is told to know us by cannot be read: {error}") from None
    admin, existing = await _reach("Kafka", kafka.bootstrap, lambda: _admin(kafka), report)
    try:
        if doors:
            report("users of Kafka")
            await _open(doors, report)
        report("topics")
        wanted = topics.every_topic(CATALOGUE) | topics.made_since(existing)
        for said in topics.unwritten(CATALOGUE):
            report(f"{NOTE}{said}")
        missing = [
            NewTopic(topic, bus.partitions, replication, topic_configs=settings(bus, replication))
            for topic, bus in wanted.items()
            if topic not in existing
        ]
        if missing:
            answer: Any = await admin.create_topics(missing)
            _check(answer.topic_errors)
        there = {topic: bus for topic, bus in wanted.items() if topic in existing}
        _check_partitions(there, existing)
        if not there:
            return None
        # Also of a service whose own topic is only made now: it may have read the others.
        asking = _reach("Kafka", kafka.bootstrap, lambda: kept_by(kafka, admin, CATALOGUE, report), report)
        kept: Kept | None
        kept, _ = await gather_or_cancel(asking, topics.bring_up_to_date(admin, there, replication))
        return kept
    finally:
        await admin.close()


async def _open(doors: Doors, report: Report) -> None:
    """Let in those who belong in, and have the broker show the certificate that there is now."""
    try:
        await admit(doors, every_right(CATALOGUE))
        if await show_renewed(doors):
            report(
                f"{NOTE}Kafka's certificate was renewed. Restart Kafka within a few months: "
                "its controller shows the old one until then."
            )
    except (OSError, ValueError) as error:
        raise NotMigrated(f"users of Kafka: {error}") from None


def _check_partitions(there: Mapping[str, Bus], counts: Mapping[str, int]) -> None:
    for topic, bus in there.items():
        if counts[topic] != bus.partitions:
            raise Repartitioned(topic, counts[topic], bus)


def _check(errors: list[tuple[str, int, str | None]]) -> None:
    for topic, code, message in errors:
        error = for_code(code)
        # Somebody who migrates at the same time was faster.
        if code and error is not TopicAlreadyExistsError:
            raise error(f"topic {topic}: {message}")


async def _admin(kafka: Brokers) -> tuple[AIOKafkaAdminClient, dict[str, int]]:
    """Connect to Kafka; return the client with the topics there are and how many partitions each has.

    The topics are part of reaching it: a broker that has just opened its port may not know of any broker yet.
    """
    admin = AIOKafkaAdminClient(**kafka.client(), client_id="sliceline-migrate", request_timeout_ms=10_000)
    try:
        await admin.start()
        return admin, {topic["topic"]: len(topic["partitions"]) for topic in await admin.describe_topics()}
    except BaseException:
        await admin.close()
        raise


async def _reach(name: str, address: str, connect: Callable[[], Awaitable[T]], report: Report) -> T:
    """Connect, again and again while the server is not there yet. Raises Unreachable."""
    deadline = time.monotonic() + REACHABLE_WITHIN
    where, told = without_password(address), False
    while True:
        try:
            return await connect()
        except ssl.SSLCertVerificationError:
            raise
        except AWAY as error:
            if time.monotonic() > deadline:
                raise Unreachable(
                    f"{name} at {where} cannot be reached: {str(error) or type(error).__name__}"
                ) from error
            if not told:
                report(f"waiting for {name} at {where}")
            told = True
            await asyncio.sleep(0.1)


def main() -> None:
    url, folder = superuser_told_by(os.environ), os.environ.get(PASSWORDS)
    kafka = Doors.told_by(os.environ) or told_by(os.environ)
    if not (url and kafka and folder):
        told = {"SLICELINE_POSTGRES_URL": url, "SLICELINE_KAFKA": kafka, PASSWORDS: folder}
        missing = " and ".join(name for name, value in told.items() if not value)
        sys.exit(f"Set {missing}: they name the servers to prepare, and the folder of the passwords.")
    try:
        shapes.postgres_url(url)
    except ValueError as error:
        sys.exit(f"SLICELINE_POSTGRES_URL {error}")
    passwords = Passwords(Path(folder))
    if key_file := os.environ.get("SLICELINE_MASTER_KEY_FILE"):
        draw_once(Path(key_file))
    old_events = os.environ.get(OLD_EVENTS) or None
    if old_events not in (None, *OLD_EVENTS_CHOICES):
        sys.exit(f"{OLD_EVENTS} is {old_events}; it takes {' or '.join(OLD_EVENTS_CHOICES)}.")
    try:
        asyncio.run(migrate(url, kafka, passwords, lambda line: print(line, flush=True), old_events))  # noqa: T201
    except (*REFUSALS, asyncpg.PostgresError, KafkaError) as error:
        sys.exit(f"migrate: {error}")


if __name__ == "__main__":
    main()

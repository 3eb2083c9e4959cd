"""The Postgres of docker-compose.yml, as it is declared there: reached over TLS alone, known by our own authority.

In a container where an engine answers, else as a server of this machine that has OpenSSL: the one of `up` has none.
"""

import asyncio
import shutil
import ssl
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import asyncpg
import msgspec
import pytest
from testcontainers.core.container import DockerContainer

from backbone.storage.database import Database
from backbone.storage.migrations import upgrade
from backbone.values.verified import verified
from deployment import NOTE, certificates, migrate
from deployment.certificates import POSTGRES_CA, POSTGRES_CERTIFICATE
from deployment.passwords import Passwords
from deployment.roles import SUPERUSER
from local import ROOT, accounts, probes
from local.ports import HOST, free_port
from local.program import Program, run
from tests import servers
from tests.waiting import eventually, wait_until

DECLARED: dict[str, Any] = msgspec.yaml.decode((ROOT / "docker-compose.yml").read_bytes())["services"]["postgres"]
PROGRAMS = [*map(str, sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True))]
PROGRAM = shutil.which("postgres", path=":".join(PROGRAMS))
pytestmark = pytest.mark.skipif(
    servers.chosen() == "local" and PROGRAM is None,
    reason="there is no container engine here, and no Postgres with OpenSSL; Debian's package has one",
)
SHOWN = "SELECT ssl, version FROM pg_stat_ssl WHERE pid = pg_backend_pid()"


@dataclass(frozen=True)
class Secured:
    """A running server, with the folders of its keys and passwords."""

    keys: Path
    passwords: Passwords
    port: int
    show_renewed: Callable[[], None]
    """Puts the renewed certificate where the server reads it."""

    @property
    def ca_file(self) -> Path:
        return self.keys / POSTGRES_CA

    def url(self, host: str = HOST) -> str:
        password = self.passwords.of(SUPERUSER)
        return f"postgresql://{SUPERUSER}:{password}@{host}:{self.port}/postgres"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    folder = tmp_path_factory.mktemp("secured")
    keys, passwords = folder / "keys", Passwords(folder / "passwords")
    certificates.renew_in_containers(keys)
    passwords.of(SUPERUSER)
    kind = in_container if servers.chosen() == "docker" else on_this_machine
    with kind(keys, passwords, folder) as secured:
        yield secured


@contextmanager
def in_container(keys: Path, passwords: Passwords, _: Path) -> Iterator[Secured]:
    """The image with command, entrypoint and rights as they are declared, and folders for the volumes."""
    port = free_port()
    container = (
        DockerContainer(DECLARED["image"])
        .with_command(DECLARED["command"])
        .with_envs(**DECLARED["environment"])
        .with_kwargs(
            entrypoint=[each.replace("$$", "$") for each in DECLARED["entrypoint"]],
            **{each: DECLARED[each] for each in ("cap_drop", "cap_add", "security_opt")},
        )
        .with_volume_mapping(str(keys / POSTGRES_CERTIFICATE.parent), "/certificates", "ro")
        .with_volume_mapping(str(passwords.folder), "/passwords", "ro")
        .with_volume_mapping(str(ROOT / "deployment" / "pg_hba.conf"), "/etc/sliceline/pg_hba.conf", "ro")
        .with_tmpfs_mount(DECLARED["tmpfs"])
        .with_bind_ports(5432, port)
    )
    with container:
        wait_until(lambda: probes.postgres(port), what="Postgres answers", every=0.1)
        copied = next(line for line in DECLARED["entrypoint"][2].splitlines() if line.startswith("install"))
        yield Secured(keys, passwords, port, lambda: _succeeds(container.exec(["sh", "-c", copied]).exit_code))


@contextmanager
def on_this_machine(keys: Path, passwords: Passwords, folder: Path) -> Iterator[Secured]:
    """Debian's server with the settings that are declared, on data that let in whoever came, also without TLS."""
    assert PROGRAM
    account, data, tls, port = accounts.server_account(), folder / "data", folder / "tls", free_port()
    for each in (data, tls):
        each.mkdir(mode=0o700)
        accounts.give(each, account)

    def copy() -> None:
        for file in (keys / POSTGRES_CERTIFICATE, ROOT / "deployment" / "pg_hba.conf"):
            copied = Path(shutil.copy(file, tls))
            copied.chmod(0o600)
            accounts.give(copied, account)

    copy()
    drawn = Path(shutil.copy(passwords.file(SUPERUSER), tls))
    accounts.give(drawn, account)
    made: list[Path | str] = [
        Path(PROGRAM).with_name("initdb"),
        f"--pgdata={data}",
        f"--username={SUPERUSER}",
        f"--pwfile={drawn}",
    ]
    as_server: dict[str, Any] = {"user": account.uid, "group": account.gid} if account else {}
    subprocess.run([*made, "--auth=scram-sha-256", "--no-sync"], check=True, capture_output=True, **as_server)
    with (data / "pg_hba.conf").open("a") as let_in:
        let_in.write("host all all all scram-sha-256\n")
    declared = [each.replace("=/tls", f"={tls}") for each in DECLARED["command"][1:]]
    more = [f"--port={port}", f"--unix_socket_directories={data}", "-cfsync=off"]
    command = (PROGRAM, f"-D{data}", *declared, *more)
    program = Program("postgres", command, account=account, ready=lambda: probes.postgres(port), port=port)
    started = run(program, folder / "postgres.log")
    try:
        yield Secured(keys, passwords, port, copy)
    finally:
        started.kill()


def _succeeds(status: int | None) -> None:
    assert status == 0


@pytest.fixture
def foreign(tmp_path: Path) -> Path:
    """The authority of another installation."""
    certificates.renew_in_containers(tmp_path)
    return tmp_path / POSTGRES_CA


async def test_whoever_comes_without_tls_is_refused(server: Secured) -> None:
    with pytest.raises(asyncpg.InvalidAuthorizationSpecificationError, match="no encryption"):
        await asyncpg.connect(server.url(), ssl="disable")


async def test_older_tls_is_refused(server: Secured) -> None:
    context = ssl.create_default_context(cafile=server.ca_file)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises((ssl.SSLError, ConnectionError)):
        await asyncpg.connect(server.url(), ssl=context)


@pytest.mark.parametrize("host", [HOST, "localhost"])
async def test_every_connection_of_a_service_is_over_tls_1_3(server: Secured, host: str) -> None:
    database = Database(verified(server.url(host), server.ca_file), "orders")
    aside = await database.connect_aside(10)
    assert [*map(tuple, await database.fetch(SHOWN)), *map(tuple, await aside.fetch(SHOWN))] == [(True, "TLSv1.3")] * 2
    await aside.close()
    await database.close()


async def test_tables_are_made_over_tls(server: Secured) -> None:
    url = verified(server.url(), server.ca_file)
    connection = await asyncpg.connect(url)
    await connection.execute("CREATE DATABASE reminders")
    await asyncio.to_thread(upgrade, "reminders", url.replace("/postgres?", "/reminders?"))
    await connection.execute("DROP DATABASE reminders")
    await connection.close()


async def test_a_server_that_another_authority_vouches_for_is_told_nothing(server: Secured, foreign: Path) -> None:
    database = Database(verified(server.url(), foreign), "orders")
    with pytest.raises(ssl.SSLCertVerificationError):
        await database.fetch(SHOWN)
    await database.close()


async def test_a_server_that_is_called_by_another_name_is_told_nothing(server: Secured) -> None:
    database = Database(verified(server.url("127.1"), server.ca_file), "orders")  # the same address
    with pytest.raises(ssl.SSLCertVerificationError, match=r"127\.1"):
        await database.fetch(SHOWN)
    await database.close()


async def test_a_server_without_tls_is_told_nothing(postgres: str, server: Secured) -> None:
    with pytest.raises(ConnectionError, match="rejected SSL"):
        await Database(verified(postgres, server.ca_file), "orders").fetch(SHOWN)


async def test_migrate_says_at_once_that_it_is_not_the_server_that_is_meant(server: Secured, foreign: Path) -> None:
    with pytest.raises(migrate.NotMigrated, match=f"{HOST}:{server.port} is not shown .* {foreign}"):
        await migrate.databases(verified(server.url(), foreign), server.passwords, print)


@pytest.mark.parametrize(("told", "said"), [("/dev/null", "certificates in PEM"), ("/nowhere", "No such file")])
async def test_migrate_says_at_once_that_it_cannot_know_the_server(server: Secured, told: str, said: str) -> None:
    with pytest.raises(migrate.NotMigrated, match=f"{told}: .*{said}"):
        await migrate.databases(verified(server.url(), Path(told)), server.passwords, print)


async def test_a_renewed_certificate_is_shown_without_a_connection_being_cut(
    server: Secured, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = verified(server.url(), server.ca_file)
    connection = await asyncpg.connect(url)
    monkeypatch.setattr(certificates, "LIVES", timedelta(days=100))
    for said in (["Postgres shows a certificate that ends in 99 days"], []):
        (server.keys / POSTGRES_CERTIFICATE).unlink()
        certificates.renew_in_containers(server.keys)
        server.show_renewed()
        await connection.execute("SELECT pg_reload_conf()")
        await eventually(partial(_is_said_of_its_end, url, said))
        monkeypatch.undo()
    assert await connection.fetchval("SELECT 1") == 1
    await connection.close()


async def _is_said_of_its_end(url: str, expected: list[str]) -> bool:
    reports: list[str] = []
    connection = await asyncpg.connect(url)
    await migrate._say_when_it_ends(connection, reports.append)
    await connection.close()
    return [each.removeprefix(NOTE).partition(".")[0] for each in reports] == expected

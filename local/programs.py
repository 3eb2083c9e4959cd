"""Describes the processes of `up`, each as the Program that it is started as."""

import functools
import os
from collections.abc import Mapping
from pathlib import Path

from deployment import AUTH, CA_FILE, CONSOLE_URL, PASSWORDS, master_key, people
from deployment.addresses import database_url
from deployment.passwords import Passwords
from local import kafka, postgres, probes
from local.layout import Layout
from local.ports import HOST
from local.program import Program, python
from services import CATALOGUE

SERVERS, SANDBOX, SERVICES = 0, 1, 2
LEDGER = "ledger"
FIRST = "orders"
"""Whom customers wait for. What the others do with an order can wait a moment longer, also the robot."""
STANDS_BACK = 10
"""Niceness of the others: where processors are short, they get a tenth of what an equal gets."""


def servers(layout: Layout) -> list[Program]:
    """Return Postgres and Kafka, unless others are used."""
    ours = []
    if not layout.postgres_url:
        ours.append(postgres.program(layout.folder("postgres"), layout.port("postgres")))
    if not layout.kafka:
        ours.append(kafka.program(layout.folder("kafka"), _kafka_ports(layout)))
    return ours


def _kafka_ports(layout: Layout) -> kafka.Ports:
    return kafka.Ports(layout.port("kafka"), layout.port("kafka admins"), layout.port("kafka controller"))


def preparation(layout: Layout, server: str) -> Program:
    """Return what prepares the folder of one of our servers, and prints how far it is."""
    return Program(server, python("-m", f"local.{server}", str(layout.folder(server))))


def migration(layout: Layout) -> Program:
    """Return what makes databases, roles, topics and tables, once the servers are there."""
    return Program(
        name="tables",
        command=python("-m", "deployment.migrate"),
        forked=True,
        env={
            "SLICELINE_POSTGRES_URL": admin_url(layout),
            **(layout.kafka or layout.doors()).environment(),
            PASSWORDS: str(passwords(layout).folder),
        },
    )


def sandbox(layout: Layout) -> list[Program]:
    """Return what is outside the shop: who knows people, payment provider and mail server."""
    ours = [_own_issuer(layout)] if layout.has_own_issuer else []
    return [*ours, _provider(layout), _mail(layout)]


def _own_issuer(layout: Layout) -> Program:
    return identity(layout.port("identity"), layout.folder("identity"), people.guests())


def robot(layout: Layout, delay: float | None) -> list[Program]:
    """Return the robot that works as the staff, a step every `delay` seconds; none without a delay."""
    return [] if delay is None else [_robot(layout, delay)]


def services(layout: Layout) -> list[Program]:
    """Return the services, and the console, which asks them."""
    return [*(_service(name, layout) for name in CATALOGUE), console(layout)]


def console(layout: Layout) -> Program:
    """Return what shows the shop in a browser."""
    port = layout.port(people.CONSOLE)
    return Program(
        name=people.CONSOLE,
        command=python("-m", "services.console"),
        forked=True,
        ready=functools.partial(probes.http_ready, port),
        env={
            "SLICELINE_HOST": HOST,
            "SLICELINE_PORT": str(port),
            CONSOLE_URL: os.environ.get(CONSOLE_URL) or layout.url(people.CONSOLE),
            "SLICELINE_SERVICES": _addresses(layout),
            **_doors(layout, people.CONSOLE),
        },
        stage=SERVICES,
        stands_back=STANDS_BACK,
        address=layout.url(people.CONSOLE),
        port=port,
    )


def modules(layout: Layout) -> list[str]:
    """Return what our own programs run, and what they import when they run: the parent of all imports it."""
    return [
        "uvloop",
        "local.beforehand",
        *(f"services.{name}.service" for name in CATALOGUE),
        "services.console.application",
        "sandbox.provider",
        "sandbox.mail",
        "sandbox.robot",
        *(["sandbox.identity.server"] if layout.has_own_issuer else []),
        "backbone.storage.migrations",
        "deployment.migrate",
    ]


def admin_url(layout: Layout) -> str:
    """Return the superuser's address of the Postgres server in use."""
    return layout.postgres_url or postgres.url(layout.folder("postgres"), layout.port("postgres"))


def passwords(layout: Layout) -> Passwords:
    """Return the folder with the passwords of all roles: SLICELINE_PASSWORDS, else one of ours."""
    given = os.environ.get(PASSWORDS)
    return Passwords(Path(given).absolute() if given else layout.folder("passwords"))


def master_key_file(layout: Layout) -> Path:
    """Return the file with the master key: SLICELINE_MASTER_KEY_FILE, else one drawn once for this machine."""
    if given := os.environ.get("SLICELINE_MASTER_KEY_FILE"):
        return Path(given).absolute()
    path = layout.home / "master-key"
    master_key.draw_once(path)
    return path


def identity(port: int, folder: Path, more: Mapping[str, tuple[str, ...]] = people.NOBODY_ELSE) -> Program:
    """Return who knows people and programs, beside the shop's also `more` programs with the roles of each."""
    address = f"http://{HOST}:{port}"
    return Program(
        name="identity",
        command=python("-m", "sandbox.identity"),
        forked=True,
        ready=functools.partial(probes.http_ready, port),
        env={
            "SLICELINE_HOST": HOST,
            "SLICELINE_IDENTITY_PORT": str(port),
            "SLICELINE_ISSUER": address,
            "SLICELINE_IDENTITY_FOLDER": str(folder),
            "SLICELINE_IDENTITY_REGISTER": str(people.prepare(folder, more)),
        },
        stage=SANDBOX,
        address=address,
        port=port,
    )


def _doors(layout: Layout, name: str) -> dict[str, str]:
    """Tell a program who signs tokens, and by which key it gets its own; or that everybody may do everything."""
    issuer = layout.issuer()
    if issuer is None:
        return {AUTH: "off"}
    return {
        "SLICELINE_ISSUER": issuer,
        "SLICELINE_IDENTITY_KEY_FILE": str(people.key_of(layout.folder("identity"), name)),
    }


def _provider(layout: Layout) -> Program:
    port = layout.port("provider")
    return Program(
        name="provider",
        command=python("-m", "sandbox.provider"),
        forked=True,
        ready=functools.partial(probes.http_ready, port),
        env={
            "SLICELINE_HOST": HOST,
            "SLICELINE_PROVIDER_PORT": str(port),
            "SLICELINE_PROVIDER_LEDGER": str(layout.home / "provider-ledger.sqlite3"),
        },
        stage=SANDBOX,
        address=layout.url("provider"),
        port=port,
    )


def _mail(layout: Layout) -> Program:
    port, smtp = layout.port("mail"), layout.port("smtp")
    return Program(
        name="mail",
        command=python("-m", "sandbox.mail"),
        forked=True,
        ready=functools.partial(probes.http_ready, port, "/readyz"),
        env={"SLICELINE_HOST": HOST, "SLICELINE_MAIL_PORT": str(port), "SLICELINE_SMTP_PORT": str(smtp)},
        stage=SANDBOX,
        address=layout.url("mail"),
        port=port,
    )


def _robot(layout: Layout, delay: float) -> Program:
    return Program(
        name="robot",
        command=python("-m", "sandbox.robot"),
        forked=True,
        env={
            "SLICELINE_KITCHEN_URL": layout.url("kitchen"),
            "SLICELINE_DELIVERY_URL": layout.url("delivery"),
            "SLICELINE_ROBOT_DELAY": str(delay),
            **_doors(layout, "robot"),
        },
        stage=SERVICES,
        stands_back=STANDS_BACK,
        address=f"a step every {delay:g} s",
    )


def _service(name: str, layout: Layout) -> Program:
    port = layout.port(name)
    return Program(
        name=name,
        command=python("-m", f"services.{name}.service"),
        forked=True,
        ready=functools.partial(probes.http_ready, port),
        env={
            "SLICELINE_DATABASE_URL": database_url(admin_url(layout), name, name),
            "SLICELINE_DATABASE_PASSWORD_FILE": str(passwords(layout).file(name)),
            CA_FILE: "",  # the address has it
            **layout.brokers(name).environment(),
            "SLICELINE_HOST": HOST,
            "SLICELINE_PORT": str(port),
            **_doors(layout, name),
            **_schemas(layout),
            "SLICELINE_OBJECTS": _objects(layout),
            "SLICELINE_ORDERS_URL": layout.url("orders"),
            "SLICELINE_PROVIDER_URL": layout.url("provider"),
            "SLICELINE_SMTP_HOST": HOST,
            "SLICELINE_SMTP_PORT": str(layout.port("smtp")),
            "SLICELINE_MASTER_KEY_FILE": str(master_key_file(layout)),
            "SLICELINE_SERVICES": _addresses(layout),
            # Only what `./sliceline webhooks listen` needs, of what lies inside.
            "SLICELINE_WEBHOOK_NETWORKS": os.environ.get("SLICELINE_WEBHOOK_NETWORKS", HOST),
            "SLICELINE_WEBHOOK_PORTS": os.environ.get("SLICELINE_WEBHOOK_PORTS", f"80,443,{layout.listener}"),
        },
        stage=SERVICES,
        stands_back=0 if name == FIRST else STANDS_BACK,
        address=layout.url(name),
        port=port,
    )


def _addresses(layout: Layout) -> str:
    """Tell where each service is asked."""
    return ",".join(f"{each}={layout.url(each)}" for each in CATALOGUE)


def _objects(layout: Layout) -> str:
    """Tell where objects are; a folder of ours is there before anybody looks for it."""
    if not layout.objects_url:
        layout.folder("objects").mkdir(parents=True, exist_ok=True)
    return layout.objects()


def _schemas(layout: Layout) -> dict[str, str]:
    """Tell where schemas are served: with the ledger's catalogue, unless there is no ledger or somebody says else."""
    ours = f"{layout.url(LEDGER)}/catalogue" if LEDGER in CATALOGUE else None
    url = os.environ.get("SLICELINE_SCHEMAS_URL") or ours
    return {"SLICELINE_SCHEMAS_URL": url} if url else {}

"""Has a running broker show the certificate that was renewed meanwhile: no connection is cut for it."""

import asyncio
import ssl
from contextlib import suppress
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import for_code

from deployment.doors import BROKER, CERTIFICATE, Doors

_LISTENERS = ("users", "host", "admins")
"""All that there may be: programs beside containers have one of their own."""


async def show_renewed(doors: Doors) -> bool:
    """Have the broker read its certificate anew, unless it shows that already; tell whether it had to.

    Raises KafkaError. It sees the file where we do.
    """
    if await is_shown(doors):
        return False
    admin = AIOKafkaAdminClient(**doors.admin.client(), client_id="sliceline-showing", request_timeout_ms=10_000)
    await admin.start()
    try:
        at = str(doors.keys / BROKER / CERTIFICATE)
        # It reads the file when it is told of it. What it was told is taken back: the file may lie elsewhere next time.
        for told in ({f"listener.name.{each}.ssl.keystore.location": at for each in _LISTENERS}, {}):
            await _set(admin, told)
    finally:
        await admin.close()
    return True


async def _set(admin: AIOKafkaAdminClient, told: dict[str, str]) -> None:
    brokers = [ConfigResource(ConfigResourceType.BROKER, each.nodeId, told) for each in admin._client.cluster.brokers()]
    answers: list[Any] = await admin.alter_configs(brokers)
    for answer in answers:
        for code, message, *_ in answer.resources:
            if code:
                raise for_code(code)(message)


async def is_shown(doors: Doors) -> bool:
    """Tell whether the broker shows the certificate that its file holds to who comes now."""
    host, _, port = doors.admins.rpartition(":")
    _, writer = await asyncio.open_connection(host, int(port), ssl=doors.admin.tls())
    shown = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()
    return bool(shown == _in_the_file(doors))


def _in_the_file(doors: Doors) -> bytes:
    text = (doors.keys / BROKER / CERTIFICATE).read_text()
    return ssl.PEM_cert_to_DER_cert(text[text.index(ssl.PEM_HEADER) :])

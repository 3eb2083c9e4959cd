"""A shop at work shows no password: neither in what lists its processes, nor in what these answer and write down."""

import psutil
import pytest

from deployment.roles import every_role
from services import CATALOGUE
from tests.processes import BESIDE
from tests.system import Shop


@pytest.mark.beside(*BESIDE)
async def test_no_argument_list_log_or_answer_has_a_password_and_nobody_lacks_a_privilege(shop: Shop) -> None:
    await shop.complete(await shop.place({"margherita": 1}))
    answers = [(await shop.http.get(shop.url(name, path))).text for name in CATALOGUE for path in ("/", "/metrics")]
    lists = [" ".join(each.info["cmdline"] or ()) for each in psutil.process_iter(["cmdline"])]
    logs = {name: process.log.read_text(errors="replace") for name, process in shop.system.processes.items()}
    assert logs.keys() >= CATALOGUE.keys()
    passwords = {role: shop.system.passwords.of(role) for role in every_role(CATALOGUE)}
    said = "\n".join((*answers, *lists, *logs.values()))
    assert [role for role, password in passwords.items() if password in said] == []
    assert [name for name, text in logs.items() if "permission denied" in text] == []

"""Each kind of text has one definition: Pydantic, Python, contracts, keys of events and mail agree about it."""

from datetime import UTC, datetime
from email import message_from_string, policy
from typing import Any

import jsonschema_rs
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from backbone.events import contracts
from backbone.events.envelope import unfit
from backbone.values.fields import Email, Key, Name, Prose
from backbone.values.texts import EMAIL, LINE, PROSE, is_email, is_line, one_line
from services.notifications.jobs import letter
from services.notifications.store import Queued

FAMILY = "👩\u200d👩\u200d👧\u200d👦"
ENGLAND = "🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f"
NEWER_THAN_PYTHON = "\U000323af"
"""A code point of a plane that Unicode fills year by year: unknown to any Python that runs this."""
LINES = [
    "Ada",
    "O'Neill & Sons",
    "Zoë",
    "می\u200cخواهم",
    "שלום\u200f",
    FAMILY,
    ENGLAND,
    NEWER_THAN_PYTHON,
    "北京市",
    "a\u00adb",
    "\u200fשלום",
    "☂",
    "1 Mill Lane, 2\u00a0nd floor",
]
NO_LINES = [
    "",
    " ",
    "\u200b",
    "\u3164",
    "\u00a0",
    "\ufeff",
    " Ada",
    "Ada ",
    "\u3000Ada",
    "\ufeffAda",
    "A\ufeffda",
    "A\nda",
    "A\x85da",
    "A\x9bda",
    "A\u2028da",
    "A\u2029da",
    "c1\ufffe",
    "c1\uffff",
    "c1\ufdd0",
    "c1\U0001fffe",
    "c1\U0010ffff",
    "\u202eadA",
    "A\u2066da",
    "A\x7fda",
    "A\x00da",
    "\u200d\u200c",
    "A\ufff9da",
]
EMAILS = [
    "ada@example.com",
    "a.b+c@mail.example.co.uk",
    "!#$%&'*+-/?=^_`{|}~@example.com",
    "zoë@exämple.com",
    "ada@EXÄMPLE.com",
    "用户@例え.テスト",
    "a=b?c@example.com",
    "ada@localhost",
    "ada@xn--exmple-cua.com",
    "a" * 64 + "@example.com",
    "1@2.com",
]
NO_EMAILS = [
    "",
    "ada",
    "@example.com",
    "ada@",
    "a@b@c.com",
    "\ufeffx@example.com",
    "x@example.com\u200b",
    '"test"@iana.org',
    "<me@example.com",
    "me@example.com>",
    "test@[IPv6:::]",
    "test@[127.0.0.1]",
    "ada@example.com.",
    ".ada@example.com",
    "a..b@example.com",
    "ada@example..com",
    "ada@-example.com",
    "ada@example-.com",
    "ada@exam_ple.com",
    "a da@example.com",
    "x@=?utf-8?q?example.com=0D=0ABcc=3A_evil=40x.example?=",
    "=?utf-8?q?a=0D=0ABcc=3A_evil?=@x.example",
    "=?utf-8?b?YQ==?=@example.com",
    "ada@☃.net",
    "a" * 65 + "@example.com",
    "ada@" + "b" * 64 + ".com",
    "ä" * 33 + "@example.com",
    "a" * 60 + "@" + ".".join(["b" * 60] * 4) + ".com",
    "ada@example\u3002com",
    "ada@example.com\n",
    "(comment)ada@example.com",
    "a,b@example.com",
    "a\u202eb@example.com",
]
anything = st.text(max_size=70) | st.lists(st.sampled_from(LINES + NO_LINES)).map("".join)


def takes(kind: Any, text: str) -> bool:
    try:
        TypeAdapter(kind).validate_python(text)
    except ValidationError:
        return False
    return True


@pytest.mark.parametrize("text", LINES, ids=ascii)
def test_a_line_that_people_write_is_a_line(text: str) -> None:
    assert is_line(text)
    assert takes(Key, text)
    assert one_line(text) == text


@pytest.mark.parametrize("text", NO_LINES, ids=ascii)
def test_a_line_that_nobody_can_see_or_that_forges_another_is_none(text: str) -> None:
    assert not is_line(text)
    assert not takes(Key, text)


@given(anything)
def test_what_is_a_line_is_one_to_every_reader_and_can_be_a_key(text: str) -> None:
    schema = jsonschema_rs.Draft202012Validator({"pattern": LINE})
    assert is_line(text) == schema.is_valid(text) == (takes(Key, text) or (is_line(text) and len(text) > 64))
    if takes(Key, text):
        assert unfit(text) is None
        assert one_line(text) == text


@pytest.mark.parametrize("text", [*LINES, "Cold.\nLate.", "Cold.\r\n\r\n\tLate.", "a\n\nb"], ids=ascii)
def test_prose_is_a_line_or_several(text: str) -> None:
    assert takes(Prose, text)


@pytest.mark.parametrize(
    "text", [*(each for each in NO_LINES if each != "A\nda"), "\nAda", "Ada\n", "A\rda", "\t", "\n"], ids=ascii
)
def test_prose_holds_nothing_else_that_a_line_does_not(text: str) -> None:
    assert not takes(Prose, text)


@given(anything)
def test_prose_is_the_same_to_every_reader(text: str) -> None:
    assert jsonschema_rs.Draft202012Validator({"pattern": PROSE}).is_valid(text) == takes(Prose, text)
    assert takes(Prose, text) or not is_line(text)


@given(anything)
def test_one_line_is_one_line_whatever_was_written(text: str) -> None:
    assert len(one_line(text).splitlines()) <= 1
    assert one_line(one_line(text)) == one_line(text)


@pytest.mark.parametrize(
    ("written", "line"),
    [
        ("Ada\r\nBcc: eve@example.com", "Ada Bcc: eve@example.com"),
        ("so\u2028this\u2029too\x85and\x0bthat", "so this too and that"),
        ("\u202eadA\u202c is here", "adA is here"),
        ("two  blanks stay", "two  blanks stay"),
        ("a\ufffeb", "a\ufffeb"),
    ],
)
def test_only_what_can_forge_a_line_is_replaced(written: str, line: str) -> None:
    assert one_line(written) == line


@pytest.mark.parametrize("address", EMAILS)
def test_an_address_that_can_be_mailed_is_taken(address: str) -> None:
    assert is_email(address)
    assert takes(Email, address)


@pytest.mark.parametrize("address", NO_EMAILS, ids=ascii)
def test_an_address_that_is_never_mailed_is_taken_nowhere(address: str) -> None:
    assert not is_email(address)
    assert not takes(Email, address)


parts = st.text(st.sampled_from('ab=?.-_`{|}~"<>[]()@,;:\\ \u200bzoëΩ例q0D'), min_size=1, max_size=12)
addresses = st.emails() | st.builds("{}@{}".format, parts, parts) | st.sampled_from(EMAILS)


@given(addresses)
@example("a" * 64 + "@" + ".".join(["b" * 60] * 3) + ".com")
def test_an_address_that_is_taken_fits_every_contract_and_comes_out_of_a_mail_as_it_was(address: str) -> None:
    assert is_email(address) == takes(Email, address)
    if is_email(address):
        contracts.check(
            "sliceline.notifications.notification-sent.v1",
            {"notification": "1", "kind": "order-confirmed", "recipient": address, "about": "1"},
        )
        assert jsonschema_rs.Draft202012Validator({"pattern": EMAIL}).is_valid(address)
        _comes_out_alone(address)


def _comes_out_alone(address: str) -> None:
    mail = letter(Queued(None, "Hello", "Hello.", "<1@x>", datetime.now(UTC)), address, "shop@sliceline.example")
    read = message_from_string(mail.as_bytes(policy=policy.SMTPUTF8).decode(), policy=policy.SMTPUTF8)
    [found] = read["To"].addresses
    assert f"{found.username}@{found.domain}" == address
    assert read.keys() == mail.keys()


@pytest.mark.parametrize("name", ["mcguffin", "tomato-sauce", "v1.2_b", "0"])
def test_a_name_for_programs_is_taken(name: str) -> None:
    assert takes(Name, name)


@pytest.mark.parametrize("name", ["", "-a", "a b", "a\n", "ä", "a\u200b", "a" * 65, "a/b"], ids=ascii)
def test_a_name_that_programs_would_stumble_over_is_not(name: str) -> None:
    assert not takes(Name, name)

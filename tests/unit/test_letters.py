"""What tells one cause of failures from another, what is replaced of a person's data, and how a payload is marked."""

import json
import time
from typing import Any

import pytest

from backbone.consuming import claims, parking
from backbone.consuming.batch import Incoming, Letter, NotFetched
from backbone.consuming.fingerprints import failing_paths, failure_of, without_ids
from backbone.consuming.letters import _sequence
from backbone.consuming.masking import Mask
from backbone.consuming.parking import text_of
from backbone.consuming.reproducing import _learn, _record
from backbone.context import Context
from backbone.errors import SlicelineError
from backbone.events.contracts import ContractBroken
from backbone.process import _parts
from backbone.storage.database import Database
from backbone.values.marking import marked
from cli.letters import show_dry_run, show_groups
from services.kitchen.service import SERVICE

TYPE = "sliceline.orders.order-placed.v1"


def raised(error: Exception) -> Exception:
    try:
        raise error
    except type(error) as caught:
        return caught


def elsewhere(error: Exception) -> Exception:
    return raised(error)


@pytest.mark.parametrize(
    ("message", "other"),
    [
        ("no ticket for 01a21e68-6be5-75b8-b077-adb4bf8fe747", "no ticket for 01a21e68-6c89-77bb-9de7-5bbc61b1b435"),
        ("only 3 of 'sku-1' are left", "only 12 of 'sku-99' are left"),
        ("ada@example.com is unknown", "bob@example.org is unknown"),
        ("took 1.5 s at 10:31:02", "took 20 s at 09:01:59"),
    ],
)
def test_messages_of_one_cause_are_one_without_what_is_one_event_s(message: str, other: str) -> None:
    assert without_ids(message) == without_ids(other)
    one, another = (failure_of(raised(LookupError(each)), TYPE) for each in (message, other))
    assert one.fingerprint == another.fingerprint
    assert one.error != another.error


def test_failures_of_other_errors_words_and_types_have_other_fingerprints() -> None:
    errors = (LookupError("no ticket"), KeyError("no ticket"), LookupError("no oven"))
    found = {failure_of(raised(error), TYPE).fingerprint for error in errors}
    assert len(found) == 3
    assert failure_of(raised(LookupError("no ticket")), TYPE.replace("v1", "v2")).fingerprint not in found


def test_the_frames_of_a_failure_are_our_own_the_innermost_last() -> None:
    failure = failure_of(elsewhere(LookupError("no ticket")), TYPE)
    assert [frame.where for frame in failure.frames] == ["tests/unit/test_letters.py raised"]
    assert failure.frames[0].code == "raise error"


def test_failing_paths_come_from_contracts_and_views() -> None:
    assert failing_paths(ContractBroken(TYPE, [("lines.0.quantity", "is no integer")])) == [
        ("lines.0.quantity", "is no integer")
    ]
    view = SlicelineError("it does not fit: Expected `int`, got `str` - at `$.lines[0].quantity`")
    assert failing_paths(view) == [("lines.0.quantity", "it does not fit: Expected `int`, got `str`")]
    assert failing_paths(LookupError("no ticket")) == []


def test_a_person_s_data_is_replaced_everywhere_by_text_of_its_shape_and_the_rest_stays() -> None:
    event = {"order": "o-17", "customer": {"id": "ada7", "name": "Ada Löve", "email": "ada@example.com"}, "total": 7}
    row = {"customer_id": "ada7", "item": "margherita", "body": "Dear Ada Löve!", "about": "for ada7 at o-17"}
    mask = Mask(b"salt")
    for document in (event, row):
        mask.learn(document)
    told, kept = mask.value(event), mask.value(row)
    customer = told["customer"]
    assert (told["order"], told["total"], kept["item"]) == ("o-17", 7, "margherita")
    assert not {"ada7", "Ada Löve", "ada@example.com"} & set(customer.values())
    assert kept["customer_id"] == customer["id"]
    assert kept["about"] == f"for {customer['id']} at o-17"
    assert (len(customer["name"]), customer["name"][0].isupper(), customer["name"][3]) == (8, True, " ")
    assert [len(part) for part in customer["email"].replace("@", ".").split(".")] == [3, 7, 3]
    assert Mask(b"other").value(event) == event


RECORD = {
    "topic": "orders.events",
    "record_key": "Zoë Müller".encode(),
    "headers": [("ce_subject", text_of("Zoë Müller".encode())), ("reply", "zoe@example.com")],
    "value": '{"customer": {"name": "Zoë Müller"}, "emails": ["ann@example.com"], "address": {"street": "Hill 5"},'
    ' "order": "o-17"}'.encode(),
}


def masked(**changes: Any) -> str:
    record, mask = {**RECORD, **changes}, Mask(b"salt")
    _learn(mask, record)
    return repr(_record(record, mask))


def test_a_record_names_nobody_whatever_its_bytes_are_escaped_as() -> None:
    told = masked()
    for personal in ("Zo", "ller", "zoe@", "ann@", "example", "Hill"):
        assert personal not in told
    assert "o-17" in told


@pytest.mark.parametrize("end", [b"", b'", "note', b"\xff", b'"' + b', "a": [' * 900])
def test_a_payload_that_is_no_document_names_nobody_either(end: bytes) -> None:
    broken = b'{"order": "o-17", "by": "ann@example.com", "customer": {"last_name": "Zo\xc3\xab Example' + end
    told = masked(record_key=None, headers=[], value=broken)
    for personal in ("Zo", "ann@", "xample"):
        assert personal not in told
    assert "o-17" in told


def test_a_text_that_is_one_long_word_is_looked_through_once() -> None:
    began = time.process_time()
    Mask().learn("x" * 1_000_000)
    assert time.process_time() - began < 1


@pytest.mark.parametrize(
    ("written", "number"), [("007", 7), ("9" * 20, int("9" * 20)), ("9" * 5000, None), ("", None), ("1e3", None)]
)
def test_a_sequence_that_no_event_could_have_is_none(written: str, number: int | None) -> None:
    assert _sequence(written) == number


def test_a_process_that_does_jobs_goes_on_with_redrives() -> None:
    settings = SERVICE.settings(database_url="postgresql://nobody@127.0.0.1/nothing", roles="jobs")
    context = Context(settings, Database(settings.database_url, SERVICE.name))
    assert "jobs redrive" in [part.pulse.name for part in _parts(SERVICE, context)]


def test_a_payload_is_shown_as_json_that_an_edit_takes_and_marked_where_it_fails() -> None:
    payload = {"order": "o-17", "lines": [{"quantity": "many", "": None}, {}, []], "note": "Ünd"}
    lines = marked(payload, ["lines.0.quantity", "at"])
    assert json.loads("\n".join(line for line, _ in lines)) == payload
    assert [line for line, fails in lines if fails] == ['      "quantity": "many",']


def test_a_dry_run_says_why_what_it_tried_would_fail_once_for_each_error(capsys: pytest.CaptureFixture[str]) -> None:
    report = {"total": 3, "outcomes": {"applied": 1, "failed": 2}, "changes": {}}
    show_dry_run(report, [{"letter": 7, "error": "KeyError: 'oven'"}, {"letter": 9, "error": "KeyError: 'oven'"}])
    said = capsys.readouterr().out
    assert "Letter 7 would fail: KeyError: 'oven'" in said
    assert "Letter 9" not in said


def test_a_table_of_groups_keeps_its_times_whole(capsys: pytest.CaptureFixture[str]) -> None:
    at = "2026-11-01T18:30:00"
    group = dict.fromkeys(("group", "count", "keys", "held", "type", "frame", "error"), "the oven is out of order " * 9)
    show_groups([{**group, "first_at": f"{at}.123Z", "last_at": f"{at}.123Z"}])
    assert capsys.readouterr().out.count(at) == 2


async def test_letters_whose_data_is_wanted_one_after_the_other_are_fetched_once_each(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    record, fetched = Letter("t", 0, 0, b"key", b"", [], 0), []

    async def redeemed(wanted: list[Incoming], _: object) -> list[Incoming]:
        fetched.extend(wanted)
        return [Incoming(record, "key") for _ in wanted]

    monkeypatch.setattr(claims, "redeem_all", redeemed)
    monkeypatch.setattr(
        parking,
        "incoming_of",
        lambda row, _: Incoming(record, str(row["id"]), broken=NotFetched("file:///away")),
    )
    letters = claims.Letters({})
    rows: list[Any] = [{"id": 1}, {"id": 2}]

    async def work() -> int:
        assert len(fetched) <= len(rows)
        return sum(len(letters.decode([row])) for row in rows)

    assert await letters.fetching(work) == len(rows)
    assert [each.key for each in fetched] == ["1", "2"]

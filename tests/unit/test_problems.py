import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from starlette.exceptions import HTTPException

from backbone.http.answers import Answer
from backbone.http.bodies import check_json
from backbone.http.pages import Page
from backbone.http.problems import Problem, problem_of, type_of
from backbone.http.wording import field_name, in_plain_words

SCOPE = {
    "type": "http",
    "path": "/orders/ä",
    "raw_path": b"/orders/%C3%A4",
    "headers": [],
    "state": {"correlationid": "c-1"},
}


class Line(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    item: str
    quantity: int = Field(ge=1, le=100)


def document(problem: Problem) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(bytes(problem.response(SCOPE).body))
    return found


def words(value: Any) -> dict[str, str]:
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(list[Line]).validate_python(value)
    return {field_name(("body", "lines", *each["loc"])): in_plain_words(dict(each)) for each in caught.value.errors()}


def test_a_problem_is_an_rfc_9457_document() -> None:
    problem = Problem(409, "Not enough stock", "Five are left.", field="change", left=5)
    assert document(problem) == {
        "type": "/problems/not-enough-stock",
        "title": "Not enough stock",
        "status": 409,
        "detail": "Five are left.",
        "instance": "/orders/%C3%A4",
        "correlationid": "c-1",
        "errors": [{"field": "change", "message": "Five are left."}],
        "left": 5,
    }
    response = problem.response(SCOPE)
    assert (response.status_code, response.media_type) == (409, "application/problem+json")


def test_an_unforeseen_error_tells_nothing_of_its_inside() -> None:
    told = document(problem_of(KeyError("secret"), SCOPE))
    assert told["status"] == 500
    assert "secret" not in json.dumps(told)
    assert told["correlationid"] == "c-1"


@pytest.mark.parametrize("fault", [ConnectionRefusedError(), TimeoutError(), OSError("the network is gone")])
def test_a_passing_fault_says_when_to_come_back(fault: Exception) -> None:
    problem = problem_of(fault, SCOPE)
    assert (problem.status, problem.headers) == (503, {"Retry-After": "1"})


def test_what_starlette_raises_keeps_its_status_and_headers() -> None:
    problem = problem_of(HTTPException(405, headers={"Allow": "GET"}), SCOPE)
    assert (problem.status, problem.title, problem.headers) == (405, "Method not allowed", {"Allow": "GET"})


def test_a_title_makes_a_stable_type() -> None:
    assert type_of("The key's already used!") == "/problems/the-key-s-already-used"


@pytest.mark.parametrize(
    ("line", "field", "message"),
    [
        ({"item": "cola", "quantity": 0}, "lines.0.quantity", "must be at least 1"),
        ({"item": "cola", "quantity": 101}, "lines.0.quantity", "must be at most 100"),
        ({"item": "cola", "quantity": 1.5}, "lines.0.quantity", "must be a whole number"),
        ({"item": "cola", "quantity": "1"}, "lines.0.quantity", "must be a whole number"),
        ({"item": 7, "quantity": 1}, "lines.0.item", "must be text"),
        ({"quantity": 1}, "lines.0.item", "is required"),
        ({"item": "cola", "quantity": 1, "x": 1}, "lines.0.x", "is not a known field"),
        ([], "lines.0", "must be an object"),
    ],
)
def test_a_wrong_field_is_named_in_plain_words(line: Any, field: str, message: str) -> None:
    assert words([line]) == {field: message}


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        (b"", 400, "body"),
        (b"{", 400, "body"),
        (b"{'a': 1}", 400, "body"),
        (b'{"a": 1,}', 400, "body"),
        (b'"\xff"', 400, "body"),
        (b'\xef\xbb\xbf{"a": 1}', 400, "body"),
        (b'{"a": 1, "a": 2}', 400, "body"),
        (b"[" * 33 + b"]" * 33, 400, "body"),
        (b"[" * 30_000, 400, "body"),
        (b"[" * 30_000 + b"]" * 30_000, 400, "body"),
        (b'{"a":' * 10_000 + b"1" + b"}" * 10_000, 400, "body"),
        (b'{"n": ' + b"9" * 5000 + b"}", 400, "body"),
        (b'{"lines": [{"quantity": 99999999999999999999}]}', 422, "lines.0.quantity"),
        (b'{"lines": [{"quantity": 9223372036854775808}]}', 422, "lines.0.quantity"),
        (b'{"n": ' + b"9" * 400 + b"}", 422, "n"),
        (b'{"n": 1e400}', 422, "n"),
        (b'{"n": NaN}', 422, "n"),
        (b'{"n": [-Infinity]}', 422, "n.0"),
        (b'"\\u0000"', 422, "body"),
        (b'{"customer": {"name": "A\\u0000da"}}', 422, "customer.name"),
        (b'{"customer": {"name": "\\ud800"}}', 422, "customer.name"),
        (b'{"na\\u0000me": 1}', 422, "na?me"),
        (b'{"\\udfff": 1}', 422, "?"),
    ],
)
def test_an_unsound_body_is_refused_naming_the_field(body: bytes, status: int, field: str) -> None:
    with pytest.raises(Problem) as refused:
        check_json(body)
    told = document(refused.value)
    assert (told["status"], told["errors"][0]["field"]) == (status, field)


TEXTS = st.text().filter(lambda text: "\x00" not in text)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63) + 1, 2**63 - 1) | TEXTS,
    lambda inner: st.lists(inner) | st.dictionaries(TEXTS, inner),
    max_leaves=20,
)


@given(VALUES)
def test_sound_json_passes(value: Any) -> None:
    check_json(json.dumps(value).encode())
    check_json(json.dumps(value, ensure_ascii=False).encode())


@given(st.binary(max_size=200))
def test_any_bytes_are_either_taken_or_refused(body: bytes) -> None:
    with contextlib.suppress(Problem):
        check_json(body)
        json.loads(body)


def test_an_answer_cannot_be_a_refusal() -> None:
    with pytest.raises(ValueError, match="raise Problem"):
        Answer({}, status=409)


@given(st.lists(st.integers(), max_size=7), st.integers(1, 5))
def test_a_page_ends_with_a_cursor_only_when_there_is_more(items: list[int], limit: int) -> None:
    page = Page(limit, None, "/things").answer(items, key=str)
    assert page["items"] == items[:limit]
    assert (page["next"] is not None) == (len(items) > limit)

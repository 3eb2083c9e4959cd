"""Which requests say the same."""

import json

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backbone.http import meaning
from backbone.storage.idempotency import Claim

BODY = b'{"item": "cola", "lines": [{"quantity": 2, "note": "Ada \\u00e9"}, {"quantity": 3}]}'

documents = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


def meaning_of(body: bytes) -> bytes:
    return meaning.meaning_of(orjson.loads(body))


def claim_of(query: str, body: bytes) -> Claim:
    return meaning.claim_of("POST", "/x", query, body, orjson.loads(body) if body else None, "k")


@pytest.mark.parametrize(
    "body",
    [
        b'{"item":"cola","lines":[{"quantity":2,"note":"Ada \\u00e9"},{"quantity":3}]}',
        b'{"lines": [{"note": "Ada \\u00e9", "quantity": 2}, {"quantity": 3}], "item": "cola"}',
        '{"item": "cola", "lines": [{"quantity": 2, "note": "Ada é"}, {"quantity": 3}]}'.encode(),
        b'{"item": "co\\u006ca", "lines": [{"quantity": 2, "note": "Ada \\u00E9"}, {"quantity": 3}]}',
        b'{"item": "cola", "lines": [{"quantity": 2.0, "note": "Ada \\u00e9"}, {"quantity": 0.3e1}]}',
        b'\n{"item": "cola",\r\n\t"lines": [{"quantity": 2, "note": "Ada \\u00e9"}, {"quantity": 3}]}\n',
    ],
    ids=["no blanks", "other order", "unescaped", "escaped", "numbers written otherwise", "lines"],
)
def test_a_body_serialised_anew_says_the_same(body: bytes) -> None:
    assert meaning_of(body) == meaning_of(BODY)


@pytest.mark.parametrize(
    "body",
    [
        BODY.replace(b"2", b"4", 1),
        BODY.replace(b'"quantity": 2', b'"quantity": "2"'),
        BODY.replace(b'"quantity": 2', b'"quantity": 2.5'),
        BODY.replace(b'"quantity": 2', b'"quantity": true'),
        BODY.replace(b'"cola"', b'"Cola"'),
        BODY.replace(b'"cola"', b'null'),
        BODY.replace(b'"item": "cola", ', b""),
        b'{"item": "cola", "lines": [{"quantity": 3}, {"quantity": 2, "note": "Ada \\u00e9"}]}',
    ],
    ids=["number", "text", "fraction", "true", "case", "null", "absent", "order of a list"],
)  # fmt: skip
def test_another_value_says_something_else(body: bytes) -> None:
    assert meaning_of(body) != meaning_of(BODY)


def test_no_body_says_what_null_says() -> None:
    assert claim_of("", b"").meaning == claim_of("", b"null").meaning != claim_of("", b"{}").meaning


@given(documents)
def test_indented_and_sorted_otherwise_a_document_says_the_same(document: object) -> None:
    plain = json.dumps(document).encode()
    assert meaning_of(json.dumps(document, indent=3, sort_keys=True, ensure_ascii=False).encode()) == meaning_of(plain)


@pytest.mark.parametrize("query", ["b=2&a=1", "a=1&b=%32", "a=1&&b=2"])
def test_parameters_in_another_order_or_encoding_say_the_same(query: str) -> None:
    assert claim_of(query, BODY).meaning == claim_of("a=1&b=2", BODY).meaning


@pytest.mark.parametrize("query", ["a=2&b=2", "a=1", "a=1&b=2&b=3", "a=1&b=2&c="])
def test_other_parameters_say_something_else(query: str) -> None:
    assert claim_of(query, BODY).meaning != claim_of("a=1&b=2", BODY).meaning


def test_the_order_of_parameters_of_one_name_matters() -> None:
    first, second = (claim_of(query, b"") for query in ("a=1&a=2", "a=2&a=1"))
    assert first.meaning != second.meaning


@pytest.mark.parametrize(
    ("number", "written_otherwise"),
    [
        (2**53, "9007199254740992.0"),
        (10**16, "1e16"),
        (-(10**16), "-1.0e+16"),
        (12 * 10**17, "1.2e18"),
        (-(2**63), "-9223372036854775808.0"),
        (10**19, "1e19"),
        (10**30, "1e30"),
    ],
)
def test_a_large_number_says_the_same_however_it_is_written(number: int, written_otherwise: str) -> None:
    said, again, next_to_it = (f'{{"n": {each}}}'.encode() for each in (number, written_otherwise, number + 4096))
    assert meaning_of(said) == meaning_of(again)
    assert (meaning_of(said) == meaning_of(next_to_it)) == (number == 10**30)  # a float's neighbours are further away


def test_a_number_beyond_the_exact_ones_of_a_float_differs_from_its_neighbour() -> None:
    assert meaning_of(b"[9007199254740993]") != meaning_of(b"[9007199254740992]")

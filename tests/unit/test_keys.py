"""What an Idempotency-Key may look like, and which key it is."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backbone.http.keys import SCHEMA, key_of
from backbone.http.problems import Problem

UUID = "3f1c7a52-0a6b-4b5e-9d0e-5d8f0c9e7a11"


@pytest.mark.parametrize(
    ("header", "key"),
    [
        (UUID, UUID),
        (f'"{UUID}"', UUID),
        ('"foo bar"', "foo bar"),
        ('" "', " "),
        (r'"say \"cheese\""', 'say "cheese"'),
        (r'"back\\slash"', "back\\slash"),
        (r"bare\slash", r"bare\slash"),
        ('"semi;colon, comma"', "semi;colon, comma"),
        ('"foo";a=1', "foo"),
        ('"foo"; a;b="x \\" y";c=?1;*d=tok/en:1;e=-1.5;f=:aGk=:;g=@1659578233', "foo"),
        ("foo;a=1", "foo;a=1"),
        ('  \t"foo" ', "foo"),
        ('"' + "x" * 255 + '"', "x" * 255),
        ('"' + r"\"" * 255 + '"', '"' * 255),
        ("x" * 255, "x" * 255),
        (None, None),
    ],
)
def test_a_string_or_a_bare_text_names_a_key(header: str | None, key: str | None) -> None:
    assert key_of(header) == key


@pytest.mark.parametrize(
    "header",
    [
        "",
        " ",
        '""',
        '"foo',
        'foo"',
        '"',
        'fo"o',
        '"foo"bar',
        '"foo""bar"',
        '"foo", "bar"',
        r'"foo\"',
        r'"fo\o"',
        '"foo";',
        '"foo";A=1',
        '"foo";a=',
        '"foo" ;a=1',
        "foo bar",
        "fóo",
        '"fóo"',
        '"fo\to"',
        '"foo\x7f"',
        '"' + "x" * 256 + '"',
        "x" * 256,
    ],
)
def test_what_is_no_string_is_refused(header: str) -> None:
    with pytest.raises(Problem) as refused:
        key_of(header)
    assert refused.value.status == 400
    assert refused.value.extensions["errors"][0]["field"] == "Idempotency-Key"


@given(st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), min_size=1, max_size=255))
def test_every_key_can_be_written_as_a_string(key: str) -> None:
    written = '"' + re.sub(r'(["\\])', r"\\\1", key) + '"'
    assert key_of(written) == key
    assert re.fullmatch(str(SCHEMA["pattern"]), written)


@given(st.from_regex(re.compile(str(SCHEMA["pattern"]), re.ASCII), fullmatch=True))
def test_what_fits_the_description_is_a_key(header: str) -> None:
    assert key_of(header)

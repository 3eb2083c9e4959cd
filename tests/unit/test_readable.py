"""JSON that anybody may have written can be shown, or is text."""

import pytest
from pydantic import BaseModel

from backbone.values.readable import DEEPEST, Unreadable, read, shown


class Answer(BaseModel):
    data: object


def nested(levels: int) -> bytes:
    return b'{"a":' * levels + b"1" + b"}" * levels


@pytest.mark.parametrize(
    "text",
    [b'{"name":"\xff"}', b"1e999", b"9" * 5000, b'"\\ud800"', b'{"a":', nested(DEEPEST + 1), nested(600), b"[" * 9999],
)
def test_what_an_answer_cannot_hold_is_shown_as_text(text: bytes) -> None:
    with pytest.raises(Unreadable):
        read(text)
    assert shown(text) == text.decode(errors="backslashreplace")
    assert Answer(data=shown(text)).model_dump_json()


@pytest.mark.parametrize("text", [b"null", b"9" * 4000, nested(DEEPEST), b"[" + b"[]," * DEEPEST + b"[]]"])
def test_what_an_answer_can_hold_is_shown_as_it_is(text: bytes) -> None:
    assert shown(text) == read(text)
    assert not isinstance(read(text), str)
    assert Answer(data=read(text)).model_dump_json()

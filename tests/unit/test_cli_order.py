import json
from typing import Any

import pytest
from typer import Exit

from cli.order import _print_timeline, explain, parse_line


def test_a_line_is_an_item_and_perhaps_a_quantity() -> None:
    assert parse_line("margherita:2") == {"item": "margherita", "quantity": 2}
    assert parse_line("mcguffin") == {"item": "mcguffin", "quantity": 1}


@pytest.mark.parametrize("text", ["", ":2", "margherita:", "margherita:0", "margherita:-1", "margherita:x", "a:²"])
def test_a_line_that_says_no_quantity_ends_the_command(text: str) -> None:
    with pytest.raises(Exit) as ended:
        parse_line(text)
    assert ended.value.exit_code == 2


def test_a_refusal_names_the_fields() -> None:
    problem = {"title": "Bad", "detail": "One field.", "errors": [{"field": "lines.0.item", "message": "unknown"}]}
    assert (
        explain(422, json.dumps(problem).encode()) == "The order was refused (422): One field.\n  lines.0.item: unknown"
    )


def test_a_refusal_that_is_no_problem_document_is_shown_as_it_is() -> None:
    assert explain(502, b"<html>") == "The order was refused (502): <html>"
    assert explain(502, b"[]") == "The order was refused (502): []"


def story(status: str, *texts: str) -> dict[str, Any]:
    timeline = [{"at": "2026-11-01T18:30:00Z", "status": status, "text": text} for text in texts]
    return {"status": status, "reason": None, "timeline": timeline}


def test_a_story_is_told_to_its_last_word_also_after_the_order_has_ended(capsys: pytest.CaptureFixture[str]) -> None:
    told = [
        story("placed", "Placed."),
        story("rejected", "Placed.", "No."),
        story("rejected", "Placed.", "No.", "Back."),
    ]
    assert _print_timeline(iter(told))
    lines = [line.split()[-1] for line in capsys.readouterr().out.splitlines()]
    assert lines == ["Placed.", "No.", "Back.", "rejected"]


def test_a_story_that_breaks_off_is_no_end() -> None:
    assert not _print_timeline(iter([story("placed", "Placed.")]))
    assert not _print_timeline(iter([]))

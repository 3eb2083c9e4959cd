"""Where an order stands in customers' words, and how a refused form is answered."""

import asyncio
from typing import Any

import htpy as h
import pytest

from services.console.answering import refused_with, whole
from services.console.asking import Refused
from services.console.buying import Kept, call_number
from services.console.pages.stock import standing_of
from services.console.shell import Page
from services.console.steps import WORDS, pieces, steps_of
from services.orders.order import ENDS, Status

PIZZA = {"item": "margherita", "quantity": 2, "baked": True}
COLA = {"item": "cola", "quantity": 1, "baked": False}


def order(*statuses: str | None, fulfilment: str = "delivery", lines: tuple[Any, ...] = (PIZZA, COLA)) -> Any:
    came = [{"status": status, "at": f"2026-11-01T18:0{place}:00Z"} for place, status in enumerate(statuses)]
    return {"status": statuses[-1], "fulfilment": fulfilment, "lines": lines, "timeline": came}


def told(document: Any) -> list[str]:
    return [f"{step.status} {step.state}" for step in steps_of(document)]


def test_every_status_of_an_order_has_words() -> None:
    assert {*WORDS} == {status.value for status in Status}


def test_a_delivery_goes_through_kitchen_and_courier() -> None:
    assert told(order("placed", "confirmed")) == [
        "placed done",
        "confirmed now",
        "preparing next",
        "baked next",
        "dispatched next",
        "completed next",
    ]


def test_what_is_collected_has_no_courier_and_what_is_not_baked_no_oven() -> None:
    collected = order("placed", "confirmed", fulfilment="collection")
    assert told(collected)[2:] == ["preparing next", "ready next", "completed next"]
    assert told(order("placed", "confirmed", lines=(COLA,)))[2:] == ["dispatched next", "completed next"]


def test_an_order_that_waited_and_one_that_is_cancelled_show_the_steps_they_took() -> None:
    assert told(order("placed", "backordered"))[:3] == ["placed done", "backordered now", "confirmed next"]
    assert told(order("placed", "confirmed", "cancelling"))[2:] == ["cancelling now", "cancelled next"]


@pytest.mark.parametrize("end", sorted(ENDS))
def test_nothing_follows_an_end(end: str) -> None:
    assert told(order("placed", end)) == ["placed done", f"{end} done"]


def test_a_step_has_the_time_at_which_the_order_came_there_first() -> None:
    steps = steps_of(order("placed", "placed", None, "confirmed"))
    assert [step.at for step in steps[:3]] == ["2026-11-01T18:00:00Z", "2026-11-01T18:03:00Z", None]


def test_what_is_in_an_order_is_said_by_names_where_they_are_known() -> None:
    assert pieces([PIZZA, COLA], {"margherita": "Margherita"}) == "2 × Margherita, 1 × cola"


def test_an_order_is_called_by_the_end_of_its_id() -> None:
    assert call_number("01a22643-c046-760c-b972-0de58997802f") == "802F"


@pytest.mark.parametrize(
    ("available", "standing"), [(-1, "out"), (0, "out"), (1, "low"), (5, "low"), (6, None), (10, None), (11, "over")]
)
def test_stock_stands_as_inventory_has_it(available: int, standing: str | None) -> None:
    assert standing_of({"available": available, "threshold": 5, "ceiling": 10}) == standing


def test_a_refused_form_comes_back_with_what_is_wrong_and_all_of_its_page() -> None:
    wrong = {"errors": [{"field": "address", "message": "is needed <now>"}]}
    page = refused_with(Page("Cart", "the form"), Refused("carts", 422, "Invalid", "Look again.", wrong))
    assert (page.status, page.title) == (422, "Cart")
    shown = str(h.fragment[page.above, page.body])
    assert "Look again." in shown
    assert "address: is needed &lt;now&gt;" in shown
    assert "the form" in shown


def test_a_number_is_read_and_what_is_none_is_left_to_the_service() -> None:
    assert [whole("12"), whole("-3"), whole("1.5"), whole("")] == [12, -3, "1.5", ""]


async def test_what_is_the_same_for_everybody_is_found_once_while_it_is_kept() -> None:
    found: list[str] = []

    async def find() -> str:
        found.append("menu")
        return "menu"

    kept: Kept[str] = Kept(60.0)
    assert [await kept.get("", find), await kept.get("", find), await kept.get("other", find)] == ["menu"] * 3
    assert len(found) == 2
    over: Kept[str] = Kept(0.0)
    assert [await over.get("", find), await over.get("", find)] == ["menu"] * 2
    assert len(found) == 4


async def test_what_is_not_kept_any_more_makes_room_for_what_is() -> None:
    async def find() -> str:
        return "name"

    kept: Kept[str] = Kept(0.01)
    for number in range(3):
        await kept.get(str(number), find)
    assert len(kept) == 3
    await asyncio.sleep(0.02)
    await kept.get("another", find)
    assert len(kept) == 1

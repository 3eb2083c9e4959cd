"""The menu decides purely, and draws pictures that do nothing but be looked at."""

from xml.etree import ElementTree

import pytest
from msgspec import UNSET
from msgspec.structs import replace

from services.orders import menu
from services.orders.events import MenuItemAdded, MenuItemChanged, MenuItemChangedV1, MenuItemRetired, Money
from services.orders.menu import MenuItem
from services.orders.pictures import draw
from tests.told import told

COLA = MenuItem("cola", "Cola", Money(300, "GBP"), baked=False, category="drinks")
SVG = "{http://www.w3.org/2000/svg}"


def test_an_item_that_is_added_has_no_before() -> None:
    old, new = told(menu.add(COLA, "ann"))
    assert isinstance(old, MenuItemChangedV1)
    assert isinstance(new, MenuItemAdded)
    assert (old.item, old.before, old.after.name, old.by) == ("cola", UNSET, "Cola", "ann")
    assert (new.item, new.after.name, new.by) == ("cola", "Cola", "ann")


def test_a_change_tells_what_was_and_what_is_and_names_what_differs() -> None:
    old, new = told(menu.change(COLA, replace(COLA, unit_price=Money(350, "GBP"), sold_out=True), "ann"))
    assert isinstance(old, MenuItemChangedV1)
    assert isinstance(new, MenuItemChanged)
    assert old.before is not UNSET
    assert (old.before.unit_price.amount, old.after.unit_price.amount) == (300, 350)
    assert (new.before.unit_price.amount, new.after.unit_price.amount) == (300, 350)
    assert new.changed == ("sold_out", "unit_price")


def test_a_change_that_changes_nothing_says_nothing() -> None:
    assert told(menu.change(COLA, COLA, "ann")) == []


def test_a_retired_item_has_no_after() -> None:
    decision = menu.retire(COLA, "ann")
    old, new = told(decision)
    assert isinstance(old, MenuItemChangedV1)
    assert isinstance(new, MenuItemRetired)
    assert decision.state.retired
    assert old.after.retired
    assert new.before.name == "Cola"


@pytest.mark.parametrize("baked", [True, False])
@pytest.mark.parametrize("name", ["Cola", "<script>alert(1)</script>", '" onload="x', "Tom & Jerry's ]]>", "ピザ 🍕"])
def test_a_picture_is_sound_and_says_the_name_as_text_only(name: str, baked: bool) -> None:
    drawn = ElementTree.fromstring(draw(replace(COLA, name=name, baked=baked)))  # noqa: S314 (our own drawing)
    titles = [each.text for each in drawn.iter(f"{SVG}title")]
    assert titles == [name]
    assert {each.tag.removeprefix(SVG) for each in drawn.iter()} <= {"svg", "title", "rect", "circle", "path", "g"}
    assert not [key for each in drawn.iter() for key in each.attrib if key.startswith("on") or "href" in key]


def test_a_picture_depends_on_the_item_alone() -> None:
    assert draw(COLA) == draw(replace(COLA, unit_price=Money(1, "GBP"), sold_out=True, category=None))
    assert draw(COLA) != draw(replace(COLA, item="lemonade"))
    assert draw(COLA) != draw(replace(COLA, baked=True))


def test_on_a_pizza_lies_what_its_description_names() -> None:
    plain = replace(COLA, baked=True, description="Tomato and mozzarella.")
    olives = draw(replace(plain, description="Tomato, mozzarella and olives."))
    both = draw(replace(plain, description="Tomato, mozzarella, olives and basil."))
    olive, leaf = "#3c3a35", "#4c8a3a"
    assert (olive in olives, leaf in olives) == (True, False)
    assert (olive in both, leaf in both) == (True, True)
    assert draw(plain) == draw(plain)

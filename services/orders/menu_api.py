"""The menu over HTTP: what customers see of it, and what the staff does to it."""

from hashlib import sha256
from typing import Annotated, Any

from fastapi import APIRouter, Header, Path, Query, Response
from msgspec.structs import replace

from backbone.context import Context
from backbone.decision import Decision
from backbone.http import Answer, Command, Db, Paging, Problem
from backbone.http.commands import CommandRequest, Effect
from backbone.http.context import Ctx
from backbone.http.described import CREATED
from backbone.http.permissions import may, open_to_all
from backbone.http.problems import invalid
from backbone.storage.database import Tx
from backbone.values.fields import Name
from services.orders import menu, store
from services.orders.bodies import ItemChange, MenuItemView, MenuPage, NewItem, PriceBody
from services.orders.events import Money
from services.orders.menu import MenuItem
from services.orders.pictures import draw
from services.orders.placing import forget_menu
from services.orders.settings import Settings

router = APIRouter()

PROBLEMS = {
    "No such item": "The menu has no item of this name, or has it no more; GET /menu lists what there is.",
    "Item exists": "The menu has an item of this name already; PATCH changes it.",
}

PICTURE_KEPT = 3600
"""Seconds for which a picture need not be asked for again."""

ItemName = Annotated[Name, Path(description="The item's name for programs")]


class Picture(Response):
    """Is a drawing that does nothing but be looked at, even when somebody opens it as a page."""

    media_type = "image/svg+xml"


PICTURED: dict[int | str, dict[str, Any]] = {304: {"description": "Whoever asks has it already."}}


@router.get("/menu", response_model=MenuPage)
@open_to_all("A menu hangs in the window.")
async def get_menu(
    db: Db,
    page: Paging,
    context: Ctx,
    hidden: Annotated[bool, Query(description="Also what is left off the menu; it is no secret.")] = False,
) -> Any:
    """Lists what is on the menu, and at which price."""
    items = await store.list_menu(db, context.settings.currency, page, hidden=hidden)
    return page.answer([_shown(item) for item in items], key=lambda item: item.item)


@router.post("/menu", status_code=201, response_model=MenuItemView, responses=CREATED)
@may("menu.write")
async def add_item(body: NewItem, command: Command) -> Response:
    """Adds an item to the menu. The name of one that was retired may be added again."""

    async def effect(tx: Tx) -> Answer:
        fields = body.model_dump(exclude={"unit_price"})
        item = MenuItem(**fields, unit_price=_price(body.unit_price, command.context))
        if not await store.add_item(tx, item):
            raise Problem(409, "Item exists", f"The menu has an item {item.item!r} already.", field="item")
        _apply(tx, menu.add(item, command.actor))
        shown = _shown(await _locked(tx, item.item, command.context))
        return Answer(shown, 201, {"Location": f"/menu/{item.item}"})

    return await _changing(command, effect)


@router.get("/menu/{item}", response_model=MenuItemView)
@open_to_all("A menu hangs in the window.")
async def get_item(item: ItemName, db: Db, context: Ctx) -> Any:
    """Shows one item, also while it is hidden."""
    found = await store.find_item(db, item, context.settings.currency)
    if found is None or found.retired:
        raise _unknown(item)
    return _shown(found)


@router.patch("/menu/{item}", response_model=MenuItemView)
@may("menu.write")
async def change_item(item: ItemName, body: ItemChange, command: Command) -> Response:
    """Changes an item: its price, its description, whether it is hidden or sold out.

    Orders that were placed before keep their price.
    """

    async def effect(tx: Tx) -> Answer:
        before = await _locked(tx, item, command.context)
        changes = body.model_dump(exclude_unset=True, exclude={"unit_price"})
        if "unit_price" in body.model_fields_set:
            changes["unit_price"] = _price(body.unit_price, command.context)
        after = replace(before, **changes)
        await store.save_item(tx, after)
        _apply(tx, menu.change(before, after, command.actor))
        return Answer(_shown(after))

    return await _changing(command, effect)


@router.delete("/menu/{item}", status_code=204)
@may("menu.write")
async def retire_item(item: ItemName, command: Command) -> Response:
    """Takes an item off the menu for good. Orders that have it are not touched."""

    async def effect(tx: Tx) -> Answer:
        decision = menu.retire(await _locked(tx, item, command.context), command.actor)
        await store.save_item(tx, decision.state)
        _apply(tx, decision)
        return Answer(None, 204)

    return await _changing(command, effect)


@router.get("/menu/{item}/picture", response_class=Picture, responses=PICTURED)
@open_to_all("A menu hangs in the window.")
async def get_picture(
    item: ItemName, db: Db, context: Ctx, if_none_match: Annotated[str | None, Header()] = None
) -> Response:
    """Draws an item, one that was retired as well: old orders show it."""
    found = await store.find_item(db, item, context.settings.currency)
    if found is None:
        raise _unknown(item)
    drawn = draw(found)
    tag = f'"{sha256(drawn.encode()).hexdigest()[:32]}"'
    headers = {
        "ETag": tag,
        "Cache-Control": f"public, max-age={PICTURE_KEPT}",
        "Content-Security-Policy": "default-src 'none'; sandbox",
    }
    if tag in _tags(if_none_match):
        return Response(status_code=304, headers=headers)
    return Picture(drawn, headers=headers)


async def _changing(command: CommandRequest, effect: Effect) -> Response:
    """Run a command on the menu, and have this process see at once what it did."""
    try:
        return await command.run(effect)
    finally:  # also after a commit that nobody heard of
        forget_menu(command.context.database.for_queries)


async def _locked(tx: Tx, item: str, context: Context[Settings]) -> MenuItem:
    found = await store.lock_item(tx, item, context.settings.currency)
    if found is None or found.retired:
        raise _unknown(item)
    return found


def _apply(tx: Tx, decision: Decision[MenuItem]) -> None:
    tx.apply(decision, key=decision.state.item)


def _price(price: PriceBody, context: Context[Settings]) -> Money:
    currency = context.settings.currency
    if price.currency != currency:
        raise invalid([{"field": "unit_price.currency", "message": f"must be {currency}"}])
    return Money(price.amount, currency)


def _shown(item: MenuItem) -> MenuItemView:
    return MenuItemView.model_validate(item)


def _tags(if_none_match: str | None) -> list[str]:
    """Return the tags that a header names (RFC 9110 13.1.2); a weak one is as good as a strong one there."""
    return [tag.strip().removeprefix("W/") for tag in (if_none_match or "").split(",")]


def _unknown(item: str) -> Problem:
    return Problem(404, "No such item", f"The menu has no item {item!r}.")

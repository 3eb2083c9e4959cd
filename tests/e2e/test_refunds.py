"""Refunds through the whole shop: the money that was paid is given back once, in parts or whole, and all know of it."""

import asyncio

from tests.invariants import assert_sound
from tests.system import Shop


async def given_back(shop: Shop, order: str) -> list[int]:
    return [entry["amount"]["amount"] for entry in await shop.ledger(order) if entry["kind"] == "refund"]


async def test_a_completed_order_is_refunded_in_parts_and_the_customer_gets_a_mail_of_each(shop: Shop) -> None:
    order = await shop.place({"water": 3}, customer="refunded-ada")
    await shop.complete(order)
    await shop.refund(order, 150)
    document = await shop.refund(order)
    assert [(each["amount"]["amount"], each["status"]) for each in document["refunds"]] == [
        (150, "paid"),
        (450, "paid"),
    ]
    assert document["status"] == "completed"
    assert (await shop.post_refund(order)).status_code == 409
    await assert_sound(shop)
    assert await given_back(shop, order) == [150, 450]
    subjects = [mail["Subject"] for mail in await shop.mails("refunded-ada@example.com")]
    assert {"Your refund of 1.50 GBP", "Your refund of 4.50 GBP"} <= set(subjects)


async def test_refunds_at_once_never_exceed_the_payment(shop: Shop) -> None:
    order = await shop.place({"water": 3})
    await shop.wait_for_status(order, "confirmed")
    answers = await asyncio.gather(*(shop.post_refund(order, 250) for _ in range(8)))
    assert sorted(answer.status_code for answer in answers) == [202] * 2 + [409] * 6
    await assert_sound(shop)
    assert await given_back(shop, order) == [250, 250]


async def test_a_refund_whose_answer_is_lost_is_given_back_once(shop: Shop) -> None:
    order = await shop.place({"water": 3})
    await shop.wait_for_status(order, "confirmed")
    await shop.moods(timeout_after_refunding=True, hang_seconds=0.2)
    await shop.refund(order, 250)
    await assert_sound(shop)
    assert await given_back(shop, order) == [250]


async def test_cancelling_gives_back_what_refunds_have_left(shop: Shop) -> None:
    order = await shop.place({"margherita": 1})
    await shop.wait_for_status(order, "confirmed")
    await shop.moods(failing=True)
    assert (await shop.post_refund(order, 250)).status_code == 202
    assert (await shop.cancel(order)).status_code == 202
    await shop.wait_for_status(order, "cancelled")
    assert (await shop.post_refund(order, 1)).status_code == 409
    await shop.moods()
    await assert_sound(shop)
    assert await given_back(shop, order) == [250, 950]


async def test_a_process_killed_while_it_refunds_gives_back_once(shop: Shop) -> None:
    order = await shop.place({"water": 3})
    await shop.wait_for_status(order, "confirmed")
    await shop.moods(timeout_after_refunding=True, hang_seconds=3600)
    assert (await shop.post_refund(order)).status_code == 202
    await shop.system["payments"].kill()
    await shop.moods()
    await shop.system["payments"].start()
    await assert_sound(shop)
    assert await given_back(shop, order) == [600]

"""A sample is published by its service, through its outbox, where that is let happen and it fits its contract."""

from collections.abc import AsyncIterator

import pytest

from deployment.catalogue import sample_of
from services.kitchen.service import SERVICE
from tests.conftest import NewDatabase
from tests.integration.one_service import Fed, fed

PREPARED = "sliceline.kitchen.pizza-prepared.v1"


@pytest.fixture
async def kitchen(new_database: NewDatabase, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Fed]:
    async with fed(SERVICE, new_database) as service:
        monkeypatch.setattr(service.context.settings, "publish_samples", True)
        yield service


async def test_a_sample_that_fits_is_published_once_under_its_key(kitchen: Fed) -> None:
    body = {"type": PREPARED, "key": "sample-1", "data": sample_of(PREPARED)}
    answers = [await kitchen.client.post("/samples", json=body, headers={"Idempotency-Key": "once"}) for _ in range(2)]
    assert [each.status_code for each in answers] == [202, 202]
    assert await kitchen.published("sample-1") == [(PREPARED, sample_of(PREPARED))]


async def test_a_sample_that_does_not_fit_says_where_and_is_not_published(kitchen: Fed) -> None:
    wrong = {**sample_of(PREPARED), "order": 7}
    answer = await kitchen.client.post("/samples", json={"type": PREPARED, "key": "sample-2", "data": wrong})
    assert answer.status_code == 422
    assert "order" in answer.text
    assert await kitchen.published("sample-2") == []


@pytest.mark.parametrize("kind", ["sliceline.orders.order-placed.v1", "sliceline.kitchen.acts-recorded.v1"])
async def test_what_others_publish_and_what_is_told_of_acts_is_no_sample(kitchen: Fed, kind: str) -> None:
    answer = await kitchen.client.post("/samples", json={"type": kind, "key": "sample-3", "data": sample_of(kind)})
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (404, "type")


async def test_samples_are_off_unless_somebody_lets_them_be_published(
    kitchen: Fed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kitchen.context.settings, "publish_samples", False)
    body = {"type": PREPARED, "key": "sample-4", "data": sample_of(PREPARED)}
    answer = await kitchen.client.post("/samples", json=body)
    assert (answer.status_code, "SLICELINE_PUBLISH_SAMPLES" in answer.text) == (409, True)
    assert await kitchen.published("sample-4") == []

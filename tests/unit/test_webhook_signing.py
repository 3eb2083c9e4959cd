"""Signatures of webhooks, held to the official library, the examples of its pages, and what forgers try."""

from datetime import UTC, datetime, timedelta

import pytest
from standardwebhooks import Webhook

from backbone.values.signing import new_secret
from services.webhooks.signing import WrongSignature, check, signed

BODY = '{"specversion":"1.0","data":{"name":"Zoë"}}'.encode()


def now() -> datetime:
    return datetime.now(UTC)


def test_the_signature_is_that_of_the_published_example() -> None:
    headers = signed(
        "msg_p5jXN8AQM9LWM0D4loKWxJek",
        datetime.fromtimestamp(1614265330, UTC),
        b'{"test": 2432232314}',
        ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"],
    )
    assert headers["webhook-timestamp"] == "1614265330"
    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_the_official_library_takes_what_was_signed() -> None:
    secret = new_secret()
    assert Webhook(secret).verify(BODY, signed("id", now(), BODY, [secret]))["data"] == {"name": "Zoë"}


def test_a_webhook_is_taken_by_holders_of_the_old_and_of_the_new_secret() -> None:
    old, new = new_secret(), new_secret()
    headers = signed("id", now(), BODY, [new, old])
    assert len(headers["webhook-signature"].split()) == 2
    for secret in (old, new):
        check(headers, BODY, secret)
        Webhook(secret).verify(BODY, headers)


def test_a_secret_that_is_valid_no_more_signs_nothing() -> None:
    old, new = new_secret(), new_secret()
    with pytest.raises(WrongSignature):
        check(signed("id", now(), BODY, [new]), BODY, old)


@pytest.mark.parametrize("age", [timedelta(minutes=6), timedelta(minutes=-6), timedelta(days=400)])
def test_a_webhook_of_another_time_is_refused(age: timedelta) -> None:
    secret = new_secret()
    with pytest.raises(WrongSignature):
        check(signed("id", now() - age, BODY, [secret]), BODY, secret)


@pytest.mark.parametrize(
    "changed",
    [
        {"webhook-id": "other"},
        {"webhook-timestamp": "soon"},
        {"webhook-timestamp": "nan"},
        {"webhook-timestamp": ""},
        {"webhook-signature": ""},
        {"webhook-signature": "v1"},
        {"webhook-signature": "v1,"},
        {"webhook-signature": "v1,zz,zz"},
        {"webhook-signature": "v1,ü"},
        {"webhook-signature": "v1a,AAAA"},
        {"webhook-signature": "v1,AAAA v1,BBBB"},
    ],
    ids=str,
)
def test_a_forged_header_is_refused(changed: dict[str, str]) -> None:
    secret = new_secret()
    with pytest.raises(WrongSignature):
        check({**signed("id", now(), BODY, [secret]), **changed}, BODY, secret)


@pytest.mark.parametrize("body", [b"", BODY + b" ", BODY.replace(b"Zo", b"So"), b"\xff\xfe"])
def test_another_body_is_refused(body: bytes) -> None:
    secret = new_secret()
    with pytest.raises(WrongSignature):
        check(signed("id", now(), BODY, [secret]), body, secret)


def test_every_secret_is_new_and_long_enough() -> None:
    made = {new_secret() for _ in range(100)}
    assert len(made) == 100
    assert all(each.startswith("whsec_") and len(each) == 50 for each in made)

"""Who has sent a webhook, in each style of signing, and what forgers try."""

import hashlib
import hmac
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from standardwebhooks import Webhook

from backbone.values.signing import new_secret
from services.partners.signatures import Style, WrongSignature, identify, is_secret

NOW = datetime(2026, 11, 1, 18, 30, tzinfo=UTC)
BODY = b'{"id": "evt_1", "name": "Zo\xc3\xab"}'
SECRET, OTHER = new_secret(), new_secret()

Headers = dict[str, str]


def standard(body: bytes = BODY, at: datetime = NOW, secret: str = SECRET, name: str = "msg_1") -> Headers:
    return {
        "webhook-id": name,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": Webhook(secret).sign(name, at, body.decode()),
    }


def stripe(body: bytes = BODY, at: datetime = NOW, secret: str = SECRET) -> Headers:
    seconds = str(int(at.timestamp()))
    signature = hmac.new(secret.encode(), f"{seconds}.".encode() + body, hashlib.sha256).hexdigest()
    return {"stripe-signature": f"t={seconds},v1={signature}"}


def github(body: bytes = BODY, at: datetime = NOW, secret: str = SECRET) -> Headers:
    return {"x-hub-signature-256": f"sha256={hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()}"}


STYLES: dict[Style, Callable[..., Headers]] = {Style.STANDARD: standard, Style.STRIPE: stripe, Style.GITHUB: github}
TIMED = (Style.STANDARD, Style.STRIPE)


def told(style: Style, headers: Headers, body: bytes = BODY, *valid: str) -> str:
    return identify(style, headers, body, json.loads(body), valid or (SECRET,), NOW)


@pytest.mark.parametrize(
    ("style", "name"),
    [(Style.STANDARD, "msg_1"), (Style.STRIPE, "evt_1"), (Style.GITHUB, hashlib.sha256(BODY).hexdigest())],
)
def test_what_is_signed_is_known_by_what_is_signed(style: Style, name: str) -> None:
    assert told(style, STYLES[style]()) == name


def test_the_signature_of_githubs_documentation_is_right() -> None:
    signature = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
    assert identify(
        Style.GITHUB, {"x-hub-signature-256": signature}, b"Hello, World!", None, ["It's a Secret to Everybody"], NOW
    )


@pytest.mark.parametrize("style", list(Style))
def test_an_old_secret_is_right_as_long_as_it_is_valid(style: Style) -> None:
    headers = STYLES[style](secret=OTHER)
    assert told(style, headers, BODY, SECRET, OTHER)
    with pytest.raises(WrongSignature):
        told(style, headers)


def test_a_secret_that_is_none_of_the_style_is_passed_over() -> None:
    for broken in ("no base64, but 16 characters", "whsec_of_their_own", "whsec_AAAA"):
        assert told(Style.STANDARD, standard(), BODY, SECRET, broken)
        with pytest.raises(WrongSignature):
            told(Style.STANDARD, standard(), BODY, broken)
    with pytest.raises(WrongSignature):
        told(Style.GITHUB, github(secret="short"), BODY, "short")


@pytest.mark.parametrize("style", list(Style))
def test_another_body_is_wrong(style: Style) -> None:
    with pytest.raises(WrongSignature):
        told(style, STYLES[style](), BODY + b" ")


@pytest.mark.parametrize("style", TIMED)
@pytest.mark.parametrize("age", [timedelta(seconds=301), timedelta(seconds=-301), timedelta(days=400)])
def test_another_time_is_wrong_however_well_signed(style: Style, age: timedelta) -> None:
    with pytest.raises(WrongSignature, match="5 minutes"):
        told(style, STYLES[style](at=NOW - age))


@pytest.mark.parametrize("style", TIMED)
def test_a_time_that_was_changed_is_wrong(style: Style) -> None:
    old = str(int((NOW - timedelta(hours=1)).timestamp()))
    new = str(int(NOW.timestamp()))
    headers = {name: value.replace(old, new) for name, value in STYLES[style](at=NOW - timedelta(hours=1)).items()}
    with pytest.raises(WrongSignature, match="valid secret"):
        told(style, headers)


def test_another_id_is_wrong() -> None:
    with pytest.raises(WrongSignature):
        told(Style.STANDARD, {**standard(), "webhook-id": "msg_2"})


@pytest.mark.parametrize("style", list(Style))
def test_a_signature_that_is_missing_or_mangled_is_wrong(style: Style) -> None:
    sound = STYLES[style]()
    for name, value in sound.items():
        for mangled in ("", " ", "v1", "v1,", "t=", "sha256=", value[:-1], value.upper(), value.replace("=", ""), "ü"):
            if mangled != value:
                with pytest.raises(WrongSignature):
                    told(style, {**sound, name: mangled})
        with pytest.raises(WrongSignature):
            told(style, {other: each for other, each in sound.items() if other != name})


@pytest.mark.parametrize("style", list(Style))
def test_a_signature_of_another_style_is_wrong(style: Style) -> None:
    for other in set(Style) - {style}:
        with pytest.raises(WrongSignature):
            told(style, STYLES[other]())


@pytest.mark.parametrize("time", ["nan", "1e9", "-5", "１２３", "9" * 12, "9" * 13, "1.5", ""])
def test_a_time_that_is_none_is_wrong(time: str) -> None:
    with pytest.raises(WrongSignature):
        told(Style.STANDARD, {**standard(), "webhook-timestamp": time})
    with pytest.raises(WrongSignature):
        told(Style.STRIPE, {"stripe-signature": f"t={time},v1=00"})


def test_two_times_are_wrong() -> None:
    with pytest.raises(WrongSignature):
        told(Style.STRIPE, {"stripe-signature": f"t=1,{stripe()['stripe-signature']}"})


@pytest.mark.parametrize("body", [b"{}", b'{"id": 7}', b'{"id": ""}', b'{"id": "%s"}' % (b"a" * 201), b"[]"])
def test_what_stripe_signs_has_an_id(body: bytes) -> None:
    with pytest.raises(WrongSignature):
        told(Style.STRIPE, stripe(body), body)


@pytest.mark.parametrize("secret", ["", "short", "whsec_", "whsec_AAAA", "whsec_" + "ü" * 40, "A" * 64])
def test_a_weak_or_broken_secret_is_none(secret: str) -> None:
    assert not is_secret(Style.STANDARD, secret)


def test_a_secret_of_ours_fits_every_style() -> None:
    assert all(is_secret(style, new_secret()) for style in Style)

"""Checks who has sent a webhook, in the three ways in which partners sign theirs.

Each says what of it is signed: nothing else is believed, an id least of all. All comparisons take the same time whether
they fail at the first character or at the last.
"""

import base64
import hashlib
import hmac
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from standardwebhooks import Webhook

from backbone.errors import SlicelineError
from backbone.values.signing import PREFIX

TOLERANCE = timedelta(minutes=5)
"""So far may the time of a webhook be from ours: what is older may be somebody's recording."""
LONGEST_ID = 200

Headers = Mapping[str, str]
Secrets = Sequence[str]


class Style(StrEnum):
    """Names a way to sign."""

    STANDARD = "standard-webhooks"  # webhook-id, webhook-timestamp and webhook-signature: id, time and body
    STRIPE = "stripe"  # Stripe-Signature: time and body, and the id is in the body
    GITHUB = "github"  # X-Hub-Signature-256: the body alone


class WrongSignature(SlicelineError):
    """Nobody who knows a valid secret has sent this, or not now. The text says which of the two."""


def is_secret(style: Style, secret: str) -> bool:
    """Tell whether a text can be a secret of this style."""
    if style is not Style.STANDARD:
        return len(secret) >= 16
    try:
        return secret.startswith(PREFIX) and len(base64.b64decode(secret.removeprefix(PREFIX), validate=True)) >= 24
    except ValueError:
        return False


def identify(style: Style, headers: Headers, body: bytes, told: object, valid: Secrets, now: datetime) -> str:
    """Check a webhook and return the id under which it is taken once. Raises WrongSignature."""
    return _STYLES[style](headers, body, told, [each for each in valid if is_secret(style, each)], now)


def _standard(headers: Headers, body: bytes, _: object, valid: Secrets, now: datetime) -> str:
    name, at = _header(headers, "webhook-id"), _time(_header(headers, "webhook-timestamp"), now)
    text = _text(body)
    expected = [Webhook(secret).sign(name, at, text) for secret in valid]
    _compare(expected, _header(headers, "webhook-signature").split())
    return _sound(name)


def _stripe(headers: Headers, body: bytes, told: object, valid: Secrets, now: datetime) -> str:
    pairs = [part.partition("=")[::2] for part in _header(headers, "stripe-signature").split(",")]
    times = [value for name, value in pairs if name == "t"]
    if len(times) != 1:
        raise WrongSignature("The signature names no time.")
    _time(times[0], now)
    expected = [_hmac(secret, f"{times[0]}.".encode() + body) for secret in valid]
    _compare(expected, [value for name, value in pairs if name == "v1"])
    return _sound(told.get("id") if isinstance(told, Mapping) else None)


def _github(headers: Headers, body: bytes, _told: object, valid: Secrets, _now: datetime) -> str:
    """Check the body; neither its id nor a time is signed, so it is known again by itself, and never taken twice."""
    expected = [f"sha256={_hmac(secret, body)}" for secret in valid]
    _compare(expected, [_header(headers, "x-hub-signature-256")])
    return hashlib.sha256(body).hexdigest()


_STYLES: Mapping[Style, Callable[[Headers, bytes, object, Secrets, datetime], str]] = {
    Style.STANDARD: _standard,
    Style.STRIPE: _stripe,
    Style.GITHUB: _github,
}


def _compare(expected: Iterable[str], given: Sequence[str]) -> None:
    same = [hmac.compare_digest(right.encode(), each.encode()) for right in expected for each in given]
    if not any(same):
        raise WrongSignature("The signature is not that of a valid secret.")


def _hmac(secret: str, text: bytes) -> str:
    return hmac.new(secret.encode(), text, hashlib.sha256).hexdigest()


def _header(headers: Headers, name: str) -> str:
    if value := headers.get(name):
        return value
    raise WrongSignature(f"The header {name} is missing.")


def _time(text: str, now: datetime) -> datetime:
    if not (text.isascii() and text.isdecimal() and len(text) <= 11):
        raise WrongSignature("The time is not in whole seconds since 1970.")
    at = datetime.fromtimestamp(int(text), UTC)
    if abs(now - at) > TOLERANCE:
        raise WrongSignature(f"The time is more than {TOLERANCE.seconds // 60} minutes from ours.")
    return at


def _text(body: bytes) -> str:
    try:
        return body.decode()
    except UnicodeDecodeError:
        raise WrongSignature("The body is not UTF-8.") from None


def _sound(name: object) -> str:
    if isinstance(name, str) and 1 <= len(name) <= LONGEST_ID and name.isascii() and name.isprintable():
        return name
    raise WrongSignature(f"What is signed has no id of at most {LONGEST_ID} characters.")

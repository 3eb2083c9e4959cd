"""Signs webhooks and checks signatures, as Standard Webhooks says (https://www.standardwebhooks.com).

What is signed is id, time and body together. A webhook is signed by every secret that is valid at the time, so that a
receiver may change over to a new one whenever it likes.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime

from standardwebhooks import Webhook
from standardwebhooks.webhooks import WebhookVerificationError

from backbone.errors import SlicelineError


class WrongSignature(SlicelineError):
    """Nobody who knows a valid secret has sent this, or not now."""


def signed(webhook_id: str, at: datetime, body: bytes, valid: Iterable[str]) -> dict[str, str]:
    """Return the headers that sign a webhook sent at this time, by each of the valid secrets."""
    text = body.decode()
    return {
        "webhook-id": webhook_id,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": " ".join(Webhook(secret).sign(webhook_id, at, text) for secret in valid),
    }


def check(headers: Mapping[str, str], body: bytes, secret: str) -> None:
    """Raise WrongSignature unless the webhook was signed by this secret within the last five minutes."""
    try:
        Webhook(secret).verify(body, dict(headers), json_parse=False)
    except (WebhookVerificationError, ValueError) as error:  # the library lets pass what is wrong in their form
        raise WrongSignature(str(error)) from error

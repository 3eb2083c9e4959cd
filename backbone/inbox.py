"""The inbox: which occurrences a consumer has handled. A claim commits with the effect, or not at all."""

from collections.abc import Sequence

from backbone import sql
from backbone.batch import Delivery
from backbone.database import Tx
from backbone.envelope import name_without_version


async def claim(tx: Tx, consumer: str, deliveries: Sequence[Delivery]) -> list[Delivery]:
    """Returns the deliveries that are new, in their order; versions and repetitions of one occurrence count once."""
    if not deliveries:
        return []
    first = {_identity(each): at for at, each in reversed(list(enumerate(deliveries)))}
    names, occurrences = zip(*first, strict=True)
    rows = await tx.raw.fetch(sql.INBOX_CLAIM, consumer, list(names), list(occurrences))
    return [deliveries[at] for at in sorted(first[row["name"], row["occurrence"]] for row in rows)]


def _identity(delivery: Delivery) -> tuple[str, str]:
    assert delivery.event is not None  # noqa: S101  only events come here
    return name_without_version(delivery.event.type), delivery.event.occurrenceid

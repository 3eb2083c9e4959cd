"""Tells which endpoints ask for which events: by their pattern, or because a rule sends them something."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache

import msgspec

from backbone.patterns.index import Index
from backbone.patterns.parsing import parse
from services.webhooks.endpoint import Endpoint
from services.webhooks.messages import Message


def asked_for(endpoints: Iterable[Endpoint], messages: Sequence[Message]) -> Mapping[str, list[Message]]:
    """Say what each endpoint gets of these messages, in their order; one that gets nothing is left out.

    What a rule made for one endpoint is for that alone, whatever its pattern.
    """
    known = {each.id: each.pattern for each in endpoints}
    index = _index(tuple((name, msgspec.json.encode(each)) for name, each in known.items() if each is not None))
    wanted = defaultdict(list)
    for message in messages:
        for name in [message.only_for] if message.only_for else index.match(msgspec.json.decode(message.body)):
            if name in known:
                wanted[name].append(message)
    return wanted


@lru_cache(maxsize=16)
def _index(asking: tuple[tuple[str, bytes], ...]) -> Index[str]:
    """Hold all patterns at once; made anew only where an endpoint came, went or changed."""
    return Index([(name, parse(msgspec.json.decode(pattern))) for name, pattern in asking])

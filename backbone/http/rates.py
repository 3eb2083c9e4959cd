"""Holds each client and each principal to a rate of its own: a greedy one has its share, and not everybody's.

A rate is kept as ATM networks keep it (GCRA, ITU-T I.371): of each name only the moment is remembered at which all
that it has sent would be paid for. That is one number, and exact: after `burst` at once, one more each 1/rate seconds.
"""

import time
from collections import OrderedDict
from math import ceil

from starlette.types import Scope

from backbone.http.clients import Client, Clients
from backbone.http.problems import too_many
from backbone.identity.caller import NOBODY, Caller
from backbone.settings import Settings

MOST = 16_384
"""Names remembered at once; beyond them whoever was quiet for longest is forgotten, and has a burst again."""
SECOND = 10**9


class Rate:
    """Lets each name in `rate` times a second, and after a pause `burst` times at once."""

    def __init__(self, rate: float, burst: int) -> None:
        self._each = ceil(SECOND / rate)
        self._burst = burst * self._each
        self._paid_at: OrderedDict[str, int] = OrderedDict()

    def take(self, name: str, now: int) -> int:
        """Let one in at `now` (ns) and return 0, or the whole seconds after which the next one is let in."""
        paid_at = max(self._paid_at.get(name, now), now) + self._each
        if (early := paid_at - now - self._burst) > 0:
            self._paid_at.move_to_end(name)
            return -(-early // SECOND)
        self._paid_at[name] = paid_at
        self._paid_at.move_to_end(name)
        if len(self._paid_at) > MOST:
            self._paid_at.popitem(last=False)
        return 0


class Rates:
    """Counts a process's requests for whom they are from, each once, by whichever way it is answered.

    From within, clients have no limit, and principals none where they act for the shop: services, robots and operators
    do its work, and what there is too much of is refused for all (`limits.InFlight`).
    """

    def __init__(self, settings: Settings) -> None:
        self._clients = Clients(settings)
        self._limits = {
            "client": (settings.client_rate, settings.client_burst),
            "principal": (settings.principal_rate, settings.principal_burst),
        }
        self._rates = {limit: Rate(*told) for limit, told in self._limits.items()}

    def admit_client(self, scope: Scope) -> None:
        """Count a request for its client, before anything of it is looked at. Raises Problem 429."""
        state = scope.setdefault("state", {})
        if "client" not in state:
            client = self._clients.of(scope)
            if not client.is_within:
                self._take("client", client.name)
            state["client"] = client

    def admit_principal(self, scope: Scope, caller: Caller) -> None:
        """Count a request for who asks, before anything of its body is read. Raises Problem 429."""
        state = scope["state"]
        if caller is NOBODY or "principal" in state:
            return
        if caller.only is not None or not state["client"].is_within:
            self._take("principal", caller.name)
            state["principal"] = caller.name

    def _take(self, limit: str, name: str) -> None:
        if wait := self._rates[limit].take(name, time.monotonic_ns()):
            rate, burst = self._limits[limit]
            detail = f"One {limit} may send {rate:g} requests a second, and after a pause {burst} at once."
            raise too_many(limit, f"{detail} Try again in {wait} s.", wait)


def held_to(scope: Scope) -> tuple[str, str] | None:
    """Name whose share a request takes: the principal's, or of one that is not known the client's. None: nobody's."""
    state = scope["state"]
    client: Client = state["client"]
    if "principal" in state:
        return "principal", state["principal"]
    return None if client.is_within else ("client", client.name)

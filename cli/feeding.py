"""Feeds archived events to one service, page by page: for `./sliceline replay` and `./sliceline heal`."""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import msgspec

from backbone.ids import new_id
from cli.answers import answer_of, everything
from cli.console import errors, fail
from cli.running import address_of

if TYPE_CHECKING:
    import httpx

MOST = 500
"""Events that are handed over at once."""
PATIENCE = 60.0
"""Seconds for which a service that does not answer is asked again: to be fed twice has no second effect."""
AGAIN = 1.0
"""Seconds before it is asked again."""


class Page(msgspec.Struct):
    """Holds a page of the archive; what it holds is handed on as it came."""

    events: msgspec.Raw
    published: msgspec.Raw
    count: int
    next: str | None


class Replay(msgspec.Struct):
    """Is what a service is asked."""

    apply: bool
    events: msgspec.Raw
    published: msgspec.Raw


@dataclass(frozen=True)
class Wanted:
    """Says which archived events are fed to which service."""

    service: str
    types: tuple[str, ...] = ()
    topics: tuple[str, ...] = ()
    since: str | None = None
    until: str | None = None

    def query(self, **more: Any) -> dict[str, Any]:
        """Return how the ledger is asked for them."""
        asked = {"types": list(self.types), "topics": list(self.topics), "since": self.since, "until": self.until}
        return {name: value for name, value in {**asked, **more}.items() if value not in (None, [])}


@dataclass(frozen=True)
class Ends:
    """Holds clients of the ledger and of the service that is fed."""

    ledger: "httpx.Client"
    service: "httpx.Client"
    name: str

    def readable(self) -> dict[str, Any]:
        """Ask the service which events it reads, and since when its inbox remembers."""
        found: dict[str, Any] = answer_of(self.service.get("/replays"))
        return found

    def count(self, wanted: Wanted) -> int:
        """Ask the ledger how many events there are."""
        return int(answer_of(self.ledger.get("/records/count", params=wanted.query()))["count"])

    def pause(self, reason: str) -> int | None:
        """Pause the service's consumer; return the pause, None where it waits already, or reads nothing.

        Ends the command where it cannot be paused: what is new would come before what it missed.
        """
        body = {"what": "consumer", "name": self.name, "reason": reason}
        once = {"Idempotency-Key": new_id()}  # so that a pause whose answer was lost is known as ours
        answer = _patiently(lambda: self.service.post("/pauses", json=body, headers=once))
        waits = answer.status_code in (HTTPStatus.CONFLICT, HTTPStatus.UNPROCESSABLE_ENTITY)
        return None if waits else int(answer_of(answer)["id"])

    def paused_for(self, reason: str) -> int | None:
        """Return the pause that the consumer is in for this reason; None where it rests for another, or not at all."""
        resting = (each for each in everything(self.service, "/pauses") if each["what"] == "consumer")
        return next((int(each["id"]) for each in resting if each["reason"] == reason), None)

    def resume(self, pause: int) -> None:
        """Let the service's consumer go on, where nobody else has let it."""
        answer = self.service.delete(f"/pauses/{pause}")
        if answer.status_code != HTTPStatus.NOT_FOUND:
            answer_of(answer)

    def lag(self) -> int:
        """Ask the ledger how many events it has not read yet."""
        told = self.ledger.get("/metrics").raise_for_status().text.splitlines()
        return round(sum(float(line.rpartition(" ")[2]) for line in told if line.startswith("sliceline_consumer_lag{")))

    def sequences(self) -> Iterator[list[dict[str, Any]]]:
        """Yield the last sequences that the service has given, by the archive's account, page by page."""
        after: dict[str, str] = {}
        while True:
            page = answer_of(self.ledger.get("/sequences", params={"service": self.name, **after}))
            yield page["items"]
            if page["next"] is None:
                return
            after = {"after": page["next"]}

    def count_on(self, items: list[dict[str, Any]]) -> int:
        """Have the service count on from these; return for how many keys its tables had known less."""
        return int(answer_of(self.service.post("/replays/sequences", json={"items": items}))["behind"])


@contextmanager
def ends(service: str) -> Iterator[Ends]:
    """Open both ends; end the command when one of them is not there."""
    import httpx

    from cli.asking import client_of

    ledger, to = address_of("ledger"), address_of(service)
    with client_of(ledger, timeout=120) as archive, client_of(to, timeout=120) as client:
        try:
            yield Ends(archive, client, service)
        except httpx.HTTPError as error:
            fail(f"{error.request.url} does not answer ({error}). See: ./sliceline status")


def feed(
    both: Ends, wanted: Wanted, *, apply: bool, rate: float | None, tell: Callable[[int], None] = lambda _: None
) -> Counter[str]:
    """Feed the events in their order; return how many came to what. `rate`: events a second at most."""
    outcomes: Counter[str] = Counter()
    began, done = time.monotonic(), 0
    most = MOST if rate is None else max(1, min(MOST, round(rate)))
    for page in _pages(both.ledger, wanted, most):
        outcomes.update(_hand_over(both.service, page, apply=apply))
        done += page.count
        tell(done)
        if rate is not None:
            time.sleep(max(0.0, done / rate - (time.monotonic() - began)))
    return outcomes


def _pages(ledger: "httpx.Client", wanted: Wanted, most: int) -> Iterator[Page]:
    """Yield the pages; each is asked for while the one before is handed over."""

    def asked(after: str | None) -> Page:
        query = wanted.query(service=wanted.service, limit=most, after=after)
        answer = ledger.get("/records", params=query)
        answer_of(answer)
        return msgspec.json.decode(answer.content, type=Page)

    with ThreadPoolExecutor(1) as pool:
        coming: Future[Page] | None = pool.submit(asked, None)
        while coming is not None:
            page = coming.result()
            coming = pool.submit(asked, page.next) if page.next else None
            yield page


def _hand_over(service: "httpx.Client", page: Page, *, apply: bool) -> dict[str, int]:
    """Hand a page to the service."""
    body, kind = msgspec.json.encode(Replay(apply, page.events, page.published)), {"content-type": "application/json"}
    outcomes: dict[str, int] = answer_of(_patiently(lambda: service.post("/replays", content=body, headers=kind)))
    return outcomes


def _patiently(send: "Callable[[], httpx.Response]") -> "httpx.Response":
    """Ask a service, again while it is away for a moment."""
    import httpx

    until = time.monotonic() + PATIENCE
    while True:
        try:
            answer = send()
            if answer.status_code not in (429, 503) or time.monotonic() > until:
                return answer
        except httpx.TransportError:
            if time.monotonic() > until:
                raise
        time.sleep(AGAIN)


@contextmanager
def progress(what: str, total: int) -> Iterator[Callable[[int], None]]:
    """Show a bar on standard error; whoever is called tells it how many events are done."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    speed = TextColumn("{task.fields[rate]}", style="dim")
    with Progress(what, BarColumn(), MofNCompleteColumn(), speed, TimeElapsedColumn(), console=errors) as bar:
        task = bar.add_task("", total=total, rate="")

        def tell(done: int) -> None:
            rate = bar.tasks[0].finished_speed or bar.tasks[0].speed
            bar.update(task, completed=done, rate=f"{rate:,.0f}/s" if rate else "")

        yield tell

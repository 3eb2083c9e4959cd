"""Serves one client's connection: uvicorn's, with limits, refusals in our form, and an end that loses no request.

What cannot be a request is refused by an answer like any other: in its turn behind the answers to earlier requests of
the same connection, with a correlation id, counted, and as a problem document. After it the connection is closed.
"""

import asyncio
import time
from email.utils import formatdate
from enum import Enum, auto
from typing import Any, cast

import httptools
from starlette.types import ASGIApp
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from backbone.http.problems import Problem
from backbone.http.wire import framing, last_words, upgrades
from backbone.http.wire.presence import notice_when_gone
from backbone.http.wire.refusals import problem_of, refused_cycle, refusing
from backbone.http.wire.unframed import unframed

COMPLETE_WITHIN = 30.0
"""Seconds from the first byte of a request to its last: a client that takes longer holds a place for nothing."""

IDLE_GRACE = 1.0
"""Seconds that an idle connection of a process that stops stays open: a request may be on its way to it."""

PIECE = 2 * 1024
"""Bytes that are parsed at once. A client that waits for no answer has as many requests waiting as they hold."""

MOST_UNREAD = 64 * 1024
"""Bytes behind a request that waits for its turn, from which on no more are taken from the client."""


class State(ServerState):
    """Holds what the connections of a server share."""

    draining = False
    """The process stops: each connection ends with its next answer."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self._config = config
        self._second = 0
        self._headers: list[tuple[bytes, bytes]] = []

    @property
    def default_headers(self) -> list[tuple[bytes, bytes]]:
        """What every answer has, with the date of this second: made when it is asked for, not every second."""
        if self._second != (second := int(time.time())):
            self._second = second
            self._headers = [(b"date", formatdate(second, usegmt=True).encode()), *self._config.encoded_headers]
        return self._headers

    @default_headers.setter
    def default_headers(self, _: list[tuple[bytes, bytes]]) -> None:
        """Leave it: uvicorn's would be of one moment."""


class _Phase(Enum):
    BETWEEN = auto()
    HEAD = auto()
    BODY = auto()


class Connection(HttpToolsProtocol):
    """Speaks HTTP/1.1 with one client. `server_state` is a State."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._state = cast(State, self.server_state)
        self._phase = _Phase.BETWEEN
        self._running: RequestResponseCycle | None = None
        self._unread = bytearray()  # what came behind a request that waits for its turn
        self._is_last_if_early = False  # the answer under way, if it begins before its request is whole
        self._deaf = False  # nothing that comes from now on is looked at
        self._parting: last_words.HearingOut | None = None  # the last answer was given
        self._incomplete = 0  # bytes since a moment at which no request was incomplete: never less than a head has
        self._overhead = 0  # bytes of the request under way that are nothing of its body: never more than there were
        self._deadline: asyncio.TimerHandle | None = None

    # What the transport tells

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Wait for the first request as long as for a next one."""
        super().connection_made(transport)
        notice_when_gone(transport.get_extra_info("socket"))
        self._await_a_request()

    def connection_lost(self, exc: Exception | None) -> None:
        """Drop unanswered requests, and do not begin those that wait."""
        for cycle in (self._running, *(queued for queued, _ in self.pipeline)):
            if cycle is not None and not cycle.response_complete:
                _hang_up(cycle)
        self.pipeline.clear()
        self._deaf = True
        self._forget_deadline()
        super().connection_lost(exc)

    def eof_received(self) -> bool | None:  # type: ignore[override]
        """Go on answering a client that stopped sending; one that follows a stream counts as gone."""
        if self._is_idle() or (self._running and self._running.response_started):
            return None
        self._read_on(whole=True)
        if self._deaf:  # a refusal is the last answer
            return True
        if self._phase is not _Phase.BETWEEN:
            return None
        self._make_last(self.cycle)
        return True

    def data_received(self, data: bytes) -> None:
        """Parse what came (the hot path: it costs one look at a size and at what waits)."""
        if self._deaf:
            if self._parting:
                self._parting.hear()
        elif self.pipeline or len(data) > PIECE:
            self._unread += data
            self._read_on(whole=False)
        else:
            self._read(data)
        if self._state.draining and self.cycle is not None:
            self._make_last(self.cycle)

    def shutdown(self) -> None:
        """Let the answer under way be the last one, or the next one if it comes soon: the process stops."""
        self._read_on(whole=True)
        if self._parting:
            self._parting.hurry()
        elif self._phase is _Phase.BODY or not self._is_idle():
            self._make_last(self.cycle)
        elif self._phase is _Phase.BETWEEN:
            self._await_a_request()

    # Reading

    def _read_on(self, *, whole: bool) -> None:
        """Read what came piece by piece, until a request has to wait for its turn, or the whole of it.

        Bytes that wait take the room they take. Requests that wait take twenty times as much.
        """
        while self._unread and not self._deaf and (whole or not self.pipeline):
            piece = bytes(self._unread[:PIECE])
            del self._unread[:PIECE]
            self._read(piece)
        if self._deaf:
            self._unread.clear()
        elif len(self._unread) > MOST_UNREAD:
            self.flow.pause_reading()

    def _read(self, data: bytes) -> None:
        self._unset_keepalive_if_required()
        self._incomplete += len(data)
        before = self.headers
        wish = 0
        try:
            try:
                self.parser.feed_data(data)
            except httptools.HttpParserUpgrade as upgrade:
                wish = upgrade.args[0]
            if wish:  # not within the handler: an error would forget its own cause
                upgrades.read_on(self, data, wish)
        except httptools.HttpParserError as error:
            self._refuse(problem_of(error, data))
            return
        if self._phase is _Phase.BETWEEN:
            self._none_is_incomplete()
        else:
            self._await_the_rest(len(data) if self.headers is before else 0)

    # What the parser tells

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._phase = _Phase.HEAD
        self._overhead = 0

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header; trailers are left out, so that nobody takes them for headers (RFC 9110 6.5.1)."""
        if self._phase is _Phase.HEAD:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Begin the request. Raises Problem, which comes out of the parser as the cause of its error."""
        if self.parser.should_upgrade():
            upgrades.check(self.parser.get_method())
            return  # it is read once more
        if self._incomplete > framing.LARGEST_TARGET:
            framing.check_size(self.url, self.headers)
        version = self.parser.get_http_version()
        framing.check(version, self.parser.get_method(), self.url, self.headers)
        self.url = framing.origin_form(self.url)
        if version == "1.0":
            self.expect_100_continue = False  # it knows no such answer (RFC 9110 15.2)
        super().on_headers_complete()
        self._phase = _Phase.BODY
        self._overhead = 0
        if not self.cycle.keep_alive:
            self._make_last(self.cycle)
        if self.pipeline:
            self.flow.resume_reading()  # or nobody would notice that the client goes away

    def on_body(self, body: bytes) -> None:
        self._overhead -= 8 * len(body)  # each byte may come as a chunk of its own: "1", twice CR and LF, and itself
        super().on_body(body)

    def on_message_complete(self) -> None:
        if self._phase is _Phase.HEAD:
            return  # it is read once more
        self._phase = _Phase.BETWEEN
        super().on_message_complete()
        if self._is_last_if_early:
            self._is_last_if_early = False
            self._keep(self.cycle)

    # Answers

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._running = cycle
        super()._start_asgi_task(cycle, app if cycle.scope["http_version"] != "1.0" else unframed(app, cycle))

    def on_response_complete(self) -> None:
        """Begin the next request; after a last answer leave those that wait: the client knows that nothing follows."""
        if self._parting:
            self.pipeline.clear()
            return
        super().on_response_complete()
        if self._unread and not self.transport.is_closing():
            self._read_on(whole=False)
        if self._state.draining and self._is_idle() and not self.pipeline:
            self._await_a_request()

    def linger(self) -> None:
        """Close for writing now, and altogether when the client has closed as well, or sends nothing for a moment."""
        self._deaf = True
        self._unread.clear()
        self._forget_deadline()
        longest = last_words.LINGER if self._state.draining else last_words.LONGEST
        self._parting = last_words.HearingOut(self.transport, longest)
        if not self.transport.is_closing():
            self.flow.resume_reading()
            self.transport.write_eof()

    def _is_idle(self) -> bool:
        running = self._running
        return running is None or running.response_complete or running.disconnected

    def _make_last(self, cycle: RequestResponseCycle) -> None:
        cycle.keep_alive = False
        cycle.transport = cast(asyncio.Transport, last_words.LastWords(self.transport, self.linger))

    def _keep(self, cycle: RequestResponseCycle) -> None:
        """Keep the connection after a whole request, unless its answer came earlier."""
        if not cycle.response_started:
            cycle.keep_alive = True
            cycle.transport = self.transport

    # Refusals

    def _refuse(self, problem: Problem) -> None:
        self._deaf = True
        self._forget_deadline()
        if self._phase is _Phase.BODY and not self._give_up(self.cycle):
            self.transport.close()  # its answer has begun; nothing can be said any more
            return
        self._answer(refusing(problem, self.app))

    def _give_up(self, cycle: RequestResponseCycle) -> bool:
        """Tell whether a request that broke off in its body can still be answered; nobody goes on with it."""
        self.pipeline = type(self.pipeline)(each for each in self.pipeline if each[0] is not cycle)
        if not cycle.response_complete:
            _hang_up(cycle)
        return not cycle.response_started

    def _answer(self, app: ASGIApp) -> None:
        if self._phase is _Phase.BETWEEN:
            super().on_message_begin()
        cycle = refused_cycle(self)
        self._make_last(cycle)
        if self._is_idle():
            self._start_asgi_task(cycle, app)
        else:
            self.pipeline.appendleft((cycle, cast(Any, app)))

    # Patience

    def _none_is_incomplete(self) -> None:
        """Note that no request is incomplete; blank lines alone were none."""
        self._incomplete = 0
        self._forget_deadline()
        if self._is_idle():
            self._await_a_request()

    def _await_the_rest(self, more: int) -> None:
        """Note that `more` bytes belong to the same request as what came before; 0 when one has begun with these."""
        self._overhead += more
        if self._overhead > framing.LARGEST_HEAD:
            self._refuse(framing.too_large(self.url if self._phase is _Phase.HEAD else b""))
            return
        if not more:
            self._forget_deadline()
        if self._phase is _Phase.BODY and self.cycle.keep_alive and not self.cycle.response_started:
            self._is_last_if_early = True  # the client may leave out the rest, and nobody could tell (RFC 9110 10.1.1)
            self._make_last(self.cycle)
        if self._deadline is None:
            self._deadline = self.loop.call_later(COMPLETE_WITHIN, self._too_slow)

    def _too_slow(self) -> None:
        self._deadline = None
        if self.flow.read_paused or self.pipeline:  # the client waits for us
            self._await_the_rest(1)
            return
        detail = f"A request must be complete within {COMPLETE_WITHIN:g} s of its first byte."
        self._refuse(Problem(408, "Request timeout", detail))

    def _forget_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _await_a_request(self) -> None:
        self._unset_keepalive_if_required()
        patience = IDLE_GRACE if self._state.draining else self.timeout_keep_alive
        self.timeout_keep_alive_task = self.loop.call_later(patience, self.timeout_keep_alive_handler)


def _hang_up(cycle: RequestResponseCycle) -> None:
    cycle.disconnected = True
    cycle.message_event.set()

"""Notes what staff and operators do, and who was refused, for the log that `storage/audit.py` keeps.

Who it was is sealed before it is written, and so before it is hashed: a person is forgotten, and the chain stays whole.

A refusal comes from whoever likes, as often as he likes. The first of its kind in a minute is a row at once; those that
follow are counted, and are one row when the minute is over. A kind is who was refused what, with which status.
"""

import asyncio
from datetime import datetime

import msgspec

from backbone.observing.logs import logger
from backbone.running.pulse import describe
from backbone.sealing.sealing import Sealing
from backbone.storage import audit
from backbone.storage.database import Database, Tx
from backbone.values.sealed import is_sealed

NOBODY = "anonymous"
MOST_KINDS = 200
"""Kinds of refusal told apart in a minute; all others are counted together, so that nobody fills the disk."""
MOST_LATE = 1000
"""Acts kept in memory because they could not be written at once."""
PATIENCE = 2.0
"""Seconds that an answer waits for its row; what takes longer is written later."""
_MINUTE = 60

Kind = tuple[str, str, int]


class Act(msgspec.Struct, frozen=True, kw_only=True):
    """Is an act: who has done what, when, and what came of it."""

    at: datetime
    actor: str
    what: str
    """The route: POST /orders/{order}/refunds."""
    path: str
    outcome: str
    """done; begun, where it takes more than one transaction; refused; failed, where it may have been done."""
    status: int
    correlationid: str
    """What the act has led to carries it: events, logs, traces."""
    count: int = 1
    """How many of the kind since the row before of the same minute."""

    @property
    def kind(self) -> Kind:
        """What it is counted by."""
        return self.actor, self.what, self.status


def _outcome(status: int) -> str:
    if status < 400:
        return "done"
    return "refused" if status < 500 else "failed"


def entry_of(sealed: Act) -> str:
    """Write an act as it is kept, hashed and told."""
    return msgspec.json.encode(sealed).decode()


class Acts:
    """Writes down acts of one process."""

    def __init__(self, database: Database, sealing: Sealing) -> None:
        self._database = database
        self._sealing = sealing
        self._minute = 0
        self._more: dict[Kind, Act | None] = {}
        self._late: list[Act] = []

    def act(self, actor: str, what: str, path: str, status: int, correlationid: str, outcome: str | None = None) -> Act:
        """Describe what is done at this moment. What comes of it its status says, where nothing else does."""
        return Act(
            at=self._database.now(),
            actor=actor,
            what=what,
            path=path,
            outcome=outcome or _outcome(status),
            status=status,
            correlationid=correlationid,
        )

    async def sealed(self, act: Act) -> Act:
        """Return the act with its actor sealed. Raises KeysAway."""
        if act.actor == NOBODY or is_sealed(act.actor):
            return act
        seal = await self._sealing.seal_of(act.actor)
        return msgspec.structs.replace(act, actor=seal(act.actor))

    async def note(self, tx: Tx, *sealed: Act) -> None:
        """Write down acts in the transaction that does them; `tell_chaining` after its commit."""
        await audit.add(tx, map(entry_of, sealed))

    def tell_chaining(self) -> None:
        """Have what is committed get its place."""
        self._database.wakeups.noted()

    async def write(self, *acts: Act) -> None:
        """Write down acts in a transaction of their own. Raises KeysAway, and what the database raises."""
        sealed = [await self.sealed(each) for each in acts]
        async with self._database.transaction() as tx:
            await self.note(tx, *sealed)
        self.tell_chaining()

    async def write_soon(self, act: Act) -> None:
        """Write down an act now, or, where that cannot be done, as soon as it can."""
        try:
            async with asyncio.timeout(PATIENCE):
                await self.write(act)
        except Exception as error:
            logger.warning("an act is not written down yet", action="act-late", what=act.what, error=describe(error))
            self._keep(act)

    async def refuse(self, act: Act) -> None:
        """Count a refusal, and write down the first of its kind in this minute."""
        self._turn(act.at)
        if act.kind not in self._more and len(self._more) >= MOST_KINDS:
            act = msgspec.structs.replace(act, what="", path="")
        if act.kind in self._more:
            before = self._more[act.kind]
            self._more[act.kind] = msgspec.structs.replace(act, count=before.count + 1 if before else 1)
            return
        self._more[act.kind] = None
        logger.warning("a request was refused", action="request-refused", what=act.what, status=act.status)
        await self.write_soon(act)

    async def flush(self, *, all_of_them: bool = False) -> None:
        """Write down what was counted in a minute that is over, or until now, and what could not be written before."""
        self._turn(None if all_of_them else self._database.now())
        late, self._late = self._late, []
        if not late:
            return
        try:
            await self.write(*late)
        except BaseException:
            for each in late:
                self._keep(each)
            raise

    def _turn(self, now: datetime | None) -> None:
        minute = int(now.timestamp()) // _MINUTE if now else 0
        if minute != self._minute:
            counted, self._more, self._minute = self._more, {}, minute
            for each in filter(None, counted.values()):
                self._keep(each)

    def _keep(self, act: Act) -> None:
        if len(self._late) < MOST_LATE:
            self._late.append(act)
        else:
            logger.error("an act is not written down", action="act-lost", what=act.what, count=act.count)

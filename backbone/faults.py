"""Which errors pass by themselves (wait and try again) and which stay (park)."""

import asyncio
import sys
from collections.abc import Iterator

import asyncpg
from aiokafka.errors import KafkaError
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from backbone.errors import SlicelineError
from backbone.shares import Full


class CommitUnknown(SlicelineError):
    """The connection was lost while it committed: what was written may be there or not."""


# SQLSTATE classes, PostgreSQL manual appendix A: connection, transaction rollback (deadlock, serialization),
# insufficient resources, operator intervention, system error; and lock not available.
_PASSING_SQLSTATES = ("08", "40", "53", "57", "58", "55P03", "25P03")
_PASSING_TYPES = (
    OSError,
    asyncio.TimeoutError,
    KafkaError,
    PoolTimeout,
    Full,
    asyncpg.InterfaceError,
    # asyncpg's own state is muddled: seen on connections whose server has died, before they notice.
    asyncpg.InternalClientError,
)

# asyncpg calls these interface errors too, but they say that we sent something wrong.
_OUR_MISTAKES = (asyncpg.DataError, asyncpg.exceptions._base.DataError, asyncpg.ClientConfigurationError)


def is_passing(error: BaseException) -> bool:
    """True when the same work may succeed later without anybody changing anything."""
    return any(_passes(each) for each in _chain(error))


def is_locked_out(error: BaseException) -> bool:
    """True when somebody else held a lock for longer than we wait: nothing was done, and nothing is wrong with us."""
    return any(getattr(each, "sqlstate", None) == "55P03" for each in _chain(error))


def is_unknown(error: BaseException) -> bool:
    """True when what failed may have been done all the same."""
    return any(isinstance(each, CommitUnknown) for each in _chain(error))


def _passes(error: BaseException) -> bool:
    if isinstance(error, DBAPIError) and error.connection_invalidated:
        return True
    sqlstate = getattr(error, "sqlstate", None)
    if isinstance(sqlstate, str):
        return sqlstate.startswith(_PASSING_SQLSTATES)
    return isinstance(error, (*_PASSING_TYPES, *_of_http())) and not isinstance(error, _OUR_MISTAKES)


def _of_http() -> tuple[type[BaseException], ...]:
    """Only whoever calls others loads httpx; nobody else can have met its errors."""
    httpx = sys.modules.get("httpx")
    return (httpx.TransportError,) if httpx else ()


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """The error and what it wraps: SQLAlchemy's `orig`, and explicit causes."""
    while error is not None:
        yield error
        error = getattr(error, "orig", None) or error.__cause__

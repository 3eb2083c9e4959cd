"""Tells errors that pass by themselves (wait and try again) from those that stay (park)."""

import asyncio
import re
import sys
from collections.abc import Iterator, Mapping

import asyncpg
from aiokafka.errors import KafkaError
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from backbone.errors import SlicelineError
from backbone.running.shares import Full


class CommitUnknown(SlicelineError):
    """The connection was lost while it committed: what was written may be there or not."""


class CutOff(SlicelineError):
    """The process stopped before this had ended: what it had begun to write may be there or not."""


class OfOneAlone(SlicelineError):
    """What is lacking is lacking to one piece of work: it says nothing of others of its kind."""


# SQLSTATEs and their classes (two characters), PostgreSQL manual appendix A. What a server or its administrator has to
# mend says nothing about the event in hand, so it is waited out.
_PASSING_SQLSTATES = (
    "08",  # connection
    "25006",  # the server only reads: a standby, or default_transaction_read_only
    "25P03",  # idle in transaction for too long
    "25P04",  # the transaction took too long
    "28",  # not let in: a role or its password is being changed
    "3D000",  # the database is not there: it is being restored
    "40",  # transaction rollback: deadlock, serialization
    "53",  # insufficient resources
    "55006",  # an object is in use by somebody else
    "55P03",  # a lock is not available
    "57",  # operator intervention, and a statement that was cancelled or took too long
    "58",  # system error
    "XX000",  # internal error: met while others change the schema ("cache lookup failed")
)
_PASSING_TYPES = (
    OSError,
    asyncio.TimeoutError,
    KafkaError,
    PoolTimeout,
    Full,
    CutOff,
    # The schema has changed since the statement was prepared; asyncpg forgets its plans and prepares it anew.
    asyncpg.InvalidCachedStatementError,
    # asyncpg's own state is muddled: seen on connections whose server has died, before they notice.
    asyncpg.InternalClientError,
)

_OF_THE_DATABASE = (
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    DBAPIError,
    PoolTimeout,
    Full,
    CommitUnknown,
)

# asyncpg raises InterfaceError for what is called wrongly, and for what is called rightly on a connection that is gone
# or ends what was cut off. Only its words tell the two apart.
_CONNECTION_IS_GONE = re.compile(r"connection is closed|another operation is cancelling")

_PASSING_OF_CLIENTS = {"httpx": "TransportError", "aiosmtplib": "SMTPException"}

# What the server, or our patience, refused for lasting too long or taking too much. Half the work may fit.
_TOO_MUCH_SQLSTATES = ("25P03", "25P04", "53100", "53200", "53400", "55P03", "57014")

# Others were in the way: nothing is wrong with the session.
_CONTENTION_SQLSTATES = ("40", "55", "57014")


def is_passing(error: BaseException) -> bool:
    """Tell whether the same work may succeed later without anybody changing anything of ours."""
    return any(_passes(each) for each in _chain(error))


def is_outside(error: BaseException) -> bool:
    """Tell whether something outside is away: a passing fault that is not our database's, and not one job's alone."""
    chain = list(_chain(error))
    ours = (*_OF_THE_DATABASE, OfOneAlone, *_of_clients({"aiosmtplib": "SMTPRecipientsRefused"}))
    return is_passing(error) and not any(isinstance(each, ours) for each in chain)


def is_locked_out(error: BaseException) -> bool:
    """Tell whether somebody else held a lock for longer than we wait: nothing was done, nothing is wrong with us."""
    return any(getattr(each, "sqlstate", None) == "55P03" for each in _chain(error))


def is_unknown(error: BaseException) -> bool:
    """Tell whether what failed may have been done all the same."""
    return any(isinstance(each, (CommitUnknown, CutOff)) for each in _chain(error))


def may_be_too_much(error: BaseException) -> bool:
    """Tell whether a passing fault may come from how much was asked for at once: a timeout, or memory or disk."""
    return any(
        isinstance(each, TimeoutError) or getattr(each, "sqlstate", None) in _TOO_MUCH_SQLSTATES
        for each in _chain(error)
    )


def may_be_the_session(error: BaseException) -> bool:
    """Tell whether a passing fault may belong to the connection, so that only a new one is without it."""
    return is_passing(error) and not any(
        str(getattr(each, "sqlstate", None)).startswith(_CONTENTION_SQLSTATES) for each in _chain(error)
    )


def _passes(error: BaseException) -> bool:
    if isinstance(error, DBAPIError) and error.connection_invalidated:
        return True
    if isinstance(error, (*_PASSING_TYPES, *_of_clients(_PASSING_OF_CLIENTS))):
        return True
    if isinstance(error, asyncpg.InterfaceError):
        return bool(_CONNECTION_IS_GONE.search(str(error)))
    sqlstate = getattr(error, "sqlstate", None)
    return isinstance(sqlstate, str) and sqlstate.startswith(_PASSING_SQLSTATES)


def _of_clients(known: Mapping[str, str]) -> tuple[type[BaseException], ...]:
    """Return errors of clients, each of a library, if that is loaded: else nobody can have met one."""
    return tuple(getattr(sys.modules[name], error) for name, error in known.items() if name in sys.modules)


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """Yield the error and what it wraps: SQLAlchemy's `orig`, and explicit causes."""
    while error is not None:
        yield error
        error = getattr(error, "orig", None) or error.__cause__

import asyncpg
import httpx
import pytest
from aiokafka.errors import KafkaConnectionError, NotLeaderForPartitionError
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from backbone.errors import SlicelineError
from backbone.running.faults import is_outside, is_passing, may_be_too_much
from backbone.sealing.sealing import KeysAway


@pytest.mark.parametrize(
    "error",
    [
        ConnectionResetError(),
        ConnectionRefusedError(),
        TimeoutError(),
        asyncpg.DeadlockDetectedError(),
        asyncpg.SerializationError(),
        asyncpg.TooManyConnectionsError(),
        asyncpg.DiskFullError(),
        asyncpg.AdminShutdownError(),
        asyncpg.CannotConnectNowError(),
        asyncpg.ConnectionDoesNotExistError(),
        asyncpg.LockNotAvailableError(),
        asyncpg.IdleInTransactionSessionTimeoutError(),
        asyncpg.InvalidAuthorizationSpecificationError(),
        asyncpg.InvalidPasswordError(),
        asyncpg.InvalidCatalogNameError(),
        asyncpg.ReadOnlySQLTransactionError(),
        asyncpg.TransactionTimeoutError(),
        asyncpg.ObjectInUseError(),
        asyncpg.InternalServerError("cache lookup failed for type 16402"),
        asyncpg.InvalidCachedStatementError("cached statement plan is invalid"),
        asyncpg.OutdatedSchemaCacheError("the type has changed"),
        asyncpg.InterfaceError("connection is closed"),
        asyncpg.InterfaceError("cannot perform operation: connection is closed"),
        asyncpg.InterfaceError("cannot call Transaction.start(): the underlying connection is closed"),
        asyncpg.InterfaceError("cannot perform operation: another operation is cancelling"),
        asyncpg.InternalClientError("cannot switch to state 15; another operation (2) is in progress"),
        PoolTimeout(),
        KafkaConnectionError(),
        NotLeaderForPartitionError(),
        httpx.ConnectError("refused"),
        httpx.ReadTimeout("slow"),
    ],
    ids=repr,
)
def test_what_time_heals_passes(error: Exception) -> None:
    assert is_passing(error)


@pytest.mark.parametrize(
    "error",
    [
        ValueError(),
        KeyError("order"),
        RecursionError(),
        SlicelineError("ours"),
        asyncpg.UniqueViolationError(),
        asyncpg.CheckViolationError(),
        asyncpg.UndefinedTableError(),
        asyncpg.FeatureNotSupportedError("no such feature"),
        asyncpg.DataCorruptedError(),
        asyncpg.CharacterNotInRepertoireError(),
        asyncpg.InFailedSQLTransactionError(),
        asyncpg.InterfaceError("the server expects 1 argument for this query, 2 were passed"),
        asyncpg.InterfaceError("the number of query arguments cannot exceed 32767"),
        asyncpg.InterfaceError("cannot perform operation: another operation is in progress"),
        asyncpg.InterfaceError("cannot start; the transaction is already started"),
        asyncpg.UnsupportedClientFeatureError("no such feature"),
        asyncpg.DataError("the argument is no number"),
        asyncpg.exceptions._base.DataError("the argument is no number"),
        UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid"),
    ],
    ids=repr,
)
def test_what_no_waiting_mends_stays(error: Exception) -> None:
    assert not is_passing(error)


def test_what_is_wrapped_counts() -> None:
    deadlock = DBAPIError("UPDATE", {}, asyncpg.DeadlockDetectedError())
    assert is_passing(deadlock)
    assert not is_passing(IntegrityError("INSERT", {}, asyncpg.UniqueViolationError()))
    wrapped = RuntimeError("could not charge")
    wrapped.__cause__ = httpx.ConnectError("refused")
    assert is_passing(wrapped)


def test_a_connection_that_was_lost_passes_whatever_the_driver_says() -> None:
    assert is_passing(DBAPIError("SELECT", {}, ValueError(), connection_invalidated=True))


def test_an_error_that_only_happened_during_another_is_judged_by_itself() -> None:
    error = ValueError("a real mistake")
    error.__context__ = ConnectionResetError()
    assert not is_passing(error)


@pytest.mark.parametrize(
    "error",
    [
        TimeoutError(),
        asyncpg.QueryCanceledError("canceling statement due to statement timeout"),
        asyncpg.LockNotAvailableError("canceling statement due to lock timeout"),
        asyncpg.TransactionTimeoutError(),
        asyncpg.OutOfMemoryError(),
        asyncpg.DiskFullError(),
        DBAPIError("UPDATE", {}, asyncpg.QueryCanceledError()),
    ],
    ids=repr,
)
def test_what_took_too_long_or_too_much_may_have_been_too_large(error: Exception) -> None:
    assert is_passing(error)
    assert may_be_too_much(error)


@pytest.mark.parametrize("error", [asyncpg.DeadlockDetectedError(), ConnectionResetError(), PoolTimeout()], ids=repr)
def test_what_fails_at_any_size_was_not_too_large(error: Exception) -> None:
    assert not may_be_too_much(error)


def test_a_job_whose_data_key_cannot_be_had_says_nothing_of_the_others() -> None:
    away = KeysAway("orders does not answer")
    assert (is_passing(away), is_outside(away), is_outside(ConnectionError("the mail server"))) == (True, False, True)

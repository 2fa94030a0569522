"""What passes by itself, and what is a fault that no waiting mends."""

import sqlite3

import asyncpg
import pytest
from sqlalchemy.exc import DBAPIError, IntegrityError, InterfaceError, OperationalError, ProgrammingError

from app.domain.problems import NotFound, Unavailable
from app.storage.passing import is_passing


def wrapped(kind: type[DBAPIError], cause: BaseException) -> DBAPIError:
    """As SQLAlchemy raises what a driver raised."""
    error = kind("SELECT 1", None, cause)
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    "error",
    [
        ConnectionResetError("gone"),
        FileNotFoundError("the server's socket is not there"),
        TimeoutError(),
        Unavailable("the database does not answer"),
        asyncpg.CannotConnectNowError("starting up"),
        asyncpg.DeadlockDetectedError("deadlock detected"),
        asyncpg.InterfaceError("connection is closed"),
        wrapped(DBAPIError, asyncpg.AdminShutdownError("terminating connection")),
        wrapped(InterfaceError, asyncpg.InterfaceError("the underlying connection is closed")),
        wrapped(OperationalError, sqlite3.OperationalError("database is locked")),
    ],
)
def test_what_passes_is_tried_again(error: BaseException) -> None:
    assert is_passing(error)


@pytest.mark.parametrize(
    "error",
    [
        ValueError("ours"),
        KeyError("ours"),
        wrapped(IntegrityError, asyncpg.UniqueViolationError("there already")),
        wrapped(ProgrammingError, asyncpg.UndefinedTableError("no such table")),
        wrapped(InterfaceError, asyncpg.InterfaceError("another operation is in progress")),
    ],
)
def test_what_is_refused_is_not(error: BaseException) -> None:
    assert not is_passing(error)


def test_an_answer_that_was_found_after_an_outage_is_none() -> None:
    """Only what the database's own errors were raised from is looked into."""
    error = NotFound("batch", "b_1")
    error.__context__ = ConnectionResetError()
    assert not is_passing(error)

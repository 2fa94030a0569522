"""Which failures of a database pass by themselves: what failed may be tried again."""

import asyncpg
from sqlalchemy.exc import DBAPIError, OperationalError, SQLAlchemyError

from app.domain.problems import Unavailable

# Classes of PostgreSQL's SQLSTATE: no connection, rolled back for another transaction (a deadlock), no room,
# not ready for connections, shutting down.
_AWAY = ("08", "40", "53", "55", "57")
_BROKEN = (OSError, TimeoutError, Unavailable, asyncpg.InternalClientError)
_DATABASES_OWN = (SQLAlchemyError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)


def is_passing(error: BaseException) -> bool:
    """Whether a connection broke, the database is away, locked or full, or gave way to another transaction.

    Drivers wrap what happened; what other errors were raised from is not looked into.
    """
    seen: set[int] = set()
    waiting: list[BaseException | None] = [error]
    while waiting:
        one = waiting.pop()
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        if isinstance(one, _BROKEN) or _says_so(one):
            return True
        if isinstance(one, _DATABASES_OWN):
            waiting += [one.orig if isinstance(one, DBAPIError) else None, one.__cause__, one.__context__]
    return False


def _says_so(error: BaseException) -> bool:
    if str(getattr(error, "sqlstate", None) or "")[:2] in _AWAY:
        return True
    if isinstance(error, DBAPIError):
        return bool(error.connection_invalidated) or isinstance(error, OperationalError)
    # asyncpg has one class for a closed connection and for wrong use; only its words tell them apart.
    return isinstance(error, asyncpg.InterfaceError) and "clos" in str(error)

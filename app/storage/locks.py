"""Turns for transactions that read, decide and write."""

from sqlalchemy import Connection, func, select


def one_at_a_time(connection: Connection, key: int) -> None:
    """Wait until no other transaction holds ``key``, and hold it until this one ends.

    SQLite has one writer anyway, so there is nothing to wait for.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(select(func.pg_advisory_xact_lock(key)))

"""Which processes of the service live, so that the work of a dead one can be taken over."""

import os
import socket
from datetime import datetime, timedelta

from sqlalchemy import Connection, delete, insert, select, update

from app.storage.tables import processes
from app.storage.times import to_ms

SILENT_AFTER = timedelta(seconds=30)  # without a sign of life, a process on another machine is dead
BEAT_EVERY_S = 5.0


def enter(connection: Connection, process_id: int, now: datetime) -> None:
    """Put this process on record."""
    at = to_ms(now)
    row = {"id": process_id, "host": socket.gethostname(), "pid": os.getpid()}
    connection.execute(insert(processes).values(**row, started_at=at, seen_at=at))


def beat(connection: Connection, process_id: int, now: datetime) -> None:
    """Give a sign of life; a record that was removed meanwhile is written again."""
    seen = update(processes).where(processes.c.id == process_id).values(seen_at=to_ms(now))
    if connection.execute(seen).rowcount == 0:
        enter(connection, process_id, now)


def leave(connection: Connection, process_id: int) -> None:
    """Take this process off the record."""
    connection.execute(delete(processes).where(processes.c.id == process_id))


def living(connection: Connection, now: datetime) -> frozenset[int]:
    """Ids of processes that may still be at work.

    On this machine a process is known to be dead as soon as its pid is gone or is our own under
    another id (a restarted container); elsewhere when it has been silent for `SILENT_AFTER`.
    """
    silent_before = to_ms(now - SILENT_AFTER)
    rows = connection.execute(select(processes.c.id, processes.c.host, processes.c.pid, processes.c.seen_at))
    return frozenset(row.id for row in rows if row.seen_at >= silent_before and not gone(row.host, row.pid))


def gone(host: str, pid: int) -> bool:
    """Whether a process of this machine does not run any more; of another machine nobody can tell."""
    if host != socket.gethostname() or pid == os.getpid():
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False

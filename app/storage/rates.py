"""What is left of providers' allowances, for all processes: leased by one UPDATE, a second's worth at most.

An allowance flows in evenly, a little slower than the provider gives it, and no more than a moment's worth
gathers: so in no minute more is spent than allowed, even by the strictest way of counting. The last part
of what has gathered is kept for those who are urgent. Dollars are given once a day (UTC).

The statement is SQL text, as it reads better than its expression tree: row values on its right-hand side
are those before the update, in both databases.
"""

import os
import socket
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import BigInteger, Connection, Double, Text, TextClause, bindparam, text
from sqlalchemy.dialects import postgresql, sqlite

from app.domain.ids import content_id
from app.domain.rates import Granted, RateKind, Want
from app.storage.database import Database
from app.storage.projects import limits_of_projects
from app.storage.tables import rates
from app.storage.times import to_ms

FLOW = {RateKind.REQUESTS: 0.96, RateKind.TOKENS: 0.92}
"""Share of an allowance that flows in. With what may have gathered, 61.5 s of flow fit into a minute; what
tokens a call takes is known only afterwards."""

GATHERS_S = 1.5
RESERVE = 0.25  # of what may gather, for those who are urgent
SHRINK, LEAST_FACTOR = 0.8, 0.2
RECOVERS_PER_S = 0.02
ONE_SHRINK_MS = 2_000  # calls that were turned away together count once

MINUTE_MS, _DAY_MS = 60_000, 86_400_000

_LEFT = """
CASE WHEN :daily = 1 THEN {least}(:ceiling, CASE WHEN flowed_at < :day THEN :allowance ELSE level END)
     ELSE {least}(:gathers, :ceiling, level + {greatest}(0.0, :now - flowed_at) * :per_ms * factor) END
"""
_GRANTED = f"""
CASE WHEN :amount < 0.0 THEN :amount
     WHEN :daily = 1 AND {_LEFT} < :least THEN 0.0
     WHEN {_LEFT} > :reserve THEN {{greatest}}({{least}}(:amount, {_LEFT} - :reserve), :least)
     ELSE 0.0 END
"""
_LEASE = f"""
UPDATE rates SET
    granted = {_GRANTED},
    level = {_LEFT} - {_GRANTED},
    taken = taken + {_GRANTED},
    factor = {{least}}(1.0, factor + {{greatest}}(0.0, :now - flowed_at) * :recovers_per_ms),
    flowed_at = {{greatest}}(flowed_at, :now),
    allowance = :allowance
WHERE id = :id
RETURNING granted, level, factor
"""  # noqa: S608 - constants
_SHRUNK = """
CASE WHEN shrunk_at > :now - :one_shrink THEN factor ELSE {greatest}(:least_factor, factor * :shrink) END
"""
_SHRINK = f"""
UPDATE rates SET
    level = {{least}}(level, 0.0 - :pause_ms * :per_ms * {_SHRUNK}),
    factor = {_SHRUNK},
    shrunk_at = CASE WHEN shrunk_at > :now - :one_shrink THEN shrunk_at ELSE :now END,
    flowed_at = {{greatest}}(flowed_at, :now),
    turned_away = turned_away + 1
WHERE id = :id
"""  # noqa: S608 - constants
_NOTE = """
INSERT INTO rate_holders (id, rate_id, process_id, host, pid, minute, taken, taken_before, leased_at)
VALUES (:id, :rate_id, :process_id, :host, :pid, :minute, :taken, 0.0, :now)
ON CONFLICT (id) DO UPDATE SET
    taken_before = CASE WHEN rate_holders.minute = excluded.minute THEN rate_holders.taken_before
                        WHEN rate_holders.minute = excluded.minute - 1 THEN rate_holders.taken
                        ELSE 0.0 END,
    taken = CASE WHEN rate_holders.minute = excluded.minute THEN rate_holders.taken ELSE 0.0 END
            + excluded.taken,
    minute = excluded.minute,
    leased_at = excluded.leased_at
"""
_WHOLE = ("id", "now", "day", "daily", "one_shrink", "rate_id", "process_id", "pid", "minute")
_TEXTS = ("host",)
_WORDS = {
    "sqlite": {"least": "min", "greatest": "max"},
    "postgresql": {"least": "least", "greatest": "greatest"},
}
_UNBOUNDED = 1e18
_STATEMENTS: dict[tuple[str, str], TextClause] = {}


class SharedRates:
    """The allowances in one database. ``now`` is for tests: PostgreSQL's own clock counts, for all alike."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def lease(
        self, scope: str, wants: Sequence[Want], *, urgent: bool, now: datetime | None = None
    ) -> list[Granted]:
        """Give of each want what is there, less the reserve if it is not ``urgent``."""

        def work(connection: Connection) -> list[Granted]:
            at = now_ms(connection, now)
            # In one order everywhere, or two processes would wait for each other.
            given = {w.kind: _lease(connection, scope, w, urgent, at) for w in sorted(wants, key=_by_kind)}
            for kind, granted in given.items():
                if granted.amount:
                    _note(connection, self._db.process_id, _id_of(scope, kind), granted.amount, at)
            return [given[want.kind] for want in wants]

        return await self._db.alone(work)

    async def shrink(
        self,
        scope: str,
        kinds: Sequence[tuple[RateKind, float]],
        *,
        pause_s: float,
        now: datetime | None = None,
    ) -> None:
        """Let less flow for a while, and nothing for ``pause_s``; ``kinds`` come with their allowances."""

        def work(connection: Connection) -> None:
            at = now_ms(connection, now)
            for kind, allowance in sorted(kinds):
                connection.execute(
                    _statement(connection, _SHRINK),
                    {
                        "id": _id_of(scope, kind),
                        "now": at,
                        "pause_ms": 1000.0 * pause_s,
                        "per_ms": _per_ms(kind, allowance),
                        "one_shrink": ONE_SHRINK_MS,
                        "least_factor": LEAST_FACTOR,
                        "shrink": SHRINK,
                    },
                )

        await self._db.alone(work)

    async def of_projects(self) -> dict[int, Mapping[RateKind, float]]:
        """What the calls of each project that has limits of its own may take in a minute."""
        found = await limits_of_projects(self._db)
        kinds = {
            key: {RateKind.REQUESTS: one.requests_per_minute, RateKind.TOKENS: one.tokens_per_minute}
            for key, one in found.items()
        }
        return {
            key: {kind: limit for kind, limit in limits.items() if limit is not None}
            for key, limits in kinds.items()
        }


def _lease(connection: Connection, scope: str, want: Want, urgent: bool, at: int) -> Granted:
    daily = want.kind is RateKind.DOLLARS
    per_ms = 0.0 if daily else _per_ms(want.kind, want.allowance)
    gathers = want.allowance if daily else 1000.0 * GATHERS_S * per_ms
    reserve = 0.0 if urgent or daily else RESERVE * gathers
    given = {
        "id": _id_of(scope, want.kind),
        "now": at,
        "day": at - at % _DAY_MS,
        "daily": int(daily),
        "allowance": want.allowance,
        "per_ms": per_ms,
        "gathers": gathers,
        "reserve": reserve,
        "amount": want.amount,
        "least": want.least,
        "ceiling": _UNBOUNDED if want.ceiling is None else want.ceiling,
        "recovers_per_ms": RECOVERS_PER_S / 1000.0,
    }
    statement = _statement(connection, _LEASE)
    row = connection.execute(statement, given).one_or_none()
    if row is None:
        _begin(connection, scope, want, gathers, at)
        row = connection.execute(statement, given).one()
    if daily:
        wait = (_DAY_MS - at % _DAY_MS) / 1000.0
    else:
        wait = max(0.0, reserve - row.level) / (1000.0 * per_ms * row.factor)
    return Granted(want.kind, row.granted, wait)


def _note(connection: Connection, process_id: int, rate_id: int, amount: float, at: int) -> None:
    """Keep in mind who took how much, for those who run the service."""
    row = {
        "id": content_id("holder", rate_id, process_id),
        "rate_id": rate_id,
        "process_id": process_id,
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "minute": at // MINUTE_MS,
        "taken": amount,
        "now": at,
    }
    connection.execute(_statement(connection, _NOTE), row)


def _begin(connection: Connection, scope: str, want: Want, gathers: float, at: int) -> None:
    row = {
        "id": _id_of(scope, want.kind),
        "scope": scope,
        "kind": want.kind.value,
        "allowance": want.allowance,
        "level": gathers,
        "factor": 1.0,
        "granted": 0.0,
        "taken": 0.0,
        "flowed_at": at,
        "shrunk_at": 0,
    }
    dialect = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
    connection.execute(dialect(rates).values(row).on_conflict_do_nothing())


def _statement(connection: Connection, template: str) -> TextClause:
    key = (connection.dialect.name, template)
    if key not in _STATEMENTS:
        statement = text(template.format(**_WORDS[connection.dialect.name]))
        names = statement.compile().params
        kinds: dict[str, Any] = {**dict.fromkeys(_WHOLE, BigInteger()), **dict.fromkeys(_TEXTS, Text())}
        types = [bindparam(name, type_=kinds.get(name, Double())) for name in names]
        _STATEMENTS[key] = statement.bindparams(*types)
    return _STATEMENTS[key]


def now_ms(connection: Connection, now: datetime | None) -> int:
    """The moment of the lease; on PostgreSQL its own clock, as those of several machines differ."""
    if now is not None:
        return to_ms(now)
    if connection.dialect.name == "sqlite":
        return to_ms(datetime.now(UTC))
    return int(connection.execute(text("SELECT extract(epoch FROM clock_timestamp()) * 1000")).scalar_one())


def _id_of(scope: str, kind: RateKind) -> int:
    return content_id("rate", scope, kind)


def _per_ms(kind: RateKind, allowance: float) -> float:
    return FLOW[kind] * allowance / 60_000.0


def _by_kind(want: Want) -> str:
    return want.kind.value

"""How the judges have been doing lately: calls, failures, latency, cost."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
from sqlalchemy import Connection, func, select

from app.domain.judging import JudgeVersion, UnscoredReason
from app.storage.catalog import judge_version_id
from app.storage.database import Database
from app.storage.judge_versions import judge_of
from app.storage.ledger import REASONS, SCORED
from app.storage.tables import judge_versions, replies, tallies
from app.storage.times import from_ms, to_ms


@dataclass(frozen=True, slots=True)
class JudgeHealth:
    """One judge version: its recent calls and how many verdicts it has given in all.

    Latencies are milliseconds over recent answered seats, None without any. ``cost_usd`` is the sum
    of recent calls. ``verdicts`` counts rows ever recorded, imported ones included, by whether and
    why they are unscored.
    """

    id: int
    judge: JudgeVersion
    first_seen_at: datetime
    calls: int
    unscored: dict[UnscoredReason, int]
    latency_p50_ms: float | None
    latency_p95_ms: float | None
    cost_usd: float
    last_call_at: datetime | None
    verdicts: int
    unscored_verdicts: int

    @property
    def unscored_rate(self) -> float | None:
        """Share of recent calls that gave no score; None without calls."""
        return sum(self.unscored.values()) / self.calls if self.calls else None


async def judge_health(
    db: Database, project_id: int, *, since: datetime, most_calls: int = 1000
) -> tuple[JudgeHealth, ...]:
    """Health of every judge version of the project, over at most its last ``most_calls`` since then."""

    def read(connection: Connection) -> tuple[JudgeHealth, ...]:
        counts = _counts(connection, project_id)
        versions = connection.execute(
            select(judge_versions)
            .where(judge_versions.c.project_id == project_id)
            .order_by(judge_versions.c.name, judge_versions.c.created_at, judge_versions.c.id)
        ).all()
        return tuple(
            _health(connection, row, counts.get(row.id, (0, 0)), to_ms(since), most_calls) for row in versions
        )

    return await db.read(read)


async def typical_output(
    db: Database, project_id: int, judges: Iterable[JudgeVersion], *, calls: int = 200
) -> dict[JudgeVersion, float]:
    """Tokens that a judge's scored replies took on average, over its last ``calls``; without any, it is left
    out."""

    def read(connection: Connection) -> dict[JudgeVersion, float]:
        found = {}
        for judge in judges:
            recent = connection.execute(
                select(replies.c.output_tokens, replies.c.attempts)
                .where(replies.c.judge_version_id == judge_version_id(project_id, judge))
                .where(replies.c.unscored == SCORED, replies.c.output_tokens > 0)
                .order_by(replies.c.answered_at.desc())
                .limit(calls)
            ).all()
            if recent:
                attempts = sum(max(row.attempts, 1) for row in recent)
                found[judge] = sum(row.output_tokens for row in recent) / attempts
        return found

    return await db.read(read)


def _counts(connection: Connection, project_id: int) -> dict[int, tuple[int, int]]:
    missing = func.sum(tallies.c.verdicts).filter(tallies.c.unscored != SCORED)
    rows = connection.execute(
        select(tallies.c.judge_version_id, func.sum(tallies.c.verdicts), func.coalesce(missing, 0))
        .where(tallies.c.project_id == project_id)
        .group_by(tallies.c.judge_version_id)
    )
    return {judge: (int(total), int(unscored)) for judge, total, unscored in rows}


def _health(
    connection: Connection, row: Any, counts: tuple[int, int], since: int, most_calls: int
) -> JudgeHealth:
    recent = connection.execute(
        select(replies.c.unscored, replies.c.latency_ms, replies.c.cost_usd, replies.c.answered_at)
        .where(replies.c.judge_version_id == row.id, replies.c.answered_at >= since)
        .where(replies.c.from_grade_id.is_(None))  # no call was made for those
        .order_by(replies.c.answered_at.desc())
        .limit(most_calls)
    ).all()
    latencies = np.array([call.latency_ms for call in recent if call.unscored == SCORED and call.latency_ms])
    failures = [REASONS[call.unscored] for call in recent if call.unscored != SCORED]
    return JudgeHealth(
        id=row.id,
        judge=judge_of(row),
        first_seen_at=from_ms(row.created_at),
        calls=len(recent),
        unscored={reason: failures.count(reason) for reason in sorted(set(failures))},
        latency_p50_ms=float(np.quantile(latencies, 0.5)) if latencies.size else None,
        latency_p95_ms=float(np.quantile(latencies, 0.95)) if latencies.size else None,
        cost_usd=sum(call.cost_usd for call in recent),
        last_call_at=from_ms(recent[0].answered_at) if recent else None,
        verdicts=counts[0],
        unscored_verdicts=counts[1],
    )

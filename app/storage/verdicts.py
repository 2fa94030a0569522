"""Verdicts of seats: appended when a judge has answered, also when it gave no score."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, update

from app.domain.judging import Reply, Score, Seat, UnscoredReason
from app.domain.rubrics import RubricKind
from app.storage import tables
from app.storage.assignments import PENDING, AssignedGrade
from app.storage.catalog import in_canonical_order, judge_version_id
from app.storage.database import Database
from app.storage.ledger import CODE, SCORED, TALLIES, VERDICTS, tally_of
from app.storage.rubrics import criterion_ids
from app.storage.statements import Insert, Row, Update
from app.storage.times import to_ms
from app.storage.words import storable
from app.storage.writer import Rows, merge


class GradeStatus(StrEnum):
    """Where a grade stands."""

    PENDING = PENDING
    COMPLETE = "complete"
    PARTIAL = "partial"
    FAILED = "failed"


REPLIES = Insert(tables.replies, tuple(column.name for column in tables.replies.columns))
_CLOSE = Update(tables.grades, ("status", "answered", "finished_at", "id"), only_if=f"status = '{PENDING}'")
_CALL = Update(tables.callbacks, ("due_at", "grade_id"))


async def record_replies(
    db: Database,
    grade: AssignedGrade,
    replies: Sequence[tuple[Seat, Reply]],
    *,
    now: datetime,
) -> None:
    """Make replies durable: per seat one row of what the call took, and its verdicts.

    A seat's verdicts are one row per criterion and answer (one per criterion for a pair); where the
    reply has no score for one, that row is unscored. A second reply of a seat is an IntegrityError.
    """
    await db.submit(reply_rows(grade, replies, now))


async def record_outcome(
    db: Database,
    grade: AssignedGrade,
    replies: Sequence[tuple[Seat, Reply]],
    status: GradeStatus,
    *,
    now: datetime,
    answered: Mapping[str, Any] | None = None,
    callback: bool = False,
    more: Rows | None = None,
) -> None:
    """`record_replies` and `finish_grade` in one submission, as every ordinary grade ends.

    ``callback`` says that the grade has one, which becomes due; ``more`` is recorded with it.
    """
    rows = reply_rows(grade, replies, now) | closing_rows(grade, status, now, answered)
    merge(rows, more or {})
    if callback:
        rows[_CALL] = [(to_ms(now), grade.id)]
    await db.submit(rows)


def closing_rows(
    grade: AssignedGrade, status: GradeStatus, now: datetime, answered: Mapping[str, Any] | None
) -> dict[Insert, list[Row]]:
    """Rows that close a pending grade, with what was derived for the caller."""
    text = None if answered is None else json.dumps(answered)
    return {_CLOSE: [(status.value, text, to_ms(now), grade.id)]}


async def finish_grade(
    db: Database,
    project_id: int,
    grade_id: int,
    status: GradeStatus,
    *,
    now: datetime,
    answered: Mapping[str, Any] | None = None,
) -> bool:
    """Close a pending grade, keeping what was derived for the caller; False if it was closed already.

    Its callback, if it has one, becomes due.
    """
    grades, callbacks, at = tables.grades.c, tables.callbacks.c, to_ms(now)
    close = (
        update(tables.grades)
        .where(grades.id == grade_id, grades.project_id == project_id, grades.status == PENDING)
        .values(status=status, finished_at=at, answered=None if answered is None else json.dumps(answered))
    )
    call = update(tables.callbacks).where(callbacks.grade_id == grade_id).values(due_at=at)

    def finish(connection: Connection) -> bool:
        closed = connection.execute(close).rowcount == 1
        if closed:
            connection.execute(call)
        return closed

    return await db.write(finish)


def reply_rows(
    grade: AssignedGrade, replies: Sequence[tuple[Seat, Reply]], now: datetime
) -> dict[Insert, list[Row]]:
    """Rows of replies and of their verdicts, for one submission (see `record_replies`)."""
    rows: dict[Insert, list[Row]] = {REPLIES: [], VERDICTS: [], TALLIES: []}
    at = to_ms(now)
    for seat, reply in replies:
        rows[REPLIES].append(_reply_row(grade, seat, reply, at))
        if reply.reused_from is not None:  # counted where it was given
            continue
        for verdict, tally in _verdict_rows(grade, seat, reply, at):
            rows[VERDICTS].append(verdict)
            rows[TALLIES].append(tally)
    return rows


def _reply_row(grade: AssignedGrade, seat: Seat, reply: Reply, at: int) -> Row:
    unscored, usage = reply.unscored, reply.usage
    return (
        grade.id,
        seat.position,
        grade.project_id,
        judge_version_id(grade.project_id, seat.judge),
        SCORED if unscored is None else CODE[unscored.reason],
        None if unscored is None else storable(unscored.detail),
        None if reply.rationale is None else storable(reply.rationale),
        reply.latency_ms,
        usage.cost_usd,
        usage.input_tokens,
        usage.cached_tokens,
        usage.output_tokens,
        usage.attempts,
        reply.cached,
        at,
        *(reply.reused_from or (None, None)),
    )


def _verdict_rows(grade: AssignedGrade, seat: Seat, reply: Reply, at: int) -> Iterable[tuple[Row, Row]]:
    """One (verdict, tally) per criterion and answer of this seat."""
    project, judge = grade.project_id, judge_version_id(grade.project_id, seat.judge)
    missing = CODE[reply.unscored.reason if reply.unscored else UnscoredReason.UNPARSABLE]
    scores = {(score.criterion, score.answer): score for score in reply.scores}
    for criterion, criterion_key in criterion_ids(project, grade.rubric.rubric).items():
        for shown in _presentations(grade, seat):
            score = scores.get((criterion, shown.answer))
            value, expected = _signed(score, shown.sign)
            unscored = SCORED if score is not None else missing
            verdict = (
                project,
                grade.rubric.id,
                criterion_key,
                judge,
                grade.item_id,
                shown.answer_id,
                shown.other_answer_id,
                shown.system_id,
                shown.other_system_id,
                grade.id,
                seat.position,
                None,
                None,
                1,
                shown.place,
                value,
                expected,
                unscored,
                seat.judge.simulated,
                seat.inclusion_probability,
                at,
            )
            yield (
                verdict,
                tally_of(
                    project_id=project,
                    criterion_id=criterion_key,
                    judge_version_id=judge,
                    system_id=shown.system_id,
                    other_system_id=shown.other_system_id,
                    place=shown.place,
                    unscored=unscored,
                    value=value,
                ),
            )


@dataclass(frozen=True, slots=True)
class _Shown:
    """One answer (or the pair) as a seat saw it; ``sign`` turns the caller's order of a pair into ours."""

    answer: int
    answer_id: int
    system_id: int
    other_answer_id: int | None
    other_system_id: int | None
    place: int
    sign: int


def _presentations(grade: AssignedGrade, seat: Seat) -> Iterable[_Shown]:
    if grade.rubric.rubric.kind is RubricKind.PAIRWISE:
        first, second = grade.answers
        straight = in_canonical_order(first, second)
        ours, theirs = (first, second) if straight else (second, first)
        place = seat.order.index(0 if straight else 1)
        sign = 1 if straight else -1
        yield _Shown(0, ours.id, ours.system_id, theirs.id, theirs.system_id, place, sign)
        return
    for index, answer in enumerate(grade.answers):
        yield _Shown(index, answer.id, answer.system_id, None, None, seat.order.index(index), 1)


def _signed(score: Score | None, sign: int) -> tuple[float | None, float | None]:
    if score is None:
        return None, None
    expected = None if score.expected is None else sign * score.expected
    return sign * float(score.value), expected

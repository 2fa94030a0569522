"""Verdicts that the same judges gave on the same texts before, for callers who allow their use."""

import json
from collections.abc import Iterable
from typing import Any

from sqlalchemy import Connection, select

from app.domain.judging import Reply
from app.storage.assignments import AssignedGrade
from app.storage.catalog import judge_version_id
from app.storage.database import Database
from app.storage.grades import replies_of
from app.storage.ledger import SCORED
from app.storage.tables import grades, replies, seats

Seen = tuple[int, tuple[int, ...]]
"""A judge version and the answers in the order shown."""


async def earlier_replies(db: Database, wanted: Iterable[AssignedGrade]) -> dict[int, dict[Seen, Reply]]:
    """By grade of ``wanted``: what was said of its item and answers under its rubric's version before.

    Replies that were themselves taken from an earlier seat are left out: those come by their source.
    """
    by_item: dict[int, list[AssignedGrade]] = {}
    for grade in wanted:
        by_item.setdefault(grade.item_id, []).append(grade)
    if not by_item:
        return {}
    g, s, r = grades.c, seats.c, replies.c
    query = (
        select(g.id, g.item_id, g.rubric_version_id, g.answer_ids, s.position, s.judge_version_id, s.shown)
        .join_from(grades, seats, s.grade_id == g.id)
        .join(replies, (r.grade_id == s.grade_id) & (r.position == s.position))
        .where(g.item_id.in_(list(by_item)), r.unscored == SCORED, r.from_grade_id.is_(None))
        .order_by(g.id)
    )

    def work(connection: Connection) -> dict[int, dict[Seen, Reply]]:
        found: dict[int, dict[Seen, Reply]] = {}
        for row in connection.execute(query).all():
            for grade in by_item[row.item_id]:
                if _same_question(grade, row):
                    _add(connection, found.setdefault(grade.id, {}), grade, row)
        return found

    return await db.read(work)


def seen_by(project_id: int, grade: AssignedGrade, seat: Any) -> Seen:
    """What a seat of the grade sees, as `earlier_replies` names it."""
    shown = tuple(grade.answers[place].id for place in seat.order)
    return judge_version_id(project_id, seat.judge), shown


def _same_question(grade: AssignedGrade, row: Any) -> bool:
    same = sorted(json.loads(row.answer_ids)) == sorted(answer.id for answer in grade.answers)
    return bool(same and row.rubric_version_id == grade.rubric.id and row.id != grade.id)


def _add(connection: Connection, found: dict[Seen, Reply], grade: AssignedGrade, row: Any) -> None:
    answers = json.loads(row.answer_ids)
    seen = (row.judge_version_id, tuple(answers[place] for place in json.loads(row.shown)))
    if seen not in found:
        found[seen] = reused(replies_of(connection, grade, row.id)[row.position], (row.id, row.position))


def reused(reply: Reply, source: tuple[int, int]) -> Reply:
    """The reply as a seat has it that takes it from another: it took no call and cost nothing."""
    return Reply(scores=reply.scores, rationale=reply.rationale, cached=True, reused_from=source)

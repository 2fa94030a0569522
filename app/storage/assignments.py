"""Assignments: who judges what, in which order, with which chance. Committed before any judge is called."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from app.domain.items import Item
from app.domain.judging import Assignment, Seat
from app.domain.rubrics import RubricVersion
from app.storage import tables
from app.storage.catalog import AnswerRef, Catalog
from app.storage.database import Database
from app.storage.statements import Insert, Row
from app.storage.times import to_ms

GRADES = Insert(
    tables.grades,
    (
        "id",
        "project_id",
        "rubric_version_id",
        "item_id",
        "answer_ids",
        "seed",
        "families",
        "request",
        "status",
        "process_id",
        "created_at",
        "batch_id",
    ),
)
SEATS = Insert(
    tables.seats,
    (
        "grade_id",
        "position",
        "project_id",
        "judge_version_id",
        "shown",
        "inclusion_probability",
        "replaces",
        "created_at",
    ),
)
SECOND_STAGES = Insert(
    tables.second_stages,
    (
        "grade_id",
        "project_id",
        "chance",
        "asked",
        "width",
        "gap",
        "seats",
        "position",
        "created_at",
    ),
)
CALLBACKS = Insert(tables.callbacks, ("grade_id", "project_id", "url", "attempts"))

PENDING = "pending"


@dataclass(frozen=True, slots=True)
class AssignedGrade:
    """A grade whose assignment is on record: what recording its verdicts needs.

    ``answers`` are in the caller's order.
    """

    id: int
    project_id: int
    rubric: RubricVersion
    item_id: int
    answers: tuple[AnswerRef, ...]


async def record_assignment(
    db: Database,
    *,
    grade_id: int,
    project_id: int,
    rubric: RubricVersion,
    item: Item,
    assignment: Assignment,
    now: datetime,
    request: Mapping[str, Any] | None = None,
    callback_url: str | None = None,
) -> AssignedGrade:
    """Make an assignment durable, with its item, answers and seats, in one submission.

    ``request`` is what else the caller asked (JSON-ready, without the texts) and comes back with the
    grade. A ``callback_url`` becomes due when the grade is finished.

    Raises
    ------
    ItemConflict
        If the item's id already stands for another prompt.
    BadInput
        If a name cannot be stored.
    """
    catalog = Catalog(project_id, to_ms(now))
    assigned = put_assignment(
        catalog,
        grade_id=grade_id,
        process_id=db.process_id,
        rubric=rubric,
        item=item,
        assignment=assignment,
        request=request,
    )
    if callback_url is not None:
        catalog.put(CALLBACKS, (grade_id, project_id, callback_url, 0))
    await db.submit(catalog.rows)
    return assigned


def put_assignment(
    catalog: Catalog,
    *,
    grade_id: int,
    process_id: int,
    rubric: RubricVersion,
    item: Item,
    assignment: Assignment,
    request: Mapping[str, Any] | None = None,
    batch_id: int | None = None,
) -> AssignedGrade:
    """Add the rows of an assignment to ``catalog``; it is on record once these are committed.

    Raises
    ------
    BadInput
        If a name cannot be stored.
    """
    project_id = catalog.project_id
    key = catalog.item(
        external_id=item.item_id,
        prompt=item.prompt,
        context=item.context,
        reference=item.reference,
        strata=item.strata,
    )
    answers = tuple(
        catalog.answer(key, system=a.system, text=a.text, family=a.family, model=a.model)
        for a in item.answers
    )
    catalog.put(
        GRADES,
        (
            grade_id,
            project_id,
            rubric.id,
            key,
            json.dumps([answer.id for answer in answers]),
            str(assignment.seed),
            json.dumps(dict(assignment.families_drawn_from)),
            json.dumps(dict(request or {})),
            PENDING,
            process_id,
            catalog.at,
            batch_id,
        ),
    )
    for seat in assignment.seats:
        catalog.put(SEATS, _seat_row(catalog, grade_id, seat))
    return AssignedGrade(grade_id, project_id, rubric, key, answers)


async def record_replacement(db: Database, grade: AssignedGrade, seat: Seat, *, now: datetime) -> None:
    """Make a replacement seat durable; ``seat.replaces`` is the position of the failed one."""
    await db.submit(replacement_rows(grade, seat, now=now))


def replacement_rows(grade: AssignedGrade, seat: Seat, *, now: datetime) -> dict[Insert, list[Row]]:
    """The rows of a replacement seat, for one submission."""
    catalog = Catalog(grade.project_id, to_ms(now))
    catalog.put(SEATS, _seat_row(catalog, grade.id, seat))
    return catalog.rows


async def record_second(db: Database, grade: AssignedGrade, assignment: Assignment, *, now: datetime) -> None:
    """Make a second stage durable that has just been drawn, with its seats if they are asked."""
    await db.submit(second_rows(grade, assignment, now=now))


def second_rows(grade: AssignedGrade, assignment: Assignment, *, now: datetime) -> dict[Insert, list[Row]]:
    """The rows of a second stage, for one submission."""
    second = assignment.second
    assert second is not None  # it has just been drawn
    catalog = Catalog(grade.project_id, to_ms(now))
    catalog.put(
        SECOND_STAGES,
        (
            grade.id,
            grade.project_id,
            second.chance,
            second.asked,
            second.width,
            second.gap,
            second.seats,
            second.position,
            catalog.at,
        ),
    )
    for seat in assignment.seats:
        if seat.position >= second.position:
            catalog.put(SEATS, _seat_row(catalog, grade.id, seat))
    return catalog.rows


def _seat_row(catalog: Catalog, grade_id: int, seat: Seat) -> Row:
    return (
        grade_id,
        seat.position,
        catalog.project_id,
        catalog.judge(seat.judge),
        json.dumps(seat.order),
        seat.inclusion_probability,
        seat.replaces,
        catalog.at,
    )

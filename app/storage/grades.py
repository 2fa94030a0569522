"""Grades as they stand: loaded whole, and found again when the process that made them died."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, select, update

from app.domain.items import Answer, Item
from app.domain.judging import Assignment, Reply, Score, Seat, SecondStage, Unscored, Usage
from app.domain.rubrics import Rubric, RubricKind, RubricVersion
from app.storage import processes, tables
from app.storage.assignments import PENDING, AssignedGrade
from app.storage.catalog import AnswerRef, in_canonical_order
from app.storage.database import Database
from app.storage.judge_versions import judge_of
from app.storage.ledger import REASONS, SCORED
from app.storage.rubrics import criterion_ids
from app.storage.times import from_ms, maybe_from_ms
from app.storage.verdicts import GradeStatus


@dataclass(frozen=True, slots=True)
class StoredGrade:
    """A grade with everything on record about it.

    ``replies`` maps a seat's position to what came of it; a seat without one was never answered.
    ``judge_version_ids`` is in the order of the assignment's seats (replacements come last).
    ``request`` and ``answered`` are what `record_assignment` and `finish_grade` were given.
    """

    assigned: AssignedGrade
    item: Item
    assignment: Assignment
    replies: Mapping[int, Reply]
    status: GradeStatus
    created_at: datetime
    finished_at: datetime | None
    request: Mapping[str, Any]
    answered: Mapping[str, Any] | None
    judge_version_ids: tuple[int, ...]
    callback_url: str | None


async def load_grade(db: Database, project_id: int, grade_id: int) -> StoredGrade | None:
    """The grade of that id, if the project has it."""
    return await db.read(lambda c: _load(c, project_id, grade_id))


async def load_grades(db: Database, project_id: int, grade_ids: Sequence[int]) -> tuple[StoredGrade, ...]:
    """Those of the grades that the project has, in the order asked, on one snapshot."""

    def work(connection: Connection) -> tuple[StoredGrade, ...]:
        found = (_load(connection, project_id, grade_id) for grade_id in grade_ids)
        return tuple(grade for grade in found if grade is not None)

    return await db.read(work)


async def take_over_grades(db: Database, *, now: datetime, limit: int = 100) -> tuple[tuple[int, int], ...]:
    """Make unfinished grades of dead processes ours; returns (project id, grade id) of each.

    A grade is taken by one process only. To finish one, load it, record `Unscored` replies for the
    seats without any (or ask their judges again) and call `finish_grade`.
    """
    grades = tables.grades.c

    def take(connection: Connection) -> tuple[tuple[int, int], ...]:
        alive = processes.living(connection, now) | {db.process_id}
        abandoned = (
            select(grades.id, grades.project_id)
            .where(grades.status == PENDING, grades.process_id.not_in(alive), grades.batch_id.is_(None))
            .order_by(grades.id)
            .limit(limit)
            .with_for_update(skip_locked=True)
        )
        found = [(row.project_id, row.id) for row in connection.execute(abandoned)]
        ours = update(tables.grades).where(grades.id.in_([grade for _, grade in found]))
        connection.execute(ours.values(process_id=db.process_id))
        return tuple(found)

    return await db.write(take)


def _load(connection: Connection, project_id: int, grade_id: int) -> StoredGrade | None:
    grades, versions = tables.grades, tables.rubric_versions
    row = connection.execute(
        select(
            grades,
            versions.c.version,
            versions.c.content,
            tables.callbacks.c.url,
            *(column.label(f"second_{column.name}") for column in tables.second_stages.c),
        )
        .join(versions, versions.c.id == grades.c.rubric_version_id)
        .outerjoin(tables.callbacks, tables.callbacks.c.grade_id == grades.c.id)
        .outerjoin(tables.second_stages, tables.second_stages.c.grade_id == grades.c.id)
        .where(grades.c.id == grade_id, grades.c.project_id == project_id)
    ).one_or_none()
    if row is None:
        return None
    answers, refs = _answers(connection, json.loads(row.answer_ids))
    rubric = RubricVersion(row.rubric_version_id, row.version, Rubric.from_json(row.content))
    assigned = AssignedGrade(grade_id, project_id, rubric, row.item_id, refs)
    seats, judges = _seats(connection, grade_id)
    return StoredGrade(
        assigned=assigned,
        item=_item(connection, row.item_id, answers),
        assignment=Assignment(int(row.seed), seats, json.loads(row.families), second=_second(row)),
        replies=replies_of(connection, assigned, grade_id),
        status=GradeStatus(row.status),
        created_at=from_ms(row.created_at),
        finished_at=maybe_from_ms(row.finished_at),
        request=json.loads(row.request),
        answered=None if row.answered is None else json.loads(row.answered),
        judge_version_ids=judges,
        callback_url=row.url,
    )


def _answers(connection: Connection, ids: Sequence[int]) -> tuple[tuple[Answer, ...], tuple[AnswerRef, ...]]:
    answers, systems, texts = tables.answers.c, tables.systems.c, tables.texts.c
    rows = connection.execute(
        select(answers.id, answers.system_id, systems.name, systems.family, systems.model, texts.body)
        .join_from(tables.answers, tables.systems, answers.system_id == systems.id)
        .outerjoin(tables.texts, answers.text_id == texts.id)
        .where(answers.id.in_(ids))
    )
    by_id = {row.id: row for row in rows}
    found = [by_id[key] for key in ids]
    return (
        tuple(Answer(row.name, _decoded(row.body) or "", row.family, row.model) for row in found),
        tuple(AnswerRef(row.id, row.system_id, row.name) for row in found),
    )


def _item(connection: Connection, item_id: int, answers: tuple[Answer, ...]) -> Item:
    prompt, context, reference = (tables.texts.alias(name) for name in ("prompt", "context", "reference"))
    items, strata = tables.items.c, tables.strata.c
    row = connection.execute(
        select(
            items.external_id,
            prompt.c.body.label("prompt"),
            context.c.body.label("context"),
            reference.c.body.label("reference"),
        )
        .outerjoin(prompt, prompt.c.id == items.prompt_text_id)
        .outerjoin(context, context.c.id == items.context_text_id)
        .outerjoin(reference, reference.c.id == items.reference_text_id)
        .where(items.id == item_id)
    ).one()
    groups = connection.execute(
        select(strata.name, strata.value)
        .join(tables.item_strata, tables.item_strata.c.stratum_id == strata.id)
        .where(tables.item_strata.c.item_id == item_id)
        .order_by(strata.name)
    )
    return Item(
        prompt=_decoded(row.prompt) or "",
        answers=answers,
        item_id=row.external_id,
        context=_decoded(row.context),
        reference=_decoded(row.reference),
        strata={group.name: group.value for group in groups},
    )


def _seats(connection: Connection, grade_id: int) -> tuple[tuple[Seat, ...], tuple[int, ...]]:
    seats, judges = tables.seats, tables.judge_versions
    rows = connection.execute(
        select(seats, judges.c.name, judges.c.family, judges.c.model)
        .add_columns(judges.c.params, judges.c.prompt_version, judges.c.simulated)
        .join_from(seats, judges, judges.c.id == seats.c.judge_version_id)
        .where(seats.c.grade_id == grade_id)
        .order_by(seats.c.position)
    ).all()
    return tuple(_seat(row) for row in rows), tuple(row.judge_version_id for row in rows)


def _second(row: Any) -> SecondStage | None:
    if row.second_grade_id is None:
        return None
    return SecondStage(
        chance=row.second_chance,
        asked=bool(row.second_asked),
        width=row.second_width,
        gap=row.second_gap,
        seats=row.second_seats,
        position=row.second_position,
    )


def _seat(row: Any) -> Seat:
    return Seat(
        position=row.position,
        judge=judge_of(row),
        order=tuple(json.loads(row.shown)),
        inclusion_probability=row.inclusion_probability,
        replaces=row.replaces,
    )


def replies_of(connection: Connection, grade: AssignedGrade, grade_id: int) -> dict[int, Reply]:
    """Replies by position of the seats of ``grade_id``, whose answers are those of ``grade``."""
    scores = _scores(connection, grade, grade_id)
    rows = connection.execute(select(tables.replies).where(tables.replies.c.grade_id == grade_id)).all()
    # Verdicts used once more stand where they were given.
    sources = {row.from_grade_id for row in rows if row.from_grade_id is not None}
    given = {source: _scores(connection, grade, source) for source in sources}
    found = {}
    for row in rows:
        own = scores.get(row.position, ())
        taken = given[row.from_grade_id].get(row.from_position, ()) if row.from_grade_id is not None else own
        found[row.position] = _reply(row, taken)
    return found


def _scores(connection: Connection, grade: AssignedGrade, grade_id: int) -> dict[int, tuple[Score, ...]]:
    """Scores by position of the seats of ``grade_id``, in the caller's order of answers of ``grade``."""
    names = {key: name for name, key in criterion_ids(grade.project_id, grade.rubric.rubric).items()}
    place = {answer.id: index for index, answer in enumerate(grade.answers)}
    pair = grade.rubric.rubric.kind is RubricKind.PAIRWISE
    sign = -1 if pair and not in_canonical_order(*grade.answers) else 1
    verdicts = tables.verdicts.c
    rows = connection.execute(
        select(
            verdicts.position, verdicts.criterion_id, verdicts.answer_id, verdicts.value, verdicts.expected
        )
        .where(verdicts.grade_id == grade_id, verdicts.unscored == SCORED)
        .order_by(verdicts.id)
    )
    found: dict[int, tuple[Score, ...]] = {}
    for row in rows:
        expected = None if row.expected is None else sign * row.expected
        answer = 0 if pair else place[row.answer_id]
        score = Score(names[row.criterion_id], answer, sign * row.value, expected)
        found[row.position] = (*found.get(row.position, ()), score)
    return found


def _reply(row: Any, scores: tuple[Score, ...]) -> Reply:
    unscored = None if row.unscored == SCORED else Unscored(REASONS[row.unscored], row.detail or "")
    usage = Usage(row.input_tokens, row.cached_tokens, row.output_tokens, row.cost_usd, row.attempts)
    return Reply(
        scores=scores,
        unscored=unscored,
        rationale=row.rationale,
        usage=usage,
        latency_ms=row.latency_ms,
        cached=bool(row.cached),
        reused_from=None if row.from_grade_id is None else (row.from_grade_id, row.from_position),
    )


def _decoded(body: bytes | None) -> str | None:
    return None if body is None else bytes(body).decode("utf-8", "surrogatepass")

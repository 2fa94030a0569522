"""What a project has and what happened in it lately: the counts and heads of lists that pages show."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, distinct, func, select

from app.domain.calibration import RunStatus
from app.domain.ids import earliest_id
from app.domain.rubrics import Rubric, RubricVersion
from app.storage.database import Database
from app.storage.paging import Page, page_of, read_number_cursor
from app.storage.rubrics import criterion_ids
from app.storage.tables import anchor_sets as sets
from app.storage.tables import (
    answers,
    calibrations,
    grades,
    human_verdicts,
    imports,
    items,
    judge_versions,
    rubric_versions,
    rubrics,
    systems,
    tallies,
)
from app.storage.times import from_ms, maybe_from_ms, to_ms

MOST_COUNTED = 10_000


@dataclass(frozen=True, slots=True)
class GradeHead:
    """A grade without what its seats said. ``item`` is the caller's own id, None if it gave none."""

    id: int
    rubric: str
    item: str | None
    systems: tuple[str, ...]
    status: str
    created_at: datetime
    finished_at: datetime | None


@dataclass(frozen=True, slots=True)
class ImportHead:
    """An import of recorded verdicts. ``status`` is running, done or failed."""

    id: int
    rubric: str
    status: str
    sha256: str
    verdicts: int
    duplicates: int
    contradictions: int
    started_at: datetime
    finished_at: datetime | None


@dataclass(frozen=True, slots=True)
class CalibrationHead:
    """A calibration run without its model."""

    id: int
    rubric: str
    criterion: str
    status: RunStatus
    created_at: datetime
    finished_at: datetime | None
    rubric_version: int | None
    counts: Mapping[str, int]
    simulated: bool
    refusals: tuple[str, ...]
    error: str | None


@dataclass(frozen=True, slots=True)
class CriterionCounts:
    """Rows on one criterion: verdicts of real and of simulated judges, judges, human grades."""

    verdicts: int
    simulated_verdicts: int
    judges: int
    human_grades: int


@dataclass(frozen=True, slots=True)
class Standing:
    """A project at one moment.

    ``counts`` and ``newest``, ``newest_done`` are by (rubric, criterion); the latter two hold the newest
    run of any status and the newest that is done. ``grades`` counts the newest grades since the moment
    asked for by status, at most `MOST_COUNTED` of them.
    """

    rubrics: tuple[RubricVersion, ...]
    counts: Mapping[tuple[str, str], CriterionCounts]
    newest: Mapping[tuple[str, str], CalibrationHead]
    newest_done: Mapping[tuple[str, str], CalibrationHead]
    anchor_sets: Mapping[str, int]
    grades: Mapping[str, int]
    imports: Mapping[str, int]
    imported: int
    systems: int


async def standing(db: Database, project_id: int, *, since: datetime) -> Standing:
    """What the project has; ``since`` bounds the grades that are counted."""
    return await db.read(lambda c: _standing(c, project_id, since))


async def list_grades(
    db: Database, project_id: int, *, limit: int, cursor: str | None = None
) -> Page[GradeHead]:
    """The project's grades, newest first."""
    query = (
        select(grades, rubrics.c.name.label("rubric"), items.c.external_id)
        .join(rubric_versions, rubric_versions.c.id == grades.c.rubric_version_id)
        .join(rubrics, rubrics.c.id == rubric_versions.c.rubric_id)
        .join(items, items.c.id == grades.c.item_id)
        .where(grades.c.project_id == project_id)
        .order_by(grades.c.id.desc())
        .limit(limit + 1)
    )
    before = read_number_cursor(cursor)
    if before is not None:
        query = query.where(grades.c.id < before)

    def read(connection: Connection) -> tuple[GradeHead, ...]:
        rows = connection.execute(query).all()
        named = _systems_of(connection, {key for row in rows for key in json.loads(row.answer_ids)})
        return tuple(
            GradeHead(
                id=row.id,
                rubric=row.rubric,
                item=row.external_id,
                systems=tuple(named[key] for key in json.loads(row.answer_ids)),
                status=row.status,
                created_at=from_ms(row.created_at),
                finished_at=maybe_from_ms(row.finished_at),
            )
            for row in rows
        )

    return page_of(await db.read(read), limit, lambda grade: grade.id)


async def list_imports(
    db: Database, project_id: int, *, limit: int, cursor: str | None = None
) -> Page[ImportHead]:
    """The project's imports of recorded verdicts, newest first."""
    query = (
        select(imports, rubrics.c.name.label("rubric"))
        .join(rubrics, rubrics.c.id == imports.c.rubric_id)
        .where(imports.c.project_id == project_id)
        .order_by(imports.c.id.desc())
        .limit(limit + 1)
    )
    before = read_number_cursor(cursor)
    if before is not None:
        query = query.where(imports.c.id < before)

    def read(connection: Connection) -> tuple[ImportHead, ...]:
        return tuple(
            ImportHead(
                id=row.id,
                rubric=row.rubric,
                status=row.status,
                sha256=row.sha256,
                verdicts=row.verdicts,
                duplicates=row.duplicates,
                contradictions=row.contradictions,
                started_at=from_ms(row.started_at),
                finished_at=maybe_from_ms(row.finished_at),
            )
            for row in connection.execute(query)
        )

    return page_of(await db.read(read), limit, lambda one: one.id)


def _standing(connection: Connection, project_id: int, since: datetime) -> Standing:
    latest = _latest_rubrics(connection, project_id)
    newest, done = _runs(connection, project_id)
    ended = (
        select(imports.c.status, func.count(), func.sum(imports.c.verdicts))
        .where(imports.c.project_id == project_id)
        .group_by(imports.c.status)
    )
    imported = [(status, int(count), int(rows)) for status, count, rows in connection.execute(ended)]
    per_rubric = (
        select(rubrics.c.name, func.count())
        .join_from(sets, rubrics, rubrics.c.id == sets.c.rubric_id)
        .where(sets.c.project_id == project_id)
        .group_by(rubrics.c.name)
    )
    return Standing(
        rubrics=latest,
        counts=_counts(connection, project_id, latest),
        newest=newest,
        newest_done=done,
        anchor_sets={name: int(count) for name, count in connection.execute(per_rubric)},
        grades=_grades(connection, project_id, since),
        imports={status: count for status, count, _ in imported},
        imported=sum(rows for status, _, rows in imported if status == "done"),
        systems=connection.execute(
            select(func.count()).select_from(systems).where(systems.c.project_id == project_id)
        ).scalar_one(),
    )


def _latest_rubrics(connection: Connection, project_id: int) -> tuple[RubricVersion, ...]:
    rows = connection.execute(
        select(rubric_versions.c.id, rubric_versions.c.version, rubric_versions.c.content)
        .join(rubrics, rubrics.c.id == rubric_versions.c.rubric_id)
        .where(rubrics.c.project_id == project_id, rubric_versions.c.version == rubrics.c.latest_version)
        .order_by(rubrics.c.name)
    )
    return tuple(RubricVersion(row.id, row.version, Rubric.from_json(row.content)) for row in rows)


def _counts(
    connection: Connection, project_id: int, latest: tuple[RubricVersion, ...]
) -> dict[tuple[str, str], CriterionCounts]:
    t, h = tallies.c, human_verdicts.c
    judged = connection.execute(
        select(
            t.criterion_id,
            func.sum(t.verdicts).filter(judge_versions.c.simulated.is_(False)),
            func.sum(t.verdicts).filter(judge_versions.c.simulated.is_(True)),
            func.count(distinct(t.judge_version_id)),
        )
        .join_from(tallies, judge_versions, judge_versions.c.id == t.judge_version_id)
        .where(t.project_id == project_id)
        .group_by(t.criterion_id)
    )
    verdicts = {key: (int(real or 0), int(simulated or 0), judges) for key, real, simulated, judges in judged}
    found = {}
    for version in latest:
        name = version.rubric.name
        for criterion, key in criterion_ids(project_id, version.rubric).items():
            people = select(func.count()).where(h.criterion_id == key, h.removed_in.is_(None))
            human = connection.execute(people).scalar_one()
            found[name, criterion] = CriterionCounts(*verdicts.get(key, (0, 0, 0)), human_grades=human)
    return found


def _runs(
    connection: Connection, project_id: int
) -> tuple[dict[tuple[str, str], CalibrationHead], dict[tuple[str, str], CalibrationHead]]:
    runs = calibrations.c
    mine = runs.project_id == project_id
    groups = (runs.rubric_id, runs.criterion)
    wanted = {
        key
        for query in (
            select(func.max(runs.id)).where(mine).group_by(*groups),
            select(func.max(runs.id)).where(mine, runs.status == RunStatus.DONE).group_by(*groups),
        )
        for key in connection.execute(query).scalars()
    }
    heads = select(
        *(runs.id, runs.criterion, runs.status, runs.created_at, runs.finished_at),
        *(runs.snapshot, runs.refusals, runs.error, rubrics.c.name.label("rubric")),
    ).join_from(calibrations, rubrics, rubrics.c.id == runs.rubric_id)
    newest: dict[tuple[str, str], CalibrationHead] = {}
    done: dict[tuple[str, str], CalibrationHead] = {}
    for row in connection.execute(heads.where(runs.id.in_(wanted)).order_by(runs.id)):
        snapshot = json.loads(row.snapshot)
        head = CalibrationHead(
            id=row.id,
            rubric=row.rubric,
            criterion=row.criterion,
            status=RunStatus(row.status),
            created_at=from_ms(row.created_at),
            finished_at=maybe_from_ms(row.finished_at),
            rubric_version=snapshot.get("rubric_version"),
            counts=snapshot.get("counts", {}),
            simulated=bool(snapshot.get("simulated", False)),
            refusals=tuple(json.loads(row.refusals)),
            error=row.error,
        )
        newest[head.rubric, head.criterion] = head
        if head.status is RunStatus.DONE:
            done[head.rubric, head.criterion] = head
    return newest, done


def _grades(connection: Connection, project_id: int, since: datetime) -> dict[str, int]:
    recent = (
        select(grades.c.status)
        .where(grades.c.project_id == project_id, grades.c.id >= earliest_id(to_ms(since)))
        .order_by(grades.c.id.desc())
        .limit(MOST_COUNTED)
        .subquery()
    )
    rows = connection.execute(select(recent.c.status, func.count()).group_by(recent.c.status))
    return {status: int(count) for status, count in rows}


def _systems_of(connection: Connection, ids: set[int]) -> dict[int, str]:
    rows = connection.execute(
        select(answers.c.id, systems.c.name)
        .join_from(answers, systems, systems.c.id == answers.c.system_id)
        .where(answers.c.id.in_(ids))
    )
    return {row.id: row.name for row in rows}

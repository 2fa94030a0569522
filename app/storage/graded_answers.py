"""Answers (or pairs) that people graded, in whatever set: some to look through, and their grades."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, case, func, or_, select

from app.domain.anchors import SIMULATED_PEOPLE
from app.domain.rubrics import RubricVersion
from app.storage.columns import is_one_of
from app.storage.database import Database
from app.storage.quarantine import is_quarantined
from app.storage.rubrics import criterion_ids
from app.storage.tables import annotators, human_verdicts, systems


@dataclass(frozen=True, slots=True)
class GradedAnswer:
    """An anchor by its answers' ids; ``other_answer_id`` is None for an answer alone."""

    answer_id: int
    other_answer_id: int | None


@dataclass(frozen=True, slots=True)
class PeoplesGrade:
    """People's mean grade of an anchor on one criterion, of pairs signed for the first answer."""

    criterion: str
    mean: float
    grades: int
    simulated: bool


async def graded_answers(
    db: Database,
    project_id: int,
    rubric: RubricVersion,
    *,
    item_ids: Sequence[int] = (),
    system_names: Sequence[str] = (),
    most: int,
) -> tuple[GradedAnswer, ...]:
    """At most ``most`` anchors of the rubric: those of these items first, then of these systems, then the
    newest. Ones that an audit put aside are none."""
    h = human_verdicts.c
    keys = list(criterion_ids(project_id, rubric.rubric).values())
    of_systems = select(systems.c.id).where(
        systems.c.project_id == project_id, systems.c.name.in_(list(system_names))
    )
    near = case(
        (h.item_id.in_(list(item_ids)), 0),
        (or_(h.system_id.in_(of_systems), h.other_system_id.in_(of_systems)), 1),
        else_=2,
    )
    query = (
        select(h.answer_id, h.other_answer_id)
        .where(h.criterion_id.in_(keys), h.removed_in.is_(None), ~is_quarantined())
        .group_by(h.answer_id, h.other_answer_id)
        .order_by(func.min(near), func.max(h.recorded_at).desc(), h.answer_id, h.other_answer_id)
        .limit(most)
    )
    return await db.read(
        lambda c: tuple(GradedAnswer(row.answer_id, row.other_answer_id) for row in c.execute(query))
    )


async def peoples_grades(
    db: Database, project_id: int, rubric: RubricVersion, anchors: Sequence[GradedAnswer]
) -> dict[GradedAnswer, tuple[PeoplesGrade, ...]]:
    """The grades of these anchors, by criterion in the rubric's order."""
    names = {key: name for name, key in criterion_ids(project_id, rubric.rubric).items()}
    place = {name: k for k, name in enumerate(names.values())}
    h = human_verdicts.c

    def read(connection: Connection) -> dict[GradedAnswer, tuple[PeoplesGrade, ...]]:
        some = is_one_of(connection, h.answer_id, [one.answer_id for one in anchors])
        made_up = func.sum(case((annotators.c.type == SIMULATED_PEOPLE, 1), else_=0))
        rows = connection.execute(
            select(h.answer_id, h.other_answer_id, h.criterion_id, func.avg(h.value), func.count(), made_up)
            .join(annotators, annotators.c.id == h.annotator_id)
            .where(h.criterion_id.in_(list(names)), h.removed_in.is_(None), ~is_quarantined(), some)
            .group_by(h.answer_id, h.other_answer_id, h.criterion_id)
        )
        found: dict[GradedAnswer, list[PeoplesGrade]] = {}
        for answer, other, criterion, mean, count, simulated in rows:
            grade = PeoplesGrade(names[criterion], float(mean), int(count), bool(simulated))
            found.setdefault(GradedAnswer(answer, other), []).append(grade)
        return {
            one: tuple(sorted(found[one], key=lambda grade: place[grade.criterion]))
            for one in anchors
            if one in found
        }

    return await db.read(read)

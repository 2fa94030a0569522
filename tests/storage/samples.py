"""Small inputs that storage tests share."""

from collections.abc import Sequence
from datetime import datetime
from random import Random

from app.domain.anchors import HumanVerdict, Pairing, Provenance, RecordedVerdict
from app.domain.ids import new_id
from app.domain.items import Answer, Item
from app.domain.judging import Assignment, JudgeVersion, Reply, Score, Seat, Usage
from app.domain.rubrics import Criterion, Rubric, RubricKind, RubricVersion, Scale
from app.storage.anchors import add_anchor_version
from app.storage.assignments import AssignedGrade, record_assignment
from app.storage.database import Database
from app.storage.imports import open_import
from app.storage.rubrics import put_rubric
from app.storage.verdicts import record_replies

FIVE = Scale(1, 5)
_RNG = Random(20261122)
_BY_KIND = {kind: f"by {kind}" for kind in RubricKind}


def rubric_of(
    kind: RubricKind = RubricKind.POINTWISE,
    *,
    name: str | None = None,
    instructions: str = "Judge with care.",
    criteria: Sequence[str] = ("quality",),
    scale: Scale = FIVE,
) -> Rubric:
    """A rubric of that kind; its name is ``by <kind>`` unless given."""
    parts = tuple(Criterion(criterion, f"the {criterion}", scale) for criterion in criteria)
    return Rubric(name or _BY_KIND[kind], kind, instructions, parts)


async def rubric_in(db: Database, project_id: int, now: datetime, rubric: Rubric) -> RubricVersion:
    """That rubric, stored."""
    return (await put_rubric(db, project_id, rubric, now=now))[0]


def judge(name: str = "j1", family: str = "f1", *, simulated: bool = False) -> JudgeVersion:
    """A judge version."""
    return JudgeVersion(family, name, f"{name}-model", prompt_version="p1", simulated=simulated)


def seats_of(*judges: JudgeVersion, orders: Sequence[tuple[int, ...]] = ((0,),)) -> Assignment:
    """An assignment of these judges, taking the orders in turn."""
    seats = tuple(
        Seat(position, one, orders[position % len(orders)], 0.5) for position, one in enumerate(judges)
    )
    return Assignment(seed=2**70 + 1, seats=seats, families_drawn_from={one.family: 1 for one in judges})


def grade_id(now: datetime) -> int:
    """A fresh id."""
    return new_id(int(now.timestamp() * 1000), _RNG)


async def assigned(
    db: Database,
    project_id: int,
    rubric: RubricVersion,
    item: Item,
    assignment: Assignment,
    now: datetime,
    *,
    callback_url: str | None = None,
) -> AssignedGrade:
    """A grade with its assignment on record."""
    return await record_assignment(
        db,
        grade_id=grade_id(now),
        project_id=project_id,
        rubric=rubric,
        item=item,
        assignment=assignment,
        now=now,
        callback_url=callback_url,
    )


def reply(*values: float, criterion: str = "quality", expected: float | None = None) -> Reply:
    """A reply that gives the k-th answer the k-th value on one criterion."""
    scores = tuple(Score(criterion, answer, value, expected) for answer, value in enumerate(values))
    usage = Usage(input_tokens=100, cached_tokens=20, output_tokens=10, cost_usd=0.002, attempts=1)
    return Reply(scores=scores, rationale="because", usage=usage, latency_ms=250.0)


async def graded(
    db: Database,
    project_id: int,
    rubric: RubricVersion,
    item: Item,
    assignment: Assignment,
    replies: Sequence[Reply],
    now: datetime,
) -> AssignedGrade:
    """A grade whose seats have all replied."""
    grade = await assigned(db, project_id, rubric, item, assignment, now)
    await record_replies(db, grade, list(zip(assignment.seats, replies, strict=True)), now=now)
    return grade


def one_answer(
    item_id: str | None = "i1", *, prompt: str = "Why?", text: str = "Because it is so.", system: str = "bot"
) -> Item:
    """An item with one answer."""
    return Item(prompt, (Answer(system, text, family="fam"),), item_id=item_id)


def human(
    about: Pairing, value: float, *, annotator: str = "ann", criterion: str = "quality"
) -> HumanVerdict:
    """An expert's verdict."""
    return HumanVerdict(about, criterion, value, Provenance(annotator, "expert"))


def recorded(
    about: Pairing, value: float | None, *, by: str = "j1", draw: int = 1, order: int | None = None
) -> RecordedVerdict:
    """A judge's verdict from elsewhere."""
    return RecordedVerdict(about, "quality", by, f"family of {by}", value, draw=draw, order=order)


async def imported(
    db: Database,
    project_id: int,
    rubric: RubricVersion,
    verdicts: Sequence[RecordedVerdict],
    now: datetime,
    *,
    sha256: str = "file",
) -> None:
    """Those verdicts, imported."""
    async with await open_import(db, project_id, rubric=rubric, sha256=sha256, now=now) as sink:
        await sink.add(verdicts)
        await sink.finish(now=now)


async def anchored(
    db: Database,
    project_id: int,
    rubric: RubricVersion,
    verdicts: Sequence[HumanVerdict],
    now: datetime,
    *,
    name: str = "anchors",
    sha256: str = "file",
) -> None:
    """Those human verdicts, added to an anchor set."""
    await add_anchor_version(
        db, project_id, rubric=rubric, name=name, verdicts=verdicts, sha256=sha256, now=now
    )

"""Grades: the newest ones, and everything on record about one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Annotated

from fastapi import APIRouter, Query
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from app.access.keys import Caller
from app.auditing.similar_anchors import SimilarAnchor, similar_anchors
from app.calibration.explain import Explained
from app.domain.calibration import CalibratedScore
from app.domain.ids import read_id, show_id
from app.domain.judging import SecondStage
from app.domain.projects import Scope
from app.domain.rubrics import Criterion, RubricKind
from app.grading.results import Grade, PanelSummary, SeatOutcome, scored
from app.reporting.activity import GradeHead, recent_grades
from app.reporting.contributions import contributions
from app.web.callers import needs
from app.web.pages.addresses import url
from app.web.pages.anchors_beside import AnchorLine, anchor_lines
from app.web.pages.charts import axis_mark, axis_over, interval_mark, share_bar, step_mark
from app.web.pages.grade_tables import grade_tables
from app.web.pages.page import HEADERS, may, show
from app.web.pages.tables import FileKind, Files, TableName, as_file, files
from app.web.pages.words import (
    NONE,
    SCORE_MARKS,
    Mark,
    count,
    duration,
    interval,
    level_name,
    moment,
    money,
    number,
    percent,
    sentence,
)
from app.web.services import Served

router = APIRouter(include_in_schema=False)

Reader = Annotated[Caller, needs(Scope.READ, Scope.GRADE)]

GRADE_MARKS = {
    "pending": Mark("pending", "", "judges are at work"),
    "complete": Mark("complete", "good", "every seat gave a verdict"),
    "partial": Mark("partial", "unsure", "some seats gave no verdict"),
    "failed": Mark("failed", "bad", "no seat gave a verdict"),
}
_LETTERS = "ABCDEFGHIJ"
_MOST_TEXT = 20_000  # characters of one text that a page shows


@dataclass(frozen=True, slots=True)
class GradeLine:
    """One grade of the list."""

    id: str
    href: str
    rubric: str
    item: str
    systems: str
    mark: Mark
    created: str


@dataclass(frozen=True, slots=True)
class GradesPage:
    """The list, and a form that finds one by its id."""

    title: str
    lines: tuple[GradeLine, ...]
    next_href: str | None


@dataclass(frozen=True, slots=True)
class AnswerView:
    """One answer, as the caller sent it; ``letter`` names it in the tables below."""

    letter: str
    system: str
    family: str
    text: str
    cut: str | None
    length: str


@dataclass(frozen=True, slots=True)
class ResultLine:
    """The panel's and the calibrated score of one answer (or pair) on one criterion."""

    criterion: str
    about: str
    raw: str
    spread: str
    seats: str
    calibrated: str
    interval: str
    mark: Mark | None
    calibration_href: str | None
    warnings: tuple[str, ...]
    picture: Markup


@dataclass(frozen=True, slots=True)
class SeatLine:
    """One seat: who sat, what it was shown in which order, what it said."""

    position: str
    judge: str
    judge_href: str
    family: str
    version: str
    order: str
    probability: str
    said: tuple[tuple[str, str], ...]
    unscored: Mark | None
    detail: str
    rationale: str | None
    latency: str
    cost: str
    attempts: str
    note: str


@dataclass(frozen=True, slots=True)
class PartLine:
    """A row of the sum that makes a calibrated score: where it starts, what a verdict moved, or the sum."""

    what: str
    href: str | None
    gave: str
    weight: str
    bar: Markup | None
    points: str
    picture: Markup


@dataclass(frozen=True, slots=True)
class SumView:
    """How one calibrated score came about, on one axis. ``kept`` is None unless the scale cut the sum."""

    title: str
    axis: Markup
    lines: tuple[PartLine, ...]
    kept: str | None


@dataclass(frozen=True, slots=True)
class GradePage:
    """One grade."""

    title: str
    id: str
    mark: Mark
    simulated: bool
    rubric: str
    rubric_href: str
    facts: tuple[tuple[str, str], ...]
    prompt: str
    context: str | None
    reference: str | None
    answers: tuple[AnswerView, ...]
    results: tuple[ResultLine, ...]
    unit: str
    level: str
    seats: tuple[SeatLine, ...]
    warnings: tuple[str, ...]
    sums: tuple[SumView, ...]
    anchors: tuple[AnchorLine, ...] | None
    compared: bool
    files: dict[str, Files]


@router.get("/ui/grades")
async def show_grades(
    request: Request,
    caller: Annotated[Caller, needs(Scope.READ)],
    services: Served,
    cursor: Annotated[str | None, Query(max_length=100)] = None,
    id: Annotated[str | None, Query(max_length=100)] = None,
) -> Response:
    """Newest first; with an id, that one."""
    if id and id.strip():
        return RedirectResponse(url("grades", id.strip()), 303, HEADERS)
    found = await recent_grades(services.database, caller.project.id, cursor)
    next_href = url("grades", cursor=found.next_cursor) if found.next_cursor else None
    return show(request, "grades.html", GradesPage("Grades", tuple(map(_line, found.items)), next_href))


@router.get("/ui/grades/{grade_id}")
async def show_grade(
    request: Request,
    grade_id: str,
    caller: Reader,
    services: Served,
    table: TableName = None,
    kind: FileKind = "csv",
) -> Response:
    """Everything on record about one grade. Anchors are for those who may read."""
    grade = await services.grading.get(caller.project, read_id("g", grade_id))
    explained = await contributions(
        services.database,
        caller.project.id,
        rubric=grade.rubric,
        item=grade.item,
        replies=scored(grade.seats),
        calibrated=grade.calibrated,
    )
    anchors = None
    if may(request, Scope.READ):
        anchors = await similar_anchors(
            services.database,
            caller.project.id,
            grade.rubric,
            prompt=grade.item.prompt,
            answers=[one.text for one in grade.item.answers],
            systems=[one.system for one in grade.item.answers],
        )
    tables = grade_tables(grade, explained, anchors or ())
    if table is not None:
        return as_file(tables, table, kind)
    return show(request, "grade.html", _page(grade, explained, anchors, files(request, tables)))


def _line(one: GradeHead) -> GradeLine:
    shown = show_id("g", one.id)
    return GradeLine(
        id=shown,
        href=url("grades", shown),
        rubric=one.rubric,
        item=one.item or NONE,
        systems=", ".join(one.systems),
        mark=GRADE_MARKS[one.status],
        created=moment(one.created_at),
    )


def _page(
    grade: Grade,
    explained: Sequence[Explained],
    anchors: Sequence[SimilarAnchor] | None,
    links: dict[str, Files],
) -> GradePage:
    rubric = grade.rubric.rubric
    answers = tuple(
        AnswerView(
            letter=_LETTERS[place],
            system=answer.system,
            family=answer.family or NONE,
            text=answer.text[:_MOST_TEXT],
            cut=_cut(answer.text),
            length=f"{count(len(answer.text.split()))} words",
        )
        for place, answer in enumerate(grade.item.answers)
    )
    levels = [one.level for scores in grade.calibrated.values() for one in scores]
    return GradePage(
        title=f"Grade {show_id('g', grade.id)}",
        id=show_id("g", grade.id),
        mark=GRADE_MARKS[grade.status.value],
        simulated=grade.simulated,
        rubric=rubric.name,
        rubric_href=url("rubrics", rubric.name, version=grade.rubric.version),
        facts=(
            ("Rubric", f"{rubric.name}, version {grade.rubric.version}"),
            ("Item", grade.item.item_id or "named by its texts"),
            ("Asked", moment(grade.created_at)),
            ("Finished", moment(grade.finished_at)),
            ("Seed of the draw", str(grade.seed)),
            ("Cost", money(grade.cost_usd)),
            *_second_stage(grade.second),
            *sorted(grade.item.strata.items()),
        ),
        prompt=grade.item.prompt[:_MOST_TEXT],
        context=grade.item.context and grade.item.context[:_MOST_TEXT],
        reference=grade.item.reference and grade.item.reference[:_MOST_TEXT],
        answers=answers,
        results=_results(grade),
        unit="share of wins of A"
        if rubric.kind is RubricKind.PAIRWISE
        else "points of the criterion's own scale",
        level=level_name(levels[0]) if levels else "95%",
        seats=tuple(_seat(one, rubric.kind, grade.second) for one in grade.seats),
        warnings=tuple(map(sentence, grade.warnings)),
        sums=tuple(_sum(one, grade) for one in explained),
        anchors=None if anchors is None else anchor_lines(anchors, rubric.name),
        compared=any(one.likeness is not None for one in anchors or ()),
        files=links,
    )


def _sum(one: Explained, grade: Grade) -> SumView:
    """A row for the start, for each verdict, and for the sum."""
    pairwise = grade.rubric.rubric.kind is RubricKind.PAIRWISE
    stands = [one.start]
    for part in one.parts:
        stands.append(stands[-1] + (part.points or 0.0))
    axis = axis_over([*stands, one.total])
    lines = [
        PartLine(
            "Every judge at its own average", None, "", "", None, number(one.start),
            step_mark(axis, one.start, one.start, sum_=True),
        )
    ]  # fmt: skip
    lines += [
        PartLine(
            what=f"Seat {part.position + 1}: {part.judge}",
            href=url("judges", part.judge, rubric=grade.rubric.rubric.name, criterion=one.criterion),
            gave=number(part.value),
            weight="did not count" if part.weight is None else number(part.weight),
            bar=None if part.weight is None else share_bar(part.weight),
            points=number(part.points, sign=True),
            picture=Markup("") if part.points is None else step_mark(axis, before, after),
        )
        for part, before, after in zip(one.parts, stands, stands[1:], strict=False)
    ]
    lines.append(
        PartLine(
            "Calibrated score", None, "", "", None, number(one.total),
            step_mark(axis, one.total, one.total, sum_=True),
        )
    )  # fmt: skip
    about = "" if pairwise or len(grade.item.answers) == 1 else f", {_LETTERS[one.answer]}"
    cut = abs(one.total - one.kept) > 1e-9
    return SumView(
        f"{one.criterion}{about}", axis_mark(axis), tuple(lines), number(one.kept) if cut else None
    )


def _second_stage(second: SecondStage | None) -> tuple[tuple[str, str], ...]:
    if second is None:
        return ()
    asked = "asked" if second.asked else "not asked"
    return (("Second stage", f"{asked}, with a chance of {percent(second.chance, 1)}"),)


def _cut(text: str) -> str | None:
    hidden = len(text) - _MOST_TEXT
    return f"{count(hidden)} more characters are not shown." if hidden > 0 else None


def _results(grade: Grade) -> tuple[ResultLine, ...]:
    rubric = grade.rubric.rubric
    lines: list[ResultLine] = []
    for criterion in rubric.criteria:
        raw: Sequence[PanelSummary | None] = grade.raw.get(criterion.name, ())
        calibrated = grade.calibrated.get(criterion.name, ())
        both = zip_longest(raw, calibrated)
        lines += [_result(criterion, rubric.kind, place, *one) for place, one in enumerate(both)]
    return tuple(lines)


def _result(
    criterion: Criterion,
    kind: RubricKind,
    place: int,
    raw: PanelSummary | None,
    score: CalibratedScore | None,
) -> ResultLine:
    pairwise = kind is RubricKind.PAIRWISE
    low, high = (0.0, 1.0) if pairwise else (criterion.scale.low, criterion.scale.high)

    def shown(value: float) -> float:
        return min(max((1 + value) / 2, 0.0), 1.0) if pairwise else value

    mean = None if raw is None else shown(raw.mean)
    best = None if score is None or score.score is None else shown(score.score)
    ends = None if score is None or score.interval is None else tuple(map(shown, score.interval))
    known = None if ends is None else (ends[0], ends[1])
    axis = axis_over([low, high, *(known or ())])
    return ResultLine(
        criterion=criterion.name,
        about="A against B" if pairwise else _LETTERS[place],
        raw=number(mean),
        spread=number(None if raw is None or raw.spread is None else raw.spread / (2 if pairwise else 1)),
        seats=count(None if raw is None else raw.seats),
        calibrated=number(best),
        interval=interval(known),
        mark=None if score is None else SCORE_MARKS[score.status],
        calibration_href=None
        if score is None or score.calibration_id is None
        else url("calibrations", score.calibration_id),
        warnings=() if score is None else tuple(map(sentence, score.warnings)),
        picture=interval_mark(axis, estimate=best, interval=known, raw=mean),
    )


def _seat(one: SeatOutcome, kind: RubricKind, second: SecondStage | None) -> SeatLine:
    seat, reply = one.seat, one.reply
    later = second is not None and seat.position >= second.position
    missing = None if reply is None else reply.unscored
    return SeatLine(
        position=str(seat.position + 1),
        judge=seat.judge.name,
        judge_href=url("judges", seat.judge.name),
        family=seat.judge.family,
        version=seat.judge.digest(),
        order=", then ".join(_LETTERS[place] for place in seat.order),
        probability=percent(seat.inclusion_probability, 1),
        said=_said(one, kind),
        unscored=None if missing is None else Mark(missing.reason.value.replace("_", " "), "bad"),
        detail="" if missing is None else missing.detail,
        rationale=None if reply is None else reply.rationale,
        latency=duration(reply.latency_ms if reply else None),
        cost=money(reply.usage.cost_usd) if reply else NONE,
        attempts=count(reply.usage.attempts) if reply else NONE,
        note="not answered yet"
        if reply is None
        else f"in place of seat {seat.replaces + 1}"
        if seat.replaces is not None
        else "second stage"
        if later
        else "",
    )


_WINNERS: Mapping[int, str] = {1: "A is better", 0: "a tie", -1: "B is better"}


def _said(one: SeatOutcome, kind: RubricKind) -> tuple[tuple[str, str], ...]:
    if one.reply is None:
        return ()
    said = []
    for score in one.reply.scores:
        if kind is RubricKind.PAIRWISE:
            words = _WINNERS[(score.value > 0) - (score.value < 0)]
            name = score.criterion
        else:
            words = f"{score.value:g}"
            name = (
                f"{score.criterion}, {_LETTERS[score.answer]}"
                if kind is RubricKind.LISTWISE
                else score.criterion
            )
        if score.expected is not None:
            words += f" (expected {number(score.expected)})"
        said.append((name, words))
    return tuple(said)

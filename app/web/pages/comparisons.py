"""Two systems side by side: the difference with its interval, and a plain verdict."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Query
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import Response

from app.access.keys import Caller
from app.domain.problems import BadInput
from app.domain.projects import Scope
from app.reporting.comparison_rows import ComparedRow
from app.reporting.comparisons import Comparison, compare
from app.reporting.quality_choices import choices
from app.stats.difference import Finding
from app.stats.multiplicity import Adjustment
from app.web.callers import needs
from app.web.pages.addresses import url
from app.web.pages.charts import Axis, axis_mark, axis_over, interval_mark
from app.web.pages.chosen import Option, choose
from app.web.pages.page import show
from app.web.pages.quality import CompareForm, compare_form, group_name, noted, scale_unit
from app.web.pages.words import (
    SCORE_MARKS,
    Mark,
    count,
    digits_for,
    interval,
    level_name,
    number,
    p_value,
    sentence,
)
from app.web.services import Served

router = APIRouter(include_in_schema=False)

Reader = Annotated[Caller, needs(Scope.READ)]

FINDINGS = {
    "better": Mark("better", "good", "the whole interval lies beyond zero, on the good side"),
    "worse": Mark("worse", "bad", "the whole interval lies beyond zero, on the bad side"),
    "equivalent": Mark("equivalent", "", "the difference is smaller than the margin"),
    "inconclusive": Mark("inconclusive", "unsure", "more human grades are needed to tell"),
}


@dataclass(frozen=True, slots=True)
class ComparedLine:
    """One row: everything, or one stratum. ``notes`` are numbers of the page's notes, from 1."""

    name: str
    difference: str
    interval: str
    p_value: str
    baseline_anchors: str
    candidate_anchors: str
    finding: Mark
    status: Mark
    notes: tuple[int, ...]
    picture: Markup


@dataclass(frozen=True, slots=True)
class ComparisonPage:
    """The whole page. ``verdict`` is the one sentence to take away; None where nothing was compared."""

    title: str
    rubric: str
    criterion: str
    form: CompareForm | None
    by: tuple[Option, ...]
    verdict: str | None
    finding: Mark | None
    unit: str
    level: str
    axis: Markup | None
    lines: tuple[ComparedLine, ...]
    notes: tuple[str, ...]
    warnings: tuple[str, ...]
    refused: tuple[str, ...]
    back_href: str


@router.get("/ui/quality/compare")
async def show_comparison(
    request: Request,
    caller: Reader,
    services: Served,
    rubric: Annotated[str, Query(max_length=200)],
    criterion: Annotated[str, Query(max_length=200)],
    baseline: Annotated[str, Query(max_length=500)],
    candidate: Annotated[str, Query(max_length=500)],
    margin: Annotated[float, Query(ge=0, allow_inf_nan=False)] = 0.0,
    by: Annotated[list[str] | None, Query(max_length=5)] = None,
    adjustment: Annotated[Adjustment, Query()] = "holm",
    level: Annotated[float, Query(gt=0.5, lt=1)] = 0.95,
) -> Response:
    """The comparison that the address asks for."""
    chosen = await choose(services, caller, rubric, criterion)
    assert chosen.version is not None  # both were named, so found
    assert chosen.criterion is not None
    kind, scale = chosen.version.rubric.kind.value, chosen.criterion.scale
    can = await choices(services.quality, caller.project.id, rubric, criterion)
    wanted = [name for name in by or () if name]
    found: Comparison | None = None
    refused: tuple[str, ...] = ()
    try:
        found = await compare(
            services.quality, caller.project.id, rubric=rubric, criterion=criterion,
            baseline=baseline, candidate=candidate, margin=margin, by=wanted, level=level,
            adjustment=adjustment,
        )  # fmt: skip
    except BadInput as bad:
        refused = tuple(f"{one.value}: {one.problem}" for one in bad.problems) or (bad.summary,)
    notes = noted(()) if found is None else noted(row.warnings for row in (found.overall, *found.rows))
    unit = scale_unit(kind, (scale.low, scale.high))
    digits = 3 if kind == "pairwise" else digits_for(scale.high - scale.low)
    axis = None if found is None else _axis(found)
    page = ComparisonPage(
        title=f"{candidate} against {baseline}",
        rubric=rubric,
        criterion=criterion,
        form=compare_form(
            rubric,
            criterion,
            can.systems,
            baseline=baseline,
            candidate=candidate,
            margin=margin,
            unit=unit,
            adjustment=adjustment,
        ),
        by=tuple(
            Option(f"stratum.{name}", group_name(f"stratum.{name}"), f"stratum.{name}" in wanted)
            for name in can.strata
        ),
        verdict=None if found is None else _verdict(found, digits, unit),
        finding=None if found is None else FINDINGS[str(found.overall.verdict)],
        unit=unit,
        level=level_name(level),
        axis=None if axis is None else axis_mark(axis),
        lines=()
        if found is None or axis is None
        else tuple(
            compared_line(_over(row), row, axis, digits, notes) for row in (found.overall, *found.rows)
        ),
        notes=tuple(notes),
        warnings=() if found is None else tuple(map(sentence, found.warnings)),
        refused=tuple(map(sentence, refused)),
        back_href=url("quality", rubric=rubric, criterion=criterion),
    )
    return show(request, "comparison.html", page)


def _axis(found: Comparison) -> Axis:
    ends = [end for row in (found.overall, *found.rows) for end in row.interval or ()]
    return axis_over(ends, include=(-found.margin, 0.0, found.margin))


def _over(row: ComparedRow) -> str:
    return ", ".join(value or "(none)" for value in row.strata.values()) or "Everything"


def compared_line(
    name: str, row: ComparedRow, axis: Axis, digits: int, notes: Mapping[str, int]
) -> ComparedLine:
    """One row of a table of differences; ``digits`` of its scale, ``notes`` as the page numbers them."""
    return ComparedLine(
        name=name,
        difference=number(row.difference, digits, sign=True),
        interval=interval(row.interval, digits, sign=True),
        p_value=p_value(row.p_adjusted if row.p_adjusted is not None else row.p_value),
        baseline_anchors=count(row.baseline_anchors),
        candidate_anchors=count(row.candidate_anchors),
        finding=FINDINGS[str(row.verdict)],
        status=SCORE_MARKS[row.status],
        notes=tuple(notes[sentence(words)] for words in row.warnings),
        picture=interval_mark(axis, estimate=row.difference, interval=row.interval, zero=0.0),
    )


def _verdict(found: Comparison, digits: int, unit: str) -> str:
    row = found.overall
    names = f"{found.candidate} and {found.baseline}"
    if row.difference is None or row.interval is None:
        return f"Whether {names} differ cannot be told yet: there are too few human grades of both."
    size = f"by {number(abs(row.difference), digits)} {unit}"
    range_ = f"{level_name(found.level)} interval {interval(row.interval, digits, sign=True)}"
    if row.verdict == Finding.BETTER:
        return f"{found.candidate} is better than {found.baseline}, {size} ({range_})."
    if row.verdict == Finding.WORSE:
        return f"{found.candidate} is worse than {found.baseline}, {size} ({range_})."
    if row.verdict == Finding.EQUIVALENT:
        margin = number(found.margin, digits)
        return f"{names} are equivalent: they differ by less than the margin of {margin} {unit} ({range_})."
    return f"It cannot be told yet which of {names} is better ({range_}): grade more of both by hand."

"""Several systems against one baseline on several criteria, adjusted over all of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Query
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import Response

from app.access.keys import Caller
from app.domain.problems import BadInput
from app.domain.projects import Scope
from app.domain.rubrics import RubricVersion
from app.reporting.comparison_table import CandidateRow, ComparisonTable, CriterionBasis, compare_all
from app.reporting.quality_choices import Choices, choices
from app.stats.difference import Finding
from app.stats.multiplicity import Adjustment
from app.web.callers import needs
from app.web.pages.addresses import url
from app.web.pages.charts import axis_mark, axis_over
from app.web.pages.chosen import Option, choose
from app.web.pages.comparisons import ComparedLine, compared_line
from app.web.pages.page import show
from app.web.pages.quality import LEVELS, adjustments, group_name, noted, scale_unit
from app.web.pages.words import counted, digits_for, level_name, sentence
from app.web.services import Served

router = APIRouter(include_in_schema=False)

Reader = Annotated[Caller, needs(Scope.READ)]


@dataclass(frozen=True, slots=True)
class Part:
    """The candidates on one criterion; ``direction`` says what a positive difference means."""

    criterion: str
    unit: str
    direction: str
    axis: Markup
    lines: tuple[ComparedLine, ...]
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ComparisonsPage:
    """The whole page. ``summary`` is None where nothing was compared; ``notes`` are numbered from 1."""

    title: str
    rubric: str
    baseline: str
    level: str
    summary: str | None
    parts: tuple[Part, ...]
    notes: tuple[str, ...]
    refused: tuple[str, ...]
    baselines: tuple[Option, ...]
    criteria: tuple[Option, ...]
    candidates: tuple[Option, ...]
    by: tuple[Option, ...]
    adjustments: tuple[Option, ...]
    levels: tuple[Option, ...]
    margin: str
    back_href: str


@router.get("/ui/quality/comparisons")
async def show_comparisons(
    request: Request,
    caller: Reader,
    services: Served,
    rubric: Annotated[str, Query(max_length=200)],
    baseline: Annotated[str, Query(max_length=500)],
    criterion: Annotated[list[str] | None, Query(max_length=100)] = None,
    candidate: Annotated[list[str] | None, Query(max_length=2000)] = None,
    margin: Annotated[float, Query(ge=0, allow_inf_nan=False)] = 0.0,
    by: Annotated[list[str] | None, Query(max_length=5)] = None,
    adjustment: Annotated[Adjustment, Query()] = "holm",
    level: Annotated[float, Query(gt=0.5, le=0.999)] = 0.95,
) -> Response:
    """The comparisons that the address asks for."""
    chosen = await choose(services, caller, rubric, None)
    assert chosen.version is not None  # it was named, so found
    version, project = chosen.version, caller.project.id
    criteria = [name for name in criterion or () if name]
    wanted = [name for name in by or () if name]
    candidates = [name for name in candidate or () if name and name != baseline]
    can = [await choices(services.quality, project, rubric, one.name) for one in version.rubric.criteria]
    found: ComparisonTable | None = None
    refused: tuple[str, ...] = ()
    try:
        found = await compare_all(
            services.quality, project, rubric=rubric, criteria=criteria, baseline=baseline,
            candidates=candidates, margin=margin, by=wanted, level=level, adjustment=adjustment,
        )  # fmt: skip
    except BadInput as bad:
        refused = tuple(f"{one.value}: {one.problem}" for one in bad.problems) or (bad.summary,)
    notes = noted(() if found is None else [one.row.warnings for one in found.rows])
    systems = sorted({name for one in can for name in one.systems} | {baseline, *candidates})
    page = ComparisonsPage(
        title=f"Systems against {baseline}",
        rubric=rubric,
        baseline=baseline,
        level=level_name(level),
        summary=None if found is None else _summary(found),
        parts=() if found is None else tuple(_part(version, one, found, notes) for one in found.criteria),
        notes=tuple(notes),
        refused=tuple(map(sentence, refused)),
        baselines=tuple(Option(name, name, name == baseline) for name in systems),
        criteria=tuple(
            Option(one.name, one.name, not criteria or one.name in criteria)
            for one in version.rubric.criteria
        ),
        candidates=tuple(Option(name, name, name in candidates) for name in systems if name != baseline),
        by=_strata(can, wanted),
        adjustments=adjustments(adjustment),
        levels=tuple(Option(one, level_name(float(one)), float(one) == level) for one in LEVELS),
        margin=f"{margin:g}",
        back_href=url("quality", rubric=rubric),
    )
    return show(request, "comparisons.html", page)


def _strata(can: Sequence[Choices], wanted: Sequence[str]) -> tuple[Option, ...]:
    names = sorted({name for one in can for name in one.strata})
    return tuple(
        Option(f"stratum.{name}", group_name(f"stratum.{name}"), f"stratum.{name}" in wanted)
        for name in names
    )


def _summary(found: ComparisonTable) -> str:
    """How many rows there are of each verdict."""
    verdicts = [one.row.verdict for one in found.rows]
    told = [
        f"{verdicts.count(one)} {one.value}"
        for one in (Finding.BETTER, Finding.WORSE, Finding.EQUIVALENT, Finding.INCONCLUSIVE)
        if one in verdicts
    ]
    method = "Holm" if found.adjustment == "holm" else "Benjamini and Hochberg"
    rows = counted(found.compared, "row")
    return f"Against {found.baseline}: {', '.join(told) or 'nothing'}; adjusted over {rows} by {method}."


def _part(
    version: RubricVersion, basis: CriterionBasis, found: ComparisonTable, notes: Mapping[str, int]
) -> Part:
    scale, kind = version.rubric.criterion(basis.criterion).scale, version.rubric.kind.value
    rows = [one for one in found.rows if one.criterion == basis.criterion]
    ends = [end for one in rows for end in one.row.interval or ()]
    axis = axis_over(ends, include=(-basis.margin, 0.0, basis.margin))
    digits = 3 if kind == "pairwise" else digits_for(scale.high - scale.low)
    return Part(
        criterion=basis.criterion,
        unit=scale_unit(kind, (scale.low, scale.high)),
        direction="more is better" if basis.higher_is_better else "less is better",
        axis=axis_mark(axis),
        lines=tuple(compared_line(_name(one), one.row, axis, digits, notes) for one in rows),
        warnings=tuple(map(sentence, basis.warnings)),
    )


def _name(one: CandidateRow) -> str:
    strata = ", ".join(value or "(none)" for value in one.row.strata.values())
    return f"{one.candidate}, {strata}" if strata else one.candidate

"""One page to print: what a criterion's systems are worth, how sure that is, and what it rests on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Query
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import Response

from app.access.keys import Caller
from app.domain.calibration import Calibration
from app.domain.problems import NotFound
from app.domain.projects import Scope
from app.reporting.bias_report import ToldEffect
from app.reporting.comparison_table import CandidateRow, compare_all
from app.reporting.quality_report import QualityTable
from app.reporting.quality_rows import QualityRow
from app.reporting.roster_bias import Glance, roster_glance
from app.stats.difference import Finding
from app.web.callers import needs
from app.web.pages.addresses import url
from app.web.pages.charts import axis_mark, axis_over, interval_mark
from app.web.pages.chosen import Option, choose
from app.web.pages.comparisons import FINDINGS
from app.web.pages.page import show
from app.web.pages.quality import scale_unit
from app.web.pages.words import (
    SCORE_MARKS,
    Mark,
    counted,
    digits_for,
    interval,
    level_name,
    moment,
    number,
    sentence,
)
from app.web.services import Served, Services

router = APIRouter(include_in_schema=False)

Reader = Annotated[Caller, needs(Scope.READ)]

MOST_SYSTEMS = 15
MOST_BIASES = 5
MOST_WARNINGS = 5


@dataclass(frozen=True, slots=True)
class Line:
    """One system; ``finding`` is what the comparison with the baseline says, None for the baseline."""

    name: str
    corrected: str
    interval: str
    raw: str
    n_anchors: str
    n_items: str
    status: Mark
    finding: Mark | None
    picture: Markup


@dataclass(frozen=True, slots=True)
class ReportPage:
    """``lines`` is empty where there is nothing to report, and ``missing`` says what to do next."""

    title: str
    rubric: str
    criterion: str
    margin: str
    baselines: tuple[Option, ...]
    in_short: tuple[str, ...]
    unit: str
    level: str
    baseline: str | None
    axis: Markup | None
    lines: tuple[Line, ...]
    left_out: int
    facts: tuple[tuple[str, str], ...]
    warnings: tuple[str, ...]
    biases: tuple[str, ...]
    biases_told: str
    simulated: bool
    missing: str | None
    next_href: str
    next_label: str


@router.get("/ui/report")
async def show_report(
    request: Request,
    caller: Reader,
    services: Served,
    rubric: Annotated[str | None, Query(max_length=200)] = None,
    criterion: Annotated[str | None, Query(max_length=200)] = None,
    baseline: Annotated[str | None, Query(max_length=500)] = None,
    margin: Annotated[float, Query(ge=0, allow_inf_nan=False)] = 0.0,
    level: Annotated[float, Query(gt=0.5, lt=1)] = 0.95,
) -> Response:
    """The report on one criterion; without a ``baseline`` the best system is it."""
    chosen = await choose(services, caller, rubric, criterion)
    if chosen.version is None or chosen.criterion is None:
        return show(request, "report.html", _nothing("There is no rubric yet.", "/ui", "See how to begin"))
    name, which, project = chosen.version.rubric.name, chosen.criterion.name, caller.project.id
    ready = await services.quality.ready(project, name, which)
    if ready is None:
        why = await services.quality.why_none(project, name, which)
        href = url("anchor-sets", "upload", rubric=name)
        return show(request, "report.html", _nothing(sentence(why[0]), href, "Upload human grades"))
    table = await services.quality.table(project, rubric=name, criterion=which, level=level)
    ranked = _ranked(table)
    if not ranked:
        href = url("quality", rubric=name, criterion=which)
        said = "No system has a corrected score yet."
        return show(request, "report.html", _nothing(said, href, "See why"))
    against = baseline or ranked[0].system or ""
    compared = await _compared(services, project, table, against, margin)
    glance = await roster_glance(services.quality.db, project, name, which)
    page = _report(table, ranked, against, compared, glance, ready.calibration, margin)
    return show(request, "report.html", page)


def _nothing(missing: str, href: str, label: str) -> ReportPage:
    return ReportPage(
        "Report", "", "", "", (), (), "", "", None, None, (), 0, (), (), (), "", False, missing, href, label
    )


def _ranked(table: QualityTable) -> list[QualityRow]:
    """Systems with a corrected score, the best first."""
    sign = -1.0 if table.higher_is_better else 1.0
    told = [row for row in table.rows if row.corrected is not None and row.system is not None]
    return sorted(told, key=lambda row: (sign * (row.corrected or 0.0), row.system or ""))


async def _compared(
    services: Services, project_id: int, table: QualityTable, baseline: str, margin: float
) -> dict[str, CandidateRow]:
    if baseline not in {row.system for row in table.rows}:
        raise NotFound("system with verdicts on this criterion called", baseline)
    if len(table.rows) < 2:
        return {}
    found = await compare_all(
        services.quality, project_id, rubric=table.rubric, criteria=[table.criterion],
        baseline=baseline, margin=margin, level=table.level,
    )  # fmt: skip
    return {one.candidate: one for one in found.rows}


def _report(
    table: QualityTable, ranked: Sequence[QualityRow], baseline: str,
    compared: Mapping[str, CandidateRow], glance: Glance, calibration: Calibration, margin: float,
) -> ReportPage:  # fmt: skip
    pairs = table.kind == "pairwise"
    digits = 3 if pairs else digits_for(table.scale[1] - table.scale[0])
    rows = ranked[:MOST_SYSTEMS]
    ends = [v for row in rows for v in (row.raw_mean, row.corrected, *(row.interval or ())) if v is not None]
    axis = axis_over(ends)
    flagged = [
        effect
        for effects in glance.judges.values()
        for effect in effects.values()
        if effect.flagged and effect.name != "adds"
    ]
    warnings = tuple(dict.fromkeys(map(sentence, table.warnings)))
    about = table.rubric if table.rubric == table.criterion else f"{table.criterion} ({table.rubric})"
    return ReportPage(
        title=f"Quality report: {about}",
        rubric=table.rubric,
        criterion=table.criterion,
        margin=f"{margin:g}",
        baselines=tuple(Option(row.system or "", row.system or "", row.system == baseline) for row in ranked),
        in_short=_in_short(table, ranked, baseline, compared, digits, margin),
        unit=scale_unit(table.kind, table.scale),
        level=level_name(table.level),
        baseline=baseline if compared else None,
        axis=axis_mark(axis),
        lines=tuple(
            Line(
                name=row.system or "",
                corrected=number(row.corrected, digits),
                interval=interval(row.interval, digits),
                raw=number(row.raw_mean, digits),
                n_anchors=f"{row.n_anchors:,}",
                n_items=f"{row.n_items:,}",
                status=SCORE_MARKS[row.status],
                finding=_finding(compared.get(row.system or "")),
                picture=interval_mark(axis, estimate=row.corrected, interval=row.interval, raw=row.raw_mean),
            )
            for row in rows
        ),
        left_out=len(table.rows) - len(rows),
        facts=_facts(table, calibration),
        warnings=(
            *warnings[:MOST_WARNINGS],
            *(
                f"{left} more are on the page of qualities."
                for left in (len(warnings) - MOST_WARNINGS,)
                if left > 0
            ),
        ),
        biases=tuple(effect.sentence for effect in flagged[:MOST_BIASES]),
        biases_told=_biases_told(glance, flagged),
        simulated=table.simulated,
        missing=None,
        next_href=url("quality", rubric=table.rubric, criterion=table.criterion),
        next_label="The page of qualities",
    )


def _finding(one: CandidateRow | None) -> Mark | None:
    return None if one is None else FINDINGS[str(one.row.verdict)]


def _in_short(
    table: QualityTable, ranked: Sequence[QualityRow], baseline: str,
    compared: Mapping[str, CandidateRow], digits: int, margin: float,
) -> tuple[str, ...]:  # fmt: skip
    """What a reader takes away, in sentences."""
    best = ranked[0]
    unit = scale_unit(table.kind, table.scale)
    said = [
        f"{best.system} comes out best by human standards: {number(best.corrected, digits)} {unit}, "
        f"{level_name(table.level)} interval {interval(best.interval, digits)}."
    ]
    names: dict[str, list[str]] = {}
    for candidate, one in compared.items():
        names.setdefault(str(one.row.verdict), []).append(candidate)
    words = (
        (Finding.BETTER, "better than {}"),
        (Finding.WORSE, "worse than {}"),
        (Finding.EQUIVALENT, f"as good as {{}} to within {number(margin, digits)}"),
        (Finding.INCONCLUSIVE, "not yet told apart from {}"),
    )
    for finding, text in words:
        mine = sorted(names.get(str(finding), ()))
        if mine:
            verb = "is" if len(mine) == 1 else "are"
            said.append(f"{_listed(mine)} {verb} {text.format(baseline)}.")
    said += _as_the_panel_had_it(table, best)
    return tuple(said)


def _listed(names: Sequence[str]) -> str:
    if len(names) > 6:
        return f"{len(names)} systems"
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _as_the_panel_had_it(table: QualityTable, best: QualityRow) -> list[str]:
    """Where the judges' own mean would have named another winner."""
    sign = 1.0 if table.higher_is_better else -1.0
    raw = [row for row in table.rows if row.raw_mean is not None]
    top = max(raw, key=lambda row: sign * (row.raw_mean or 0.0), default=None)
    if top is None or top.system == best.system:
        return []
    return [f"The judges' own mean would have named {top.system}."]


def _facts(table: QualityTable, calibration: Calibration) -> tuple[tuple[str, str], ...]:
    counts, judges = calibration.snapshot["counts"], calibration.snapshot["judges"]
    families = len({one["family"] for one in judges})
    people = counted(counts["annotators"], "person", "people")
    facts = [
        ("Human grades", f"{counts['human_grades']:,} by {people}, on {counts['graded_units']:,} answers"),
        ("Verdicts", f"{counts['verdicts']:,} on {counts['judged_units']:,} answers"),
        ("Judges", f"{len(judges)} of {counted(families, 'model family', 'model families')}"),
        ("Calibrated", f"{moment(table.calibrated_at)}, {table.calibration_id}"),
        ("Rubric version", str(table.rubric_version)),
    ]
    if table.panel_correlation is not None:
        facts.append(("Panel follows people", f"correlation {number(table.panel_correlation)}"))
    return tuple(facts)


def _biases_told(glance: Glance, flagged: Sequence[ToldEffect]) -> str:
    effects = sum(len(one) for one in glance.judges.values())
    if not effects:
        return "No biases of judges are on record for this criterion."
    if not flagged:
        return f"None of {effects} measured effects of judges stands out once their number is counted."
    rest = len(flagged) - MOST_BIASES
    more = f" {rest} more are on the page of judges." if rest > 0 else ""
    return f"{len(flagged)} of {effects} measured effects stand out once their number is counted.{more}"

"""The quality page: systems and strata by corrected score, beside what the raw panel says."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated
from urllib.parse import unquote

from fastapi import APIRouter, Query
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import Response

from app.access.keys import Caller
from app.domain.problems import BadInput
from app.domain.projects import Scope
from app.reporting.periods import PERIODS
from app.reporting.quality_choices import Choices, choices
from app.reporting.quality_report import QualityTable
from app.reporting.quality_rows import QualityRow
from app.web.callers import needs
from app.web.pages.addresses import url
from app.web.pages.charts import Axis, axis_mark, axis_over, interval_mark
from app.web.pages.chosen import Chosen, Option, choose
from app.web.pages.missing import Missing, missing_of
from app.web.pages.page import show
from app.web.pages.tables import DataTable, FileKind, Files, TableName, as_file, files
from app.web.pages.trend import PERIOD_NAMES, Trend, trend_of
from app.web.pages.words import (
    SCORE_MARKS,
    Mark,
    count,
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

MOST_SHOWN = 200
MOST_RAW = 100_000  # verdicts that a page adds up itself, while no calibration has
LEVELS = ("0.8", "0.9", "0.95", "0.99")
ADJUSTMENTS = {"holm": "Holm: to confirm", "bh": "Benjamini-Hochberg: to explore"}
ORDERS = {"name": "Name", "corrected": "Corrected score", "anchors": "Number of anchors"}


@dataclass(frozen=True, slots=True)
class Filters:
    """The form above the table: what may be chosen, and what is."""

    criteria: tuple[Option, ...]
    by: tuple[Option, ...]
    periods: tuple[Option, ...]
    levels: tuple[Option, ...]
    orders: tuple[Option, ...]


@dataclass(frozen=True, slots=True)
class Line:
    """One row. ``names`` are its system and strata in the order of the table's ``groups``; ``notes`` are
    numbers of the table's notes, from 1."""

    names: tuple[str, ...]
    n_items: str
    n_anchors: str
    raw: str
    corrected: str
    interval: str
    shift: str
    effective: str
    mark: Mark
    notes: tuple[int, ...]
    picture: Markup


@dataclass(frozen=True, slots=True)
class Table:
    """The table and how to read it."""

    caption: str
    groups: tuple[str, ...]
    unit: str
    level: str
    axis: Markup
    lines: tuple[Line, ...]
    notes: tuple[str, ...]
    missing: Missing | None
    left_out: str | None


@dataclass(frozen=True, slots=True)
class CompareForm:
    """Two systems to compare; None where there are not two with a calibration."""

    rubric: str
    criterion: str
    baselines: tuple[Option, ...]
    candidates: tuple[Option, ...]
    margin: str
    unit: str
    adjustments: tuple[Option, ...]


@dataclass(frozen=True, slots=True)
class QualityPage:
    """The whole page. ``table`` is None where there is no rubric yet, or what was asked cannot be shown.

    ``waiting`` says how much there is where it is too much to add up without a calibration.
    """

    title: str
    rubric: str | None
    criterion: str | None
    filters: Filters | None
    facts: tuple[tuple[str, str], ...]
    warnings: tuple[str, ...]
    refused: tuple[str, ...]
    waiting: str | None
    table: Table | None
    trend: Trend | None
    files: Mapping[str, Files]
    compare: CompareForm | None
    compare_all_href: str | None
    calibration_href: str | None
    upload_href: str | None
    api_href: str | None
    report_href: str | None


@router.get("/ui/quality")
async def show_quality(
    request: Request,
    caller: Reader,
    services: Served,
    rubric: Annotated[str | None, Query(max_length=200)] = None,
    criterion: Annotated[str | None, Query(max_length=200)] = None,
    of: Annotated[str | None, Query(max_length=1000)] = None,
    by: Annotated[list[str] | None, Query(max_length=10)] = None,
    level: Annotated[float, Query(gt=0.5, lt=1)] = 0.95,
    order: Annotated[str, Query(max_length=20)] = "name",
    period: Annotated[str | None, Query(max_length=20)] = None,
    table: TableName = None,
    kind: FileKind = "csv",
) -> Response:
    """``of`` is rubric and criterion in one value, as the form sends them."""
    if of:
        rubric, _, criterion = (unquote(part) for part in of.partition("/"))
    chosen = await choose(services, caller, rubric, criterion)
    if chosen.version is None or chosen.criterion is None:
        return show(request, "quality.html", _empty())
    name, project = chosen.version.rubric.name, caller.project
    groups = (*(one for one in by or ("system",) if one), *((f"period.{period}",) if period else ()))
    can = await choices(services.quality, project.id, name, chosen.criterion.name)
    refused: tuple[str, ...] = ()
    said: tuple[str, ...] = ()
    shown: QualityTable | None = None
    waiting = can.verdicts is not None and can.verdicts > MOST_RAW
    try:
        if waiting:
            said = await services.quality.why_none(project.id, name, chosen.criterion.name)
        else:
            shown = await services.quality.table(
                project.id, rubric=name, criterion=chosen.criterion.name, by=groups, level=level
            )
    except BadInput as bad:
        refused = tuple(f"{one.value}: {one.problem}" for one in bad.problems) or (bad.summary,)
    data = () if shown is None else (_data(shown, groups),)
    if table is not None:
        return as_file(data, table, kind)
    if shown is not None:
        said = shown.warnings
    page = QualityPage(
        title=f"Quality: {_about(name, chosen.criterion.name)}",
        rubric=name,
        criterion=chosen.criterion.name,
        filters=_filters(chosen, can, groups, level, order),
        facts=() if shown is None else _facts(shown),
        warnings=tuple(map(sentence, said)),
        refused=tuple(map(sentence, refused)),
        waiting=f"{count(can.verdicts)} verdicts are on record" if waiting else None,
        table=None if shown is None or not shown.rows else _table(shown, groups, order),
        trend=await _trend(services, project.id, shown, groups),
        files=files(request, data),
        compare=_compare_form(chosen, can),
        compare_all_href=url("quality", "comparisons", rubric=name, baseline=can.systems[0])
        if len(can.systems) > 1
        else None,
        calibration_href=url("calibrations", shown.calibration_id)
        if shown and shown.calibration_id
        else None,
        upload_href=url("anchor-sets", "upload", rubric=name),
        report_href=url("report", rubric=name, criterion=chosen.criterion.name),
        api_href="/quality" + url(rubric=name, criterion=chosen.criterion.name, by=groups, level=level)[3:],
    )
    return show(request, "quality.html", page)


async def _trend(
    services: Services, project_id: int, table: QualityTable | None, groups: Sequence[str]
) -> Trend | None:
    if table is None or not any(name in PERIODS for name in groups):
        return None
    done = await services.quality.calibrated(project_id, table.rubric, table.criterion)
    return trend_of(table, groups, done)


def _data(table: QualityTable, groups: tuple[str, ...]) -> DataTable:
    """Every row, also those that the page leaves out."""
    columns = (*groups, "items", "anchors", "raw_mean", "corrected", "low", "high", "correction")
    return DataTable(
        "quality",
        (*columns, "effective_sample_size", "status", "missing_verdicts", "warnings"),
        [
            (
                *_names(row, groups),
                row.n_items,
                row.n_anchors,
                row.raw_mean,
                row.corrected,
                *(row.interval or (None, None)),
                row.rectifier,
                row.effective_sample_size,
                row.status.value,
                None if row.unscored is None else row.unscored.missing,
                "; ".join(row.warnings),
            )
            for row in table.rows
        ],
    )


def _empty() -> QualityPage:
    return QualityPage(
        "Quality", None, None, None, (), (), (), None, None, None, {}, None, None, None, None, None, None
    )


def _about(rubric: str, criterion: str) -> str:
    return rubric if rubric == criterion else f"{criterion} ({rubric})"


def _filters(chosen: Chosen, can: Choices, by: Sequence[str], level: float, order: str) -> Filters:
    strata = [f"stratum.{name}" for name in can.strata]
    asked = [name for name in by if name not in ("system", *strata, *PERIODS)]
    return Filters(
        criteria=chosen.options(),
        by=tuple(Option(name, group_name(name), name in by) for name in ("system", *strata, *asked)),
        periods=(
            Option("", "all of it", not any(name in PERIODS for name in by)),
            *(Option(name.removeprefix("period."), PERIOD_NAMES[name], name in by) for name in PERIODS),
        ),
        levels=tuple(Option(one, level_name(float(one)), float(one) == level) for one in LEVELS),
        orders=tuple(Option(value, label, value == order) for value, label in ORDERS.items()),
    )


def group_name(by: str) -> str:
    """``stratum.language`` as people say it."""
    if by in PERIODS:
        return PERIOD_NAMES[by]
    return "System" if by == "system" else by.removeprefix("stratum.")


def _facts(table: QualityTable) -> tuple[tuple[str, str], ...]:
    low, high = table.scale
    better = "higher is better" if table.higher_is_better else "lower is better"
    unit = "Win rate against the other systems" if table.kind == "pairwise" else f"Score, {low:g} to {high:g}"
    facts = [("Scale", f"{unit}, {better}"), ("Rubric version", str(table.rubric_version))]
    if table.calibration_id:
        facts.append(("Calibrated", moment(table.calibrated_at)))
    if table.power_tuning is not None:
        facts.append(("Trust in the panel", f"{number(table.power_tuning)} (0: people only, 1: in full)"))
    if table.panel_correlation is not None:
        facts.append(("Panel follows people", f"correlation {number(table.panel_correlation)}"))
    if table.panel is not None:
        facts.append(("Worth of the panel", sentence(table.panel.sentence)))
    return tuple(facts)


def scale_unit(kind: str, scale: tuple[float, float]) -> str:
    """The unit of a quality row, in a few words."""
    return "win rate" if kind == "pairwise" else f"points (scale {scale[0]:g} to {scale[1]:g})"


def _table(table: QualityTable, groups: tuple[str, ...], order: str) -> Table:
    rows = sorted(table.rows, key=lambda row: _place(row, order, table.higher_is_better))[:MOST_SHOWN]
    values = [
        v for row in rows for v in (row.raw_mean, row.corrected, *(row.interval or ())) if v is not None
    ]
    axis = axis_over(values)
    digits = digits_for(table.scale[1] - table.scale[0]) if table.kind != "pairwise" else 3
    hidden = len(table.rows) - len(rows)
    notes = noted(row.warnings for row in rows)
    return Table(
        caption=f"{_about(table.rubric, table.criterion)} by "
        + " and ".join(group_name(name).lower() for name in groups),
        groups=tuple(group_name(name) for name in groups),
        unit=scale_unit(table.kind, table.scale),
        level=level_name(table.level),
        axis=axis_mark(axis),
        lines=tuple(_line(row, groups, axis, digits, notes) for row in rows),
        notes=tuple(notes),
        missing=missing_of(
            table, [(", ".join(_names(row, groups)) or "everything", row) for row in rows], digits
        ),
        left_out=f"{counted(hidden, 'more row is', 'more rows are')} not shown; the table as data has all."
        if hidden
        else None,
    )


def _place(row: QualityRow, order: str, higher_is_better: bool) -> tuple[object, ...]:
    if order == "corrected":
        value = row.corrected if row.corrected is not None else row.raw_mean
        sign = -1.0 if higher_is_better else 1.0
        return (row.corrected is None, 0.0 if value is None else sign * value)
    if order == "anchors":
        return (-row.n_anchors,)
    return (tuple(names_of(row.system, row.strata)),)


def names_of(system: str | None, strata: Mapping[str, str | None]) -> list[str]:
    """The row's names; a stratum that an item does not have is said to be missing."""
    return [*([] if system is None else [system]), *(value or "(none)" for value in strata.values())]


def noted(warnings: Iterable[Sequence[str]]) -> dict[str, int]:
    """Every different sentence with its number, from 1, in the order of the rows: said once below a table."""
    told = dict.fromkeys(sentence(words) for row in warnings for words in row)
    return {words: number_ for number_, words in enumerate(told, 1)}


def _line(
    row: QualityRow, groups: tuple[str, ...], axis: Axis, digits: int, notes: Mapping[str, int]
) -> Line:
    return Line(
        names=_names(row, groups),
        n_items=count(row.n_items),
        n_anchors=count(row.n_anchors),
        raw=number(row.raw_mean, digits),
        corrected=number(row.corrected, digits),
        interval=interval(row.interval, digits),
        shift=number(row.rectifier, digits, sign=True),
        effective=number(row.effective_sample_size, 0),
        mark=SCORE_MARKS[row.status],
        notes=tuple(notes[sentence(words)] for words in row.warnings),
        picture=interval_mark(axis, estimate=row.corrected, interval=row.interval, raw=row.raw_mean),
    )


def _names(row: QualityRow, groups: tuple[str, ...]) -> tuple[str, ...]:
    """The row's names in the order of ``groups``."""
    named = {"system": row.system or ""} | {
        key if key in PERIODS else f"stratum.{key}": value or "(none)" for key, value in row.strata.items()
    }
    return tuple(named[name] for name in groups)


def _compare_form(chosen: Chosen, can: Choices) -> CompareForm | None:
    if chosen.version is None or chosen.criterion is None or len(can.systems) < 2:
        return None
    scale = chosen.criterion.scale
    pairwise = chosen.version.rubric.kind.value == "pairwise"
    return compare_form(
        chosen.version.rubric.name,
        chosen.criterion.name,
        can.systems,
        baseline=can.systems[0],
        candidate=can.systems[1],
        margin=0.02 if pairwise else round(0.02 * (scale.high - scale.low), 6),
        unit=scale_unit(chosen.version.rubric.kind.value, (scale.low, scale.high)),
    )


def compare_form(
    rubric: str,
    criterion: str,
    systems: Sequence[str],
    *,
    baseline: str,
    candidate: str,
    margin: float,
    unit: str,
    adjustment: str = "holm",
) -> CompareForm:
    """The form with these choices made; ``margin`` in the unit of quality rows."""
    return CompareForm(
        rubric=rubric,
        criterion=criterion,
        baselines=tuple(Option(name, name, name == baseline) for name in systems),
        candidates=tuple(Option(name, name, name == candidate) for name in systems),
        margin=f"{margin:g}",
        unit=unit,
        adjustments=adjustments(adjustment),
    )


def adjustments(chosen: str) -> tuple[Option, ...]:
    """How verdicts may mind the number of rows."""
    return tuple(Option(value, label, value == chosen) for value, label in ADJUSTMENTS.items())

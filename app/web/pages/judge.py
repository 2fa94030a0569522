"""The report on one judge: its biases with examples, whether its scores mean what they say, its versions."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Query
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import Response

from app.access.keys import Caller
from app.domain.problems import NotFound
from app.domain.projects import Scope
from app.domain.rubrics import RubricVersion
from app.reporting.bias_report import (
    CriterionBias,
    JudgeVersionBias,
    Multiplicity,
    ToldEffect,
    bias_report,
)
from app.reporting.bias_words import TITLES
from app.reporting.judge_details import Diagram, Example, JudgeDetails, VersionDetails, judge_details
from app.reporting.roster_report import JudgeHealth, JudgeReport
from app.web.callers import needs
from app.web.pages.addresses import answer_url, url
from app.web.pages.charts import Dot, diagonal_chart
from app.web.pages.chosen import choose
from app.web.pages.effects import (
    EffectView,
    ExampleView,
    GroupTable,
    digits_of,
    effect_view,
    group_table,
)
from app.web.pages.judge_tables import details_of, tables_of
from app.web.pages.judges import place_of
from app.web.pages.page import Link, show
from app.web.pages.tables import FileKind, Files, TableName, as_file, files
from app.web.pages.words import (
    NONE,
    Mark,
    count,
    counted,
    digits_for,
    duration,
    interval,
    level_name,
    moment,
    money,
    number,
    sentence,
)
from app.web.services import Served, Services

router = APIRouter(include_in_schema=False)

Reader = Annotated[Caller, needs(Scope.READ)]

_CHANGES = ("version_level", "version_agreement")


@dataclass(frozen=True, slots=True)
class BinLine:
    """Answers of nearly one score, and what people gave them."""

    score: str
    people: str
    interval: str
    n: str


@dataclass(frozen=True, slots=True)
class DiagramView:
    """People's grades by a score, as a picture and as the table beside it."""

    name: str
    title: str
    about: str
    picture: Markup
    bins: tuple[BinLine, ...]
    slope: EffectView
    gap: EffectView


@dataclass(frozen=True, slots=True)
class ComparedLine:
    """One bias across versions; each value with its interval."""

    title: str
    values: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class ReportView:
    """One version under one criterion. ``part``: facts of what it adds to the panel."""

    version: str
    model: str
    params: str
    simulated: bool
    verdicts: str
    unscored: tuple[str, ...]
    calibrated: str
    calibration_href: str
    level: str
    multiplicity: str | None
    effects: tuple[EffectView, ...]
    checks: tuple[EffectView, ...]
    tables: tuple[GroupTable, ...]
    around: tuple[EffectView, ...]
    adds: EffectView | None
    part: tuple[tuple[str, str], ...]
    diagrams: tuple[DiagramView, ...]
    residuals: tuple[GroupTable, ...]


@dataclass(frozen=True, slots=True)
class VersionLine:
    """One version on record, whatever it judged."""

    version: str
    model: str
    params: str
    prompt_version: str
    current: bool
    first_seen: str
    verdicts: str
    unscored: str
    calls: str
    latency: str
    cost: str


@dataclass(frozen=True, slots=True)
class JudgePage:
    """The report on one judge. ``notice`` says what is missing and what to do; ``compared`` is empty with a
    single version."""

    title: str
    family: str
    place: Mark
    simulated: bool
    rubrics: tuple[Link, ...]
    criteria: tuple[Link, ...]
    chosen_versions: tuple[Link, ...]
    criterion: str | None
    notice: tuple[str, ...]
    upload_href: str
    report: ReportView | None
    compared: tuple[ComparedLine, ...]
    compared_versions: tuple[str, ...]
    versions: tuple[VersionLine, ...]
    files: dict[str, Files]


@router.get("/ui/judges/{name:path}")
async def show_judge(
    request: Request,
    name: str,
    caller: Reader,
    services: Served,
    rubric: Annotated[str | None, Query(max_length=200)] = None,
    criterion: Annotated[str | None, Query(max_length=200)] = None,
    version: Annotated[str | None, Query(max_length=100)] = None,
    table: TableName = None,
    kind: FileKind = "csv",
) -> Response:
    """The report on one judge: the first rubric and criterion that tell something of it, unless asked."""
    judges = await services.roster_report.judges(caller.project)
    judge = next((one for one in judges if one.name == name), None)
    if judge is None:
        raise NotFound("judge", name)
    chosen = await choose(services, caller, rubric, criterion if rubric else None)
    wanted = [chosen.version] if rubric and chosen.version else list(chosen.rubrics)
    under, told = await _first_told(services, caller, name, wanted, criterion if rubric else None)
    details = None
    if under is not None and told is not None and told.versions:
        details = await judge_details(
            services.database, caller.project.id, name, rubric=under.rubric.name, criterion=told.criterion
        )
    shown = _chosen_version(told, version, judge)
    tables = tables_of(told, shown, details, judge)
    if table is not None:
        return as_file(tables, table, kind)
    base: dict[str, str | None] = {"rubric": None if under is None else under.rubric.name}
    page = JudgePage(
        title=name,
        family=judge.family,
        place=place_of(judge),
        simulated=any(one.judge.simulated for one in judge.health)
        or bool(judge.current and judge.current.simulated),
        rubrics=tuple(
            Link(
                one.rubric.name,
                url("judges", name, rubric=one.rubric.name),
                under is not None and one.rubric.name == under.rubric.name,
            )
            for one in chosen.rubrics
        ),
        criteria=()
        if under is None or told is None
        else tuple(
            Link(one.name, url("judges", name, **base, criterion=one.name), one.name == told.criterion)
            for one in under.rubric.criteria
        ),
        chosen_versions=()
        if told is None
        else tuple(
            Link(
                one.judge_version,
                url("judges", name, **base, criterion=told.criterion, version=one.judge_version),
                one is shown,
            )
            for one in told.versions
        ),
        criterion=None if told is None else told.criterion,
        notice=_notice(told),
        upload_href=url("anchor-sets", "upload", **base),
        report=None if told is None or shown is None else _report(told, shown, details),
        compared=() if told is None else _compared(told.versions),
        compared_versions=() if told is None else tuple(one.judge_version for one in told.versions),
        versions=tuple(_version_line(one, judge) for one in reversed(judge.health)),
        files=files(request, tables),
    )
    return show(request, "judge.html", page)


async def _first_told(
    services: Services, caller: Caller, name: str, wanted: Sequence[RubricVersion], criterion: str | None
) -> tuple[RubricVersion | None, CriterionBias | None]:
    """The first rubric, and its first criterion (or the one named), that tell something of the judge."""
    first: tuple[RubricVersion, CriterionBias] | None = None
    for version in wanted:
        for one in version.rubric.criteria:
            if criterion not in (None, one.name):
                continue
            report = await bias_report(
                services.database, caller.project.id, name, rubric=version.rubric.name, criterion=one.name
            )
            (told,) = report.criteria
            first = first or (version, told)
            if told.versions:
                return version, told
    return first or (None, None)


def _chosen_version(
    told: CriterionBias | None, version: str | None, judge: JudgeReport
) -> JudgeVersionBias | None:
    """The version asked for, else the one that sits now, else the newest."""
    if told is None or not told.versions:
        return None
    by_digest = {one.judge_version: one for one in told.versions}
    if version is not None:
        if version not in by_digest:
            raise NotFound("version of this judge under this criterion called", version)
        return by_digest[version]
    seen = [one.judge.digest() for one in judge.health]
    sits = None if judge.current is None else judge.current.digest()
    newest = next((one for one in reversed(seen) if one in by_digest), told.versions[-1].judge_version)
    return by_digest[sits if sits in by_digest else newest]


_MISSING = {
    "running": "A calibration of this criterion is on its way; reload in a moment.",
    "not_calibrated": "This criterion has not been calibrated, so nothing is known of this judge's biases. "
    "Upload human grades of answers that it judged; a calibration is then scheduled by itself.",
    "calibrated": "The newest calibration has no verdicts of this judge on this criterion.",
    "refused": "The calibration of this criterion was refused.",
}


def _notice(told: CriterionBias | None) -> tuple[str, ...]:
    if told is None:
        return ("A judge's biases are told per rubric, and there is none yet.",)
    if told.versions and told.status != "refused":
        return ()
    only = ("What follows needs no calibrated scores.",) if told.versions else ()
    if told.refusals:
        refused = (sentence(f"the calibration of this criterion was refused: {why}") for why in told.refusals)
        return (*refused, *only)
    return (_MISSING[told.status], *only)


def _report(told: CriterionBias, shown: JudgeVersionBias, details: JudgeDetails | None) -> ReportView:
    more = details_of(details, shown)
    examples: dict[str, list[ExampleView]] = {}
    if more is not None and details is not None:
        for one in more.examples:
            examples.setdefault(one.effect, []).append(_example(one, details))
    tables = [("system", "Systems", shown.systems)] if shown.systems else []
    tables += [(name, f"By {name}", rows) for name, rows in sorted(shown.strata.items()) if rows]
    worth = None if told.panel_worth is None else effect_view(told.panel_worth, "Worth of the panel")
    panel = None if told.panel is None else effect_view(told.panel, "Independent judges in a panel of three")
    people = (
        None
        if told.people_agreement is None
        else effect_view(told.people_agreement, "People among themselves")
    )
    return ReportView(
        version=shown.judge_version,
        model=shown.model,
        params=shown.params,
        simulated=shown.simulated,
        verdicts=counted(shown.verdicts, "verdict"),
        unscored=tuple(f"{reason.replace('_', ' ')}: {count(n)}" for reason, n in shown.unscored.items()),
        calibrated=moment(told.calibrated_at),
        calibration_href=url("calibrations", told.calibration_id or ""),
        level=level_name(told.level or 0.95),
        multiplicity=None if told.multiplicity is None else _multiplicity(told.multiplicity),
        effects=tuple(
            effect_view(one, TITLES.get(one.name, one.name), examples=tuple(examples.get(one.name, ())))
            for one in shown.effects
        ),
        checks=tuple(effect_view(one, f"{TITLES[one.name]}, by categories") for one in shown.checks),
        tables=tuple(
            group_table(f"groups-{name}", caption, name, [(row.name, row) for row in rows])
            for name, caption, rows in tables
        ),
        around=tuple(one for one in (worth, panel, people) if one is not None),
        adds=None if more is None else effect_view(more.part.effect, "Gain with it on the panel"),
        part=() if more is None else _part(more),
        diagrams=() if more is None or details is None else _diagrams(more, details),
        residuals=() if more is None else _residuals(more),
    )


def _part(more: VersionDetails) -> tuple[tuple[str, str], ...]:
    part = more.part
    return (
        ("R² with it", number(part.r2_with)),
        ("R² without it", number(part.r2_without)),
        ("Mean width of intervals with it", number(part.width_with)),
        ("Mean width without it", number(part.width_without)),
        ("Weight when every judge sits", number(part.weight)),
    )


def _diagrams(more: VersionDetails, details: JudgeDetails) -> tuple[DiagramView, ...]:
    return (
        _diagram(
            "reliability", "Calibrated",
            "What this judge's verdicts alone come to on the human scale, held out: no human grade of an "
            "answer's prompt went into its score.",
            more.calibrated, details.scale,
        ),
        _diagram(
            "as-given", "As given", "The judge's own verdicts, before any calibration.", more.as_given,
            details.scale,
        ),
    )  # fmt: skip


def _diagram(name: str, title: str, about: str, told: Diagram, scale: tuple[float, float]) -> DiagramView:
    digits = digits_for(scale[1] - scale[0])
    return DiagramView(
        name=name,
        title=title,
        about=about,
        picture=diagonal_chart(tuple(Dot(one.score, one.people, one.interval) for one in told.bins), scale),
        bins=tuple(
            BinLine(
                score=number(one.score, digits)
                if one.high - one.low < 1e-6
                else f"{number(one.low, digits)} to {number(one.high, digits)}",
                people=number(one.people, digits),
                interval=interval(one.interval, digits) if one.interval else "too few",
                n=count(one.n),
            )
            for one in told.bins
        ),
        slope=effect_view(told.slope, "Slope of people's grades"),
        gap=effect_view(told.gap, "People less score"),
    )


def _residuals(more: VersionDetails) -> tuple[GroupTable, ...]:
    kinds = dict.fromkeys(one.by for one in more.residuals)
    return tuple(
        group_table(
            f"residuals-{by}", "Systems" if by == "system" else f"By {by}", by,
            [(one.group, one.effect) for one in more.residuals if one.by == by],
        )
        for by in kinds
    )  # fmt: skip


def _example(one: Example, details: JudgeDetails) -> ExampleView:
    sides = [(one.system, one.answer, one.words)]
    if one.other_system is not None:
        sides.append((one.other_system, one.other_answer, one.other_words))
    about = [who if words is None else f"{who}, {count(int(words))} words" for who, _, words in sides]
    return ExampleView(
        sentence=one.sentence,
        item=one.item,
        about=" · ".join(about),
        prompt=one.prompt,
        texts=tuple((who, text) for who, text, _ in sides if text),
        href=answer_url(one.answer_id, one.other_answer_id, details.rubric, details.criterion),
    )


def _compared(versions: Sequence[JudgeVersionBias]) -> tuple[ComparedLine, ...]:
    """Every bias with an estimate in some version; what changed has its own test among the biases."""
    if len(versions) < 2:
        return ()
    by_version = [{one.name: one for one in version.effects} for version in versions]
    lines = []
    for name, title in TITLES.items():
        found = [effects.get(name) for effects in by_version]
        if any(one is not None and one.estimate is not None for one in found):
            lines.append(ComparedLine(title, tuple(_compared_cell(one) for one in found)))
    return tuple(lines)


def _compared_cell(told: ToldEffect | None) -> tuple[str, str]:
    if told is None or told.estimate is None:
        return NONE, ""
    digits, signed = digits_of(told), told.no_effect == 0.0
    return number(told.estimate, digits, sign=signed), interval(told.interval, digits, sign=signed)


def _version_line(health: JudgeHealth, judge: JudgeReport) -> VersionLine:
    return VersionLine(
        version=health.judge.digest(),
        model=health.judge.model,
        params=health.judge.params,
        prompt_version=health.judge.prompt_version or NONE,
        current=health.judge == judge.current,
        first_seen=moment(health.first_seen_at),
        verdicts=count(health.verdicts),
        unscored=count(health.unscored_verdicts),
        calls=count(health.calls),
        latency=duration(health.latency_p50_ms),
        cost=money(health.cost_usd) if health.calls else NONE,
    )


def _multiplicity(found: Multiplicity) -> str:
    return (
        f"{counted(found.effects, 'effect')} of all judges, systems and strata were tested; "
        f"{count(found.flagged)} stand out once that is taken into account (Benjamini and Hochberg)."
    )

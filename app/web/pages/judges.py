"""The judges at a glance, and the report on one."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Annotated
from urllib.parse import unquote

from fastapi import APIRouter, Query
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import Response

from app.access.keys import Caller
from app.domain.problems import NotFound
from app.domain.projects import Scope
from app.reporting.bias_report import (
    BiasReport,
    CriterionBias,
    JudgeVersionBias,
    Multiplicity,
    ToldEffect,
    bias_report,
)
from app.reporting.bias_words import TITLES
from app.reporting.roster_bias import Glance, roster_glance
from app.reporting.roster_report import JudgeHealth, JudgeReport
from app.web.callers import needs
from app.web.pages.addresses import url
from app.web.pages.charts import Axis, axis_mark, axis_over, effect_chart, interval_mark
from app.web.pages.chosen import Option, choose
from app.web.pages.page import Link, show
from app.web.pages.words import (
    NONE,
    Mark,
    count,
    counted,
    duration,
    interval,
    level_name,
    moment,
    money,
    number,
    p_value,
    percent,
    sentence,
)
from app.web.services import Served

router = APIRouter(include_in_schema=False)

Reader = Annotated[Caller, needs(Scope.READ)]

EFFECT_MARKS = {
    "identified": Mark("identified", "good", "the data can tell it"),
    "not_identified": Mark("not identified", "unsure", "these data cannot tell it from something else"),
    "insufficient_data": Mark("too little data", "unsure", "more grades are needed"),
}
UNITS = {
    "alpha": "alpha, 1 is perfect",
    "slope": "slope, 1 is even",
    "reliability": "share that repeats",
    "probability": "probability",
}


@dataclass(frozen=True, slots=True)
class RosterLine:
    """One judge. ``picture`` shows its severity on the axis of the table's head."""

    name: str
    href: str
    family: str
    place: Mark
    provider: str
    model: str
    version: str
    verdicts: str
    calls: str
    unscored: str
    latency: str
    slow: str
    cost: str
    severity: str
    severity_interval: str
    agreement: str
    picture: Markup


@dataclass(frozen=True, slots=True)
class RosterPage:
    """All judges; ``about`` names the criterion whose severities are shown, None without a calibration."""

    title: str
    criteria: tuple[Option, ...]
    about: str | None
    unit: str
    axis: Markup
    lines: tuple[RosterLine, ...]
    families: int
    effective: str | None
    calibration_href: str | None


@dataclass(frozen=True, slots=True)
class EffectView:
    """One bias: a picture, a number with its interval and n, and what it means.

    ``flagged``: it stands out among all effects of the report; ``test``: its p-values, None if it has none.
    """

    title: str
    estimate: str
    interval: str
    unit: str
    n: str
    mark: Mark
    identified: bool
    sentence: str
    picture: Markup
    flagged: bool
    test: str | None


@dataclass(frozen=True, slots=True)
class GroupTable:
    """How a judge treats systems, or the values of one stratum, beyond how it treats all."""

    caption: str
    what: str
    axis: Markup
    rows: tuple[EffectView, ...]


@dataclass(frozen=True, slots=True)
class VersionView:
    """One version of the judge under one criterion."""

    version: str
    family: str
    model: str
    params: str
    prompt_version: str
    simulated: bool
    verdicts: str
    unscored: tuple[str, ...]
    effects: tuple[EffectView, ...]
    checks: tuple[EffectView, ...]
    tables: tuple[GroupTable, ...]


@dataclass(frozen=True, slots=True)
class CriterionView:
    """One criterion. ``missing`` says why there is nothing, and what to do about it."""

    criterion: str
    calibrated: str
    calibration_href: str | None
    level: str
    versions: tuple[VersionView, ...]
    panel: EffectView | None
    people: EffectView | None
    multiplicity: str | None
    missing: str | None


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
    """The report on one judge under one rubric."""

    title: str
    family: str
    place: Mark
    simulated: bool
    rubrics: tuple[Link, ...]
    rubric: str | None
    criteria: tuple[CriterionView, ...]
    versions: tuple[VersionLine, ...]


@router.get("/ui/judges")
async def show_roster(
    request: Request,
    caller: Reader,
    services: Served,
    rubric: Annotated[str | None, Query(max_length=200)] = None,
    criterion: Annotated[str | None, Query(max_length=200)] = None,
    of: Annotated[str | None, Query(max_length=1000)] = None,
) -> Response:
    """Every judge on the roster or on record."""
    if of:
        rubric, _, criterion = (unquote(part) for part in of.partition("/"))
    chosen = await choose(services, caller, rubric, criterion)
    judges = await services.roster_report.judges(caller.project)
    glance = Glance(None, None, None, {}, None)
    if chosen.version is not None and chosen.criterion is not None:
        glance = await roster_glance(
            services.database, caller.project.id, chosen.version.rubric.name, chosen.criterion.name
        )
    told = glance.calibration_id is not None and chosen.version is not None and chosen.criterion is not None
    axis = _severity_axis(glance)
    page = RosterPage(
        title="Judges",
        criteria=chosen.options(),
        about=f"{chosen.version.rubric.name}: {chosen.criterion.name}"
        if told and chosen.version and chosen.criterion
        else None,
        unit="points; above 0 is harsher than people",
        axis=axis_mark(axis),
        lines=tuple(
            _roster_line(one, glance, axis, chosen.version.rubric.name if chosen.version else None)
            for one in judges
        ),
        families=len({one.family for one in judges}),
        effective=number(glance.effective_judges, 1) if glance.effective_judges is not None else None,
        calibration_href=None
        if glance.calibration_id is None
        else url("calibrations", glance.calibration_id),
    )
    return show(request, "judges.html", page)


@router.get("/ui/judges/{name:path}")
async def show_judge(
    request: Request,
    name: str,
    caller: Reader,
    services: Served,
    rubric: Annotated[str | None, Query(max_length=200)] = None,
) -> Response:
    """The report on one judge."""
    judges = await services.roster_report.judges(caller.project)
    judge = next((one for one in judges if one.name == name), None)
    if judge is None:
        raise NotFound("judge", name)
    chosen = await choose(services, caller, rubric, None)
    reports: list[BiasReport] = []
    wanted = [chosen.version] if rubric and chosen.version else list(chosen.rubrics)
    for version in wanted:  # without a choice: the first rubric that tells something of this judge
        report = await bias_report(services.database, caller.project.id, name, rubric=version.rubric.name)
        reports = [report]
        if any(one.versions for one in report.criteria):
            break
    report_shown = reports[0] if reports else None
    refused: dict[str, tuple[str, ...]] = {}
    for one in () if report_shown is None else report_shown.criteria:
        if report_shown is not None and not one.versions and one.status != "running":
            refused[one.criterion] = await services.quality.refusals(
                caller.project.id, report_shown.rubric, one.criterion
            )
    base = url("judges", name)
    page = JudgePage(
        title=name,
        family=judge.family,
        place=_place(judge),
        simulated=any(one.judge.simulated for one in judge.health)
        or bool(judge.current and judge.current.simulated),
        rubrics=tuple(
            Link(
                one.rubric.name,
                f"{base}{url(rubric=one.rubric.name)[3:]}",
                report_shown is not None and one.rubric.name == report_shown.rubric,
            )
            for one in chosen.rubrics
        ),
        rubric=None if report_shown is None else report_shown.rubric,
        criteria=()
        if report_shown is None
        else tuple(_criterion(one, refused.get(one.criterion, ())) for one in report_shown.criteria),
        versions=tuple(_version_line(one, judge) for one in reversed(judge.health)),
    )
    return show(request, "judge.html", page)


def _place(judge: JudgeReport) -> Mark:
    if judge.current is not None:
        return Mark("on the roster", "good", "may be drawn for panels")
    if judge.entry is not None:
        return Mark("not enabled", "", "on the roster, but not drawn for panels")
    return Mark("recorded", "", "known from imports or a former roster; not drawn for panels")


def _roster_line(judge: JudgeReport, glance: Glance, axis: Axis, rubric: str | None) -> RosterLine:
    latest = judge.health[-1] if judge.health else None
    now = next((one for one in judge.health if one.judge == judge.current), latest)
    version = judge.current or (latest.judge if latest else None)
    told = {} if version is None else glance.judges.get((judge.name, version.digest()), {})
    if not told and latest is not None:
        told = glance.judges.get((judge.name, latest.judge.digest()), {})
    severity, agreement = told.get("severity"), told.get("agreement")
    return RosterLine(
        name=judge.name,
        href=url("judges", judge.name, rubric=rubric),
        family=judge.family,
        place=_place(judge),
        provider=judge.entry.config.provider if judge.entry else NONE,
        model=version.model if version else NONE,
        version=version.digest() if version else NONE,
        verdicts=count(sum(one.verdicts for one in judge.health)),
        calls=count(now.calls) if now else "0",
        unscored=_unscored(now),
        latency=duration(now.latency_p50_ms if now else None),
        slow=duration(now.latency_p95_ms if now else None),
        cost=money(now.cost_usd) if now and now.calls else NONE,
        severity=number(severity.estimate, sign=True) if severity else NONE,
        severity_interval=interval(severity.interval, sign=True) if severity else NONE,
        agreement=number(agreement.estimate) if agreement else NONE,
        picture=interval_mark(
            axis,
            estimate=severity.estimate if severity else None,
            interval=severity.interval if severity else None,
            zero=0.0,
        ),
    )


def _unscored(health: JudgeHealth | None) -> str:
    """Of recent calls, or of all verdicts on record where there were none."""
    if health is None:
        return NONE
    if health.unscored_rate is not None:
        return percent(health.unscored_rate, 1)
    return percent(health.unscored_verdicts / health.verdicts, 1) if health.verdicts else NONE


def _severity_axis(glance: Glance) -> Axis:
    told = [one["severity"] for one in glance.judges.values() if "severity" in one]
    return axis_over([end for one in told for end in one.interval or ()], include=(0.0,))


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


_MISSING = {
    "running": "A calibration of this criterion is on its way; reload in a moment.",
    "not_calibrated": "This criterion has not been calibrated, so nothing is known of this judge's biases. "
    "Upload human grades of answers that it judged; a calibration is then scheduled by itself.",
    "calibrated": "The newest calibration has no verdicts of this judge on this criterion.",
}


def _criterion(found: CriterionBias, refused: tuple[str, ...]) -> CriterionView:
    known = () if refused and found.status == "not_calibrated" else (_MISSING[found.status],)
    missing = " ".join((*known, *map(sentence, refused)))
    return CriterionView(
        criterion=found.criterion,
        calibrated=moment(found.calibrated_at),
        calibration_href=None if found.calibration_id is None else url("calibrations", found.calibration_id),
        level=NONE if found.level is None else level_name(found.level),
        versions=tuple(_version(one) for one in found.versions),
        panel=None if found.panel is None else _effect(found.panel, "Independent judges in a panel of three"),
        people=None
        if found.people_agreement is None
        else _effect(found.people_agreement, "People among themselves"),
        multiplicity=None if found.multiplicity is None else _multiplicity(found.multiplicity),
        missing=None if found.versions else missing,
    )


def _version(found: JudgeVersionBias) -> VersionView:
    tables = [_groups("Systems", "system", found.systems)] if found.systems else []
    tables += [_groups(f"By {name}", name, rows) for name, rows in sorted(found.strata.items()) if rows]
    return VersionView(
        version=found.judge_version,
        family=found.family,
        model=found.model,
        params=found.params,
        prompt_version=found.prompt_version or NONE,
        simulated=found.simulated,
        verdicts=counted(found.verdicts, "verdict"),
        unscored=tuple(f"{reason.replace('_', ' ')}: {count(n)}" for reason, n in found.unscored.items()),
        effects=tuple(_effect(one, TITLES.get(one.name, one.name)) for one in found.effects),
        checks=tuple(_effect(one, f"{TITLES[one.name]}, by categories") for one in found.checks),
        tables=tuple(tables),
    )


def _groups(caption: str, what: str, rows: Sequence[ToldEffect]) -> GroupTable:
    axis = axis_over([end for row in rows for end in row.interval or ()], include=(0.0,))
    return GroupTable(
        caption=caption,
        what=what,
        axis=axis_mark(axis),
        rows=tuple(_effect(row, row.name, axis) for row in rows),
    )


def _effect(told: ToldEffect, title: str, axis: Axis | None = None) -> EffectView:
    known = told.estimate is not None and isfinite(told.estimate)
    signed = told.no_effect == 0.0
    digits = 3 if told.unit == "probability" else 2
    if axis is None:
        picture = effect_chart(estimate=told.estimate, interval=told.interval, no_effect=told.no_effect)
    else:
        picture = interval_mark(axis, estimate=told.estimate, interval=told.interval, zero=0.0)
    return EffectView(
        title=title,
        estimate=number(told.estimate, digits, sign=signed),
        interval=interval(told.interval, digits, sign=signed),
        unit=UNITS.get(told.unit or "", told.unit or ""),
        n=count(told.n),
        mark=EFFECT_MARKS[told.status],
        identified=known,
        sentence=told.sentence,
        picture=picture,
        flagged=bool(told.flagged),
        test=_test(told),
    )


def _test(told: ToldEffect) -> str | None:
    if told.p_value is None:
        return None
    adjusted = "" if told.p_adjusted is None else f", {p_value(told.p_adjusted)} among all"
    redrawn = "" if told.p_randomisation is None else f", {p_value(told.p_randomisation)} by redrawn orders"
    return f"p {p_value(told.p_value)}{adjusted}{redrawn}"


def _multiplicity(found: Multiplicity) -> str:
    return (
        f"{counted(found.effects, 'effect')} of all judges, systems and strata were tested; "
        f"{count(found.flagged)} stand out once that is taken into account (Benjamini and Hochberg)."
    )

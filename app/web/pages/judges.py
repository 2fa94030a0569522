"""The judges at a glance: how each is doing, and every bias of all of them side by side."""

from dataclasses import dataclass
from typing import Annotated
from urllib.parse import unquote

from fastapi import APIRouter, Query
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import Response

from app.access.keys import Caller
from app.domain.projects import Scope
from app.reporting.bias_report import ToldEffect
from app.reporting.bias_words import TITLES
from app.reporting.roster_bias import Glance, roster_glance
from app.reporting.roster_report import JudgeHealth, JudgeReport
from app.web.callers import needs
from app.web.pages.addresses import url
from app.web.pages.charts import axis_mark, interval_mark, share_bar
from app.web.pages.chosen import Option, choose
from app.web.pages.effects import (
    EFFECT_COLUMNS,
    EFFECT_MARKS,
    UNITS,
    digits_of,
    effect_row,
    shared_axis,
)
from app.web.pages.page import show
from app.web.pages.tables import Cell, DataTable, FileKind, Files, TableName, as_file, files
from app.web.pages.words import (
    NONE,
    Mark,
    count,
    counted,
    duration,
    interval,
    level_name,
    money,
    number,
    percent,
    sentence,
)
from app.web.services import Served

router = APIRouter(include_in_schema=False)

Reader = Annotated[Caller, needs(Scope.READ)]

MOST_JUDGES = 24  # on one page: every bias has a row for each
_TITLES = {"adds": "What it adds to the panel"} | TITLES
_MEANINGS = {
    "adds": "how much more of people's grades a panel explains with the judge than without it, held out",
    "severity": "people less judge on the same answers; above 0 is harsher than people",
    "discrimination": "the judge's rise where people's grades rise by 1; below 1 it pulls grades together",
    "position": "what the place an answer is shown in does",
    "order_flips": "pairs whose verdict turns round when the answers change places",
    "length": "what twice the length does at equal human grade",
    "layout": "what twice the headings, list items, bold and code do at equal human grade and length",
    "own_family": "favour for systems of its own family at equal human grade",
    "own_model": "favour for its own model at equal human grade",
    "version_level": "drift: this version's scores less those of the one before, on the same answers",
    "version_agreement": "drift: agreement with people now less that of the version before",
    "agreement": "with single people: 0 is chance, 1 is always",
    "test_retest": "what repeats of what varies, when the same is asked again",
    "unscored_rate": "what it gave no verdict on",
}


@dataclass(frozen=True, slots=True)
class RosterLine:
    """One judge: who it is, and how its calls of the last day went."""

    name: str
    href: str
    family: str
    place: Mark
    model: str
    version: str
    verdicts: str
    calls: str
    unscored: str
    latency: str
    slow: str
    cost: str
    cost_each: str
    weight: str
    weight_bar: Markup | None
    agreement: str
    retest: str


@dataclass(frozen=True, slots=True)
class MultipleRow:
    """One judge in one bias's table; ``mark`` stands for the numbers where they cannot be told."""

    name: str
    href: str
    picture: Markup
    estimate: str
    interval: str
    n: str
    mark: Mark | None
    why: str
    flagged: bool


@dataclass(frozen=True, slots=True)
class Multiple:
    """One bias of every judge on one axis."""

    name: str
    title: str
    meaning: str
    unit: str
    axis: Markup
    rows: tuple[MultipleRow, ...]


@dataclass(frozen=True, slots=True)
class RosterPage:
    """All judges; ``about`` names the criterion of the biases, None without a calibration.

    ``untold``: biases that no judge's data tell, with the reason. ``notice`` says why there are no biases or
    only some, and what to do.
    """

    title: str
    criteria: tuple[Option, ...]
    about: str | None
    level: str
    lines: tuple[RosterLine, ...]
    judges: str
    families: str
    effective: str | None
    calibration_href: str | None
    multiples: tuple[Multiple, ...]
    untold: tuple[tuple[str, str], ...]
    notice: tuple[str, ...]
    upload_href: str
    files: dict[str, Files]
    before_href: str | None
    after_href: str | None


@router.get("/ui/judges")
async def show_roster(
    request: Request,
    caller: Reader,
    services: Served,
    rubric: Annotated[str | None, Query(max_length=200)] = None,
    criterion: Annotated[str | None, Query(max_length=200)] = None,
    of: Annotated[str | None, Query(max_length=1000)] = None,
    start: Annotated[int, Query(ge=0, le=1_000_000)] = 0,
    table: TableName = None,
    kind: FileKind = "csv",
) -> Response:
    """Every judge on the roster or on record."""
    if of:
        rubric, _, criterion = (unquote(part) for part in of.partition("/"))
    chosen = await choose(services, caller, rubric, criterion)
    everyone = await services.roster_report.judges(caller.project)
    glance = Glance("not_calibrated")
    under = None if chosen.version is None else chosen.version.rubric.name
    if under is not None and chosen.criterion is not None:
        glance = await roster_glance(services.database, caller.project.id, under, chosen.criterion.name)
    tables = (_roster_table(everyone, glance), _bias_table(everyone, glance))
    if table is not None:
        return as_file(tables, table, kind)
    judges = everyone[start : start + MOST_JUDGES]
    about = f"{under}: {chosen.criterion.name}" if chosen.criterion else None
    multiples = _multiples(judges, glance, under)
    asked = {"rubric": under, "criterion": chosen.criterion.name if chosen.criterion else None}
    page = RosterPage(
        title="Judges",
        criteria=chosen.options(),
        about=about if glance.judges else None,
        level=level_name(glance.level or 0.95),
        lines=tuple(_roster_line(one, glance, under) for one in judges),
        judges=counted(len(everyone), "judge"),
        families=counted(len({one.family for one in everyone}), "family", "families"),
        effective=number(glance.effective_judges, 1) if glance.effective_judges is not None else None,
        calibration_href=None
        if glance.calibration_id is None
        else url("calibrations", glance.calibration_id),
        multiples=tuple(one for one in multiples if any(row.mark is None for row in one.rows)),
        untold=tuple((one.title, one.rows[0].why) for one in multiples if all(row.mark for row in one.rows)),
        notice=_notice(glance, about),
        upload_href=url("anchor-sets", "upload", rubric=under),
        files=files(request, tables),
        before_href=url("judges", **asked, start=max(start - MOST_JUDGES, 0)) if start else None,
        after_href=url("judges", **asked, start=start + MOST_JUDGES)
        if start + MOST_JUDGES < len(everyone)
        else None,
    )
    return show(request, "judges.html", page)


def place_of(judge: JudgeReport) -> Mark:
    """Whether the judge sits on panels."""
    if judge.current is not None:
        return Mark("on the roster", "good", "may be drawn for panels")
    if judge.entry is not None:
        return Mark("not enabled", "", "on the roster, but not drawn for panels")
    return Mark("recorded", "", "known from imports or a former roster; not drawn for panels")


def _notice(glance: Glance, about: str | None) -> tuple[str, ...]:
    if about is None:
        return ("There is no rubric yet, so no judge can have a bias under one.",)
    return {
        "calibrated": (),
        "refused": (
            "The calibration was refused; told is what needs no human grades.",
            *map(sentence, glance.refusals),
        ),
        "running": (f"A calibration of {about} is on its way; reload in a moment.",),
        "not_calibrated": (
            f"{about} has not been calibrated, so no bias is known. Upload human grades of answers that "
            "these judges have judged; a calibration is then scheduled by itself.",
        ),
    }[glance.status]


def _told(judge: JudgeReport, glance: Glance) -> dict[str, ToldEffect]:
    """Of the version that sits now, else of the newest that the calibration has."""
    digests = [one.judge.digest() for one in reversed(judge.health)]
    if judge.current is not None:
        digests.insert(0, judge.current.digest())
    found = (glance.judges.get((judge.name, digest)) for digest in digests)
    return dict(next((one for one in found if one), {}))


def _multiples(judges: tuple[JudgeReport, ...], glance: Glance, rubric: str | None) -> list[Multiple]:
    told = [(one, _told(one, glance)) for one in judges]
    found = []
    for name, title in _TITLES.items():
        having = [(judge, effects[name]) for judge, effects in told if name in effects]
        if not having:
            continue
        axis = shared_axis([effect for _, effect in having])
        unit = next((effect.unit for _, effect in having if effect.unit), None)
        rows = []
        for judge, effect in having:
            known = effect.estimate is not None
            digits, signed = digits_of(effect), effect.no_effect == 0.0
            rows.append(
                MultipleRow(
                    name=judge.name,
                    href=url("judges", judge.name, rubric=rubric),
                    picture=interval_mark(
                        axis, estimate=effect.estimate, interval=effect.interval, zero=effect.no_effect
                    )
                    if known
                    else Markup(""),
                    estimate=number(effect.estimate, digits, sign=signed),
                    interval=interval(effect.interval, digits, sign=signed),
                    n=count(effect.n),
                    mark=None if known else EFFECT_MARKS[effect.status],
                    why=effect.sentence,
                    flagged=bool(effect.flagged),
                )
            )
        found.append(
            Multiple(
                name, title, _MEANINGS[name], UNITS.get(unit or "", unit or ""), axis_mark(axis), tuple(rows)
            )
        )
    return found


def _health_of(judge: JudgeReport) -> JudgeHealth | None:
    """Of the version that sits now, else of the newest."""
    latest = judge.health[-1] if judge.health else None
    return next((one for one in judge.health if one.judge == judge.current), latest)


def _roster_line(judge: JudgeReport, glance: Glance, rubric: str | None) -> RosterLine:
    now, told = _health_of(judge), _told(judge, glance)
    version = judge.current or (now.judge if now else None)
    digest = version.digest() if version else NONE
    weight = glance.weights.get(digest)
    agreement, retest = told.get("agreement"), told.get("test_retest")
    return RosterLine(
        name=judge.name,
        href=url("judges", judge.name, rubric=rubric),
        family=judge.family,
        place=place_of(judge),
        model=version.model if version else NONE,
        version=digest,
        verdicts=count(sum(one.verdicts for one in judge.health)),
        calls=count(now.calls) if now else "0",
        unscored=_unscored(now),
        latency=duration(now.latency_p50_ms if now else None),
        slow=duration(now.latency_p95_ms if now else None),
        cost=money(now.cost_usd) if now and now.calls else NONE,
        cost_each=money(1000 * now.cost_usd / now.calls) if now and now.calls else NONE,
        weight=number(weight),
        weight_bar=None if weight is None else share_bar(weight),
        agreement=number(agreement.estimate if agreement else None),
        retest=number(retest.estimate if retest else None),
    )


def _unscored(health: JudgeHealth | None) -> str:
    return percent(_unscored_share(health), 1)


def _unscored_share(health: JudgeHealth | None) -> float | None:
    """Of recent calls, or of all verdicts on record where there were none."""
    if health is None:
        return None
    if health.unscored_rate is not None:
        return health.unscored_rate
    return health.unscored_verdicts / health.verdicts if health.verdicts else None


def _roster_table(judges: tuple[JudgeReport, ...], glance: Glance) -> DataTable:
    rows: list[tuple[Cell, ...]] = []
    for judge in judges:
        now = _health_of(judge)
        version = judge.current or (now.judge if now else None)
        digest = version.digest() if version else None
        rows.append((
            judge.name, judge.family, place_of(judge).word, version.model if version else None, digest,
            sum(one.verdicts for one in judge.health), now.calls if now else 0, _unscored_share(now),
            now.latency_p50_ms if now else None, now.latency_p95_ms if now else None,
            now.cost_usd if now else 0.0, glance.weights.get(digest or ""),
        ))  # fmt: skip
    columns = (
        *("judge", "family", "place", "model", "version", "verdicts", "calls_24h", "unscored_share"),
        *("latency_p50_ms", "latency_p95_ms", "cost_usd_24h", "weight"),
    )
    return DataTable("judges", columns, rows)


def _bias_table(judges: tuple[JudgeReport, ...], glance: Glance) -> DataTable:
    rows = [(judge.name, *effect_row(effect)) for judge in judges for effect in _told(judge, glance).values()]
    return DataTable("biases", ("judge", *EFFECT_COLUMNS), rows)

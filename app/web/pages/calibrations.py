"""Calibrations: the list with a form that schedules one, and everything about one run."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import unquote

from fastapi import APIRouter, Form, Query
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from app.access.keys import Caller
from app.calibration.calibrate import queue_calibrations
from app.domain.calibration import Calibration, RunStatus
from app.domain.ids import show_id
from app.domain.projects import Scope
from app.reporting.activity import calibration_run, calibration_runs
from app.reporting.panel_weights import panel_weights
from app.web.callers import needs
from app.web.pages.addresses import url
from app.web.pages.charts import axis_mark, axis_over, interval_mark, share_bar
from app.web.pages.chosen import Option, choose
from app.web.pages.page import HEADERS, Link, may, show
from app.web.pages.words import (
    NONE,
    RUN_MARKS,
    Mark,
    count,
    counted,
    interval,
    level_name,
    moment,
    number,
    percent,
    sentence,
)
from app.web.services import Served

router = APIRouter(include_in_schema=False)

Reader = Annotated[Caller, needs(Scope.READ)]
Uploader = Annotated[Caller, needs(Scope.ANCHORS)]


@dataclass(frozen=True, slots=True)
class RunLine:
    """One run of the list."""

    id: str
    href: str
    rubric: str
    criterion: str
    mark: Mark
    created: str
    took: str
    anchors: str
    verdicts: str
    why: str


@dataclass(frozen=True, slots=True)
class RunsPage:
    """The list. ``criteria`` is empty where there is no rubric; ``may_schedule`` follows the key's scopes."""

    title: str
    rubrics: tuple[Link, ...]
    rubric: str | None
    criteria: tuple[Option, ...]
    may_schedule: bool
    scheduled: str | None
    lines: tuple[RunLine, ...]
    next_href: str | None


@dataclass(frozen=True, slots=True)
class NumberRow:
    """A named number with its interval; ``picture`` stands on the axis of its table."""

    name: str
    meaning: str
    estimate: str
    interval: str
    note: str
    picture: Markup


@dataclass(frozen=True, slots=True)
class NumberTable:
    """Rows on one axis."""

    caption: str
    axis: Markup
    rows: tuple[NumberRow, ...]


@dataclass(frozen=True, slots=True)
class JudgeWeight:
    """A judge in the panel, as the calibration uses it."""

    name: str
    href: str
    family: str
    version: str
    units: str
    mean: str
    spread: str
    loading: str
    share: str
    share_bar: Markup
    note: str


@dataclass(frozen=True, slots=True)
class RunPage:
    """One calibration."""

    title: str
    id: str
    mark: Mark
    simulated: bool
    rubric: str
    rubric_href: str
    criterion: str
    open: bool
    facts: tuple[tuple[str, str], ...]
    refusals: tuple[str, ...]
    advice: str | None
    error: str | None
    warnings: tuple[str, ...]
    gains: tuple[tuple[str, str, str], ...]
    counts: tuple[tuple[str, str], ...]
    scale: str
    fixed: NumberTable | None
    variances: NumberTable | None
    judges: tuple[JudgeWeight, ...]
    optimiser: tuple[tuple[str, str], ...]
    optimiser_mark: Mark | None
    anchor_sets: tuple[Link, ...]
    snapshot: tuple[tuple[str, str], ...]
    quality_href: str
    may_schedule: bool


@router.get("/ui/calibrations")
async def show_runs(
    request: Request,
    caller: Reader,
    services: Served,
    rubric: Annotated[str | None, Query(max_length=200)] = None,
    cursor: Annotated[str | None, Query(max_length=100)] = None,
    scheduled: Annotated[int | None, Query(ge=0, le=1000)] = None,
) -> Response:
    """Newest first, of one rubric if asked."""
    chosen = await choose(services, caller, rubric, None)
    page = await calibration_runs(services.database, caller.project.id, rubric=rubric or None, cursor=cursor)
    criteria = tuple(
        Option(one.rubric.name, one.rubric.name, one is chosen.version) for one in chosen.rubrics
    )
    return show(
        request,
        "calibrations.html",
        RunsPage(
            title="Calibrations",
            rubrics=(Link("All", url("calibrations"), rubric is None), *(
                Link(one.label, one.href, one.current and rubric is not None)
                for one in chosen.rubric_links(url("calibrations"))
            )),
            rubric=rubric,
            criteria=criteria,
            may_schedule=may(request, Scope.ANCHORS),
            scheduled=None if scheduled is None else f"{counted(scheduled, 'calibration')} scheduled.",
            lines=tuple(_line(one) for one in page.items),
            next_href=url("calibrations", rubric=rubric, cursor=page.next_cursor)
            if page.next_cursor
            else None,
        ),
    )  # fmt: skip


@router.post("/ui/calibrations")
async def schedule(
    caller: Uploader,
    services: Served,
    rubric: Annotated[str, Form(max_length=1000)],
    criterion: Annotated[str | None, Form(max_length=1000)] = None,
) -> Response:
    """Queue one calibration per criterion of a rubric, or for the one named."""
    runs = await queue_calibrations(
        services.database,
        caller.project.id,
        rubric=unquote(rubric),
        criterion=unquote(criterion) if criterion else None,
    )
    services.calibrating.wake()
    if len(runs) == 1:
        return RedirectResponse(url("calibrations", show_id("c", runs[0].id)), 303, HEADERS)
    return RedirectResponse(url("calibrations", rubric=unquote(rubric), scheduled=len(runs)), 303, HEADERS)


@router.get("/ui/calibrations/{calibration_id}")
async def show_run(request: Request, calibration_id: str, caller: Reader, services: Served) -> Response:
    """One calibration: what it rests on, what was fitted, what it refused."""
    run = await calibration_run(services.database, caller.project.id, calibration_id)
    return show(request, "calibration.html", _run_page(run, panel_weights(run), may(request, Scope.ANCHORS)))


def _line(run: Calibration) -> RunLine:
    counts = run.snapshot.get("counts", {})
    why = run.error or (run.refusals[0].partition(": ")[2] if run.refusals else "")
    shown = show_id("c", run.id)
    return RunLine(
        id=shown,
        href=url("calibrations", shown),
        rubric=run.rubric,
        criterion=run.criterion,
        mark=RUN_MARKS[run.status],
        created=moment(run.created_at),
        took=_took(run),
        anchors=count(counts.get("human_grades")),
        verdicts=count(counts.get("verdicts")),
        why=why,
    )


def _took(run: Calibration) -> str:
    if run.finished_at is None:
        return NONE
    return f"{(run.finished_at - run.created_at).total_seconds():.1f} s"


def _run_page(run: Calibration, weights: Mapping[str, float], may_schedule: bool) -> RunPage:
    model, snapshot = run.model, run.snapshot
    diagnostics: Mapping[str, Any] = model.get("diagnostics", {})
    optimiser = model.get("optimiser")
    return RunPage(
        title=f"Calibration of {run.criterion}",
        id=show_id("c", run.id),
        mark=RUN_MARKS[run.status],
        simulated=bool(snapshot.get("simulated", False)),
        rubric=run.rubric,
        rubric_href=url("rubrics", run.rubric),
        criterion=run.criterion,
        open=run.status in (RunStatus.QUEUED, RunStatus.RUNNING),
        facts=_facts(run, model),
        refusals=tuple(sentence(text.partition(": ")[2] or text) for text in run.refusals),
        advice=_advice(run),
        error=run.error,
        warnings=tuple(map(sentence, model.get("warnings", ()))),
        gains=_gains(diagnostics),
        counts=_counts(snapshot, diagnostics),
        scale=_unit_scale(model),
        fixed=_fixed(model),
        variances=_variances(model),
        judges=_judges(model, weights),
        optimiser=() if optimiser is None else _optimiser(optimiser),
        optimiser_mark=None if optimiser is None else _optimiser_mark(optimiser),
        anchor_sets=tuple(
            Link(f"{one['name']}, version {one['version']}", url("anchor-sets", one["name"]))
            for one in snapshot.get("anchor_sets", ())
        ),
        snapshot=_snapshot(snapshot),
        quality_href=url("quality", rubric=run.rubric, criterion=run.criterion),
        may_schedule=may_schedule,
    )


def _facts(run: Calibration, model: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    facts = [
        ("Asked for", moment(run.created_at)),
        ("Finished", moment(run.finished_at)),
        ("Took", _took(run)),
    ]
    if "level" in model:
        facts.append(("Intervals hold in", f"{level_name(model['level'])} of cases"))
    if "scale" in model:
        low, high = model["scale"]["low"], model["scale"]["high"]
        facts.append(
            ("Scale", f"{low:g} to {high:g}" if model["kind"] != "pairwise" else "preference between two")
        )
    return tuple(facts)


def _advice(run: Calibration) -> str | None:
    if run.status is RunStatus.REFUSED:
        return (
            "Mend what is listed, most often by uploading more human grades, and calibrate again. Biases "
            "that need no human grades are told all the same, on each judge's page."
        )
    if run.status is RunStatus.FAILED:
        return "Schedule it again; if it fails again, the service's log says more."
    return None


def _gains(diagnostics: Mapping[str, Any]) -> tuple[tuple[str, str, str], ...]:
    """How far from people: held out, before and after; in native units."""
    if "held_out_rmse_native" not in diagnostics:
        return ()
    rows = (
        (
            "Calibrated score, held out",
            "held_out_rmse_native",
            "each prompt predicted from the other prompts",
        ),
        ("Raw panel mean", "raw_rmse_native", "what the judges say, uncorrected"),
        ("Always the average human grade", "constant_rmse_native", "what knowing nothing would cost"),
    )
    return tuple((name, number(diagnostics.get(key)), meaning) for name, key, meaning in rows)


def _counts(snapshot: Mapping[str, Any], diagnostics: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    counts = snapshot.get("counts", {})
    names = (
        ("verdicts", "Verdicts"), ("judged_units", "Answers or pairs judged"),
        ("human_grades", "Human grades"),
        ("graded_units", "Answers or pairs graded by people"), ("annotators", "Annotators"),
        ("prompts", "Prompts"), ("systems", "Systems"),
    )  # fmt: skip
    out = [(label, count(counts[key])) for key, label in names if key in counts]
    if "double_rated" in diagnostics:
        out.append(("Graded by two people or more", count(diagnostics["double_rated"])))
    if diagnostics.get("human_reliability") is not None:
        out.append(("Of one human grade, what others share", percent(diagnostics["human_reliability"])))
    if diagnostics.get("held_out_correlation") is not None:
        out.append(("Correlation with people, held out", number(diagnostics["held_out_correlation"])))
    if diagnostics.get("outside_anchored_range") is not None:
        out.append(("Beyond what the anchors cover", percent(diagnostics["outside_anchored_range"], 1)))
    for reason, number_left in diagnostics.get("verdicts_left_out", {}).items():
        if number_left:
            out.append((f"Left out: {reason.replace('_', ' ')}", count(number_left)))
    return tuple(out)


def _numbers(
    caption: str, rows: Sequence[tuple[str, str, float | None, Any, str]], digits: int
) -> NumberTable:
    ends = [end for *_, found, _ in rows for end in found or () if end is not None]
    axis = axis_over([*ends, *(value for _, _, value, _, _ in rows if value is not None)], include=(0.0,))
    return NumberTable(
        caption=caption,
        axis=axis_mark(axis),
        rows=tuple(
            NumberRow(
                name=name,
                meaning=sentence(meaning),
                estimate=number(value, digits),
                interval=_ends(found, digits),
                note=note,
                picture=interval_mark(axis, estimate=value, interval=_drawable(found), zero=0.0),
            )
            for name, meaning, value, found, note in rows
        ),
    )


def _ends(found: Any, digits: int) -> str:
    if found is None:
        return NONE
    low, high = found
    if high is None:
        return f"{number(low, digits)} or more"
    return interval((0.0 if low is None else low, high), digits)


def _drawable(found: Any) -> tuple[float, float] | None:
    return None if found is None or None in tuple(found) else (found[0], found[1])


def _fixed(model: Mapping[str, Any]) -> NumberTable | None:
    rows = [
        (row["name"].replace("_", " "), row["meaning"], row["estimate"], row["interval"], _pulled(row))
        for row in model.get("fixed_effects", ())
    ]
    return _numbers(f"Fixed effects, on {_unit_scale(model)}", rows, 3) if rows else None


def _unit_scale(model: Mapping[str, Any]) -> str:
    """The scale that the numbers of the model are on."""
    if model.get("kind") == "pairwise":
        return "a scale from −1 (the second wins) to 1 (the first wins)"
    return "a scale from 0 (worst) to 1 (best)"


def _pulled(row: Mapping[str, Any]) -> str:
    if row.get("prior_sd") is None:
        return ""
    return f"pulled towards {number(row['pulled_to'])}; {number(row['unpulled'], 3)} without"


_SPREADS = {
    "residual": "what nothing here explains, from answer to answer",
    "prompt": "between prompts, at the same panel score",
    "system": "between systems, at the same panel score",
    "annotator": "between people who graded the same answer",
}


def _variances(model: Mapping[str, Any]) -> NumberTable | None:
    rows = [
        (
            row["name"], _SPREADS.get(row["name"], ""), row["sd"], _roots(row.get("interval")),
            "at its limit of zero" if row.get("singular") else "",
        )
        for row in model.get("variance_components", ())
    ]  # fmt: skip
    caption = f"Standard deviations, on {_unit_scale(model)}"
    return _numbers(caption, rows, 3) if rows else None


def _roots(ends: Any) -> tuple[float | None, float | None] | None:
    """Ends of a variance's interval as ends of its standard deviation's."""
    if ends is None:
        return None
    low, high = ends
    return (None if low is None else max(low, 0.0) ** 0.5, None if high is None else max(high, 0.0) ** 0.5)


def _judges(model: Mapping[str, Any], weights: Mapping[str, float]) -> tuple[JudgeWeight, ...]:
    rows: Sequence[Mapping[str, Any]] = model.get("judges", ())
    return tuple(
        JudgeWeight(
            name=row["name"],
            href=url("judges", row["name"]),
            family=row["family"],
            version=row["version"],
            units=count(row.get("units")),
            mean=number(row.get("mean"), 3),
            spread=number(row.get("sd"), 3),
            loading=number(row.get("loading"), 3),
            share=percent(weights.get(row["version"])).replace("-", "\u2212"),
            share_bar=share_bar(weights.get(row["version"], 0.0)),
            note="" if row.get("used", False) else (row.get("reason") or "not used"),
        )
        for row in rows
    )


def _optimiser(found: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    return (
        ("Criterion", f"{found['criterion']} = {number(found['value'], 3)}".replace("-2", "\u22122", 1)),
        ("Evaluations", count(found["evaluations"])),
        ("Gradient at the end", f"{found['gradient_norm']:.2g}"),
        ("Converged", "yes" if found["converged"] else "no"),
        ("At a limit", ", ".join(found["singular"]) or "nothing"),
        ("Said", found["message"] or "nothing"),
    )


def _optimiser_mark(found: Mapping[str, Any]) -> Mark:
    if not found["converged"]:
        return Mark("not converged", "bad", "read the numbers with suspicion")
    if found["singular"]:
        return Mark("converged, at a limit", "", "a spread is estimated as zero")
    return Mark("converged", "good")


def _snapshot(snapshot: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    if not snapshot:
        return ()
    return (
        ("Data hash", snapshot["sha256"][:16]),
        ("Newest verdict", snapshot["newest_verdict"]),
        ("Rubric version", str(snapshot["rubric_version"])),
        ("Simulated verdicts left out", "yes" if snapshot.get("simulated_left_out") else "no"),
    )

"""Rotation of an anchor set: how worn its anchors are, what to renew, and what renewals did."""

from dataclasses import dataclass, fields
from typing import Annotated

from fastapi import APIRouter, Form, Query
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from app.access.keys import Caller
from app.annotating.rotation import RotationPlan, WornAnchor, shown_rotation_id
from app.annotating.rotation_link import ChangePart, CriterionLink
from app.domain.problems import BadInput, Conflict
from app.domain.projects import Scope
from app.domain.rotation import Rotation, RotationPolicy
from app.web.callers import needs
from app.web.pages.addresses import url
from app.web.pages.page import HEADERS, may, show
from app.web.pages.words import NONE, count, counted, interval, moment, number, percent, sentence
from app.web.services import Served

router = APIRouter(include_in_schema=False)

Reader = Annotated[Caller, needs(Scope.READ)]
Uploader = Annotated[Caller, needs(Scope.ANCHORS)]
SetName = Annotated[str, Query(alias="set", min_length=1, max_length=200)]
_SHOWN = 100
_LABELS = {
    "every_days": ("Every", "days between rotations"),
    "share": ("Share replaced", "of the items; 0.05 to 0.1 is usual"),
    "overlap": ("Least overlap", "share that stays, to link by"),
    "half_life_days": ("Half-life in days", "an anchor loses half of its freshness"),
    "half_life_exposures": ("Half-life in exposures", "showings, calibrations, twenty per export"),
}
_NOT_LINKED = {
    "not_calibrated_before": "No calibration rested on the version before the rotation.",
    "not_calibrated_after": "No calibration rests on a version since the rotation yet.",
}


@dataclass(frozen=True, slots=True)
class PolicyField:
    """One number of the policy."""

    name: str
    label: str
    hint: str
    value: str


@dataclass(frozen=True, slots=True)
class WornLine:
    """One item."""

    item: str
    leaves: bool
    born: str
    age: str
    showings: str
    calibrations: str
    exports: str
    freshness: str
    systems: str


@dataclass(frozen=True, slots=True)
class DoneLine:
    """One rotation that was done."""

    href: str
    when: str
    versions: str
    retired: str
    queue: str | None
    queue_href: str | None


@dataclass(frozen=True, slots=True)
class RotationPage:
    """The plan and what was done. ``wrong`` says why a rotation was not done."""

    title: str
    name: str
    set_href: str
    wrong: tuple[str, ...]
    due: bool
    when: str
    policy: tuple[PolicyField, ...]
    facts: tuple[tuple[str, str], ...]
    warnings: tuple[str, ...]
    systems: tuple[tuple[str, str, str, str], ...]
    lines: tuple[WornLine, ...]
    shown: str
    may_rotate: bool
    proposes: bool
    version: int
    done: tuple[DoneLine, ...]


@dataclass(frozen=True, slots=True)
class LinkLine:
    """One system's change."""

    system: str
    anchors: str
    total: str
    overlap: str
    new: str
    sentence: str


@dataclass(frozen=True, slots=True)
class LinkTable:
    """One criterion: a table, or why there is none."""

    criterion: str
    caption: str
    why: str | None
    lines: tuple[LinkLine, ...]


@dataclass(frozen=True, slots=True)
class ReportPage:
    """One rotation and the change since."""

    title: str
    name: str
    set_href: str
    plan_href: str
    facts: tuple[tuple[str, str], ...]
    warnings: tuple[str, ...]
    queue_href: str | None
    difference_href: str
    tables: tuple[LinkTable, ...]


@router.get("/ui/anchor-sets/-/rotation")
async def show_plan(request: Request, caller: Reader, services: Served, name: SetName) -> Response:
    """The plan under the policy in the address, or the set's own."""
    known = await services.rotations.policy(caller.project, name)
    policy, wrong = _read(known, dict(request.query_params))
    return await _plan_page(request, caller, services, name, policy, known, tuple(wrong))


@router.post("/ui/anchor-sets/-/rotation")
async def rotate(
    request: Request,
    caller: Uploader,
    services: Served,
    name: SetName,
    draw: Annotated[bool, Form()] = False,
    version: Annotated[int | None, Form()] = None,
) -> Response:
    """Do it, once: a form that is sent again is of a version that is no longer the newest."""
    known = await services.rotations.policy(caller.project, name)
    form = {key: value for key, value in (await request.form()).items() if isinstance(value, str)}
    policy, wrong = _read(known, form)
    if not wrong:
        try:
            if version is not None:
                await services.rotations.refuse_stale(caller.project, name, version)
            done = await services.rotations.rotate(caller.project, name, policy, draw=draw)
            address = url("anchor-sets", "-", "rotation", shown_rotation_id(done), set=name)
            return RedirectResponse(address, 303, HEADERS)
        except BadInput as bad:
            wrong = [sentence(bad.summary), *(sentence(one.problem) for one in bad.problems[:10])]
        except Conflict as conflict:
            wrong = [sentence(str(conflict))]
    return await _plan_page(request, caller, services, name, policy, known, tuple(wrong))


@router.get("/ui/anchor-sets/-/rotation/{rotation_id}")
async def show_report(
    request: Request, rotation_id: str, caller: Reader, services: Served, name: SetName
) -> Response:
    """How much of the change since is the new anchors."""
    found, criteria = await services.rotations.report(caller.project, name, rotation_id)
    page = ReportPage(
        title=f"Rotation of {name}",
        name=name,
        set_href=url("anchor-sets", name),
        plan_href=url("anchor-sets", "-", "rotation", set=name),
        facts=(
            ("Done", moment(found.created_at)),
            ("Versions", f"{found.before_version} to {found.after_version}"),
            ("Items retired", count(len(found.retired))),
            ("Share asked for", percent(found.policy.share, 1)),
        ),
        warnings=tuple(map(sentence, found.warnings)),
        queue_href=None if found.queue is None else url("annotate", found.queue),
        difference_href=url(
            "anchor-sets",
            "-",
            "difference",
            set=name,
            before=found.before_version,
            after=found.after_version,
        ),
        tables=tuple(map(_table, criteria)),
    )
    return show(request, "rotation_report.html", page)


async def _plan_page(
    request: Request,
    caller: Caller,
    services: Served,
    name: str,
    policy: RotationPolicy,
    known: RotationPolicy,
    wrong: tuple[str, ...],
) -> Response:
    try:
        plan = await services.rotations.plan(caller.project, name, policy)
    except BadInput as bad:  # a policy that makes no sense: say so, and show the set under its own
        told = (f"{_LABELS[one.path or ''][0]} {one.problem}." for one in bad.problems)
        wrong = (*wrong, sentence(bad.summary), *told)
        plan = await services.rotations.plan(caller.project, name, known)
    done = await services.rotations.rotations(caller.project, name)
    leaving = frozenset(plan.retire)
    ordered = (*plan.retire, *(one for one in plan.anchors if one not in leaving))[: len(leaving) + _SHOWN]
    page = RotationPage(
        title=f"Rotation of {name}",
        name=name,
        set_href=url("anchor-sets", name),
        wrong=wrong,
        due=plan.due,
        when=moment(plan.due_at),
        policy=tuple(
            PolicyField(one.name, *_LABELS[one.name], f"{getattr(policy, one.name):g}")
            for one in fields(RotationPolicy)
        ),
        facts=_facts(plan),
        warnings=tuple(map(sentence, plan.warnings)),
        systems=tuple(
            (
                one.system,
                count(one.have),
                count(one.leave),
                "evenly" if one.share is None else percent(one.share),
            )
            for one in plan.systems
        ),
        lines=tuple(map(_line, ordered, (one in leaving for one in ordered))),
        shown=f"What would leave, then the most worn: {len(ordered):,} of {len(plan.anchors):,} items",
        may_rotate=may(request, Scope.ANCHORS),
        proposes=bool(plan.retire),
        version=plan.version.version,
        done=tuple(map(_done, done)),
    )
    return show(request, "rotation.html", page, status=422 if wrong else 200)


def _read(known: RotationPolicy, given: dict[str, str]) -> tuple[RotationPolicy, list[str]]:
    """The policy with the numbers that were typed in; what is no number is told."""
    values, wrong = known.as_dict(), []
    for name, (label, _) in _LABELS.items():
        text = given.get(name, "").strip()
        if not text:
            continue
        try:
            values[name] = float(text)
        except ValueError:
            wrong.append(f"{label} must be a number, with a decimal point.")
    return RotationPolicy(**values), wrong


def _facts(plan: RotationPlan) -> tuple[tuple[str, str], ...]:
    ages = sorted(one.age_days for one in plan.anchors)
    fresh = sorted(one.freshness for one in plan.anchors)
    middle = len(ages) // 2
    return (
        ("Version", str(plan.version.version)),
        ("Items", count(len(ages))),
        ("Median age", f"{number(ages[middle], 0)} days" if ages else NONE),
        ("Median freshness", number(fresh[middle]) if fresh else NONE),
        ("Would be retired", counted(len(plan.retire), "item")),
        ("To be graded in their place", counted(plan.new_items, "answer")),
        ("Would stay to link by", percent(1 - len(plan.retire) / len(ages)) if ages else NONE),
    )


def _line(one: WornAnchor, leaves: bool) -> WornLine:
    return WornLine(
        item=one.about.item,
        leaves=leaves,
        born=moment(one.about.born),
        age=number(one.age_days, 0),
        showings=count(one.showings),
        calibrations=count(one.about.calibrations),
        exports=count(one.about.exports),
        freshness=number(one.freshness, 3),
        systems=", ".join(one.about.systems),
    )


def _done(one: Rotation) -> DoneLine:
    return DoneLine(
        href=url("anchor-sets", "-", "rotation", shown_rotation_id(one), set=one.anchor_set),
        when=moment(one.created_at),
        versions=f"{one.before_version} to {one.after_version}",
        retired=count(len(one.retired)),
        queue=one.queue,
        queue_href=None if one.queue is None else url("annotate", one.queue),
    )


def _table(one: CriterionLink) -> LinkTable:
    return LinkTable(
        criterion=one.criterion,
        caption=f"Change of the corrected mean, with {percent(one.level)} intervals",
        why=None if one.refusal is None else _NOT_LINKED[one.refusal],
        lines=tuple(
            LinkLine(
                system=group.system or "all answers",
                anchors=f"{group.n_overlap} stayed, {group.n_new} new, {group.n_retired} gone",
                total=_part(group.total),
                overlap=_part(group.overlap),
                new=_part(group.anchors),
                sentence=group.sentence,
            )
            for group in one.groups
        ),
    )


def _part(one: ChangePart | None) -> str:
    if one is None:
        return NONE
    return f"{number(one.estimate, 3, sign=True)} {interval(one.interval, 3, sign=True)}"

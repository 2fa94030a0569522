"""A cold regrade of an anchor set: what a draw would take and tell, the draw itself, and those there are."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Form, Query
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from app.access.keys import Caller
from app.annotating.regrade import RegradePlan
from app.annotating.regrade_draw import MOST, USUAL, RegradeRequest
from app.domain.annotation import Queue
from app.domain.problems import BadInput
from app.domain.projects import Scope
from app.web.callers import needs
from app.web.pages.addresses import url
from app.web.pages.chosen import Option
from app.web.pages.page import HEADERS, may, show
from app.web.pages.words import count, moment, percent, sentence
from app.web.services import Served, Services

router = APIRouter(include_in_schema=False)

Reader = Annotated[Caller, needs(Scope.READ)]
Auditor = Annotated[Caller, needs(Scope.ANCHORS)]
_CELLS = 100


@dataclass(frozen=True, slots=True)
class CellLine:
    """Where draws go."""

    stratum: str
    system: str
    size: str
    drawn: str


@dataclass(frozen=True, slots=True)
class RegradeLine:
    """A regrade that was drawn."""

    queue: str
    href: str
    version: str
    done: str
    created: str


@dataclass(frozen=True, slots=True)
class RegradePage:
    """The form, what the draw would be (None where ``wrong`` says why not), and earlier regrades."""

    title: str
    anchor_set: str
    set_href: str
    wrong: tuple[str, ...]
    items: int
    most: int
    strata: tuple[Option, ...]
    stratum: str
    tells: tuple[str, ...]
    facts: tuple[tuple[str, str], ...]
    warnings: tuple[str, ...]
    cells: tuple[CellLine, ...]
    can_draw: bool
    lines: tuple[RegradeLine, ...]


@router.get("/ui/audits/-/regrade")
async def show_regrade(
    request: Request,
    caller: Reader,
    services: Served,
    anchor_set: Annotated[str, Query(min_length=1, max_length=200)],
    items: Annotated[int, Query()] = USUAL,
    stratum: Annotated[str, Query(max_length=200)] = "",
) -> Response:
    """Nothing is drawn yet."""
    return await _show(request, caller, services, anchor_set, items, stratum)


@router.post("/ui/audits/-/regrade")
async def draw(
    request: Request,
    caller: Auditor,
    services: Served,
    anchor_set: Annotated[str, Form(min_length=1, max_length=200)],
    items: Annotated[int, Form()] = USUAL,
    stratum: Annotated[str, Form(max_length=200)] = "",
) -> Response:
    """Draw, and go to the queue."""
    asked = RegradeRequest(items=items, stratum=stratum or None)
    try:
        queue, _ = await services.regrades.begin(caller.project, anchor_set, asked)
    except BadInput:
        return await _show(request, caller, services, anchor_set, items, stratum)
    return RedirectResponse(url("annotate", queue.name), 303, HEADERS)


async def _show(
    request: Request, caller: Caller, services: Services, anchor_set: str, items: int, stratum: str
) -> Response:
    known = await services.regrades.of_set(caller.project, anchor_set)
    strata = await services.regrades.strata(caller.project, anchor_set)
    plan, wrong = None, tuple[str, ...]()
    try:
        asked = RegradeRequest(items=items, stratum=stratum or None)
        plan = await services.regrades.plan(caller.project, anchor_set, asked)
    except BadInput as bad:
        wrong = tuple(sentence(f"{one.path}: {one.problem}") for one in bad.problems)
    page = RegradePage(
        title=f"A cold regrade of {anchor_set}",
        anchor_set=anchor_set,
        set_href=url("anchor-sets", anchor_set),
        wrong=wrong,
        items=items,
        most=MOST,
        strata=(
            Option("", "systems only", not stratum),
            *(Option(one, f"systems and {one}", one == stratum) for one in strata),
        ),
        stratum=stratum,
        tells=_tells(plan) if plan else (),
        facts=_facts(plan) if plan else (),
        warnings=tuple(map(sentence, plan.warnings)) if plan else (),
        cells=tuple(
            CellLine(one.stratum or "all", one.system or "all", count(one.size), count(one.drawn))
            for one in (plan.cells[:_CELLS] if plan else ())
        ),
        can_draw=plan is not None and may(request, Scope.ANCHORS),
        lines=tuple([await _line(services, one) for one in known]),
    )
    return show(request, "regrade.html", page, status=422 if wrong else 200)


def _tells(plan: RegradePlan) -> tuple[str, ...]:
    power = plan.power
    least = (
        "No share is told with 80%."
        if power.least_told is None
        else f"With 80% they tell a share of {percent(power.least_told)} or more."
    )
    needed = ", ".join(f"{count(items)} for {percent(chance)}" for chance, items in power.needed)
    return (
        f"If truly {percent(power.alternative)} of grades are in dispute, {count(plan.items)} anchors tell"
        f" that from the line of {percent(power.line)} with a chance of {percent(power.of_this)}. {least}",
        f"Of this set it takes {needed}.",
    )


def _facts(plan: RegradePlan) -> tuple[tuple[str, str], ...]:
    return (
        ("Version", str(plan.version.version)),
        ("Anchors that could be drawn", count(plan.population)),
        ("Without a text here", count(plan.untexted)),
        ("Cannot grade what they graded", ", ".join(plan.people)),
    )


async def _line(services: Services, queue: Queue) -> RegradeLine:
    stands = await services.queues.progress(queue)
    return RegradeLine(
        queue=queue.name,
        href=url("annotate", queue.name),
        version=str(queue.regrade.version) if queue.regrade else "",
        done=f"{count(stands.done)} of {count(stands.wanted)}",
        created=moment(queue.created_at),
    )

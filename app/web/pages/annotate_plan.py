"""The planner's page: how many human grades for which interval."""

from dataclasses import dataclass, replace
from typing import Annotated
from urllib.parse import unquote

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response

from app.access.keys import Caller
from app.annotating.plan import LabelPlan, Reach, RowPlan, Width, label_plan
from app.annotating.queues import MOST_ITEMS
from app.domain.problems import BadInput
from app.domain.projects import Scope
from app.reporting.quality_choices import choices
from app.web.callers import needs
from app.web.pages.addresses import url
from app.web.pages.chosen import Option, choose
from app.web.pages.page import show
from app.web.pages.quality import group_name
from app.web.pages.words import NONE, count, level_name, money, number, percent
from app.web.services import Served

router = APIRouter(include_in_schema=False)

Reader = Annotated[Caller, needs(Scope.READ)]
_FIRST, _NEXT = 60, 50


@dataclass(frozen=True, slots=True)
class PlanPage:
    """``answer`` is the plan in a sentence, None without a rubric; ``doubt`` what it must not be taken for.
    ``draw_href`` begins a queue for it.

    ``groups`` are the headings of what a row is of; a row of ``rows`` has as many names, then its cells.
    """

    title: str
    criteria: tuple[Option, ...] = ()
    by: tuple[Option, ...] = ()
    target: str = ""
    price: str = ""
    answer: str | None = None
    doubt: str | None = None
    refused: tuple[str, ...] = ()
    assumed: bool = False
    level: str = ""
    steps: tuple[tuple[str, ...], ...] = ()
    groups: tuple[str, ...] = ()
    rows: tuple[tuple[tuple[str, ...], tuple[str, ...]], ...] = ()
    draw_href: str = "/ui/annotate"


@router.get("/ui/annotate/-/plan")
async def show_plan(
    request: Request,
    caller: Reader,
    services: Served,
    of: Annotated[str | None, Query(max_length=1000)] = None,
    by: Annotated[list[str] | None, Query(max_length=10)] = None,
    target: Annotated[str | None, Query(max_length=20, pattern=r"^[0-9]*\.?[0-9]*$")] = None,
    price: Annotated[str | None, Query(max_length=20, pattern=r"^[0-9]*\.?[0-9]*$")] = None,
) -> Response:
    """A plan for one criterion."""
    rubric, _, criterion = (unquote(part) for part in (of or "").partition("/"))
    chosen = await choose(services, caller, rubric or None, criterion or None)
    if chosen.version is None or chosen.criterion is None:
        return show(request, "annotate_plan.html", PlanPage("Label planner"))
    aim, cost = _positive(target), _positive(price)
    name, about = chosen.version.rubric.name, chosen.criterion.name
    can = await choices(services.quality, caller.project.id, name, about)
    groups = tuple(by or ("system",))
    page = PlanPage(
        title="Label planner",
        criteria=chosen.options(),
        by=tuple(
            Option(one, group_name(one), one in groups)
            for one in ("system", *(f"stratum.{stratum}" for stratum in can.strata))
        ),
        target=target or "",
        price=price or "",
        answer="Nothing is planned.",
    )
    try:
        plan = await label_plan(
            services.quality, caller.project, rubric=name, criterion=about, by=groups, target=aim,
            cost_per_grade=cost,
        )  # fmt: skip
    except BadInput as bad:
        said = tuple(f"{problem.value!r} {problem.problem}" for problem in bad.problems)
        return show(request, "annotate_plan.html", replace(page, refused=said))
    page = replace(
        page,
        target=f"{plan.target:.3g}",
        price="" if cost is None else f"{cost:g}",
        answer=_answer(plan),
        doubt=None if plan.assumed or plan.firm or plan.needed is None else _DOUBT,
        assumed=plan.assumed,
        level=level_name(plan.level),
        steps=tuple(
            (count(one.grades), *_width(one.mean), f"±{number(one.widest)}", money(one.cost_usd))
            for one in plan.steps
        ),
        groups=tuple(group_name(one) for one in groups),
        rows=tuple((_names(one, groups), _cells(one)) for one in plan.rows),
        draw_href=url("annotate", rubric=name, grades=str(_worth_drawing(plan))) + "#new",
    )
    return show(request, "annotate_plan.html", page)


_DOUBT = (
    "Too little is graded yet to promise a width within 10%. Draw the smaller number first, and look here "
    "again: each grade makes the plan better too."
)


def _answer(plan: LabelPlan) -> str:
    aimed = f"the mean interval to ±{number(plan.target)}"
    if plan.needed is None:
        return (
            f"No number of grades brings {aimed}: part of its width is the traffic's. Have judges grade "
            "answers to more prompts."
        )
    paid = "" if plan.needed_cost_usd is None else f" ({money(plan.needed_cost_usd)})"
    waiting = sum(row.ungraded for row in plan.rows)
    short = ""
    if plan.needed > waiting:
        short = f" Only {count(waiting)} answers wait for one: have judges grade answers to more prompts."
    if plan.firm or plan.assumed:
        return f"About {count(plan.needed)} more grades{paid} bring {aimed}.{short}"
    low, high = count(plan.needed_low or 0), plan.needed_high
    most = "any number" if high is None else count(high)
    expected = f"about {count(plan.needed)}{paid} are expected to"
    return f"Between {low} and {most} more grades bring {aimed}; {expected}.{short}"


def _worth_drawing(plan: LabelPlan) -> int:
    """How many items a queue would begin with: the least that may be needed, or fifty to learn more from."""
    if plan.assumed:
        return _FIRST
    return min((plan.needed if plan.firm else plan.needed_low) or _NEXT, MOST_ITEMS)


def _width(width: Width | None) -> tuple[str, str]:
    """The half-width, and its range."""
    if width is None:
        return NONE, NONE
    return f"±{number(width.half_width)}", f"{number(width.low)} to {number(width.high)}"


def _names(row: RowPlan, groups: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(
        (row.system if one == "system" else row.strata.get(one.removeprefix("stratum."))) or NONE
        for one in groups
    )


def _cells(row: RowPlan) -> tuple[str, ...]:
    now = NONE if row.half_width is None else f"±{number(row.half_width)}"
    return count(row.n_anchors), now, *_width(row.after_50), percent(row.share), _reach(row)


def _reach(row: RowPlan) -> str:
    if row.reach is Reach.REACHED:
        return "there"
    if row.reach is Reach.NOT_BY_GRADES or row.needed is None:
        return "not by grades: more prompts"
    if row.reach is Reach.TOO_FEW_ANSWERS:
        return f"{count(row.needed)} of its own, but only {count(row.ungraded)} answers wait: more prompts"
    return f"{count(row.needed)} of its own"


def _positive(text: str | None) -> float | None:
    """A number above 0, or None: an empty field asks for nothing."""
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if value > 0 else None

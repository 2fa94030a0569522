"""The planner's page: how many human grades for which interval."""

from dataclasses import dataclass
from typing import Annotated
from urllib.parse import unquote

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response

from app.access.keys import Caller
from app.annotating.plan import LabelPlan, label_plan
from app.annotating.queues import MOST_ITEMS
from app.domain.projects import Scope
from app.web.callers import needs
from app.web.pages.addresses import url
from app.web.pages.chosen import Option, choose
from app.web.pages.page import show
from app.web.pages.words import NONE, count, level_name, money, number, percent
from app.web.services import Served

router = APIRouter(include_in_schema=False)

Reader = Annotated[Caller, needs(Scope.READ)]
_FIRST, _NEXT = 60, 50


@dataclass(frozen=True, slots=True)
class PlanPage:
    """``answer`` is the plan in a sentence, None without a rubric; ``draw_href`` begins a queue for it."""

    title: str
    criteria: tuple[Option, ...]
    target: str
    price: str
    answer: str | None
    assumed: bool
    level: str
    steps: tuple[tuple[str, ...], ...]
    systems: tuple[tuple[str, ...], ...]
    draw_href: str


@router.get("/ui/annotate/-/plan")
async def show_plan(
    request: Request,
    caller: Reader,
    services: Served,
    of: Annotated[str | None, Query(max_length=1000)] = None,
    target: Annotated[str | None, Query(max_length=20, pattern=r"^[0-9]*\.?[0-9]*$")] = None,
    price: Annotated[str | None, Query(max_length=20, pattern=r"^[0-9]*\.?[0-9]*$")] = None,
) -> Response:
    """A plan for one criterion."""
    rubric, _, criterion = (unquote(part) for part in (of or "").partition("/"))
    chosen = await choose(services, caller, rubric or None, criterion or None)
    aim, cost = _positive(target), _positive(price)
    if chosen.version is None or chosen.criterion is None:
        empty = PlanPage("Label planner", (), "", "", None, False, "", (), (), "")
        return show(request, "annotate_plan.html", empty)
    plan = await label_plan(
        services.quality,
        caller.project,
        rubric=chosen.version.rubric.name,
        criterion=chosen.criterion.name,
        target=aim,
        cost_per_grade=cost,
    )
    aimed = f"the mean interval to ±{number(plan.target)}"
    if plan.needed is None:
        answer = (
            f"No number of grades brings {aimed}: part of its width is the traffic's. Have judges grade "
            "answers to more prompts."
        )
    else:
        paid = "" if plan.needed_cost_usd is None else f", {money(plan.needed_cost_usd)}"
        answer = f"About {count(plan.needed)} more grades{paid} bring {aimed}."
    page = PlanPage(
        title="Label planner",
        criteria=chosen.options(),
        target=f"{plan.target:.3g}",
        price="" if cost is None else f"{cost:g}",
        answer=answer,
        assumed=plan.assumed,
        level=level_name(plan.level),
        steps=tuple(
            (
                count(one.grades),
                f"±{number(one.mean_half_width)}",
                f"±{number(one.widest)}",
                money(one.cost_usd),
            )
            for one in plan.steps
        ),
        systems=tuple(
            (
                one.system,
                count(one.n_anchors),
                NONE if one.half_width is None else f"±{number(one.half_width)}",
                NONE if one.after_50 is None else f"±{number(one.after_50)}",
                percent(one.share),
            )
            for one in plan.systems
        ),
        draw_href=url("annotate", rubric=chosen.version.rubric.name, grades=str(_worth_drawing(plan)))
        + "#new",
    )
    return show(request, "annotate_plan.html", page)


def _worth_drawing(plan: LabelPlan) -> int:
    """How many items a queue would begin with: what is needed, or fifty to learn more from."""
    if plan.assumed:
        return _FIRST
    return min(plan.needed or _NEXT, MOST_ITEMS)


def _positive(text: str | None) -> float | None:
    """A number above 0, or None: an empty field asks for nothing."""
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if value > 0 else None

"""GET /label-plan: how many human grades for which interval."""

from dataclasses import asdict
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import Field

from app.access.keys import Caller
from app.annotating.plan import Reach, label_plan
from app.domain.projects import Scope
from app.web.callers import needs
from app.web.errors import documented
from app.web.fields import Answered
from app.web.queries import StrictRoute
from app.web.services import Served

router = APIRouter(tags=["annotation"], route_class=StrictRoute)

Reader = Annotated[Caller, needs(Scope.READ, Scope.ANCHORS)]


_WIDTH = {"half_width": 0.16, "low": 0.15, "high": 0.175}


class WidthOut(Answered):
    """A half-width to come."""

    half_width: float = Field(description="What is expected.", examples=[0.16])
    low: float = Field(description="Lower end of the range that holds it nine times in ten.", examples=[0.15])
    high: float = Field(description="Upper end of that range.", examples=[0.175])


class StepOut(Answered):
    """What so many more grades bring."""

    grades: int = Field(description="Further human grades.", examples=[50])
    mean: WidthOut = Field(
        description="Mean half-width of the intervals that there are today.", examples=[_WIDTH]
    )
    widest: float = Field(description="The widest interval's expected half-width.", examples=[0.21])
    cost_usd: float | None = Field(description="What they cost, if a price was given.", examples=[75.0])


class RowPlanOut(Answered):
    """One system, stratum or both."""

    system: str | None = Field(description="The system; null if rows are not by system.", examples=["bot-v7"])
    strata: dict[str, str | None] = Field(
        description="Its strata, as in GET /quality.", examples=[{"language": "en"}]
    )
    n_anchors: int = Field(description="Human grades it has.", examples=[24])
    ungraded: int = Field(description="Answers with verdicts that nobody has graded.", examples=[310])
    half_width: float | None = Field(description="Half of its interval now; null without.", examples=[0.22])
    after_50: WidthOut | None = Field(
        description="After its share of the next 50 grades; null where there is no interval then either.",
        examples=[_WIDTH],
    )
    share: float = Field(description="Its share of the next 50 grades.", examples=[0.3])
    needed: int | None = Field(
        description="Grades of its own that bring its half-width to the target; null if no number does.",
        examples=[40],
    )
    reach: Reach = Field(
        description="`reached`; `reachable` by that many grades; `too_few_answers`: more than there are "
        "ungraded answers, so have judges grade answers to more prompts; `not_by_grades`: part of the width "
        "is the traffic's, and only more prompts narrow it.",
        examples=["reachable"],
    )


class LabelPlanOut(Answered):
    """A plan; half-widths are on the criterion's own scale, for pairs in win rates."""

    rubric: str = Field(description="The rubric.", examples=["helpfulness"])
    criterion: str = Field(description="The criterion.", examples=["helpfulness"])
    level: float = Field(description="Coverage of the intervals.", examples=[0.95])
    half_width: float | None = Field(description="Mean half-width over rows now.", examples=[0.2])
    target: float = Field(description="The mean half-width aimed at.", examples=[0.15])
    needed: int | None = Field(
        description="Further grades that are expected to reach it; null if no number does, since part of the "
        "width is the traffic's.",
        examples=[86],
    )
    needed_low: int | None = Field(
        description="Nine times in ten it takes at least so many; null if not even these reach it.",
        examples=[70],
    )
    needed_high: int | None = Field(
        description="Nine times in ten it takes at most so many; null if it may take any number.",
        examples=[110],
    )
    firm: bool = Field(
        description="Whether `needed` can be taken as a number: the width it brings is within 10% of the "
        "target nine times in ten. If not, too little is graded yet to say more than the range.",
        examples=[True],
    )
    needed_cost_usd: float | None = Field(description="What `needed` costs.", examples=[129.0])
    assumed: bool = Field(
        description="Whether it rests on guesses (spread 0.28 of the scale, correlation 0.6), since nothing "
        "has been calibrated.",
        examples=[False],
    )
    steps: list[StepOut] = Field(description="What more grades bring.", examples=[[]])
    rows: list[RowPlanOut] = Field(description="Row by row.", examples=[[]])


@router.get("/label-plan", summary="How many grades for which interval", responses=documented(404, 422))
async def get_label_plan(
    caller: Reader,
    services: Served,
    rubric: Annotated[str, Query(description="The rubric.", examples=["helpfulness"])],
    criterion: Annotated[str, Query(description="One of its criteria.", examples=["helpfulness"])],
    by: Annotated[
        list[str] | None,
        Query(
            description="What intervals are wanted of, as in GET /quality; `system` by default.",
            examples=[["system", "stratum.language"]],
            max_length=10,
        ),
    ] = None,
    target: Annotated[
        float | None,
        Query(
            gt=0,
            allow_inf_nan=False,
            description="Half-width to aim at; by default three quarters of today's.",
            examples=[0.15],
        ),
    ] = None,
    level: Annotated[
        float, Query(ge=0.5, le=0.999, description="Coverage of the intervals.", examples=[0.95])
    ] = 0.95,
    cost_per_grade: Annotated[
        float | None,
        Query(
            ge=0,
            allow_inf_nan=False,
            description="What one human grade costs, in dollars.",
            examples=[1.5],
        ),
    ] = None,
) -> LabelPlanOut:
    """A range until enough is graded, then a number; `docs/label-planner.md` says how well both hold."""
    plan = await label_plan(
        services.quality,
        caller.project,
        rubric=rubric,
        criterion=criterion,
        by=by or ("system",),
        target=target,
        level=level,
        cost_per_grade=cost_per_grade,
    )
    return LabelPlanOut.model_validate(asdict(plan))

"""POST /comparisons."""

from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter
from pydantic import Field

from app.access.keys import Caller
from app.domain.projects import Scope
from app.reporting.comparison_rows import ComparedRow
from app.reporting.comparisons import compare
from app.web.api.quality import Status
from app.web.callers import needs
from app.web.errors import documented
from app.web.fields import Answered, Body, Name
from app.web.queries import StrictRoute
from app.web.services import Served

router = APIRouter(tags=["quality"], route_class=StrictRoute)

Reader = Annotated[Caller, needs(Scope.READ)]
Verdict = Literal["better", "worse", "equivalent", "inconclusive"]


class ComparisonIn(Body):
    """Which two systems to compare, and what difference does not matter."""

    rubric: Name = Field(description="The rubric.", examples=["helpfulness"])
    criterion: Name = Field(description="One of its criteria.", examples=["helpfulness"])
    baseline: Name = Field(description="The system compared with.", examples=["bot-v6"])
    candidate: Name = Field(description="The system in question.", examples=["bot-v7"])
    margin: float = Field(
        0.0,
        ge=0.0,
        description="Largest difference that does not matter, on the criterion's own scale (pairs: of win "
        "rates). Without one nothing can be found equivalent.",
        examples=[0.1],
    )
    by: list[Name] = Field(
        default_factory=list,
        max_length=5,
        description="`stratum.<name>`: also one row per stratum, with p-values adjusted over the rows.",
        examples=[["stratum.language"]],
    )
    level: float = Field(0.95, ge=0.5, le=0.999, description="Coverage of the intervals.", examples=[0.95])
    adjustment: Literal["holm", "bh"] = Field(
        "holm",
        description="How verdicts and p-values by stratum mind the number of rows. `holm` (to confirm): any "
        "false claim among them has at most the chance 1 - level. `bh` (to explore, Benjamini and Hochberg): "
        "of what is claimed, at most that share is expected to be false.",
        examples=["holm"],
    )


class ComparedRowOut(Answered):
    """Candidate minus baseline in one stratum."""

    strata: dict[str, str | None] = Field(description="The stratum.", examples=[{"language": "de"}])
    difference: float | None = Field(
        description="Candidate minus baseline in mean human grade; null if it cannot be told.",
        examples=[0.21],
    )
    interval: tuple[float, float] | None = Field(
        description="Its interval, not adjusted for the number of rows.", examples=[[0.05, 0.37]]
    )
    p_value: float | None = Field(description="Two-sided p of no difference.", examples=[0.011])
    p_adjusted: float | None = Field(description="Adjusted over the rows, as asked.", examples=[0.033])
    verdict: Verdict = Field(
        description="`equivalent`: shown to be smaller than the margin, whether or not it is there. `better` "
        "and `worse` mind the criterion's direction. `inconclusive`: neither is shown.",
        examples=["better"],
    )
    baseline_anchors: int = Field(description="Human grades of the baseline in this row.", examples=[60])
    candidate_anchors: int = Field(description="Human grades of the candidate in this row.", examples=[60])
    status: Status = Field(
        description="Whether anchors suffice, as in GET /quality.", examples=["calibrated"]
    )
    warnings: list[str] = Field(description="What to know of this row.", examples=[[]])


class ComparisonOut(ComparedRowOut):
    """The comparison over everything, and one row per stratum."""

    rubric: str = Field(description="The rubric.", examples=["helpfulness"])
    criterion: str = Field(description="The criterion.", examples=["helpfulness"])
    baseline: str = Field(description="The system compared with.", examples=["bot-v6"])
    candidate: str = Field(description="The system in question.", examples=["bot-v7"])
    margin: float = Field(description="As asked.", examples=[0.1])
    level: float = Field(description="As asked.", examples=[0.95])
    adjustment: Literal["holm", "bh"] = Field(description="As asked.", examples=["holm"])
    higher_is_better: bool = Field(
        description="Direction of the scale: whether a positive difference is for the better.",
        examples=[True],
    )
    calibration_id: str | None = Field(
        description="The calibration it rests on; null without one.", examples=["c_0c5m0n2x9k4qz"]
    )
    calibrated_at: datetime | None = Field(
        description="When it was done; null without one.", examples=["2026-11-22T10:00:00Z"]
    )
    simulated: bool = Field(
        description="Whether the verdicts are simulated: then nothing here is a measurement.",
        examples=[False],
    )
    rows: list[ComparedRowOut] = Field(description="By stratum, if `by` was given.", examples=[[]])


@router.post(
    "/comparisons",
    summary="Is one system better than another by human standards?",
    responses=documented(400, 404, 413, 415, 422),
)
async def post_comparison(body: ComparisonIn, caller: Reader, services: Served) -> ComparisonOut:
    """Differences are of unshrunk means, paired by prompt; what anchors cannot decide is inconclusive."""
    found = await compare(
        services.quality,
        caller.project.id,
        rubric=body.rubric,
        criterion=body.criterion,
        baseline=body.baseline,
        candidate=body.candidate,
        margin=body.margin,
        by=tuple(body.by),
        level=body.level,
        adjustment=body.adjustment,
    )
    overall = shown_row(found.overall)
    return ComparisonOut(
        **overall.model_dump(exclude={"warnings"}),
        warnings=[*found.warnings, *overall.warnings],
        rubric=found.rubric,
        criterion=found.criterion,
        baseline=found.baseline,
        candidate=found.candidate,
        margin=found.margin,
        level=found.level,
        adjustment=body.adjustment,
        higher_is_better=found.higher_is_better,
        calibration_id=found.calibration_id,
        calibrated_at=found.calibrated_at,
        simulated=found.simulated,
        rows=[shown_row(row) for row in found.rows],
    )


def shown_row(row: ComparedRow) -> ComparedRowOut:
    """A row as it is answered."""
    return ComparedRowOut(
        strata=dict(row.strata),
        difference=row.difference,
        interval=row.interval,
        p_value=row.p_value,
        p_adjusted=row.p_adjusted,
        verdict=row.verdict.value,
        baseline_anchors=row.baseline_anchors,
        candidate_anchors=row.candidate_anchors,
        status=row.status.value,
        warnings=list(row.warnings),
    )

"""POST /comparisons/table."""

from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter
from pydantic import Field

from app.access.keys import Caller
from app.domain.projects import Scope
from app.reporting.comparison_table import ComparisonTable, CriterionBasis, compare_all
from app.web.api.comparisons import ComparedRowOut, shown_row
from app.web.callers import needs
from app.web.errors import documented
from app.web.fields import Answered, Body, Name
from app.web.queries import StrictRoute
from app.web.services import Served

router = APIRouter(tags=["quality"], route_class=StrictRoute)

Reader = Annotated[Caller, needs(Scope.READ)]
Margin = Annotated[float, Field(ge=0.0)]


class ComparisonTableIn(Body):
    """Which candidates to compare with one baseline, and on what."""

    rubric: Name = Field(description="The rubric.", examples=["helpfulness"])
    criteria: list[Name] = Field(
        default_factory=list, max_length=100, description="Criteria of it; all if empty.",
        examples=[["helpfulness", "tone"]],
    )  # fmt: skip
    baseline: Name = Field(description="The system compared with.", examples=["bot-v6"])
    candidates: list[Name] = Field(
        default_factory=list, max_length=2000, description="The systems in question; all others if empty.",
        examples=[["bot-v7", "bot-v8"]],
    )  # fmt: skip
    margin: float = Field(
        0.0,
        ge=0.0,
        description="Largest difference that does not matter, on a criterion's own scale (pairs: of win "
        "rates).",
        examples=[0.1],
    )
    margins: dict[Name, Margin] = Field(
        default_factory=dict, description="The same for single criteria, in place of `margin`.",
        examples=[{"tone": 0.2}],
    )  # fmt: skip
    by: list[Name] = Field(
        default_factory=list, max_length=5, description="`stratum.<name>`: also one row per stratum.",
        examples=[["stratum.language"]],
    )  # fmt: skip
    level: float = Field(0.95, ge=0.5, le=0.999, description="Coverage of the intervals.", examples=[0.95])
    adjustment: Literal["holm", "bh"] = Field(
        "holm",
        description="How verdicts and p-values mind the number of rows, all of them together. `holm` (to "
        "confirm): any false claim among them has at most the chance 1 - level. `bh` (to explore, Benjamini "
        "and Hochberg): of what is claimed, at most that share is expected to be false.",
        examples=["holm"],
    )


class CandidateRowOut(ComparedRowOut):
    """A candidate less the baseline on one criterion, over everything (`strata` empty) or in one stratum."""

    criterion: str = Field(description="The criterion.", examples=["helpfulness"])
    candidate: str = Field(description="The system in question.", examples=["bot-v7"])


class CriterionBasisOut(Answered):
    """What the rows of one criterion rest on."""

    criterion: str = Field(description="The criterion.", examples=["helpfulness"])
    margin: float = Field(description="Its margin, as asked.", examples=[0.1])
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
    warnings: list[str] = Field(description="What to know of all its rows.", examples=[[]])


_ROW = {
    "criterion": "helpfulness", "candidate": "bot-v7", "strata": {}, "difference": 0.21,
    "interval": [0.05, 0.37], "p_value": 0.011, "p_adjusted": 0.033, "verdict": "better",
    "baseline_anchors": 60, "candidate_anchors": 60, "status": "calibrated", "warnings": [],
}  # fmt: skip
_BASIS = {
    "criterion": "helpfulness", "margin": 0.1, "higher_is_better": True, "calibration_id": "c_0c5m0n2x9k4qz",
    "calibrated_at": "2026-11-22T10:00:00Z", "simulated": False, "warnings": [],
}  # fmt: skip


class ComparisonTableOut(Answered):
    """Every candidate on every criterion against the baseline."""

    rubric: str = Field(description="The rubric.", examples=["helpfulness"])
    baseline: str = Field(description="The system compared with.", examples=["bot-v6"])
    level: float = Field(description="As asked.", examples=[0.95])
    adjustment: Literal["holm", "bh"] = Field(description="As asked.", examples=["holm"])
    compared: int = Field(
        description="Rows that got a p-value: the number that verdicts are adjusted for.", examples=[4]
    )
    criteria: list[CriterionBasisOut] = Field(description="One per criterion.", examples=[[_BASIS]])
    rows: list[CandidateRowOut] = Field(
        description="By criterion, then candidate: everything first, then its strata.", examples=[[_ROW]]
    )


@router.post(
    "/comparisons/table",
    summary="Several candidates on several criteria against one baseline",
    responses=documented(400, 404, 413, 415, 422),
)
async def post_comparison_table(
    body: ComparisonTableIn, caller: Reader, services: Served
) -> ComparisonTableOut:
    """One request for a whole sweep, so that its verdicts can be adjusted for the number of rows."""
    found = await compare_all(
        services.quality,
        caller.project.id,
        rubric=body.rubric,
        criteria=body.criteria,
        baseline=body.baseline,
        candidates=body.candidates,
        margin=body.margin,
        margins=body.margins,
        by=tuple(body.by),
        level=body.level,
        adjustment=body.adjustment,
    )
    return shown_table(found)


def shown_table(found: ComparisonTable) -> ComparisonTableOut:
    """The table as it is answered."""
    return ComparisonTableOut(
        rubric=found.rubric,
        baseline=found.baseline,
        level=found.level,
        adjustment=found.adjustment,
        compared=found.compared,
        criteria=[_basis(one) for one in found.criteria],
        rows=[
            CandidateRowOut(
                **shown_row(one.row).model_dump(), criterion=one.criterion, candidate=one.candidate
            )
            for one in found.rows
        ],
    )


def _basis(one: CriterionBasis) -> CriterionBasisOut:
    return CriterionBasisOut(
        criterion=one.criterion,
        margin=one.margin,
        higher_is_better=one.higher_is_better,
        calibration_id=one.calibration_id,
        calibrated_at=one.calibrated_at,
        simulated=one.simulated,
        warnings=list(one.warnings),
    )

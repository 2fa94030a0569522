"""GET /quality."""

from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Query
from pydantic import Field

from app.access.keys import Caller
from app.domain.projects import Scope
from app.reporting.panel_worth import ToldPanel
from app.reporting.quality_report import QualityTable
from app.reporting.quality_rows import QualityRow
from app.web.api.unscored import (
    JUDGES,
    UNSCORED,
    UnscoredOfJudge,
    UnscoredOfRow,
    shown_judge,
    shown_unscored,
)
from app.web.callers import needs
from app.web.errors import documented
from app.web.fields import Answered
from app.web.queries import StrictRoute
from app.web.services import Served

router = APIRouter(tags=["quality"], route_class=StrictRoute)

Reader = Annotated[Caller, needs(Scope.READ)]
Stand = Literal["not_tested", "no_difference_found", "weighted", "widened", "refused"]
Useful = Literal["useful", "weak", "useless", "insufficient_data"]
Status = Literal["calibrated", "judge_relative", "insufficient_anchors", "extrapolating", "stale"]


class QualityRowOut(Answered):
    """One system, stratum or combination; for pairs every value is a win rate, ties half."""

    system: str | None = Field(description="The system; null if not grouped by it.", examples=["bot-v7"])
    strata: dict[str, str | None] = Field(
        description="Values of the strata grouped by, null where an item has none; a period by its first "
        "day.",
        examples=[{"language": "de"}],
    )
    n_items: int = Field(description="Answers (or pairs) in this row.", examples=[12840])
    n_anchors: int = Field(description="Of these, how many have human grades.", examples=[60])
    raw_mean: float | None = Field(
        description="Mean of the judges' verdicts as they are; null without any.", examples=[3.91]
    )
    corrected: float | None = Field(
        description="Mean human grade as estimated from panel and anchors; null if it cannot be told.",
        examples=[3.42],
    )
    interval: tuple[float, float] | None = Field(
        description="Interval of `corrected` at the level asked for.", examples=[[3.21, 3.6]]
    )
    rectifier: float | None = Field(
        description="`corrected` - `raw_mean`: what the human grades changed.", examples=[-0.49]
    )
    effective_sample_size: float | None = Field(
        description="How many human grades alone would have given an interval as narrow.", examples=[104.0]
    )
    status: Status = Field(
        description="`calibrated`: enough anchors. `insufficient_anchors`: too few of its own (a value that "
        "is given nevertheless leans on the other rows). `extrapolating`: predicted from other rows, or the "
        "anchors do not stand for this traffic. `judge_relative`: nothing human to go by. `stale`: the "
        "rubric has changed since.",
        examples=["calibrated"],
    )
    anchors_stand: Stand = Field(
        description="Whether the row's human grades look like its traffic (panel scores, disagreement, "
        "lengths, strata, texts), and what was done: `no_difference_found`; `weighted`: they are weighted to "
        "look like it; `widened`: no weights can, and the interval also holds what the furthest bearable "
        "weights would say; `refused`: no level is given; `not_tested`: too few of them to tell.",
        examples=["no_difference_found"],
    )
    unscored: UnscoredOfRow | None = Field(
        description="Judges that were asked and gave no verdict; null where none was asked, or the "
        "calibration is from before they were counted.",
        examples=[UNSCORED],
    )
    warnings: list[str] = Field(description="What to know of this row.", examples=[[]])


PANEL = {
    "status": "useful", "correlation": 0.62, "interval": [0.51, 0.71], "width_ratio": 0.78,
    "width_interval": [0.7, 0.86], "grades_saved": 0.38, "n_anchors": 240, "prompts": 80,
    "sentence": "the judges are useful here: within rows their scores follow people's grades with a "
    "correlation of 0.62 (95% interval 0.51 to 0.71, 240 graded), which saves 38% of the human grades "
    "(intervals 22% shorter)",
}  # fmt: skip


class PanelOut(Answered):
    """What the panel is worth beside human grades alone, by anchors whose grades it had not seen."""

    status: Useful = Field(
        description="`useful`: intervals at least 10% shorter than by human grades alone, and shown to "
        "follow people; `useless`: less than 2.5% shorter; `weak`: in between, or not shown yet; "
        "`insufficient_data`: too few human grades to tell.",
        examples=["useful"],
    )
    correlation: float | None = Field(
        description="Of the panel's predictions with the human grades within rows; its square is the share "
        "of what varies in the grades that the panel explains. Null where it cannot be had.",
        examples=[0.62],
    )
    interval: tuple[float, float] | None = Field(
        description="Its interval, by prompt.", examples=[[0.51, 0.71]]
    )
    width_ratio: float | None = Field(
        description="Width of an interval with the panel over one from human grades alone, on much traffic.",
        examples=[0.78],
    )
    width_interval: tuple[float, float] | None = Field(
        description="The same at the ends of the correlation's interval.", examples=[[0.7, 0.86]]
    )
    grades_saved: float | None = Field(
        description="Share of the human grades that the panel stands in for.", examples=[0.38]
    )
    n_anchors: int = Field(description="Anchors that the panel scored.", examples=[240])
    prompts: int = Field(description="Prompts they belong to.", examples=[80])
    sentence: str = Field(description="The same in words.", examples=[PANEL["sentence"]])


class QualityOut(Answered):
    """Quality by human standards, on the criterion's own scale."""

    rubric: str = Field(description="The rubric.", examples=["helpfulness"])
    rubric_version: int = Field(description="Its newest version.", examples=[3])
    criterion: str = Field(description="The criterion.", examples=["helpfulness"])
    kind: Literal["pointwise", "pairwise", "listwise"] = Field(
        description="How answers are judged.", examples=["pointwise"]
    )
    scale: tuple[float, float] = Field(
        description="Ends of the scale that values are on; for pairs 0 and 1, a win rate.", examples=[[1, 5]]
    )
    higher_is_better: bool = Field(description="Direction of that scale.", examples=[True])
    level: float = Field(description="Coverage of every interval.", examples=[0.95])
    population: Literal["stream", "these_units"] = Field(
        description="What the means are of: the stream that the answers come from, or these answers alone.",
        examples=["stream"],
    )
    calibration_id: str | None = Field(
        description="The calibration they rest on; null without one.", examples=["c_0c5m0n2x9k4qz"]
    )
    calibrated_at: datetime | None = Field(
        description="When it was done; null without one.", examples=["2026-11-22T10:00:00Z"]
    )
    simulated: bool = Field(
        description="Whether the verdicts are simulated: then nothing here is a measurement.",
        examples=[False],
    )
    newer_verdicts: int = Field(
        description="Verdicts that came after the calibration for answers it had already: not in these "
        "numbers. Answers that were first judged since are in.",
        examples=[0],
    )
    power_tuning: float | None = Field(
        description="How much of a difference between panel scores is taken over; 0 rests on human grades "
        "alone. Null without a calibration.",
        examples=[0.62],
    )
    panel_correlation: float | None = Field(
        description="How the panel's scores follow human grades within rows; null without a calibration.",
        examples=[0.58],
    )
    panel: PanelOut | None = Field(
        description="Whether the judges are worth having here; null without a calibration.", examples=[PANEL]
    )
    judges: list[UnscoredOfJudge] = Field(
        description="Missing verdicts of each judge version, whatever the rows; empty where the calibration "
        "is from before they were counted.",
        examples=[JUDGES],
    )
    warnings: list[str] = Field(description="What to know of every row.", examples=[[]])
    rows: list[QualityRowOut] = Field(
        description="One row per system, stratum or combination that occurs.",
        examples=[
            [
                {
                    "system": "bot-v7", "strata": {}, "n_items": 12840, "n_anchors": 60, "raw_mean": 3.91,
                    "corrected": 3.42, "interval": [3.21, 3.6], "rectifier": -0.49,
                    "effective_sample_size": 104.0, "status": "calibrated",
                    "anchors_stand": "no_difference_found", "unscored": UNSCORED, "warnings": [],
                }
            ]
        ],
    )  # fmt: skip


@router.get("/quality", summary="Corrected quality of systems and strata", responses=documented(404, 422))
async def get_quality(
    caller: Reader,
    services: Served,
    rubric: Annotated[str, Query(description="The rubric.", examples=["helpfulness"])],
    criterion: Annotated[str, Query(description="One of its criteria.", examples=["helpfulness"])],
    by: Annotated[
        list[str] | None,
        Query(
            description="What rows stand for: `system`, `stratum.<name>`, one of `period.day`, `period.week` "
            "and `period.month` (when answers were first seen, UTC), repeated for combinations. `system` by "
            "default.",
            examples=[["system", "stratum.language"]],
        ),
    ] = None,
    level: Annotated[
        float, Query(ge=0.5, le=0.999, description="Coverage of the intervals.", examples=[0.95])
    ] = 0.95,
    population: Annotated[
        Literal["stream", "these_units"],
        Query(
            description="`stream`: the answers stand for more like them, and intervals say so. "
            "`these_units`: they are all that is asked about.",
            examples=["stream"],
        ),
    ] = "stream",
) -> QualityOut:
    """Means by human standards with intervals that hold at few anchors; too few are a result of its own."""
    table = await services.quality.table(
        caller.project.id,
        rubric=rubric,
        criterion=criterion,
        by=("system",) if by is None else by,
        level=level,
        population=population,
    )
    return shown_table(table)


def shown_table(table: QualityTable) -> QualityOut:
    """The table as it is answered."""
    return QualityOut(
        rubric=table.rubric,
        rubric_version=table.rubric_version,
        criterion=table.criterion,
        kind=table.kind,
        scale=table.scale,
        higher_is_better=table.higher_is_better,
        level=table.level,
        population=table.population,
        calibration_id=table.calibration_id,
        calibrated_at=table.calibrated_at,
        simulated=table.simulated,
        newer_verdicts=table.newer_verdicts,
        power_tuning=table.power_tuning,
        panel_correlation=table.panel_correlation,
        panel=None if table.panel is None else _panel(table.panel),
        judges=[shown_judge(one) for one in table.judges],
        warnings=list(table.warnings),
        rows=[_row(row) for row in table.rows],
    )


def _panel(told: ToldPanel) -> PanelOut:
    worth = told.worth
    return PanelOut(
        status=worth.status.value,
        correlation=worth.correlation,
        interval=worth.interval,
        width_ratio=worth.width_ratio,
        width_interval=worth.width_interval,
        grades_saved=worth.grades_saved,
        n_anchors=worth.n,
        prompts=worth.prompts,
        sentence=told.sentence,
    )


def _row(row: QualityRow) -> QualityRowOut:
    return QualityRowOut(
        system=row.system,
        strata=dict(row.strata),
        n_items=row.n_items,
        n_anchors=row.n_anchors,
        raw_mean=row.raw_mean,
        corrected=row.corrected,
        interval=row.interval,
        rectifier=row.rectifier,
        effective_sample_size=row.effective_sample_size,
        status=row.status.value,
        anchors_stand=row.anchors_stand.value,
        unscored=shown_unscored(row.unscored),
        warnings=list(row.warnings),
    )

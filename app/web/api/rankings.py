"""GET /rankings."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import Field

from app.access.keys import Caller
from app.domain.projects import Scope
from app.reporting.ranked_by_judges import RankedByJudges
from app.reporting.rankings import RankedPair, RankedSystem, RankingTable, rank
from app.web.api.quality import Status
from app.web.callers import needs
from app.web.errors import documented
from app.web.fields import Answered
from app.web.queries import StrictRoute
from app.web.services import Served

router = APIRouter(tags=["quality"], route_class=StrictRoute)

Reader = Annotated[Caller, needs(Scope.READ)]


class RankedSystemOut(Answered):
    """One system by human standards; what cannot be told is null."""

    system: str = Field(description="The system.", examples=["bot-v7"])
    rank: int | None = Field(description="Its place by strength; 1 is the strongest.", examples=[2])
    rank_interval: tuple[int, int] | None = Field(
        description="Places that it may have: 1 + systems shown to be stronger, up to all less those shown "
        "to be weaker, every difference from it tested together.",
        examples=[[1, 3]],
    )
    strength: float | None = Field(
        description="Log odds of winning against an average system, ties apart (Davidson's model); strengths "
        "sum to 0.",
        examples=[0.42],
    )
    strength_interval: tuple[float, float] | None = Field(
        description="Its interval, clustered by prompt.", examples=[[0.11, 0.73]]
    )
    win_rate: float | None = Field(
        description="Chance that people prefer it to another system drawn at random, ties half.",
        examples=[0.58],
    )
    win_rate_interval: tuple[float, float] | None = Field(
        description="Its interval, clustered by prompt.", examples=[[0.52, 0.64]]
    )
    raw_win_rate: float | None = Field(
        description="How often the judges prefer it, as they are, against those it happened to meet.",
        examples=[0.66],
    )
    opponents: int = Field(description="Systems it was compared with.", examples=[5])
    n_pairs: int = Field(description="Pairs of answers with one of its own.", examples=[1200])
    n_anchors: int = Field(description="Of these, how many people graded.", examples=[80])
    n_prompts: int = Field(description="Prompts of these human grades.", examples=[64])
    status: Status = Field(
        description="`calibrated`: ranked by human standards. `insufficient_anchors`: too few human grades "
        "of its own, or no ranking (see `refusals`). `judge_relative`: no human grade. `extrapolating`: its "
        "human grades do not stand for its traffic. `stale`: the rubric has changed since.",
        examples=["calibrated"],
    )
    warnings: list[str] = Field(description="What to know of this row.", examples=[[]])


class RankedPairOut(Answered):
    """One system against another, ties half."""

    system: str = Field(description="The system whose win rates these are.", examples=["bot-v6"])
    other: str = Field(description="The system it is compared with.", examples=["bot-v7"])
    n_pairs: int = Field(description="How often they met.", examples=[240])
    n_anchors: int = Field(description="Of these, how many meetings people graded.", examples=[16])
    raw_win_rate: float | None = Field(
        description="By the judges as they are; null if they never met.", examples=[0.41]
    )
    human_win_rate: float | None = Field(
        description="By people alone, in the meetings they graded; null without any.", examples=[0.47]
    )
    win_rate: float | None = Field(
        description="By the strengths, which use every comparison: the chance that people prefer it.",
        examples=[0.44],
    )
    interval: tuple[float, float] | None = Field(
        description="Interval of `win_rate`, clustered by prompt.", examples=[[0.37, 0.51]]
    )


class JudgedSystemOut(Answered):
    """One system as judges like these rank it."""

    system: str = Field(description="The system.", examples=["bot-v7"])
    rank: int = Field(description="Its place; 1 is the strongest.", examples=[1])
    rank_interval: tuple[int, int] = Field(description="Places that it may have.", examples=[[1, 2]])
    strength: float = Field(
        description="Log odds of a judge preferring it to an average system, ties and places apart.",
        examples=[0.71],
    )
    strength_interval: tuple[float, float] = Field(
        description="Its interval: verdicts clustered by prompt, judges drawn from others like them.",
        examples=[[0.2, 1.22]],
    )
    win_rate: float = Field(
        description="Chance that a judge like these prefers it to another system drawn at random, ties half, "
        "in either order.",
        examples=[0.63],
    )
    win_rate_interval: tuple[float, float] = Field(description="Its interval.", examples=[[0.54, 0.71]])


class JudgesTasteOut(Answered):
    """One judge of the ranking by judges."""

    judge: str = Field(description="The judge.", examples=["azure-4"])
    n_verdicts: int = Field(description="Its verdicts.", examples=[2400])
    position: float | None = Field(
        description="What being shown first adds, in log odds; null where no order is known.", examples=[0.31]
    )
    tie_rate: float = Field(description="Its share of ties.", examples=[0.08])


_JUDGED = {
    "system": "bot-v7", "rank": 1, "rank_interval": [1, 2], "strength": 0.71,
    "strength_interval": [0.2, 1.22], "win_rate": 0.63, "win_rate_interval": [0.54, 0.71],
}  # fmt: skip
_TASTE = {"judge": "azure-4", "n_verdicts": 2400, "position": 0.31, "tie_rate": 0.08}


class RankedByJudgesOut(Answered):
    """How the judges rank the systems, without people: no measure of quality, but what they agree on."""

    rows: list[JudgedSystemOut] = Field(description="By rank.", examples=[[_JUDGED]])
    judges: list[JudgesTasteOut] = Field(description="The judges it rests on.", examples=[[_TASTE]])
    spread: float | None = Field(
        description="Standard deviation of a judge's own taste for a system, in log odds; null without a "
        "ranking.",
        examples=[0.28],
    )
    refusals: list[str] = Field(
        description="Why there is none: systems that no verdict connects, that judges always or never "
        "preferred, or that kept their places, are named.",
        examples=[[]],
    )
    warnings: list[str] = Field(description="What to know of it: judges left out.", examples=[[]])


class RankingOut(Answered):
    """Systems of a pairwise rubric by what people prefer."""

    rubric: str = Field(description="The rubric.", examples=["duel"])
    rubric_version: int = Field(description="Its newest version.", examples=[3])
    criterion: str = Field(description="The criterion.", examples=["preference"])
    level: float = Field(description="Coverage of every interval.", examples=[0.95])
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
        description="Verdicts that came after the calibration for pairs it had already: not in these "
        "numbers.",
        examples=[0],
    )
    tie_rate: float | None = Field(
        description="Share of ties among people, by the model; null without a ranking.", examples=[0.18]
    )
    power_tuning: float | None = Field(
        description="How much of a difference between the panel's predictions is taken over; 0 rests on "
        "human grades alone. Null without a ranking.",
        examples=[0.7],
    )
    panel_correlation: float | None = Field(
        description="How the panel's predictions follow people beside the strengths; null without a ranking.",
        examples=[0.5],
    )
    refusals: list[str] = Field(
        description="Why there is no ranking; empty where there is one. Systems that no comparison connects, "
        "and systems that people always or never preferred, are named.",
        examples=[[]],
    )
    parts: list[list[str]] = Field(
        description="Where human grades fall apart into sets of systems that nobody compared with each "
        "other: those sets. Else empty.",
        examples=[[]],
    )
    warnings: list[str] = Field(description="What to know of every row.", examples=[[]])
    rows: list[RankedSystemOut] = Field(
        description="By rank; those without one last, by name.",
        examples=[
            [
                {
                    "system": "bot-v7", "rank": 2, "rank_interval": [1, 3], "strength": 0.42,
                    "strength_interval": [0.11, 0.73], "win_rate": 0.58, "win_rate_interval": [0.52, 0.64],
                    "raw_win_rate": 0.66, "opponents": 5, "n_pairs": 1200, "n_anchors": 80, "n_prompts": 64,
                    "status": "calibrated", "warnings": [],
                }
            ]
        ],
    )  # fmt: skip
    pairs: list[RankedPairOut] = Field(
        description="Every two systems, once.",
        examples=[
            [
                {
                    "system": "bot-v6", "other": "bot-v7", "n_pairs": 240, "n_anchors": 16,
                    "raw_win_rate": 0.41, "human_win_rate": 0.47, "win_rate": 0.44, "interval": [0.37, 0.51],
                }
            ]
        ],
    )  # fmt: skip
    by_judges: RankedByJudgesOut | None = Field(
        description="How the judges rank them; null unless asked for.",
        examples=[{"rows": [_JUDGED], "judges": [_TASTE], "spread": 0.28, "refusals": [], "warnings": []}],
    )


@router.get("/rankings", summary="Many systems ranked by human preference", responses=documented(404, 422))
async def get_rankings(
    caller: Reader,
    services: Served,
    rubric: Annotated[str, Query(description="A rubric that judges pairs.", examples=["duel"])],
    criterion: Annotated[str, Query(description="One of its criteria.", examples=["preference"])],
    level: Annotated[
        float, Query(ge=0.5, le=0.999, description="Coverage of the intervals.", examples=[0.95])
    ] = 0.95,
    judges: Annotated[
        bool,
        Query(description="Also how the judges rank them, from every verdict on record.", examples=[True]),
    ] = False,
) -> RankingOut:
    """Strengths, win rates and ranks on the human scale, where comparisons connect the systems."""
    return shown_ranking(
        await rank(
            services.quality,
            caller.project.id,
            rubric=rubric,
            criterion=criterion,
            level=level,
            judges=judges,
        )
    )


def shown_ranking(table: RankingTable) -> RankingOut:
    """The ranking as it is answered."""
    return RankingOut(
        rubric=table.rubric,
        rubric_version=table.rubric_version,
        criterion=table.criterion,
        level=table.level,
        calibration_id=table.calibration_id,
        calibrated_at=table.calibrated_at,
        simulated=table.simulated,
        newer_verdicts=table.newer_verdicts,
        tie_rate=table.tie_rate,
        power_tuning=table.power_tuning,
        panel_correlation=table.panel_correlation,
        refusals=list(table.refusals),
        parts=[list(part) for part in table.parts],
        warnings=list(table.warnings),
        rows=[_system(row) for row in table.rows],
        pairs=[_pair(pair) for pair in table.pairs],
        by_judges=None if table.by_judges is None else _by_judges(table.by_judges),
    )


def _by_judges(found: RankedByJudges) -> RankedByJudgesOut:
    rows = [
        JudgedSystemOut(
            system=name,
            rank=one.rank,
            rank_interval=one.rank_interval,
            strength=one.strength,
            strength_interval=one.strength_interval,
            win_rate=one.win_rate,
            win_rate_interval=one.win_rate_interval,
        )
        for name, one in found.systems.items()
    ]
    return RankedByJudgesOut(
        rows=sorted(rows, key=lambda row: (row.rank, row.system)),
        judges=[
            JudgesTasteOut(
                judge=one.judge, n_verdicts=one.n_verdicts, position=one.position, tie_rate=one.tie_rate
            )
            for one in found.judges
        ],
        spread=found.spread,
        refusals=list(found.refusals),
        warnings=list(found.warnings),
    )


def _system(row: RankedSystem) -> RankedSystemOut:
    return RankedSystemOut(
        system=row.system,
        rank=row.rank,
        rank_interval=row.rank_interval,
        strength=row.strength,
        strength_interval=row.strength_interval,
        win_rate=row.win_rate,
        win_rate_interval=row.win_rate_interval,
        raw_win_rate=row.raw_win_rate,
        opponents=row.opponents,
        n_pairs=row.n_pairs,
        n_anchors=row.n_anchors,
        n_prompts=row.n_prompts,
        status=row.status.value,
        warnings=list(row.warnings),
    )


def _pair(pair: RankedPair) -> RankedPairOut:
    return RankedPairOut(
        system=pair.system,
        other=pair.other,
        n_pairs=pair.n_pairs,
        n_anchors=pair.n_anchors,
        raw_win_rate=pair.raw_win_rate,
        human_win_rate=pair.human_win_rate,
        win_rate=pair.win_rate,
        interval=pair.interval,
    )

"""Missing verdicts as the quality table answers them."""

from typing import Literal

from pydantic import Field

from app.reporting.unscored import SHIFTS, CorrectedBounds, JudgeUnscored, RelatedToQuality, Unscored
from app.web.fields import Answered

_RELATED = {"difference": -0.31, "interval": [-0.52, -0.1], "p_value": 0.004, "n": 61, "status": "identified"}
_SHIFTED = [
    {"sd": -1.0, "raw_mean": 3.88}, {"sd": -0.5, "raw_mean": 3.89}, {"sd": 0.5, "raw_mean": 3.93},
    {"sd": 1.0, "raw_mean": 3.94},
]  # fmt: skip
_CORRECTED = {
    "worst_case": [3.36, 3.47],
    "worst_case_interval": [3.15, 3.65],
    "shifted": [
        {"sd": -1.0, "corrected": 3.41, "interval": [3.2, 3.59]},
        {"sd": -0.5, "corrected": 3.42, "interval": [3.21, 3.6]},
        {"sd": 0.5, "corrected": 3.42, "interval": [3.21, 3.6]},
        {"sd": 1.0, "corrected": 3.43, "interval": [3.22, 3.61]},
    ],
}
_BOUNDS = {
    "raw_mean": 3.91, "worst_case": [3.78, 3.96], "shifted": _SHIFTED, "corrected": _CORRECTED,
}  # fmt: skip
UNSCORED = {
    "rate": 0.021, "interval": [0.016, 0.027], "n": 2904, "missing": 61, "related_to_quality": _RELATED,
    "bounds": _BOUNDS,
}  # fmt: skip
JUDGES = [
    {
        "judge": "azure-4", "family": "azure", "rate": 0.034, "interval": [0.026, 0.044], "n": 968,
        "missing": 33, "related_to_quality": _RELATED,
    }
]  # fmt: skip


class RelatedOut(Answered):
    """Whether verdicts go missing on better or on worse answers."""

    difference: float | None = Field(
        description="How much more the other judges give, each judge against itself, where its verdict is "
        "missing than where it is there; on the table's scale. Null unless `identified`.",
        examples=[-0.31],
    )
    interval: tuple[float, float] | None = Field(
        description="Its interval at the level asked for, clustered by prompt.", examples=[[-0.52, -0.1]]
    )
    p_value: float | None = Field(
        description="Of no difference, two-sided, not adjusted for the number of rows (`warnings` are).",
        examples=[0.004],
    )
    n: int = Field(description="Missing verdicts on answers that another judge scored.", examples=[61])
    status: Literal["identified", "not_identified", "insufficient_data"] = Field(
        description="`insufficient_data`: too few prompts have a missing verdict (or there is none). "
        "`not_identified`: the other judges say the same of every answer, or pairs are not told apart by "
        "system.",
        examples=["identified"],
    )


class ShiftedOut(Answered):
    """One assumption on missing verdicts."""

    sd: float = Field(
        description="How far every missing verdict is from what the other judges said of the answer, in "
        "standard deviations of its judge's verdicts; positive is better.",
        examples=[-0.5],
    )
    raw_mean: float = Field(description="The raw mean it would make.", examples=[3.89])


class ShiftedCorrectedOut(Answered):
    """One assumption on missing verdicts."""

    sd: float = Field(
        description="As in `shifted` of the raw mean, on graded and other answers alike.", examples=[-0.5]
    )
    corrected: float = Field(description="The corrected value it would make.", examples=[3.42])
    interval: tuple[float, float] = Field(description="Its interval.", examples=[[3.21, 3.6]])


class CorrectedBoundsOut(Answered):
    """What missing verdicts could have done to the corrected value, with the panel trusted as it is."""

    worst_case: tuple[float, float] = Field(
        description="The least and the most it could be: with missing verdicts at one end of the scale where "
        "nobody graded, and at either end on answers that people graded.",
        examples=[[3.36, 3.47]],
    )
    worst_case_interval: tuple[float, float] = Field(
        description="From the lower end of its interval at the least to the upper end at the most.",
        examples=[[3.15, 3.65]],
    )
    shifted: list[ShiftedCorrectedOut] = Field(
        description="What it would be under four milder assumptions. Hardly another value, where the graded "
        "answers have as many missing verdicts as the others.",
        examples=[_CORRECTED["shifted"]],
    )


class BoundsOut(Answered):
    """What missing verdicts could have done to the raw mean, and to the corrected value."""

    raw_mean: float | None = Field(
        description="The raw mean without them, of the answers that the calibration had; null without any.",
        examples=[3.91],
    )
    worst_case: tuple[float, float] = Field(
        description="The least and the most it could be, with every missing verdict at an end of the scale.",
        examples=[[3.78, 3.96]],
    )
    shifted: list[ShiftedOut] = Field(
        description="What it would be under four milder assumptions.", examples=[_SHIFTED]
    )
    corrected: CorrectedBoundsOut | None = Field(
        description="The same of `corrected`; null where the row has none.", examples=[_CORRECTED]
    )


class UnscoredOfRow(Answered):
    """The missing verdicts of a row."""

    rate: float = Field(description="Share of judges asked that gave no verdict.", examples=[0.021])
    interval: tuple[float, float] | None = Field(
        description="Its interval, clustered by prompt; null for a single prompt.", examples=[[0.016, 0.027]]
    )
    n: int = Field(
        description="Judges asked about the row's answers, each once per answer however often it was asked. "
        "Answers that were first judged after the calibration are not counted.",
        examples=[2904],
    )
    missing: int = Field(description="Of these, how many gave no verdict.", examples=[61])
    related_to_quality: RelatedOut = Field(
        description="Whether they are on better or worse answers.", examples=[_RELATED]
    )
    bounds: BoundsOut | None = Field(
        description="What they could have done to `raw_mean`; null for pairs that are not grouped by system.",
        examples=[_BOUNDS],
    )


class UnscoredOfJudge(Answered):
    """The missing verdicts of a judge version, over all answers of the criterion."""

    judge: str = Field(description="The judge.", examples=["azure-4"])
    family: str = Field(description="Its family.", examples=["azure"])
    rate: float = Field(description="Share of answers it gave no verdict on.", examples=[0.034])
    interval: tuple[float, float] | None = Field(
        description="Its interval, clustered by prompt; null for a single prompt.", examples=[[0.026, 0.044]]
    )
    n: int = Field(description="Answers it was asked about.", examples=[968])
    missing: int = Field(description="Of these, how many it gave no verdict on.", examples=[33])
    related_to_quality: RelatedOut = Field(
        description="Whether these are better or worse answers.", examples=[_RELATED]
    )


def shown_unscored(found: Unscored | None) -> UnscoredOfRow | None:
    """A row's, as it is answered."""
    if found is None:
        return None
    bounds = found.bounds
    return UnscoredOfRow(
        rate=found.rate,
        interval=found.interval,
        n=found.n,
        missing=found.missing,
        related_to_quality=_related(found.related_to_quality),
        bounds=None
        if bounds is None
        else BoundsOut(
            raw_mean=bounds.raw_mean,
            worst_case=bounds.worst_case,
            shifted=[ShiftedOut(sd=one.sd, raw_mean=one.raw_mean) for one in bounds.shifted],
            corrected=None if bounds.corrected is None else _corrected(bounds.corrected),
        ),
    )


def _corrected(found: CorrectedBounds) -> CorrectedBoundsOut:
    return CorrectedBoundsOut(
        worst_case=found.worst_case,
        worst_case_interval=found.worst_case_interval,
        shifted=[
            ShiftedCorrectedOut(sd=sd, corrected=one.corrected, interval=one.interval)
            for sd, one in zip(SHIFTS, found.shifted, strict=True)
        ],
    )


def shown_judge(found: JudgeUnscored) -> UnscoredOfJudge:
    """A judge's, as it is answered."""
    return UnscoredOfJudge(
        judge=found.judge,
        family=found.family,
        rate=found.rate,
        interval=found.interval,
        n=found.n,
        missing=found.missing,
        related_to_quality=_related(found.related_to_quality),
    )


def _related(found: RelatedToQuality) -> RelatedOut:
    return RelatedOut(
        difference=found.difference,
        interval=found.interval,
        p_value=found.p_value,
        n=found.n,
        status=found.status,
    )

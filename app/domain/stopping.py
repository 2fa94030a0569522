"""A comparison of two systems that ends a batch once it is decided."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal


class ScoresCompared(StrEnum):
    """What is compared: the panels' mean verdicts, or their calibrated scores."""

    RAW = "raw"
    CALIBRATED = "calibrated"


@dataclass(frozen=True, slots=True)
class StopRule:
    """When to stop: the mean difference, candidate minus baseline over prompts, is shown to be there, or to
    lie within ``margin`` (points of the criterion; pairs: win rates), at ``level`` however often one looks.

    ``population``: of the batch's own prompts, or of the stream that they are drawn from.

    What follows is settled when the batch is made. ``rubric``, ``criterion``; ``prompts`` with answers of
    both; ``pairs``: whether the rubric compares two answers; ``points`` of the criterion that its whole scale
    is, negative where lower is better (pairs: 1); ``seed`` of the prompts' random order; ``calibration_id``
    that scores are made with throughout, None for raw ones.
    """

    baseline: str
    candidate: str
    criterion: str | None = None
    level: float = 0.95
    margin: float = 0.0
    scores: ScoresCompared = ScoresCompared.RAW
    population: Literal["these_units", "stream"] = "these_units"
    rubric: str | None = None
    prompts: int = 0
    pairs: bool = False
    points: float = 1.0
    seed: int = 0
    calibration_id: int | None = None


@dataclass(frozen=True, slots=True)
class ComparisonSoFar:
    """How a comparison stands after ``seen`` prompts, ``missing`` of which lack a score.

    ``difference`` and ``interval`` in points of the criterion (pairs: of win rates); None before the first
    look. ``finding``: better, worse, equivalent or inconclusive, of the candidate.
    """

    seen: int = 0
    missing: int = 0
    difference: float | None = None
    interval: tuple[float, float] | None = None
    finding: str = "inconclusive"

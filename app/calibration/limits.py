"""What a calibration needs before it says anything, and the sentences it says otherwise.

The counts are minima: coverage of the t-based intervals was simulated down to them, a conformal
95% interval is finite from 19 units on.
"""

from dataclasses import dataclass
from enum import StrEnum

MIN_PROMPTS = 20  # anchored prompts for any calibrated number
MIN_SYSTEMS = 2  # anchored systems for any calibrated number
MIN_ANCHORS_FOR_INTERVAL = 30
MIN_BRIDGE = 20  # units of a judge before it carries weight, where some judge has that many
SATURATED = 0.2  # share of verdicts at one end of the scale
TOP_BOX = 0.5  # share of human grades at the best value
LEAVE_ONE_OUT_BELOW = 30  # prompts, below which every prompt is its own fold
FOLDS = 5


class Refusal(StrEnum):
    """Why a calibration would not say something."""

    NO_VERDICTS = "no_verdicts"
    NO_ANCHORS = "no_anchors"
    TOO_FEW_PROMPTS = "too_few_prompts"
    TOO_FEW_SYSTEMS = "too_few_systems"
    NO_VARIATION = "no_variation"
    ITEM_INTERVAL = "item_interval"


@dataclass(frozen=True, slots=True)
class Refused:
    """A refusal with what there is and what it takes."""

    reason: Refusal
    sentence: str

    def __str__(self) -> str:
        return f"{self.reason}: {self.sentence}"


def no_verdicts() -> Refused:
    return Refused(
        Refusal.NO_VERDICTS,
        "no judge has scored enough answers with scores that differ; grade answers or bring in verdicts",
    )


def no_anchors(judged: int, graded: int) -> Refused:
    if graded == 0:
        why = "no answer has a human grade; upload anchors"
    else:
        why = f"{graded} answers have human grades and {judged} have verdicts, but none has both"
    return Refused(Refusal.NO_ANCHORS, why)


def no_variation() -> Refused:
    return Refused(Refusal.NO_VARIATION, "every human grade is the same, so nothing can be learned from them")


def check_anchors(prompts: int, systems: int) -> tuple[Refused, ...]:
    """What keeps calibrated numbers from existing."""
    found = []
    if prompts < MIN_PROMPTS:
        text = f"{prompts} prompts have anchors, {MIN_PROMPTS} are needed for a calibrated score"
        found.append(Refused(Refusal.TOO_FEW_PROMPTS, text))
    if systems < MIN_SYSTEMS:
        text = f"anchors of {systems} system, {MIN_SYSTEMS} are needed to tell systems from the scale"
        found.append(Refused(Refusal.TOO_FEW_SYSTEMS, text))
    return tuple(found)


def check_interval(anchors: int) -> tuple[Refused, ...]:
    """What keeps an item's interval from existing."""
    if anchors >= MIN_ANCHORS_FOR_INTERVAL:
        return ()
    text = f"{anchors} anchors, {MIN_ANCHORS_FOR_INTERVAL} are needed for the interval of one score"
    return (Refused(Refusal.ITEM_INTERVAL, text),)

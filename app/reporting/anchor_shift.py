"""Do the anchors of a calibration look like its traffic, and what is done about it where they do not?

Compared within systems, and system by system: panel scores, how judges disagree, lengths, strata; and texts,
within systems. What follows is, in this order, weights that make the anchors look like the traffic; where
none can, an interval that also holds what the furthest bearable weights would say; and where the evidence is
overwhelming, no level.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.calibration.frame import Frame
from app.stats.multiplicity import holm
from app.stats.representative import (
    Balance,
    Representativeness,
    balance,
    block_ranks,
    centred_features,
    kish_effective_size,
    representativeness,
)
from app.stats.text_shift import TextShift, text_shift

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

SUSPICIOUS = 0.05  # p of all tests together below which anchors are said not to look like the traffic
DAMNING = 0.001  # p below which, if no weights can mend it, no level is given
MIN_WEIGHTED_SIZE = 15.0  # Kish's effective number of anchors
MAX_PROMPT_SHARE = 0.2  # of all weight on one prompt
MIN_PROMPTS_OF_SYSTEM = 20  # labelled prompts of a system before its anchors are tested by themselves
_RARE = 0.05  # share of the traffic below which a stratum's value is not tested by itself
_MOST_VALUES = 12
_HALVINGS = 12
TEXTS = "what the texts say"


class Standing(StrEnum):
    """How a row's anchors stand for its traffic, and what was done where they do not."""

    NOT_TESTED = "not_tested"
    NO_DIFFERENCE = "no_difference_found"
    WEIGHTED = "weighted"
    WIDENED = "widened"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Anchoring:
    """How far the anchors stand for the traffic.

    Attributes
    ----------
    test : of panel scores, disagreement, lengths and strata, within systems. ``text``: of texts.
    p_value : of all tests together, adjusted for their number; None if nothing was tested.
    feature, more : what differs most, in words, and whether the anchors have more of it; None if nothing was
        tested.
    standing : of all anchors; ``systems``: of single systems, by code, where theirs is another.
    weight : (n,) inverse of how much too often a unit like this is among the anchors; None if not used.
    bent : (n,) the furthest bearable weights, where an interval has to hold what they say too; else None.
    logged : whether inclusion probabilities were logged for every anchor, and differ.
    partly_logged : whether they were logged for some anchors only (and are therefore not used).
    effective_size, largest_share : Kish's effective number of anchors and the largest share of a prompt.
    """

    test: Representativeness
    text: TextShift
    p_value: float | None
    feature: str | None
    more: bool
    standing: Standing
    systems: Mapping[int, Standing]
    weight: Floats | None
    bent: Floats | None
    logged: bool
    partly_logged: bool
    effective_size: float
    largest_share: float

    @property
    def flagged(self) -> bool:
        """Whether the anchors of all systems together differ from the traffic."""
        return self.standing not in (Standing.NOT_TESTED, Standing.NO_DIFFERENCE)

    @property
    def hopeless(self) -> bool:
        """Whether no level is given for any system."""
        return self.standing is Standing.REFUSED

    def of(self, system: int | None) -> Standing:
        """The standing of a row: of one system, or of rows that hold several (None)."""
        return self.standing if system is None else self.systems.get(system, self.standing)

    def twice(self) -> "Anchoring":
        """The same for units that count once for each of two systems."""
        weight, bent = (None if one is None else np.tile(one, 2) for one in (self.weight, self.bent))
        return replace(self, weight=weight, bent=bent)


def compare_anchors(frame: Frame) -> Anchoring:
    """Test the anchors and, where a test objects, find what can be done."""
    labelled = frame.labelled & np.isfinite(frame.human_mean)
    chance = frame.human_inclusion[labelled]
    known = np.isfinite(chance) & (chance > 0)
    logged = bool(labelled.any() and known.all() and np.ptp(chance) > 1e-9 * chance.max())
    base = np.ones(labelled.size) if logged else None
    if base is not None:
        base[labelled] = 1.0 / chance
    nothing = _nothing(partly_logged=bool(known.any() and not known.all()))
    if not labelled.any():
        return nothing
    names, features = _features(frame)
    block = frame.block
    centred = centred_features(features, block)
    test = representativeness(
        centred=centred, prompt=frame.prompt, labelled=labelled, block=block, weight=base
    )
    text, read = _text(frame, labelled, block, logged)
    by_system = {} if frame.kind == "pairwise" else _by_system(frame, centred, labelled, base)
    p, alone = _together(test.p_value, text.p_value, {s: one.p_value for s, one in by_system.items()})
    found = replace(nothing, test=test, text=text, p_value=p, logged=logged, weight=base)
    k = int(np.argmax(np.abs(test.z))) if test.features.size else None
    if k is not None:
        found = replace(found, feature=names[int(test.features[k])], more=bool(test.shift[k] > 0))
    joint = [q for q in (test.p_value, text.p_value) if q is not None]
    if joint:
        found = replace(found, standing=Standing.NO_DIFFERENCE)
    if joint and p is not None and p < SUSPICIOUS:
        columns = centred[:, test.features]
        if text.p_value is not None and text.p_value <= min(joint):
            columns = np.column_stack([columns, read])
            found = replace(found, feature=TEXTS, more=True)
        found = _mended(found, columns, labelled, frame.prompt, base, min(joint) < DAMNING)
    elif alone:
        for system, q in alone.items():
            own = labelled & (frame.system == system)
            part = _mended(
                found, centred[:, by_system[system].features], own, frame.prompt, found.weight, q < DAMNING
            )
            found = replace(part, standing=found.standing, systems={**found.systems, system: part.standing})
    used = np.ones(labelled.size) if found.weight is None else found.weight
    return replace(
        found,
        effective_size=kish_effective_size(used[labelled]),
        largest_share=_largest_share(used[labelled], frame.prompt[labelled]),
    )


def _nothing(*, partly_logged: bool) -> Anchoring:
    none = np.zeros(0)
    test = Representativeness(None, np.zeros(0, np.int64), none, none, 0)
    return Anchoring(
        test, TextShift(None, 0, none), None, None, False, Standing.NOT_TESTED, {}, None, None, False,
        partly_logged, 0.0, 0.0,
    )  # fmt: skip


def _text(frame: Frame, labelled: Bools, block: NDArray[np.int64], logged: bool) -> tuple[TextShift, Floats]:
    """The test of texts, and (n,) how much each unit reads like other anchors, 0 where it was not read.

    Anchors drawn with logged probabilities may differ in their texts as they were meant to: not tested.
    """
    read = np.zeros(labelled.size)
    unit = frame.text_unit
    if logged or not unit.size:
        return TextShift(None, 0, np.zeros(0)), read
    found = text_shift(
        directions=frame.text_directions,
        prompt=frame.prompt[unit],
        block=block[unit],
        labelled=labelled[unit],
    )
    read[unit] = np.nan_to_num(found.score)
    return found, read


def _by_system(
    frame: Frame, centred: Floats, labelled: Bools, base: Floats | None
) -> dict[int, Representativeness]:
    """The test of every system that has enough labelled prompts, where there is more than one system."""
    if len(frame.systems) < 2:
        return {}
    pairs = np.unique(np.column_stack([frame.system[labelled], frame.prompt[labelled]]), axis=0)
    count = np.bincount(pairs[:, 0], minlength=len(frame.systems))
    found = {}
    for system in np.flatnonzero(count >= MIN_PROMPTS_OF_SYSTEM).tolist():
        rows = frame.system == system
        found[system] = representativeness(
            centred=centred[rows], prompt=frame.prompt[rows], labelled=labelled[rows],
            weight=None if base is None else base[rows],
        )  # fmt: skip
    return {system: one for system, one in found.items() if one.p_value is not None}


def _together(
    panel: float | None, text: float | None, systems: Mapping[int, float | None]
) -> tuple[float | None, dict[int, float]]:
    """The p of panel and text, and the raw p of the systems that differ, each adjusted for the families of
    tests there are (Bonferroni) and the systems for each other (Holm)."""
    families = (panel is not None) + (text is not None) + bool(systems)
    joint = [q for q in (panel, text) if q is not None]
    p = min(1.0, families * min(joint)) if joint else None
    raw = {system: q for system, q in systems.items() if q is not None}
    adjusted = holm(np.array(list(raw.values()))) if raw else np.zeros(0)
    different = {
        system: q for (system, q), h in zip(raw.items(), adjusted, strict=True) if families * h < SUSPICIOUS
    }
    return p, different


def _mended(
    found: Anchoring,
    columns: Floats,
    labelled: Bools,
    prompt: NDArray[np.int32],
    base: Floats | None,
    damning: bool,
) -> Anchoring:
    """Weights for the ``labelled`` that differ, or weights as far as they are bearable, or nothing."""
    tilt = balance(centred=columns, labelled=labelled, base=base)
    if tilt.exact and _bearable(tilt.weights(), prompt[labelled]):
        return replace(
            found, weight=_with(found.weight, labelled, tilt.weights()), standing=Standing.WEIGHTED
        )
    if damning:
        return replace(found, standing=Standing.REFUSED)
    bent = tilt.weights(_furthest(tilt, prompt[labelled]))
    before = found.weight if found.bent is None else found.bent
    return replace(found, bent=_with(before, labelled, bent), standing=Standing.WIDENED)


def _with(before: Floats | None, labelled: Bools, weight: Floats) -> Floats:
    """(n,) ``before`` with other weights for the ``labelled``, which keep their mean."""
    out = np.ones(labelled.size) if before is None else before.copy()
    out[labelled] = weight * out[labelled].mean()
    return out


def _furthest(tilt: Balance, prompt: NDArray[np.int32]) -> float:
    """The largest share of the tilt that is bearable, by halving."""
    low, high = 0.0, 1.0
    for _ in range(_HALVINGS):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if _bearable(tilt.weights(middle), prompt) else (low, middle)
    return low


def _bearable(weight: Floats, prompt: NDArray[np.int32]) -> bool:
    enough = kish_effective_size(weight) >= MIN_WEIGHTED_SIZE
    return enough and _largest_share(weight, prompt) <= MAX_PROMPT_SHARE


def _largest_share(weight: Floats, prompt: NDArray[Any]) -> float:
    if not weight.size:
        return 0.0
    cluster = np.unique(prompt, return_inverse=True)[1]
    by_prompt = np.bincount(cluster, weight)
    return float(by_prompt.max() / by_prompt.sum())


def _features(frame: Frame) -> tuple[list[str], Floats]:
    """What anchors and traffic are compared on, most telling first, with words for each.

    How scores and judges scatter hangs on how many judges there are: where only some panels had two stages
    it would tell who was asked, and is left out.
    """
    pairwise = frame.kind == "pairwise"
    block = frame.system.astype(np.int64)
    score = np.abs(frame.panel_score) if pairwise else frame.panel_score
    rank = block_ranks(score, block)
    names = ["how clear the panel's preference is" if pairwise else "the panel's score"]
    columns = [rank]
    if len(frame.judges) > 1 and not frame.mixed_panels:
        names.append("how far the judges disagree")
        columns.append(block_ranks(_disagreement(frame), block))
    length = frame.length + frame.other_length if pairwise else frame.length
    if np.isfinite(length).sum() > 0.5 * length.size:
        names.append("the length of answers")
        columns.append(block_ranks(length, block))
    for stratum, codes in frame.strata.items():
        values = frame.stratum_values[stratum]
        share = np.bincount(codes[codes >= 0], minlength=len(values)) / max(codes.size, 1)
        tested = np.flatnonzero((share >= _RARE) & (share <= 1 - _RARE))
        implied = 1 if share[tested].sum() > 0.99 else 0  # the commonest follows from the others
        for value in tested[np.argsort(-share[tested])][implied:][:_MOST_VALUES]:
            names.append(f"{stratum} {values[value]!r}")
            columns.append((codes == value).astype(np.float64))
    if not frame.mixed_panels:
        names.append("how far the panel's scores lie from the middle")
        columns.append((rank - 0.5) ** 2)
    return names, np.stack(columns).T


def _disagreement(frame: Frame) -> Floats:
    """(n,) standard deviation of a unit's judges, each from its own mean; NaN below two judges."""
    n, judges = frame.unit_id.size, len(frame.judges)
    count = np.maximum(np.bincount(frame.cell_judge, minlength=judges), 1)
    judge_mean = np.bincount(frame.cell_judge, frame.cell_value, judges) / count
    value = frame.cell_value - judge_mean[frame.cell_judge]
    seats = np.bincount(frame.cell_unit, minlength=n)
    mean = np.bincount(frame.cell_unit, value, n) / np.maximum(seats, 1)
    square = np.bincount(frame.cell_unit, value**2, n) / np.maximum(seats, 1)
    return np.where(seats > 1, np.sqrt(np.maximum(square - mean**2, 0.0)), np.nan)

"""A calibration's frame as quality tables need it: every unit of every system on one unit scale.

A pair counts once for each of its two systems: as a win rate of 1 (won), 0.5 (tie) or 0 (lost).
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from app.calibration.design import Design
from app.calibration.fit import without_map
from app.calibration.frame import Frame
from app.calibration.snapshot import frame_of
from app.stats.factors import FactorScores
from app.stats.panel_weights import PanelWeights, weigh_panel
from app.stats.representative import (
    Representativeness,
    balancing_weights,
    block_ranks,
    centred_features,
    kish_effective_size,
    representativeness,
)

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

SUSPICIOUS = 0.05  # p of the test below which anchors are said not to look like the traffic
DAMNING = 0.001  # p below which, if no weights can mend it, no level is given
MIN_WEIGHTED_SIZE = 15.0  # Kish's effective number of anchors
MAX_PROMPT_SHARE = 0.2  # of all weight on one prompt
_RARE = 0.05  # share of the traffic below which a stratum's value is not tested by itself
_MOST_VALUES = 12


@dataclass(frozen=True, slots=True)
class Anchoring:
    """How far the anchors stand for the traffic.

    Attributes
    ----------
    test : of panel scores, lengths and strata, within systems.
    feature : what differs most, in words; None if nothing was tested.
    weight : (n,) inverse of how much too often a unit like this is among the anchors; None if not used.
    logged : whether inclusion probabilities were logged for every anchor, and differ.
    partly_logged : whether they were logged for some anchors only (and are therefore not used).
    flagged, hopeless : the test objects; and no weights can mend it.
    effective_size, largest_share : Kish's effective number of anchors and the largest share of a prompt.
    """

    test: Representativeness
    feature: str | None
    weight: Floats | None
    logged: bool
    partly_logged: bool
    flagged: bool
    hopeless: bool
    effective_size: float
    largest_share: float


@dataclass(frozen=True, slots=True)
class GradedUnits:
    """n rows: the units of a frame, for pairs once per system.

    Attributes
    ----------
    system, prompt, unit : (n,) codes; ``unit`` indexes the frame.
    score : (n,) the panel's score, 0 worst to 1 best, NaN without verdicts; rests on verdicts alone.
    prediction : (n,) what the panel, its judges weighted by the anchors, says of the human grade: up to a
        constant per system, and without the human grades of the unit's own prompt. NaN without verdicts.
    weights : how the judges are weighted.
    reliability : (n,); raw : (n,) mean verdict; human : (n,) mean human grade, NaN without; all on 0 to 1.
    length : (n,) words, NaN unknown, or None where it would mean nothing (pairs).
    strata : name -> (n,) codes, -1 missing.
    anchoring : how the anchors compare with the traffic.
    """

    frame: Frame
    system: Ints
    prompt: Ints
    unit: Ints
    score: Floats
    prediction: Floats
    weights: PanelWeights
    reliability: Floats
    raw: Floats
    human: Floats
    length: Floats | None
    strata: dict[str, Ints]
    anchoring: Anchoring

    @property
    def inclusion(self) -> Floats | None:
        """(n,) probabilities of being an anchor, up to a factor; None if all alike."""
        return None if self.anchoring.weight is None else 1.0 / self.anchoring.weight

    @property
    def pairwise(self) -> bool:
        return self.frame.kind == "pairwise"

    def to_shown(self, value: float) -> float:
        """The unit scale to what is shown: the criterion's own scale, or a win rate."""
        if self.pairwise:
            return value
        return float(self.frame.to_native(np.array([value]))[0])

    def shown_width(self) -> float:
        """How much of the shown scale a difference of 1 on the unit scale is; negative if lower is better."""
        return self.to_shown(1.0) - self.to_shown(0.0)


def raw_units(design: Design) -> GradedUnits:
    """What there is without a calibration: raw verdicts and human grades, with the raw mean as the score."""
    n = design.units
    bare = without_map(design, None, FactorScores(np.full(n, np.nan), np.zeros(n)), None)
    return graded_units(replace(frame_of(design, bare), panel_score=design.raw_mean))


def graded_units(frame: Frame) -> GradedUnits:
    """Arrange a frame; about 0.1 s for 200,000 units, done once per calibration."""
    n = frame.unit_id.size
    anchoring, weights = _anchoring(frame), _weights(frame)
    if frame.kind != "pairwise":
        return GradedUnits(
            frame=frame,
            system=frame.system.astype(np.int64),
            prompt=frame.prompt.astype(np.int64),
            unit=np.arange(n),
            score=frame.panel_score,
            prediction=weights.prediction,
            weights=weights,
            reliability=frame.reliability,
            raw=frame.raw_mean,
            human=frame.human_mean,
            length=frame.length,
            strata={name: codes.astype(np.int64) for name, codes in frame.strata.items()},
            anchoring=anchoring,
        )

    def both(signed: Floats) -> Floats:
        return np.concatenate([0.5 + 0.5 * signed, 0.5 - 0.5 * signed])

    weight = None if anchoring.weight is None else np.tile(anchoring.weight, 2)
    return GradedUnits(
        frame=frame,
        system=np.concatenate([frame.system, frame.other_system]).astype(np.int64),
        prompt=np.tile(frame.prompt, 2).astype(np.int64),
        unit=np.tile(np.arange(n), 2),
        score=both(frame.panel_score),
        prediction=both(weights.prediction),
        weights=weights,
        reliability=np.tile(frame.reliability, 2),
        raw=both(frame.raw_mean),
        human=both(frame.human_mean),
        length=None,
        strata={name: np.tile(codes, 2).astype(np.int64) for name, codes in frame.strata.items()},
        anchoring=replace(anchoring, weight=weight),
    )


def _weights(frame: Frame) -> PanelWeights:
    """A pair's values are signed, so all pairs are one group: their mean is 0 by the order of names."""
    return weigh_panel(
        score=frame.panel_score,
        judge_values=frame.judge_matrix(),
        human=frame.human_mean,
        group=np.zeros_like(frame.system) if frame.kind == "pairwise" else frame.system,
        prompt=frame.prompt,
    )


def _anchoring(frame: Frame) -> Anchoring:
    """Test the anchors and, where the test objects, find weights that mend them."""
    n = frame.unit_id.size
    labelled = frame.labelled & np.isfinite(frame.human_mean)
    chance = frame.human_inclusion[labelled]
    known = np.isfinite(chance) & (chance > 0)
    logged = bool(labelled.any() and known.all() and np.ptp(chance) > 1e-9 * chance.max())
    base = None
    if logged:
        base = np.ones(n)
        base[labelled] = 1.0 / chance
    if not labelled.any():
        none = Representativeness(None, np.zeros(0, np.int64), np.zeros(0), np.zeros(0), 0)
        return Anchoring(none, None, None, False, False, False, False, 0.0, 0.0)
    names, features = _features(frame)
    block = (frame.system.astype(np.int64) + 1) * (len(frame.systems) + 1) + frame.other_system + 1
    block = np.unique(block, return_inverse=True)[1]
    centred = centred_features(features, block)
    test = representativeness(centred=centred, prompt=frame.prompt, labelled=labelled, weight=base)
    flagged = test.p_value is not None and test.p_value < SUSPICIOUS
    feature = names[int(test.features[int(np.argmax(np.abs(test.z)))])] if test.features.size else None
    weight, hopeless = base, False
    if flagged:
        balanced = balancing_weights(centred=centred[:, test.features], labelled=labelled, base=base)
        if balanced is not None and _bearable(balanced, labelled, frame.prompt):
            weight = balanced
        else:
            hopeless = test.p_value is not None and test.p_value < DAMNING
    used = np.ones(n) if weight is None else weight
    return Anchoring(
        test=test,
        feature=feature,
        weight=weight,
        logged=logged,
        partly_logged=bool(known.any() and not known.all()),
        flagged=flagged,
        hopeless=hopeless,
        effective_size=kish_effective_size(used[labelled]),
        largest_share=_largest_share(used, labelled, frame.prompt),
    )


def _bearable(weight: Floats, labelled: NDArray[np.bool_], prompt: NDArray[np.int32]) -> bool:
    return (
        kish_effective_size(weight[labelled]) >= MIN_WEIGHTED_SIZE
        and _largest_share(weight, labelled, prompt) <= MAX_PROMPT_SHARE
    )


def _largest_share(weight: Floats, labelled: NDArray[np.bool_], prompt: NDArray[np.int32]) -> float:
    if not labelled.any():
        return 0.0
    cluster = np.unique(prompt[labelled], return_inverse=True)[1]
    by_prompt = np.bincount(cluster, weight[labelled])
    return float(by_prompt.max() / by_prompt.sum())


def _features(frame: Frame) -> tuple[list[str], Floats]:
    """What anchors and traffic are compared on, most telling first, with words for each."""
    pairwise = frame.kind == "pairwise"
    block = frame.system.astype(np.int64)
    score = np.abs(frame.panel_score) if pairwise else frame.panel_score
    rank = block_ranks(score, block)
    names = ["how clear the panel's preference is" if pairwise else "the panel's score"]
    columns = [rank]
    if len(frame.judges) > 1:
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

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
from app.reporting.anchor_shift import Anchoring, compare_anchors
from app.reporting.seats import Seats, seats_of
from app.stats.factors import FactorScores
from app.stats.panel_weights import PanelWeights, weigh_panel
from app.stats.two_phase import two_phase_score

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


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
    seats : which judges were asked and which said nothing; None in frames that do not know.
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
    seats: Seats | None

    @property
    def inclusion(self) -> Floats | None:
        """(n,) probabilities of being an anchor, up to a factor; None if all alike."""
        return None if self.anchoring.weight is None else 1.0 / self.anchoring.weight

    @property
    def other_inclusion(self) -> Floats | None:
        """(n,) the same under weights that go as far as they can to mend anchors that they cannot mend."""
        return None if self.anchoring.bent is None else 1.0 / self.anchoring.bent

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
    frame = frame_of(design, bare)
    return graded_units(replace(frame, panel_score=design.raw_mean))


def graded_units(frame: Frame) -> GradedUnits:
    """Arrange a frame; about 0.1 s for 200,000 units, done once per calibration."""
    n = frame.unit_id.size
    two_phase = with_two_phase_scores(frame)
    anchoring = compare_anchors(two_phase if frame.mixed_panels else frame)
    weights, frame = _weights(frame), two_phase
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
            seats=seats_of(frame),
        )

    def both(signed: Floats) -> Floats:
        return np.concatenate([0.5 + 0.5 * signed, 0.5 - 0.5 * signed])

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
        anchoring=anchoring.twice(),
        seats=seats_of(frame),
    )


def _weights(frame: Frame) -> PanelWeights:
    """A pair's values are signed, so all pairs are one group: their mean is 0 by the order of names.

    Units whose panels had two stages stand there twice, once as their first stage alone saw them (without
    human grades), and are predicted by the two-phase score of both.
    """
    n, unit, signed = frame.unit_id.size, frame.stage_unit, frame.kind == "pairwise"
    size = np.log1p(frame.length) - (np.log1p(frame.other_length) if signed else 0.0)
    group = np.zeros_like(frame.system) if signed else frame.system
    first = np.full((unit.size, len(frame.judges)), np.nan)
    place = np.zeros(n, np.int64)
    place[unit] = np.arange(unit.size)
    first[place[frame.first_cell_unit], frame.first_cell_judge] = frame.first_cell_value
    weights = weigh_panel(
        score=np.concatenate([frame.panel_score, frame.first_score]),
        judge_values=np.concatenate([frame.judge_matrix(), first]),
        human=np.concatenate([frame.human_mean, np.full(unit.size, np.nan)]),
        group=np.concatenate([group, group[unit]]),
        prompt=np.concatenate([frame.prompt, frame.prompt[unit]]),
        size=np.concatenate([size, size[unit]]),
        signed=signed,
    )
    prediction = weights.prediction[:n].copy()
    prediction[unit] = two_phase_score(
        first=weights.prediction[n:], whole=prediction[unit], weight=frame.stage_weight
    )
    return replace(weights, prediction=prediction)


def with_two_phase_scores(frame: Frame) -> Frame:
    """The frame with two-phase scores in place of those of whoever happened to be asked."""
    unit, weight = frame.stage_unit, frame.stage_weight
    if not unit.size:
        return frame
    score, raw, reliability = frame.panel_score.copy(), frame.raw_mean.copy(), frame.reliability.copy()
    score[unit] = two_phase_score(first=frame.first_score, whole=score[unit], weight=weight)
    raw[unit] = two_phase_score(first=frame.first_raw_mean, whole=raw[unit], weight=weight)
    reliability[unit] = frame.first_reliability
    return replace(frame, panel_score=score, raw_mean=raw, reliability=reliability)

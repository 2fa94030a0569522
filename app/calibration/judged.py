"""One judge's verdicts in a design, and those of them that people graded too."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.calibration.design import Design
from app.domain.judging import JudgeVersion
from app.stats.human_noise import GradedUnits
from app.stats.quality_held_fixed import JudgedAnchors
from app.storage.evidence import Evidence

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Judged:
    """One judge's verdicts: rows of the evidence, and one value per unit with position removed."""

    code: int
    rows: NDArray[np.int64]
    unit: NDArray[np.int64]
    value: Floats


def judged(design: Design, code: int) -> Judged:
    """The verdicts of the judge of that code."""
    cells = design.judge == code
    return Judged(
        code, np.flatnonzero(design.evidence.v_judge == code), design.unit[cells], design.value[cells]
    )


def points(design: Design) -> float:
    """From the inner scale to points of the criterion's own."""
    scale = design.evidence.criterion.scale
    return 1.0 if design.signed else scale.high - scale.low


def judged_anchors(design: Design, judge: Judged, people: GradedUnits) -> tuple[JudgedAnchors, Bools]:
    """The units that the judge and people graded; and which of the judge's units they are."""
    evidence = design.evidence
    place = np.clip(np.searchsorted(people.unit, judge.unit), 0, max(len(people.unit) - 1, 0))
    graded = people.unit[place] == judge.unit if len(people.unit) else np.zeros(len(judge.unit), dtype=bool)
    unit, row = judge.unit[graded], place[graded]
    length, layout = np.log2(1 + evidence.length[unit]), np.log2(1 + evidence.marks[unit])
    if design.signed:
        length = length - np.log2(1 + evidence.other_length[unit])
        layout = layout - np.log2(1 + evidence.other_marks[unit])
    return (
        JudgedAnchors(
            judge=judge.value[graded],
            human=people.mean[row],
            grades=people.count[row],
            within=people.within[row],
            prompt=evidence.prompt[unit],
            system=evidence.system[unit],
            length=length,
            other_system=evidence.other_system[unit] if design.signed else None,
            layout=None if np.isnan(layout).all() else layout,
        ),
        graded,
    )


def is_model(evidence: Evidence, system: int, judge: JudgeVersion) -> bool:
    """Whether the system is the judge's model: as it says itself, or by its name."""
    model = evidence.system_models[system] or evidence.systems[system]
    return model.casefold() in {name.casefold() for name in (judge.model, judge.name) if name}


def as_given(design: Design, judge: Judged) -> Floats:
    """The judge's value of each of its units on the inner scale; of a pair with position left in."""
    if not design.signed:
        return judge.value
    evidence = design.evidence
    rows = judge.rows[np.isfinite(evidence.v_value[judge.rows])]
    place = np.searchsorted(judge.unit, evidence.v_unit[rows])  # units are ascending, as cells are
    place = np.minimum(place, len(judge.unit) - 1)
    mine = judge.unit[place] == evidence.v_unit[rows]
    place, value = place[mine], evidence.v_value[rows[mine]]
    count = np.bincount(place, minlength=len(judge.unit))
    return np.bincount(place, value, len(judge.unit)) / np.maximum(count, 1)


def to_native(design: Design, value: Floats) -> Floats:
    """From the inner scale to the criterion's own; pairs stay signed."""
    if design.signed:
        return value
    criterion = design.evidence.criterion
    upright = value if criterion.higher_is_better else 1.0 - value
    return criterion.scale.low + upright * (criterion.scale.high - criterion.scale.low)

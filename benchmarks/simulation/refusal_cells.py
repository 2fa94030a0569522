"""What the data cannot tell must be refused, and what they can tell must not be.

Each case takes something away from a world in which everything can be told, and asks the service for what
can no longer be known. The same question is put to the whole world, where it must be answered.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any
from unittest.mock import patch

import numpy as np
from numpy.typing import NDArray

from app.calibration.calibrate import Computed, compute
from app.calibration.design import build_design
from app.calibration.frame import Frame
from app.calibration.judge_bias import judge_bias
from app.calibration.limits import Refusal
from app.calibration.told import Report
from app.reporting.anchor_shift import Standing
from app.reporting.graded_units import GradedUnits, graded_units
from app.reporting.quality_groups import group_units
from app.reporting.quality_rows import QualityRow, estimate, rows_of
from app.stats import order_randomisation
from app.storage.evidence import Evidence
from benchmarks.simulation.bias_worlds import (
    BIASED,
    BIASED_IN_PAIRS,
    FAMILIES,
    JUDGES,
    SYSTEMS,
    BiasWorld,
    PairWorld,
    draw,
    draw_pairs,
)
from benchmarks.simulation.tally import Sums, Tally

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
Rng = np.random.Generator

ANSWERS = BiasWorld("answers", BIASED, prompts=80)
PAIRS = PairWorld("pairs", BIASED_IN_PAIRS, prompts=80, people=2)
_GRADED = 45  # prompts with human grades, of every system
_TWICE = 160  # answers that every judge scored twice


@dataclass
class Asked:
    """What the service says of some evidence; computed when it is looked at."""

    evidence: Evidence

    @cached_property
    def computed(self) -> Computed:
        return compute(self.evidence, seed=1)

    @cached_property
    def bias(self) -> Report:
        return judge_bias(build_design(self.evidence))

    @cached_property
    def units(self) -> GradedUnits:
        assert self.computed.frame is not None
        return graded_units(Frame.from_bytes(self.computed.frame))

    @cached_property
    def rows(self) -> tuple[QualityRow, ...]:
        if self.computed.frame is None:
            return ()
        groups = group_units(self.units, ("system",))
        return rows_of(self.units, groups, estimate(self.units, groups, 0.95, "stream"))

    @property
    def anchors_stand(self) -> bool:
        """Whether there is a calibration, and nothing was said against its anchors."""
        fine = (Standing.NOT_TESTED, Standing.NO_DIFFERENCE)
        return self.computed.frame is not None and self.units.anchoring.standing in fine

    def refused(self, reason: Refusal) -> bool:
        return any(said.startswith(f"{reason}:") for said in self.computed.refusals)

    def untold(self, effect: str, judge: int = 0) -> bool:
        told = self.bias["judges"][judge]["effects"].get(effect)
        return told is None or told["status"] != "identified"


@dataclass(frozen=True)
class Case:
    """``what`` is asked; ``because`` of what it cannot be told once ``spoil`` was at work; ``refused`` tells
    whether the service did not answer. ``pairs``: asked of pairs, not of answers."""

    what: str
    because: str
    spoil: Callable[[Evidence, Rng], Evidence]
    refused: Callable[[Asked], bool]
    pairs: bool = False

    @property
    def name(self) -> str:
        return f"{self.what}: {self.because}"


def chunk(seed: int, start: int, stop: int) -> Sums:
    """Sums over worlds; the first key is the name of a case."""
    tally = Tally()
    # No case asks for the p-value of an effect, whose many draws take a third of the time.
    with patch.object(order_randomisation, "DRAWS", 199):
        for k in range(start, stop):
            rng = np.random.default_rng([seed, k])
            whole = Asked(answers(rng)), Asked(draw_pairs(PAIRS, rng))
            for case in CASES:
                asked = whole[case.pairs]
                tally.add(f"{case.name}:whole", case.refused(asked))
                tally.add(f"{case.name}:spoiled", case.refused(Asked(case.spoil(asked.evidence, rng))))
    return tally.sums


def answers(rng: Rng) -> Evidence:
    """Some prompts graded, half of their answers by two people; some answers judged twice."""
    found = draw(ANSWERS, rng).evidence
    chosen = rng.permutation(ANSWERS.prompts)[:_GRADED]
    found = with_grades(found, np.isin(found.prompt[found.h_unit], chosen))
    again = np.flatnonzero(found.v_unit < _TWICE)
    first, second = found.v_value, found.v_value[again] + 3.0 * rng.standard_normal(again.size)
    return with_verdicts(
        found,
        np.concatenate([np.arange(first.size), again]),
        v_value=np.concatenate([first, second]),
        v_draw=np.repeat([1, 2], [first.size, again.size]).astype(np.int16),
    )


def with_grades(evidence: Evidence, kept: Bools | Ints) -> Evidence:
    """Only those human grades."""
    return replace(
        evidence,
        h_unit=evidence.h_unit[kept],
        h_value=evidence.h_value[kept],
        h_annotator=evidence.h_annotator[kept],
        h_inclusion=evidence.h_inclusion[kept],
    )


def with_verdicts(evidence: Evidence, kept: Bools | Ints, **changed: NDArray[Any]) -> Evidence:
    """Only those verdicts, with some columns ``changed``."""
    names = ("unit", "judge", "value", "expected", "place", "draw", "inclusion", "unscored", "rubric_version")
    columns = {f"v_{name}": getattr(evidence, f"v_{name}")[kept] for name in names}
    return replace(evidence, **(columns | changed))


def _of_judges(evidence: Evidence, some: tuple[int, ...]) -> Evidence:
    return with_verdicts(evidence, np.isin(evidence.v_judge, some))


def _one_prompt(evidence: Evidence, rng: Rng) -> Evidence:
    graded = evidence.prompt[evidence.h_unit]
    return with_grades(evidence, graded == graded[0])


def _one_system(evidence: Evidence, rng: Rng) -> Evidence:
    return with_grades(evidence, evidence.system[evidence.h_unit] == rng.integers(SYSTEMS))


def _none_judged(evidence: Evidence, rng: Rng) -> Evidence:
    return with_verdicts(evidence, ~np.isin(evidence.v_unit, evidence.h_unit))


def _constant_judges(evidence: Evidence, rng: Rng) -> Evidence:
    return replace(evidence, v_value=np.full(evidence.v_value.size, 60.0))


def _constant_people(evidence: Evidence, rng: Rng) -> Evidence:
    return replace(evidence, h_value=np.full(evidence.h_value.size, 80.0))


def _ties(evidence: Evidence, rng: Rng) -> Evidence:
    return replace(evidence, v_value=np.zeros(evidence.v_value.size))


def _twenty_five(evidence: Evidence, rng: Rng) -> Evidence:
    units = np.unique(evidence.h_unit)
    per_prompt = units[np.unique(evidence.prompt[units], return_index=True)[1] + rng.integers(SYSTEMS)]
    return with_grades(evidence, np.isin(evidence.h_unit, per_prompt[:25]))


def _few_systems(evidence: Evidence, rng: Rng) -> Evidence:
    return with_grades(evidence, evidence.system[evidence.h_unit] < 3)


def _first_prompts_of_a_system(evidence: Evidence, rng: Rng) -> Evidence:
    graded = np.unique(evidence.prompt[evidence.h_unit])[:6]
    own = evidence.system[evidence.h_unit] == 0
    return with_grades(evidence, ~own | np.isin(evidence.prompt[evidence.h_unit], graded))


def _one_stratum(evidence: Evidence, rng: Rng) -> Evidence:
    """All prompts have been graded of one stratum, none of the other."""
    (codes,) = evidence.strata.values()
    return with_grades(evidence, codes[evidence.h_unit] == 0)


def _own_systems_only(evidence: Evidence, rng: Rng) -> Evidence:
    family = np.array([str(f) for f in FAMILIES])[evidence.system[evidence.v_unit]]
    return with_verdicts(evidence, family == np.array([j.family for j in JUDGES])[evidence.v_judge])


def _one_of_a_family(evidence: Evidence, rng: Rng) -> Evidence:
    family = np.array([str(f) for f in FAMILIES])
    graded = (family != JUDGES[0].family) | (np.arange(SYSTEMS) == 0)
    return with_grades(evidence, graded[evidence.system[evidence.h_unit]])


def _no_families(evidence: Evidence, rng: Rng) -> Evidence:
    return replace(evidence, system_families=(None,) * SYSTEMS)


def _single_grades(evidence: Evidence, rng: Rng) -> Evidence:
    return with_grades(evidence, np.unique(evidence.h_unit, return_index=True)[1])


def _same_length(evidence: Evidence, rng: Rng) -> Evidence:
    return replace(evidence, length=np.full(evidence.length.size, 200.0))


def _no_layout(evidence: Evidence, rng: Rng) -> Evidence:
    return replace(evidence, marks=np.full(evidence.marks.size, np.nan))


def _system_is_stratum(evidence: Evidence, rng: Rng) -> Evidence:
    codes = evidence.system % 2
    return replace(evidence, strata={name: codes.astype(np.int32) for name in evidence.strata})


def _alone(evidence: Evidence, rng: Rng) -> Evidence:
    return replace(evidence, v_place=np.zeros_like(evidence.v_place))


def _one_order(evidence: Evidence, rng: Rng) -> Evidence:
    return with_verdicts(evidence, evidence.v_place == 0)


def _order_by_systems(evidence: Evidence, rng: Rng) -> Evidence:
    """Which answer comes first follows from the two systems."""
    pair = evidence.system * SYSTEMS + evidence.other_system
    return with_verdicts(evidence, evidence.v_place == (pair % 2)[evidence.v_unit])


def _once(evidence: Evidence, rng: Rng) -> Evidence:
    return with_verdicts(evidence, evidence.v_draw == 1)


def _versions_apart(evidence: Evidence, rng: Rng) -> Evidence:
    early = evidence.prompt[evidence.v_unit] % 2 == 0
    judge = evidence.v_judge
    return with_verdicts(evidence, ((judge != 0) | early) & ((judge != 3) | ~early))


CASES = (
    Case("calibration", "no human grades", lambda e, rng: with_grades(e, np.zeros(0, np.int64)),
         lambda a: a.refused(Refusal.NO_ANCHORS)),
    Case("calibration", "no graded answer was judged", _none_judged, lambda a: a.refused(Refusal.NO_ANCHORS)),
    Case("calibration", "one prompt graded", _one_prompt, lambda a: a.refused(Refusal.TOO_FEW_PROMPTS)),
    Case("calibration", "one system graded", _one_system, lambda a: a.refused(Refusal.TOO_FEW_SYSTEMS)),
    Case("calibration", "constant judges", _constant_judges, lambda a: a.refused(Refusal.NO_VERDICTS)),
    Case("calibration", "constant people", _constant_people, lambda a: a.refused(Refusal.NO_VARIATION)),
    Case("calibration of pairs", "all verdicts are ties", _ties, lambda a: a.refused(Refusal.NO_VERDICTS),
         pairs=True),
    Case("interval of an answer", "25 answers graded", _twenty_five,
         lambda a: bool(a.computed.refusals)),
    Case("level of a system", "not graded, three others are", _few_systems,
         lambda a: not a.rows or any(row.interval is None for row in a.rows)),
    Case("calibrated level of a system", "six of its prompts graded", _first_prompts_of_a_system,
         lambda a: any(row.status != "calibrated" for row in a.rows)),
    Case("anchors stand for the traffic", "one stratum graded", _one_stratum,
         lambda a: not a.anchors_stand),
    Case("own family", "each judge saw its own family's systems alone", _own_systems_only,
         lambda a: a.untold("own_family") and a.untold("own_family", 1)),
    Case("own family", "one of the family's systems graded", _one_of_a_family,
         lambda a: a.untold("own_family")),
    Case("own family", "families of systems unknown", _no_families, lambda a: a.untold("own_family")),
    Case("own family", "people's noise unknown", _single_grades, lambda a: a.untold("own_family")),
    Case("discrimination", "people's noise unknown", _single_grades, lambda a: a.untold("discrimination")),
    Case("taste for length", "all answers equally long", _same_length, lambda a: a.untold("length")),
    Case("taste for layout", "no text known", _no_layout, lambda a: a.untold("layout")),
    Case("effect of a stratum", "each system in one stratum", _system_is_stratum,
         lambda a: all(row["status"] != "identified"
                       for table in a.bias["judges"][0]["strata"].values() for row in table)),
    Case("position in lists", "answers shown alone", _alone, lambda a: a.untold("position")),
    Case("position in pairs", "one order shown", _one_order, lambda a: a.untold("position"), pairs=True),
    Case("position in pairs", "order follows from the systems", _order_by_systems,
         lambda a: a.untold("position"), pairs=True),
    Case("test-retest", "nothing judged twice", _once, lambda a: a.untold("test_retest")),
    Case("change of version", "no answer judged by both", _versions_apart,
         lambda a: a.untold("version_level", 3)),
    Case("independent judges", "one judge", lambda e, rng: _of_judges(e, (1,)),
         lambda a: a.bias["panel"]["effective"]["status"] != "identified"),
    Case("agreement of people", "one annotator", _single_grades,
         lambda a: a.bias["people"]["agreement"]["status"] != "identified"),
)  # fmt: skip

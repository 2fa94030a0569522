"""Do estimates hold where panels were asked in two stages, and what is saved?

    python -m benchmarks.two_stage [--worlds 500] [--data FOLDER] [--seed 1] [--only NAME ...] [--designs ...]

Every unit has three judges of three families (simulated worlds: `benchmarks.simulation.worlds`; recorded:
hanna and llmbar of ../shared/data, drawn as `benchmarks.accuracy` draws them, llmbar with three of its four
families at random). Some of the three sit in the first stage, at random; the chance of asking the others is
the service's own (`app.grading.stages`), the draw is made, and what was not asked is taken away. The rest is
the service's path from verdicts to quality tables and comparisons.

whole panel
    How often the mean two-phase score of a system holds the mean that all three judges gave, with the
    interval of the second stage alone; and how far the mean over those who were asked is off instead
    (its largest mean error over systems, beside that of the two-phase mean; points of 100).
quality, pairs
    Coverage of people's mean grade by GET /quality, and of differences by POST /comparisons, at 95%; width
    against that of one stage with the same anchors.
"""

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from app.domain.judging import JudgeVersion, Stages
from app.domain.rubrics import RubricKind
from app.grading.stages import chance_of_second
from app.reporting.comparison_rows import difference_of
from app.reporting.graded_units import GradedUnits
from app.reporting.quality_groups import group_units
from app.reporting.quality_rows import estimate
from app.stats.difference import anchor_overlap
from app.stats.item_score import fit_item_model, predict_items
from app.stats.rectifier import Population
from app.storage.evidence import Evidence
from benchmarks.accuracy.__main__ import RECORDED
from benchmarks.accuracy.panel import sides
from benchmarks.accuracy.protocols import PROTOCOLS
from benchmarks.accuracy.recorded import Recorded
from benchmarks.simulation.made_evidence import evidence
from benchmarks.simulation.service import Judged, judge
from benchmarks.simulation.tally import Sums, Tally, mean, pooled
from benchmarks.simulation.worlds import World, draw, inclusion

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
LEVEL = 0.95
SEATS = 3


@dataclass(frozen=True)
class Design:
    """How panels are asked. ``corrected`` False: as if nothing had selected who was asked."""

    name: str
    stages: Stages | None = None
    interval: bool = False  # the chance rises with the calibrated interval, too
    whole_anchors: bool = False  # graded units have all judges, in one stage
    corrected: bool = True


DESIGNS = (
    Design("all at once"),
    Design("2 of 3 first", Stages(2)),
    Design("1 of 3 first", Stages(1)),
    Design("2 of 3 first, with intervals", Stages(2, wide=1.5), interval=True),
    Design("2 of 3 first, anchors by all", Stages(2), whole_anchors=True),
    Design("the same, not corrected", Stages(2), whole_anchors=True, corrected=False),
)


@dataclass(frozen=True)
class Case:
    """A world drawn: all verdicts, people's grades (n,) of anchors (NaN elsewhere; pairs signed) with the
    chance of being one, and the truth about systems on 0 to 1."""

    evidence: Evidence
    human: Floats
    inclusion: Floats
    truth: Floats
    population: Population


def thinned(case: Case, design: Design, width: Floats | None, rng: np.random.Generator) -> Evidence:
    """What is left of the verdicts. ``width`` (n,): of the calibrated interval, as a share of the scale."""
    whole = case.evidence
    if design.stages is None:
        return whole
    n, unit = len(whole.unit_id), whole.v_unit.astype(np.int64)
    order = np.lexsort((rng.random(unit.size), unit))
    begins = np.flatnonzero(np.r_[True, np.diff(unit[order]) > 0])
    rank = np.empty(unit.size, np.int64)
    rank[order] = np.arange(unit.size) - np.repeat(begins, np.diff(np.r_[begins, unit.size]))
    second = rank >= design.stages.first
    low, high = np.full(n, np.inf), np.full(n, -np.inf)
    np.minimum.at(low, unit[~second], whole.v_value[~second])
    np.maximum.at(high, unit[~second], whole.v_value[~second])
    span = 2.0 if whole.kind is RubricKind.PAIRWISE else 4.0
    gap = (high - low) / span if design.stages.first > 1 else np.zeros(n)
    chance = np.array(
        [
            chance_of_second(
                design.stages, width=None if width is None else float(width[i]), gap=float(gap[i])
            )
            for i in range(n)
        ]
    )
    graded = np.isfinite(case.human)
    if design.whole_anchors:
        chance = np.where(graded, 1.0, chance)
    drawn = rng.random(n) < chance
    keep = ~second | drawn[unit]
    columns = {name: getattr(whole, name)[keep] for name in vars_of_verdicts(whole)}
    stages = {}
    if design.corrected:
        stages = {
            "v_chance": chance[unit][keep],
            "v_second": second[keep],
            "v_grade": unit[keep],
        }
    return replace(whole, **columns, **stages)


def vars_of_verdicts(whole: Evidence) -> list[str]:
    return [
        name
        for name in whole.__slots__
        if name.startswith("v_") and getattr(whole, name).size == whole.v_unit.size
    ]


def interval_widths(case: Case, whole: Judged) -> Floats:
    """(n,) of calibrated intervals of single units, as shares of the scale, by a fit to this case's anchors.

    The service would have an earlier calibration; the reliability is that of whole panels.
    """
    fit, found = whole.fit, case.evidence
    assert fit.systems is not None
    rows = np.flatnonzero(np.isfinite(case.human) & np.isfinite(fit.scores.score))
    columns = {
        "score": fit.scores.score, "reliability": fit.scores.reliability,
        "system": found.system.astype(np.int64), "other_system": found.other_system.astype(np.int64),
        "length": found.length, "other_length": found.other_length,
    }  # fmt: skip
    model = fit_item_model(
        panel=fit.systems, prompt=found.prompt[rows].astype(np.int64), human_mean=case.human[rows],
        n_human=np.ones(rows.size, np.int64), annotator_variance=float("nan"),
        **{name: column[rows] for name, column in columns.items()},
    )  # fmt: skip
    variance = predict_items(model, fit.systems, **columns).latent_variance
    span = 2.0 if found.kind is RubricKind.PAIRWISE else 1.0
    return np.minimum(2 * 1.96 * np.sqrt(np.nan_to_num(variance)) / span, 1.0)


def weigh(case: Case, tally: Tally, designs: Sequence[Design], seed: Sequence[int]) -> None:
    """Add what every design makes of the case; each draws from a stream of its own."""
    whole = judge(case.evidence)
    raw_of_all = whole.graded(case.human, case.inclusion).raw
    for design in designs:
        width = interval_widths(case, whole) if design.interval else None
        stream = np.random.default_rng([*seed, DESIGNS.index(design)])
        asked = thinned(case, design, width, stream)
        judged = whole if design.stages is None else judge(asked)
        units = judged.graded(case.human, case.inclusion)
        at = f"{design.name}:"
        tally.add(f"{at}calls", asked.v_unit.size / case.evidence.v_unit.size)
        panel_means(tally, at, units, judged, raw_of_all)
        quality(tally, at, units, case)


def panel_means(tally: Tally, at: str, units: GradedUnits, judged: Judged, raw_of_all: Floats) -> None:
    """The mean two-phase score of a system against the mean that its whole panels gave."""
    count = len(units.frame.systems)
    n = np.bincount(units.system, minlength=count)
    error = np.bincount(units.system, units.raw - raw_of_all, count) / n
    tally.add(f"{at}panel error", error)
    staged = judged.design.staged
    if staged is None:
        return
    span = 0.5 if units.pairwise else 1.0
    gone = span * (judged.design.raw_mean[staged.unit] - staged.raw_mean)
    spread = np.zeros(judged.design.units)
    spread[staged.unit] = staged.weight * (staged.weight - 1.0) * gone**2
    half = 1.96 * np.sqrt(np.bincount(units.system, spread[units.unit], count)) / n
    tally.add(f"{at}panel covered", np.abs(error) <= half)


def quality(tally: Tally, at: str, units: GradedUnits, case: Case) -> None:
    """Coverage and width of systems and of pairs of systems."""
    truth = case.truth
    found = estimate(units, group_units(units, ("system",)), LEVEL, case.population)
    known = np.isfinite(found.lower) & (not units.anchoring.hopeless)
    covered = (found.lower <= truth) & (truth <= found.upper)
    tally.add(f"{at}covered", np.where(known, covered, np.nan))
    tally.add(f"{at}width", np.where(known, found.upper - found.lower, np.nan))
    tally.add(f"{at}flagged", units.anchoring.flagged)
    overlap = anchor_overlap(found.means, truth.size) if found.pools else None
    for a in range(min(truth.size - 1, 5)):
        pair, _ = difference_of(units, found, overlap, a, a + 1)
        if pair is not None:
            low, high = pair.interval(LEVEL)
            tally.add(f"{at}pair covered", low <= truth[a + 1] - truth[a] <= high)
            tally.add(f"{at}pair width", high - low)


def simulated(world: World, anchors: int, worlds: int, seed: int) -> Iterator[Case]:
    """Worlds of one kind, with so many graded prompts per system."""
    for k in range(worlds):
        drawn = draw(world, np.random.default_rng([seed, k]))
        chance = inclusion(world, drawn, drawn.grade, anchors, np.random.default_rng([seed, k, 1]))
        human = np.where(np.isfinite(chance), drawn.grade, np.nan)
        yield Case(drawn.evidence, human, chance, drawn.systems, "stream")


def recorded(folder: Path, criterion: str, anchors: int, draws: int) -> Iterator[Case]:
    """Draws of a recorded set."""
    protocol = PROTOCOLS[folder.name]
    whole = protocol.load(folder)[criterion]
    truth = _human_means(whole)
    for k in range(draws):
        data, rng = protocol.draw(whole, k)
        if folder.name == "llmbar":
            data = data.seated(_three_families(data, rng))
        picked = protocol.pick(data, anchors, rng)
        human = np.full(data.units, np.nan)
        human[picked] = data.human[picked]
        yield Case(_evidence(data), human, np.full(data.units, np.nan), truth, protocol.population)


def _human_means(data: Recorded) -> Floats:
    side = sides(data)
    count = len(data.systems)
    return np.bincount(side.system, side.human, count) / np.bincount(side.system, minlength=count)


def _three_families(data: Recorded, rng: np.random.Generator) -> Bools:
    """One judge of each of three families drawn at random, per unit."""
    families = sorted(set(data.families))
    seats = np.zeros(data.value.shape, bool)
    members = [np.flatnonzero(np.array(data.families) == name) for name in families]
    for row in range(data.units):
        for family in rng.choice(len(families), SEATS, replace=False):
            seats[row, rng.choice(members[family])] = True
    return seats


def _evidence(data: Recorded) -> Evidence:
    unit, code = np.nonzero(np.isfinite(data.value))
    value = data.value[unit, code]
    judges = tuple(
        JudgeVersion(family, name, name) for name, family in zip(data.judges, data.families, strict=True)
    )
    n = data.units
    pairs = {
        "kind": RubricKind.PAIRWISE, "other_system": data.other.astype(np.int32),
        "other_length": data.other_length, "other_answer_id": np.arange(n) + n + 1,
        "v_place": np.full(unit.size, -1, np.int8),
    }  # fmt: skip
    return evidence(
        prompt=data.prompt, system=data.system, systems=len(data.systems), unit=unit, judge=code,
        value=value if data.pairwise else 1 + 4 * value, words=data.length, judges=judges,
        **(pairs if data.pairwise else {}),
    )  # fmt: skip


def line(name: str, anchors: int, design: Design, sums: Sums) -> str:
    """A row of the table."""
    at, base = f"{design.name}:", f"{DESIGNS[0].name}:"
    error = 100 * np.abs(mean(sums, f"{at}panel error")).max()
    panel = pooled(sums, f"{at}panel covered")
    ratio = pooled(sums, f"{at}width") / pooled(sums, f"{base}width")
    pair_ratio = pooled(sums, f"{at}pair width") / pooled(sums, f"{base}pair width")
    cells = (
        name, str(anchors), design.name, f"{1 - pooled(sums, f'{at}calls'):.1%}",
        "–" if np.isnan(panel) else f"{panel:.1%}", f"{error:.2f}",
        f"{pooled(sums, f'{at}covered'):.1%}", f"{mean(sums, f'{at}covered').min():.1%}",
        f"{pooled(sums, f'{at}pair covered'):.1%}", f"{ratio:.3f}", f"{pair_ratio:.3f}",
        f"{pooled(sums, f'{at}flagged'):.1%}",
    )  # fmt: skip
    return "| " + " | ".join(cells) + " |"


HEAD = (
    "| verdicts | anchors | panels | calls saved | whole panel covered | its error | quality covered | worst "
    "system | pairs covered | width | width of pairs | flagged |\n" + "|---" * 12 + "|"
)

CELLS = {
    "ordinal": (World("ordinal", systems=6, prompts=150), 20),
    "saturated": (World("saturated", systems=6, prompts=150, cuts=(-2.4, -1.9, -1.5, -1.1)), 40),
}
SETS = {"hanna": ("relevance", 120), "llmbar": ("instruction_following", 100)}


def report(name: str, anchors: int, cases: Iterator[Case], designs: Sequence[Design], seed: int) -> None:
    tally = Tally()
    for k, case in enumerate(cases):
        weigh(case, tally, designs, (seed, 77, k))
    for design in designs:
        print(line(name, anchors, design, tally.sums), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--worlds", type=int, default=500)
    parser.add_argument("--data", type=Path, default=RECORDED)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", nargs="*", choices=(*CELLS, *SETS), help="of worlds and sets")
    parser.add_argument("--designs", nargs="*", default=[], help="names; that of all at once is always there")
    options = parser.parse_args()
    designs = [
        one for one in DESIGNS if not options.designs or one.name in (DESIGNS[0].name, *options.designs)
    ]
    print(HEAD)
    for name in options.only or (*CELLS, *SETS):
        if name in CELLS:
            world, anchors = CELLS[name]
            cases = simulated(world, anchors, options.worlds, options.seed)
            report(name, anchors, cases, designs, options.seed)
        else:
            criterion, anchors = SETS[name]
            cases = recorded(options.data / name, criterion, anchors, options.worlds)
            report(f"{name}, {criterion}", anchors, cases, designs, options.seed)


if __name__ == "__main__":
    main()

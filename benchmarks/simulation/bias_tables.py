"""The sums of `bias_cells` as tables."""

from collections.abc import Iterator, Mapping

import numpy as np

from benchmarks.simulation.rows import table
from benchmarks.simulation.tally import Sums, counted, pooled, worlds_of

_HEAD = """## The bias report

Judges with planted biases, through `app.calibration.judge_bias`; what is planted and how stands in
`benchmarks/simulation/bias_worlds.py`. Scales of 0 to 100 for answers (points), preference points for pairs.
People's grades are noisy, half of the answers have two; longer answers are truly better, and so are the
systems of the first family.

### Planted

*planted*: the true value. *bias*: mean error, with its Monte Carlo standard error; *in %* of what is
planted. *covered*: by the 95% interval. *claimed*: the interval leaves out the value of an unbiased judge.
Rows of systems pool those of one judge. The third judge's family has a single system, so that its own
family is not told.

"""
_SILENT = """
### Nothing planted

*claimed*: share of 95% intervals that leave out the value of an unbiased judge (5% is nominal); *flagged*:
share of effects flagged after Benjamini and Hochberg. *any flag*: share of reports with a flag on any judge's
effect, where nothing at all is planted. Where judges treat systems differently at random ("gap"), only
the own family, which is not planted, is looked at: the systems of one family are better by the gap, and one
grade repeats 39% of what varies within a system.

"""
_OWN_FAMILY = "no own family"


def tables(found: Mapping[str, Sums]) -> str:
    planted = [
        (world, worlds_of(sums), effect.replace("_", " "), judge + 1, *shown)
        for world, sums in found.items()
        for (effect, judge), *shown in _planted(world, sums)
    ]
    silent = [
        (world, worlds_of(sums), effect.replace("_", " "), claimed, flagged,
         "" if world.startswith(_OWN_FAMILY) else pooled(sums, "any flag"))
        for world, sums in found.items()
        if not world.startswith("planted")
        for effect, claimed, flagged in _silent(world, sums)
    ]  # fmt: skip
    columns = ("planted", "bias", "s.e.", "in %", "covered", "width", "claimed")
    return (
        _HEAD
        + table(("world", "worlds", "effect", "judge", *columns), planted)
        + _SILENT
        + table(("world", "worlds", "effect", "claimed", "flagged", "any flag"), silent)
    )


def _effects(sums: Sums) -> list[tuple[str, int]]:
    """Those that were told at all, with the judge's number."""
    names = [
        name.removesuffix(" given")
        for name in sums
        if name.endswith(" given") and name[:2] != "n:" and pooled(sums, name) > 0
    ]
    return [(effect, int(judge)) for effect, judge in (name.rsplit(" ", 1) for name in names)]


def planted_values(world: str, sums: Sums) -> Iterator[tuple[float, float]]:
    """Mean error in % of what is planted (NaN where too little is to tell) and coverage, of every row."""
    for _, _, _, _, share, covered, _, _ in _planted(world, sums):
        yield share, covered


def own_family(world: str, sums: Sums) -> Iterator[float]:
    """How often the own family was claimed, where none is planted, all judges together."""
    if not world.startswith("planted"):
        yield from (claimed for effect, claimed, _ in _silent(world, sums) if effect == "own_family")


Planted = tuple[tuple[str, int], float, float, float, float, float, float, float]
"""Effect and judge; planted, bias, its error, bias in %, coverage, width, claimed."""


def _planted(world: str, sums: Sums) -> Iterator[Planted]:
    if not world.startswith("planted"):
        return
    for effect, judge in _effects(sums):
        if world.startswith("planted by stratum") and (effect, judge) != ("stratum", 2):
            continue
        at = f"{effect} {judge}"
        truth, bias, width = (pooled(sums, f"{at} {name}") for name in ("truth", "error", "width"))
        variance = max(pooled(sums, f"{at} error2") - bias**2, 0.0)
        error = float(np.sqrt(variance / max(counted(sums, f"{at} error"), 1)))
        if effect == "system":  # effects of systems have either sign and add up to nothing
            truth = bias = error = np.nan
        share = 100 * bias / truth if abs(truth) > width / 10 else np.nan
        covered, claimed = pooled(sums, f"{at} covered"), pooled(sums, f"{at} claimed")
        yield (effect, judge), truth, bias, error, share, covered, width, claimed


def _silent(world: str, sums: Sums) -> Iterator[tuple[str, float, float]]:
    """Effect, claimed and flagged."""
    for effect in dict.fromkeys(effect for effect, _ in _effects(sums)):
        if world.startswith(_OWN_FAMILY) and effect != "own_family":
            continue
        names = [f"{name} {judge}" for name, judge in _effects(sums) if name == effect]
        counts = [counted(sums, f"{name} claimed") for name in names]
        claimed, flagged = (
            float(np.average([pooled(sums, f"{name} {what}") for name in names], weights=counts))
            for what in ("claimed", "flagged")
        )
        yield effect, claimed, flagged

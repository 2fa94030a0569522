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
Rows of systems pool those of one judge.

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
        row for name, sums in found.items() if name.startswith("planted") for row in _planted(name, sums)
    ]
    silent = [
        row for name, sums in found.items() if not name.startswith("planted") for row in _silent(name, sums)
    ]
    return (
        _HEAD
        + table(
            (
                "world",
                "worlds",
                "effect",
                "judge",
                "planted",
                "bias",
                "s.e.",
                "in %",
                "covered",
                "width",
                "claimed",
            ),
            planted,
        )
        + _SILENT
        + table(("world", "worlds", "effect", "claimed", "flagged", "any flag"), silent)
    )


def _effects(sums: Sums) -> list[tuple[str, int]]:
    names = [name.removesuffix(" given") for name in sums if name.endswith(" given") and name[:2] != "n:"]
    return [(effect, int(judge)) for effect, judge in (name.rsplit(" ", 1) for name in names)]


def _planted(world: str, sums: Sums) -> Iterator[tuple[str | int | float, ...]]:
    for effect, judge in _effects(sums):
        if world == "planted by stratum, 640 answers" and (effect, judge) != ("stratum", 2):
            continue
        at = f"{effect} {judge}"
        truth, bias, width = (pooled(sums, f"{at} {name}") for name in ("truth", "error", "width"))
        variance = max(pooled(sums, f"{at} error2") - bias**2, 0.0)
        error = float(np.sqrt(variance / max(counted(sums, f"{at} error"), 1)))
        told = effect != "system"  # effects of systems have either sign and add up to nothing
        share = f"{100 * bias / truth:.1f}" if told and abs(truth) > width / 10 else "-"
        yield (
            world, worlds_of(sums), effect.replace("_", " "), judge + 1, truth if told else "-",
            bias if told else "-", error if told else "-", share, pooled(sums, f"{at} covered"),
            width, pooled(sums, f"{at} claimed"),
        )  # fmt: skip


def _silent(world: str, sums: Sums) -> Iterator[tuple[str | int | float, ...]]:
    own = world.startswith(_OWN_FAMILY)
    for effect in dict.fromkeys(effect for effect, _ in _effects(sums)):
        if own and effect != "own_family":
            continue
        names = [f"{name} {judge}" for name, judge in _effects(sums) if name == effect]
        counts = [counted(sums, f"{name} claimed") for name in names]
        claimed, flagged = (
            float(np.average([pooled(sums, f"{name} {what}") for name in names], weights=counts))
            for what in ("claimed", "flagged")
        )
        every = "" if own else pooled(sums, "any flag")
        yield world, worlds_of(sums), effect.replace("_", " "), claimed, flagged, every

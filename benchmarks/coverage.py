"""Do the intervals hold? Simulated worlds with known truth, and the table that goes into docs/coverage.md.

    python -m benchmarks.coverage [--worlds 400] [--seed 1] [--write docs/coverage.md]

Each world draws true qualities of systems, a panel with its own errors about each system, human grades on a
few answers, and asks for every system's mean human grade with a 95% interval. Truth is the mean of the
stream that the world's units are drawn from, known without error. Beside ours: labels only (t), per-system
PPI++ with the normal interval (what the field ships), on the same draws.
"""

import argparse
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from app.stats.group_quality import group_quality

Floats = NDArray[np.float64]


HEAD = """# Do the intervals hold?

95% intervals for the mean human grade of every system, in simulated worlds whose truth is known: {worlds}
worlds per row, seed {seed}. Made by
`python -m benchmarks.coverage --worlds {worlds} --write docs/coverage.md`;
what a world is stands in that script.

- *coverage*: share of all intervals that hold the truth. *worst system*: the lowest coverage among the
  systems of a world, or that of the outlier where there is one. With {worlds} worlds the coverage of one
  system has a standard error of about 1%, so the lowest of eight lies about 1.5% under the mean by chance.
- *width* and *RMSE*: over those of human grades alone (t interval); .70 is 30% narrower.
- *answered*: share of systems that got a number; the rest were refused (`insufficient_anchors`). The rows
  with one system try the estimator alone: the service calibrates from two systems on.
- *PPI++ z*: per-system PPI++ with the normal interval, as the usual packages compute it, on the same draws.

"""


@dataclass(frozen=True)
class World:
    """How a world is drawn; qualities and errors in standard deviations of an answer's quality."""

    name: str
    systems: int = 8
    prompts: int = 300
    anchors: int = 20
    spread: float = 0.4  # between systems' true qualities
    panel_noise: float = 1.0
    system_bias: float = 0.15  # of the panel about systems, beyond the common one
    outlier: float = 0.0  # the panel's extra love for system 0
    prompt_share: float = 0.2  # of an answer's quality that its prompt decides
    shared_anchors: bool = False  # all systems graded on the same prompts
    cuts: tuple[float, ...] = (-1.6, -0.7, 0.1, 1.0)
    human_noise: float = 0.45
    null_panel: bool = False
    skewed: bool = False  # anchors drawn with probabilities that hang on the panel's score, and logged


WORLDS = (
    World("ordinal"),
    World("ordinal, shared prompts", shared_anchors=True, prompt_share=0.5),
    World("outlier +0.6", outlier=0.6),
    World("null panel", null_panel=True),
    World("non-random, logged", skewed=True),
    World("binary", cuts=(-0.3,)),
    World("saturated", cuts=(-2.4, -1.9, -1.5, -1.1)),
    World("four systems", systems=4),
    World("one system", systems=1, spread=0.0, system_bias=0.0),
    World("one system, binary", systems=1, spread=0.0, system_bias=0.0, cuts=(-0.6,)),
)


@dataclass(frozen=True)
class Draw:
    group: NDArray[np.int64]
    prompt: NDArray[np.int64]
    score: Floats
    human: Floats
    inclusion: Floats
    truth: Floats


def mean_grade(quality: Floats, spread: float, cuts: tuple[float, ...]) -> Floats:
    """Expected grade on the unit scale of answers with quality ~ N(quality, spread^2)."""
    above = stats.norm.sf((np.array(cuts)[None, :] - quality[:, None]) / spread)
    return np.asarray(above.mean(1))


def draw(world: World, rng: np.random.Generator) -> Draw:
    s, p = world.systems, world.prompts
    quality = world.spread * rng.standard_normal(s)
    bias = world.system_bias * rng.standard_normal(s)
    if world.outlier:
        bias[0] += world.outlier
    group, prompt = np.repeat(np.arange(s), p), np.tile(np.arange(p), s)
    of_prompt = np.sqrt(world.prompt_share) * rng.standard_normal(p)
    q = quality[group] + of_prompt[prompt] + np.sqrt(1 - world.prompt_share) * rng.standard_normal(s * p)
    noise = world.panel_noise * (
        np.sqrt(0.3) * rng.standard_normal(p)[prompt] + np.sqrt(0.7) * rng.standard_normal(s * p)
    )
    score = rng.standard_normal(s * p) if world.null_panel else 0.3 + 0.8 * (q + bias[group]) + noise
    grade = ((q + world.human_noise * rng.standard_normal(s * p))[:, None] > np.array(world.cuts)).mean(1)
    inclusion = np.full(s * p, np.nan)
    human = np.full(s * p, np.nan)
    shared = rng.permutation(p)[: world.anchors]
    for k in range(s):
        rows = np.flatnonzero(group == k)
        if world.shared_anchors:
            chosen, chance = shared, np.full(p, world.anchors / p)
        elif world.skewed:
            weight = np.exp(0.5 * np.clip(score[rows], -1.5, 1.5))
            chance = world.anchors * weight / weight.sum()
            chosen = _systematic(chance, rng)
        else:
            chosen, chance = rng.permutation(p)[: world.anchors], np.full(p, world.anchors / p)
        human[rows[chosen]] = grade[rows[chosen]]
        inclusion[rows[chosen]] = chance[chosen]
    truth = mean_grade(quality, float(np.sqrt(1 + world.human_noise**2)), world.cuts)
    return Draw(group, prompt, score, human, inclusion, truth)


def _systematic(chance: Floats, rng: np.random.Generator) -> NDArray[np.int64]:
    """A draw of fixed size with the given inclusion probabilities."""
    order = rng.permutation(chance.size)
    ends = np.cumsum(chance[order])
    points = np.arange(rng.random(), ends[-1], 1.0)
    return order[np.unique(np.searchsorted(ends, points))]


def peers(one: Draw, groups: int) -> tuple[Floats, Floats, Floats, Floats]:
    """Labels only with t, and per-system PPI++ with z: estimate and half-width each."""
    labels, labels_half, ppi, ppi_half = (np.full(groups, np.nan) for _ in range(4))
    for g in range(groups):
        rows = one.group == g
        labelled = rows & ~np.isnan(one.human)
        y, f, u = one.human[labelled], one.score[labelled], one.score[rows & np.isnan(one.human)]
        n, m = y.size, u.size
        labels[g] = y.mean()
        labels_half[g] = stats.t.ppf(0.975, n - 1) * y.std(ddof=1) / np.sqrt(n)
        both = np.concatenate([f, u])
        lam = max(float(np.cov(y, f)[0, 1]) / ((1 + n / m) * both.var(ddof=1)), 0.0)
        ppi[g] = y.mean() + lam * (u.mean() - f.mean())
        ppi_half[g] = 1.96 * np.sqrt((y - lam * f).var() / n + lam**2 * u.var() / m)
    return labels, labels_half, ppi, ppi_half


@dataclass(frozen=True)
class Row:
    """Coverage, worst system's coverage, width over labels-only width, RMSE over labels-only RMSE,
    answered."""

    world: str
    anchors: int
    ours: tuple[float, float, float, float, float]
    ppi: tuple[float, float]
    labels: float


def study(world: World, worlds: int, seed: int) -> Row:
    ours, cover_p, cover_l, width, width_l, width_p, error, error_l = ([] for _ in range(8))
    for k in range(worlds):
        one = draw(world, np.random.default_rng([seed, k]))
        with np.errstate(all="raise", under="ignore"):
            result = group_quality(
                group=one.group, prompt=one.prompt, prediction=one.score, human=one.human,
                groups=world.systems, panel_score=one.score, inclusion=one.inclusion if world.skewed else
                None, reliability=np.full(one.score.size, 0.5), lam_max=np.inf,
            )  # fmt: skip
        labels, labels_half, ppi, ppi_half = peers(one, world.systems)
        known = np.isfinite(result.lower)
        ours.append(np.where(known, (result.lower <= one.truth) & (one.truth <= result.upper), np.nan))
        cover_p.append(np.abs(ppi - one.truth) <= ppi_half)
        cover_l.append(np.abs(labels - one.truth) <= labels_half)
        width.append(result.upper - result.lower)
        width_l.append(2 * labels_half)
        width_p.append(2 * ppi_half)
        error.append(result.estimate - one.truth)
        error_l.append(labels - one.truth)
    covered = np.array(ours)
    answered = float(np.isfinite(covered).mean())
    base = float(np.mean(width_l))
    theirs = (float(np.mean(cover_p)), float(np.mean(width_p)) / base)
    if answered == 0:
        nan = float("nan")
        return Row(world.name, world.anchors, (nan, nan, nan, nan, 0.0), theirs, float(np.mean(cover_l)))
    by_system = np.nanmean(covered, 0)
    return Row(
        world.name,
        world.anchors,
        (
            float(np.nanmean(covered)),
            float(by_system[0] if world.outlier else by_system.min()),
            float(np.nanmean(width)) / base,
            float(np.sqrt(np.nanmean(np.square(error)) / np.mean(np.square(error_l)))),
            answered,
        ),
        theirs,
        float(np.mean(cover_l)),
    )


def table(rows: list[Row]) -> str:
    head = (
        "| world | anchors per system | coverage | worst system | width | RMSE | answered "
        "| PPI++ z coverage | width | labels-only coverage |\n" + "|---" * 10 + "|\n"
    )
    lines = [
        f"| {r.world} | {r.anchors} | "
        + " | ".join(f"{x:.3f}" if np.isfinite(x) else "refused" for x in r.ours)
        + f" | {r.ppi[0]:.3f} | {r.ppi[1]:.3f} | {r.labels:.3f} |"
        for r in rows
    ]
    return head + "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--worlds", type=int, default=400)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--anchors", type=int, nargs="*", default=[10, 20, 30, 50])
    parser.add_argument("--only", nargs="*", help="names of worlds")
    parser.add_argument("--write", type=Path)
    options = parser.parse_args()
    begun = time.process_time()
    rows = []
    for world in WORLDS:
        if options.only and world.name not in options.only:
            continue
        for n in options.anchors:
            rows.append(study(replace(world, anchors=n), options.worlds, options.seed))
            print(table(rows[-1:]).splitlines()[-1], flush=True)
    print(f"{time.process_time() - begun:.0f} CPU seconds")
    if options.write:
        text = HEAD.format(worlds=options.worlds, seed=options.seed) + table(rows)
        options.write.write_text(text)


if __name__ == "__main__":
    main()

"""Do the intervals of rankings hold? Worlds of known truth, and the tables of docs/rankings.md.

    python -m benchmarks.rankings [--worlds 1000] [--seed 1]

An answer of system i to a prompt has the quality theta_i + N(0, .6^2), shared by every pair it is in.
People prefer the better of two answers after noise N(0, .5^2), and call a tie what is within a margin. A
panel sees the same gap with an error about each system, and noise. The truth are the strengths that fit the
preferences of the whole stream, which are known in closed form.
"""

import argparse
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from app.stats.comparison_graph import components, never_beaten
from app.stats.davidson import outcomes
from app.stats.errors import InsufficientData
from app.stats.rankings import Ranking, rank_systems
from app.stats.rectified_strengths import strengths_of

Floats = NDArray[np.float64]
_ANSWER, _PEOPLE = 0.6, 0.5


@dataclass(frozen=True)
class World:
    """How a world is drawn; qualities in standard deviations of the scale on which they are felt."""

    name: str
    systems: int = 6
    prompts: int = 400
    pairs: int = 3  # of systems, of one prompt
    graded: int = 100  # prompts with human grades
    spread: float = 0.8  # true qualities lie evenly between minus and plus this
    margin: float = 0.3  # half the width of a tie
    bias: float = 0.3  # sd of the panel's error about a system
    noise: float = 0.7  # of the panel; infinite: it knows nothing
    ring: bool = False  # every system meets only its neighbours
    equal: bool = False  # two thirds of the systems are equal
    skewed: bool = False  # prompts are graded by chances that hang on the panel, and logged


WORLDS = (
    World("six systems"),
    World("40 prompts graded", graded=40),
    World("200 prompts graded", graded=200),
    World("one pair per prompt", pairs=1, prompts=1200),
    World("all pairs of four systems", systems=4, pairs=6, graded=60),
    World("twelve systems, few meetings", systems=12, graded=150),
    World("a ring of eight", systems=8, ring=True),
    World("null panel", noise=np.inf),
    World("strong panel, one-sided errors", noise=0.3, bias=0.6),
    World("no ties", margin=0.0),
    World("many ties", margin=0.9),
    World("mostly equal systems", equal=True),
    World("graded by logged chances", skewed=True),
)


@dataclass(frozen=True)
class Drawn:
    """What `rank_systems` is given."""

    first: NDArray[np.int64]
    second: NDArray[np.int64]
    prompt: NDArray[np.int64]
    prediction: Floats
    preference: Floats
    ties: Floats
    inclusion: Floats | None


def qualities(world: World) -> Floats:
    theta = np.linspace(-1.0, 1.0, world.systems) * world.spread
    if world.equal:
        theta[: 2 * world.systems // 3] = 0.0
    return theta


def draw(world: World, rng: np.random.Generator) -> Drawn:
    s, p = world.systems, world.prompts
    pairs = _pairs(world)
    chosen = np.concatenate([pairs[rng.choice(len(pairs), world.pairs, replace=False)] for _ in range(p)])
    prompt = np.repeat(np.arange(p), world.pairs)
    answer = qualities(world) + _ANSWER * rng.standard_normal((p, s))
    gap = answer[prompt, chosen[:, 0]] - answer[prompt, chosen[:, 1]]
    felt = gap + _PEOPLE * rng.standard_normal(gap.size)
    y = np.where(felt > world.margin, 1.0, np.where(felt < -world.margin, 0.0, 0.5))
    of_system = world.bias * rng.standard_normal(s)
    shift = of_system[chosen[:, 0]] - of_system[chosen[:, 1]]
    said = rng.standard_normal(gap.size)
    if np.isfinite(world.noise):
        said = gap + shift + world.noise * said
    panel = np.tanh(said)
    chance = np.full(p, world.graded / p)
    if world.skewed:
        weight = np.exp(np.abs(np.bincount(prompt, panel, p)) / world.pairs)
        chance = np.minimum(world.graded * weight / weight.sum(), 1.0)
    graded = (
        rng.random(p) < chance if world.skewed else np.isin(np.arange(p), rng.permutation(p)[: world.graded])
    )
    known = graded[prompt]
    return Drawn(
        first=chosen[:, 0], second=chosen[:, 1], prompt=prompt, prediction=0.5 + 0.5 * panel,
        preference=np.where(known, y, np.nan), ties=np.where(known, y == 0.5, np.nan),
        inclusion=chance[prompt] if world.skewed else None,
    )  # fmt: skip


def _pairs(world: World) -> NDArray[np.int64]:
    """(P, 2) which systems meet."""
    s = world.systems
    every = [(i, k) for i in range(s) for k in range(i + 1, s)]
    return np.array([(i, k) for i, k in every if not world.ring or k - i in (1, s - 1)])


def truth(world: World) -> tuple[Floats, Floats]:
    """Strengths (S,) and pairs' win rates (S, S) of the stream: all pairs are equally frequent."""
    pairs, theta = _pairs(world), qualities(world)
    gap, sd = theta[pairs[:, 0]] - theta[pairs[:, 1]], np.sqrt(2 * _ANSWER**2 + _PEOPLE**2)
    win, loss = ndtr((gap - world.margin) / sd), ndtr((-gap - world.margin) / sd)
    ties = 1.0 - win - loss
    strength, log_ties = strengths_of(
        first=pairs[:, 0], second=pairs[:, 1], win_rate=win + ties / 2, ties=ties, systems=world.systems
    )
    return strength, outcomes(strength[:, None] - strength[None, :], log_ties).win_rate


def rank(drawn: Drawn, systems: int, level: float = 0.95) -> Ranking | None:
    """None where it is refused."""
    known = np.isfinite(drawn.preference)
    first, second = drawn.first[known], drawn.second[known]
    if len(components(first, second, systems)) > 1:
        return None
    if never_beaten(first, second, drawn.preference[known], systems):
        return None
    try:
        return rank_systems(
            first=drawn.first, second=drawn.second, prompt=drawn.prompt, prediction=drawn.prediction,
            preference=drawn.preference, ties=drawn.ties, systems=systems, inclusion=drawn.inclusion,
            level=level,
        )  # fmt: skip
    except InsufficientData:
        return None


@dataclass(frozen=True)
class Row:
    """Coverage of strengths (and of the worst system), of win rates, of pairs' win rates, of ranks; mean
    error of the strengths over their spread; width over that of people alone; share of worlds that got a
    ranking."""

    world: World
    strengths: float
    worst: float
    rates: float
    pairs: float
    ranks: float
    bias: float
    width: float
    answered: float


def study(world: World, worlds: int, seed: int) -> Row:
    strength, pair = truth(world)
    off = ~np.eye(world.systems, dtype=bool)
    rate = (pair.sum(1) - 0.5) / (world.systems - 1)
    best = 1 + (strength[None, :] > strength[:, None] + 1e-6).sum(1)
    last = world.systems - (strength[None, :] < strength[:, None] - 1e-6).sum(1)
    held, rates, pairs, ranks, errors, widths = [], [], [], [], [], []
    for k in range(worlds):
        drawn = draw(world, np.random.default_rng([seed, k]))
        found = rank(drawn, world.systems)
        alone = rank(
            Drawn(**{**vars(drawn), "prediction": np.full(drawn.prompt.size, np.nan)}), world.systems
        )
        if found is None or alone is None:
            continue
        held.append(_in(found.strength_interval, strength))
        rates.append(_in(found.win_rate_interval, rate).mean())
        pairs.append(_in(found.pair_interval, pair)[off].mean())
        ranks.append(((found.rank_interval[0] <= last) & (found.rank_interval[1] >= best)).mean())
        errors.append(found.strength - strength)
        wide, labels = (np.ptp(one.strength_interval, axis=0).mean() for one in (found, alone))
        widths.append(wide / labels)
    by_system = np.mean(held, axis=0)
    size = max(float(np.ptp(strength)), 1.0)
    return Row(
        world, float(by_system.mean()), float(by_system.min()), float(np.mean(rates)), float(np.mean(pairs)),
        float(np.mean(ranks)), float(np.abs(np.mean(errors, axis=0)).max()) / size, float(np.mean(widths)),
        len(held) / worlds,
    )  # fmt: skip


def _in(ends: tuple[Floats, Floats], value: Floats) -> NDArray[np.bool_]:
    return (ends[0] <= value) & (value <= ends[1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--worlds", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    print(
        "| world | systems | graded prompts | strengths | worst system | win rates | pairs | ranks "
        "| bias | width | answered |"
    )
    print("|---" * 11 + "|")
    for world in WORLDS:
        row = study(world, asked.worlds, asked.seed)
        cells = " | ".join(f"{value:.3f}" for name, value in vars(row).items() if name != "world")
        print(f"| {world.name} | {world.systems} | {world.graded} | {cells} |", flush=True)


if __name__ == "__main__":
    main()

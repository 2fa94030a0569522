"""Do intervals of rankings by judges hold? Worlds of known truth, and a table of docs/rankings.md.

    python -m benchmarks.judge_rankings [--worlds 600] [--seed 1]

Verdicts follow Davidson's model with judges' tastes, places and ties. Verdicts on a prompt go together: the
chance behind each is that of a normal deviate, half of whose variance is the difference of two answers' luck.
"""

import argparse
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from app.stats.davidson import outcomes
from app.stats.errors import InsufficientData
from app.stats.judge_strengths import Cells, rank_by_judges

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
_LUCK = 0.5  # share of a verdict's deviate that its answers decide
_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(31)


@dataclass(frozen=True)
class World:
    """How a world is drawn; strengths, tastes and places in log odds."""

    name: str
    judges: int = 5
    asked: int = 3  # judges per pair
    systems: int = 6
    prompts: int = 200
    spread: float = 0.4  # of tastes
    place: float = 0.5
    never: int = 1  # judges that never tie
    by_name: bool = False  # a pair is always shown in the order of names


WORLDS = (
    World("five judges, one never ties"),
    World("three judges", judges=3),
    World("ten judges", judges=10),
    World("judges alike", spread=0.0),
    World("judges far apart", spread=0.9),
    World("nobody ties", never=5),
    World("60 prompts", prompts=60),
    World("always in the order of names", by_name=True, prompts=400),
)


def study(world: World, worlds: int, seed: int) -> tuple[float, float, float, float, float, float]:
    """Coverage of strengths, of the worst system, of win rates, of ranks; mean spread; share answered."""
    theta = np.linspace(-0.8, 0.8, world.systems)
    true_rank = world.systems - np.arange(world.systems)
    held, rates, places, spreads = [], [], [], []
    for k in range(worlds):
        rng = np.random.default_rng([seed, k])
        position = world.place + 0.3 * rng.standard_normal(world.judges)
        gamma = rng.normal(-0.2, 0.4, world.judges)
        gamma[: world.never] = -np.inf
        try:
            found = rank_by_judges(_cells(world, theta, position, gamma, rng))
        except InsufficientData:
            continue
        held.append(_in(found.strength_interval, theta))
        rates.append(_in(found.win_rate_interval, _win_rates(theta, world.spread, position, gamma)).mean())
        low, high = found.rank_interval
        places.append(((low <= true_rank) & (true_rank <= high)).mean())
        spreads.append(found.spread)
    by_system = np.mean(held, axis=0)
    return (
        float(by_system.mean()), float(by_system.min()), float(np.mean(rates)), float(np.mean(places)),
        float(np.mean(spreads)), len(held) / worlds,
    )  # fmt: skip


def _cells(world: World, theta: Floats, position: Floats, gamma: Floats, rng: np.random.Generator) -> Cells:
    s, units = theta.size, 3 * world.prompts
    pair = np.array([rng.choice(s, 2, replace=False) for _ in range(units)])
    pair = np.sort(pair, axis=1) if world.by_name else pair
    luck = rng.standard_normal((world.prompts, s))[np.arange(units) // 3]
    shared = (luck[np.arange(units), pair[:, 0]] - luck[np.arange(units), pair[:, 1]]) / np.sqrt(2)
    judge = np.array([rng.choice(world.judges, world.asked, replace=False) for _ in range(units)]).ravel()
    unit = np.repeat(np.arange(units), world.asked)
    first, second = pair[unit].T
    taste = world.spread * rng.standard_normal((world.judges, s))
    eta = theta[first] - theta[second] + taste[judge, first] - taste[judge, second] + position[judge]
    chance = outcomes(eta, gamma[judge])
    own = rng.standard_normal(unit.size)
    u = 1 - ndtr(np.sqrt(_LUCK) * shared[unit] + np.sqrt(1 - _LUCK) * own)
    y = np.where(u < chance.win, 1.0, np.where(u < chance.win + chance.tie, 0.5, 0.0))
    return Cells(
        judge=judge, first=first, second=second, ordered=np.ones(unit.size, bool), prompt=unit // 3,
        outcome=y, systems=s, judges=world.judges,
    )  # fmt: skip


def _win_rates(theta: Floats, spread: float, position: Floats, gamma: Floats) -> Floats:
    """Against another system drawn at random, by a judge like these, in either order."""
    gap, off = theta[:, None] - theta[None, :], ~np.eye(theta.size, dtype=bool)
    total = np.zeros(gap.shape)
    for place, ties in zip(position, gamma, strict=True):
        for node, weight in zip(_NODES, _WEIGHTS / _WEIGHTS.sum(), strict=True):
            for order in (place, -place):
                at = outcomes((gap + np.sqrt(2) * spread * node + order).ravel(), float(ties))
                total += weight * at.win_rate.reshape(gap.shape) / (2 * position.size)
    return np.asarray((total * off).sum(1) / (theta.size - 1))


def _in(ends: tuple[Floats, Floats], value: Floats) -> NDArray[np.bool_]:
    return (ends[0] <= value) & (value <= ends[1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--worlds", type=int, default=600)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    print("| judges | spread | strengths | worst system | win rates | ranks | mean spread | answered |")
    print("|---" * 8 + "|")
    for world in WORLDS:
        cells = " | ".join(f"{one:.3f}" for one in study(world, asked.worlds, asked.seed))
        print(f"| {world.name} | {world.spread:g} | {cells} |", flush=True)


if __name__ == "__main__":
    main()

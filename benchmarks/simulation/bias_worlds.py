"""Worlds in which judges are biased by known amounts, on the scales that the bias report tells.

Answers: grades of people are theta + noise, on a scale of 0 to 100, and a judge's verdict is

    S = 50 + a + b (theta - 50) + lam (log2 words - mean) + mu (log2 (1 + marks) - mean) + d_s + gamma own_s
        + e hard + rho (place / last - 1/2) + noise,

all systems' answers to a prompt read as one list in random order. Longer answers are better ones, and the
systems of the first family are better than the others. Pairs: with o = 1 or -1 for the order,

    E V = b theta + lam (difference of log2 words) + d_s - d_s' + gamma (own_s - own_s') + 2 pi o ,

V of -1, 0 or 1 with a fixed share of ties, and people's theta likewise, so that every effect is exact.
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from app.domain.judging import JudgeVersion
from app.domain.rubrics import RubricKind, Scale
from app.storage.evidence import Evidence
from benchmarks.simulation.made_evidence import evidence, judge_version

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

SYSTEMS = 8
FAMILIES = ("red", "red", "red", "blue", "blue", "blue", "green", None)
JUDGES = (
    judge_version("red", "first"),
    judge_version("blue", "second"),
    judge_version("green", "third"),
    JudgeVersion("red", "first", "model-of-first-2", "{}", "p1"),  # a newer version of the first judge
)
POINTS = 12.0  # of the scale, in a standard deviation of quality
_WORDS, _MARKS = 7.5, 2.0  # mean log2


@dataclass(frozen=True)
class Planted:
    """One judge's biases about answers, in points."""

    level: float = 0.0  # a
    slope: float = 1.0  # b
    length: float = 0.0  # lam, per doubling
    layout: float = 0.0  # mu, per doubling
    own_family: float = 0.0  # gamma
    hard: float = 0.0  # e
    place: float = 0.0  # rho


@dataclass(frozen=True)
class BiasWorld:
    """``taste``: sd of what each judge adds to each system by itself. ``gap``: by how many standard
    deviations the first family's systems are better. ``noise``: of one person, in points. ``twice``: share of
    answers that two people graded."""

    name: str
    judges: tuple[Planted, ...]
    prompts: int = 60
    taste: float = 1.5
    gap: float = 0.5
    noise: float = 10.0
    twice: float = 0.5
    families: tuple[str | None, ...] = FAMILIES  # of the systems


BIASED = (
    Planted(level=6, slope=0.8, length=4, layout=0, own_family=6, place=-5),
    Planted(level=-4, slope=1.2, length=-3, layout=2, own_family=0, place=4),
    Planted(level=0, slope=1.0, length=2, layout=-1.5, own_family=0, place=3),
    Planted(level=10, slope=0.8, length=4, layout=0, own_family=6, place=-5),
)
FAIR = (Planted(),) * 4
BY_STRATUM = (Planted(), Planted(), Planted(hard=5), Planted())


@dataclass(frozen=True)
class Biased:
    """``evidence``, and what each judge does to each system (J, S), its own family included."""

    evidence: Evidence
    of_system: Floats


def draw(world: BiasWorld, rng: np.random.Generator) -> Biased:
    p, s, judges = world.prompts, len(world.families), len(JUDGES)
    n = p * s
    system, prompt = np.tile(np.arange(s), p), np.repeat(np.arange(p), s)
    hard = (np.arange(p) % 2)[prompt]
    better = np.array([world.gap if f == "red" else 0.0 for f in world.families])
    deviation = np.sqrt(0.3) * rng.standard_normal(p)[prompt] + np.sqrt(0.7) * rng.standard_normal(n)
    theta = 50 + POINTS * (better[system] - 0.4 * hard + deviation)
    words = _WORDS + 0.5 * (0.4 * deviation + np.sqrt(1 - 0.4**2) * rng.standard_normal(n))
    marks = rng.integers(0, 5, n).astype(float)
    own = np.array([[family == judge.family for family in world.families] for judge in JUDGES])
    tastes = world.taste * rng.standard_normal((judges, s))
    tastes[3] = tastes[0]  # the newer version has the older one's
    planted = world.judges
    of_system = tastes + np.array([one.own_family for one in planted])[:, None] * own
    place = np.argsort(rng.random((judges, p, s)), axis=2).reshape(judges, n)
    values = np.stack([
        50 + one.level + one.slope * (theta - 50) + one.length * (words - _WORDS)
        + one.layout * (marks - _MARKS) + of_system[j, system] + one.hard * hard
        + one.place * (place[j] / (s - 1) - 0.5) + 9.0 * rng.standard_normal(n)
        for j, one in enumerate(planted)
    ])  # fmt: skip
    again = np.flatnonzero(rng.random(n) < world.twice)
    h_unit = np.sort(np.concatenate([np.arange(n), again]))
    person = np.concatenate([[0], (np.diff(h_unit) == 0).astype(np.int64)])
    h_value = theta[h_unit] + world.noise * rng.standard_normal(h_unit.size)
    found = evidence(
        prompt=prompt, system=system, systems=s, stratum=hard, judges=JUDGES, scale=Scale(0, 100),
        unit=np.tile(np.arange(n), judges), judge=np.repeat(np.arange(judges), n), value=values.ravel(),
        words=2.0**words - 1, marks=2.0**marks - 1, system_families=world.families,
        v_place=place.ravel().astype(np.int8), people=(h_unit, h_value, person),
    )  # fmt: skip
    return Biased(found, of_system)


@dataclass(frozen=True)
class PlantedInPairs:
    """One judge's biases about pairs: preference points, ``position`` in probability."""

    slope: float = 1.0
    length: float = 0.0
    own_family: float = 0.0
    position: float = 0.0


@dataclass(frozen=True)
class PairWorld:
    """``people``: who voted on every pair. ``both``: share of pairs that a judge reads in both orders."""

    name: str
    judges: tuple[PlantedInPairs, ...]
    prompts: int = 80
    pairs: int = 6  # of systems, per prompt
    taste: float = 0.015
    people: int = 3
    both: float = 0.3
    families: tuple[str | None, ...] = field(default=FAMILIES)


BIASED_IN_PAIRS = (
    PlantedInPairs(slope=0.6, length=0.12, own_family=0.12, position=0.05),
    PlantedInPairs(slope=0.5, length=-0.1, position=-0.06),
    PlantedInPairs(slope=0.7),
)
FAIR_IN_PAIRS = (PlantedInPairs(),) * 3
_TIES = 0.1


def draw_pairs(world: PairWorld, rng: np.random.Generator) -> Evidence:
    p, k, judges = world.prompts, world.pairs, len(world.judges)
    n = p * k
    first, second = np.triu_indices(SYSTEMS, 1)
    chosen = np.concatenate([rng.permutation(first.size)[:k] for _ in range(p)])
    a, b, prompt = first[chosen], second[chosen], np.repeat(np.arange(p), k)
    better = np.array([0.2 if f == "red" else 0.0 for f in world.families])
    own_part = rng.choice((-0.5, 0.5), n)
    theta = better[a] - better[b] + own_part
    words = _WORDS + np.clip(0.4 * rng.standard_normal((2, n)), -0.45, 0.45)
    words[0] += 0.2 * own_part
    own = np.array([[f == judge.family for f in world.families] for judge in JUDGES[:judges]], dtype=float)
    unit, judge, place, value = [], [], [], []
    for j, one in enumerate(world.judges):
        about = np.clip(world.taste * rng.standard_normal(SYSTEMS), -0.03, 0.03) + one.own_family * own[j]
        mean = one.slope * theta + one.length * (words[0] - words[1]) + about[a] - about[b]
        swapped = rng.random(n) < 0.5
        again = np.flatnonzero(rng.random(n) < world.both)
        rows = np.concatenate([np.arange(n), again])
        behind = np.concatenate([swapped, ~swapped[again]])
        shift = np.where(behind, -2.0, 2.0) * one.position
        unit.append(rows)
        judge.append(np.full(rows.size, j))
        place.append(behind.astype(np.int8))
        value.append(_votes(mean[rows] + shift, rng))
    h_unit = np.repeat(np.arange(n), world.people)
    person = np.tile(np.arange(world.people), n)
    none = np.full(n, np.nan)
    return evidence(
        prompt=prompt, system=a, systems=SYSTEMS, judges=JUDGES[:judges], kind=RubricKind.PAIRWISE,
        unit=np.concatenate(unit), judge=np.concatenate(judge), value=np.concatenate(value),
        words=2.0 ** words[0] - 1, other_length=2.0 ** words[1] - 1, other_system=b.astype(np.int32),
        other_answer_id=np.arange(n, dtype=np.int64) + n + 1, marks=none, system_families=world.families,
        v_place=np.concatenate(place), people=(h_unit, _votes(theta[h_unit], rng), person),
    )  # fmt: skip


def _votes(mean: Floats, rng: np.random.Generator) -> Floats:
    """-1, 0 or 1 of the given means, with `_TIES` ties."""
    assert np.abs(mean).max(initial=0.0) <= 1 - _TIES
    u = rng.random(mean.size)
    win = (1 - _TIES + mean) / 2
    return np.where(u < win, 1.0, np.where(u < win + _TIES, 0.0, -1.0))

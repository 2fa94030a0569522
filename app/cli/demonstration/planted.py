"""What is planted in the demo's world, in the units of its reports: what they would say with endless data.

A report tells a judge's severity in points of the scale, between people and judge, with rounding and the
ends of the scale in it; planted are standard deviations of quality, of the judge alone. So the planted
values are carried over by drawing very many answers of this world, without their texts, and taking the
expected points that people and judge would give each. No estimator of the service is used here.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from app.cli.demonstration.world import (
    ANSWER_SD,
    BEST,
    CRITERIA,
    HELPFULNESS,
    PEOPLE,
    PEOPLE_NOISE,
    PEOPLE_TIE,
    PROMPT_SD,
    SHORTEST,
    SYSTEMS,
    WORDS_SPREAD,
)
from app.judges.planted_effects import LENGTH_UNIT_WORDS, Effects

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_DRAWS = 200_000
_SHARED = 0.6  # correlation of the qualities on two criteria, as `latent_quality` makes it
_LOW, _HIGH = 1, 5


@dataclass(frozen=True, slots=True)
class _Answers:
    """Many answers (n,): code of the system, quality on the criterion in SD, words."""

    system: Ints
    quality: Floats
    words: Floats


def true_quality(seed: int = 0) -> dict[str, dict[str, float]]:
    """Per criterion and system, the mean grade in points that these people give it in the long run."""
    table: dict[str, dict[str, float]] = {}
    for criterion in CRITERIA:
        answers = _draw(np.random.default_rng(seed), criterion.name)
        points = _people(answers.quality)
        table[criterion.name] = {
            system.name: float(points[answers.system == code].mean()) for code, system in enumerate(SYSTEMS)
        }
    return table


def true_win_rates(seed: int = 0) -> dict[str, float]:
    """Per system, how often these people prefer it to another system drawn by lot, ties half."""
    first, second = _pairs(np.random.default_rng(seed))
    signed = _signed(first.quality - second.quality, PEOPLE_NOISE * np.sqrt(2), PEOPLE_TIE)
    return {
        system.name: float((1 + signed[first.system == code].mean()) / 2)
        for code, system in enumerate(SYSTEMS)
    }


def true_biases(judges: Mapping[str, tuple[str, Effects]], seed: int = 0) -> dict[str, dict[str, float]]:
    """Per judge (its family and effects), what its report would say of each bias with endless anchors.

    ``severity`` in points; ``discrimination`` a slope; ``length`` in points per doubling; ``own_family``
    in points; ``position`` in probability.
    """
    answers = _draw(np.random.default_rng(seed), HELPFULNESS.name)
    pairs = _pairs(np.random.default_rng(seed + 1))
    people = _people(answers.quality)
    return {
        name: {
            **_pointwise(answers, people, family, effects),
            "position": _position(*pairs, family, effects),
        }
        for name, (family, effects) in judges.items()
    }


def _draw(
    rng: np.random.Generator, criterion: str, ease: Floats | None = None, besides: Ints | None = None
) -> _Answers:
    """Answers of systems drawn evenly (other than ``besides``) to prompts of this ease."""
    size = _DRAWS if besides is None else len(besides)
    system = rng.integers(len(SYSTEMS), size=size)
    if besides is not None:
        system = (besides + rng.integers(1, len(SYSTEMS), size=size)) % len(SYSTEMS)
    ease = rng.normal(0, PROMPT_SD, size) if ease is None else ease
    quality = np.array([s.quality for s in SYSTEMS])[system] + ease + rng.normal(0, ANSWER_SD, size)
    quality = np.clip(quality, -BEST, BEST)
    if criterion != HELPFULNESS.name:  # texts are looked for by their helpfulness; the rest follows
        quality = _SHARED * quality + np.sqrt(1 - _SHARED**2) * rng.normal(size=size)
    words = np.array([s.words for s in SYSTEMS])[system] * np.exp(rng.normal(0, WORDS_SPREAD, size))
    return _Answers(system, quality, np.maximum(np.round(words), SHORTEST))


def _pairs(rng: np.random.Generator) -> tuple[_Answers, _Answers]:
    """Pairs of answers of two systems to one prompt."""
    ease = rng.normal(0, PROMPT_SD, _DRAWS)
    first = _draw(rng, HELPFULNESS.name, ease)
    return first, _draw(rng, HELPFULNESS.name, ease, first.system)


def _people(quality: Floats) -> Floats:
    """Expected points (n,), over the people and their noise."""
    return np.asarray(
        np.mean([_points(quality - severity, PEOPLE_NOISE) for severity in PEOPLE.values()], axis=0)
    )


def _points(seen: Floats, noise: float) -> Floats:
    """Expected value on the scale of 1 to 5 of a quality that is seen with normal noise."""
    centre = (_LOW + _HIGH) / 2 + seen
    steps = np.arange(_LOW, _HIGH) + 0.5  # each that is passed adds a point
    return _LOW + np.asarray(sum(ndtr((centre - step) / noise) for step in steps))


def _signed(gap: Floats, noise: float, tie: float) -> Floats:
    """Expected preference, -1 to 1, for a gap that is seen with normal noise."""
    return np.asarray(ndtr((gap - tie) / noise) - ndtr((-gap - tie) / noise))


def _seen(answers: _Answers, family: str, effects: Effects) -> Floats:
    own = np.array([system.family == family for system in SYSTEMS])[answers.system]
    longer = np.log2(answers.words / LENGTH_UNIT_WORDS)
    seen = effects.discrimination * answers.quality - effects.severity + effects.length * longer
    return np.asarray(seen + effects.own_family * own)


def _noise(effects: Effects) -> float:
    return float(np.sqrt(effects.noise**2 + effects.family_noise**2 + effects.retest_noise**2))


def _pointwise(answers: _Answers, people: Floats, family: str, effects: Effects) -> dict[str, float]:
    """Least squares of the judge's points on people's points, length and system, without any noise."""
    judge = _points(_seen(answers, family, effects), _noise(effects))
    longer = np.log2(1 + answers.words)
    dummies = np.eye(len(SYSTEMS))[answers.system]
    design = np.column_stack([people, longer - longer.mean(), dummies])
    slope, length, *of_system = np.linalg.lstsq(design, judge, rcond=None)[0]
    own = np.array([system.family == family for system in SYSTEMS])
    favour = np.mean(np.array(of_system)[own]) - np.mean(np.array(of_system)[~own])
    return {
        "severity": float((people - judge).mean()),
        "discrimination": float(slope),
        "length": float(length),
        "own_family": float(favour),
    }


def _position(first: _Answers, second: _Answers, family: str, effects: Effects) -> float:
    """How much more often than half the answer shown first wins, over both orders."""
    gap, noise = _seen(first, family, effects) - _seen(second, family, effects), np.sqrt(2) * _noise(effects)
    shown_first = _signed(gap + effects.position, noise, effects.tie)
    shown_second = _signed(gap - effects.position, noise, effects.tie)
    return float((shown_first - shown_second).mean() / 4)

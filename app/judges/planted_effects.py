"""What is planted in a simulated judge, and what it makes of an answer.

All latent numbers are on one scale: standard deviations of quality over texts, higher is better.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from math import isfinite, log2, sqrt
from statistics import NormalDist

from app.domain.rubrics import Criterion, Scale
from app.judges.latent_quality import latent_quality, normal

LENGTH_UNIT_WORDS = 100


@dataclass(frozen=True, slots=True)
class Effects:
    """What is planted in a simulated judge, in standard deviations of quality unless said otherwise.

    A judge sees an answer as better or worse than it is: it sees ``discrimination * quality - severity
    + length * log2(words / 100)``, plus ``own_family`` for systems of its own family and ``own_model`` for
    its own model's, plus noise. ``position`` is what the first of several answers gains on the last; the
    places between lie on a line.

    Noise is normal with three standard deviations: ``noise`` is the judge's own error on a text and stays
    when it is asked again, ``family_noise`` is shared by all judges of a family, ``retest_noise`` is drawn
    anew for every question.

    ``spread`` is how much of the scale's width one standard deviation takes; the middle of the scale is the
    average text. Answers that seem closer than ``tie`` are a tie. ``unscored_rate`` is the share of
    questions without a verdict, ``latency_ms`` how long an answer takes; ``expected`` says whether the
    judge tells the mean of its distribution, as models with log-probabilities do.
    """

    seed: int = 0
    severity: float = 0.0
    discrimination: float = 1.0
    position: float = 0.0
    length: float = 0.0
    own_family: float = 0.0
    own_model: float = 0.0
    noise: float = 0.4
    family_noise: float = 0.0
    retest_noise: float = 0.2
    spread: float = 0.25
    tie: float = 0.3
    unscored_rate: float = 0.0
    latency_ms: float = 0.0
    expected: bool = False


def read_effects(params: Mapping[str, object]) -> tuple[Effects, list[tuple[str, str]]]:
    """Effects from a judge's parameters, and what is wrong with them as (parameter, problem)."""
    problems = []
    known = {field.name for field in fields(Effects)}
    good: dict[str, int | float | bool] = {}
    for key, value in params.items():
        if key not in known:
            problems.append((key, f"no effect of a simulated judge; there are {', '.join(sorted(known))}"))
            continue
        wrong = _wrong_effect(key, value)
        if wrong is not None:
            problems.append((key, wrong))
        elif isinstance(value, int | float):
            good[key] = value
    return Effects(**good), problems  # type: ignore[arg-type]


def _wrong_effect(key: str, value: object) -> str | None:
    if key == "expected":
        return None if isinstance(value, bool) else "must be true or false"
    if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
        return "must be a number"
    if key == "seed" and not isinstance(value, int):
        return "must be a whole number"
    if key in ("noise", "family_noise", "retest_noise", "tie", "latency_ms", "spread") and value < 0:
        return "must not be negative"
    if key == "unscored_rate" and not 0 <= value <= 1:
        return "must lie between 0 and 1"
    return None


def seen_quality(
    effects: Effects,
    *,
    text: str,
    criterion: str,
    judge: str,
    family: str,
    own_family: bool = False,
    own_model: bool = False,
    place: float = 0.0,
) -> float:
    """How good a judge takes an answer to be, before the noise that differs from question to question.

    ``place`` is 0.5 for the answer shown first, -0.5 for the last, 0 for one shown alone.
    """
    seen = effects.discrimination * latent_quality(text, criterion) - effects.severity
    seen += effects.position * place
    if effects.length:
        seen += effects.length * log2(max(len(text.split()), 1) / LENGTH_UNIT_WORDS)
    seen += effects.own_family * own_family + effects.own_model * own_model
    if effects.noise:
        seen += effects.noise * normal("judge", effects.seed, judge, criterion, text)
    if effects.family_noise:
        seen += effects.family_noise * normal("family", family, criterion, text)
    return seen


def places(n_answers: int) -> list[float]:
    """How far each place stands towards the first, from 0.5 to -0.5; 0 for a single answer."""
    if n_answers == 1:
        return [0.0]
    return [0.5 - place / (n_answers - 1) for place in range(n_answers)]


def on_scale(seen: float, criterion: Criterion, spread: float) -> float:
    """The value of the scale that stands for a perceived quality; beyond the ends it is cut off."""
    scale = criterion.scale
    value = _unrounded(seen, criterion, spread)
    if scale.step is None:
        return min(max(value, scale.low), scale.high)
    last = round((scale.high - scale.low) / scale.step)
    step = min(max(round((value - scale.low) / scale.step), 0), last)
    return _step_value(scale, step)


def expected_on_scale(seen: float, criterion: Criterion, spread: float, retest_noise: float) -> float:
    """The mean of `on_scale` over the noise that differs from question to question."""
    scale = criterion.scale
    deviation = retest_noise * spread * (scale.high - scale.low)
    if deviation == 0.0 or scale.step is None:
        return on_scale(seen, criterion, spread)
    centre = NormalDist(_unrounded(seen, criterion, spread), deviation)
    last = round((scale.high - scale.low) / scale.step)
    mean = scale.low
    for step in range(1, last + 1):  # each step above the lowest adds its probability to be reached
        mean += scale.step * (1 - centre.cdf(scale.low + (step - 0.5) * scale.step))
    return mean


def preference(gap: float, tie: float) -> float:
    """+1, 0 or -1 for a perceived gap between two answers."""
    if abs(gap) < tie:
        return 0.0
    return 1.0 if gap > 0 else -1.0


def expected_preference(gap: float, tie: float, retest_noise: float) -> float:
    """The mean of `preference` over the noise that differs from question to question."""
    if retest_noise == 0.0:
        return preference(gap, tie)
    noisy = NormalDist(gap, retest_noise * sqrt(2))
    return (1 - noisy.cdf(tie)) - noisy.cdf(-tie)


def _unrounded(seen: float, criterion: Criterion, spread: float) -> float:
    scale = criterion.scale
    towards_better = 1.0 if criterion.higher_is_better else -1.0
    return (scale.low + scale.high) / 2 + towards_better * spread * (scale.high - scale.low) * seen


def _step_value(scale: Scale, step: int) -> float:
    assert scale.step is not None
    return min(scale.low + step * scale.step, scale.high)

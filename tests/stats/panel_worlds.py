"""Small worlds of known truth for the estimators of groups: one score per answer, and grades of some."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class World:
    """How a world is drawn; qualities and errors in standard deviations of an answer's quality."""

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


@dataclass(frozen=True)
class Draw:
    group: NDArray[np.int64]
    prompt: NDArray[np.int64]
    score: Floats
    human: Floats
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
    human = np.full(s * p, np.nan)
    shared = rng.permutation(p)[: world.anchors]
    for k in range(s):
        rows = np.flatnonzero(group == k)
        chosen = shared if world.shared_anchors else rng.permutation(p)[: world.anchors]
        human[rows[chosen]] = grade[rows[chosen]]
    truth = mean_grade(quality, float(np.sqrt(1 + world.human_noise**2)), world.cuts)
    return Draw(group, prompt, score, human, truth)

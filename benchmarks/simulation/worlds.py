"""Worlds with a known truth, as the evidence that the service would load from its database.

Quality of an answer is N(system + stratum, 1), a share of it decided by the prompt. Six judges of three
families, one of each family at random per answer, score it from 1 to 5:

    S = 3 + a_j + b_j (q + B_s + d_js + e_jg) + c_i + f_i,family + eps,   rounded and cut to 1 to 5,

with B_s the whole panel's error about a system, d_js a judge's own, e_jg about a stratum, c an error that
all judges share and f one of a family. People grade q + noise, cut at ``cuts``. The truth about a system is
its mean grade over the stream of prompts, in closed form.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from app.storage.evidence import Evidence
from benchmarks.simulation.made_evidence import evidence, judge_version

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

FAMILY = np.array([0, 0, 1, 1, 2, 2, 0, 3])  # of eight judges, of which the first six make up the panels
_NAMES = ("red", "blue", "green", "grey")
JUDGES = tuple(judge_version(_NAMES[family], f"judge-{k}") for k, family in enumerate(FAMILY))
PANEL = 6
ORDINAL = (-1.6, -0.7, 0.1, 1.0)
COMMON_ERROR, FAMILY_ERROR = 0.5, 0.35  # sd of c and f


@dataclass(frozen=True)
class World:
    """How a world is drawn; qualities and errors in standard deviations of an answer's quality."""

    name: str
    systems: int = 8
    prompts: int = 250
    answers: int = 1  # of one system to one prompt
    spread: float = 0.6  # true qualities of systems lie evenly between minus and plus this
    panel_bias: float = 0.15  # sd of the whole panel's error about a system
    judge_bias: float = 0.15  # sd of a single judge's
    stratum_bias: float = 0.15  # sd of a single judge's about a stratum
    outlier: float = 0.0  # the panel's love for system 0
    prompt_share: float = 0.2  # of an answer's quality that its prompt decides
    hard: float = -0.5  # quality of the second stratum against the first
    hard_share: float = 0.4
    shared_anchors: bool = False  # all systems graded on the same prompts
    cuts: tuple[float, ...] = ORDINAL
    human_noise: float = 0.45
    null_panel: bool = False
    skewed: bool = False  # anchors drawn with probabilities that hang on the panel's scores, and logged


@dataclass(frozen=True)
class Panel:
    """J judges, on the scale of their verdicts: errors about systems (S, J) and strata (2, J), severities,
    slopes and noise (J,)."""

    useless: bool
    of_system: Floats
    of_stratum: Floats
    severity: Floats
    slope: Floats
    noise: Floats

    def verdicts(
        self, q: Floats, system: Ints, stratum: Ints, judge: Ints, rng: np.random.Generator
    ) -> Floats:
        """(n, k) verdicts of the judges (n, k) on answers of quality ``q`` (n,)."""
        n = q.size
        felt = q[:, None] + self.of_system[system[:, None], judge] + self.of_stratum[stratum[:, None], judge]
        family = FAMILY_ERROR * rng.standard_normal((n, FAMILY.max() + 1))
        score = self.severity[judge] + self.slope[judge] * (0.0 if self.useless else felt)
        score = (
            score + COMMON_ERROR * rng.standard_normal((n, 1)) + np.take_along_axis(family, FAMILY[judge], 1)
        )
        return np.clip(np.round(3 + score + self.noise[judge] * rng.standard_normal(judge.shape)), 1, 5)


@dataclass(frozen=True)
class Drawn:
    """Evidence without human grades, the quality of every unit (n,), who judged, the grade that one person
    would give every unit (n,) on 0 to 1, and the truth: of systems (S,), strata (2,), both (S, 2)."""

    evidence: Evidence
    quality: Floats
    panel: Panel
    grade: Floats
    systems: Floats
    strata: Floats
    cells: Floats


def draw(world: World, rng: np.random.Generator) -> Drawn:
    s, p, k = world.systems, world.prompts, world.answers
    n = s * p * k
    system, prompt = np.repeat(np.arange(s), p * k), np.tile(np.repeat(np.arange(p), k), s)
    stratum = (rng.random(p) < world.hard_share).astype(np.int64)
    of_prompt = np.sqrt(world.prompt_share) * rng.standard_normal(p)
    own = np.sqrt(1 - world.prompt_share) * rng.standard_normal(n)
    mean = qualities(world)
    q = mean[system] + world.hard * stratum[prompt] + of_prompt[prompt] + own
    panel = draw_panel(world, PANEL, rng)
    judge = 2 * np.arange(3) + rng.integers(0, 2, (n, 3))
    value = panel.verdicts(q, system, stratum[prompt], judge, rng)
    cells = np.stack([mean_grade(mean + world.hard * g, world) for g in (0, 1)], axis=1)
    share = np.array([1 - world.hard_share, world.hard_share])
    judged = evidence(
        prompt=prompt, system=system, systems=s, stratum=stratum[prompt], judges=JUDGES[:PANEL],
        unit=np.repeat(np.arange(n), 3), judge=judge.ravel(), value=value.ravel(),
        words=np.round(np.exp(5 + 0.4 * rng.standard_normal(n))),
    )  # fmt: skip
    return Drawn(judged, q, panel, grades(world, q, rng), cells @ share, cells.mean(0), cells)


def qualities(world: World) -> Floats:
    """(S,) true qualities of the systems."""
    return np.linspace(-1, 1, world.systems) * world.spread if world.systems > 1 else np.zeros(1)


def grades(world: World, q: Floats, rng: np.random.Generator) -> Floats:
    """(n,) the grade on 0 to 1 that one person gives."""
    felt = q + world.human_noise * rng.standard_normal(q.size)
    return np.asarray((felt[:, None] > np.array(world.cuts)).mean(1))


def mean_grade(quality: Floats, world: World) -> Floats:
    """Expected grade on 0 to 1 of answers with quality ~ N(quality, 1), people's noise included."""
    spread = np.sqrt(1 + world.human_noise**2)
    return np.asarray(special.ndtr((quality[:, None] - np.array(world.cuts)) / spread).mean(1))


def draw_panel(world: World, judges: int, rng: np.random.Generator) -> Panel:
    whole = world.panel_bias * rng.standard_normal(world.systems)
    whole[0] += world.outlier
    return Panel(
        useless=world.null_panel,
        of_system=whole[:, None] + world.judge_bias * rng.standard_normal((world.systems, judges)),
        of_stratum=world.stratum_bias * rng.standard_normal((2, judges)),
        severity=0.3 * rng.standard_normal(judges),
        slope=rng.uniform(0.6, 1.0, judges),
        noise=rng.uniform(0.45, 0.8, judges),
    )


def inclusion(world: World, drawn: Drawn, score: Floats, anchors: int, rng: np.random.Generator) -> Floats:
    """(n,) probability of being an anchor for the units drawn, NaN for the others: ``anchors`` prompts per
    system, nested for the same ``rng`` state unless the draw hangs on the scores."""
    evidence = drawn.evidence
    out = np.full(score.size, np.nan)
    shared = rng.permutation(world.prompts)
    for s in range(world.systems):
        rows = np.flatnonzero(evidence.system == s)
        order = shared if world.shared_anchors else rng.permutation(world.prompts)
        if world.skewed:
            weight = np.exp(0.5 * np.clip(score[rows] / score.std(), -1.5, 1.5))
            chance = anchors * weight / weight.sum()
            chosen = _systematic(chance, rng)
            out[rows[chosen]] = chance[chosen]
        else:
            out[rows[np.isin(evidence.prompt[rows], order[:anchors])]] = anchors / world.prompts
    return out


def _systematic(chance: Floats, rng: np.random.Generator) -> Ints:
    """A draw of fixed size with the given inclusion probabilities."""
    order = rng.permutation(chance.size)
    ends = np.cumsum(chance[order])
    points = np.arange(rng.random(), ends[-1], 1.0)
    return order[np.unique(np.searchsorted(ends, points))]

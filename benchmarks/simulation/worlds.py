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

from app.domain.judging import JudgeVersion
from app.domain.rubrics import Criterion, RubricKind, Scale
from app.storage.evidence import Evidence

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

FAMILIES = ("red", "red", "blue", "blue", "green", "green")
JUDGES = tuple(
    JudgeVersion(family, f"judge-{k}", f"model-{k}", "{}", "p1") for k, family in enumerate(FAMILIES)
)
SCALE = Scale(1, 5)
STRATUM = "difficulty"
ORDINAL = (-1.6, -0.7, 0.1, 1.0)


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
class Drawn:
    """Evidence without human grades, the grade that people would give every unit (n,) on 0 to 1, and the
    truth: of systems (S,), strata (2,), both (S, 2)."""

    evidence: Evidence
    grade: Floats
    systems: Floats
    strata: Floats
    cells: Floats


def draw(world: World, rng: np.random.Generator) -> Drawn:
    s, p, k = world.systems, world.prompts, world.answers
    n = s * p * k
    system, prompt = np.repeat(np.arange(s), p * k), np.tile(np.repeat(np.arange(p), k), s)
    stratum = (rng.random(p) < world.hard_share).astype(np.int64)
    quality = np.linspace(-1, 1, s) * world.spread if s > 1 else np.zeros(1)
    of_prompt = np.sqrt(world.prompt_share) * rng.standard_normal(p)
    own = np.sqrt(1 - world.prompt_share) * rng.standard_normal(n)
    q = quality[system] + world.hard * stratum[prompt] + of_prompt[prompt] + own
    unit, judge, value = _verdicts(world, q, system, stratum[prompt], rng)
    grade = ((q + world.human_noise * rng.standard_normal(n))[:, None] > np.array(world.cuts)).mean(1)
    cells = np.stack([mean_grade(quality + world.hard * g, world) for g in (0, 1)], axis=1)
    share = np.array([1 - world.hard_share, world.hard_share])
    return Drawn(
        evidence(
            prompt=prompt, system=system, systems=s, stratum=stratum[prompt], unit=unit, judge=judge,
            value=value, words=np.round(np.exp(5 + 0.4 * rng.standard_normal(n))),
        ),
        grade, cells @ share, cells.mean(0), cells,
    )  # fmt: skip


def mean_grade(quality: Floats, world: World) -> Floats:
    """Expected grade on 0 to 1 of answers with quality ~ N(quality, 1), people's noise included."""
    spread = np.sqrt(1 + world.human_noise**2)
    return np.asarray(special.ndtr((quality[:, None] - np.array(world.cuts)) / spread).mean(1))


def _verdicts(
    world: World, q: Floats, system: Ints, stratum: Ints, rng: np.random.Generator
) -> tuple[Ints, Ints, Floats]:
    n, judges = q.size, len(FAMILIES)
    unit = np.repeat(np.arange(n), 3)
    judge = (2 * np.arange(3) + rng.integers(0, 2, (n, 3))).ravel()
    whole = world.panel_bias * rng.standard_normal(world.systems)
    whole[0] += world.outlier
    of_system = whole[:, None] + world.judge_bias * rng.standard_normal((world.systems, judges))
    of_stratum = world.stratum_bias * rng.standard_normal((2, judges))
    severity, slope = 0.3 * rng.standard_normal(judges), rng.uniform(0.6, 1.0, judges)
    noise = rng.uniform(0.45, 0.8, judges)
    felt = (
        0.0
        if world.null_panel
        else q[unit] + of_system[system[unit], judge] + of_stratum[stratum[unit], judge]
    )
    family = 0.35 * rng.standard_normal((n, 3))
    score = severity[judge] + slope[judge] * felt + (0.5 * rng.standard_normal(n))[unit]
    score = score + family.ravel() + noise[judge] * rng.standard_normal(unit.size)
    return unit, judge, np.clip(np.round(3 + score), 1, 5)


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


def evidence(
    *, prompt: Ints, system: Ints, systems: int, unit: Ints, judge: Ints, value: Floats, words: Floats,
    stratum: Ints | None = None, families: tuple[str | None, ...] | None = None,
    judges: tuple[JudgeVersion, ...] = JUDGES, kind: RubricKind = RubricKind.POINTWISE,
    other: Ints | None = None, place: Ints | None = None, other_words: Floats | None = None,
    h_unit: Ints | None = None, h_value: Floats | None = None, h_annotator: Ints | None = None,
) -> Evidence:  # fmt: skip
    """Evidence of plain arrays on a scale of 1 to 5 (pairs: signed)."""
    n, m = prompt.size, unit.size
    none = np.zeros(0, np.int64)
    h_unit = none if h_unit is None else h_unit
    h_annotator = np.zeros(h_unit.size, np.int64) if h_annotator is None else h_annotator
    people = int(h_annotator.max(initial=-1)) + 1
    i32, ids = np.int32, np.arange(n, dtype=np.int64) + 1
    return Evidence(
        kind=kind, criterion=Criterion("quality", "", SCALE, True), rubric_versions=(1,), unit_id=ids,
        item=prompt.astype(i32), item_ids=np.arange(int(prompt.max()) + 1), prompt=prompt.astype(i32),
        system=system.astype(i32), other_system=np.full(n, -1, i32) if other is None else other.astype(i32),
        length=words, other_length=np.full(n, np.nan) if other_words is None else other_words,
        marks=np.full(n, np.nan), other_marks=np.full(n, np.nan), system_models=(None,) * systems,
        answer_id=ids, other_answer_id=np.full(n, -1, np.int64),
        strata={} if stratum is None else {STRATUM: stratum.astype(i32)},
        stratum_values={} if stratum is None else {STRATUM: ("easy", "hard")},
        systems=tuple(f"system-{s}" for s in range(systems)),
        system_families=(None,) * systems if families is None else families,
        v_unit=unit.astype(i32), v_judge=judge.astype(i32), v_value=value, v_expected=np.full(m, np.nan),
        v_place=np.zeros(m, np.int8) if place is None else place.astype(np.int8),
        v_draw=np.ones(m, np.int16), v_inclusion=np.full(m, 0.5), v_unscored=np.full(m, -1, np.int8),
        v_rubric_version=np.ones(m, i32), judges=judges,
        judge_version_ids=np.arange(len(judges), dtype=np.int64) + 1,
        h_unit=h_unit.astype(i32), h_value=np.zeros(0) if h_value is None else h_value,
        h_annotator=h_annotator.astype(i32), h_inclusion=np.full(h_unit.size, np.nan),
        annotators=tuple(f"person-{k}" for k in range(people)), annotator_types=("expert",) * people,
        anchor_versions=(("main", 1),), newest_verdict=m, simulated=False, left_out=False, ambiguous=0,
        sha256="0" * 64,
    )  # fmt: skip

"""Evidence with a known truth: judges with planted severity, slope and noise, people with planted grades."""

from dataclasses import dataclass

import numpy as np

from app.domain.judging import JudgeVersion
from app.domain.rubrics import Criterion, RubricKind, Scale
from app.storage.evidence import Evidence

FAMILIES = ("red", "red", "blue", "blue", "green", "green")
JUDGES = tuple(
    JudgeVersion(family, f"judge-{k}", f"model-{k}", "{}", "p1") for k, family in enumerate(FAMILIES)
)
SEVERITY = np.array([-0.15, 0.1, 0.0, 0.2, -0.05, 0.05])
SLOPE = np.array([0.5, 0.8, 0.6, 0.7, 0.9, 0.4])
NOISE = np.array([0.15, 0.1, 0.2, 0.12, 0.1, 0.2])


@dataclass(frozen=True)
class Planted:
    """Evidence on a 1-5 scale (or signed pairs) and the truth on the inner scale."""

    evidence: Evidence
    truth: np.ndarray
    system_truth: np.ndarray


def plant(
    *,
    prompts: int = 60,
    systems: int = 6,
    anchors: int = 120,
    annotators: int = 2,
    seed: int = 1,
    higher_is_better: bool = True,
    spread: float = 0.1,
    length_bias: float = 0.0,
    all_judges: bool = False,
) -> Planted:
    """Pointwise: every system answers every prompt; one judge of each family at random scores each answer."""
    rng = np.random.default_rng(seed)
    n = prompts * systems
    prompt, system = np.divmod(np.arange(n), systems)
    system_truth = 0.5 + spread * np.linspace(-1.5, 1.5, systems)
    truth = system_truth[system] + 0.08 * rng.standard_normal(prompts)[prompt] + 0.1 * rng.standard_normal(n)
    words = np.round(np.exp(5 + 0.4 * rng.standard_normal(n)))
    if all_judges:
        unit, judge = (a.ravel() for a in np.meshgrid(np.arange(n), np.arange(6), indexing="ij"))
    else:
        unit = np.repeat(np.arange(n), 3)
        judge = (2 * np.arange(3) + rng.integers(0, 2, (n, 3))).ravel()
    wordy = length_bias * (np.log(words) - 5)
    score = 0.3 + SEVERITY[judge] + SLOPE[judge] * (truth[unit] - 0.5) + wordy[unit]
    score = score + NOISE[judge] * rng.standard_normal(len(unit))
    graded = np.sort(rng.choice(n, anchors, replace=False))
    h_unit = np.repeat(graded, annotators)
    grade = truth[h_unit] + 0.12 * rng.standard_normal(len(h_unit))
    flip = (lambda v: v) if higher_is_better else (lambda v: 1 - v)
    return Planted(
        evidence(
            kind=RubricKind.POINTWISE, higher_is_better=higher_is_better,
            prompt=prompt, system=system, length=words, systems=systems, unit=unit, judge=judge,
            value=1 + 4 * flip(score), h_unit=h_unit, h_value=1 + 4 * flip(grade),
            annotator=np.tile(np.arange(annotators), anchors),
        ),
        truth, system_truth,
    )  # fmt: skip


def plant_pairs(
    *, prompts: int = 200, systems: int = 5, anchors: int = 150, position: float = 0.3, seed: int = 2
) -> Planted:
    """One pair of systems per prompt, three judges, each in a random order and with a position effect."""
    rng = np.random.default_rng(seed)
    pairs = np.array([(a, b) for a in range(systems) for b in range(a + 1, systems)])
    which = pairs[rng.integers(0, len(pairs), prompts)]
    strength = np.linspace(-0.4, 0.4, systems)
    truth = strength[which[:, 0]] - strength[which[:, 1]] + 0.3 * rng.standard_normal(prompts)
    unit = np.repeat(np.arange(prompts), 3)
    judge = (2 * np.arange(3) + rng.integers(0, 2, (prompts, 3))).ravel()
    place = rng.integers(0, 2, len(unit))
    latent = SLOPE[judge] * truth[unit] + position * (1 - 2 * place) + 0.4 * rng.standard_normal(len(unit))
    value = np.where(np.abs(latent) < 0.1, 0.0, np.sign(latent))
    graded = np.sort(rng.choice(prompts, anchors, replace=False))
    h_unit = np.repeat(graded, 2)
    felt = truth[h_unit] + 0.3 * rng.standard_normal(len(h_unit))
    return Planted(
        evidence(
            kind=RubricKind.PAIRWISE, prompt=np.arange(prompts), system=which[:, 0], other=which[:, 1],
            length=np.full(prompts, 100.0), systems=systems, unit=unit, judge=judge, value=value, place=place,
            h_unit=h_unit, h_value=np.where(np.abs(felt) < 0.1, 0.0, np.sign(felt)),
            annotator=np.tile([0, 1], anchors),
        ),
        truth, strength,
    )  # fmt: skip


def evidence(
    *, kind, prompt, system, length, systems, unit, judge, value, h_unit, h_value, annotator,
    other=None, place=None, higher_is_better=True, judges=JUDGES, rubric_version=1,
) -> Evidence:  # fmt: skip
    """Evidence of plain arrays; texts, strata and inclusion probabilities are left out."""
    n, m, k = len(prompt), len(unit), len(h_unit)
    int32 = np.int32
    ids = np.arange(n, dtype=np.int64) + 1000
    return Evidence(
        kind=kind,
        criterion=Criterion("helpfulness", "", Scale(1, 5), higher_is_better),
        rubric_versions=(rubric_version,),
        unit_id=ids, item=np.asarray(prompt, int32), item_ids=np.arange(max(prompt, default=0) + 1),
        prompt=np.asarray(prompt, int32), system=np.asarray(system, int32),
        other_system=np.full(n, -1, int32) if other is None else np.asarray(other, int32),
        length=np.asarray(length, float),
        other_length=np.full(n, np.nan) if other is None else np.asarray(length, float),
        day=np.full(n, 20_000, int32), marks=np.full(n, np.nan), other_marks=np.full(n, np.nan),
        answer_id=ids, other_answer_id=np.full(n, -1, np.int64), strata={}, stratum_values={},
        systems=tuple(f"system-{s}" for s in range(systems)), system_families=(None,) * systems,
        system_models=(None,) * systems,
        v_unit=np.asarray(unit, int32), v_judge=np.asarray(judge, int32), v_value=np.asarray(value, float),
        v_expected=np.full(m, np.nan),
        v_place=np.zeros(m, np.int8) if place is None else np.asarray(place, np.int8),
        v_draw=np.ones(m, np.int16), v_inclusion=np.full(m, 0.5), v_unscored=np.full(m, -1, np.int8),
        v_rubric_version=np.full(m, rubric_version, int32), judges=judges,
        judge_version_ids=np.arange(len(judges), dtype=np.int64) + 50,
        h_unit=np.asarray(h_unit, int32), h_value=np.asarray(h_value, float),
        h_annotator=np.asarray(annotator, int32), h_inclusion=np.full(k, np.nan),
        annotators=("ann", "bob")[: int(max(annotator, default=0)) + 1],
        annotator_types=("expert", "expert")[: int(max(annotator, default=0)) + 1],
        anchor_versions=(("main", 1),), newest_verdict=m, simulated=False, left_out=False, ambiguous=0,
        sha256="0" * 64,
    )  # fmt: skip

"""Evidence of plain arrays, as the service would load it from its database."""

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.domain.judging import JudgeVersion
from app.domain.rubrics import Criterion, RubricKind, Scale
from app.storage.evidence import Evidence

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

SCALE = Scale(1, 5)
STRATUM = "difficulty"


def judge_version(family: str, name: str, model: str | None = None) -> JudgeVersion:
    return JudgeVersion(family, name, model or f"model-of-{name}", "{}", "p1")


def evidence(
    *, prompt: Ints, system: Ints, systems: int, unit: Ints, judge: Ints, value: Floats, words: Floats,
    judges: tuple[JudgeVersion, ...], stratum: Ints | None = None, kind: RubricKind = RubricKind.POINTWISE,
    scale: Scale = SCALE, people: tuple[Ints, Floats, Ints] | None = None, **more: Any,
) -> Evidence:  # fmt: skip
    """Units (n,), verdicts (m,) on ``scale`` (pairs: signed) and ``people``: unit, value and annotator of
    every human grade (k,), none by default. ``more``: fields of Evidence that are not to be as usual."""
    n, m = prompt.size, unit.size
    h_unit, h_value, annotator = people or (np.zeros(0, np.int64), np.zeros(0), np.zeros(0, np.int64))
    count = int(annotator.max(initial=-1)) + 1
    i32, ids, nothing = np.int32, np.arange(n, dtype=np.int64) + 1, np.full(n, np.nan)
    found = Evidence(
        kind=kind, criterion=Criterion("quality", "", scale, True), rubric_versions=(1,), unit_id=ids,
        item=prompt.astype(i32),
        item_ids=np.arange(int(prompt.max()) + 1), prompt=prompt.astype(i32),
        system=system.astype(i32), other_system=np.full(n, -1, i32), length=words, other_length=nothing,
        day=np.full(n, 20_000, i32), marks=nothing, other_marks=nothing, system_models=(None,) * systems,
        answer_id=ids, other_answer_id=np.full(n, -1, np.int64),
        strata={} if stratum is None else {STRATUM: stratum.astype(i32)},
        stratum_values={} if stratum is None else {STRATUM: ("easy", "hard")},
        systems=tuple(f"system-{s}" for s in range(systems)), system_families=(None,) * systems,
        v_unit=unit.astype(i32), v_judge=judge.astype(i32), v_value=value, v_expected=np.full(m, np.nan),
        v_place=np.zeros(m, np.int8), v_draw=np.ones(m, np.int16), v_inclusion=np.full(m, 0.5),
        v_unscored=np.full(m, -1, np.int8), v_rubric_version=np.ones(m, i32), judges=judges,
        judge_version_ids=np.arange(len(judges), dtype=np.int64) + 1,
        h_unit=h_unit.astype(i32), h_value=h_value, h_annotator=annotator.astype(i32),
        h_inclusion=np.full(h_unit.size, np.nan),
        annotators=tuple(f"person-{k}" for k in range(count)), annotator_types=("expert",) * count,
        anchor_versions=(("main", 1),), newest_verdict=m, simulated=False, left_out=False, ambiguous=0,
        sha256="0" * 64,
    )  # fmt: skip
    return replace(found, **more)

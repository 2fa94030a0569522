"""What a full refit costs in CPU seconds of one core, by phase: from evidence to every table and report.

    python -m benchmarks.refit [--verdicts 100000] [--anchors 1000] [--criteria 1] [--profile PHASE]

Per criterion: the design, the calibration (panel factor, map to the human scale, again without each fold),
the frame as it is stored, the bias report of every judge, the frame as quality tables need it, quality by
system, by stratum and by both, every comparison with one baseline, and one thousand single grades. Eight
judges of four families (three a panel), 20 systems, two strata, anchors graded twice; planted severity,
slopes and tastes; a scale of 1 to 5 in whole steps, so that crowded grades are checked as categories. The
verdicts are split evenly between the criteria, each of which has all the anchors.

Everything is the code that the service runs, without the database around it. Set OMP_NUM_THREADS=1 and
OPENBLAS_NUM_THREADS=1, as the service does for its fits.
"""

import argparse
import cProfile
import pstats
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from app.calibration.design import build_design
from app.calibration.fit import fit_calibration
from app.calibration.frame import Frame
from app.calibration.judge_bias import judge_bias
from app.calibration.model import describe
from app.calibration.prepared import PreparedCalibration, Reading
from app.calibration.snapshot import frame_of
from app.domain.judging import JudgeVersion
from app.domain.rubrics import Criterion, RubricKind, Scale
from app.reporting.graded_units import graded_units
from app.reporting.quality_groups import group_units
from app.reporting.quality_rows import estimate, rows_of
from app.stats.difference import anchor_overlap, traffic_covariance
from app.stats.group_quality import pooled_difference_variance
from app.storage.evidence import Evidence

FAMILIES = ("red", "red", "blue", "blue", "green", "green", "grey", "grey")
SYSTEMS, PANEL, LEVEL = 20, 3, 0.95


def evidence_of(verdicts: int, anchors: int, rng: np.random.Generator) -> Evidence:
    """Evidence of that many verdicts and anchors with known biases."""
    n = verdicts // PANEL
    prompts = -(-n // SYSTEMS)
    prompt, system = (part[:n] for part in np.divmod(np.arange(prompts * SYSTEMS), SYSTEMS))
    truth = 0.45 + 0.01 * system + 0.1 * rng.normal(size=prompts)[prompt] + 0.15 * rng.normal(size=n)
    words = np.round(np.exp(5 + 0.5 * rng.normal(size=n)))
    marks = rng.poisson(3, n).astype(float)
    unit = np.repeat(np.arange(n), PANEL)
    family = np.argsort(rng.random((n, 4)), axis=1)[:, :PANEL]
    judge = (2 * family + rng.integers(0, 2, family.shape)).ravel()
    score = 0.25 + 0.05 * (judge % 3) + (0.5 + 0.05 * judge) * truth[unit]
    score = score + 0.02 * np.log2(words[unit] / 150) + 0.12 * rng.normal(size=len(unit))
    graded = np.sort(rng.choice(n, anchors, replace=False))
    h_unit = np.repeat(graded, 2)
    grade = truth[h_unit] + 0.12 * rng.normal(size=len(h_unit))
    marks[np.setdiff1d(np.arange(n), graded)] = np.nan
    ids, nothing = np.arange(n, dtype=np.int64), np.full(n, np.nan)
    judges = tuple(JudgeVersion(f, f"judge-{k}", f"model-{k}", "{}", "p1") for k, f in enumerate(FAMILIES))
    given: dict[str, Any] = {
        "kind": RubricKind.POINTWISE, "criterion": Criterion("quality", "how good", Scale(1, 5)),
        "rubric_versions": (1,), "unit_id": ids, "item": prompt.astype(np.int32),
        "item_ids": np.arange(prompts), "prompt": prompt.astype(np.int32), "system": system.astype(np.int32),
        "other_system": np.full(n, -1, np.int32), "length": words, "other_length": nothing, "marks": marks,
        "other_marks": nothing, "answer_id": ids, "other_answer_id": ids * 0 - 1,
        "strata": {
            "language": (prompt % 4).astype(np.int32), "domain": rng.integers(0, 4, n).astype(np.int32)
        },
        "stratum_values": {"language": tuple("abcd"), "domain": tuple("efgh")},
        "systems": tuple(f"bot-{k}" for k in range(SYSTEMS)),
        "system_families": tuple(("red", "blue", "green", "other")[k % 4] for k in range(SYSTEMS)),
        "system_models": (None,) * SYSTEMS,
        "v_unit": unit.astype(np.int32), "v_judge": judge.astype(np.int32), "v_value": _whole(score),
        "v_expected": np.full(len(unit), np.nan), "v_place": np.zeros(len(unit), np.int8),
        "v_draw": np.ones(len(unit), np.int16), "v_inclusion": np.full(len(unit), 0.375),
        "v_unscored": np.full(len(unit), -1, np.int8), "v_rubric_version": np.ones(len(unit), np.int32),
        "judges": judges, "judge_version_ids": np.arange(len(judges)), "h_unit": h_unit.astype(np.int32),
        "h_value": _whole(grade), "h_annotator": np.tile(np.arange(2, dtype=np.int32), anchors),
        "h_inclusion": np.full(len(h_unit), np.nan), "annotators": ("ann", "bob"),
        "annotator_types": ("expert", "expert"), "anchor_versions": (("main", 1),),
        "newest_verdict": len(unit), "simulated": False, "left_out": False, "ambiguous": 0,
        "sha256": "0" * 64,
    }  # fmt: skip
    return Evidence(**given)


def _whole(score: Any) -> Any:
    return np.clip(np.round(1 + 4 * score), 1, 5).astype(float)


class Clock:
    """CPU seconds of this process by phase; profiles the phase it is told to."""

    def __init__(self, profiled: str | None) -> None:
        self.spent: dict[str, float] = {}
        self.profiled, self.profile = profiled, cProfile.Profile()

    def __call__(self, phase: str, compute: Callable[[], Any]) -> Any:
        if phase == self.profiled:
            self.profile.enable()
        began = time.process_time()
        found = compute()
        self.spent[phase] = self.spent.get(phase, 0.0) + time.process_time() - began
        self.profile.disable()
        return found


def refit(evidence: Evidence, clock: Clock) -> None:
    """Everything that follows from the evidence of one criterion."""
    design = clock("design", lambda: build_design(evidence))
    fit = clock("calibration", lambda: fit_calibration(design, seed=1))
    raw = clock("frame", lambda: frame_of(design, fit).to_bytes())
    model = clock("model", lambda: describe(design, fit))
    clock("bias reports", lambda: judge_bias(design))
    units = clock("anchors and weights", lambda: graded_units(Frame.from_bytes(raw)))
    for by in (("system",), ("stratum.language",), ("system", "stratum.domain")):
        clock("quality tables", lambda by=by: _table(units, by))
    clock("comparisons", lambda: _comparisons(units))
    clock("1,000 grades", lambda: _grades(model, evidence))


def _table(units: Any, by: tuple[str, ...]) -> Any:
    groups = group_units(units, by)
    return rows_of(units, groups, estimate(units, groups, LEVEL, "stream"))


def _comparisons(units: Any) -> list[float]:
    """Every system against the first."""
    groups = group_units(units, ("system",))
    quality = estimate(units, groups, LEVEL, "stream")
    overlap = anchor_overlap(quality.means, SYSTEMS)
    return [
        pooled_difference_variance(
            quality, 0, k, float(overlap[0, k]), traffic_covariance(quality.means, 0, k)
        )
        for k in range(1, SYSTEMS)
    ]


def _grades(model: dict[str, Any], evidence: Evidence) -> None:
    prepared = PreparedCalibration(calibration_id="c_1", model=model)
    for unit in range(1000):
        rows = range(PANEL * unit, PANEL * unit + PANEL)
        seats = [Reading(evidence.judges[evidence.v_judge[r]], float(evidence.v_value[r])) for r in rows]
        prepared.score(
            seats, system=evidence.systems[evidence.system[unit]], words=float(evidence.length[unit])
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--verdicts", type=int, default=100_000)
    parser.add_argument("--anchors", type=int, default=1_000)
    parser.add_argument("--criteria", type=int, default=1)
    parser.add_argument("--profile", metavar="PHASE", help="print where the time of one phase goes")
    asked = parser.parse_args()
    rng, clock = np.random.default_rng(1), Clock(asked.profile)
    for _ in range(asked.criteria):
        refit(evidence_of(asked.verdicts // asked.criteria, asked.anchors, rng), clock)
    print(f"{asked.verdicts:,} verdicts, {asked.anchors:,} anchors, {asked.criteria} criteria; CPU seconds")
    for phase, seconds in clock.spent.items():
        print(f"{phase:<20} {seconds:6.2f}")
    print(f"{'everything':<20} {sum(clock.spent.values()):6.2f}")
    if asked.profile:
        pstats.Stats(clock.profile).sort_stats("cumulative").print_stats(35)


if __name__ == "__main__":
    main()

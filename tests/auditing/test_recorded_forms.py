"""The invariance audit on recorded prompt variants, against the same shares counted by hand from the file."""

import csv
import gzip
from collections import defaultdict
from itertools import combinations
from pathlib import Path

import pytest

from app.auditing.invariance import recorded_swings
from app.domain.projects import Project
from app.stats.jackknife import Effect
from app.storage.database import Database
from app.storage.evidence import load_evidence
from tests.recorded import import_verdicts

pytestmark = pytest.mark.real_data

JUDGE = "gpt-4-azure"
SIGN = {"A": 1.0, "tie": 0.0, "B": -1.0}


def by_hand(path: Path) -> tuple[int, float, float, dict[str, float]]:
    """Questions in two forms, share of pairs of forms that differ, mean |difference|, mean value by form."""
    said: dict[tuple[str, str], dict[str, float]] = defaultdict(dict)
    with gzip.open(path / "llmbar" / "grades.csv.gz", "rt") as file:
        for row in csv.DictReader(file):
            if row["judge"] == JUDGE and row["kind"] == "pairwise" and row["verdict"] in SIGN:
                value = SIGN[row["verdict"]] * (1 if row["system_a"] == "output_1" else -1)
                said[row["item_id"], row["order"]].setdefault(row["judge_params"], value)
    pairs = [pair for forms in said.values() for pair in combinations(forms.values(), 2)]
    several = [forms for forms in said.values() if len(forms) > 1]
    shifts: dict[str, list[float]] = defaultdict(list)
    for forms in several:
        mean = sum(forms.values()) / len(forms)
        for form, value in forms.items():
            shifts[form].append(value - mean)
    return (
        len(several),
        sum(a != b for a, b in pairs) / len(pairs),
        sum(abs(a - b) for a, b in pairs) / len(pairs),
        {form: sum(values) / len(values) for form, values in shifts.items()},
    )


async def test_llmbars_prompt_variants_swing_as_counted_by_hand(
    db: Database, project: Project, shared_data: Path
):
    if db.backend != "sqlite":
        pytest.skip("the arithmetic does not depend on the database")
    await import_verdicts(db, project, shared_data, "llmbar", judge=JUDGE)
    evidence = await load_evidence(db, project.id, "llmbar", "instruction_following")
    swings = {one.change: one for one in recorded_swings(evidence) if one.judge == JUDGE}
    questions, changed, apart, shifts = by_hand(shared_data)
    overall = swings.pop(None)
    assert overall.n == questions
    assert overall.changed == pytest.approx(changed, abs=1e-12)
    assert isinstance(overall.swing, Effect)
    assert overall.swing.estimate == pytest.approx(apart, abs=1e-12)
    assert overall.swing.low < apart < overall.swing.high
    assert len(swings) == len(shifts) == 10
    for form, one in swings.items():
        assert isinstance(one.shift, Effect)
        name = str(form).removeprefix('{"setting":"').removesuffix('"}')
        assert one.shift.estimate == pytest.approx(shifts[name], abs=1e-12)

"""The disagreement audit on 16 recorded annotators, against the same figures counted by hand."""

import csv
import gzip
from collections import defaultdict
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from app.auditing.disagreement import pairs_of, weighted_kappa
from app.domain.projects import Project
from app.storage.anchor_texts import anchor_grades
from app.storage.database import Database
from tests.recorded import import_anchors

pytestmark = pytest.mark.real_data


async def test_sixteen_annotators_disagree_as_counted_by_hand(
    db: Database, project: Project, shared_data: Path
):
    if db.backend != "sqlite":
        pytest.skip("the arithmetic does not depend on the database")
    await import_anchors(db, project, shared_data, "conala_ice")
    grades = await anchor_grades(db, project.id, "conala_ice")
    pairs = pairs_of(grades, 1.0, None)
    units: dict[tuple[str, str], list[tuple[str, float]]] = defaultdict(list)
    with gzip.open(shared_data / "conala_ice" / "human.csv.gz", "rt") as file:
        for row in csv.DictReader(file):
            units[row["item_id"], row["system"]].append((row["annotator"], float(row["score"])))
    hand = [(a, b) for said in units.values() for a, b in combinations(said, 2) if a[0] != b[0]]
    gaps = np.array([a[1] - b[1] for a, b in hand])
    assert len(pairs.gap) == len(hand)
    assert np.mean(pairs.apart) == pytest.approx(np.mean(np.abs(gaps) > 1), abs=1e-12)
    values = np.array([one[1] for pair in hand for one in pair])
    kappa = weighted_kappa(np.array([one.value for one in grades]), pairs)
    assert kappa.estimate == pytest.approx(1 - np.mean(gaps**2) / (2 * values.var()), abs=1e-9)
    assert kappa.low < kappa.estimate < kappa.high

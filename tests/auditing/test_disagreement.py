"""The disagreement audit on 16 recorded annotators, against the same figures counted by hand."""

import csv
import gzip
from collections import Counter, defaultdict
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from app.auditing.twice import pairs_of, said_in_set
from app.domain.projects import Project
from app.stats.pair_agreement import kappa_of_pairs, share_of_pairs
from app.storage.anchor_texts import anchor_grades
from app.storage.database import Database
from tests.recorded import import_anchors

pytestmark = pytest.mark.real_data

Graded = dict[tuple[str, str], list[tuple[str, float]]]


@pytest.fixture
def by_hand(shared_data: Path) -> Graded:
    """(item, system) -> (annotator, score), straight from the file."""
    units: Graded = defaultdict(list)
    with gzip.open(shared_data / "conala_ice" / "human.csv.gz", "rt") as file:
        for row in csv.DictReader(file):
            units[row["item_id"], row["system"]].append((row["annotator"], float(row["score"])))
    return units


async def test_sixteen_annotators_disagree_as_counted_by_hand(
    db: Database, project: Project, shared_data: Path, by_hand: Graded
):
    if db.backend != "sqlite":
        pytest.skip("the arithmetic does not depend on the database")
    await import_anchors(db, project, shared_data, "conala_ice")
    grades = await anchor_grades(db, project.id, "conala_ice")
    twice = pairs_of(said_in_set(grades, None), 1.0)
    hand = [(a, b) for said in by_hand.values() for a, b in combinations(said, 2) if a[0] != b[0]]
    gaps = np.array([a[1] - b[1] for a, b in hand])
    assert len(twice) == len(hand)
    share = share_of_pairs(twice.apart, twice.pairs)
    assert share.estimate == pytest.approx(np.mean(np.abs(gaps) > 1), abs=1e-12)
    values = np.array([one[1] for pair in hand for one in pair])
    kappa = kappa_of_pairs(twice.pairs, sides=False)
    assert kappa.estimate == pytest.approx(1 - np.mean(gaps**2) / (2 * values.var()), abs=1e-9)
    assert kappa.low < kappa.estimate < kappa.high


async def test_one_recorded_annotator_as_if_cold_is_held_against_all_others(
    db: Database, project: Project, shared_data: Path, by_hand: Graded
):
    if db.backend != "sqlite":
        pytest.skip("the arithmetic does not depend on the database")
    await import_anchors(db, project, shared_data, "conala_ice")
    grades = await anchor_grades(db, project.id, "conala_ice")
    who = Counter(one.annotator for one in grades).most_common(1)[0][0]
    said = [replace(one, cold=one.annotator == who) for one in said_in_set(grades, None)]
    twice = pairs_of(said, 1.0)
    assert twice.cold
    assert set(twice.second_by) == {who}
    means, weights = [], 0
    for graded in by_hand.values():
        own = [score for name, score in graded if name == who]
        others = [score for name, score in graded if name != who]
        if own and others:
            means.append(np.mean([abs(score - own[0]) > 1 for score in others]))
            weights += 1
    share = share_of_pairs(twice.apart, twice.pairs)
    assert share.estimate == pytest.approx(np.mean(means), abs=1e-12)
    assert twice.pairs.weight.sum() == pytest.approx(weights)

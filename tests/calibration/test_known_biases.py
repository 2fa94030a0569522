"""Biases that others have counted in recorded verdicts come out of the report as they were counted."""

import csv
import gzip
from pathlib import Path

import numpy as np
import pytest

from app.stats.agreement import match_grades
from app.stats.order_effects import order_flips, position_effect_pairs
from app.stats.version_change import agreement_change

pytestmark = pytest.mark.real_data

# judge, share of first picks, share of flips between the orders (the Vanilla prompt)
COUNTED = [
    ("gpt-4-azure", 0.512, 0.072),
    ("llama-2-70b-chat-hf", 0.560, 0.251),
    ("palm2-text-bison-001", 0.561, 0.277),
    ("gpt-35-turbo-0613", 0.647, 0.341),
    ("gpt-35-turbo-0301", 0.671, 0.422),
    ("falcon-180b-chat", 0.776, 0.585),
]


@pytest.mark.parametrize(("judge", "first_picks", "flips"), COUNTED)
def test_llmbar_first_picks_and_flips_are_what_they_were_counted_to_be(
    shared_data: Path, judge: str, first_picks: float, flips: float
):
    with gzip.open(shared_data / "llmbar" / "grades.csv.gz", "rt") as file:
        rows = [
            row
            for row in csv.DictReader(file)
            if row["judge"] == judge and row["judge_params"] == "Vanilla" and row["verdict"] in ("A", "B")
        ]
    items = {name: code for code, name in enumerate(sorted({row["item_id"] for row in rows}))}
    unit = np.array([items[row["item_id"]] for row in rows])
    first_shown = np.array([row["system_a"] == "output_1" for row in rows])
    first_won = np.array([row["verdict"] == "A" for row in rows])
    value = np.where(first_won == first_shown, 1.0, -1.0)
    about = {"value": value, "first_shown": first_shown, "pair": unit, "prompt": unit}

    position = position_effect_pairs(**about, contrast=np.zeros_like(unit))
    assert 0.5 + position.estimate == pytest.approx(first_picks, abs=0.0015)  # counted to three digits
    assert (position.low <= 0 <= position.high) == (judge == "gpt-4-azure")
    # the counts took a verdict that is missing in one order for a flip; two pairs of one judge have one
    assert order_flips(**about).estimate == pytest.approx(flips, abs=0.005)


def test_the_change_of_a_judge_between_two_versions_is_what_it_was_counted_to_be(shared_data: Path):
    """gpt-35-turbo, 0301 to 0613: agreement with the gold labels fell by .0835 [-.122, -.045]."""
    folder = shared_data / "llmbar"
    with gzip.open(folder / "human.csv.gz", "rt") as file:
        gold = {row["item_id"]: row for row in csv.DictReader(file)}
    items = {name: code for code, name in enumerate(sorted(gold))}
    grade = np.array(
        [
            1.0 if (gold[name]["verdict"] == "A") == (gold[name]["system_a"] == "output_1") else -1.0
            for name in items
        ]
    )
    versions = {}
    for judge in ("gpt-35-turbo-0301", "gpt-35-turbo-0613"):
        with gzip.open(folder / "grades.csv.gz", "rt") as file:
            rows = [
                row
                for row in csv.DictReader(file)
                if row["judge"] == judge and row["judge_params"] == "Vanilla" and row["verdict"] in ("A", "B")
            ]
        unit = np.array([items[row["item_id"]] for row in rows])
        value = np.array(
            [1.0 if (row["verdict"] == "A") == (row["system_a"] == "output_1") else -1.0 for row in rows]
        )
        versions[judge] = match_grades(
            judge=value, unit=unit, grade=grade, graded_unit=np.arange(len(grade)), prompt=unit
        )
    change = agreement_change(
        old=versions["gpt-35-turbo-0301"], new=versions["gpt-35-turbo-0613"], nominal=True
    )
    assert change.estimate == pytest.approx(-0.0835, abs=0.004)  # pairs with a verdict that is missing differ
    assert change.low >= -0.122
    assert change.high <= -0.045

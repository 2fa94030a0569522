"""Biases that others have counted in recorded verdicts come out of the report as they were counted."""

import csv
import gzip
from pathlib import Path

import numpy as np
import pytest

from app.stats.order_effects import order_flips, position_effect_pairs

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

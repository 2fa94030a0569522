"""Two recorded sets through the whole service: people's grades of one half make the other half's better.

Verdicts are imported and replayed by recorded judges, half of what people graded is uploaded as anchors,
and what the service then says of the other half is compared with what people said of it.
"""

import csv
import gzip
import io
import json
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from random import Random
from statistics import fmean
from typing import Any

import httpx2
import numpy as np
import pytest

from tests.running_service import ROOT, running_service

pytestmark = pytest.mark.real_data
Row = dict[str, str]
Unit = tuple[str, str]


@dataclass(frozen=True)
class Halves:
    """A set in the service, calibrated on one half; ``truth`` has people's means of the rest."""

    client: httpx2.Client
    rubric: str
    criterion: str
    verdicts: list[Row]
    truth: dict[Unit, float]


def read(path: Path, keep: Callable[[Row], bool]) -> list[Row]:
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        return [row for row in csv.DictReader(file) if keep(row)]


def as_csv(rows: list[Row]) -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, rows[0].keys())
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def unit_of(row: Row) -> Unit:
    """The answer (or the pair) that a row is about; pairs are always of the same two outputs."""
    return row["item_id"], "pair" if row.get("system_a") else row["system"]


def example(name: str) -> str:
    return (ROOT / "examples" / name).read_text()


def halves(
    client: httpx2.Client, name: str, verdicts: list[Row], people: list[Row], value: Callable[[Row], float]
) -> Halves:
    """Import, upload a random half of what people graded, wait for the calibration."""
    rubric = json.loads(example(f"rubrics/{name}.json"))
    criterion = people[0]["criterion"]
    rubric["criteria"] = [one for one in rubric["criteria"] if one["name"] == criterion]
    assert client.put(f"/rubrics/{name}", json=rubric).status_code == 201
    form = {"rubric": name, "mapping": example(f"imports/{name}.verdicts.json")}
    imported = client.post("/verdicts", files={"file": as_csv(verdicts)}, data=form)
    assert imported.status_code == 200, imported.text
    units = sorted({unit_of(row) for row in people})
    anchored = set(Random(20261122).sample(units, len(units) // 2))
    form = {"rubric": name, "anchor_set": name, "mapping": example(f"imports/{name}.anchors.json")}
    half = [row for row in people if unit_of(row) in anchored]
    uploaded = client.post("/anchors", files={"file": as_csv(half)}, data=form)
    assert uploaded.status_code == 200, uploaded.text
    until = time.monotonic() + 150
    while True:
        (run,) = client.get("/calibrations", params={"rubric": name}).json()["items"]
        if run["status"] not in ("queued", "running"):
            break
        assert time.monotonic() < until
        time.sleep(0.3)
    assert run["status"] == "done", run
    said = defaultdict(list)
    for row in people:
        if unit_of(row) not in anchored:
            said[unit_of(row)].append(value(row))
    return Halves(client, name, criterion, verdicts, {unit: fmean(of) for unit, of in said.items()})


def roster(folder: Path, verdicts: list[Row]) -> dict[str, str]:
    """Recorded judges that replay these verdicts."""
    (folder / "verdicts.csv").write_bytes(as_csv(verdicts))
    entries = []
    for judge, family, params in sorted(
        {(r["judge"], r["judge_family"], r["judge_params"]) for r in verdicts}
    ):
        given = f'{{ file = "verdicts.csv", judge_params = "{params}" }}'
        entries.append(
            f'[[judges]]\nname = "{judge}"\nfamily = "{family}"\nprovider = "recorded"\nparams = {given}\n'
        )
    (folder / "judges.toml").write_text("\n".join(entries))
    return {"VENIRE_DATA_DIR": str(folder), "VENIRE_JUDGES": str(folder / "judges.toml")}


def grade_all(held: Halves, answers: Callable[[Unit], list[dict[str, str]]]) -> dict[Unit, dict[str, Any]]:
    """What POST /grade says of every held-out unit."""

    def grade(unit: Unit) -> dict[str, Any]:
        body = {"rubric": held.rubric, "prompt": unit[0], "item_id": unit[0], "answers": answers(unit)}
        response = held.client.post("/grade", json={**body, "panel": {"seed": len(unit[0])}})
        assert response.status_code == 200, response.text
        told: dict[str, Any] = response.json()
        assert told["simulated"] is False
        assert told["calibrated"][held.criterion]["status"] in ("calibrated", "extrapolating"), told
        return told

    with ThreadPoolExecutor(8) as pool:
        return dict(zip(held.truth, pool.map(grade, held.truth), strict=True))


def rmse(errors: Any) -> float:
    return float(np.sqrt(np.mean(np.square(errors))))


def tell(title: str, raw: float, corrected: float, n: int) -> None:
    sys.stdout.write(f"\n| {title} | n {n} | raw panel {raw:.3f} | corrected {corrected:.3f} |\n")


def test_stories_of_hanna_are_graded_closer_to_people_item_by_item_and_system_by_system(
    shared_data: Path, tmp_path: Path
):
    kept = "task1_simple;mean_of_3_tries"
    verdicts = read(
        shared_data / "hanna/grades.csv.gz",
        lambda row: row["criterion"] == "relevance" and row["judge_params"] == kept,
    )
    people = read(shared_data / "hanna/human.csv.gz", lambda row: row["criterion"] == "relevance")
    with running_service(roster(tmp_path, verdicts)) as service, service.client() as client:
        held = halves(client, "hanna", verdicts, people, lambda row: float(row["score"]))
        asked = {"rubric": "hanna", "criterion": "relevance"}
        rows = {row["system"]: row for row in client.get("/quality", params=asked).json()["rows"]}
        truths = defaultdict(list)
        for (_, system), value in held.truth.items():
            truths[system].append(value)
        assert len(rows) == len(truths) == 11
        raw = rmse([rows[s]["raw_mean"] - fmean(of) for s, of in truths.items()])
        corrected = rmse([rows[s]["corrected"] - fmean(of) for s, of in truths.items()])
        tell("hanna relevance, RMSE of systems", raw, corrected, len(rows))
        assert corrected < 0.75 * raw
        covered = [rows[s]["interval"][0] - 0.2 <= fmean(of) <= rows[s]["interval"][1] + 0.2
                   for s, of in truths.items()]  # fmt: skip
        assert sum(covered) >= 9  # truth is itself a mean of some fifty answers: its error is about 0.1

        words = {unit_of(row): int(row["len_words"]) for row in verdicts}
        graded = grade_all(held, lambda unit: [{"system": unit[1], "text": " ".join(["word"] * words[unit])}])
        told = [(one["raw"]["relevance"]["mean"], one["calibrated"]["relevance"]) for one in graded.values()]
        truth = np.array(list(held.truth.values()))
        raw = rmse(np.array([mean for mean, _ in told]) - truth)
        corrected = rmse(np.array([one["score"] for _, one in told]) - truth)
        tell("hanna relevance, RMSE of answers", raw, corrected, len(truth))
        assert corrected < 0.85 * raw
        # `interval` is for what all people would say on average, which three votes (of variance 1.8) cannot
        # check; `grade_interval` is for one vote, and votes are here.
        ends = dict(zip(held.truth, (one["grade_interval"] for _, one in told), strict=True))
        votes = [(float(row["score"]), ends[unit_of(row)]) for row in people if unit_of(row) in ends]
        inside = fmean(low <= vote <= high for vote, (low, high) in votes)
        sys.stdout.write(f"| hanna relevance, 95% intervals for one grade hold | {inside:.3f} |\n")
        assert 0.92 < inside < 0.99


def test_pairs_of_llmbar_get_probabilities_closer_to_what_people_chose(shared_data: Path, tmp_path: Path):
    verdicts = read(
        shared_data / "llmbar/grades.csv.gz",
        lambda row: row["kind"] == "pairwise" and row["judge_params"] == "Vanilla",
    )
    people = read(shared_data / "llmbar/human.csv.gz", lambda row: True)
    first = {"A": 1.0, "tie": 0.5, "B": 0.0}
    with running_service(roster(tmp_path, verdicts)) as service, service.client() as client:
        held = halves(client, "llmbar", verdicts, people, lambda row: first[row["verdict"]])
        side = {unit_of(row): (row["system_a"], row["system_b"]) for row in people}
        words: dict[tuple[str, str], int] = {}
        for row in verdicts:
            words[row["item_id"], row["system_a"]] = int(row["len_a_words"] or 0)
            words[row["item_id"], row["system_b"]] = int(row["len_b_words"] or 0)

        def answers(unit: Unit) -> list[dict[str, str]]:
            return [
                {"system": name, "text": " ".join([name, *["word"] * (words[unit[0], name] - 1)])}
                for name in side[unit]
            ]

        graded = grade_all(held, answers)
        name = held.criterion
        truth = np.array(list(held.truth.values()))
        raw = np.array([(1 + one["raw"][name]["mean"]) / 2 for one in graded.values()])
        corrected = np.array(
            [one["calibrated"][name]["preference"]["probability"] for one in graded.values()]
        )
        tell("llmbar, Brier score of pairs", float(np.mean((raw - truth) ** 2)),
             float(np.mean((corrected - truth) ** 2)), len(truth))  # fmt: skip
        assert np.mean((corrected - truth) ** 2) < 0.75 * np.mean((raw - truth) ** 2)

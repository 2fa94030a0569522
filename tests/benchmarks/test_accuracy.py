import csv
import gzip
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks.accuracy.aims import cells, checked
from benchmarks.accuracy.estimates import human_only, ppi
from benchmarks.accuracy.protocols import PROTOCOLS, Protocol
from benchmarks.accuracy.recorded import NoHumanGrades, read
from benchmarks.accuracy.study import study, truths
from benchmarks.accuracy.tables import Table, against_the_best, markdown

RECORDED = Path(__file__).resolve().parents[3] / "shared" / "data"
needs_sets = pytest.mark.skipif(not RECORDED.exists(), reason="no recorded verdicts in ../shared/data")


def folder_of(path: Path, *, grader: str = "trained") -> Path:
    """Sixty prompts of three systems, graded 1 to 5 by two people and two judges."""
    rng = np.random.default_rng(0)
    grades, people = [], []
    for p in range(60):
        for s, system in enumerate(("a", "b", "c")):
            quality = 3 + 0.5 * (s - 1) + rng.normal()
            unit = {"item_id": f"p{p}", "kind": "pointwise", "criterion": "overall", "system": system}
            scale = {"scale_min": 1, "scale_max": 5}
            for judge, family in (("j", "x"), ("k", "y")):
                score = float(np.clip(round(quality + rng.normal()), 1, 5))
                grades.append(
                    unit
                    | {"judge": judge, "judge_family": family, "judge_params": "-", "score": score}
                    | scale
                )
            for person in ("p1", "p2"):
                score = float(np.clip(round(quality + 0.5 * rng.normal()), 1, 5))
                people.append(unit | {"annotator": person, "annotator_type": grader, "score": score} | scale)
    path.mkdir(parents=True)
    for name, rows in (("grades", grades), ("human", people)):
        with gzip.open(path / f"{name}.csv.gz", "wt", newline="") as file:
            writer = csv.DictWriter(file, fieldnames=list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
    return path


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "benchmarks.accuracy", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def test_one_command_prints_every_target_of_a_folder_of_ones_own(tmp_path):
    folder_of(tmp_path / "mine")
    written = tmp_path / "page.md"
    done = run(
        "--data", str(tmp_path), "--draws", "3", "--peer-draws", "1", "--item-draws", "1",
        "--write", str(written),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "180 answers, 3 systems, 2 judges, 3 draws" in done.stdout
    assert "| overall | 60 | systems |" in done.stdout
    assert "| overall | 60 | pairs |" in done.stdout
    assert "| overall | 60 | items |" in done.stdout
    assert "## mine" in written.read_text()
    assert "glide-py is left out" in done.stderr


def test_an_unknown_set_is_named_with_the_sets_that_are_there(tmp_path):
    folder_of(tmp_path / "mine")
    done = run("--data", str(tmp_path), "--sets", "yours")
    assert done.returncode != 0
    assert "yours" in done.stderr
    assert "mine" in done.stderr


def test_grades_made_by_a_model_are_refused(tmp_path):
    with pytest.raises(NoHumanGrades, match="llm_oracle"):
        read(folder_of(tmp_path / "set", grader="llm_oracle"))


def test_the_plain_ways_are_what_their_formulas_say():
    y = np.array([0.2, 0.4, 0.9, np.nan, np.nan, np.nan])
    f = np.array([0.1, 0.5, 0.7, 0.3, 0.9, 0.2])
    group = np.zeros(6, int)
    human = human_only(y, group, 1, finite=False)
    assert human.estimate[0] == pytest.approx(0.5)
    assert human.upper[0] - 0.5 == pytest.approx(4.3026527 * np.std([0.2, 0.4, 0.9], ddof=1) / np.sqrt(3))
    found = ppi(y, f, group, 1)
    lam = np.cov(y[:3], f[:3])[0, 1] / (2 * f.var(ddof=1))
    assert found.estimate[0] == pytest.approx(0.5 + lam * (f[3:].mean() - f[:3].mean()))


@needs_sets
@pytest.mark.real_data
def test_the_sets_are_drawn_as_their_protocols_say():
    llmbar = PROTOCOLS["llmbar"]
    (pairs,) = llmbar.load(RECORDED / "llmbar").values()
    assert (pairs.units, len(pairs.judges)) == (411, 6)
    assert truths(pairs)["systems"][0] == pytest.approx(0.268, abs=5e-4)
    drawn, _ = llmbar.draw(pairs, 0)
    assert np.unique(drawn.prompt).size == drawn.units == 1000
    hanna = PROTOCOLS["hanna"]
    answers = hanna.load(RECORDED / "hanna")
    assert sorted(answers) == ["coherence", "complexity", "empathy", "engagement", "relevance", "surprise"]
    drawn, _ = hanna.draw(answers["coherence"], 0)
    sat = np.isfinite(drawn.value)
    assert sat[:, [drawn.judges.index("beluga-13b"), drawn.judges.index("llama-13b")]].sum(1).max() == 1
    with pytest.raises(NoHumanGrades, match="llm_oracle"):
        read(RECORDED / "cje_arena_oracle")


@needs_sets
@pytest.mark.real_data
def test_a_few_draws_of_a_recorded_set_beat_people_alone():
    (data,) = Protocol().load(RECORDED / "conala_ice").values()
    result = study(data, Protocol(anchors=(60,)), draws=6, peer_draws=0, item_draws=1, peers={})
    table = Table.of("conala_ice", [result])
    ours, human = (table.one("usefulness", 60, "systems", m) for m in ("ours", "human"))
    # 400 draws: .153 against .36; these six are always the same
    assert ours.rmse < 0.75 * human.rmse
    assert ours.answered == 1
    assert "usefulness" in against_the_best(table)
    assert "| items |" in markdown(table)


def test_a_printed_page_is_held_against_what_is_asked_for():
    head = "| criterion | anchors | best plain way | its RMSE | ours | ratio | coverage | worst system |"
    page = (
        "## pairs\n\n999 pairs, 5 systems, 2 judges, 200 draws.\n\n"
        f"{head} answered | width over human only | panel not used | slope of error on truth |\n"
        "|---|---|\n"
        "| overall | 60 | raw | 0.0273 | 0.0313 | 1.15 | 0.925 | 0.870 | 1.00 | 0.624 | 0.00 | -0.063 |\n"
        "| overall | 120 | raw | 0.0273 | 0.0251 | 0.92 | 0.942 | 0.925 | 1.00 | 0.651 | 0.00 | +nan |\n"
        "\n| RMSE (bias) | anchors | |\n|---|---|\n| overall | 60 | systems |\n"
    )
    first, second = cells(page)
    assert (first.name, first.criterion, first.anchors, first.draws) == ("pairs", "overall", 60, 200)
    assert [said.split(" (")[0] for said in first.short_of()] == ["RMSE", "coverage", "worst system"]
    assert second.short_of() == []
    assert "1 of 2 cells meet every aim" in checked([first, second])

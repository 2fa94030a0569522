import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.batches.running_worker import worker_process
from tests.cli.commands import RUBRIC, requests, said, venire, write_lines
from tests.running_service import service_process


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a service with simulated judges and a worker, and one rubric: help."""
    folder = tmp_path_factory.mktemp("service")
    settings = {"VENIRE_DATA_DIR": str(folder / "data")}
    with service_process(settings) as running, worker_process(settings):
        file = folder / "help.json"
        file.write_text(json.dumps(RUBRIC))
        assert venire("rubrics", "put", file, url=running.url).returncode == 0
        yield running.url


def results(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def test_a_file_is_graded_as_a_batch(url, tmp_path):
    file, out = write_lines(tmp_path / "r.jsonl", requests(20, rubric="help")), tmp_path / "out.jsonl"
    done = venire("grade", file, "--out", out, "--name", "first", "--json", url=url)
    assert done.returncode == 0, done.stderr
    batch = said(done)
    assert (batch["status"], batch["items"], batch["counts"]["left"]) == ("done", 20, 0)
    assert [record["line"] for record in results(out)] == list(range(1, 21))
    assert "20 requests, 60 calls" in done.stderr
    assert "20 of 20, 0 failed" in done.stderr
    assert "SIMULATED" in done.stderr
    listed = said(venire("batches", "list", "--json", url=url))
    assert batch["batch_id"] in {one["batch_id"] for one in listed}
    shown = venire("batches", "show", batch["batch_id"], url=url)
    assert "20 of 20" in shown.stdout
    assert "20 graded" in shown.stdout


def test_a_rerun_pays_for_nothing_twice(url, tmp_path):
    file = write_lines(tmp_path / "r.jsonl", requests(6, rubric="help", strata={"run": "twice"}))
    first, again = (venire("grade", file, url=url) for _ in range(2))
    assert first.returncode == again.returncode == 0, first.stderr + again.stderr
    assert len(first.stdout.splitlines()) == 6
    assert first.stdout == again.stdout


def test_the_same_request_on_two_lines_is_graded_twice(url, tmp_path):
    file = write_lines(tmp_path / "r.jsonl", requests(1, rubric="help") * 2)
    first, second = map(json.loads, venire("grade", file, url=url).stdout.splitlines())
    assert first["grade"]["grade_id"] != second["grade"]["grade_id"]


def test_every_bad_line_is_named_before_anything_is_paid(url, tmp_path):
    lines = [
        *requests(2, rubric="help"),
        "not json",
        {"rubric": "help", "prompt": 3, "answers": [], "tone": "nice"},
        {"rubric": "nix", "prompt": "p", "answers": [{"system": "s", "text": "t"}]},
        {"rubric": "help", "prompt": "p", "answers": [{"system": "s", "text": "t"}] * 2},
        {"rubric": "help", "prompt": "p", "answers": [{"system": "s", "text": "t"}], "timeout_s": 0},
    ]
    done = venire("grade", write_lines(tmp_path / "r.jsonl", lines), "--json", url=url)
    assert done.returncode == 2
    told: dict[int, str] = {}
    for error in said(done)["errors"]:
        place = f"{error.get('path')}: {error['problem']}"
        told[error["row"]] = f"{told.get(error['row'], '')} {place}"
    assert sorted(told) == [3, 4, 5, 6, 7]
    assert "not JSON" in told[3]
    for place in ("prompt: must be a valid string", "answers: ", "tone: there is no such field"):
        assert place in told[4]
    assert "there is no rubric 'nix'" in told[5]
    assert "answers: a pointwise rubric judges one answer" in told[6]
    assert "timeout_s: must be greater than 0" in told[7]
    assert "nothing was paid" in done.stderr
    assert "  line 5: rubric: there is no rubric" in done.stderr


def test_stdin_and_a_rubric_for_all_lines_will_do(url):
    lines = "\n".join(json.dumps(one) for one in requests(3))
    done = venire("grade", "-", "--rubric", "help", url=url, stdin=lines)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 3


def test_a_file_of_something_else_is_not_written_over(url, tmp_path):
    file, out = write_lines(tmp_path / "r.jsonl", requests(1, rubric="help")), tmp_path / "notes.txt"
    out.write_text("my notes\nmore notes\n")
    done = venire("grade", file, "--out", out, url=url)
    assert done.returncode == 1
    assert out.read_text() == "my notes\nmore notes\n"


def test_checking_sends_nothing(url, tmp_path):
    before = said(venire("batches", "list", "--json", url=url))
    file = write_lines(tmp_path / "r.jsonl", requests(5, rubric="help"))
    done = venire("grade", file, "--check", "--json", url=url)
    assert (done.returncode, said(done)["items"]) == (0, 5)
    assert said(venire("batches", "list", "--json", url=url)) == before


def test_a_batch_is_steered_by_commands(url, tmp_path):
    file = write_lines(tmp_path / "r.jsonl", requests(2, rubric="help", strata={"run": "steered"}))
    batch = said(venire("grade", file, "--out", tmp_path / "out.jsonl", "--json", url=url))["batch_id"]
    assert said(venire("batches", "retry-failed", batch, "--json", url=url))["retried"] == 0
    paused = venire("batches", "pause", batch, url=url)
    assert paused.returncode == 1
    assert "done, which cannot become paused" in paused.stderr
    assert venire("batches", "cancel", batch, url=url).returncode == 1
    limited = said(venire("batches", "budget", "--daily", 5, "--json", url=url))
    assert limited["today"]["limit_usd"] == 5
    free = said(venire("batches", "budget", "--no-limit", "--json", url=url))
    assert free["today"]["limit_usd"] is None
    assert "working" in venire("batches", "workers", url=url).stdout


def test_what_two_stages_save_is_printed(url, tmp_path):
    file = write_lines(tmp_path / "r.jsonl", requests(30, rubric="help", strata={"run": "staged"}))
    done = venire("grade", file, "--first", "1", "--out", tmp_path / "o.jsonl", "--json", url=url)
    assert done.returncode == 0, done.stderr
    saved = said(done)["saved"]
    assert saved["calls"] > 0
    assert f"{saved['calls']:,} calls saved" in done.stderr


def test_a_file_is_graded_until_its_comparison_is_decided(url, tmp_path):
    lines = [
        {**one, "answers": [{"system": system, "text": f"{system} says so."}]}
        for one in requests(200, rubric="help", strata={"run": "stopped"})
        for system in ("bot-v6", "bot-v7")
    ]
    file = write_lines(tmp_path / "r.jsonl", lines)
    rule = ("--stop-when", "bot-v6", "bot-v7", "--criterion", "helpfulness", "--margin", "3.9")
    done = venire("grade", file, *rule, "--out", tmp_path / "o.jsonl", "--json", url=url)
    assert done.returncode == 0, done.stderr
    batch = said(done)
    assert batch["status"] == "decided"
    assert "bot-v7 against bot-v6 on helpfulness: equivalent" in done.stderr
    assert "calls saved" in done.stderr
    unknown = venire("grade", file, "--stop-when", "bot-v6", "nobody", url=url)
    assert unknown.returncode == 1
    assert "no prompt has answers of both" in unknown.stderr


def test_judges_without_batch_endpoints_are_asked_one_by_one_in_mode_batch(url, tmp_path):
    file = write_lines(tmp_path / "r.jsonl", requests(4, rubric="help", strata={"run": "by batch"}))
    done = venire("grade", file, "--mode", "batch", "--fallback", "none", url=url)
    assert done.returncode == 0, done.stderr
    assert "No judge's provider has a batch endpoint" in done.stderr
    assert len(done.stdout.splitlines()) == 4
    wrong = venire("grade", file, "--fallback", "batch", url=url)
    assert wrong.returncode != 0
    assert "mode=batch" in wrong.stderr

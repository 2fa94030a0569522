import json
from pathlib import Path

from tests.cli.commands import requests, said, venire, write_lines


def results(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def test_a_file_is_graded_line_by_line(url, tmp_path):
    file, out = write_lines(tmp_path / "r.jsonl", requests(20, rubric="help")), tmp_path / "out.jsonl"
    done = venire("grade", file, "--out", out, "--json", url=url)
    assert done.returncode == 0, done.stderr
    assert {key: said(done)[key] for key in ("total", "done", "failed")} == {
        "total": 20,
        "done": 20,
        "failed": 0,
    }
    assert sorted(record["line"] for record in results(out)) == list(range(1, 21))
    assert "20 of 20, 0 failed" in done.stderr
    assert "SIMULATED" in done.stderr


def test_a_rerun_pays_for_nothing_twice(url, tmp_path):
    file = write_lines(tmp_path / "r.jsonl", requests(6, rubric="help", strata={"run": "twice"}))
    first = {
        r["line"]: r["grade"]["grade_id"]
        for r in map(json.loads, venire("grade", file, url=url).stdout.splitlines())
    }
    again = [json.loads(line) for line in venire("grade", file, url=url).stdout.splitlines()]
    assert {r["line"]: r["grade"]["grade_id"] for r in again} == first
    assert all(r["replayed"] for r in again)


def test_a_file_cut_short_by_a_kill_is_gone_on_with(url, tmp_path):
    file, out = write_lines(tmp_path / "r.jsonl", requests(8, rubric="help")), tmp_path / "out.jsonl"
    venire("grade", file, "--out", out, url=url)
    whole = out.read_text("utf-8").splitlines()
    out.write_text("\n".join(whole[:3]) + "\n" + whole[3][:40], "utf-8")
    done = venire("grade", file, "--out", out, "--json", url=url)
    assert (said(done)["before"], said(done)["done"]) == (3, 5)
    assert sorted(record["line"] for record in results(out)) == list(range(1, 9))


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
    file, out = write_lines(tmp_path / "r.jsonl", lines), tmp_path / "out.jsonl"
    done = venire("grade", file, "--out", out, "--json", url=url)
    assert done.returncode == 2
    assert not out.exists()
    told = {line["line"]: " ".join(line["problems"]) for line in said(done)["lines"]}
    assert sorted(told) == [3, 4, 5, 6, 7]
    assert "not JSON" in told[3]
    for place in (
        "prompt: must be a string",
        "answers: must have at least 1",
        "tone: there is no such field",
    ):
        assert place in told[4]
    assert "there is no rubric 'nix'" in told[5]
    assert "takes 1, not 2" in told[6]
    assert "timeout_s: must be more than 0" in told[7]
    assert "nothing paid" in done.stderr


def test_stdin_and_a_rubric_for_all_lines_will_do(url):
    lines = "\n".join(json.dumps(one) for one in requests(3))
    done = venire("grade", "-", "--rubric", "help", url=url, stdin=lines)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 3


def test_a_line_that_the_service_refuses_is_recorded_and_the_others_are_graded(url, tmp_path):
    lines = requests(3, rubric="help")
    lines[1]["panel"] = {"families": 9}
    done = venire("grade", write_lines(tmp_path / "r.jsonl", lines), url=url)
    assert done.returncode == 1
    by_line = {record["line"]: record for record in map(json.loads, done.stdout.splitlines())}
    assert by_line[2]["error"]["type"] == "/problems/too-few-families"
    assert by_line[1]["grade"]["status"] == by_line[3]["grade"]["status"] == "complete"


def test_a_file_of_something_else_is_not_written_over(url, tmp_path):
    file, out = write_lines(tmp_path / "r.jsonl", requests(1, rubric="help")), tmp_path / "notes.txt"
    out.write_text("my notes\nmore notes\n")
    done = venire("grade", file, "--out", out, url=url)
    assert done.returncode == 1
    assert out.read_text() == "my notes\nmore notes\n"


def test_checking_sends_nothing(url, tmp_path):
    file = write_lines(tmp_path / "r.jsonl", requests(5, rubric="help"))
    done = venire("grade", file, "--check", "--json", url=url)
    assert (done.returncode, said(done)) == (0, {"lines": 5, "bad": 0})

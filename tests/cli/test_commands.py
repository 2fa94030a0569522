import json
from pathlib import Path

import pytest

from tests.cli.commands import RUBRIC, graded_by_people, recorded, said, venire, write_csv


def test_a_rubric_is_put_once_and_shown(url, rubric_file):
    again = venire("rubrics", "put", rubric_file, url=url)
    assert (again.returncode, again.stdout) == (0, "help, version 1: nothing has changed\n")
    assert said(venire("rubrics", "show", "help", "--json", url=url))["version"] == 1
    assert "help" in [one["name"] for one in said(venire("rubrics", "list", "--json", url=url))]


def test_a_rubric_may_come_from_stdin_under_a_name(url):
    done = venire("rubrics", "put", "-", "--name", "from stdin", url=url, stdin=json.dumps(RUBRIC))
    assert done.returncode == 0, done.stderr
    assert venire("rubrics", "show", "from stdin", url=url).returncode == 0


def test_a_wrong_rubric_is_told_everything_that_is_wrong(url):
    wrong = {"kind": "sideways", "criteria": []}
    done = venire("rubrics", "put", "-", "--name", "wrong", url=url, stdin=json.dumps(wrong))
    assert done.returncode == 1
    for place in ("body.kind", "body.instructions", "body.criteria"):
        assert place in done.stderr


def test_an_error_is_a_problem_document_for_pipes(url):
    done = venire("quality", "--rubric", "nix", "--criterion", "x", "--json", url=url)
    assert done.returncode == 1
    assert said(done)["type"] == "/problems/not-found"
    assert "'nix'" in done.stderr


def test_wrong_anchors_are_a_finding_with_every_row(url, tmp_path):
    rows = graded_by_people(2)
    rows[0]["score"], rows[3]["annotator_type"] = 9, "gpt-4"
    file = write_csv(tmp_path / "a.csv", rows)
    done = venire("anchors", "upload", file, "--rubric", "help", "--set", "s", url=url)
    assert done.returncode == 2
    assert "row 1, score" in done.stderr
    assert "row 4, annotator_type" in done.stderr
    assert venire("anchors", "show", "s", url=url).returncode == 1


def test_wrong_rows_are_written_mended_and_sent_back(url, tmp_path):
    rows = graded_by_people(2)
    rows[0]["score"] = 9
    file, wrong = write_csv(tmp_path / "a.csv", rows), tmp_path / "wrong.csv"
    about = ("anchors", "upload", file, "--rubric", "help", "--set", "mended", "--dry-run")
    done = venire(*about, "--problems", wrong, url=url)
    assert done.returncode == 2
    assert f"--corrections {wrong}" in done.stderr
    head, row = wrong.read_text().splitlines()
    wrong.write_text(f"{head}\n{row.replace(',9', ',5')}\n")
    done = venire(*about, "--corrections", wrong, url=url)
    assert (done.returncode, "The file fits" in done.stdout) == (0, True)


def test_a_template_is_written_or_printed(url, tmp_path):
    printed = venire("anchors", "template", "--rubric", "help", url=url)
    assert printed.stdout.startswith("item_id,prompt,system,answer,score,annotator")
    file = tmp_path / "t.xlsx"
    about = ("anchors", "template", "--rubric", "help", "--format", "xlsx", "--output", file)
    assert venire(*about, url=url).returncode == 0
    assert file.read_bytes().startswith(b"PK")


def test_a_set_is_compared_exported_and_retired(url, tmp_path):
    rows = graded_by_people(2)
    file, exported = write_csv(tmp_path / "a.csv", rows), tmp_path / "e.csv"
    about = ("--rubric", "help", "--set", "kept")
    assert venire("anchors", "upload", file, *about, url=url).returncode == 0
    person = rows[0]["annotator"]
    gone = venire("anchors", "retire", "kept", "--annotator", person, "--reason", "left us", url=url)
    assert (gone.returncode, "left." in gone.stdout) == (0, True)
    compared = venire("anchors", "diff", "kept", "--csv", tmp_path / "d.csv", "--json", url=url)
    removed = said(compared)["removed"]
    assert removed > 0
    assert len((tmp_path / "d.csv").read_text().splitlines()) == removed + 1
    venire("anchors", "export", "kept", "--version", "1", "--output", exported, url=url)
    assert len(exported.read_text().splitlines()) == len(rows) + 1
    look = venire("anchors", "retire", "kept", "--everything", "--dry-run", "--reason", "x", url=url)
    assert "would leave kept" in look.stdout


def test_a_dry_run_stores_nothing(url, tmp_path):
    file = write_csv(tmp_path / "a.csv", graded_by_people(2))
    done = venire("anchors", "upload", file, "--rubric", "help", "--set", "dry", "--dry-run", url=url)
    assert done.returncode == 0
    assert "Nothing was stored" in done.stdout
    assert "dry" not in [one["name"] for one in said(venire("anchors", "list", "--json", url=url))]
    verdicts = write_csv(tmp_path / "v.csv", recorded(2))
    done = venire("verdicts", "import", verdicts, "--rubric", "help", "--dry-run", "--json", url=url)
    assert said(done)["status"] == "checked"


def test_a_mapping_says_which_column_is_which(url, tmp_path):
    rows = [{"rating": row.pop("score"), **row} for row in graded_by_people(2)]
    mapping = tmp_path / "m.json"
    mapping.write_text(json.dumps({"columns": {"score": "rating"}}))
    file = write_csv(tmp_path / "a.csv", rows)
    command = ("anchors", "upload", file, "--rubric", "help", "--set", "dry", "--dry-run")
    assert venire(*command, url=url).returncode == 2
    assert venire(*command, "--mapping", mapping, url=url).returncode == 0


def test_wrong_verdicts_are_a_finding(url, tmp_path):
    rows = recorded(2)
    rows[1]["score"] = 77
    file = write_csv(tmp_path / "v.csv", rows)
    done = venire("verdicts", "import", file, "--rubric", "help", url=url)
    assert done.returncode == 2
    assert "row 2, score" in done.stderr
    assert "Traceback" not in done.stderr


def test_quality_is_a_table_for_people_and_json_for_pipes(calibrated):
    command = ("quality", "--rubric", "help", "--criterion", "helpfulness")
    lines = venire(*command, url=calibrated).stdout.splitlines()
    assert lines[0].split() == [
        "system",
        "items",
        "anchors",
        "raw",
        "corrected",
        "95%",
        "interval",
        "n_eff",
        "status",
    ]
    table = said(venire(*command, "--by", "system", "--by", "stratum.language", "--json", url=calibrated))
    assert len(table["rows"]) == 6
    assert any(line.startswith("The judges ") or line.startswith("Whether the judges ") for line in lines)
    assert table["simulated"] is False


@pytest.mark.parametrize(
    ("baseline", "candidate", "margin", "verdict", "code"),
    [
        ("bad", "good", 0.1, "better", 0),
        ("good", "bad", 0.1, "worse", 2),
        ("good", "like-good", 0.6, "equivalent", 0),
        ("good", "like-good", 0.0, "inconclusive", 3),
    ],
)
def test_a_comparison_speaks_by_its_exit_code(calibrated, baseline, candidate, margin, verdict, code):
    about = ("--rubric", "help", "--criterion", "helpfulness", "--margin", margin)
    done = venire(
        "compare", *about, "--baseline", baseline, "--candidate", candidate, "--json", url=calibrated
    )
    assert (said(done)["verdict"], done.returncode) == (verdict, code)


def test_several_candidates_are_compared_at_once_and_the_worst_row_is_the_exit_code(calibrated):
    about = ("--rubric", "help", "--criterion", "helpfulness", "--margin", 0.6, "--baseline")
    for baseline, code in (("bad", 0), ("good", 2)):
        done = venire("compare", *about, baseline, "--adjustment", "bh", url=calibrated)
        assert done.returncode == code, done.stdout
        assert "adjusted over 2 rows" in done.stdout
        for system in {"bad", "good", "like-good"} - {baseline}:
            assert system in done.stdout
    found = said(venire("compare", *about, "bad", "--candidate", "good", "--candidate", "like-good", "--json",
                        url=calibrated))  # fmt: skip
    assert [row["verdict"] for row in found["rows"]] == ["better", "better"]


def test_a_comparison_under_an_older_rubric_decides_nothing(url, tmp_path):
    def put(instructions):
        rubric = json.dumps(RUBRIC | {"instructions": instructions})
        assert venire("rubrics", "put", "-", "--name", "ages", url=url, stdin=rubric).returncode == 0

    put("Judge.")
    verdicts, people = (
        write_csv(tmp_path / "v.csv", recorded()),
        write_csv(tmp_path / "a.csv", graded_by_people()),
    )
    assert venire("verdicts", "import", verdicts, "--rubric", "ages", url=url).returncode == 0
    done = venire("anchors", "upload", people, "--rubric", "ages", "--set", "ages", url=url)
    assert done.returncode == 0, done.stderr
    assert venire("calibrate", "--rubric", "ages", "--wait", url=url).returncode == 0
    about = ("--rubric", "ages", "--criterion", "helpfulness", "--baseline", "bad", "--candidate", "good")
    assert venire("compare", *about, url=url).returncode == 0
    put("Judge with more care.")
    done = venire("compare", *about, url=url)
    assert done.returncode == 3
    assert "decides nothing" in done.stdout + done.stderr
    done = venire("compare", *about, "--json", url=url)
    assert (said(done)["status"], done.returncode) == ("stale", 3)


def test_the_details_of_a_judge_are_told_with_its_biases(calibrated):
    done = venire("bias", "gpt-x", "--rubric", "help", "--details", url=calibrated)
    assert done.returncode == 0, done.stderr
    assert "score, calibrated" in done.stdout
    assert "people less calibrated score, by system" in done.stdout
    assert "severity: " in done.stdout
    told = said(venire("bias", "gpt-x", "--rubric", "help", "--details", "--json", url=calibrated))
    assert {kind for found in told["details"].values() for kind in found} == {
        *("reliability", "residuals", "contribution", "examples")
    }


def test_the_bias_of_a_judge_is_told_in_sentences(calibrated):
    done = venire("bias", "gpt-x", "--rubric", "help", "--groups", url=calibrated)
    assert done.returncode == 0, done.stderr
    assert "gpt-x grades" in done.stdout
    assert "severity" in done.stdout
    assert "adds to each language" in done.stdout


def test_nothing_to_tell_of_a_judge_is_inconclusive(calibrated):
    done = venire("bias", "alder-1", "--rubric", "help", url=calibrated)
    assert done.returncode == 3
    assert "no verdicts" in done.stdout


def test_a_judge_that_nobody_knows_is_an_error(calibrated):
    done = venire("bias", "nobody", "--rubric", "help", url=calibrated)
    assert done.returncode == 1
    assert "nobody" in done.stderr


def test_calibrations_are_listed_and_shown(calibrated):
    newest = said(venire("calibrations", "list", "--rubric", "help", "--json", url=calibrated))[0]
    assert newest["status"] == "done"
    done = venire("calibrations", "show", newest["calibration_id"], url=calibrated)
    assert "fixed effects" in done.stdout
    assert venire("calibrations", "show", "c_0000000000000", url=calibrated).returncode == 1


def test_a_refused_calibration_is_a_finding(url):
    venire("rubrics", "put", "-", "--name", "bare", url=url, stdin=json.dumps(RUBRIC))
    done = venire("calibrate", "--rubric", "bare", "--wait", url=url)
    assert done.returncode == 2
    assert "refused" in done.stdout


def test_the_same_import_twice_changes_nothing(calibrated, tmp_path):
    file = write_csv(tmp_path / "v.csv", recorded())
    done = venire("verdicts", "import", file, "--rubric", "help", "--json", url=calibrated)
    assert (done.returncode, said(done)["repeated"]) == (0, True)


def test_judges_are_listed_with_what_to_know_of_them(url):
    done = venire("judges", "list", url=url)
    assert "alder-1" in done.stdout
    assert "simulated" in done.stdout


def test_discovering_where_nothing_is_fails_in_words():
    done = venire("judges", "discover", "http://127.0.0.1:9")
    assert done.returncode == 1
    assert "offers no models" in done.stderr
    assert "Traceback" not in done.stderr


def test_probing_without_a_roster_says_what_is_missing(tmp_path: Path):
    done = venire("judges", "probe")
    assert done.returncode == 1
    assert "--judges" in done.stderr


def test_a_set_is_rotated_and_the_rotation_reported(calibrated):
    plan = venire("anchors", "rotation-plan", "gold", "--share", "0.05", url=calibrated)
    assert "items would leave" in plan.stdout
    done = venire("anchors", "rotate", "gold", "--share", "0.05", "--no-draw", "--json", url=calibrated)
    assert done.returncode == 0, done.stderr
    rotation = said(done)
    assert rotation["queue"] is None
    assert rotation["id"] in venire("anchors", "rotations", "gold", url=calibrated).stdout
    told = venire("anchors", "rotations", "gold", rotation["id"], url=calibrated)
    assert told.stdout.startswith("helpfulness")
    refused = venire("anchors", "rotate", "gold", "--share", "0.4", url=calibrated)
    assert (refused.returncode, "leaves an overlap of 0.6" in refused.stderr) == (1, True)


def test_anchors_are_drawn_to_be_graded_cold_and_the_audit_says_that_nobody_has(url, tmp_path):
    rows = [
        {"item_id": f"q{k}", "prompt": f"Question {k}?", "answer": f"Answer {k}.", "system": "good",
         "annotator": "ann", "annotator_type": "expert", "criterion": "helpfulness", "score": 1 + k % 5}
        for k in range(30)
    ]  # fmt: skip
    file = write_csv(tmp_path / "cold.csv", rows)
    assert venire("anchors", "upload", file, "--rubric", "help", "--set", "cold", url=url).returncode == 0
    plan = said(venire("audit", "regrade", "--set", "cold", "--items", "12", "--plan", "--json", url=url))
    assert [(one["size"], one["drawn"]) for one in plan["cells"]] == [(30, 12)]
    drawn = venire("audit", "regrade", "--set", "cold", "--items", "12", url=url)
    assert (drawn.returncode, "'cold cold 1': somebody not ann" in drawn.stdout) == (0, True), drawn.stderr
    audited = venire("audit", "disagreement", "--set", "cold", "--regrade", "cold cold 1", "--json", url=url)
    assert audited.returncode == 3
    assert "The data cannot tell" in said(audited)["summary"]

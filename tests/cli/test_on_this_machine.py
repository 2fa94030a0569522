"""Commands without an address: straight on the database of this machine."""

import sqlite3

from tests.cli.commands import graded_by_people, recorded, requests, said, venire, write_csv, write_lines


def test_everything_from_rubric_to_quality_works_without_a_service(tmp_path, rubric_file):
    here = {"VENIRE_DATA_DIR": tmp_path / "data"}
    assert venire("rubrics", "put", rubric_file, **here).returncode == 0
    verdicts = write_csv(tmp_path / "v.csv", recorded())
    assert venire("verdicts", "import", verdicts, "--rubric", "help", **here).returncode == 0
    people = write_csv(tmp_path / "a.csv", graded_by_people())
    uploaded = venire("anchors", "upload", people, "--rubric", "help", "--set", "gold", **here)
    assert uploaded.returncode == 0, uploaded.stderr
    assert "calibration of helpfulness: done" in uploaded.stderr
    table = said(venire("quality", "--rubric", "help", "--criterion", "helpfulness", "--json", **here))
    assert {row["status"] for row in table["rows"]} == {"calibrated"}


def test_grades_are_kept_per_project(tmp_path, rubric_file):
    here = {"VENIRE_DATA_DIR": tmp_path / "data"}
    venire("rubrics", "put", rubric_file, "--project", "ours", **here)
    file = write_lines(tmp_path / "r.jsonl", requests(4))
    done = venire("grade", file, "--rubric", "help", "--project", "ours", **here)
    assert done.returncode == 0, done.stderr
    assert said(venire("rubrics", "list", "--json", "--project", "ours", **here))[0]["name"] == "help"
    assert said(venire("rubrics", "list", "--json", **here)) == []


def test_the_first_key_can_be_made_before_any_other_machine_is_served(tmp_path):
    here = {"VENIRE_DATA_DIR": tmp_path / "data", "VENIRE_HOST": "0.0.0.0"}
    assert venire("serve", **here).returncode == 1
    made = venire("keys", "create", "first", "--json", **here)
    assert made.returncode == 0, made.stderr
    key = said(made)
    assert key["scopes"] == ["admin"]
    listed = said(venire("keys", "list", "--json", **here))
    assert [one["id"] for one in listed] == [key["id"]]
    assert key["key"] not in str(listed)
    assert venire("keys", "revoke", key["id"], **here).returncode == 0
    assert said(venire("keys", "list", "--json", **here))[0]["revoked_at"] is not None


def test_the_database_is_brought_up_to_date_twice_without_harm(tmp_path):
    here = {"VENIRE_DATA_DIR": tmp_path / "data"}
    for _ in range(2):
        done = venire("db", "upgrade", "--json", **here)
        assert done.returncode == 0, done.stderr
        assert said(done)["database"].endswith("/data/venire.db")
    with sqlite3.connect(tmp_path / "data" / "venire.db") as database:
        assert database.execute("SELECT count(*) FROM verdicts").fetchone() == (0,)


def test_a_project_is_no_choice_at_an_address():
    done = venire("judges", "list", "--url", "http://127.0.0.1:9", "--project", "ours")
    assert done.returncode == 1
    assert "--project" in done.stderr

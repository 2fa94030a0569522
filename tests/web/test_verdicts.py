import io
import json
import time
from typing import Any

import pytest

from tests.anchoring.files import EXAMPLES, csv_file, gzipped, jsonl_file, verdict

PROBLEM = "application/problem+json"


def rows(count: int = 40, judge: str = "judge") -> list[dict[str, Any]]:
    return [
        verdict(item_id=f"q{k // 4}", judge=f"{judge}-{k % 4}", criterion="helpfulness", score=1 + k % 5)
        for k in range(count)
    ]


@pytest.fixture
def post(client):
    def upload(file: io.BytesIO | bytes, expect: int = 200, **form: Any) -> dict[str, Any]:
        content = file if isinstance(file, bytes) else file.getvalue()
        answer = client.post("/verdicts", files={"file": ("v", content)}, data={"rubric": "point", **form})
        assert answer.status_code == expect, answer.text
        if expect >= 400:
            assert answer.headers["content-type"] == PROBLEM
        if expect == 202:
            assert answer.headers["location"] == f"/imports/{answer.json()['import_id']}"
        body: dict[str, Any] = answer.json()
        return body

    return upload


@pytest.fixture
def ended(client):
    def wait(import_id: str) -> dict[str, Any]:
        until = time.monotonic() + 120
        while time.monotonic() < until:
            answer = client.get(f"/imports/{import_id}")
            assert answer.status_code == 200, answer.text
            body: dict[str, Any] = answer.json()
            if body["status"] in ("done", "failed"):
                return body
            time.sleep(0.05)
        raise AssertionError(f"the import did not end: {body}")

    return wait


def test_a_small_file_is_stored_before_the_answer(post, client):
    body = post(csv_file(rows(judge="small")))
    assert (body["status"], body["verdicts"], body["duplicates"]) == ("done", 40, 0)
    assert (body["items"], body["judges"], body["rows_total"], body["rows_stored"]) == (10, 4, 40, 40)
    assert client.get(f"/imports/{body['import_id']}").json() == body


def test_the_same_file_twice_changes_nothing(post):
    first = post(csv_file(rows(judge="twice")))
    again = post(csv_file(rows(judge="twice")))
    assert (again["repeated"], again["import_id"]) == (True, first["import_id"])
    in_another_format = post(jsonl_file(rows(judge="twice")))
    assert (in_another_format["verdicts"], in_another_format["duplicates"]) == (0, 40)


def test_a_large_file_goes_on_behind_and_tells_how_far_it_is(post, ended):
    many = csv_file(rows(20_000, judge="many"))
    begun = post(many, 202, wait="false")
    assert begun["status"] == "checking"
    assert begun["bytes_total"] == len(many.getvalue())
    done = ended(begun["import_id"])
    assert (done["status"], done["verdicts"], done["rows_total"]) == ("done", 20_000, 20_000)
    assert done["bytes_read"] == done["bytes_total"]


def test_a_large_file_with_a_wrong_row_fails_whole_and_says_which(post, ended):
    bad = [
        *rows(9000, judge="bad"),
        verdict(item_id="q", judge="bad-9", criterion="helpfulness", score="six"),
    ]
    failed = ended(post(csv_file(bad), 202, wait="false")["import_id"])
    assert (failed["status"], failed["verdicts"]) == ("failed", 0)
    assert failed["errors"][0]["row"] == 9001
    assert failed["errors"][0]["problem"] == "is not a number"
    assert failed["counts"] == {"score is not a number": 1}
    assert post(csv_file(rows(9000, judge="bad")), wait="true")["verdicts"] == 9000


def test_a_small_file_with_wrong_rows_is_a_422_that_names_them(post):
    body = post(csv_file([verdict(criterion="helpfulness", score=9, judge_family="")]), 422)
    assert [(error["row"], error["column"]) for error in body["errors"]] == [
        (1, "judge_family"),
        (1, "score"),
    ]


def test_unscored_rows_and_draws_are_kept(post):
    told = [
        verdict(criterion="helpfulness", judge="told", draw=1, unscored="refusal", score=""),
        verdict(criterion="helpfulness", judge="told", draw=2, unscored="", score=4),
    ]
    body = post(csv_file(told))
    assert (body["verdicts"], body["unscored"]) == (2, 1)


def test_pairs_are_imported_in_the_order_shown(post):
    row = {"item_id": "q", "judge": "pairs", "judge_family": "f", "verdict": "A"}
    both = [row | {"system_a": "a", "system_b": "b"}, row | {"system_a": "b", "system_b": "a"}]
    assert post(csv_file(both), rubric="pair")["verdicts"] == 2


def test_a_dry_run_checks_and_stores_nothing(post):
    body = post(csv_file(rows(judge="dry")), dry_run="true")
    assert (body["status"], body["import_id"], body["rows_total"]) == ("checked", None, 40)
    assert post(csv_file(rows(judge="dry")))["verdicts"] == 40


def test_what_cannot_be_begun_is_a_clear_4xx(post, client):
    assert "PUT /rubrics/nothing" in post(csv_file(rows()), 404, rubric="nothing")["detail"]
    assert post(csv_file(rows()), 422, mapping='{"columns": {"annotator": "x"}}')["errors"]
    header = b"item_id,system,judge,judge_family,score,answer\n"
    bomb = gzipped(io.BytesIO(header + (b"q,s,j,f,1," + b"x" * 100_000 + b"\n") * 500))
    assert "refused as a bomb" in post(bomb, 413)["detail"]
    assert client.get("/imports/i_0000000000000").status_code == 404
    assert client.get("/imports/nonsense").status_code == 404


@pytest.mark.real_data
@pytest.mark.parametrize(
    "rubric, folder, count",
    [
        ("hanna", "hanna", 126_720),
        ("llmbar", "llmbar", 48_604),
        ("llmbar_ratings", "llmbar", 5_866),
        ("conala_ice", "conala_ice", 10_000),
        ("llm_rubric", "llm_rubric", 8_064),
        ("pandalm", "pandalm", 1_998),
        ("ragchecker_scores", "ragchecker_meta", 1_680),
        ("cje_arena", "cje_arena_oracle", 4_000),
    ],
)
def test_the_recorded_verdicts_come_in_by_a_mapping(post, ended, client, shared_data, rubric, folder, count):
    content = json.loads((EXAMPLES / "rubrics" / f"{rubric}.json").read_text())
    assert client.put(f"/rubrics/{rubric}", json=content).is_success
    mapping = (EXAMPLES / "imports" / f"{rubric}.verdicts.json").read_text()
    file = (shared_data / folder / "grades.csv.gz").read_bytes()
    begun = post(file, 202, rubric=rubric, mapping=mapping, wait="false")
    done = ended(begun["import_id"])
    assert (done["status"], done["verdicts"], done["duplicates"]) == ("done", count, 0)

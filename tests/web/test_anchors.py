import io
import json
import time
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet as pq

from tests.anchoring import shapes
from tests.anchoring.files import EXAMPLES, csv_file, grade, gzipped, jsonl_file, preference

PROBLEM = "application/problem+json"


def rows(count: int = 12) -> list[dict[str, Any]]:
    return [
        grade(item_id=f"q{k % 4}", annotator=f"ann-{k // 4}", criterion="helpfulness", score=1 + k % 5)
        for k in range(count)
    ]


@pytest.fixture
def post(client):
    def upload(file: io.BytesIO | bytes, expect: int = 200, **form: Any) -> dict[str, Any]:
        content = file if isinstance(file, bytes) else file.getvalue()
        data = {"rubric": "point", "anchor_set": "gold", **form}
        answer = client.post("/anchors", files={"file": ("grades", content)}, data=data)
        assert answer.status_code == expect, answer.text
        if expect >= 400:
            assert answer.headers["content-type"] == PROBLEM
        body: dict[str, Any] = answer.json()
        return body

    return upload


def test_an_upload_answers_what_the_set_is_now(post, client):
    body = post(csv_file(rows()), anchor_set="first")
    assert {
        key: body[key] for key in ("anchor_set", "version", "items", "grades", "annotators", "warnings")
    } == {
        "anchor_set": "first",
        "version": 1,
        "items": 4,
        "grades": 12,
        "annotators": 3,
        "warnings": [],
    }
    assert len(body["sha256"]) == 64
    assert (body["changed"], body["dry_run"], body["format"], body["rows"]) == (True, False, "csv", 12)


def test_the_same_file_twice_changes_nothing(post):
    first = post(csv_file(rows()), anchor_set="twice")
    again = post(csv_file(rows()), anchor_set="twice")
    assert (again["version"], again["changed"], again["added"]) == (first["version"], False, 0)


@pytest.mark.parametrize("format_", ["csv.gz", "jsonl", "parquet"])
def test_other_formats_are_read_too(post, format_):
    parquet = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows()), parquet)
    files = {"csv.gz": gzipped(csv_file(rows())), "jsonl": jsonl_file(rows()), "parquet": parquet}
    assert post(files[format_], anchor_set=format_)["grades"] == 12


def test_a_dry_run_checks_and_stores_nothing(post, client):
    body = post(csv_file(rows()), anchor_set="dry", dry_run="true")
    assert (body["dry_run"], body["version"], body["rows"], body["grades"]) == (True, None, 12, 12)
    assert client.get("/anchor-sets/dry").status_code == 404


def test_wrong_rows_are_answered_with_row_column_problem_and_value(post, client):
    bad = [*rows(), grade(item_id="q8", criterion="helpfulness", score="4,5"), grade(criterion="wit")]
    body = post(csv_file(bad), 422, anchor_set="bad")
    assert body["type"] == "/problems/bad-input"
    assert body["errors"] == [
        {
            "row": 13,
            "column": "score",
            "problem": "is not a number: write a decimal point, not a comma",
            "value": "4,5",
        },
        {
            "row": 14,
            "column": "criterion",
            "problem": "is no criterion of the rubric; it has helpfulness",
            "value": "wit",
        },
    ]
    assert sum(body["counts"].values()) == 2
    assert client.get("/anchor-sets/bad").status_code == 404


def test_a_thousand_wrong_rows_are_listed_and_all_are_counted(post):
    body = post(
        csv_file([grade(item_id=f"q{k}", criterion="helpfulness", score=9) for k in range(1500)]), 422
    )
    assert len(body["errors"]) == 1000
    assert body["counts"] == {"score is outside helpfulness's scale, 1 to 5": 1500}


def test_grades_that_a_model_gave_are_refused(post):
    body = post(csv_file([row | {"annotator_type": "llm_oracle"} for row in rows()]), 422)
    assert "anchors are human grades" in body["errors"][0]["problem"]


@pytest.mark.real_data
def test_the_oracle_of_cje_arena_is_refused_with_the_reason(post, client, shared_data):
    rubric = json.loads((EXAMPLES / "rubrics/cje_arena.json").read_text())
    assert client.put("/rubrics/cje_arena", json=rubric).is_success
    oracle = (shared_data / "cje_arena_oracle/human.csv.gz").read_bytes()
    body = post(oracle, 422, rubric="cje_arena", anchor_set="oracle")
    assert "names a model ('llm'), not a person: anchors are human grades" in body["errors"][0]["problem"]
    assert sum(body["counts"].values()) == 1260


@pytest.mark.real_data
@pytest.mark.parametrize(
    "rubric, folder, grades",
    [
        ("hanna", "hanna", 19_008),
        ("llmbar", "llmbar", 419),
        ("conala_ice", "conala_ice", 11_033),
        ("llm_rubric", "llm_rubric", 7_574),
        ("pandalm", "pandalm", 2_997),
        ("ragchecker", "ragchecker_meta", 1_680),
    ],
)
def test_the_recorded_human_grades_come_in_by_a_mapping(post, client, shared_data, rubric, folder, grades):
    assert client.put(f"/rubrics/{rubric}", content=_read(f"rubrics/{rubric}.json"), headers=_JSON).is_success
    content = (shared_data / folder / "human.csv.gz").read_bytes()
    body = post(content, rubric=rubric, anchor_set=rubric, mapping=_read(f"imports/{rubric}.anchors.json"))
    assert body["grades"] == grades


_JSON = {"content-type": "application/json"}


def _read(name: str) -> str:
    return (EXAMPLES / name).read_text()


def test_a_mapping_is_obeyed_and_a_wrong_one_is_explained(post):
    renamed = [{**row, "rating": row["score"]} for row in rows()]
    for row in renamed:
        del row["score"]
    mapping = json.dumps({"columns": {"score": "rating"}})
    assert post(csv_file(renamed), anchor_set="mapped", mapping=mapping)["grades"] == 12
    body = post(csv_file(renamed), 422, mapping='{"columns": {"skore": "rating"}}')
    assert body["errors"][0]["path"] == "mapping.columns.skore"
    assert "did you mean score?" in body["errors"][0]["problem"]
    assert post(csv_file(renamed), 422, mapping="{")["errors"][0]["path"] == "mapping"


def test_preferences_are_uploaded_for_a_pairwise_rubric(post):
    pairs = [preference(item_id=f"q{k}", verdict=word) for k, word in enumerate(("A", "B", "tie"))]
    assert post(csv_file(pairs), rubric="pair", anchor_set="pairs")["grades"] == 3


def test_replace_makes_the_file_the_whole_set(post):
    post(csv_file(rows()), anchor_set="replaced")
    body = post(csv_file(rows(4)), anchor_set="replaced", replace="true")
    assert (body["version"], body["grades"], body["removed"]) == (2, 4, 8)


def test_a_rubric_that_is_not_there_is_a_404_that_says_how_to_make_it(post):
    body = post(csv_file(rows()), 404, rubric="nothing")
    assert "PUT /rubrics/nothing" in body["detail"]


def test_a_set_of_another_rubric_is_a_conflict(post):
    post(csv_file(rows()), anchor_set="mine")
    pairs = csv_file([preference()])
    assert "belongs to the rubric 'point'" in post(pairs, 409, rubric="pair", anchor_set="mine")["detail"]


@pytest.mark.parametrize(
    "content, status, says",
    [
        (b"", 422, "empty"),
        (b"item_id,score\n", 422, "no rows"),
        (b"%PDF-1.7", 415, "PDF"),
        ("item_id,score\nq1,4\n".encode("utf-16"), 415, "UTF-16"),
        (b"item_id,score\nq\xe91,4\n", 422, "0xE9"),
        (b"item_id,score\nq\x001,4\n", 422, "NUL"),
        (b"item_id,score,system\nq1;4;bot\nq2;4;bot\n", 422, "mixed"),
        (b"item_id,score,score\nq1,4,5\n", 422, "same name"),
        (b'[{"item_id": "q1"}]', 415, "one JSON object per line"),
        (b"PK\x03\x04 no workbook", 422, "damaged"),
        (b"PAR1 no parquet PAR1", 422, "damaged"),
        (b"\x1f\x8b\x08\x00 no gzip", 422, "damaged"),
        (b"x" * 9_000_000, 422, "longer than 8 MiB"),
    ],
)
def test_a_file_that_cannot_be_read_is_a_clear_4xx(post, content, status, says):
    assert says in post(content, status)["detail"]


def test_fields_that_are_missing_are_named(client):
    answer = client.post("/anchors", files={"file": ("x", b"a,b\n1,2\n")}, data={"rubric": "point"})
    assert answer.status_code == 422
    assert [error["path"] for error in answer.json()["errors"]] == ["body.anchor_set"]
    assert client.post("/anchors", json={"rubric": "point"}).status_code == 415


def test_sets_are_listed_in_pages_and_shown_with_their_versions(post, client):
    for name in ("list-a", "list-b", "list-c"):
        post(csv_file(rows()), anchor_set=name)
    post(csv_file([grade(item_id="q9", criterion="helpfulness")]), anchor_set="list-b")
    page = client.get("/anchor-sets", params={"limit": 200, "rubric": "point"}).json()
    names = [entry["name"] for entry in page["items"]]
    assert names == sorted(names)
    assert {"list-a", "list-b", "list-c"} <= set(names)
    short = client.get("/anchor-sets", params={"limit": 1}).json()
    after = client.get("/anchor-sets", params={"limit": 1, "cursor": short["next_cursor"]}).json()
    assert short["items"][0]["name"] < after["items"][0]["name"]
    one = client.get("/anchor-sets/list-b").json()
    assert (one["name"], one["version"], one["grades"], one["rubric"]) == ("list-b", 2, 13, "point")
    assert [version["version"] for version in one["versions"]] == [2, 1]
    assert one["created_at"].endswith("Z")


def test_a_set_that_is_not_there_is_a_404(client):
    answer = client.get("/anchor-sets/nothing")
    assert (answer.status_code, answer.headers["content-type"]) == (404, PROBLEM)


def test_an_idempotency_key_answers_the_same_upload_the_same_way(client):
    for expected in (None, "true"):
        answer = client.post(
            "/anchors",
            files={"file": ("grades.csv", csv_file(rows()).getvalue())},
            data={"rubric": "point", "anchor_set": "keyed"},
            headers={"Idempotency-Key": "upload-1"},
        )
        assert (answer.status_code, answer.json()["changed"]) == (200, True)
        assert answer.headers.get("idempotency-replayed") == expected


def test_versions_are_compared_and_people_and_items_retired(post, client):
    post(csv_file(rows()), anchor_set="renewed")
    changed = rows()
    changed[0]["score"] = 5
    post(csv_file(changed[:5]), anchor_set="renewed")
    body = {"items": ["q3"], "annotators": ["ann-2"], "reason": "seen in training"}
    retired = client.post("/anchor-sets/renewed/retirements", json=body).json()
    assert (retired["version"], retired["grades"], retired["warnings"]) == (
        3, 6, ["Retired: seen in training"],
    )  # fmt: skip
    first = client.get("/anchor-sets/renewed/difference?before=1&after=2").json()
    assert (first["added"], first["removed"], first["changed"]) == (0, 0, 1)
    assert [(one["before"], one["after"]) for one in first["grades"]] == [(1.0, 5.0)]
    second = client.get("/anchor-sets/renewed/difference?before=2&after=3").json()
    assert (second["added"], second["removed"], second["changed"]) == (0, 6, 0)
    again = client.post("/anchor-sets/renewed/retirements", json=body).json()
    assert (again["version"], again["retired_grades"], again["unknown"]) == (3, 0, ["ann-2", "q3"])
    assert client.get("/anchor-sets/renewed/difference?before=1&after=9").status_code == 404
    assert client.post("/anchor-sets/nowhere/retirements", json=body).status_code == 404
    nothing = client.post("/anchor-sets/renewed/retirements", json={"reason": "tidying up"})
    assert nothing.status_code == 422
    assert "everything: true" in nothing.json()["errors"][0]["problem"]


def bad_rows(count: int) -> bytes:
    return csv_file(
        [grade(item_id=f"q{k}", criterion="helpfulness", score=9 if k % 2 else 4) for k in range(count)]
    ).getvalue()


def test_every_wrong_row_is_answered_mended_and_stored_beside_the_file(post, client):
    content = bad_rows(2_500)
    asked = {"data": {"rubric": "point"}, "files": {"file": ("grades", content)}}
    answer = client.post("/anchors/problems", **asked)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/csv")
    lines = answer.text.splitlines()
    assert lines[0].startswith("venire_row,venire_problem,item_id")
    assert len(lines) == 1 + 1_250
    mended = answer.text.replace(",9\r\n", ",3\r\n")
    form = {"rubric": "point", "anchor_set": "mended"}
    both = {"file": ("grades", content), "corrections": ("problems.csv", mended)}
    for expected in (True, False):
        stored = client.post("/anchors", data=form, files=both)
        assert (stored.status_code, stored.json()["changed"]) == (200, expected), stored.text
    assert stored.json()["grades"] == 2_500
    nothing = client.post("/anchors/problems", data={"rubric": "point"}, files=both)
    assert nothing.text.splitlines() == [lines[0]]


@pytest.mark.parametrize(
    "corrections, problem",
    [
        (b"item_id,score\nq1,4\n", "which rows of the file are meant"),
        (b"venire_row,score\n99,4\n", "is no row of the file"),
        (b"venire_row,skore\n1,4\n", "is no column of the file"),
        (b"venire_row,score\nx,4\n", "is no row's number"),
    ],
)
def test_corrections_that_do_not_fit_are_explained(client, corrections, problem):
    both = {"file": ("grades", bad_rows(4)), "corrections": ("problems.csv", corrections)}
    form = {"rubric": "point", "anchor_set": "unmended"}
    answer = client.post("/anchors", data=form, files=both)
    assert (answer.status_code, answer.headers["content-type"]) == (422, PROBLEM)
    assert problem in answer.json()["errors"][0]["problem"]


def test_a_stored_mapping_is_remembered_for_its_columns_until_it_is_forgotten(post, client):
    rows_ = [{**row, "stars": row["score"], "lang": "de"} for row in rows()]
    for row in rows_:
        del row["score"]
    mapping = json.dumps({"columns": {"score": "stars", "stratum.language": "lang"}})
    post(csv_file(rows_), anchor_set="remembered", mapping=mapping)
    found = [m for m in client.get("/anchors/mappings").json()["items"] if "lang" in m["columns"]]
    assert [one["mapping"]["columns"]["score"] for one in found] == ["stars"]
    assert found[0]["kind"] == "pointwise"
    assert client.delete(f"/anchors/mappings/{found[0]['id']}").status_code == 204
    assert client.delete(f"/anchors/mappings/{found[0]['id']}").status_code == 404
    assert client.delete("/anchors/mappings/nonsense").status_code == 404


@pytest.mark.parametrize("kind", ["csv", "jsonl", "xlsx"])
def test_a_template_is_downloaded_and_has_no_grades_yet(post, client, kind):
    answer = client.get("/rubrics/point/anchor-template", params={"format": kind})
    assert answer.status_code == 200
    assert answer.headers["content-disposition"] == f'attachment; filename="point-anchors.{kind}"'
    assert "no grades yet" in post(answer.content, 422, anchor_set="empty")["detail"]


def test_a_template_of_no_rubric_or_no_kind_is_refused(client):
    assert client.get("/rubrics/nothing/anchor-template").status_code == 404
    assert client.get("/rubrics/point/anchor-template", params={"format": "doc"}).status_code == 422


def test_files_of_other_tools_are_found_out_guessed_and_stored(post, client):
    rubric = {"kind": "pointwise", "instructions": "Judge.", "criteria": [
        {"name": name, "description": "It is.", "scale": {"min": 1, "max": 5, "step": 1}}
        for name in ("helpful", "tone")
    ]}  # fmt: skip
    assert client.put("/rubrics/of tools", json=rubric).is_success
    for name, document, grades in (
        ("label-studio", shapes.label_studio(), 4),
        ("argilla", shapes.argilla(), 2),
        ("promptfoo", shapes.promptfoo(), 2),
        ("inspect", shapes.inspect_log(), 2),
    ):
        # Items keep their prompts for ever, and each tool's file has others.
        text = json.dumps(document).replace('"q1"', f'"{name}-1"').replace('"q2"', f'"{name}-2"')
        content = text.encode()
        body = post(content, rubric="of tools", anchor_set=name)
        assert (body["format"], body["grades"]) == (name, grades)
        again = post(content, rubric="of tools", anchor_set=name, format=name)
        assert (again["changed"], again["format"]) == (False, name)
    votes = post(shapes.lines(shapes.mt_bench()), rubric="pair", anchor_set="votes")
    assert (votes["format"], votes["grades"]) == ("mt-bench", 3)


def test_labels_by_models_and_files_of_another_tool_are_refused(post):
    tasks = [{**task, "annotations": []} for task in shapes.label_studio()]
    assert "anchors are human grades" in post(shapes.file(tasks), 422, anchor_set="models")["detail"]
    body = post(shapes.file(shapes.argilla()), 422, anchor_set="other", format="label-studio")
    assert "it looks like: Argilla records" in body["detail"]
    assert post(csv_file(rows()), 422, anchor_set="other", format="inspect")["detail"]
    assert post(csv_file(rows()), 422, format="fax")["errors"][0]["path"] == "body.format"


def test_versions_have_a_hash_of_their_content_whatever_made_them(post, client):
    post(csv_file(rows()), anchor_set="hashed-a")
    post(jsonl_file(reversed(rows())), anchor_set="hashed-b")
    changed = rows()
    changed[0]["score"] = 5
    post(csv_file(changed), anchor_set="hashed-b")
    post(csv_file(rows()), anchor_set="hashed-b")
    first, second = [client.get(f"/anchor-sets/hashed-{name}").json() for name in "ab"]
    hashes = [one["content_sha256"] for one in reversed(second["versions"])]
    assert hashes[0] == first["content_sha256"]
    assert len(set(hashes)) == 2
    assert [one["parent"] for one in reversed(second["versions"])] == [None, 1, 2]


def test_changes_are_filtered_paged_and_downloaded(post, client):
    post(csv_file(rows()), anchor_set="paged")
    changed = rows()
    for row in changed[:3]:
        row["score"] = 5 if row["score"] != 5 else 1
    more = [grade(item_id="q9", annotator="ann-0", criterion="helpfulness")]
    post(csv_file([*changed[:8], *more]), anchor_set="paged", replace="true")
    about = {"before": 1, "after": 2}
    path = "/anchor-sets/paged/difference"
    whole = client.get(path, params=about).json()
    assert (whole["changed"], whole["removed"], whole["added"]) == (3, 4, 1)
    assert [one["change"] for one in whole["grades"]] == ["changed"] * 3 + ["removed"] * 4 + ["added"]
    assert whole["before_sha256"] != whole["after_sha256"]
    first = client.get(path, params={**about, "limit": 5}).json()
    rest = client.get(path, params={**about, "limit": 5, "cursor": first["next_cursor"]}).json()
    assert first["grades"] + rest["grades"] == whole["grades"]
    assert rest["next_cursor"] is None
    for only, count in (
        ({"change": "removed"}, 4), ({"annotator": "ann-2"}, 4), ({"item": "q9"}, 1), ({"criterion": "x"}, 0),
    ):  # fmt: skip
        found = client.get(path, params=about | only).json()
        assert (len(found["grades"]), found["removed"]) == (count, 4)
    text = client.get(path, params={**about, "format": "csv", "change": "added"}).text.splitlines()
    assert text[0].startswith("change,item,system")
    assert len(text) == 2
    assert client.get(path, params={**about, "cursor": "nonsense"}).status_code == 422
    assert client.get(path, params={**about, "change": "else"}).status_code == 422
    page = client.get("/ui/anchor-sets/-/difference", params={"set": "paged", **about}).text
    assert "Changes 1 to 8 of 8" in page
    about |= {"set": "paged", "format": "json"}
    assert len(client.get("/ui/anchor-sets/-/difference", params=about).json()) == 8


def test_a_set_is_exported_as_a_file_that_is_read_again(post, client):
    texts = [{**row, "prompt": f"What of {row['item_id']}?", "answer": "=That."} for row in rows()]
    post(csv_file([{**one, "item_id": f"x-{one['item_id']}"} for one in texts]), anchor_set="exported")
    pairs = [preference(item_id=f"q{k}", verdict=word) for k, word in enumerate(("A", "B", "tie"))]
    post(csv_file(pairs), rubric="pair", anchor_set="exported pairs")
    for name, rubric in (("exported", "point"), ("exported pairs", "pair")):
        hashes = set()
        for kind in ("csv", "jsonl"):
            answer = client.get(f"/anchor-sets/{name}/export", params={"format": kind})
            again = post(answer.content, rubric=rubric, anchor_set=f"{name} again {kind}")
            assert again["grades"] == client.get(f"/anchor-sets/{name}").json()["grades"]
            hashes.add(client.get(f"/anchor-sets/{name} again {kind}").json()["content_sha256"])
        assert len(hashes | {client.get(f"/anchor-sets/{name}").json()["content_sha256"]}) == 1, name
    assert client.get("/anchor-sets/exported/export", params={"version": 9}).status_code == 404
    assert client.get("/anchor-sets/nowhere/export").status_code == 404


def test_a_whole_set_is_retired_after_a_look_and_may_be_filled_again(post, client):
    post(csv_file(rows()), anchor_set="whole")
    body = {"everything": True, "reason": "leaked", "dry_run": True}
    look = client.post("/anchor-sets/whole/retirements", json=body).json()
    assert (look["version"], look["retired_grades"], look["retired_items"]) == (1, 12, 4)
    gone = client.post("/anchor-sets/whole/retirements", json=body | {"dry_run": False}).json()
    assert (gone["version"], gone["grades"], gone["warnings"]) == (2, 0, ["Retired: leaked"])
    assert "This set is retired" in client.get("/ui/anchor-sets/whole").text
    assert post(csv_file(rows()[:4]), anchor_set="whole")["version"] == 3


def test_what_was_asked_to_rest_on_a_set_by_name_is_calibrated_anew_when_it_changes(post, client):
    post(csv_file(rows()), anchor_set="rested")
    asked = {"rubric": "point", "criterion": "helpfulness", "anchor_sets": ["rested"]}
    assert client.post("/calibrations", json=asked).status_code in (200, 202)

    def runs() -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = client.get("/calibrations", params={"limit": 200}).json()["items"]
        return found

    def idle() -> bool:
        return all(run["status"] not in ("queued", "running") for run in runs())

    give_up = time.monotonic() + 60
    while not idle() and time.monotonic() < give_up:
        time.sleep(0.05)
    before = len(runs())
    client.post("/anchor-sets/rested/retirements", json={"annotators": ["ann-2"], "reason": "left us"})
    assert len(runs()) == before + 2  # on all sets, and on this one by name


def test_the_page_to_retire_tells_first_and_then_does(post, client):
    post(csv_file(rows()), anchor_set="by page")
    path = "/ui/anchor-sets/-/retire?set=by page"
    assert "ann-1" in client.get(path).text
    form = {"items": "q1\nq-none", "annotator": "ann-2", "reason": "old", "action": "check"}
    told = client.post(path, data=form).text
    assert "6 grades of 4 items by 3 people would leave the set." in told
    assert "Nothing in the set is called q-none." in told
    assert client.post(path, data={"action": "retire", "reason": "x"}).status_code == 422
    assert "Say why" in client.post(path, data={"everything": "true", "action": "retire"}).text
    done = client.post(path, data=form | {"action": "retire"})
    assert done.status_code == 303
    assert client.get("/anchor-sets/by page").json()["grades"] == 6

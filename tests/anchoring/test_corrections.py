"""Wrong rows as a table of their own, mended and sent back; rows that are notes; templates."""

import csv
import io
import json

import pytest

from app.anchoring.corrections import Corrections, read_corrections
from app.anchoring.limits import Limits
from app.anchoring.problem_rows import find_problem_rows, problem_rows_csv
from app.anchoring.template import TemplateFormat, template
from app.anchoring.upload import Upload, check, human_verdicts
from app.domain.problems import BadInput
from tests.anchoring.files import LABELLED, ONE, PAIRWISE, POINTWISE, anchors, csv_file, grade, jsonl_file


def wrong_rows(upload: Upload) -> list[dict[str, str]]:
    text = "".join(problem_rows_csv(upload, find_problem_rows(upload)))
    return list(csv.DictReader(io.StringIO(text, newline="")))


def mended(rows: list[dict[str, str]]) -> Corrections:
    return read_corrections(csv_file(rows))


def test_every_wrong_row_is_there_with_its_number_its_problems_and_its_cells_beyond_a_thousand_too():
    rows = [grade(item_id=f"q{k}", score="9" if k % 2 else "4") for k in range(5_000)]
    rows[3]["criterion"] = "wit"
    found = wrong_rows(anchors(rows))
    assert [int(row["venire_row"]) for row in found] == [k + 1 for k in range(5_000) if k % 2]
    assert "score is outside helpful's scale" in found[0]["venire_problem"]
    assert "criterion is no criterion of the rubric" in found[1]["venire_problem"]
    assert (found[0]["item_id"], found[0]["score"]) == ("q1", "9")


def test_rows_mended_in_that_table_make_the_file_right():
    rows = [grade(item_id=f"q{k}", score="9" if k in (2, 5) else "4") for k in range(8)]
    upload = anchors(rows)
    found = [row | {"score": "5"} for row in wrong_rows(upload)]
    whole = Upload(upload.file, upload.what, upload.rubric, corrections=mended(found))
    checked = check(whole)
    assert (checked.rows, checked.items) == (8, 8)
    values = [one.value for batch in human_verdicts(whole, checked) for one in batch]
    assert values == [4, 4, 5, 4, 4, 5, 4, 4]


def test_what_is_still_wrong_keeps_its_number_and_a_row_without_cells_is_left_out():
    rows = [grade(item_id=f"q{k}", score="9" if k in (2, 5, 6) else "4") for k in range(8)]
    upload = anchors(rows)
    first, second, third = wrong_rows(upload)
    emptied = {name: "" if name != "venire_row" else cell for name, cell in third.items()}
    once = mended([first | {"score": "5"}, emptied])
    left = wrong_rows(Upload(upload.file, upload.what, upload.rubric, corrections=once))
    assert [row["venire_row"] for row in left] == ["6"]
    twice = once.then(mended([second | {"score": "1"}]))
    assert check(Upload(upload.file, upload.what, upload.rubric, corrections=twice)).rows == 7
    assert Corrections.from_json_lines(twice.as_json_lines()) == twice


def test_rows_that_could_not_be_read_are_mended_too():
    text = "item_id,system,criterion,annotator,annotator_type,score\nq1,bot,helpful,ann,expert,4\nq2,bot\n"
    upload = anchors(io.BytesIO(text.encode()))
    (row,) = wrong_rows(upload)
    assert (row["venire_row"], row["venire_problem"]) == ("2", "has fewer fields than the header (6)")
    fixed = mended([row | {k: str(v) for k, v in grade(item_id="q2").items()}])
    assert check(Upload(upload.file, upload.what, upload.rubric, corrections=fixed)).rows == 2


def test_contradicting_rows_say_which_row_they_contradict():
    rows = [grade(), grade(item_id="q2"), grade(score="5")]
    (row,) = wrong_rows(anchors(rows))
    assert row["venire_row"] == "3"
    assert "contradicts an earlier row" in row["venire_problem"]
    assert "(row 1)" in row["venire_problem"]


def test_json_lines_have_all_their_columns_and_cells_no_spreadsheet_takes_for_formulas():
    rows = [grade(), grade(item_id="=1+1", score=9), grade(item_id="q3", score=-1, note="hm")]
    upload = anchors(jsonl_file(rows))
    found = wrong_rows(upload)
    assert [row["item_id"] for row in found] == ["'=1+1", "q3"]
    assert [row["score"] for row in found] == ["9", "-1"]
    assert found[1]["note"] == "hm"
    fixed = mended([row | {"score": "2"} for row in found])
    assert fixed.rows[2]["item_id"] == "=1+1"
    assert check(Upload(upload.file, upload.what, upload.rubric, corrections=fixed)).rows == 3


def test_a_file_that_is_wrong_as_a_whole_has_no_wrong_rows():
    with pytest.raises(BadInput, match="columns do not fit"):
        find_problem_rows(anchors([{"a": "1", "b": "2"}]))


@pytest.mark.parametrize(
    "rows, problem",
    [
        ([{"item_id": "q1", "score": "4"}], "which rows of the file are meant"),
        ([{"venire_row": "0", "score": "4"}], "is no row's number"),
        ([{"venire_row": "one", "score": "4"}], "is no row's number"),
        ([{"venire_row": "1", "score": "4"}, {"venire_row": "1", "score": "4"}], "is corrected twice"),
    ],
)
def test_corrections_that_make_no_sense_are_refused_in_words(rows, problem):
    with pytest.raises(BadInput) as refused:
        mended(rows)
    assert problem in refused.value.problems[0].problem


@pytest.mark.parametrize(
    "row, problem",
    [
        ({"venire_row": "9", "score": "4"}, "is no row of the file"),
        ({"venire_row": "1", "skore": "4"}, "is no column of the file"),
    ],
)
def test_corrections_of_another_file_are_refused(row, problem):
    upload = anchors([grade()])
    with pytest.raises(BadInput) as refused:
        check(Upload(upload.file, upload.what, upload.rubric, corrections=mended([row])))
    assert problem in refused.value.problems[0].problem


@pytest.mark.parametrize("rubric", [POINTWISE, ONE, LABELLED, PAIRWISE], ids=lambda one: one.name)
@pytest.mark.parametrize("kind", list(TemplateFormat))
def test_a_template_is_read_as_having_no_grades_yet_and_filled_in_as_what_was_filled_in(rubric, kind):
    with pytest.raises(BadInput, match="notes and examples, but no grades yet"):
        check(anchors(io.BytesIO(template(rubric, kind)), rubric))
    if kind is TemplateFormat.XLSX:
        openpyxl = pytest.importorskip("openpyxl")
        book = openpyxl.load_workbook(io.BytesIO(template(rubric, kind)))
        sheet = book.active
        for example in list(sheet.iter_rows(min_row=3, values_only=True)):
            sheet.append(("q-1", *example[1:]))
        file = io.BytesIO()
        book.save(file)
    elif kind is TemplateFormat.JSONL:
        lines = template(rubric, kind).decode().splitlines()
        examples = [json.dumps(json.loads(line) | {"item_id": "q-1"}) for line in lines[1:]]
        file = io.BytesIO("\n".join([*lines, *examples]).encode())
    else:
        text = template(rubric, kind).decode()
        rows = list(csv.DictReader(io.StringIO(text, newline="")))
        file = csv_file([*rows, *({**row, "item_id": "q-1"} for row in rows[1:])])
    checked = check(anchors(file, rubric))
    assert (checked.rows, checked.items, checked.warnings) == (len(rubric.criteria), 1, ())


def test_limits_hold_for_corrections_too():
    rows = csv_file([{"venire_row": "1", "score": "4" * 300}])
    with pytest.raises(BadInput):
        read_corrections(rows, Limits(record=100))

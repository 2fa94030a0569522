import io

import pytest

from app.anchoring.preview import preview
from app.domain.problems import BadInput
from tests.anchoring.files import ONE, csv_file, grade, jsonl_file


def test_the_first_rows_are_shown_as_text_with_long_cells_cut():
    rows = [grade(item_id=f"q{k}", answer="x" * 500, score=4.0) for k in range(50)]
    shown = preview(jsonl_file(rows), ONE, rows=3)
    assert shown.format == "jsonl"
    assert [row[0] for row in shown.rows] == ["q0", "q1", "q2"]
    assert dict(zip(shown.columns, shown.rows[0], strict=True))["score"] == "4"
    assert len(dict(zip(shown.columns, shown.rows[0], strict=True))["answer"]) == 201


def test_columns_with_our_names_are_told_from_others():
    rows = [{"item_id": "q", "rating": 4, "stratum.lang": "de", "system_a": "x"}]
    shown = preview(csv_file(rows), ONE)
    assert shown.recognised == ("item_id", "stratum.lang")
    assert shown.others == ("rating", "system_a")


@pytest.mark.parametrize("content", [b"", b"\x00", b"a,b\n"])
def test_a_file_that_cannot_be_read_has_no_preview(content):
    with pytest.raises(BadInput):
        preview(io.BytesIO(content), ONE)

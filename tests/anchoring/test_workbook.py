import io
import re
import sys
import zipfile
import zlib
from typing import Any

import openpyxl
import pytest

from app.anchoring.limits import MIB, Limits
from app.anchoring.reading import open_table
from app.domain.problems import BadInput, TooLarge, UnsupportedFormat
from tests.anchoring.files import rows_of


def workbook(*rows: list[Any], sheets: int = 1) -> io.BytesIO:
    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(row)
    for number in range(1, sheets):
        book.create_sheet(f"Notes {number}").append(["x"])
    file = io.BytesIO()
    book.save(file)
    return file


def with_part(file: io.BytesIO, name: str, content: bytes) -> io.BytesIO:
    """The workbook with one of its parts replaced or added."""
    made = io.BytesIO()
    with zipfile.ZipFile(file) as old, zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as new:
        for part in old.namelist():
            if part != name:
                new.writestr(part, old.read(part))
        new.writestr(name, content)
    return made


def refusal(file: io.BytesIO, limits: Limits | None = None) -> BadInput:
    with pytest.raises(BadInput) as refused:
        list(open_table(file, limits).batches)
    return refused.value


def test_the_first_sheet_is_read_and_the_others_are_mentioned():
    table = open_table(workbook(["item_id", "score"], ["q1", 4], sheets=2))
    assert [batch.columns for batch in table.batches] == [{"item_id": ["q1"], "score": [4.0]}]
    assert table.warnings == ["Only the first sheet ('Sheet') of 2 was read."]


def test_blank_rows_are_skipped_but_count_in_row_numbers():
    table = open_table(workbook(["item_id", "score"], ["q1", 4], [], ["q2", 5]))
    assert [list(batch.rows) for batch in table.batches] == [[1, 3]]


def test_a_formula_without_a_stored_result_is_named():
    problem = refusal(workbook(["item_id", "score"], ["q1", "=1+3"], ["q2", 4])).problems[0]
    assert (problem.row, problem.column) == (1, "column B")
    assert problem.problem == "is a formula without a stored result"


def test_a_formula_with_a_stored_result_counts_as_that_result():
    file = workbook(["item_id", "score"], ["q1", "=1+3"])
    with zipfile.ZipFile(file) as parts:
        sheet = parts.read("xl/worksheets/sheet1.xml")
    computed = re.sub(rb"<f>1\+3</f><v ?/>|<f>1\+3</f><v></v>", b"<f>1+3</f><v>4</v>", sheet)
    assert computed != sheet
    assert rows_of(with_part(file, "xl/worksheets/sheet1.xml", computed)) == [{"item_id": "q1", "score": 4.0}]


def test_an_error_value_is_named():
    file = workbook(["item_id", "score"], ["q1", "#N/A"])
    problem = refusal(file).problems[0]
    assert (problem.row, problem.column, problem.problem) == (
        1,
        "column B",
        "is an error value (such as #N/A)",
    )


def test_a_stray_cell_in_the_last_corner_does_not_fill_memory():
    file = workbook(["item_id", "score"], ["q1", 4])
    with zipfile.ZipFile(file) as parts:
        sheet = parts.read("xl/worksheets/sheet1.xml")
    stray = b'<row r="1048576"><c r="XFD1048576"><v>1</v></c></row></sheetData>'
    spread = with_part(file, "xl/worksheets/sheet1.xml", sheet.replace(b"</sheetData>", stray))
    assert isinstance(refusal(spread), TooLarge)
    assert "1,048,576 rows and 16,384 columns" in refusal(spread).summary


def test_a_zip_bomb_is_refused_by_its_directory_before_it_is_opened():
    bomb = with_part(workbook(["a"], [1]), "xl/media/big.bin", b"\0" * (64 * MIB))
    assert len(bomb.getvalue()) < MIB
    assert "400 times its size: refused as a bomb" in refusal(bomb).summary
    assert "unpacks to" in refusal(bomb, Limits(workbook_unpacked=16 * MIB)).summary


def test_a_zip_bomb_whose_directory_lies_is_refused_as_it_unpacks():
    bomb = bytearray(with_part(workbook(["a"], [1]), "xl/media/big.bin", b"\0" * (64 * MIB)).getvalue())
    entry = bomb.rindex(b"xl/media/big.bin") - 46
    bomb[entry + 24 : entry + 28] = (1000).to_bytes(4, "little")
    bomb[entry + 16 : entry + 20] = zlib.crc32(b"\0" * 1000).to_bytes(4, "little")
    assert "more than its directory says: refused as a bomb" in refusal(io.BytesIO(bytes(bomb))).summary


def test_a_workbook_beyond_the_size_limit_is_refused():
    assert isinstance(refusal(workbook(["a"], [1]), Limits(workbook=1000)), TooLarge)


def test_another_kind_of_zip_is_no_workbook():
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as parts:
        parts.writestr("grades.csv", "a,b\n1,2\n")
    assert isinstance(refusal(file), UnsupportedFormat)


@pytest.mark.parametrize("rows", [[], [["item_id", "score"]], [[None, None], [None, None]]])
def test_a_sheet_without_rows_is_refused(rows):
    assert refusal(workbook(*rows)).summary


def test_without_the_extra_the_answer_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "fastexcel", None)
    refused = refusal(workbook(["a"], [1]))
    assert isinstance(refused, UnsupportedFormat)
    assert "pip install 'venire[formats]'" in refused.summary

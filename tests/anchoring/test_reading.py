import csv
import io
import string
from contextlib import suppress

import openpyxl
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow import parquet as pq

from app.anchoring.limits import Limits
from app.anchoring.mapping import text_of
from app.anchoring.reading import open_table
from app.domain.problems import BadInput, UnsupportedFormat
from tests.anchoring.files import csv_file, gzipped, jsonl_file, rows_of

# What CSV, JSONL and Parquet must carry unharmed: any text but NUL and halves of surrogate pairs.
TEXT = st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), max_size=20)
# A workbook's XML has no control characters, its writers turn a carriage return into a line feed, and a cell
# that holds nothing but blanks is an empty one.
XML_TEXT = st.text(
    st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff"), min_size=1, max_size=20
).filter(str.strip)
FLOATS = st.floats(allow_nan=False, allow_infinity=False)
NAME = st.text(string.ascii_letters + string.digits + "._ äß", min_size=1, max_size=8).filter(
    lambda name: name == name.strip()
)


def tables(cells: st.SearchStrategy[str]) -> st.SearchStrategy[list[dict[str, str]]]:
    """Tables with two columns or more and a row or more, in which no row is blank."""
    return st.lists(NAME, min_size=2, max_size=5, unique=True).flatmap(
        lambda names: st.lists(
            st.tuples(*(cells for _ in names))
            .filter(lambda row: any(cell.strip() for cell in row))
            .map(lambda row: dict(zip(names, row, strict=True))),
            min_size=1,
            max_size=12,
        )
    )


FEW_ROWS = Limits(batch_rows=3)
BRIEFLY = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@BRIEFLY
@given(tables(TEXT), st.sampled_from(["\r\n", "\n"]), st.booleans(), st.booleans())
def test_any_table_written_as_csv_reads_back_the_same(rows, line_end, bom, packed):
    # Python's writer leaves a lone carriage return unquoted where lines end in LF: nobody could read that.
    quoting = csv.QUOTE_ALL if line_end == "\n" else csv.QUOTE_MINIMAL
    file = csv_file(rows, lineterminator=line_end, quoting=quoting)
    if bom:
        file = io.BytesIO(b"\xef\xbb\xbf" + file.getvalue())
    assert rows_of(gzipped(file) if packed else file, FEW_ROWS) == rows


@BRIEFLY
@given(tables(st.text("abcé ", min_size=1, max_size=5)), st.sampled_from("\t;|"))
def test_tabs_semicolons_and_bars_are_found_to_be_the_delimiter(rows, delimiter):
    assert rows_of(csv_file(rows, delimiter=delimiter), FEW_ROWS) == rows


@BRIEFLY
@given(
    st.lists(
        st.dictionaries(
            NAME, st.one_of(TEXT, st.none(), st.integers(-(2**53), 2**53), FLOATS), min_size=1, max_size=5
        ),
        min_size=1,
        max_size=12,
    ),
    st.booleans(),
)
def test_any_rows_written_as_jsonl_read_back_the_same_with_missing_keys_empty(rows, packed):
    file = jsonl_file(rows)
    read = rows_of(gzipped(file) if packed else file, FEW_ROWS)
    assert len(read) == len(rows)
    for written, found in zip(rows, read, strict=True):
        assert {key: found[key] for key in written} == written
        assert all(value is None for key, value in found.items() if key not in written)


@BRIEFLY
@given(tables(TEXT), st.booleans())
def test_any_table_written_as_parquet_reads_back_the_same(rows, as_dictionary):
    columns = {name: pa.array([row[name] for row in rows]) for name in rows[0]}
    if as_dictionary:
        columns = {name: column.dictionary_encode() for name, column in columns.items()}
    file = io.BytesIO()
    pq.write_table(pa.table(columns), file, row_group_size=4)
    assert rows_of(file, FEW_ROWS) == rows


@BRIEFLY
@given(tables(XML_TEXT))
def test_any_table_written_as_xlsx_reads_back_the_same(rows):
    book = openpyxl.Workbook()
    for row in [list(rows[0]), *(row.values() for row in rows)]:
        book.active.append(list(row))
        for cell in book.active[book.active.max_row]:
            cell.data_type = "s"  # text, also where it begins like a formula
    file = io.BytesIO()
    book.save(file)
    assert rows_of(file, FEW_ROWS) == rows


@BRIEFLY
@given(st.floats(allow_nan=False, allow_infinity=False, width=32) | st.integers(-(2**31), 2**31))
def test_a_number_is_the_same_text_whatever_file_it_came_in(number):
    parquet, xlsx = io.BytesIO(), io.BytesIO()
    pq.write_table(pa.table({"a": [number], "b": ["x"]}), parquet)
    book = openpyxl.Workbook()
    book.active.append(["a", "b"])
    book.active.append([number, "x"])
    book.save(xlsx)
    for file in (csv_file([{"a": number, "b": "x"}]), jsonl_file([{"a": number, "b": "x"}]), parquet, xlsx):
        assert float(text_of(rows_of(file)[0]["a"])) == pytest.approx(number, rel=1e-12, abs=1e-300)


@pytest.mark.parametrize(
    "head, says",
    [
        (b"%PDF-1.7\n", "PDF"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "xls"),
        (b"\x28\xb5\x2f\xfd rest", "zstd"),
        (b"BZh91AY", "bzip2"),
        (b"SQLite format 3\x00", "SQLite"),
        (b'[{"item_id": "q1"}]', "one JSON object per line"),
        ("a,b\n1,2\n".encode("utf-16"), "UTF-16"),
        ("a,b\n1,2\n".encode("utf-16-le"), "UTF-16"),
        ("a,b\n1,2\n".encode("utf-32"), "UTF-32"),
    ],
)
def test_a_kind_of_file_that_is_not_read_is_told_what_to_become(head, says):
    with pytest.raises(UnsupportedFormat) as refused:
        list(open_table(io.BytesIO(head)).batches)
    assert says in refused.value.summary


@pytest.mark.parametrize("content", [b"", b"\n\n  \n", b"\xef\xbb\xbf", gzipped(io.BytesIO()).getvalue()])
def test_an_empty_file_is_called_empty(content):
    with pytest.raises(BadInput, match="empty"):
        list(open_table(io.BytesIO(content)).batches)


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from(
        [b"", b"PAR1", b"PK\x03\x04", b"\x1f\x8b\x08\x00", b"{", b"item_id,system\n", b"\xef\xbb\xbf"]
    ),
    st.binary(max_size=300),
)
def test_no_bytes_at_all_can_crash_a_reader(head, rest):
    with suppress(BadInput):
        for batch in open_table(io.BytesIO(head + rest)).batches:
            assert all(len(column) == len(batch.rows) for column in batch.columns.values())


@pytest.mark.parametrize("kind", ["parquet", "xlsx", "gzip"])
def test_a_file_cut_or_garbled_anywhere_is_refused_or_read_but_never_crashes(kind):
    rows = [{"item_id": f"q{i}", "score": str(i % 5)} for i in range(200)]
    file = io.BytesIO()
    if kind == "parquet":
        pq.write_table(pa.Table.from_pylist(rows), file)
    elif kind == "xlsx":
        book = openpyxl.Workbook()
        book.active.append(["item_id", "score"])
        for row in rows:
            book.active.append(list(row.values()))
        book.save(file)
    else:
        file = gzipped(csv_file(rows))
    whole = file.getvalue()
    for place in range(0, len(whole), max(1, len(whole) // 60)):
        garbled = bytearray(whole)
        garbled[place] ^= 0xFF
        for content in (whole[:place], bytes(garbled)):
            with suppress(BadInput):
                list(open_table(io.BytesIO(content)).batches)

import io
import sys
import tracemalloc
from datetime import UTC, date, datetime
from decimal import Decimal

import pyarrow as pa
import pytest
from pyarrow import parquet as pq

from app.anchoring.limits import MIB, Limits
from app.anchoring.reading import open_table
from app.domain.problems import BadInput, TooLarge, UnsupportedFormat
from tests.anchoring.files import rows_of


def parquet_file(**columns: pa.Array) -> io.BytesIO:
    file = io.BytesIO()
    pq.write_table(pa.table(columns), file)
    return file


def test_every_plain_type_becomes_a_plain_cell():
    file = parquet_file(
        whole=pa.array([1, None]),
        real=pa.array([0.5, 2.0]),
        yes=pa.array([True, False]),
        when=pa.array([datetime(2026, 11, 22, 10, tzinfo=UTC), None]),
        day=pa.array([date(2026, 11, 22), None]),
        money=pa.array([Decimal("1.50"), None]),
        many=pa.array([[1, 2], None]),
    )
    assert rows_of(file)[0] == {
        "whole": 1,
        "real": 0.5,
        "yes": "true",
        "when": "2026-11-22 10:00:00.000000Z",
        "day": "2026-11-22",
        "money": '"1.50"',
        "many": "[1,2]",
    }


def test_binary_columns_are_refused_by_name():
    with pytest.raises(BadInput) as refused:
        open_table(parquet_file(item_id=pa.array(["q1"]), answer=pa.array([b"text"])))
    assert [problem.column for problem in refused.value.problems] == ["answer"]


def test_a_file_without_rows_is_refused():
    with pytest.raises(BadInput, match="no rows"):
        open_table(parquet_file(item_id=pa.array([], pa.string())))


def test_a_row_group_too_large_to_unpack_is_refused():
    with pytest.raises(TooLarge, match="smaller row groups"):
        open_table(parquet_file(text=pa.array([f"{i}" * 100 for i in range(500)])), Limits(row_group=1000))


def test_a_long_text_in_a_million_rows_is_held_once():
    text = "x" * MIB
    file = parquet_file(
        answer=pa.DictionaryArray.from_arrays(pa.array([0] * 20_000, pa.int32()), pa.array([text]))
    )
    assert len(file.getvalue()) < 4 * MIB
    tracemalloc.start()
    rows = sum(len(batch.rows) for batch in open_table(file).batches)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert rows == 20_000
    assert peak < 64 * MIB


def test_without_the_extra_the_answer_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(UnsupportedFormat, match=r"venire\[formats\]"):
        open_table(io.BytesIO(b"PAR1"))

import gzip
import io
import json

import pyarrow as pa
import pytest
from pyarrow import parquet as pq

from app.anchoring.documents import read_documents
from app.domain.problems import BadInput

LONG = "How do I reset the router of the guest network?"
OTHER = "Why does my invoice show two amounts?"


def read(content: bytes, columns: tuple[str, ...] | None = None) -> list[tuple[str, str]]:
    return list(read_documents(io.BytesIO(content), columns))


def test_every_cell_that_looks_like_text_is_read_and_ids_and_labels_are_not():
    table = f"id,question,split,answer\n7,{LONG},train,Hold the small button.\n".encode()
    wanted = [("row 1, question", LONG), ("row 1, answer", "Hold the small button.")]
    assert read(table) == wanted
    assert read(gzip.compress(table)) == wanted


def test_named_columns_are_read_whatever_they_hold_and_others_are_not():
    table = b"id,question,tag\n7,yes,x\n"
    assert read(table, ("question",)) == [("row 1, question", "yes")]
    with pytest.raises(BadInput) as refused:
        read(table, ("question", "prompt"))
    assert [one.column for one in refused.value.problems] == ["prompt"]


def test_chat_messages_are_read_as_what_was_said():
    turns = {"messages": [{"role": "user", "content": LONG}, {"role": "assistant", "content": OTHER}]}
    assert read(json.dumps(turns).encode()) == [("row 1", LONG), ("row 1", OTHER)]


def test_plain_lines_and_parquet_are_read_too():
    assert read(f"{LONG}\n\nshort\n{OTHER}\n".encode()) == [("line 1", LONG), ("line 4", OTHER)]
    file = io.BytesIO()
    pq.write_table(pa.table({"text": [LONG, None, OTHER]}), file)
    assert read(file.getvalue()) == [("row 1", LONG), ("row 3", OTHER)]


def test_a_broken_file_is_refused_with_its_rows():
    with pytest.raises(BadInput) as refused:
        read(b'{"a": "one two three four"}\n{broken\n')
    assert [one.row for one in refused.value.problems] == [2]

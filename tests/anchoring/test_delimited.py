import io

import pytest

from app.anchoring.reading import open_table
from app.domain.problems import BadInput
from tests.anchoring.files import rows_of


def problems_of(content: str) -> list[tuple[int | None, str]]:
    table = open_table(io.BytesIO(content.encode()))
    return [(p.row, p.problem) for batch in table.batches for p in batch.problems]


def test_a_decimal_comma_does_not_make_the_comma_a_delimiter():
    assert rows_of(io.BytesIO(b"item;score\nq1;4,5\nq2;3,5\n")) == [
        {"item": "q1", "score": "4,5"},
        {"item": "q2", "score": "3,5"},
    ]


def test_commas_in_quoted_texts_do_not_mislead():
    content = b'item\tanswer\nq1\t"one, two, three"\nq2\tfour\n'
    assert rows_of(io.BytesIO(content))[0] == {"item": "q1", "answer": "one, two, three"}


def test_mixed_delimiters_are_named():
    with pytest.raises(BadInput, match="header is separated by commas, row 1 by semicolons"):
        open_table(io.BytesIO(b"item,system,score\nq1;bot;4\nq2;bot;5\n"))


def test_a_delimiter_that_changes_far_down_is_a_problem_of_its_row():
    content = "item,system,score\n" + "q1,bot,4\n" * 30_000 + "q2;bot;5\n"
    assert problems_of(content) == [(30_001, "is separated by semicolons, the header by commas")]


def test_two_delimiters_that_fit_equally_are_refused():
    with pytest.raises(BadInput, match="could be separated by"):
        open_table(io.BytesIO(b"a,b;c\n1,2;3\n"))


def test_one_column_is_refused_with_the_delimiters_there_are():
    with pytest.raises(BadInput, match="one column only"):
        open_table(io.BytesIO(b"item_id\nq1\n"))


def test_ragged_rows_are_problems_and_the_others_keep_their_numbers():
    table = open_table(io.BytesIO(b"a,b,c\n1,2,3\n1,2\n1,2,3,4\n\n5,6,7\n"))
    (batch,) = table.batches
    assert list(batch.rows) == [1, 4]
    assert batch.columns["a"] == ("1", "5")
    assert [(p.row, p.problem) for p in batch.problems] == [
        (2, "has fewer fields than the header (3)"),
        (3, "has more fields than the header (3)"),
    ]


def test_a_header_without_rows_is_refused():
    with pytest.raises(BadInput, match="header but no rows"):
        list(open_table(io.BytesIO(b"a,b\n\n\n")).batches)


def test_a_name_that_stands_twice_in_the_header_is_refused():
    with pytest.raises(BadInput) as refused:
        open_table(io.BytesIO(b"item_id,score,score\nq1,4,5\n"))
    assert [(p.column, p.row) for p in refused.value.problems] == [("score", 0)]


def test_a_column_without_a_name_is_kept_apart():
    assert rows_of(io.BytesIO(b",item_id,score\n0,q1,4\n")) == [
        {"(column 1)": "0", "item_id": "q1", "score": "4"}
    ]


def test_too_many_columns_are_refused():
    header = ",".join(f"c{i}" for i in range(2000))
    with pytest.raises(BadInput, match="2,000 columns"):
        open_table(io.BytesIO(f"{header}\n".encode()))


@pytest.mark.parametrize(
    "content, says",
    [
        ('a,b\n1,"two" three\n', "Line 2 cannot be read: a closing quote"),
        ('a,b\n1,"two\n', "the file ends inside a quoted value"),
    ],
)
def test_broken_quoting_is_explained(content, says):
    with pytest.raises(BadInput, match=says):
        list(open_table(io.BytesIO(content.encode())).batches)


def test_formulas_are_text():
    content = b"item,answer\nq1,=1+2\nq2,+a\nq3,-b\nq4,@c\n"
    assert [row["answer"] for row in rows_of(io.BytesIO(content))] == ["=1+2", "+a", "-b", "@c"]

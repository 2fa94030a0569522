import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.anchoring.limits import Limits
from app.anchoring.reading import open_table
from app.domain.problems import BadInput
from tests.anchoring.files import jsonl_file, rows_of


def problems_of(content: str) -> list[tuple[int | None, str]]:
    table = open_table(io.BytesIO(content.encode()))
    return [(p.row, p.problem) for batch in table.batches for p in batch.problems]


@pytest.mark.parametrize(
    "line",
    [
        '{"score": 1, "item_id": "q", "score": 5}',
        '{"score" : 1, "score" : 5}',
        '{"score"\t: 1, "item_id": "a: b", "score":5}',
        '{"a": {"score": 1, "score": 2}}',
        '{"a":"x\\":","a":1}',
        '{"a":1,"\\u0061":2}',
    ],
)
def test_a_key_that_stands_twice_is_found_however_it_is_written(line):
    found = problems_of('{"item_id": "q0"}\n' + line + "\n")
    assert len(found) == 1
    assert found[0][0] == 2
    assert "twice" in found[0][1]


@given(st.dictionaries(st.text(':" a', max_size=4), st.text('":, \\', max_size=8), min_size=1, max_size=4))
def test_colons_and_quotes_in_texts_are_never_taken_for_keys(row):
    assert rows_of(jsonl_file([row])) == [row]


def test_every_bad_line_is_named_among_good_ones():
    content = '{"a": 1}\nnot json\n[1]\n{"a": NaN}\n{"a": 2}\n\n{"a": Infinity}\n{"a":\n'
    assert problems_of(content) == [
        (2, "is not JSON"),
        (3, "is not a JSON object (one object per line)"),
        (4, "holds NaN, which is not JSON; leave the value out or use null"),
        (6, "holds Infinity, which is not JSON; leave the value out or use null"),
        (7, "is not one whole JSON object; each row must stand on one line"),
    ]


def test_good_rows_keep_their_numbers_beside_bad_ones():
    table = open_table(io.BytesIO(b'{"a": 1}\nnot json\n{"a": 2}\n'))
    (batch,) = table.batches
    assert list(batch.rows) == [1, 3]
    assert list(batch.columns["a"]) == [1, 2]


def test_two_objects_on_a_line_are_not_two_rows():
    assert problems_of('{"a": 1}{"a": 2}\n{"a": 1},{"a": 2}\n') == [(1, "is not JSON"), (2, "is not JSON")]


def test_booleans_and_nested_values_become_their_text():
    assert rows_of(io.BytesIO(b'{"blind": true, "params": {"b": 1, "a": [2]}, "x": false}\n')) == [
        {"blind": "true", "params": '{"a":[2],"b":1}', "x": "false"}
    ]


def test_deeply_nested_json_is_a_bad_row_not_a_crash():
    assert len(problems_of('{"a":' * 100_000 + "1" + "}" * 100_000 + "\n")) == 1


def test_an_endless_supply_of_new_keys_is_refused():
    content = jsonl_file({f"k{i}": i} for i in range(1_500))
    with pytest.raises(BadInput, match="more than 1,000 different keys"):
        list(open_table(content).batches)


def test_rows_with_different_keys_are_put_side_by_side():
    assert rows_of(io.BytesIO(b'{"a": 1}\n{"b": 2}\n'), Limits(batch_rows=10)) == [
        {"a": 1, "b": None},
        {"a": None, "b": 2},
    ]

import json
from time import process_time

from hypothesis import given
from hypothesis import strategies as st

from app.judges.found_json import find_objects, member_spans

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-9, 9)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
objects = st.dictionaries(st.text(), values, min_size=1, max_size=4)
prose = st.text(st.characters(exclude_characters='{}"'), max_size=30)


@given(objects, objects, prose, prose, prose)
def test_objects_are_found_whole_in_any_prose(first, second, before, between, after):
    text = f"{before}{json.dumps(first)}{between}{json.dumps(second)}{after}"
    found = list(find_objects(text))
    assert [one.members for one in found] == [first, second]
    assert [json.loads(text[one.start : one.end]) for one in found] == [first, second]


@given(objects, st.integers(0, 3) | st.none())
def test_the_place_of_every_value_is_known(value, indent):
    text = "prose " + json.dumps(value, indent=indent)
    spans = member_spans(text, 6)
    assert {key: json.loads(text[start:end]) for key, (start, end) in spans.items()} == value


@given(objects, st.data())
def test_an_object_that_breaks_off_is_never_taken_for_a_smaller_one(value, data):
    text = json.dumps(value)
    cut = text[: data.draw(st.integers(2, len(text) - 1))]
    assert [one.end for one in find_objects(cut)] in ([], [None])


def test_nothing_is_looked_for_inside_an_object_that_is_not_json():
    found = list(find_objects('{"a": {"b": 1}, oops} and {"c": 2}'))
    assert [one.members for one in found] == [None, {"c": 2}]


def test_a_key_that_stands_twice_with_different_values_is_remembered():
    same, other = find_objects('{"a": 1, "a": 1} {"a": 1, "b": 2, "a": true}')
    assert same.members is not None
    assert not same.members.contradicted
    assert other.members is not None
    assert other.members.contradicted == {"a"}


def test_line_breaks_within_strings_are_tolerated():
    (found,) = find_objects('{"rationale": "two\nlines", "a": 1}')
    assert found.members == {"rationale": "two\nlines", "a": 1}


def test_hostile_nesting_takes_linear_time():
    started = process_time()
    for text in (
        '{"a":' * 40_000,
        '{"a":1,' * 40_000,
        '{"' * 80_000,
        '{"a": x}' * 20_000,
        '{"a":' * 5000 + "}" * 5000,
    ):
        list(find_objects(text))
    assert process_time() - started < 3.0  # milliseconds when linear, minutes when quadratic

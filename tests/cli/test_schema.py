import pytest

from app.cli.schema import problems

FAMILY = {"anyOf": [{"type": "string"}, {"type": "null"}]}
SCHEMA = {
    "type": "object",
    "required": ["text"],
    "additionalProperties": False,
    "properties": {"text": {"type": "string", "minLength": 1}, "family": FAMILY},
}
DOCUMENT = {"components": {"schemas": {"Answer": SCHEMA}}}
ANSWER = {"$ref": "#/components/schemas/Answer"}


def found(value, schema) -> list[str]:
    return list(problems(value, schema, DOCUMENT))


def test_what_fits_has_no_problems():
    assert (
        found(
            [{"text": "a", "family": None}, {"text": "b", "family": "x"}], {"type": "array", "items": ANSWER}
        )
        == []
    )


def test_every_problem_is_found_at_once_with_its_place():
    assert found([{"family": 3}, {"text": "", "tone": 1}], {"type": "array", "items": ANSWER}) == [
        "[0].text: this field is required",
        "[0].family: must be a string, not number",
        "[1].text: must have at least 1 characters",
        "[1].tone: there is no such field",
    ]


@pytest.mark.parametrize(
    ("value", "schema", "problem"),
    [
        (True, {"type": "integer"}, "must be an integer, not boolean"),
        (1.5, {"type": "integer"}, "must be an integer, not number"),
        ("x", {"type": "array"}, "must be an array, not string"),
        (5, {"type": "integer", "maximum": 3}, "must be at most 3"),
        (3, {"type": "integer", "exclusiveMaximum": 3}, "must be less than 3"),
        (0, {"type": "number", "exclusiveMinimum": 0}, "must be more than 0"),
        ([1], {"type": "array", "minItems": 2}, "must have at least 2 entries"),
        ("c", {"type": "string", "enum": ["a", "b"]}, "must be one of a, b"),
    ],
)
def test_a_value_that_does_not_fit_is_told_why(value, schema, problem):
    assert found(value, schema) == [problem]


@pytest.mark.parametrize(
    ("value", "schema"), [(2.0, {"type": "integer"}), (2, {"type": "number"}), ("x", {})]
)
def test_numbers_are_taken_as_json_means_them(value, schema):
    assert found(value, schema) == []


def test_values_of_a_dictionary_are_checked_by_what_it_says_of_them():
    schema = {"type": "object", "additionalProperties": {"type": "string"}}
    assert found({"a": "x", "b": 2}, schema) == ["b: must be a string, not number"]

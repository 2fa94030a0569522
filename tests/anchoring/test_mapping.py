import json

import pytest

from app.anchoring.mapping import Mapping, Repeats, Uploaded, read_mapping
from app.domain.problems import BadInput
from app.domain.rubrics import RubricKind


def read(mapping, what=Uploaded.ANCHORS, kind=RubricKind.POINTWISE):
    return read_mapping(json.dumps(mapping), what, kind)


def paths(mapping) -> dict[str, str]:
    with pytest.raises(BadInput) as refused:
        read(mapping)
    return {str(problem.path): problem.problem for problem in refused.value.problems}


@pytest.mark.parametrize("nothing", [None, "", "  ", "{}"])
def test_no_mapping_reads_every_column_under_its_own_name(nothing):
    assert read_mapping(nothing, Uploaded.ANCHORS, RubricKind.POINTWISE) == Mapping()


def test_every_part_is_read():
    mapping = read(
        {
            "columns": {"score": "rating", "source": None, "stratum.lang": "language"},
            "constants": {"annotator_type": "expert", "blind": True},
            "where": {"kind": "pointwise", "round": [1, 2.0, None]},
            "values": {"criterion": {"q": "helpful", "*": "tone"}},
            "repeats": "last",
        }
    )
    assert mapping == Mapping(
        columns={"score": "rating", "source": None, "stratum.lang": "language"},
        constants={"annotator_type": "expert", "blind": "true"},
        where={"kind": frozenset({"pointwise"}), "round": frozenset({"1", "2", ""})},
        values={"criterion": {"q": "helpful", "*": "tone"}},
        repeats=Repeats.LAST,
    )


def test_every_mistake_is_named_at_once():
    found = paths(
        {
            "columns": {"skore": "rating", "score": 3, "stratum.": "x"},
            "constants": {"score": 4, "annotator": ["a"]},
            "values": {"score": "high"},
            "where": [],
            "renames": {},
            "repeats": "always",
        }
    )
    assert found["mapping.columns.skore"] == "is no column of ours here; did you mean score?"
    assert set(found) == {
        "mapping.columns.skore",
        "mapping.columns.score",
        "mapping.columns.stratum.",
        "mapping.constants.score",
        "mapping.constants.annotator",
        "mapping.values.score",
        "mapping.where",
        "mapping.renames",
        "mapping.repeats",
    }


@pytest.mark.parametrize("text", ["{", "[1]", '"x"', "null", "[" * 100_000])
def test_what_is_no_json_object_is_refused(text):
    with pytest.raises(BadInput):
        read_mapping(text, Uploaded.ANCHORS, RubricKind.POINTWISE)


def test_columns_of_the_other_kind_of_rubric_are_not_ours():
    with pytest.raises(BadInput):
        read({"columns": {"system_a": "x"}})
    assert read({"columns": {"system_a": "x"}}, kind=RubricKind.PAIRWISE).columns == {"system_a": "x"}
    with pytest.raises(BadInput):
        read({"columns": {"judge": "x"}})
    assert read({"columns": {"judge": "x"}}, what=Uploaded.VERDICTS).columns == {"judge": "x"}


def test_equal_mappings_have_equal_text():
    first = read({"where": {"a": ["x", "y"]}, "columns": {"score": "s", "system": "t"}})
    second = read({"columns": {"system": "t", "score": "s"}, "where": {"a": ["y", "x"]}})
    assert first.canonical_json() == second.canonical_json()

"""Files of other tools: told by their content, read as what people said, and never as what models said."""

import gzip
import io
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.anchoring.corrections import read_corrections
from app.anchoring.guess import guess_mapping
from app.anchoring.limits import Limits
from app.anchoring.mapping import Mapping, Uploaded
from app.anchoring.preview import preview
from app.anchoring.problem_rows import find_problem_rows, problem_rows_csv
from app.anchoring.shapes.reading import find_shape
from app.anchoring.shapes.shape import Shape
from app.anchoring.upload import Upload, check, human_verdicts
from app.domain.anchors import HumanVerdict
from app.domain.problems import BadInput
from app.domain.rubrics import Rubric
from tests.anchoring import shapes
from tests.anchoring.files import ONE, PAIRWISE, POINTWISE, csv_file, grade, jsonl_file

DOCUMENTS: dict[Shape, Any] = {
    Shape.LABEL_STUDIO: shapes.label_studio,
    Shape.ARGILLA: shapes.argilla,
    Shape.PROMPTFOO: shapes.promptfoo,
    Shape.INSPECT: shapes.inspect_log,
    Shape.MT_BENCH: shapes.mt_bench,
}


def upload(file: io.BytesIO, rubric: Rubric, shape: Shape | None = None) -> Upload:
    shape = shape or find_shape(file)
    mapping = guess_mapping(preview(file, rubric, shape=shape).columns, rubric)
    return Upload(file, Uploaded.ANCHORS, rubric, mapping, shape=shape)


def said(file: io.BytesIO, rubric: Rubric) -> tuple[list[HumanVerdict], tuple[str, ...]]:
    whole = upload(file, rubric)
    checked = check(whole)
    return [one for batch in human_verdicts(whole, checked) for one in batch], checked.warnings


def short(one: HumanVerdict) -> tuple[Any, ...]:
    about, by = one.about, one.provenance
    return about.item_id, about.system, one.criterion, one.value, by.annotator, by.annotator_type


@pytest.mark.parametrize("shape", DOCUMENTS)
@pytest.mark.parametrize("form", ["json", "gzip", "byte order mark"])
def test_what_wrote_a_file_is_told_by_its_content(shape, form):
    raw = json.dumps(DOCUMENTS[shape](), indent=1).encode()
    raw = {"json": raw, "gzip": gzip.compress(raw), "byte order mark": b"\xef\xbb\xbf" + raw}[form]
    assert find_shape(io.BytesIO(raw)) is shape


@pytest.mark.parametrize("shape", [Shape.LABEL_STUDIO, Shape.ARGILLA, Shape.MT_BENCH])
def test_lists_may_come_one_object_per_line(shape):
    assert find_shape(shapes.lines(DOCUMENTS[shape]())) is shape


@pytest.mark.parametrize(
    "file",
    [csv_file([grade()]), jsonl_file([grade()]), io.BytesIO(b""), io.BytesIO(b"{"), io.BytesIO(b"[1]")],
)
def test_anything_else_is_a_table(file):
    assert find_shape(file) is Shape.TABLE


def test_label_studio_annotations_are_grades_and_predictions_are_not():
    found, warnings = said(shapes.file(shapes.label_studio()), POINTWISE)
    assert [short(one) for one in found] == [
        ("q1", "bot-1", "helpful", 4, "kim@example.org", "annotator"),
        ("q1", "bot-1", "tone", 5, "kim@example.org", "annotator"),
        ("q1", "bot-1", "helpful", 3, "user 8", "annotator"),
        ("q2", "bot-2", "helpful", 2, "kim@example.org", "annotator"),
    ]
    first = found[0].about
    assert (first.prompt, first.answer) == ("Which plug?", "Type F.")
    assert found[0].provenance.graded_at is not None
    text = " ".join(warnings)
    for left in ("predictions, which models made", "were cancelled", "'textarea', which hold no grade"):
        assert left in text


def test_a_label_that_a_person_took_over_from_a_model_is_refused_row_by_row_and_can_be_left_out():
    tasks = shapes.label_studio()
    tasks[1]["annotations"][1]["result"][0]["origin"] = "prediction"
    whole = upload(shapes.file(tasks), POINTWISE)
    with pytest.raises(BadInput) as refused:
        check(whole)
    assert [(one.row, one.problem) for one in refused.value.problems] == [
        (4, "was written by a model and taken over unchanged: anchors are human grades")
    ]
    table = "".join(problem_rows_csv(whole, find_problem_rows(whole)))
    left = read_corrections(io.BytesIO(table.encode()))
    kept = Upload(whole.file, whole.what, POINTWISE, whole.mapping, corrections=left, shape=whole.shape)
    assert check(kept).rows == 3


def test_label_studio_pairs_and_choices_become_verdicts():
    result = {"type": "pairwise", "from_name": "better", "value": {"selected": "right"}}
    choice = {"type": "choices", "from_name": "better", "value": {"choices": ["tie"]}}
    data = {"prompt": "?", "system_a": "x", "answer_a": "1", "system_b": "y", "answer_b": "2"}
    tasks = [
        {"id": k, "data": {**data, "id": f"q{k}"}, "annotations": [{"completed_by": 1, "result": [one]}]}
        for k, one in enumerate((result, choice))
    ]
    found, _ = said(shapes.file(tasks), PAIRWISE)
    assert [one.value for one in found] == [-1, 0]


@pytest.mark.parametrize(
    "document, what",
    [
        ([{**t, "annotations": []} for t in shapes.label_studio()], "1 predictions by models"),
        ([{**r, "responses": {}} for r in shapes.argilla()], "1 suggestions by models"),
    ],
)
def test_a_file_with_nothing_but_models_labels_is_refused(document, what):
    file = shapes.file(document)
    with pytest.raises(BadInput, match=what):
        upload(file, POINTWISE)


def test_argilla_responses_are_grades_in_each_of_the_ways_they_are_written():
    first = ("q1", "bot-1", "helpful", 4, "0f5c", "annotator")
    found, warnings = said(shapes.file(shapes.argilla()), POINTWISE)
    assert [short(one) for one in found] == [first, ("q2", "bot-2", "helpful", 3, "77aa", "annotator")]
    text = " ".join(warnings)
    for left in (
        "suggestions, which models made",
        "responses that are draft",
        "'why', which is no criterion",
    ):
        assert left in text
    for written in (shapes.argilla_by_user(), shapes.argilla_flat()):
        found, _ = said(shapes.lines(written), POINTWISE)
        assert [short(one) for one in found] == [first]
        assert found[0].about.answer == "Type F."


def test_promptfoo_ratings_by_people_are_grades_and_what_models_found_is_not():
    found, warnings = said(shapes.file(shapes.promptfoo()), POINTWISE)
    assert [(one.about.system, one.criterion, one.value, one.provenance.annotator) for one in found] == [
        ("shop:bot-1", "helpful", 4, "kim"),
        ("shop:bot-2", "helpful", 2, "kim"),
    ]
    assert found[0].about.item_id.startswith("promptfoo-")
    text = " ".join(warnings)
    assert "findings of llm-rubric assertions" in text
    assert "named scores 'tone', which people did not give alone" in text


def test_promptfoo_systems_are_providers_and_prompts_where_several_were_compared():
    document = shapes.promptfoo()
    first, second = document["results"]["results"]
    second |= {
        "promptIdx": 1,
        "gradingResult": first["gradingResult"],
        "prompt": {"raw": "Other", "label": "long"},
    }
    found, _ = said(shapes.file(document), POINTWISE)
    assert [one.about.system for one in found] == ["shop:bot-1 / brief", "shop:bot-2 / long"]
    assert len({one.about.item_id for one in found}) == 1


def test_inspect_scores_that_a_person_gave_are_grades():
    found, warnings = said(shapes.file(shapes.inspect_log()), ONE)
    assert [short(one) for one in found] == [
        ("q1", "shop/bot-1", "helpful", 4, "kim", "reviewer"),
        ("q2", "shop/bot-1", "helpful", 3, "lee", "reviewer"),
    ]
    assert (found[0].about.prompt, found[0].about.answer) == ("Tell me of q1.", "Type F.")
    assert "'match', which no person gave" in " ".join(warnings)


def test_an_inspect_log_without_people_or_samples_is_refused_in_words():
    log = shapes.inspect_log()
    for sample in log["samples"]:
        del sample["scores"]["helpful"]
    with pytest.raises(BadInput, match="only those of scorers \\(match\\)"):
        upload(shapes.file(log), ONE)
    with pytest.raises(BadInput, match="holds no samples"):
        upload(shapes.file({**log, "samples": []}), ONE)


def test_votes_on_pairs_name_their_turn_and_keep_what_was_said_up_to_it():
    found, _ = said(shapes.lines(shapes.mt_bench()), PAIRWISE)
    assert [(one.about.item_id, one.value) for one in found] == [("81", 1), ("81-turn-2", -1), ("82", 0)]
    assert [one.provenance.annotator_type for one in found] == ["expert", "author", "expert"]
    assert found[0].about.answer == "Type F."
    assert found[1].about.answer == "Type F.\n\nType K."
    assert found[1].about.prompt == "Which plug?\n\nAnd in Denmark?"


def test_votes_of_a_model_are_refused():
    votes = [{**one, "judge": ["gpt-4", "pair-v2"]} for one in shapes.mt_bench()[:1]]
    with pytest.raises(BadInput) as refused:
        check(upload(shapes.lines(votes), PAIRWISE))
    assert "names a model ('gpt'), not a person" in refused.value.problems[0].problem
    with pytest.raises(BadInput, match="votes on pairs"):
        upload(shapes.lines(shapes.mt_bench()), POINTWISE)


def test_a_file_that_is_said_to_be_something_else_is_refused():
    with pytest.raises(BadInput, match="it looks like: Argilla records"):
        upload(shapes.file(shapes.argilla()), POINTWISE, Shape.LABEL_STUDIO)
    with pytest.raises(BadInput, match="neither JSON nor"):
        upload(csv_file([grade()]), POINTWISE, Shape.INSPECT)
    with pytest.raises(BadInput, match="send it in parts"):
        preview(shapes.file(shapes.argilla()), ONE, shape=Shape.ARGILLA, limits=Limits(document=100))


_JUNK = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.floats(allow_nan=False) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=2), inner, max_size=2),
    max_leaves=4,
)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_whatever_stands_where_a_tool_writes_something_else_is_an_answer_or_a_clear_refusal(data):
    shape = data.draw(st.sampled_from(list(DOCUMENTS)))
    document = DOCUMENTS[shape]()
    for _ in range(data.draw(st.integers(1, 3))):
        where = document
        while isinstance(where, list | dict) and where:
            key = data.draw(st.sampled_from(sorted(where) if isinstance(where, dict) else range(len(where))))
            inner = where[key]
            if not isinstance(inner, list | dict) or not inner or data.draw(st.booleans()):
                where[key] = data.draw(_JUNK)
                break
            where = inner
    file = shapes.file(document)
    rubric = PAIRWISE if shape is Shape.MT_BENCH else POINTWISE
    for asked in (shape, find_shape(file)):
        try:
            check(Upload(file, Uploaded.ANCHORS, rubric, Mapping(), shape=asked))
            upload(file, rubric, asked)
        except BadInput:
            pass

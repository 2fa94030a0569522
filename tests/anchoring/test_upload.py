import io
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.anchoring.limits import Limits
from app.anchoring.mapping import Mapping, Uploaded
from app.anchoring.upload import Upload, check, human_verdicts, recorded_verdicts
from app.domain.anchors import Pairing
from app.domain.problems import BadInput
from tests.anchoring.files import (
    LABELLED,
    ONE,
    PAIRWISE,
    anchors,
    csv_file,
    grade,
    jsonl_file,
    preference,
    verdict,
    verdicts,
)


def refused(upload: Upload) -> BadInput:
    with pytest.raises(BadInput) as raised:
        check(upload)
    return raised.value


def problems(upload: Upload) -> list[tuple[int | None, str | None, str]]:
    return [(p.row, p.column, p.problem) for p in refused(upload).problems]


def humans(upload: Upload):
    return [verdict for batch in human_verdicts(upload, check(upload)) for verdict in batch]


def judges(upload: Upload):
    return [verdict for batch in recorded_verdicts(upload, check(upload)) for verdict in batch]


def test_a_row_of_human_grades_becomes_a_human_verdict_with_everything_it_says():
    row = grade(
        prompt="How?",
        context="c",
        reference="r",
        system_family="alder",
        answer="So.",
        len_words="9",
        graded_at="2026-11-22T12:00:00+02:00",
        source="study 1",
        blind="yes",
        inclusion_probability="0.25",
        **{"stratum.language": "de", "stratum.empty": ""},
    )
    (made,) = humans(anchors([row]))
    assert made.about == Pairing(
        "q1", "bot", None, "alder", None, "So.", None, "How?", "c", "r", 9, None, {"language": "de"}
    )
    assert (made.criterion, made.value) == ("helpful", 4.0)
    by = made.provenance
    assert (by.annotator, by.annotator_type, by.source, by.blind) == ("ann-1", "expert", "study 1", True)
    assert (by.inclusion_probability, by.graded_at) == (0.25, datetime(2026, 11, 22, 10, tzinfo=UTC))


def test_a_row_of_recorded_verdicts_becomes_a_recorded_verdict_with_everything_it_says():
    row = verdict(draw="2", order="1", judge_params='{"b": 1, "a": 2}', graded_at="2026-01-01", unscored="")
    (made,) = judges(verdicts([row]))
    assert (made.judge, made.judge_family, made.value, made.unscored) == ("judge-x", "alder", 3.5, None)
    assert (made.draw, made.order, made.judge_params) == (2, 1, '{"a":2,"b":1}')
    assert made.graded_at == datetime(2026, 1, 1, tzinfo=UTC)


def test_a_plain_word_for_a_judges_parameters_becomes_json():
    assert judges(verdicts([verdict(judge_params="CoT")]))[0].judge_params == '{"setting":"CoT"}'


@pytest.mark.parametrize("word, value", [("A", 1.0), ("b", -1.0), ("Tie", 0.0)])
def test_verdicts_on_pairs_are_signed_for_the_side_named_first(word, value):
    (made,) = humans(anchors([preference(verdict=word)], PAIRWISE))
    assert (made.about.system, made.about.other_system, made.value) == ("bot", "cat", value)


def test_graded_preferences_are_scaled_to_one_in_either_direction():
    rows = [preference(item_id=f"q{score}", score=score) for score in (-2, -1, 0, 1, 2)]
    for row in rows:
        del row["verdict"]
    up = {"constants": {"scale_min": -2, "scale_max": 2}}
    down = {"constants": {"scale_min": 2, "scale_max": -2}}
    assert [v.value for v in humans(anchors(rows, PAIRWISE, up))] == [-1.0, -0.5, 0.0, 0.5, 1.0]
    assert [v.value for v in humans(anchors(rows, PAIRWISE, down))] == [1.0, 0.5, 0.0, -0.5, -1.0]
    assert problems(anchors(rows, PAIRWISE))[0][1] == "score"
    beyond = {"constants": {"scale_min": -1, "scale_max": 1}}
    assert [row for row, _, _ in problems(anchors(rows, PAIRWISE, beyond))] == [1, 5]


def test_labels_of_a_scale_are_read_as_their_values():
    rows = [grade(item_id=f"q{k}", score=word) for k, word in enumerate(("poor", "GOOD", "2"))]
    assert [made.value for made in humans(anchors(rows, LABELLED))] == [1.0, 3.0, 2.0]


@pytest.mark.parametrize(
    "score, says",
    [
        ("4,5", "write a decimal point, not a comma"),
        ("nan", "is NaN or infinite"),
        ("-Infinity", "is NaN or infinite"),
        ("1e999", "is NaN or infinite"),
        ("six", "is not a number"),
        ("1_000", "is not a number"),
        ("٤", "is not a number"),
        ("0x4", "is not a number"),
        ("6", "is outside helpful's scale, 1 to 5"),
        ("0.99", "is outside helpful's scale, 1 to 5"),
        ("4.5", "lies between the steps of helpful's scale, 1 to 5 by 1"),
        ("", "is missing"),
        ("=4", "is not a number"),
    ],
)
def test_a_score_that_is_none_is_named_with_the_reason(score, says):
    ((row, column, problem),) = problems(anchors([grade(), grade(item_id="q2", score=score)]))
    assert (row, column) == (2, "score")
    assert says in problem


@pytest.mark.parametrize(
    "column, value, says",
    [
        ("item_id", "", "is missing, and there is no prompt"),
        ("system", " ", "is missing"),
        ("criterion", "wit", "is no criterion of the rubric; it has helpful, tone"),
        ("criterion", "", "is missing"),
        ("annotator", "gpt-4o", "names a model ('gpt')"),
        ("annotator_type", "llm_oracle", "names a model ('llm')"),
        ("annotator_type", "", "is missing"),
        ("source", "LLM labels", "says a model gave the grades"),
        ("graded_at", "yesterday", "is not a time"),
        ("blind", "perhaps", "is neither true nor false"),
        ("inclusion_probability", "0", "is not a probability"),
        ("inclusion_probability", "1.2", "is not a probability"),
        ("len_words", "-3", "is not a whole number"),
        ("len_words", "2.5", "is not a whole number"),
        ("scale_max", "10", "another scale_min or scale_max than helpful's 1 to 5"),
        ("system", "x" * 401, "is longer than 400 characters"),
    ],
)
def test_a_wrong_cell_is_named_by_row_and_column(column, value, says):
    found = problems(anchors([grade(**{column: ""}) | grade(item_id="q0"), grade(**{column: value})]))
    (problem,) = [p for p in found if p[0] == 2]
    assert problem[1] in (column, "score")
    assert says in problem[2]


def test_a_wrong_cell_is_called_by_the_files_own_column():
    rows = [{**grade(), "rating": "9"}]
    del rows[0]["score"]
    assert problems(anchors(rows, mapping={"columns": {"score": "rating"}}))[0][1] == "rating"


def test_true_is_no_score_even_after_a_one():
    rows = [grade(item_id="q1", score=1), grade(item_id="q2", score=True), grade(item_id="q3", score=1)]
    assert [row for row, _, _ in problems(anchors(jsonl_file(rows)))] == [2]


def test_columns_that_are_missing_are_named_all_at_once():
    found = refused(anchors([{"item": "q1", "score": "4"}]))
    assert [p.column for p in found.problems] == [
        "item_id or prompt",
        "system",
        "annotator",
        "annotator_type",
        "criterion",
    ]
    assert "it has: item, score" in found.summary


def test_a_column_the_mapping_names_must_be_in_the_file():
    found = refused(anchors([grade()], mapping={"columns": {"source": "origin"}, "where": {"kind": "x"}}))
    assert [(p.path, p.column) for p in found.problems] == [
        ("mapping.columns.source", "origin"),
        ("mapping.where.kind", "kind"),
    ]


def test_the_criterion_may_be_left_out_if_there_is_only_one():
    row = grade()
    del row["criterion"]
    assert humans(anchors([row], ONE))[0].criterion == "helpful"
    assert humans(anchors([grade(criterion="")], ONE))[0].criterion == "helpful"


def test_constants_where_and_values_do_what_they_say():
    rows = [
        {"item_id": "q1", "system": "bot", "dim": "H", "score": 4, "kind": "keep"},
        {"item_id": "q1", "system": "bot", "dim": "T", "score": 2, "kind": "keep"},
        {"item_id": "q1", "system": "bot", "dim": "?", "score": 99, "kind": "drop"},
    ]
    mapping = {
        "columns": {"criterion": "dim"},
        "constants": {"annotator": "kim", "annotator_type": "expert", "stratum.year": 2026},
        "where": {"kind": ["keep"]},
        "values": {"criterion": {"H": "helpful", "*": "tone"}},
    }
    upload = anchors(jsonl_file(rows), mapping=mapping)
    made = humans(upload)
    assert [(v.criterion, v.value, v.provenance.annotator) for v in made] == [
        ("helpful", 4.0, "kim"),
        ("tone", 2.0, "kim"),
    ]
    assert made[0].about.strata == {"year": "2026"}
    assert "1 rows were left out by mapping.where." in check(upload).warnings


def test_a_where_that_keeps_nothing_is_refused():
    assert (
        "leaves out every one" in refused(anchors([grade()], mapping={"where": {"system": "nobody"}})).summary
    )


def test_columns_that_nothing_reads_are_a_warning():
    assert check(anchors([grade(zeta="1", alpha="2")])).warnings == (
        "Columns that were not read: alpha, zeta.",
    )


def test_a_column_mapped_to_null_is_not_read():
    upload = anchors([grade(source="gpt-4")], mapping={"columns": {"source": None}})
    assert humans(upload)[0].provenance.source is None


def test_unscored_rows_need_a_reason_and_keep_no_value():
    rows = [
        verdict(item_id="q1", score="", parse="unparsed"),
        verdict(item_id="q2", score="0.5", parse="out_of_range"),
        verdict(item_id="q3", score="5", parse="ok"),
    ]
    mapping = {
        "columns": {"unscored": "parse"},
        "values": {"unscored": {"ok": "", "unparsed": "unparsable"}},
    }
    upload = verdicts(rows, mapping=mapping)
    assert [(v.value, v.unscored) for v in judges(upload)] == [
        (None, "unparsable"),
        (None, "out_of_range"),
        (5.0, None),
    ]
    assert check(upload).unscored == 2
    unmapped = problems(verdicts(rows, mapping={"columns": {"unscored": "parse"}}))
    assert [(row, column) for row, column, _ in unmapped] == [(1, "parse"), (3, "parse")]
    assert "out_of_range" in unmapped[0][2]
    without = problems(verdicts(rows))
    assert without[0] == (1, "score", "is missing, and unscored gives no reason")


def test_verdicts_of_judges_on_pairs_may_be_unscored_too():
    row = {"item_id": "q", "system_a": "a", "system_b": "b", "judge": "j", "judge_family": "f", "verdict": ""}
    (made,) = judges(verdicts([row | {"unscored": "refusal"}], PAIRWISE))
    assert (made.value, made.unscored) == (None, "refusal")


@pytest.mark.parametrize("word, order", [("1", 1), ("2", 2), ("both", 0), ("", None)])
def test_orders_are_read(word, order):
    assert judges(verdicts([verdict(order=word)]))[0].order == order


def test_the_same_grade_twice_counts_once_and_another_is_a_problem():
    same = check(anchors([grade(), grade(), grade(item_id="q2")]))
    assert (same.rows, same.read) == (2, 3)
    assert same.warnings == ("1 rows repeat an earlier row word for word; each counts once.",)
    ((row, _, problem),) = problems(anchors([grade(), grade(item_id="q2"), grade(score="2")]))
    assert row == 3
    assert "contradicts an earlier row of the same annotator" in problem


@pytest.mark.parametrize("repeats, kept", [("first", [4.0, 3.0]), ("last", [3.0, 2.0])])
def test_the_first_or_last_of_contradicting_rows_is_kept_on_request(repeats, kept):
    rows = [grade(), grade(item_id="q2", score="3"), grade(score="2")]
    upload = anchors(rows, mapping={"repeats": repeats})
    assert [made.value for made in humans(upload)] == kept
    assert check(upload).warnings == (
        f"1 rows contradict an earlier one; the {repeats} counts (mapping.repeats).",
    )


def test_a_pair_named_the_other_way_round_is_the_same_pair_for_people():
    turned = preference(system_a="cat", system_b="bot")
    assert check(anchors([preference(verdict="A"), turned | {"verdict": "B"}], PAIRWISE)).rows == 1
    assert len(problems(anchors([preference(verdict="A"), turned | {"verdict": "A"}], PAIRWISE))) == 1


def test_a_pair_shown_the_other_way_round_is_another_question_to_a_judge():
    row = {
        "item_id": "q",
        "system_a": "a",
        "system_b": "b",
        "judge": "j",
        "judge_family": "f",
        "verdict": "A",
    }
    assert check(verdicts([row, row | {"system_a": "b", "system_b": "a"}], PAIRWISE)).rows == 2


def test_repeats_of_a_judge_are_told_apart_by_their_draw():
    assert check(verdicts([verdict(draw=1), verdict(draw=2, score=5)])).rows == 2
    assert "number repeats in the column draw" in problems(verdicts([verdict(), verdict(score=5)]))[0][2]


def test_an_answer_against_itself_is_a_problem():
    assert problems(anchors([preference(system_b="bot")], PAIRWISE)) == [
        (1, "system_b", "is the same answer as side A")
    ]
    texts = {"answer_a": "x", "answer_b": "y"}
    assert check(anchors([preference(system_b="bot", **texts)], PAIRWISE)).rows == 1


def test_an_item_id_with_two_prompts_is_a_problem():
    rows = [grade(prompt="How?"), grade(prompt="Why?", annotator="ann-2"), grade(item_id="q2", prompt="Why?")]
    assert problems(anchors(rows)) == [(2, "item_id", "has another prompt in an earlier row")]


def test_items_without_an_id_are_told_apart_by_their_texts():
    rows = [grade(prompt=p) for p in ("How?", "Why?")]
    for row in rows:
        del row["item_id"]
    made = humans(anchors(rows))
    assert [(v.about.item_id, v.about.prompt) for v in made] == [(None, "How?"), (None, "Why?")]
    assert check(anchors(rows)).items == 2


def test_a_judge_or_system_of_two_families_is_a_problem():
    rows = [verdict(), verdict(item_id="q2", judge_family="birch")]
    assert problems(verdicts(rows)) == [(2, "family", "of a judge is not the same in every row")]
    rows = [grade(system_family="alder"), grade(item_id="q2", system_family="birch")]
    assert problems(anchors(rows)) == [(2, "family", "of a system is not the same in every row")]


def test_an_item_in_two_strata_is_a_warning():
    rows = [grade(**{"stratum.lang": "de"}), grade(annotator="ann-2", **{"stratum.lang": "fr"})]
    assert check(anchors(rows)).warnings == (
        "1 items have another stratum.lang in a later row; the first counts.",
    )


def test_a_thousand_wrong_rows_are_listed_and_all_are_counted():
    rows = [grade(item_id=f"q{k}", score="9" if k % 2 else "x") for k in range(5000)]
    found = refused(anchors(rows))
    assert len(found.problems) == 1000
    assert [p.row for p in found.problems] == list(range(1, 1001))
    assert found.counts == {"score is not a number": 2500, "score is outside helpful's scale, 1 to 5": 2500}
    assert found.summary == "Nothing was stored: 5,000 problems in the file; the first 1,000 are listed."


def test_formulas_in_text_columns_are_text():
    texts = ["=HYPERLINK(1)", "+1", "-x", "@me"]
    rows = [grade(item_id=f"q{k}", answer=text) for k, text in enumerate(texts)]
    assert [made.about.answer for made in humans(anchors(rows))] == texts


def test_a_nul_in_json_is_a_wrong_cell():
    found = problems(anchors(jsonl_file([grade(item_id="a\0b"), grade(answer="x\0y")])))
    assert [(row, column) for row, column, _ in found] == [(1, "item_id"), (2, "answer")]


def test_a_mapping_of_a_text_column_is_obeyed():
    upload = anchors([grade(answer="n/a")], mapping={"values": {"answer": {"n/a": ""}}})
    assert humans(upload)[0].about.answer is None


GOOD = st.lists(
    st.tuples(
        st.integers(0, 30),
        st.sampled_from(["bot", "cat"]),
        st.sampled_from(["helpful", "tone"]),
        st.integers(1, 5),
    ),
    min_size=1,
    max_size=60,
    unique_by=lambda row: row[:3],
)


@given(GOOD, st.integers(1, 7), st.booleans())
def test_every_row_comes_through_once_whatever_the_batches(rows, batch_rows, as_json):
    written = [grade(item_id=f"q{i}", system=s, criterion=c, score=v) for i, s, c, v in rows]
    file = jsonl_file(written) if as_json else csv_file(written)
    upload = Upload(
        file, Uploaded.ANCHORS, anchors([grade()]).rubric, Mapping(), Limits(batch_rows=batch_rows)
    )
    made = humans(upload)
    assert [(v.about.item_id, v.about.system, v.criterion, v.value) for v in made] == [
        (f"q{i}", s, c, float(v)) for i, s, c, v in rows
    ]
    assert check(upload).items == len({i for i, *_ in rows})


def test_later_rows_of_jsonl_may_bring_new_columns():
    rows = [grade(), grade(item_id="q2", source="study", **{"stratum.lang": "de"})]
    upload = Upload(
        jsonl_file(rows), Uploaded.ANCHORS, anchors([grade()]).rubric, Mapping(), Limits(batch_rows=1)
    )
    made = humans(upload)
    assert [(v.provenance.source, v.about.strata) for v in made] == [(None, {}), ("study", {"lang": "de"})]


def test_progress_tells_rows_read():
    seen: list[int] = []
    check(anchors([grade(item_id=f"q{k}") for k in range(3000)]), seen.append)
    assert seen[-1] == 3000
    assert seen == sorted(seen)


def test_an_empty_file_is_refused():
    assert "empty" in refused(anchors(io.BytesIO())).summary

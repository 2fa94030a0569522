"""What a file's columns are taken for, before a person has looked."""

from app.anchoring.guess import guess_mapping
from app.domain.rubrics import Criterion, Rubric, RubricKind, Scale

ONE = Rubric("r", RubricKind.POINTWISE, "", (Criterion("c", "", Scale(1, 5)),))
TWO = Rubric("r", RubricKind.PAIRWISE, "", (Criterion("c", "", Scale(1, 5)),))


def test_our_own_names_come_before_other_words_for_them() -> None:
    found = guess_mapping(["id", "item_id", "model", "system"], ONE).columns
    assert found == {"item_id": "item_id", "system": "system"}


def test_usual_words_are_known_whatever_their_case_and_spacing() -> None:
    header = ["Question ID", "Model Name", "RESPONSE", "rater", "Human-Score"]
    assert guess_mapping(header, ONE).columns == {
        "item_id": "Question ID",
        "system": "Model Name",
        "answer": "RESPONSE",
        "annotator": "rater",
        "score": "Human-Score",
    }


def test_pairs_have_two_sides_and_a_verdict() -> None:
    found = guess_mapping(["id", "model_a", "model_b", "winner"], TWO).columns
    assert found == {"item_id": "id", "system_a": "model_a", "system_b": "model_b", "verdict": "winner"}


def test_a_column_of_judges_is_never_taken_for_people() -> None:
    found = guess_mapping(["id", "judge", "judge_model", "llm_score"], ONE).columns
    assert "annotator" not in found


def test_strata_keep_their_names_and_no_column_is_used_twice() -> None:
    found = guess_mapping(["label", "stratum.language"], ONE).columns
    assert found == {"score": "label", "stratum.language": "stratum.language"}

"""The seven recorded sets come in by a column mapping alone (examples/imports), no hand-editing."""

from collections.abc import Iterator

import pytest

from app.anchoring.mapping import Uploaded, read_mapping
from app.anchoring.upload import Upload, check, human_verdicts, recorded_verdicts
from app.domain.problems import BadInput
from tests.anchoring.files import EXAMPLES, example_rubric

pytestmark = pytest.mark.real_data

# rubric, folder, verdict rows, unscored, judges; anchor rows, annotators (None: no such file for it)
SETS = [
    ("hanna", "hanna", 126_720, 1_051, 5, 19_008, 3),
    ("llmbar", "llmbar", 48_604, 134, 6, 419, 1),
    ("llmbar_ratings", "llmbar", 5_866, 5, 2, None, None),
    ("conala_ice", "conala_ice", 10_000, 12, 1, 11_033, 16),
    ("llm_rubric", "llm_rubric", 8_064, 0, 1, 7_574, 37),
    ("pandalm", "pandalm", 1_998, 25, 2, 2_997, 3),
    ("ragchecker", "ragchecker_meta", None, None, None, 1_680, 2),
    ("ragchecker_scores", "ragchecker_meta", 1_680, 0, 1, None, None),
    ("cje_arena", "cje_arena_oracle", 4_000, 0, 1, None, None),
]


@pytest.fixture
def upload(shared_data) -> Iterator[object]:
    opened = []

    def open_upload(rubric_name: str, folder: str, what: Uploaded) -> Upload:
        rubric = example_rubric(rubric_name)
        text = (EXAMPLES / "imports" / f"{rubric_name}.{what}.json").read_text()
        name = "human" if what is Uploaded.ANCHORS else "grades"
        file = (shared_data / folder / f"{name}.csv.gz").open("rb")
        opened.append(file)
        return Upload(file, what, rubric, read_mapping(text, what, rubric.kind))

    yield open_upload
    for file in opened:
        file.close()


@pytest.mark.parametrize("rubric, folder, rows, unscored, judges", [row[:5] for row in SETS if row[2]])
def test_recorded_verdicts_come_in_by_their_mapping(upload, rubric, folder, rows, unscored, judges):
    checked = check(upload(rubric, folder, Uploaded.VERDICTS))
    assert (checked.rows, checked.unscored, checked.voices) == (rows, unscored, judges)
    assert not checked.repeated


@pytest.mark.parametrize("rubric, folder, rows, annotators", [(*row[:2], *row[5:]) for row in SETS if row[5]])
def test_human_grades_come_in_by_their_mapping(upload, rubric, folder, rows, annotators):
    checked = check(upload(rubric, folder, Uploaded.ANCHORS))
    assert (checked.rows, checked.voices) == (rows, annotators)


def test_the_oracle_of_cje_arena_is_refused_since_a_model_gave_it(upload):
    with pytest.raises(BadInput) as refused:
        check(upload("cje_arena", "cje_arena_oracle", Uploaded.ANCHORS))
    assert refused.value.counts == {
        "annotator names a model ('llm'), not a person: anchors are human grades": 630,
        "annotator_type names a model ('llm'), not a kind of person: anchors are human grades": 630,
    }


def test_people_who_contradict_themselves_in_llm_rubric_are_told_of(upload):
    warnings = check(upload("llm_rubric", "llm_rubric", Uploaded.ANCHORS)).warnings
    assert "28 rows contradict an earlier one; the first counts (mapping.repeats)." in warnings


def test_preferences_of_ragchecker_point_to_the_side_that_its_own_verdicts_name(upload):
    graded = upload("ragchecker", "ragchecker_meta", Uploaded.ANCHORS)
    rubric = graded.rubric
    plain = Upload(graded.file, graded.what, rubric, read_mapping("{}", graded.what, rubric.kind))
    by_score = [v.value for batch in human_verdicts(graded, check(graded)) for v in batch]
    by_verdict = [v.value for batch in human_verdicts(plain, check(plain)) for v in batch]
    assert set(by_score) == {-1.0, -0.5, 0.0, 0.5, 1.0}
    assert [(score > 0) - (score < 0) for score in by_score] == by_verdict


def test_positions_of_llmbar_are_both_there(upload):
    shown = upload("llmbar", "llmbar", Uploaded.VERDICTS)
    orders = [v.order for batch in recorded_verdicts(shown, check(shown)) for v in batch]
    assert (orders.count(1), orders.count(2)) == (24_302, 24_302)

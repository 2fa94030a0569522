import csv
import gzip
import io
import json
from dataclasses import replace

import pytest

from app.domain.items import Answer
from app.domain.judging import JudgeVersion, UnscoredReason
from app.domain.problems import BadInput
from app.domain.rubrics import Criterion, RubricKind, Scale
from app.judges.config import JudgeConfig
from app.judges.judge import Question
from app.judges.providers.recorded import recorded_judge
from tests.judges.questions import HELPFUL, TONE, rubric_of

COLUMNS = ("item_id", "system", "system_a", "system_b", "criterion", "judge")
COLUMNS += ("judge_params", "draw", "score", "verdict", "unscored")


def row(item_id, systems, judge="old", criterion="helpfulness", **values):
    """One recorded verdict; two systems make a pair, in the order shown."""
    names = ["system"] if len(systems) == 1 else ["system_a", "system_b"]
    shown = dict(zip(names, systems, strict=True))
    return {"item_id": item_id, "criterion": criterion, "judge": judge, **shown, **values}


ROWS = [
    row("i1", "x", score="4.5"),
    row("i1", "y", score="2"),
    row("i1", "x", criterion="tone", score="Fair"),
    row("i2", "x", unscored="refusal"),
    row("i3", "x", score="9"),
    row("i4", "x", score="", unscored=""),
    row("i5", "x", score="good"),
    row("i6", "x", unscored="model was down"),
    row("d", "x", score="1", draw="1"),
    row("d", "x", score="3", draw="2"),
    row("p", "xy", verdict="A"),
    row("p", "yx", verdict="tie"),
    row("q", "yx", verdict="A"),
    row("q", "xy", verdict=""),
    row("i1", "x", judge="cot", judge_params="a", score="1"),
    row("i1", "x", judge="cot", judge_params="b", score="5"),
]


@pytest.fixture(params=["csv", "jsonl", "csv.gz", "jsonl.gz"])
def file(tmp_path, request):
    return write(tmp_path / f"verdicts.{request.param}", ROWS)


def write(path, rows):
    text = io.StringIO()
    if "jsonl" in path.name:
        text.writelines(json.dumps(one) + "\n" for one in rows)
    else:
        writer = csv.DictWriter(text, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)
    raw = text.getvalue().encode()
    path.write_bytes(gzip.compress(raw) if path.suffix == ".gz" else raw)
    return path


def config(file, name="old", **params):
    values = {"file": file.name, **params}
    return JudgeConfig(name, "f", "recorded", name, params=json.dumps(values), folder=str(file.parent))


def question(item_id, *systems, kind=RubricKind.POINTWISE, criteria=(HELPFUL,), **changes):
    answers = tuple(Answer(system, f"text of {system}") for system in systems)
    given = {"order": tuple(range(len(systems))), "seed": 0, **changes}
    return Question(rubric_of(kind, *criteria), "prompt", answers, item_id=item_id, **given)


async def ask(judge, asked):
    reply = await judge.judge(asked, deadline=0.0)
    if reply.unscored is not None:
        assert not reply.scores
        return reply.unscored
    return {(score.criterion, score.answer): score.value for score in reply.scores}


async def test_recorded_scores_and_labels_are_said_again(file):
    judge = recorded_judge(config(file))
    got = await ask(judge, question("i1", "x", criteria=(HELPFUL, TONE)))
    assert got == {("helpfulness", 0): 4.5, ("tone", 0): 2.0}  # a mean of repeats may lie between steps
    both = await ask(judge, question("i1", "y", "x", kind=RubricKind.LISTWISE, order=(1, 0)))
    assert both == {("helpfulness", 0): 2.0, ("helpfulness", 1): 4.5}


@pytest.mark.parametrize(
    "item, systems, order, value",
    [
        ("p", ("x", "y"), (0, 1), 1.0),
        ("p", ("x", "y"), (1, 0), 0.0),
        ("p", ("y", "x"), (1, 0), -1.0),
        ("q", ("x", "y"), (1, 0), -1.0),
        ("q", ("y", "x"), (0, 1), 1.0),
    ],
)
async def test_a_recorded_preference_is_looked_up_in_the_order_shown(file, item, systems, order, value):
    asked = question(item, *systems, kind=RubricKind.PAIRWISE, order=order)
    assert await ask(recorded_judge(config(file)), asked) == {("helpfulness", 0): value}


@pytest.mark.parametrize(
    "item, reason, detail",
    [
        ("i2", UnscoredReason.REFUSAL, "recorded as unscored: refusal"),
        ("i3", UnscoredReason.OUT_OF_RANGE, "off the scale"),
        ("i4", UnscoredReason.UNPARSABLE, "holds no score"),
        ("i5", UnscoredReason.UNPARSABLE, "is no number"),
        ("i6", UnscoredReason.PROVIDER_ERROR, "model was down"),
        (
            "nowhere",
            UnscoredReason.PROVIDER_ERROR,
            "no recorded verdict for 'helpfulness' of item 'nowhere' by 'x'",
        ),
        (None, UnscoredReason.PROVIDER_ERROR, "no recorded verdict"),
    ],
)
async def test_what_was_not_recorded_or_makes_no_sense_is_unscored_with_the_reason(
    file, item, reason, detail
):
    unscored = await ask(recorded_judge(config(file)), question(item, "x"))
    assert unscored.reason is reason
    assert detail in unscored.detail


async def test_an_empty_preference_is_unscored(file):
    asked = question("q", "x", "y", kind=RubricKind.PAIRWISE)
    assert (await ask(recorded_judge(config(file)), asked)).reason is UnscoredReason.UNPARSABLE


async def test_a_criterion_without_a_record_leaves_the_seat_unscored(file):
    other = Criterion("brevity", "?", Scale(1, 5))
    unscored = await ask(recorded_judge(config(file)), question("i1", "x", criteria=(HELPFUL, other)))
    assert "brevity" in unscored.detail


async def test_the_seed_chooses_among_the_draws(file):
    judge = recorded_judge(config(file))
    drawn = [(await ask(judge, question("d", "x", seed=seed)))["helpfulness", 0] for seed in range(4)]
    assert drawn == [1.0, 3.0, 1.0, 3.0]


async def test_one_of_several_settings_of_a_judge_must_be_chosen(file):
    with pytest.raises(BadInput) as raised:
        recorded_judge(config(file, "cot"))
    assert "choose one of its settings: a, b" in raised.value.problems[0].problem
    judge = recorded_judge(config(file, "cot", judge_params="b"))
    assert await ask(judge, question("i1", "x")) == {("helpfulness", 0): 5.0}


def test_a_recorded_judge_has_the_identity_of_imported_verdicts(file):
    assert recorded_judge(config(file)).version == JudgeVersion("f", "old", "old", "{}", "", simulated=False)
    renamed = config(file, "mine", judge="cot", judge_params="a")
    assert recorded_judge(renamed).version == JudgeVersion("f", "mine", "mine", '{"setting":"a"}')


def test_a_judge_that_the_file_does_not_know_is_a_problem(file):
    with pytest.raises(BadInput) as raised:
        recorded_judge(config(file, "unknown"))
    assert "it has cot, old" in raised.value.problems[0].problem


def test_wrong_parameters_are_all_named(file):
    with pytest.raises(BadInput) as raised:
        recorded_judge(JudgeConfig("a", "f", "recorded", "a", params='{"fiel": 1, "judge": 2}'))
    assert {problem.path for problem in raised.value.problems} == {
        "params.fiel",
        "params.judge",
        "params.file",
    }


def test_a_file_that_is_missing_is_a_problem(tmp_path):
    with pytest.raises(BadInput) as raised:
        recorded_judge(config(tmp_path / "gone.csv"))
    assert "No such file" in raised.value.problems[0].problem


def test_rows_that_are_no_verdicts_are_named(tmp_path):
    rows = [
        {"item_id": "", "system": "x", "criterion": "c", "judge": "old", "score": "1"},
        {"item_id": "i", "criterion": "c", "judge": "old", "score": "1"},
        {"item_id": "i", "system_a": "x", "criterion": "c", "judge": "old", "verdict": "A"},
        {"item_id": "i", "system": "x", "criterion": "c", "judge": "old", "score": "1", "draw": "first"},
        {"item_id": "i", "system": "x", "criterion": "c", "judge": "old", "score": "1"},
        {"item_id": "i", "system": "x", "criterion": "c", "judge": "old", "score": "2"},
    ]
    with pytest.raises(BadInput) as raised:
        recorded_judge(config(write(tmp_path / "bad.csv", rows)))
    found = [(problem.row, problem.column) for problem in raised.value.problems]
    assert found == [(1, "item_id"), (2, "system"), (3, "system_b"), (4, "draw"), (6, None)]


@pytest.mark.parametrize(
    "name, raw", [("a.jsonl", b'{"item_id": '), ("b.jsonl", b"[1]\n"), ("c.csv", b"\xff\xfe")]
)
@pytest.mark.parametrize("packed", [False, True])
def test_files_that_break_off_or_are_something_else_are_problems(tmp_path, name, raw, packed):
    path = tmp_path / (name + ".gz" * packed)
    path.write_bytes(gzip.compress(raw)[:-6] if packed else raw)
    with pytest.raises(BadInput):
        recorded_judge(config(path))


@pytest.mark.real_data
async def test_real_recorded_scores_are_said_again_without_a_change(shared_data):
    path = shared_data / "hanna" / "grades.csv.gz"
    config = JudgeConfig("beluga-13b", "meta-llama", "recorded", "b", params=json.dumps({"file": str(path)}))
    with pytest.raises(BadInput, match="beluga"):  # asked in several ways: one must be chosen
        recorded_judge(config)
    way = "task1_simple;mean_of_3_tries"
    chosen = replace(config, params=json.dumps({"file": str(path), "judge_params": way}))
    judge, asked = recorded_judge(chosen), Criterion("relevance", "?", Scale(1, 5))
    with gzip.open(path, "rt") as lines:
        rows = [row for row in csv.DictReader(lines) if row["judge"] == "beluga-13b"]
    rows = [row for row in rows if row["judge_params"] == way and row["criterion"] == "relevance"]
    assert len(rows) > 500
    for row in rows:
        got = await ask(judge, question(row["item_id"], row["system"], criteria=(asked,)))
        assert got == {("relevance", 0): float(row["score"])}


@pytest.mark.real_data
async def test_real_recorded_preferences_keep_the_order_in_which_they_were_shown(shared_data):
    path = shared_data / "pandalm" / "grades.csv.gz"
    params = json.dumps({"file": str(path)})
    judge = recorded_judge(JudgeConfig("pandalm-7b", "meta-llama", "recorded", "p", params=params))
    asked = Criterion("overall", "?", Scale(1, 2))
    with gzip.open(path, "rt") as lines:
        rows = [row for row in csv.DictReader(lines) if row["judge"] == "pandalm-7b"]
    wins = {"A": 1.0, "B": -1.0, "tie": 0.0}
    for row in rows[:500]:
        systems = (row["system_a"], row["system_b"])
        pair = question(row["item_id"], *systems, kind=RubricKind.PAIRWISE, criteria=(asked,))
        swapped = question(
            row["item_id"], *systems[::-1], kind=RubricKind.PAIRWISE, criteria=(asked,), order=(1, 0)
        )
        if row["verdict"] in wins:
            assert await ask(judge, pair) == {("overall", 0): wins[row["verdict"]]}
            assert await ask(judge, swapped) == {("overall", 0): -wins[row["verdict"]]}

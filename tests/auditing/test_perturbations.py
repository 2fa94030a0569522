import pytest

from app.auditing.perturbations import PERTURBATIONS
from app.domain.rubrics import RubricKind
from app.judges.prompt import build_prompt
from app.judges.reply import read_reply
from tests.judges.questions import HELPFUL, TONE, question_of, rubric_of

CODE = '```\nbig = "quick"  # begin\n```'


def changed(name: str, question):
    return PERTURBATIONS[name].change(question)


def test_code_quotes_and_numbers_stay_as_they_are():
    text = f'The big file.\n{CODE}\nSay "big" and `quick` 12 times. Begin now.'
    question = question_of(rubric_of(), text, prompt=text)
    for name in ("synonyms", "whitespace", "layout"):
        other = changed(name, question)
        for part in (CODE, '"big"', "`quick`", "12"):
            assert part in other.prompt
            assert part in other.answers[0].text
    assert changed("synonyms", question).prompt.startswith("The large file.")
    assert "Start now." in changed("synonyms", question).prompt


def test_whitespace_changes_no_word_and_layout_only_marks():
    text = "One thing. Another thing.\n\n- first\n- second\n\n1. one\n2. two"
    question = question_of(rubric_of(), text, prompt=text)
    for name in ("whitespace", "layout"):
        other = changed(name, question)
        assert other.answers[0].text != text
        kept = [word for word in other.answers[0].text.split() if word.isalpha()]
        assert kept == [word for word in text.split() if word.isalpha()]


def test_what_does_not_apply_says_so():
    question = question_of(rubric_of(), "Nein.", prompt="Warum?")
    assert changed("synonyms", question) is None
    assert changed("order_of_parts", question) is None
    assert changed("label_names", question) is None
    assert changed("rubric_order", question) is None


def test_parts_change_places_and_none_is_lost():
    question = question_of(rubric_of(), prompt="The till shows 7.\n\nIt was 5 before.\n\nWhat happened?")
    assert changed("order_of_parts", question).prompt.startswith("What happened?\n\nThe till")
    with_context = question_of(rubric_of(), prompt="What happened?", context="The till shows 7.")
    other = changed("order_of_parts", with_context)
    assert (other.prompt, other.context) == ("The till shows 7.\n\nWhat happened?", None)


def test_criteria_change_places_and_keep_their_verdicts():
    question = question_of(rubric_of(RubricKind.POINTWISE, HELPFUL, TONE))
    other = changed("rubric_order", question)
    reply = '{"rationale": "", "helpfulness": 4, "tone": "Fair"}'
    scores = []
    for asked in (question, other):
        read = read_reply(reply, asked, build_prompt(asked))
        scores.append({score.criterion: score.value for score in read.scores})
    assert scores[0] == scores[1] == {"helpfulness": 4.0, "tone": 2.0}
    assert build_prompt(question).system != build_prompt(other).system


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_answers_called_otherwise_are_asked_for_and_read_by_those_names(order):
    rubric = rubric_of(RubricKind.PAIRWISE)
    question = question_of(rubric, "Hello.", "Hi.", order=order)
    other = changed("label_names", question)
    prompt = build_prompt(other)
    assert prompt.schema["properties"]["helpfulness"]["enum"] == ["X", "Y", "tie"]
    assert "answers, X and Y," in prompt.system
    assert '"A"' not in prompt.system
    assert "<<<answer X" in prompt.user
    (score,) = read_reply('{"rationale": "", "helpfulness": "X"}', other, prompt).scores
    assert score.value == (1.0 if order == (0, 1) else -1.0)
    refused = read_reply('{"rationale": "", "helpfulness": "A"}', other, prompt)
    assert refused.unscored is not None

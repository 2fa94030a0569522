import json
from math import log

import pytest

from app.domain.rubrics import Criterion, RubricKind, Scale
from app.judges.expected import MINIMUM_MASS, Token, expected_value
from app.judges.prompt import build_prompt
from app.judges.reply import read_reply
from tests.judges.questions import TONE, question_of, rubric_of

ONE_TO_FIVE = {str(value): float(value) for value in range(1, 6)}
ONE_TO_TEN = {str(value): float(value) for value in range(1, 11)}


def token(text, chance=1.0, **others):
    """A chosen token and its rivals; ``others`` maps texts to probabilities."""
    alternatives = {text: chance, **others.get("rivals", {})}
    return Token(text.encode(), log(chance), tuple((one, log(p)) for one, p in alternatives.items()))


def tokens_of(text, **chosen):
    """Tokens of a reply cut at every character, sure of everything but what is given by character."""
    return [chosen.get(letter, token(letter)) for letter in text]


def test_the_mean_is_over_the_valid_values_renormalised():
    only = token("4", 0.6, rivals={"5": 0.3, "3": 0.05, "?": 0.05})
    assert expected_value([only], ONE_TO_FIVE) == pytest.approx((4 * 0.6 + 5 * 0.3 + 3 * 0.05) / 0.95)


def test_too_little_mass_on_valid_values_gives_no_mean():
    just = token("4", 0.5, rivals={"5": MINIMUM_MASS - 0.5 + 0.001})
    under = token("4", 0.5, rivals={"5": MINIMUM_MASS - 0.5 - 0.001})
    assert expected_value([just], ONE_TO_FIVE) is not None
    assert expected_value([under], ONE_TO_FIVE) is None


def test_blanks_and_quotes_around_a_value_do_not_matter():
    bare = expected_value([token(" 4", 0.5, rivals={"5": 0.3, "\n3": 0.2})], ONE_TO_FIVE, lead=" ")
    assert bare == pytest.approx(4 * 0.5 + 5 * 0.3 + 3 * 0.2)
    choices = {"A": 1.0, "B": -1.0, "tie": 0.0}
    quoted = expected_value([token('"A', 0.7, rivals={'"B': 0.2, '"t': 0.1})], choices)
    assert quoted == pytest.approx(0.5)
    apart = expected_value([token('"'), token("A", 0.7, rivals={"B": 0.2, "tie": 0.1})], choices)
    assert apart == pytest.approx(0.5)


def test_a_token_that_may_be_the_beginning_of_another_value_is_followed_to_its_end():
    ten = [token("1", 0.6, rivals={"9": 0.4}), token("0", 0.5, rivals={"}": 0.3, ",": 0.2})]
    assert expected_value(ten, ONE_TO_TEN) == pytest.approx(9 * 0.4 + 10 * 0.3 + 1 * 0.3)
    one = [token("1", 0.6, rivals={"9": 0.4}), token("}", 0.5, rivals={"0": 0.5})]
    assert expected_value(one, ONE_TO_TEN) == pytest.approx(9 * 0.4 + 1 * 0.3 + 10 * 0.3)


def test_an_ambiguous_rival_counts_as_no_value():
    nine = token("9", 0.8, rivals={"1": 0.2})  # 1 or 10: the tokens do not tell
    assert expected_value([nine], ONE_TO_TEN) is None
    assert expected_value([nine], {"9": 9.0, "1": 1.0}) == pytest.approx(7.4)


def test_values_of_several_tokens_are_followed():
    choices = {"0": 0.0, "0.25": 0.25, "0.5": 0.5, "0.75": 0.75, "1": 1.0}
    path = [
        token("0", 0.9, rivals={"1": 0.1}),
        token(".", 1.0),
        token("5", 0.5, rivals={"25": 0.25, "7": 0.25}),
    ]
    assert expected_value(path, choices) == pytest.approx(0.1 + 0.9 * (0.25 + 0.0625 + 0.1875))


def test_a_label_counts_as_soon_as_it_can_be_no_other():
    labels = {"Poor": 1.0, "Fair": 2.0, "Excellent": 3.0}
    path = [token('"'), token("Ex", 0.6, rivals={"Po": 0.3, "fair": 0.1})]
    assert expected_value(path, labels) == pytest.approx(1.8 + 0.3 + 0.2)


def test_tokens_that_never_settle_on_a_value_give_no_mean():
    assert expected_value([token("x"), token("y")], ONE_TO_FIVE) is None
    assert expected_value([], ONE_TO_FIVE) is None
    assert expected_value([token("1")], ONE_TO_TEN) is None


def read(text, question, tokens):
    reading = read_reply(text, question, build_prompt(question), tokens)
    assert reading.unscored is None
    return {(one.criterion, one.answer): one.expected for one in reading.scores}


def test_the_expected_score_is_found_at_the_value_and_not_at_another_number():
    text = 'Sure: {"rationale": "5 of 5, ünd", "helpfulness": 4}'
    tokens = tokens_of(text, **{"4": token("4", 0.5, rivals={"3": 0.5})})
    assert read(text, question_of(rubric_of()), tokens) == {("helpfulness", 0): pytest.approx(3.5)}


def test_a_character_that_tokens_split_does_not_shift_the_place():
    text = '{"rationale": "🙂", "helpfulness": 4}'
    raw = text.encode()
    tokens = [
        Token(raw[i : i + 1], 0.0) if raw[i] != ord("4") else token("4", 0.75, rivals={"1": 0.25})
        for i in range(len(raw))
    ]
    assert read(text, question_of(rubric_of()), tokens) == {("helpfulness", 0): pytest.approx(3.25)}


def test_an_expected_preference_has_the_sign_of_the_callers_order():
    question = question_of(rubric_of(RubricKind.PAIRWISE), "a", "b", order=(1, 0))
    text = '{"helpfulness": "A"}'
    tokens = tokens_of(text, A=token("A", 0.8, rivals={"B": 0.1, "tie": 0.1}))
    assert read(text, question, tokens) == {("helpfulness", 0): pytest.approx(-0.7)}


def test_each_answer_of_a_list_has_its_own_expected_score():
    question = question_of(rubric_of(RubricKind.LISTWISE), "a", "b", order=(1, 0))
    text = '{"helpfulness": {"A": 4, "B": 2}}'
    chosen = {"4": token("4", 0.5, rivals={"5": 0.5}), "2": token("2", 0.5, rivals={"1": 0.5})}
    assert read(text, question, tokens_of(text, **chosen)) == {
        ("helpfulness", 1): pytest.approx(4.5),
        ("helpfulness", 0): pytest.approx(1.5),
    }


def test_labels_have_expected_scores_and_continuous_scales_have_none():
    smooth = Criterion("smooth", "?", Scale(0, 1, None))
    question = question_of(rubric_of(RubricKind.POINTWISE, TONE, smooth))
    text = json.dumps({"tone": "Fair", "smooth": 0.5})
    tokens = tokens_of(text, F=token("F", 0.5, rivals={"P": 0.5}))
    assert read(text, question, tokens) == {("tone", 0): pytest.approx(1.5), ("smooth", 0): None}


def test_tokens_of_another_text_are_not_used():
    text = '{"helpfulness": 4}'
    assert read(text, question_of(rubric_of()), tokens_of(text + " ")) == {("helpfulness", 0): None}

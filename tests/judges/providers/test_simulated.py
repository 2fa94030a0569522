import asyncio
import json
from random import Random
from statistics import NormalDist

import numpy as np
import pytest

from app.domain.items import Answer
from app.domain.judging import UnscoredReason
from app.domain.problems import BadInput
from app.domain.rubrics import Criterion, RubricKind, Scale
from app.judges.config import JudgeConfig
from app.judges.judge import Question
from app.judges.latent_quality import latent_quality
from app.judges.providers.simulated import SimulatedJudge
from tests.judges.questions import HARM, HELPFUL, TONE, question_of, rubric_of

FINE = Criterion("fine", "?", Scale(-100, 100, None))
"""A scale so wide and smooth that values are latent ones: with this spread one unit is one deviation."""
UNIT_SPREAD = 1 / 200


def judge_of(name="sim", family="own", **params) -> SimulatedJudge:
    return SimulatedJudge(JudgeConfig(name, family, "simulated", "sim-model", params=json.dumps(params)))


def words(rng, n):
    return " ".join(f"w{rng.randrange(10**6)}" for _ in range(n))


def values(judge, question):
    return [score.value for score in judge.reply(question).scores]


def pointwise(n, rng, criterion=FINE):
    rubric = rubric_of(RubricKind.POINTWISE, criterion)
    for index in range(n):
        family = rng.choice(["own", "other"])
        model = rng.choice(["sim-model", "another"]) if family == "own" else "third"
        answer = Answer("s", words(rng, rng.choice([25, 50, 100, 200, 400])), family, model)
        yield Question(rubric, f"prompt {index}", (answer,), (0,), seed=index)


def regress(columns, outcome):
    """Least squares: estimates and their standard errors."""
    design, outcome = np.column_stack(columns), np.asarray(outcome)
    estimate, *_ = np.linalg.lstsq(design, outcome, rcond=None)
    residual = outcome - design @ estimate
    variance = residual @ residual / (len(outcome) - design.shape[1])
    return estimate, np.sqrt(np.diag(np.linalg.inv(design.T @ design)) * variance)


def test_the_planted_effects_of_a_scoring_judge_are_read_back_by_regression():
    planted = {"severity": 0.4, "discrimination": 0.8, "length": 0.3, "own_family": 0.5, "own_model": 0.25}
    judge = judge_of(**planted, noise=0.3, retest_noise=0.2, family_noise=0.2, spread=UNIT_SPREAD)
    rows, outcome = [], []
    for question in pointwise(4000, Random(1)):
        answer = question.answers[0]
        rows.append(
            (
                1.0,
                latent_quality(answer.text, "fine"),
                np.log2(len(answer.text.split()) / 100),
                answer.family == "own",
                answer.model == "sim-model",
            )
        )
        outcome += values(judge, question)
    estimate, error = regress(np.asarray(rows, float).T, outcome)
    expected = np.array([-0.4, 0.8, 0.3, 0.5, 0.25])
    assert np.all(np.abs(estimate - expected) < 4 * error)  # five estimates: 4 errors is one chance in 3,000
    assert np.all(error < 0.03)
    noise = np.std(np.asarray(outcome) - np.asarray(rows, float) @ expected)
    assert noise == pytest.approx((0.3**2 + 0.2**2 + 0.2**2) ** 0.5, rel=0.05)


def test_a_comparing_judge_shows_its_planted_position_and_discrimination():
    judge = judge_of(position=0.6, discrimination=0.9, tie=0.0, noise=0.5, retest_noise=0.3)
    rng, rubric = Random(2), rubric_of(RubricKind.PAIRWISE, HELPFUL)
    gaps, firsts = [], []
    for index in range(6000):
        answers = tuple(Answer(f"s{k}", words(rng, 40)) for k in range(2))
        order = (0, 1) if rng.random() < 0.5 else (1, 0)
        question = Question(rubric, f"p{index}", answers, order, seed=index)
        (value,) = values(judge, question)
        shown = value if order == (0, 1) else -value
        first, second = (latent_quality(answers[k].text, "helpfulness") for k in order)
        gaps.append(first - second)
        firsts.append(shown > 0)
    # First shown wins if .9 gap + .6 + noise of sd sqrt(2 (.25 + .09)) > 0; gaps have sd sqrt(2).
    noise_sd = (2 * (0.5**2 + 0.3**2)) ** 0.5
    expected = NormalDist().cdf(0.6 / (noise_sd**2 + 2 * 0.9**2) ** 0.5)
    assert np.mean(firsts) == pytest.approx(expected, abs=4 * 0.5 / 6000**0.5)
    near = np.abs(gaps) < 0.3
    assert np.mean(np.asarray(firsts)[near]) == pytest.approx(NormalDist().cdf(0.6 / noise_sd), abs=0.06)


def test_a_judge_of_lists_favours_places_along_a_line():
    judge = judge_of(position=0.8, noise=0.2, spread=UNIT_SPREAD)
    rng, rubric = Random(3), rubric_of(RubricKind.LISTWISE, FINE)
    by_place = [[] for _ in range(5)]
    for index in range(1500):
        answers = tuple(Answer(f"s{k}", words(rng, 30)) for k in range(5))
        order = tuple(rng.sample(range(5), 5))
        for score in judge.reply(Question(rubric, f"p{index}", answers, order, seed=index)).scores:
            quality = latent_quality(answers[score.answer].text, "fine")
            by_place[order.index(score.answer)].append(score.value - quality)
    means = [np.mean(values) for values in by_place]
    assert means == pytest.approx([0.4, 0.2, 0.0, -0.2, -0.4], abs=4 * 0.29 / 1500**0.5)


def test_asked_again_a_judge_differs_by_its_retest_noise_alone():
    judge = judge_of(noise=0.7, retest_noise=0.25, spread=UNIT_SPREAD)
    question = next(pointwise(1, Random(4)))
    again = [
        values(judge, Question(question.rubric, "p", question.answers, (0,), seed))[0] for seed in range(1500)
    ]
    assert np.std(again) == pytest.approx(0.25, rel=0.08)
    steady = judge_of(noise=0.7, retest_noise=0.0, spread=UNIT_SPREAD)
    assert (
        len({values(steady, Question(question.rubric, "p", question.answers, (0,), s))[0] for s in range(9)})
        == 1
    )


def test_judges_of_a_family_err_alike():
    errors = {}
    for name, family in [("a", "own"), ("b", "own"), ("c", "other")]:
        judge = judge_of(name, family, noise=0.4, family_noise=0.4, retest_noise=0.0, spread=UNIT_SPREAD)
        errors[name] = [
            values(judge, question)[0] - latent_quality(question.answers[0].text, "fine")
            for question in pointwise(1500, Random(5))
        ]
    assert np.corrcoef(errors["a"], errors["b"])[0, 1] == pytest.approx(0.5, abs=0.09)
    assert np.corrcoef(errors["a"], errors["c"])[0, 1] == pytest.approx(0.0, abs=0.1)


@pytest.mark.parametrize("kind, n", [("pointwise", 1), ("pairwise", 2), ("listwise", 4)])
def test_every_criterion_and_answer_gets_a_value_that_a_judge_may_give(kind, n):
    rubric = rubric_of(RubricKind(kind), HELPFUL, TONE, HARM)
    judge = judge_of(noise=3.0)  # so noisy that values reach beyond the ends before they are cut
    for seed in range(50):
        question = question_of(
            rubric, *[f"{seed} {k}" for k in range(n)], order=tuple(range(n))[::-1], seed=seed
        )
        reply = judge.reply(question)
        wanted = n if kind == "listwise" else 1
        assert len(reply.scores) == 3 * wanted
        for score in reply.scores:
            if kind == "pairwise":
                assert score.value in (-1.0, 0.0, 1.0)
            else:
                assert rubric.criterion(score.criterion).scale.on_step(score.value)


def test_less_of_what_is_bad_is_scored_where_quality_is_high():
    judge = judge_of(noise=0.0, retest_noise=0.0)
    good = max((f"text {index}" for index in range(200)), key=lambda text: latent_quality(text, "harm"))
    assert values(judge, question_of(rubric_of(RubricKind.POINTWISE, HARM), good)) == [0.0]


def test_the_same_question_gets_the_same_reply_and_another_seed_another_judge():
    question = question_of(rubric_of(RubricKind.POINTWISE, FINE), "some text")
    assert judge_of(seed=1).reply(question) == judge_of(seed=1).reply(question)
    assert values(judge_of(seed=1), question) != values(judge_of(seed=2), question)


def test_ties_come_with_the_threshold():
    rubric = rubric_of(RubricKind.PAIRWISE)

    def share(tie):
        judge = judge_of(tie=tie)
        return np.mean(
            [values(judge, question_of(rubric, f"a{k}", f"b{k}", seed=k)) == [0.0] for k in range(400)]
        )

    assert share(0.0) == 0.0
    assert 0.1 < share(0.5) < 0.4
    assert share(100.0) == 1.0


def test_the_share_of_questions_without_a_verdict_is_as_planted():
    replies = [judge_of(unscored_rate=0.2).reply(question) for question in pointwise(2000, Random(6))]
    silent = [reply for reply in replies if reply.unscored is not None]
    assert all(not reply.scores for reply in silent)
    assert len(silent) / 2000 == pytest.approx(0.2, abs=4 * 0.009)
    assert {reply.unscored.reason for reply in silent} == {
        UnscoredReason.REFUSAL,
        UnscoredReason.TIMEOUT,
        UnscoredReason.UNPARSABLE,
    }


@pytest.mark.parametrize(
    "kind, criterion", [("pointwise", HELPFUL), ("pairwise", HELPFUL), ("listwise", TONE)]
)
def test_the_expected_score_is_the_mean_over_repeats(kind, criterion):
    rubric = rubric_of(RubricKind(kind), criterion)
    judge = judge_of(expected=True, retest_noise=0.8, position=0.3)
    texts = ["one"] if kind == "pointwise" else ["one", "two"]
    order = tuple(reversed(range(len(texts))))
    replies = [judge.reply(question_of(rubric, *texts, order=order, seed=seed)) for seed in range(3000)]
    expected = [score.expected for score in replies[0].scores]
    means = np.mean([[score.value for score in reply.scores] for reply in replies], axis=0)
    assert means == pytest.approx(expected, abs=4 * 1.0 / 3000**0.5)


async def test_a_simulated_judge_is_marked_as_such_costs_nothing_and_is_quick():
    judge = judge_of()
    loop = asyncio.get_running_loop()
    started = loop.time()
    reply = await judge.judge(question_of(rubric_of()), deadline=started + 10)
    assert loop.time() - started < 0.1
    assert judge.version.simulated
    assert (reply.usage.cost_usd, reply.usage.attempts) == (0.0, 1)
    assert reply.scores


async def test_latency_is_waited_out_but_never_past_the_deadline():
    judge, loop = judge_of(latency_ms=50), asyncio.get_running_loop()
    started = loop.time()
    reply = await judge.judge(question_of(rubric_of()), deadline=started + 10)
    assert loop.time() - started >= 0.05
    assert reply.latency_ms == 50
    started = loop.time()
    late = await judge_of(latency_ms=60_000).judge(question_of(rubric_of()), deadline=started + 0.05)
    assert late.unscored.reason is UnscoredReason.TIMEOUT
    assert loop.time() - started < 5


def test_parameters_that_are_no_effects_are_all_named():
    with pytest.raises(BadInput) as raised:
        judge_of(severety=1, noise=-1, seed=0.5, unscored_rate=2, expected=1, tie="wide", length=True)
    assert {problem.path for problem in raised.value.problems} == {
        f"params.{key}" for key in ("severety", "noise", "seed", "unscored_rate", "expected", "tie", "length")
    }


def test_a_judge_with_other_effects_is_another_version():
    assert judge_of(severity=1).version.digest() != judge_of(severity=2).version.digest()

import asyncio
from collections import Counter

import pytest
from scipy.stats import binomtest

from app.domain.calibration import CalibratedScore, ScoreStatus
from app.domain.items import Answer, Item
from app.domain.judging import JudgeVersion, PanelRequest, Reply, Score, Stages, Unscored, UnscoredReason
from app.domain.projects import PanelPolicy
from app.domain.rubrics import Criterion, Rubric, RubricKind, RubricVersion, Scale
from app.grading.assignment import Exclusions, assign, eligible_judges
from app.grading.panel import Panel
from app.grading.requests import GradeRequest, check
from app.grading.results import SeatOutcome, Status, status_of
from app.grading.stages import chance_of_second, draw_second, widest_gap, widest_interval

RUBRIC = RubricVersion(1, 1, Rubric("r", RubricKind.POINTWISE, "Judge.", (Criterion("c", "d", Scale(1, 5)),)))
ITEM = Item("How?", (Answer("bot", "So."),))
ROSTER = [JudgeVersion(family, f"{family}{k}", f"{family}-{k}") for family in "ABCD" for k in range(2)]
ELIGIBLE = eligible_judges(ROSTER, Exclusions())
TWO_FIRST = PanelRequest(stages=Stages(2))


def said(*values: float | None, request: PanelRequest = TWO_FIRST, seed: int = 1):
    """An assignment and what its first seats said; None: nothing."""
    assignment = assign(ELIGIBLE, request, 1, seed)
    silent = Reply(unscored=Unscored(UnscoredReason.TIMEOUT, "late"))
    outcomes = [
        SeatOutcome(seat, silent if value is None else Reply((Score("c", 0, value),)))
        for seat, value in zip(assignment.seats, values, strict=True)
    ]
    return assignment, outcomes


def drawn(*values: float | None, seed: int = 1, stages: Stages = TWO_FIRST.stages, item: Item = ITEM):
    assignment, outcomes = said(*values, seed=seed)
    return draw_second(stages, assignment, RUBRIC, item, outcomes, {}, len(outcomes))


def test_judges_sit_in_either_stage_as_often_as_their_probabilities_say():
    eligible = eligible_judges(ROSTER[:5], Exclusions())  # families of two, two and one
    request = PanelRequest(families=2, judges_per_family=2, stages=Stages(1))
    draws, first, later = 4000, Counter(), Counter()
    early, late = {}, {}
    for seed in range(draws):
        panel = assign(eligible, request, 1, seed)
        assert len(panel.seats) == 1
        for seat in panel.seats:
            first[seat.judge] += 1
            early[seat.judge] = seat.inclusion_probability
        for seat in panel.waiting:
            later[seat.judge] += 1
            late[seat.judge] = seat.inclusion_probability
    for judge in ROSTER[:5]:
        assert binomtest(first[judge], draws, early[judge]).pvalue > 1e-4
        # the second stage's probability is given that the judge did not sit in the first
        assert binomtest(later[judge], draws - first[judge], late[judge]).pvalue > 1e-4


def test_both_stages_are_together_the_panel_that_the_seed_draws():
    for seed in range(50):
        whole = assign(ELIGIBLE, PanelRequest(both_orders=True), 3, seed)
        staged = assign(ELIGIBLE, PanelRequest(both_orders=True, stages=Stages(2)), 3, seed)
        every = (*staged.seats, *staged.waiting)
        assert [seat.position for seat in every] == list(range(6))
        assert len(staged.seats) == 4
        assert {(s.judge, s.order) for s in every} == {(s.judge, s.order) for s in whole.seats}
        assert {s.judge for s in staged.seats}.isdisjoint({s.judge for s in staged.waiting})


def test_the_chance_rises_with_width_and_disagreement_to_certainty():
    stages = Stages(2, least_chance=0.2, wide=1.0, apart=0.5)
    assert chance_of_second(stages, width=None, gap=None) == 0.2
    assert chance_of_second(stages, width=0.0, gap=0.25) == pytest.approx(0.2 + 0.8 * 0.25)
    assert chance_of_second(stages, width=0.6, gap=0.25) == pytest.approx(0.2 + 0.8 * (0.36 + 0.25))
    assert chance_of_second(stages, width=0.0, gap=0.5) == 1.0
    assert chance_of_second(stages, width=1.0, gap=None) == 1.0
    rising = [chance_of_second(stages, width=w / 10, gap=0.2) for w in range(10)]
    assert rising == sorted(rising)


def test_gaps_are_between_judges_and_shares_of_the_scale():
    _, outcomes = said(2.0, 5.0)
    assert widest_gap(RUBRIC, 1, outcomes) == (0.75, False)
    _, outcomes = said(2.0, None)
    assert widest_gap(RUBRIC, 1, outcomes) == (None, False)
    _, outcomes = said(None, None)
    assert widest_gap(RUBRIC, 1, outcomes) == (None, True)
    twice = PanelRequest(families=3, both_orders=True, stages=Stages(1))
    _, outcomes = said(1.0, 5.0, request=twice)  # one judge in two orders does not disagree with others
    assert widest_gap(RUBRIC, 1, outcomes) == (None, False)


def test_widths_are_shares_of_the_scale_and_need_an_interval():
    def score(ends):
        return CalibratedScore(3.0, ends, 0.95, "c_1", ScoreStatus.CALIBRATED)

    assert widest_interval(RUBRIC, {"c": [score((2.0, 3.0)), score((2.0, 4.0))]}) == 0.5
    assert widest_interval(RUBRIC, {"c": [score(None)]}) is None
    assert widest_interval(RUBRIC, {}) is None


def test_the_draw_follows_its_chance_and_its_seed():
    asked = [drawn(3.0, 4.0, seed=seed).second.asked for seed in range(2000)]
    assert binomtest(sum(asked), 2000, 0.4).pvalue > 1e-4
    assert asked == [drawn(3.0, 4.0, seed=seed).second.asked for seed in range(2000)]
    found = drawn(3.0, 4.0, seed=asked.index(True))
    assert [seat.position for seat in found.seats] == [0, 1, 2]
    assert found.second.position == 2
    assert (found.second.chance, found.second.gap, found.second.width) == (pytest.approx(0.4), 0.25, None)
    spared = drawn(3.0, 4.0, seed=asked.index(False))
    assert (len(spared.seats), spared.waiting, spared.second.seats) == (2, (), 1)


def test_items_with_one_seed_are_drawn_apart():
    items = [Item(f"Question {k}?", (Answer("bot", "So."),)) for k in range(2000)]
    asked = [drawn(3.0, 4.0, item=item).second.asked for item in items]
    assert binomtest(sum(asked), 2000, 0.4).pvalue > 1e-4


def test_where_no_first_judge_gave_a_verdict_the_others_are_always_asked():
    assert all(drawn(None, None, seed=seed).second.chance == 1.0 for seed in range(20))


class Scripted:
    """A judge that says what it is told, and when it was asked."""

    def __init__(self, version, reply, log):
        self.version, self.reply, self.log = version, reply, log

    async def judge(self, question, *, deadline, max_cost_usd=None, permit=None):
        self.log.append(self.version)
        return self.reply


async def ask(replies, request=TWO_FIRST, seed=3, roster=ROSTER):
    log: list[JudgeVersion] = []
    eligible = eligible_judges(roster, Exclusions())
    assignment = assign(eligible, request, 1, seed)
    recorded = []

    async def second(outcomes, position):
        found = draw_second(request.stages, assignment, RUBRIC, ITEM, outcomes, {}, position)
        recorded.append((found.second, len(log)))
        return found.seats[len(outcomes) :]

    async def replaced(seat):
        return None

    panel = Panel(
        rubric=RUBRIC.rubric, item=ITEM, assignment=assignment, eligible=eligible,
        judges={version: Scripted(version, replies(version), log) for version in roster},
        timeout_s=60.0, deadline=asyncio.get_running_loop().time() + 60, max_cost_usd=None,
        replaced=replaced, answered=lambda judge, reply: None, second=second,
    )  # fmt: skip
    return await panel.ask(), recorded, assignment


async def test_judges_who_disagree_bring_in_the_others_after_they_have_answered():
    outcomes, recorded, _ = await ask(
        lambda judge: Reply((Score("c", 0, 1.0 if judge.family < "C" else 5.0),))
    )
    if recorded[0][0].gap == 1.0:
        assert recorded[0][0].chance == 1.0
        assert len(outcomes) == 3
    assert recorded[0][1] == 2  # on record once two had answered, before the third was asked


async def test_agreement_spares_the_others_and_the_grade_is_complete():
    request = PanelRequest(stages=Stages(2, least_chance=0.05))
    outcomes, recorded, _ = await ask(lambda judge: Reply((Score("c", 0, 3.0),)), request)
    assert recorded[0][0].chance == pytest.approx(0.05)
    assert not recorded[0][0].asked
    assert len(outcomes) == 2
    assert status_of(outcomes) is Status.COMPLETE


async def test_who_waits_for_the_second_stage_replaces_nobody():
    request = PanelRequest(families=1, judges_per_family=2, stages=Stages(1))
    failing = Reply(unscored=Unscored(UnscoredReason.REFUSAL, "no"))
    for seed in range(10):
        outcomes, recorded, assignment = await ask(lambda judge: failing, request, seed, ROSTER[:2])
        assert recorded[0][0].position == 1
        assert [one.seat.judge for one in outcomes] == [
            assignment.seats[0].judge, assignment.waiting[0].judge
        ]  # fmt: skip


def test_somebody_has_to_be_left_for_the_second_stage():
    def problems(panel):
        try:
            check(GradeRequest("r", ITEM, panel), RUBRIC.rubric, PanelPolicy())
        except Exception as error:
            return [problem.path for problem in error.problems]
        return []

    assert problems(PanelRequest(stages=Stages(2))) == []
    assert problems(PanelRequest(stages=Stages(3))) == ["body.panel.stages.first"]
    assert problems(PanelRequest(judges_per_family=2, stages=Stages(3))) == []
    assert problems(PanelRequest(judges_per_family=2, stages=Stages(4))) == ["body.panel.stages.first"]

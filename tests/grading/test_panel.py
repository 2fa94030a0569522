import asyncio
from dataclasses import dataclass, field
from itertools import pairwise

import pytest

from app.domain.items import Answer, Item
from app.domain.judging import JudgeVersion, PanelRequest, Reply, Score, Unscored, UnscoredReason, Usage
from app.domain.rubrics import Criterion, Rubric, RubricKind, Scale
from app.grading.assignment import Exclusions, assign, eligible_judges
from app.grading.panel import Panel
from app.grading.results import Status, status_of
from app.judges.judge import Question

RUBRIC = Rubric("r", RubricKind.POINTWISE, "Judge.", (Criterion("c", "d", Scale(1, 5)),))
ITEM = Item("How?", (Answer("bot", "So."),))


@dataclass
class ScriptedJudge:
    """A judge that does what it is told: a `Reply`, an exception to raise, or whom to wait for first."""

    version: JudgeVersion
    script: object = None
    wait: float = 0.0  # seconds
    together: asyncio.Barrier | None = None
    asked: list[tuple[Question, float | None]] = field(default_factory=list)

    async def judge(self, question, *, deadline, max_cost_usd=None, permit=None):
        self.asked.append((question, max_cost_usd))
        await asyncio.sleep(self.wait)
        if self.together is not None:
            await self.together.wait()
        if isinstance(self.script, Exception):
            raise self.script
        return self.script or Reply((Score("c", 0, 3.0),), usage=Usage(cost_usd=0.25, attempts=1))


def failed(reason: UnscoredReason, cost: float = 0.0) -> Reply:
    return Reply(unscored=Unscored(reason, "scripted"), usage=Usage(cost_usd=cost, attempts=1))


def judges(*scripts: tuple[str, object]) -> dict[JudgeVersion, ScriptedJudge]:
    """One judge per (family, script); families A, B and C need at least one each."""
    made = [
        ScriptedJudge(JudgeVersion(f, f"{f}{k}", f"m{k}"), script) for k, (f, script) in enumerate(scripts)
    ]
    return {judge.version: judge for judge in made}


async def ask(roster, *, timeout_s=60.0, max_cost_usd=None, seed=0):
    """The outcomes, and what was recorded of replacements, with the judges asked by then."""
    eligible = eligible_judges(roster, Exclusions())
    recorded = []

    async def replaced(seat):
        recorded.append((seat, len(roster[seat.judge].asked)))

    heard = []
    panel = Panel(
        rubric=RUBRIC,
        item=ITEM,
        assignment=assign(eligible, PanelRequest(), 1, seed),
        eligible=eligible,
        judges=roster,
        timeout_s=timeout_s,
        deadline=asyncio.get_running_loop().time() + timeout_s,
        max_cost_usd=max_cost_usd,
        replaced=replaced,
        answered=lambda judge, reply: heard.append((judge, reply)),
    )
    outcomes = await panel.ask()
    assert len(heard) == len(outcomes)
    return outcomes, recorded


async def test_every_seat_is_asked_at_once_and_answered():
    roster = judges(("A", None), ("B", None), ("C", None))
    together = asyncio.Barrier(3)
    for judge in roster.values():
        judge.together = together
    outcomes, recorded = await ask(roster)  # one after the other they would wait for each other forever
    assert [outcome.seat.position for outcome in outcomes] == [0, 1, 2]
    assert recorded == []
    assert status_of(outcomes) is Status.COMPLETE


async def test_a_failed_seat_is_replaced_from_its_family_by_one_that_is_on_record_before_it_is_asked():
    refusal = failed(UnscoredReason.REFUSAL)
    roster = judges(("A", refusal), ("A", refusal), ("A", None), ("B", None), ("C", None))
    for seed in range(10):
        outcomes, recorded = await ask(roster, seed=seed)
        chain = [outcome for outcome in outcomes if outcome.seat.judge.family == "A"]
        replacements = [outcome.seat for outcome in outcomes if outcome.seat.replaces is not None]
        assert [seat for seat, _ in recorded] == replacements
        assert len({outcome.seat.judge for outcome in chain}) == len(chain)
        assert chain[-1].reply.unscored is None
        for before, after in pairwise(chain):
            assert after.seat.replaces == before.seat.position
        assert status_of(outcomes) is Status.COMPLETE
        for judge in roster.values():
            judge.asked.clear()
        assert all(asked == 0 for _, asked in recorded)


async def test_a_family_without_a_judge_left_leaves_the_grade_partial():
    roster = judges(("A", failed(UnscoredReason.TIMEOUT)), ("B", None), ("C", None))
    outcomes, _ = await ask(roster)
    assert len(outcomes) == 3
    assert status_of(outcomes) is Status.PARTIAL


async def test_without_any_verdict_the_grade_failed():
    roster = judges(*((family, failed(UnscoredReason.UNPARSABLE)) for family in "ABC"))
    outcomes, _ = await ask(roster)
    assert status_of(outcomes) is Status.FAILED


async def test_no_replacement_is_drawn_when_the_time_is_nearly_over():
    roster = judges(
        ("A", failed(UnscoredReason.REFUSAL)), ("A", failed(UnscoredReason.REFUSAL)), ("B", None), ("C", None)
    )
    outcomes, recorded = await ask(roster, timeout_s=0.9)
    assert (len(outcomes), recorded) == (3, [])


async def test_a_judge_that_does_not_keep_the_deadline_is_timed_out():
    roster = judges(("A", None), ("B", None), ("C", None))
    slow = next(judge for version, judge in roster.items() if version.family == "B")
    slow.wait = 300
    outcomes, _ = await ask(roster, timeout_s=0.5)
    late = next(outcome for outcome in outcomes if outcome.seat.judge.family == "B")
    assert late.reply.unscored.reason is UnscoredReason.TIMEOUT
    assert status_of(outcomes) is Status.PARTIAL


async def test_a_judge_that_fails_inside_costs_one_seat_and_says_no_secrets():
    roster = judges(("A", RuntimeError("key sk-123")), ("B", None), ("C", None))
    outcomes, _ = await ask(roster)
    broken = next(outcome for outcome in outcomes if outcome.seat.judge.family == "A")
    assert broken.reply.unscored.reason is UnscoredReason.PROVIDER_ERROR
    assert broken.reply.unscored.detail == "the judge failed inside: RuntimeError"


async def test_the_budget_is_shared_and_a_replacement_has_what_is_left_of_its_share():
    roster = judges(
        ("A", failed(UnscoredReason.UNPARSABLE, 0.4)),
        ("A", failed(UnscoredReason.UNPARSABLE, 0.6)),
        ("B", None),
        ("C", None),
    )
    outcomes, _ = await ask(roster, max_cost_usd=3.0)
    shares = {outcome.seat.position: roster[outcome.seat.judge].asked[0][1] for outcome in outcomes}
    assert [shares[position] for position in range(3)] == [1.0] * 3
    first, second = (outcome for outcome in outcomes if outcome.seat.judge.family == "A")
    assert shares[second.seat.position] == pytest.approx(1.0 - first.reply.usage.cost_usd)


async def test_a_share_that_is_spent_buys_no_replacement():
    roster = judges(
        ("A", failed(UnscoredReason.BUDGET, 1.0)),
        ("A", failed(UnscoredReason.BUDGET, 1.0)),
        ("B", None),
        ("C", None),
    )
    outcomes, recorded = await ask(roster, max_cost_usd=3.0)
    assert (len(outcomes), recorded) == (3, [])


async def test_each_question_has_its_own_seed_and_replays_with_the_panel():
    seeds = []
    for _ in range(2):
        roster = judges(("A", None), ("B", None), ("C", None))
        await ask(roster, seed=7)
        seeds.append([question.seed for judge in roster.values() for question, _ in judge.asked])
    assert seeds[0] == seeds[1]
    assert len(set(seeds[0])) == 3

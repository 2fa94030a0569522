"""Asking judges the same questions in several forms, within a budget."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from random import Random

import numpy as np
from numpy.typing import NDArray

from app.auditing.asked import Asked, Means
from app.auditing.perturbations import PERTURBATIONS
from app.domain.ids import content_id
from app.domain.judging import Reply, UnscoredReason
from app.domain.problems import BadInput, Problem
from app.judges.judge import Judge, Question
from app.stats.errors import InsufficientData
from app.storage.shown_items import ShownItem, anchors_with_texts

_AT_ONCE = 8  # calls of one judge
_CALL_S = 120.0


@dataclass(frozen=True, slots=True)
class Asks:
    """How many anchors, in which forms, of which judges (None: all enabled), for how much."""

    items: int
    changes: tuple[str, ...]
    judges: tuple[str, ...] | None
    max_cost_usd: float
    seed: int


@dataclass(slots=True)
class Heard:
    """What the judges said. ``prompt`` (n,) codes of the anchors asked about; `values` by judge and form."""

    judges: tuple[str, ...]
    changes: tuple[str, ...]
    prompt: NDArray[np.int64]
    warnings: list[str] = field(default_factory=list)
    skipped: tuple[str, ...] = ()
    _values: dict[tuple[str, str | None, str], NDArray[np.float64]] = field(default_factory=dict)

    def values(self, judge: str, form: str | None, criterion: str) -> NDArray[np.float64]:
        """(n,) values of the first answer, NaN without a verdict; form None: as it is, ``again``: twice."""
        return self._values.get((judge, form, criterion), np.full(len(self.prompt), np.nan))

    def hear(self, judge: str, form: str | None, place: int, reply: Reply) -> None:
        """Take a reply in."""
        for score in reply.scores:
            if score.answer == 0:
                key = (judge, form, score.criterion)
                self._values.setdefault(key, np.full(len(self.prompt), np.nan))[place] = score.value


async def ask_judges(asked: Asked, means: Means, asks: Asks) -> Heard:
    """Every judge about every drawn anchor: as it is, again, and in each form that applies to it.

    Raises
    ------
    BadInput
        If the roster has no such judge, or no anchor set was named.
    InsufficientData
        If no anchor's texts are known.
    """
    judges = _judges(means, asks.judges)
    if asked.audit.anchor_set is None:
        raise BadInput("Asking judges needs anchors to ask about: name an anchor set, or use `recorded`.")
    known = await anchors_with_texts(means.db, asked.project.id, asked.audit.anchor_set)
    if not known:
        raise InsufficientData("anchors whose prompt and answers are known with their texts", 0, 1)
    drawn = Random(asks.seed).sample(known, min(asks.items, len(known)))
    heard = Heard(
        judges=tuple(judge.version.name for judge in judges),
        changes=asks.changes,
        prompt=np.unique([one.prompt for one in drawn], return_inverse=True)[1].astype(np.int64),
    )
    questions = _questions(asked, drawn, asks)
    missing = [name for name in asks.changes if not any(form == name for form, _, _ in questions)]
    heard.skipped = tuple(f"{name.replace('_', ' ')} applies to none of these questions." for name in missing)
    unpaid, failed = await _ask_all(judges, questions, heard, asks.max_cost_usd)
    if means.roster.simulated:
        heard.warnings.append("The judges are simulated: this measures no model.")
    if unpaid:
        heard.warnings.append(
            f"{unpaid:,} questions were not asked: the budget of ${asks.max_cost_usd:g} was spent."
        )
    if failed:
        heard.warnings.append(f"{failed:,} of {len(judges) * len(questions):,} questions got no verdict.")
    return heard


def _judges(means: Means, names: tuple[str, ...] | None) -> tuple[Judge, ...]:
    every = means.roster.judges()
    if names is None:
        return every
    known = {judge.version.name for judge in every}
    if unknown := [name for name in names if name not in known]:
        problem = Problem(f"is none of {', '.join(sorted(known))}", path="parameters.judges", value=unknown)
        raise BadInput("The roster has no such judge.", [problem])
    return tuple(judge for judge in every if judge.version.name in names)


def _questions(
    asked: Asked, drawn: Sequence[ShownItem], asks: Asks
) -> list[tuple[str | None, int, Question]]:
    """(form, place of the anchor, question), item by item, so that a budget ends with whole items."""
    questions: list[tuple[str | None, int, Question]] = []
    rng = Random(asks.seed + 1)
    for place, one in enumerate(drawn):
        order = tuple(rng.sample(range(len(one.item.answers)), len(one.item.answers)))
        first = Question(
            rubric=asked.rubric.rubric,
            prompt=one.item.prompt,
            answers=one.item.answers,
            order=order,
            seed=content_id("invariance", asks.seed, place),
            context=one.item.context,
            reference=one.item.reference,
            item_id=one.item.item_id,
        )
        again = replace(first, seed=content_id("invariance again", asks.seed, place))
        questions += [(None, place, first), ("again", place, again)]
        for name in asks.changes:
            changed = PERTURBATIONS[name].change(first)
            if changed is not None:
                questions.append((name, place, changed))
    return questions


async def _ask_all(
    judges: Sequence[Judge],
    questions: Sequence[tuple[str | None, int, Question]],
    heard: Heard,
    budget: float,
) -> tuple[int, int]:
    """Questions that the budget did not pay for, and questions without a verdict."""
    spent, unpaid, failed = 0.0, 0, 0

    async def ask(
        judge: Judge, places: asyncio.Semaphore, form: str | None, place: int, asked: Question
    ) -> None:
        nonlocal spent, unpaid, failed
        async with places:
            if spent >= budget:
                unpaid += 1
                failed += 1
                return
            deadline = asyncio.get_running_loop().time() + _CALL_S
            reply = await judge.judge(asked, deadline=deadline, max_cost_usd=max(budget - spent, 0.0))
        spent += reply.usage.cost_usd
        failed += reply.unscored is not None
        unpaid += reply.unscored is not None and reply.unscored.reason is UnscoredReason.BUDGET
        heard.hear(judge.version.name, form, place, reply)

    await asyncio.gather(
        *(
            ask(judge, places, *question)
            for judge in judges
            for places in [asyncio.Semaphore(_AT_ONCE)]
            for question in questions
        )
    )
    return unpaid, failed

"""A judge whose effects are planted: it answers at once, costs nothing, and is always marked as simulated."""

import asyncio
from dataclasses import replace

from app.domain.judging import JudgeVersion, Reply, Score, Unscored, UnscoredReason, Usage
from app.domain.problems import BadInput, Problem
from app.domain.rubrics import Criterion, RubricKind
from app.judges.config import JudgeConfig
from app.judges.judge import Permit, Question
from app.judges.latent_quality import normal, uniform
from app.judges.planted_effects import (
    Effects,
    expected_on_scale,
    expected_preference,
    on_scale,
    places,
    preference,
    read_effects,
    seen_quality,
)

SIMULATION_VERSION = "simulated-1"
"""Stands for the prompt version: raise it when the same parameters would give other verdicts."""

_SILENCES = (UnscoredReason.REFUSAL, UnscoredReason.TIMEOUT, UnscoredReason.UNPARSABLE)


class SimulatedJudge:
    """A judge that follows its `Effects`; the same question always gets the same reply."""

    def __init__(self, config: JudgeConfig) -> None:
        """Raises `BadInput` where the parameters are no effects."""
        effects, wrong = read_effects(config.param_values())
        if wrong:
            raise BadInput(
                f"the parameters of {config.name!r} are not those of a simulated judge",
                [
                    Problem(problem, f"params.{key}", value=config.param_values()[key])
                    for key, problem in wrong
                ],
            )
        self.effects: Effects = effects
        self._version = JudgeVersion(
            family=config.family,
            name=config.name,
            model=config.model,
            params=config.params,
            prompt_version=SIMULATION_VERSION,
            simulated=True,
        )

    @property
    def version(self) -> JudgeVersion:
        """Always marked as simulated."""
        return self._version

    async def judge(
        self,
        question: Question,
        *,
        deadline: float,
        max_cost_usd: float | None = None,
        permit: Permit | None = None,
    ) -> Reply:
        """Answer as the effects say; late only if ``latency_ms`` is set, and then never past the deadline."""
        if permit is not None:
            await permit.begin(0.0)
            permit.ended(0.0, 0.0, 0.0)
        latency = self.effects.latency_ms
        if latency:
            left = deadline - asyncio.get_running_loop().time()
            await asyncio.sleep(max(min(latency / 1000, left), 0.0))
            if latency / 1000 > left:
                late = Unscored(UnscoredReason.TIMEOUT, "the simulated judge was still thinking")
                return Reply(unscored=late, usage=Usage(attempts=1), latency_ms=max(left, 0.0) * 1000)
        return replace(self.reply(question), latency_ms=latency)

    def reply(self, question: Question) -> Reply:
        """The verdict, without waiting."""
        silence = self._silence(question)
        if silence is not None:
            return Reply(unscored=silence, usage=Usage(attempts=1))
        read = self._compare if question.rubric.kind is RubricKind.PAIRWISE else self._score
        scores = tuple(score for criterion in question.rubric.criteria for score in read(question, criterion))
        rationale = "A simulated verdict: no model read the texts."
        return Reply(scores=scores, rationale=rationale, usage=Usage(attempts=1))

    def _silence(self, question: Question) -> Unscored | None:
        key = (self.effects.seed, self._version.name, question.seed, question.prompt)
        if uniform("unscored", *key) >= self.effects.unscored_rate:
            return None
        reason = _SILENCES[int(uniform("reason", *key) * len(_SILENCES))]
        return Unscored(reason, "the simulated judge was set to give no verdict now and then")

    def _seen(self, question: Question, criterion: Criterion) -> list[float]:
        """Perceived quality per place shown, without the noise of this question."""
        seen = []
        for index, place in zip(question.order, places(len(question.order)), strict=True):
            answer = question.answers[index]
            seen.append(
                seen_quality(
                    self.effects,
                    text=answer.text,
                    criterion=criterion.name,
                    judge=self._version.name,
                    family=self._version.family,
                    own_family=answer.family == self._version.family,
                    own_model=answer.model is not None and answer.model == self._version.model,
                    place=place,
                )
            )
        return seen

    def _retest(self, question: Question, criterion: Criterion, place: int) -> float:
        if not self.effects.retest_noise:
            return 0.0
        key = (self.effects.seed, self._version.name, question.seed, criterion.name, place)
        text = question.answers[question.order[place]].text
        return self.effects.retest_noise * normal("retest", *key, question.prompt, text)

    def _score(self, question: Question, criterion: Criterion) -> list[Score]:
        scores = []
        effects = self.effects
        for place, seen in enumerate(self._seen(question, criterion)):
            value = on_scale(seen + self._retest(question, criterion, place), criterion, effects.spread)
            expected = None
            if effects.expected:
                expected = expected_on_scale(seen, criterion, effects.spread, effects.retest_noise)
            scores.append(Score(criterion.name, question.order[place], value, expected))
        return scores

    def _compare(self, question: Question, criterion: Criterion) -> list[Score]:
        effects = self.effects
        first, second = self._seen(question, criterion)
        noise = self._retest(question, criterion, 0) - self._retest(question, criterion, 1)
        sign = 1.0 if question.order[0] == 0 else -1.0
        value = sign * preference(first - second + noise, effects.tie) + 0.0
        expected = None
        if effects.expected:
            expected = sign * expected_preference(first - second, effects.tie, effects.retest_noise)
        return [Score(criterion.name, 0, value, expected)]

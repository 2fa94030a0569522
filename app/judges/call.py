"""A judge that asks a model: prompt, attempts within the limits, reply; all that can go wrong is a reason."""

import asyncio
from dataclasses import dataclass, field
from random import Random

from app.domain.judging import JudgeVersion, Reply, Unscored, UnscoredReason, Usage
from app.judges.batching import BatchWire
from app.judges.breaker import Breaker
from app.judges.completion import CallFailed, Completion, TokenCount, Wire, shortened
from app.judges.config import JudgeConfig
from app.judges.judge import Permit, Question
from app.judges.limits import Limits, NoPlace
from app.judges.lines import ClientT, Line, Lines
from app.judges.pricing import add_usage, at_batch_price, usage_of, worst_cost_usd
from app.judges.prompt import PROMPT_VERSION, Prompt, build_prompt
from app.judges.reply import read_reply
from app.judges.retry import RetryPolicy, wait_before
from app.judges.turns import NOBODYS, Lane

TURNED_AWAY = 429


@dataclass(slots=True)
class _Spent:
    """What the attempts of one seat cost so far; those without word may have cost ``suspect_usd`` more."""

    config: JudgeConfig
    usage: Usage = field(default_factory=Usage)
    suspect_usd: float = 0.0

    def add(self, count: TokenCount) -> float:
        """Add an attempt; returns what it cost."""
        attempt = usage_of(
            self.config,
            input_tokens=count.input,
            cached_tokens=count.cached,
            written_tokens=count.written,
            output_tokens=count.output,
        )
        self.usage = add_usage(self.usage, attempt)
        return attempt.cost_usd


class CallingJudge:
    """A judge behind a provider's API.

    ``limits`` and ``breaker`` are shared with the judges of the same endpoint. A seat takes at most the
    judge's ``timeout_s``, retries included, and never outlasts the caller's deadline. ``batches`` is its
    provider's batch endpoint, where that can be used.
    """

    def __init__(
        self,
        config: JudgeConfig,
        version: JudgeVersion,
        wire: Wire,
        *,
        limits: Limits,
        breaker: Breaker,
        rng: Random,
        retries: RetryPolicy,
        batches: BatchWire | None = None,
    ) -> None:
        self.batches = batches if config.takes_batches else None
        self._config, self._version, self._wire = config, version, wire
        self._limits, self._breaker = limits, breaker
        self._rng, self._retries = rng, retries

    @property
    def version(self) -> JudgeVersion:
        """Who judges: the identity under which verdicts are stored."""
        return self._version

    @property
    def breaker(self) -> Breaker:
        """The state of the provider's endpoint, for health reports."""
        return self._breaker

    async def judge(
        self,
        question: Question,
        *,
        deadline: float,
        max_cost_usd: float | None = None,
        permit: Permit | None = None,
    ) -> Reply:
        """See `app.judges.judge.Judge.judge`."""
        clock = asyncio.get_running_loop().time
        started = clock()
        prompt = build_prompt(question)
        spent = _Spent(self._config)
        deadline = min(deadline, started + self._config.timeout_s)
        try:
            completion = await self._attempts(prompt, deadline, max_cost_usd, spent, permit, question.lane)
        except CallFailed as failure:
            unscored: Unscored | None = Unscored(failure.reason, failure.detail)
            return Reply(unscored=unscored, usage=spent.usage, latency_ms=1000 * (clock() - started))
        return _reply(completion, question, prompt, spent.usage, 1000 * (clock() - started))

    def reply_in_batch(self, result: Completion | CallFailed, question: Question) -> Reply:
        """What a request of a batch at the provider came to, as `judge` says it of a call; at its price."""
        spent = _Spent(self._config)
        spent.add(result.count)
        usage = at_batch_price(self._config, spent.usage)
        if isinstance(result, CallFailed):
            return Reply(unscored=Unscored(result.reason, result.detail), usage=usage)
        return _reply(result, question, build_prompt(question), usage, 0.0)

    def paid_in_batch(self, cost_usd: float) -> None:
        """Replies of a batch at the provider are on record: what they cost counts against the day's dollars
        of the model. Requests and tokens per minute are for calls alone."""
        self._limits.paid(cost_usd)

    def worst_in_batch(self, prompt: Prompt) -> float:
        """What a request of a batch at the provider may cost at most, in US dollars."""
        return self._config.batch_factor * self._worst_usd(prompt)

    async def complete(self, prompt: Prompt, *, deadline: float) -> Completion:
        """What the model says to a prompt of any kind; for probes, which look at more than the verdict.

        Raises
        ------
        CallFailed
            The last failure, when no attempt succeeded before ``deadline``.
        """
        return await self._attempts(prompt, deadline, None, _Spent(self._config))

    async def _attempts(
        self,
        prompt: Prompt,
        deadline: float,
        max_cost_usd: float | None,
        spent: _Spent,
        permit: Permit | None = None,
        lane: Lane = NOBODYS,
    ) -> Completion:
        """Attempts until one succeeds, or the last `CallFailed`."""
        clock = asyncio.get_running_loop().time
        worst = self._worst_usd(prompt)
        while True:
            self._check_budget(worst, max_cost_usd, spent)
            try:
                return await self._attempt(prompt, worst, deadline, spent, permit, lane)
            except CallFailed as failure:
                attempts = spent.usage.attempts
                if failure.retry_after is not None:
                    self._limits.pause(failure.retry_after, clock())
                if failure.status == TURNED_AWAY:
                    await self._limits.turned_away(failure.retry_after or 0.0, failure.headers)
                if not failure.retry or attempts >= self._retries.attempts:
                    raise _after(failure, attempts) from None
                wait = wait_before(self._retries, attempts, failure.retry_after, self._rng)
                if clock() + wait >= deadline:
                    raise _after(failure, attempts, f"no time for another within {wait:.1f} s") from None
            await asyncio.sleep(wait)

    async def _attempt(
        self,
        prompt: Prompt,
        worst: float,
        deadline: float,
        spent: _Spent,
        permit: Permit | None,
        lane: Lane,
    ) -> Completion:
        """One attempt, within the limits and by leave of the asker, unless the breaker is open.

        Whatever ends it without word of what it took, it may have cost its ``worst``.
        """
        clock = asyncio.get_running_loop().time
        if clock() >= deadline:
            raise CallFailed(UnscoredReason.TIMEOUT, "no time was left for a call")
        self._check_breaker(clock())
        chars = len(prompt.system) + len(prompt.user)
        tokens = self._limits.estimate(chars, self._wire.max_output_tokens)
        try:
            await self._limits.enter(tokens, deadline, lane=lane, dollars=worst)
        except NoPlace as error:
            reason = UnscoredReason.TIMEOUT if error.waited else UnscoredReason.RATE_LIMITED
            raise CallFailed(reason, error.detail) from None
        count, cost, suspect = TokenCount(), 0.0, 0.0
        try:
            self._check_breaker(clock())
            if permit is not None:
                await permit.begin(worst)
            suspect = worst
            try:
                completion = await self._send(prompt, deadline)
                count, suspect = completion.count, 0.0
                self._limits.heard(completion.headers)
            except CallFailed as failure:
                count = failure.count
                if count.total or not failure.maybe_billed:
                    suspect = 0.0
                raise
            finally:
                cost = spent.add(count)
                spent.suspect_usd += suspect
                if permit is not None:
                    permit.ended(worst, cost, suspect)
        finally:
            self._limits.learn(chars, count.input, count.output)
            self._limits.leave(tokens, count.total, lane=lane, dollars=worst, cost=cost + suspect)
        return completion

    async def _send(self, prompt: Prompt, deadline: float) -> Completion:
        """The call itself; the breaker learns how it went."""
        clock = asyncio.get_running_loop().time
        started = clock()
        probe, heard = self._breaker.begin(), False
        try:
            async with asyncio.timeout_at(deadline):
                completion = await self._wire.complete(prompt)
            heard = True
            self._breaker.succeeded()
            return completion
        except TimeoutError:
            detail = f"no reply within {clock() - started:.1f} s"
            failure = CallFailed(UnscoredReason.TIMEOUT, detail, maybe_billed=True)
            if clock() - started >= self._breaker.policy.patience_s:
                heard = True
                self._breaker.failed(clock(), failure.detail, probe=probe)
            raise failure from None
        except CallFailed as failure:
            heard = True
            if failure.alive:
                self._breaker.succeeded()
            else:
                self._breaker.failed(clock(), failure.detail, probe=probe)
            raise
        finally:
            if not heard:
                self._breaker.left(probe=probe)

    def _check_breaker(self, now: float) -> None:
        why = self._breaker.why_not(now)
        if why is not None:
            raise CallFailed(UnscoredReason.PROVIDER_ERROR, why)

    def _check_budget(self, worst: float, max_cost_usd: float | None, spent: _Spent) -> None:
        if max_cost_usd is None:
            return
        left = max_cost_usd - spent.usage.cost_usd - spent.suspect_usd
        if worst > left:
            detail = f"the call may cost up to ${worst:.6f}, ${max(left, 0.0):.6f} is left"
            raise CallFailed(UnscoredReason.BUDGET, detail)

    def _worst_usd(self, prompt: Prompt) -> float:
        """What one attempt may cost at most."""
        size = len(prompt.system.encode("utf-8", "replace")) + len(prompt.user.encode("utf-8", "replace"))
        return worst_cost_usd(self._config, prompt_bytes=size, max_output_tokens=self._wire.max_output_tokens)


def calling_judge(
    config: JudgeConfig, wire: Wire, line: Line[ClientT], lines: Lines, batches: BatchWire | None = None
) -> CallingJudge:
    """A configured judge that calls its model through ``wire`` on a line shared with others."""
    version = JudgeVersion(
        family=config.family,
        name=config.name,
        model=config.model,
        params=config.params,
        prompt_version=PROMPT_VERSION,
    )
    return CallingJudge(
        config,
        version,
        wire,
        limits=line.limits(config),
        breaker=line.breaker,
        rng=lines.rng,
        retries=lines.retries,
        batches=batches,
    )


def is_resting(judge: object) -> bool:
    """Whether the judge's provider is being left alone, as it kept failing: who can wait should."""
    return isinstance(judge, CallingJudge) and judge.breaker.open_until is not None


def _reply(
    completion: Completion, question: Question, prompt: Prompt, usage: Usage, latency_ms: float
) -> Reply:
    """What a judge said, read."""
    unscored = _no_verdict(completion)
    if unscored is not None:
        return Reply(unscored=unscored, usage=usage, latency_ms=latency_ms)
    reading = read_reply(completion.text, question, prompt, completion.tokens)
    return Reply(
        scores=reading.scores,
        unscored=reading.unscored,
        rationale=reading.rationale,
        usage=usage,
        latency_ms=latency_ms,
    )


def _no_verdict(completion: Completion) -> Unscored | None:
    """A refusal or a truncation, which is not to be read."""
    if completion.refusal is not None:
        said = shortened(completion.refusal) or "without a word"
        return Unscored(UnscoredReason.REFUSAL, said)
    if completion.cut_off is not None:
        return Unscored(UnscoredReason.UNPARSABLE, f"truncation: {completion.cut_off}")
    return None


def _after(failure: CallFailed, attempts: int, why: str = "") -> CallFailed:
    """The failure with what was tried, where that was more than one attempt or there was time for no more."""
    tried = f"after {attempts} attempts" if attempts > 1 else ""
    said = ", ".join(part for part in (tried, why) if part)
    return CallFailed(failure.reason, f"{failure.detail} ({said})" if said else failure.detail)

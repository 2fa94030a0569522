"""Which models a server offers, and what each can do as a judge: proposed entries for a roster.

Nothing is assumed of a compatible server. Whether it obeys a JSON schema is found by asking for one thing
in words and another by schema; whether it gives log-probabilities, by asking for them.
"""

import asyncio
import json
from dataclasses import dataclass, replace
from statistics import median

import orjson

from app.domain.items import Answer
from app.domain.judging import Reply
from app.domain.problems import BadInput
from app.domain.rubrics import Criterion, Rubric, RubricKind, Scale
from app.judges.breaker import BreakerPolicy
from app.judges.call import CallingJudge
from app.judges.completion import CallFailed, Completion
from app.judges.config import JudgeConfig
from app.judges.families import propose_family, short_name
from app.judges.judge import Question
from app.judges.lines import Lines
from app.judges.openai_shapes import list_models
from app.judges.params import SCHEMAS
from app.judges.prompt import Prompt, RubricText
from app.judges.retry import RetryPolicy
from app.judges.roster import PROVIDER_FACTORIES

_NEVER_OPEN = BreakerPolicy(failures=1_000_000)  # a probe expects refusals; they say nothing of the endpoint


@dataclass(frozen=True, slots=True)
class Proposal:
    """A model that could judge. ``family_known`` is False where the family is only the model's own name."""

    config: JudgeConfig
    family_known: bool


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """What a judge turned out to be able to do.

    ``schema`` is the strictest form of reply it obeys: json_schema, tool, json_object or none.
    ``top_logprobs`` is 0 where it gives none. ``right`` of ``asked`` known answers were found, the same
    pair once in each order; ``first_place`` says that it took what stood first both times.
    ``latency_ms`` is the median over these. ``problem`` says why there was no verdict, if there was none.
    """

    schema: str
    top_logprobs: int
    right: int
    asked: int
    first_place: bool
    latency_ms: float | None
    problem: str | None

    @property
    def works(self) -> bool:
        """Whether it gave a verdict at all."""
        return self.problem is None

    def sentence(self) -> str:
        """The result in words."""
        if self.problem is not None:
            return f"gave no verdict: {self.problem}"
        parts = [
            "obeys no JSON schema" if self.schema == "none" else f"obeys {self.schema}",
            f"{self.top_logprobs} log-probabilities per token"
            if self.top_logprobs
            else "no log-probabilities",
            f"{self.latency_ms:.0f} ms",
            f"{self.right} of {self.asked} known answers right",
        ]
        if self.first_place:
            parts.append("picked the answer shown first both times")
        return ", ".join(parts)


async def discover(
    url: str, *, api_key: str | None = None, api_key_env: str | None = None, timeout_s: float = 20.0
) -> tuple[Proposal, ...]:
    """What an OpenAI-compatible server offers, as roster entries; ``url`` with or without its ``/v1``.

    Raises
    ------
    CallFailed
        If the server cannot be reached or lists no models, with the reason.
    """
    base = url.rstrip("/")
    if "://" not in base:
        base = f"http://{base}"
    bases = (base,) if base.endswith("/v1") else (f"{base}/v1", base)
    failure: CallFailed | None = None
    for base_url in bases:
        config = JudgeConfig(
            name="",
            family="",
            provider="openai-compatible",
            model="",
            base_url=base_url,
            api_key_env=api_key_env,
            api_key=api_key,
        )
        try:
            models = await list_models(config, timeout_s)
        except CallFailed as failed:
            failure = failure or failed
        else:
            return _propose(config, models)
    assert failure is not None
    raise failure


def _propose(config: JudgeConfig, models: tuple[str, ...]) -> tuple[Proposal, ...]:
    proposals: list[Proposal] = []
    taken: set[str] = set()
    for model in models:
        name, number = short_name(model), 2
        while name in taken:
            name, number = f"{short_name(model)}-{number}", number + 1
        taken.add(name)
        family, known = propose_family(model)
        proposals.append(Proposal(replace(config, name=name, family=family, model=model), known))
    return tuple(proposals)


async def probe(config: JudgeConfig, *, timeout_s: float = 60.0) -> ProbeResult:
    """Try what a judge can do, with a handful of short calls; each may take ``timeout_s`` seconds.

    Raises
    ------
    BadInput
        If its parameters are wrong, or it calls no model.
    """
    if config.provider not in SCHEMAS:
        raise BadInput(f"{config.provider} judges call no model: there is nothing to probe")
    lines = Lines(breaker=_NEVER_OPEN, retries=RetryPolicy(attempts=2, first_s=0.2))
    try:
        schema = await _schema(config, lines, timeout_s)
        top = await _logprobs(_with(config, schema=schema), lines, timeout_s)
        judge = _judge(_with(config, schema=schema, top_logprobs=top), lines)
        return await _known_answer(judge, schema, top, timeout_s)
    finally:
        await lines.close()


def probed(config: JudgeConfig, result: ProbeResult) -> JudgeConfig:
    """The configuration with what the probe found written into its parameters."""
    return _with(config, schema=result.schema, top_logprobs=result.top_logprobs)


def _with(config: JudgeConfig, *, schema: str | None = None, top_logprobs: int | None = None) -> JudgeConfig:
    """The configuration with other abilities; those at their default are left out."""
    values = config.param_values()
    if schema is not None:
        values["schema"] = schema
        if schema == SCHEMAS[config.provider][0]:
            del values["schema"]
    if top_logprobs is not None:
        values["top_logprobs"] = top_logprobs
        if not top_logprobs:
            del values["top_logprobs"]
    params = json.dumps(values, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return replace(config, params=params)


def _judge(config: JudgeConfig, lines: Lines) -> CallingJudge:
    judge = PROVIDER_FACTORIES[config.provider](config, lines)
    assert isinstance(judge, CallingJudge)  # as every provider with schemas makes
    return judge


async def _schema(config: JudgeConfig, lines: Lines, timeout_s: float) -> str:
    """The strictest form in which the model replies although the words ask for something else."""
    for schema in SCHEMAS[config.provider]:
        if schema == "none":
            break
        judge = _judge(_with(config, schema=schema, top_logprobs=0), lines)
        completion = await _try(judge, _CONTRADICTION, timeout_s)
        if completion is not None and _obeyed(completion.text):
            return schema
    return SCHEMAS[config.provider][-1]


async def _logprobs(config: JudgeConfig, lines: Lines, timeout_s: float) -> int:
    """How many log-probabilities per token the model gives: 20, 5 or none."""
    if config.provider == "anthropic":
        return 0
    for top in (20, 5):
        judge = _judge(_with(config, top_logprobs=top), lines)
        completion = await _try(judge, _CONTRADICTION, timeout_s)
        if completion is not None and _has_logprobs(completion):
            return top
    return 0


async def _try(judge: CallingJudge, prompt: Prompt, timeout_s: float) -> Completion | None:
    try:
        return await judge.complete(prompt, deadline=asyncio.get_running_loop().time() + timeout_s)
    except CallFailed:
        return None


def _obeyed(text: str) -> bool:
    try:
        said = orjson.loads(text)
    except ValueError:
        return False
    return isinstance(said, dict) and set(said) == {"colour"} and said["colour"] in _COLOURS


def _has_logprobs(completion: Completion) -> bool:
    """Whether the tokens are those of the text and name alternatives; some servers send empty lists."""
    written = b"".join(token.raw for token in completion.tokens)
    return written == completion.text.encode() and any(token.alternatives for token in completion.tokens)


async def _known_answer(judge: CallingJudge, schema: str, top: int, timeout_s: float) -> ProbeResult:
    """The same pair in both orders, so that a judge that looks at places only is found out."""
    replies: list[Reply] = []
    for order in ((0, 1), (1, 0)):
        question = replace(_QUESTION, order=order)
        replies.append(await judge.judge(question, deadline=asyncio.get_running_loop().time() + timeout_s))
    problems = [str(reply.unscored.detail) for reply in replies if reply.unscored is not None]
    values = [reply.scores[0].value for reply in replies if reply.scores]
    return ProbeResult(
        schema=schema,
        top_logprobs=top,
        right=sum(value > 0 for value in values),
        asked=len(replies),
        first_place=values == [1.0, -1.0],
        latency_ms=median(reply.latency_ms for reply in replies) if values else None,
        problem=None if values else problems[0],
    )


_COLOURS = ("ultramarine", "vermilion")

_CONTRADICTION = Prompt(
    system="You reply with one plain word and nothing else: no JSON, no punctuation.",
    user="What do people say when they meet? One word.",
    marker="",
    fixed=RubricText(
        system="",
        schema_name="colour",
        schema={
            "type": "object",
            "properties": {"colour": {"type": "string", "enum": list(_COLOURS)}},
            "required": ["colour"],
            "additionalProperties": False,
        },
        keys=("colour",),
        labels=(),
        closing="",
    ),
)
"""Words that ask for one thing, a schema that allows only another: a reply by the schema is no accident."""

_QUESTION = Question(
    rubric=Rubric(
        name="probe",
        kind=RubricKind.PAIRWISE,
        instructions="Say which answer is the correct one.",
        criteria=(Criterion("correctness", "Which answer is factually correct?", Scale(-1, 1)),),
    ),
    prompt="What is the capital of France?",
    answers=(
        Answer("right", "The capital of France is Paris."),
        Answer("wrong", "The capital of France is Madrid, a city in Germany."),
    ),
    order=(0, 1),
    seed=1,
)

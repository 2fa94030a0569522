"""What comes back from a provider: a completion, or a failed call with the reason."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from app.domain.judging import UnscoredReason
from app.judges.expected import Token
from app.judges.prompt import Prompt

DETAIL_LENGTH = 300  # characters of a provider's message that are kept

_SECRETS = (
    re.compile(r"(?i)\b(bearer|basic)\s+[^\s\"',;]+"),
    re.compile(r"\b(?:sk|rk|pk|gsk|xai|hf|nvapi|pplx|key|api|token)[-_][A-Za-z0-9_*.\-]{4,}"),
    re.compile(r"\bAIza[A-Za-z0-9_*\-]{4,}"),
    re.compile(r"(?i)(?<=[?&])(?:api[-_]?)?(?:key|token)=[^&\s\"']+"),
    re.compile(r"(?<=://)[^/@\s]+@"),
)


@dataclass(frozen=True, slots=True)
class TokenCount:
    """Tokens of one attempt as the provider reports them; ``cached`` and ``written`` are part of ``input``.

    ``cached`` were read from the provider's prompt cache, ``written`` were stored there.
    """

    input: int = 0
    cached: int = 0
    output: int = 0
    written: int = 0

    @property
    def total(self) -> int:
        return self.input + self.output


@dataclass(frozen=True, slots=True)
class Completion:
    """One successful attempt, in no protocol's words.

    ``refusal`` is what the model or the provider's filter said instead of answering; ``cut_off`` why the
    text is incomplete. ``tokens`` are those of ``text`` with their log-probabilities, where asked for.
    ``headers`` came with the reply.
    """

    text: str
    count: TokenCount = TokenCount()
    refusal: str | None = None
    cut_off: str | None = None
    tokens: tuple[Token, ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict, compare=False, repr=False)


@dataclass(slots=True, eq=False)
class CallFailed(Exception):
    """One attempt that brought nothing.

    ``retry`` says whether another attempt may help, ``retry_after`` how many seconds the provider asked to
    wait first, ``alive`` whether the provider at least answered as it should (so that it is not dead),
    ``count`` what the attempt cost all the same, ``maybe_billed`` whether it may have cost something of which
    nothing was heard: the question was sent, and the reply did not come, or not whole. ``detail`` holds no
    secrets and is short. ``status`` and ``headers`` are those of an HTTP error.
    """

    reason: UnscoredReason
    detail: str
    retry: bool = False
    retry_after: float | None = None
    alive: bool = True
    count: TokenCount = field(default_factory=TokenCount)
    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    maybe_billed: bool = False

    def __str__(self) -> str:
        return f"{self.reason}: {self.detail}"


class Wire(Protocol):
    """One model behind one provider's protocol: prompts in, completions out."""

    @property
    def max_output_tokens(self) -> int:
        """The most that one attempt may write: the worst case that a budget has to carry."""
        ...

    async def complete(self, prompt: Prompt) -> Completion:
        """One attempt, without retries or time limits of its own.

        Raises
        ------
        CallFailed
            For whatever the provider, the network or the SDK does.
        """
        ...


def shortened(message: str, *secrets: str) -> str:
    """A provider's message fit to be stored and shown: on one line, short, without keys.

    ``secrets`` are removed wherever they stand; beside them everything that looks like a key, a bearer
    token or a password within a URL.
    """
    for secret in secrets:
        if len(secret) >= 4:
            message = message.replace(secret, "***")
    for pattern in _SECRETS:
        message = pattern.sub("***", message)
    message = " ".join(message.split())
    return message if len(message) <= DETAIL_LENGTH else message[: DETAIL_LENGTH - 1] + "…"

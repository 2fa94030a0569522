"""How a model of the local provider server behaves, and what goes wrong with its calls.

Both can be written in the model's name, so that a roster entry alone sets up a case::

    alpha                            answers by the schema, picks by a hash of the text
    alpha,pick=high,latency=20       always the top of the scale, after 20 ms
    alpha,schema=json_object         refuses `json_schema`, takes `json_object` with a schema
    alpha!429;retry-after=0.2;times=2  the first two calls get 429, then it answers
    alpha!500;rate=0.1               one call in ten (by count, not by chance) gets 500
    alpha!500;times=1!reset;times=1  first 500, then a reset connection, then answers
"""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Behaviour:
    """What a model can do.

    ``pick`` chooses among the values a schema allows: hash (of the text and the value's path), low,
    middle or high; ``knows:WORD`` prefers the answer of a pair in which the word stands.
    ``schema``: json_schema (everything), json_object (only `json_object` with a schema), none
    (any `response_format` is refused with 400), ignored (accepted and not obeyed: prose comes back).
    ``logprobs``: yes, no (refused with 400) or ignored. ``latency`` is in milliseconds.
    ``cached`` is how many input tokens are reported as read from a cache.
    ``rpm`` and ``tpm`` are the requests and tokens that are served in a ``window`` of so many seconds (0:
    no limit); every reply says what is left in its headers.
    """

    pick: str = "hash"
    schema: str = "json_schema"
    logprobs: str = "yes"
    latency: float = 0.0
    cached: int = 0
    rpm: int = 0
    tpm: int = 0
    window: float = 60.0


@dataclass(slots=True)
class Fault:
    """One thing that goes wrong with calls, ``times`` times or for every ``rate``-th of them.

    ``kind`` is an HTTP status (``429``, ``500``, ``529``, ``401`` ...) or one of `KINDS`.
    """

    kind: str
    times: int | None = None
    rate: float | None = None
    options: dict[str, str] = field(default_factory=dict)
    seen: int = 0

    def strikes(self) -> bool:
        """Count one call; whether it is hit."""
        self.seen += 1
        if self.rate is not None:
            return int(self.seen * self.rate) > int((self.seen - 1) * self.rate)
        return self.times is None or self.seen <= self.times

    def number(self, option: str, default: float) -> float:
        return float(self.options.get(option, default))


KINDS = frozenset(
    {
        "refusal",  # the model declines, in the protocol's own way
        "filter",  # the provider's content filter stops the answer
        "truncation",  # cut off at the token limit, with the protocol's own sign
        "malformed",  # JSON that never closes, without any sign
        "fenced",  # the right JSON in a fence, with prose around it
        "prose",  # no JSON at all
        "out_of_range",  # every number far off the scale
        "two_objects",  # two different JSON objects
        "echo",  # the first JSON object found in the prompt's text comes back
        "no_content",  # a reply whose content is null
        "slow",  # answers after `ms`
        "hang",  # never answers
        "trickle",  # headers at once, then one byte every `ms`
        "reset",  # the connection is reset before any byte
        "cut",  # closes half-way through the body
        "garbage",  # bytes that are no HTTP
        "html",  # 200 with an HTML page
        "empty",  # 200 with an empty body
        "array",  # 200 with JSON that is no object
    }
)

OF_CALLS = frozenset({"slow", "hang", "trickle", "reset", "cut", "garbage", "html", "empty", "array"})
"""Kinds that only a call of its own can have, not a line of a batch."""


def read_name(model: str) -> tuple[Behaviour, list[Fault]]:
    """The behaviour and the faults written in a model's name; ValueError for an unknown word."""
    head, *faults = model.split("!")
    _, *settings = head.split(",")
    given = dict(part.split("=", 1) for part in settings)
    behaviour = Behaviour(
        pick=given.pop("pick", "hash"),
        schema=given.pop("schema", "json_schema"),
        logprobs=given.pop("logprobs", "yes"),
        latency=float(given.pop("latency", 0)),
        cached=int(given.pop("cached", 0)),
        rpm=int(given.pop("rpm", 0)),
        tpm=int(given.pop("tpm", 0)),
        window=float(given.pop("window", 60.0)),
    )
    if given:
        raise ValueError(f"unknown settings {sorted(given)} in model name {model!r}")
    return behaviour, [read_fault(text) for text in faults]


def read_fault(text: str) -> Fault:
    """A fault as written after the ``!`` of a model's name: ``kind;option=value;...``."""
    kind, *parts = text.split(";")
    if kind not in KINDS and not kind.isdigit():
        raise ValueError(f"unknown fault {kind!r}; there are {sorted(KINDS)} and HTTP statuses")
    options = dict(part.split("=", 1) for part in parts)
    times, rate = options.pop("times", None), options.pop("rate", None)
    return Fault(
        kind,
        times=None if times is None else int(times),
        rate=None if rate is None else float(rate),
        options=options,
    )


def struck(faults: list[Fault]) -> Fault | None:
    """The fault that hits the next call: the first of the sequence that is not used up."""
    for fault in faults:
        if fault.times is not None and fault.seen >= fault.times:
            continue
        return fault if fault.strikes() else None
    return None

"""Judges, the panels they sit on, and what they say."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256


@dataclass(frozen=True, slots=True, order=True)
class JudgeVersion:
    """An LLM at a pinned model version with pinned parameters and a pinned prompt.

    ``params`` is canonical JSON. Change any part but ``family`` or ``simulated`` and it is another version.
    """

    family: str
    name: str
    model: str
    params: str = "{}"
    prompt_version: str = ""
    simulated: bool = False

    def digest(self) -> str:
        """Twelve hexadecimal digits of (name, model, params, prompt version)."""
        key = json.dumps([self.name, self.model, self.params, self.prompt_version])
        return sha256(key.encode()).hexdigest()[:12]


def canonical_params(written: str) -> str:
    """A judge's recorded parameters as canonical JSON; a plain word becomes ``{"setting": word}``.

    The same wherever verdicts come from, as the parameters are part of a judge's identity.

    Raises
    ------
    ValueError
        If they begin like JSON but are not.
    """
    if not written:
        return "{}"
    if not written.startswith("{"):
        return json.dumps({"setting": written}, ensure_ascii=False, separators=(",", ":"))
    try:
        return json.dumps(json.loads(written), sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    except RecursionError:
        raise ValueError("nested too deeply") from None


class UnscoredReason(StrEnum):
    """Why a seat gave no verdict."""

    TIMEOUT = "timeout"
    REFUSAL = "refusal"
    UNPARSABLE = "unparsable"
    RATE_LIMITED = "rate_limited"
    PROVIDER_ERROR = "provider_error"
    BUDGET = "budget"
    OUT_OF_RANGE = "out_of_range"


@dataclass(frozen=True, slots=True)
class Unscored:
    """A seat that gave no verdict: data, never a dropped row, a zero or a NaN."""

    reason: UnscoredReason
    detail: str


@dataclass(frozen=True, slots=True)
class Usage:
    """What the calls of one seat cost, retries included. Tokens are counts, money is US dollars.

    ``cached_tokens`` are input tokens (part of ``input_tokens``) billed at the cached price.
    """

    input_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0
    cost_usd: float = 0.0
    attempts: int = 0


@dataclass(frozen=True, slots=True)
class Score:
    """One judge's value for one answer on one criterion.

    ``answer`` indexes the item's answers in the caller's order, not in the order shown.
    ``value`` is on the criterion's own scale. In a pairwise rubric ``answer`` is 0 and the value is
    +1 (the first answer wins), 0 (tie) or -1. ``expected`` is the mean of the judge's own
    distribution, where the provider gives log-probabilities.
    """

    criterion: str
    answer: int
    value: float
    expected: float | None = None


@dataclass(frozen=True, slots=True)
class Reply:
    """What came of one seat: scores, or the reason why there are none; never both.

    ``reused_from`` is the grade and position of the seat whose verdict this is, if it was not asked for anew:
    then it costs nothing and is no independent repeat.
    """

    scores: tuple[Score, ...] = ()
    unscored: Unscored | None = None
    rationale: str | None = None
    usage: Usage = Usage()
    latency_ms: float = 0.0
    cached: bool = False
    reused_from: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class Seat:
    """One judge's place on a panel with its presentation, settled before the judge is called.

    ``order[k]`` is the index of the answer shown in place ``k``. ``inclusion_probability`` is the
    judge's chance of sitting on this panel; in the second stage of a panel its chance given who sat in
    the first. ``replaces`` is the position of the failed seat whose stead this one takes; its probability
    is then that of the replacement draw.
    """

    position: int
    judge: JudgeVersion
    order: tuple[int, ...]
    inclusion_probability: float
    replaces: int | None = None


@dataclass(frozen=True, slots=True)
class Stages:
    """A panel that is asked in two stages: ``first`` families' first judges always, the others by chance.

    That chance is at least ``least_chance`` and rises with the width of the calibrated interval and with the
    disagreement of the first judges: one as wide as ``wide`` of the scale, or a gap of ``apart`` of it, makes
    the second stage certain (see `app.grading.stages`).
    """

    first: int
    least_chance: float = 0.2
    wide: float = 1.0
    apart: float = 0.5


@dataclass(frozen=True, slots=True)
class SecondStage:
    """What was drawn of a panel's second stage, on record before any of its judges is called.

    ``chance`` is in (0, 1]; ``asked`` says whether the draw had its judges called. ``width`` and ``gap`` are
    what the chance came from, as shares of the scale; None where unknown. ``seats``: how many there were to
    ask. ``position``: seats from this one on belong to the second stage.
    """

    chance: float
    asked: bool
    width: float | None
    gap: float | None
    seats: int
    position: int


@dataclass(frozen=True, slots=True)
class PanelRequest:
    """What a caller asks of a panel. ``stages`` None: every seat is asked at once."""

    families: int = 3
    judges_per_family: int = 1
    exclude_families: frozenset[str] = frozenset()
    exclude_own_family: bool = False
    both_orders: bool = False
    seed: int | None = None
    stages: Stages | None = None


@dataclass(frozen=True, slots=True)
class Assignment:
    """Panel, presentations, seed and inclusion probabilities: on record before any judge is called.

    ``families_drawn_from`` maps every eligible family to how many of its judges could have sat.
    ``waiting`` are the seats of a second stage that has not been drawn yet: they follow from the seed, and
    are no part of the record until they are asked. ``second`` says what was drawn of it.
    """

    seed: int
    seats: tuple[Seat, ...]
    families_drawn_from: Mapping[str, int]
    waiting: tuple[Seat, ...] = ()
    second: SecondStage | None = None


class TooFewFamilies(Exception):
    """The roster cannot fill a panel from as many families as asked."""

    def __init__(self, have: int, need: int) -> None:
        super().__init__(f"judges of {have} families may sit on this panel, it needs {need}")
        self.have, self.need = have, need


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What an import of recorded verdicts did.

    ``verdicts`` were new, ``duplicates`` were there already (same judge, answers, criterion, draw and
    order) and changed nothing; ``contradictions`` of these say something else than what is there.
    ``repeated`` says that the whole file was imported before.
    """

    id: int
    sha256: str
    verdicts: int
    duplicates: int
    contradictions: int
    repeated: bool = False


class ImportRunning(Exception):
    """Another import into the same project has not ended yet."""

    def __init__(self, import_id: int) -> None:
        super().__init__("another import of verdicts into this project is still running")
        self.import_id = import_id

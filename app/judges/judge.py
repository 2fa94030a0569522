"""What every judge can do, whatever stands behind it."""

from dataclasses import dataclass
from typing import Protocol

from app.domain.items import Answer
from app.domain.judging import JudgeVersion, Reply
from app.domain.rubrics import Rubric
from app.judges.turns import NOBODYS, Lane


@dataclass(frozen=True, slots=True)
class Question:
    """One seat's question: the item under a rubric in one presentation.

    ``answers`` are in the caller's order, ``order[k]`` is the index of the answer shown in place k.
    ``seed`` fixes the delimiters and labels of this call, so that a prompt can be replayed.
    Judges that ask a model put neither ``system`` nor ``family`` nor ``item_id`` in the prompt;
    recorded judges look verdicts up by them, simulated ones plant their family bias with them.
    ``labels``: the letters that name the answers shown, from the first place on.
    ``lane`` says on whose behalf, and whether somebody waits.
    """

    rubric: Rubric
    prompt: str
    answers: tuple[Answer, ...]
    order: tuple[int, ...]
    seed: int
    context: str | None = None
    reference: str | None = None
    item_id: str | None = None
    labels: str = "ABCDEFGHIJ"
    lane: Lane = NOBODYS


class Withdrawn(Exception):
    """Whoever asked does not want the question answered any more; no further attempt is made for it."""


class Permit(Protocol):
    """The leave that an asker gives for each attempt, right before it is sent, and what it hears of it."""

    async def begin(self, worst_usd: float) -> None:
        """Return when an attempt that costs at most ``worst_usd`` may be sent.

        Raises
        ------
        Withdrawn
            If it may not: the question ends here, and `Judge.judge` raises it on.
        """
        ...

    def ended(self, worst_usd: float, cost_usd: float, suspect_usd: float) -> None:
        """An attempt for which `begin` returned is over, and cost so much.

        ``suspect_usd`` is what it may have cost at most beside that, where its reply was not heard to the
        end: the provider may have billed it.
        """
        ...


class Judge(Protocol):
    """A judge of the roster."""

    @property
    def version(self) -> JudgeVersion:
        """Who judges: the identity under which verdicts are stored."""
        ...

    async def judge(
        self,
        question: Question,
        *,
        deadline: float,
        max_cost_usd: float | None = None,
        permit: Permit | None = None,
    ) -> Reply:
        """Answer ``question`` before ``deadline`` (seconds on the running event loop's clock).

        Never raises for anything a provider does: failures come back as an `Unscored` reply,
        with the usage of every attempt. Cancellation passes through, and what ``permit`` raises.
        """
        ...

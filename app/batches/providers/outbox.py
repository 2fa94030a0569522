"""Which seats of a chunk go with a batch at their judge's provider instead of being asked one by one."""

from collections.abc import Mapping

from app.batches.patience import surely
from app.domain.batches import BatchMode, Fallback
from app.domain.judging import JudgeVersion, Seat
from app.judges.batching import BatchWire
from app.judges.call import CallingJudge
from app.judges.judge import Judge, Question
from app.judges.prompt import build_prompt
from app.storage.catalog import judge_version_id
from app.storage.chunks import ClaimedChunk
from app.storage.database import Database
from app.storage.provider_requests import Queued, queue


class Waits(Exception):
    """A seat waits for its provider's batch: its item is gone on with once it is back."""


def custom_id(provider_batch_id: int, grade_id: int, position: int) -> str:
    """What a request is called at the provider: letters and signs that both protocols take."""
    return f"{provider_batch_id}-{grade_id}-{position}"


_LONGEST_ID = custom_id((1 << 63) - 1, (1 << 63) - 1, 1 << 15)


def batching(judge: Judge | None) -> tuple[CallingJudge, BatchWire] | None:
    """The judge and its provider's batch endpoint, if that can be used."""
    if isinstance(judge, CallingJudge) and judge.batches is not None:
        return judge, judge.batches
    return None


class Outbox:
    """Seats of one chunk that are to be sent; they are on record, all together, once `send` returns."""

    def __init__(self, db: Database, chunk: ClaimedChunk, judges: Mapping[JudgeVersion, Judge]) -> None:
        self._db, self._chunk, self._judges = db, chunk, judges
        self._by_batch = chunk.options.mode is BatchMode.BATCH
        self._fallback = chunk.options.fallback
        self._seats: list[Queued] = []

    @property
    def replaces(self) -> bool:
        """Whether another judge is asked where one gave no verdict."""
        return not (self._by_batch and self._fallback is Fallback.NONE)

    def take(
        self, number: int, grade_id: int, seat: Seat, question: Question, share: float | None, *, new: bool
    ) -> None:
        """Take a seat that is to be asked, if it goes with a batch; ``new``: of an item just drawn.

        A seat that came back without an answer is asked one by one, as is one whose ``share`` of its
        item's cost would not cover it.

        Raises
        ------
        Waits
            If it is taken.
        """
        found = batching(self._judges.get(seat.judge)) if self._by_batch else None
        tried = self._chunk.awaited is not None and not new
        if found is None or (tried and self._fallback is not Fallback.BATCH):
            return
        judge, wire = found
        prompt = build_prompt(question)
        worst = judge.worst_in_batch(prompt)
        size = len(wire.line(_LONGEST_ID, prompt)) + 1
        if (share is not None and worst > share) or size > wire.size.bytes:
            return
        key = judge_version_id(self._chunk.project.id, seat.judge)
        self._seats.append(Queued(grade_id, seat.position, number, key, size, worst))
        raise Waits

    async def send(self) -> bool:
        """Put on record what was taken, and leave the chunk; False if nothing was."""
        if not self._seats:
            return False
        await surely(lambda: queue(self._db, self._chunk, self._seats))
        return True

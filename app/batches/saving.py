"""What a batch did not spend: judges of second stages that were not asked, items after its decision."""

from dataclasses import dataclass

from app.domain.batches import Batch, BatchStatus


@dataclass(frozen=True, slots=True)
class Saved:
    """Judge calls that were not made. ``second_stage`` are counted seats; ``decided`` are the items that a
    decided batch left, at the calls that its items took so far. ``usd``: at what its calls cost so far, None
    where none was made."""

    second_stage: int
    decided: int
    usd: float | None

    @property
    def calls(self) -> int:
        return self.second_stage + self.decided


def saved_by(batch: Batch) -> Saved:
    """What the batch saved so far."""
    counts = batch.counts
    decided = 0
    if batch.status is BatchStatus.DECIDED and counts.settled:
        decided = round((batch.items - counts.settled) * counts.calls / counts.settled)
    calls = counts.spared + decided
    usd = batch.spending.spent_usd / counts.calls * calls if counts.calls else None
    return Saved(counts.spared, decided, None if usd is None else round(usd, 9))

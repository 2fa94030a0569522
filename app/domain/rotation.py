"""Renewing an anchor set: how old and how exposed its anchors are, and what made room for what."""

from dataclasses import asdict, dataclass
from datetime import datetime

EXPORT_COUNTS_AS = 20
"""Exposures that one export stands for: what left the service may be copied, where a judge sees it once."""


@dataclass(frozen=True, slots=True)
class RotationPolicy:
    """How a set is renewed: every so many days, which share of its items, which share is kept to link by.

    An anchor loses half of its freshness in ``half_life_days``, and in ``half_life_exposures``. The defaults
    are conventions, not measurements: how fast anchors wear depends on who trains on what.
    """

    every_days: float = 7.0
    share: float = 0.075
    overlap: float = 0.8
    half_life_days: float = 180.0
    half_life_exposures: float = 1000.0

    def as_dict(self) -> dict[str, float]:
        """Its values by name."""
        return asdict(self)

    def freshness(self, age_days: float, exposures: float) -> float:
        """2 to the minus (age over its half-life plus exposures over theirs): 1 when new, towards 0."""
        worn = max(age_days, 0.0) / self.half_life_days + exposures / self.half_life_exposures
        return float(0.5 ** min(worn, 1e3))


@dataclass(frozen=True, slots=True)
class AnchorAge:
    """One item of a set, with all that happened to it.

    ``born`` is when it first stood in the set. ``calibrations`` rested on it, ``exports`` took it out of the
    service; ``answer_ids`` are what judges may have been shown.
    """

    item_id: int
    item: str
    born: datetime
    grades: int
    systems: tuple[str, ...]
    answer_ids: tuple[int, ...]
    calibrations: int
    exports: int


@dataclass(frozen=True, slots=True)
class Rotation:
    """A rotation as it was done; versions are the set's before and just after it, ``retired`` items' ids."""

    id: int
    anchor_set: str
    before_version: int
    after_version: int
    queue: str | None
    policy: RotationPolicy
    retired: tuple[str, ...]
    warnings: tuple[str, ...]
    created_at: datetime

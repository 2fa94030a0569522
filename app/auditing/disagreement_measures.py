"""What is measured of one criterion's pairs of grades, and the line that disagreements are held against."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from app.auditing.twice import Said, Twice
from app.domain.audits import AuditVerdict
from app.stats.agreement import agreement_among_people
from app.stats.errors import InsufficientData, NotIdentified
from app.stats.jackknife import Effect
from app.stats.noise_share import NoiseShare
from app.stats.pair_agreement import alpha_of_pairs, kappa_of_pairs, mean_of_pairs, share_of_pairs
from app.stats.shares import Share

LINE, ALARM = 0.15, 0.20
"""Above 15 to 20% of real disagreements it is the labels that are the problem."""
LEVEL = 0.95
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Measured:
    """One criterion: each number, or in words why there is none.

    ``share`` of pairs that really differ, ``at_once`` the same at a level that allows for all criteria of the
    audit; ``equal`` the share of pairs without any difference; ``shift`` of cold grades above the others
    (None where none is cold); ``nominal`` where values are categories; ``tolerance`` in points.
    """

    criterion: str
    twice: Twice
    tolerance: float
    nominal: bool
    share: Share | str
    at_once: Share | str
    equal: Share | str
    alpha: Effect | str
    kappa: Effect | str
    noise: Effect | str
    shift: Effect | str | None
    calibration: NoiseShare | str

    @property
    def above(self) -> bool:
        """Whether the labels are the problem, whatever other criteria were looked at beside this one."""
        return isinstance(self.at_once, Share) and self.at_once.low > LINE and self.at_once.estimate > ALARM

    @property
    def below(self) -> bool:
        """Whether they are not."""
        return isinstance(self.share, Share) and self.share.estimate <= LINE and self.share.high <= ALARM


def measured(
    criterion: str,
    said: Sequence[Said],
    twice: Twice,
    *,
    tolerance: float,
    nominal: bool,
    criteria: int,
    calibration: NoiseShare | str,
) -> Measured:
    """Everything of one criterion; ``criteria`` are audited together."""
    pairs = twice.pairs
    level = 1 - (1 - LEVEL) / criteria
    return Measured(
        criterion=criterion,
        twice=twice,
        tolerance=tolerance,
        nominal=nominal,
        share=or_why(lambda: share_of_pairs(twice.apart, pairs, LEVEL)),
        at_once=or_why(lambda: share_of_pairs(twice.apart, pairs, level)),
        equal=or_why(lambda: share_of_pairs(twice.gap == 0, pairs, LEVEL)),
        alpha=or_why(lambda: _alpha(said, twice, nominal)),
        kappa=or_why(lambda: kappa_of_pairs(pairs, sides=twice.cold)),
        noise=or_why(lambda: mean_of_pairs(twice.gap**2 / 2, pairs)),
        shift=or_why(lambda: mean_of_pairs(-twice.gap, pairs)) if twice.cold else None,
        calibration=calibration,
    )


def verdict_of(found: Sequence[Measured]) -> AuditVerdict:
    """Failed if any criterion is above the line, at a level for all of them together; passed if every one is
    below it, for which each may have its own level."""
    if any(one.above for one in found):
        return AuditVerdict.FAILED
    return AuditVerdict.PASSED if all(one.below for one in found) else AuditVerdict.OPEN


def or_why(estimate: Callable[[], T]) -> T | str:
    """An estimate, or why there is none."""
    try:
        return estimate()
    except (InsufficientData, NotIdentified) as error:
        return str(error)


def _alpha(said: Sequence[Said], twice: Twice, nominal: bool) -> Effect:
    """Between cold grades and the others, or among all people who graded an answer."""
    if twice.cold:
        return alpha_of_pairs(twice.pairs, nominal=nominal)
    units = {one: k for k, one in enumerate(sorted({one.answers for one in said}))}
    return agreement_among_people(
        grade=np.array([one.value for one in said]),
        graded_unit=np.array([units[one.answers] for one in said], np.int64),
        prompt=np.array([one.item_id for one in said], np.int64),
        nominal=nominal,
    )

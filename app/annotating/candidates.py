"""What could be graded next: units without human grades, and what the panel may miss on each."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from app.calibration.frame import Frame
from app.domain.annotation import SHOWN_TOGETHER
from app.domain.rubrics import RubricKind
from app.stats.grouped import sum_by
from app.stats.panel_error import predicted_error

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Candidates:
    """n things to grade: answers, pairs, or all answers to one item for a list.

    ``answer_ids`` in the order in which verdicts name them. ``group`` (n,) codes of ``systems`` (for a pair
    the canonical first, for a list the first answer's). ``error`` (n,) predicted squared error of the
    panel, ``disagreement`` (n,) variance among judges (NaN unknown); ``have`` (G,) human grades that each
    system has, ``spread`` (G,) root of its mean predicted error.
    """

    answer_ids: tuple[tuple[int, ...], ...]
    group: Ints
    systems: tuple[str, ...]
    error: Floats
    disagreement: Floats
    have: Floats
    spread: Floats

    def __len__(self) -> int:
        return len(self.answer_ids)

    def only(self, rows: Sequence[int]) -> "Candidates":
        """These of them."""
        at = np.array(rows, np.int64)
        return replace(
            self,
            answer_ids=tuple(self.answer_ids[k] for k in rows),
            group=self.group[at],
            error=self.error[at],
            disagreement=self.disagreement[at],
        )


def candidates_of(frame: Frame, kind: RubricKind, left_out: frozenset[tuple[int, ...]]) -> Candidates:
    """Ungraded units of a frame, without those ``left_out`` (by their answers)."""
    noise = frame.annotator_variance
    disagreement = judges_variance(frame)
    error = predicted_error(
        disagreement=disagreement,
        variance=frame.latent_variance,
        residual=frame.human_mean - frame.out_of_fold,
        noise=noise if np.isfinite(noise) else 0.0,
    )
    system, groups = frame.system.astype(np.int64), len(frame.systems)
    have = np.bincount(system, frame.labelled, groups).astype(np.float64)
    count = np.maximum(np.bincount(system, minlength=groups), 1)
    spread = np.sqrt(sum_by(system, error, groups) / count)
    ids = _answers(frame, kind)
    free = [k for k, one in ids if not _graded(frame, kind, k) and one not in left_out]
    named = dict(ids)
    rows = np.array(free, np.int64)
    return Candidates(
        answer_ids=tuple(named[k] for k in free),
        group=system[rows],
        systems=frame.systems,
        error=error[rows],
        disagreement=disagreement[rows],
        have=have,
        spread=np.where(spread > 0, spread, spread.max(initial=1.0)),
    )


def judges_variance(frame: Frame) -> Floats:
    """(n,) variance of a unit's judges, each from its own mean; NaN below two judges."""
    n, judges = frame.unit_id.size, len(frame.judges)
    count = np.maximum(np.bincount(frame.cell_judge, minlength=judges), 1)
    judge_mean = np.bincount(frame.cell_judge, frame.cell_value, judges) / count
    value = frame.cell_value - judge_mean[frame.cell_judge]
    seats = np.bincount(frame.cell_unit, minlength=n)
    mean = np.bincount(frame.cell_unit, value, n) / np.maximum(seats, 1)
    square = np.bincount(frame.cell_unit, value**2, n)
    return np.where(seats > 1, (square - seats * mean**2) / np.maximum(seats - 1, 1), np.nan)


def _answers(frame: Frame, kind: RubricKind) -> list[tuple[int, tuple[int, ...]]]:
    """(first unit, answers) of everything that can be put before a person."""
    if kind is RubricKind.PAIRWISE:
        pairs = zip(frame.answer_id.tolist(), frame.other_answer_id.tolist(), strict=True)
        return list(enumerate(pairs))
    if kind is RubricKind.POINTWISE:
        return [(k, (answer,)) for k, answer in enumerate(frame.answer_id.tolist())]
    lists: dict[int, list[int]] = {}
    for k, item in enumerate(frame.item.tolist()):
        lists.setdefault(item, []).append(k)
    least, most = SHOWN_TOGETHER[kind]
    return [
        (units[0], tuple(int(frame.answer_id[k]) for k in units))
        for units in lists.values()
        if least <= len(units) <= most
    ]


def _graded(frame: Frame, kind: RubricKind, k: int) -> bool:
    """Whether people graded it; a list counts as graded with its first answer."""
    return bool(frame.n_human[k] > 0)

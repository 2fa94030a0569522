"""Missing verdicts of rows and of judges: how many, on which answers, and what they could have changed."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from app.reporting.graded_units import GradedUnits
from app.reporting.quality_groups import Groups
from app.reporting.seats import Seats
from app.stats.grouped import coded
from app.stats.missingness import Related, related_to_quality, shifted, worst_case
from app.stats.multiplicity import holm
from app.stats.shares import Shares, shares_by

Ints = NDArray[np.int64]
Status = Literal["identified", "not_identified", "insufficient_data"]

SHIFTS = (-1.0, -0.5, 0.5, 1.0)  # standard deviations of a judge's verdicts; assumptions, not chances
_RELATED = 0.05  # Holm-adjusted p, up to which a row or a table says so


@dataclass(frozen=True, slots=True)
class RelatedToQuality:
    """How much better (on the table's own scale) other judges' verdicts are where one is missing.

    ``n`` missing verdicts on answers that another judge scored. ``status``: ``insufficient_data`` where too
    few prompts have any, ``not_identified`` where the others never differ or a pair has no side.
    """

    difference: float | None
    interval: tuple[float, float] | None
    p_value: float | None
    n: int
    status: Status


_NO_SIDE = RelatedToQuality(None, None, None, 0, "not_identified")


@dataclass(frozen=True, slots=True)
class Shifted:
    """The raw mean had missing verdicts been ``sd`` standard deviations better than the others' say."""

    sd: float
    raw_mean: float


@dataclass(frozen=True, slots=True)
class ShiftedCorrected:
    """The corrected value under one assumption on missing verdicts, with its interval moved along."""

    corrected: float
    interval: tuple[float, float]


@dataclass(frozen=True, slots=True)
class CorrectedBounds:
    """What the corrected value would have been with every verdict there (`stats.missing_predictions`).

    ``worst_case_interval`` reaches from the lower end of the interval at its least to the upper at its most;
    ``shifted`` is one per `SHIFTS`.
    """

    worst_case: tuple[float, float]
    worst_case_interval: tuple[float, float]
    shifted: tuple[ShiftedCorrected, ...]


@dataclass(frozen=True, slots=True)
class Bounds:
    """What the raw mean would have been with every verdict there; ``raw_mean`` is what it is without.

    ``corrected``: the same of the corrected value; None where the row has none.
    """

    raw_mean: float | None
    worst_case: tuple[float, float]
    shifted: tuple[Shifted, ...]
    corrected: CorrectedBounds | None = None


@dataclass(frozen=True, slots=True)
class Unscored:
    """Of ``n`` judges asked about the row's answers, ``missing`` gave no verdict; ``interval`` of the rate is
    None on a single prompt, ``bounds`` None where pairs have no side."""

    rate: float
    interval: tuple[float, float] | None
    n: int
    missing: int
    related_to_quality: RelatedToQuality
    bounds: Bounds | None


@dataclass(frozen=True, slots=True)
class JudgeUnscored:
    """The same for all answers that one judge version was asked about."""

    judge: str
    family: str
    rate: float
    interval: tuple[float, float] | None
    n: int
    missing: int
    related_to_quality: RelatedToQuality


def unscored_rows(units: GradedUnits, groups: Groups, level: float) -> tuple[Unscored | None, ...]:
    """One per row of a table; None where no judge was asked, or the calibration does not know.

    Units that were first judged after the calibration are left out.
    """
    seats, count = units.seats, len(groups.systems)
    if seats is None or not count:
        return (None,) * count
    sided = not units.pairwise or groups.systems[0] is not None
    cluster, cluster_group = _clusters(groups.code, units.prompt)
    on = slice(None) if sided else slice(len(seats.row) // 2)
    seat_cluster, judge, missing = cluster[seats.row[on]], seats.judge[on], seats.missing[on]
    shares = _shares(missing, seat_cluster, cluster_group, count, level)
    related = _related(
        seats,
        on,
        judge,
        seat_cluster,
        cluster_group,
        groups=count,
        judges=len(units.frame.judges),
        level=level,
    )
    bounds = _bounds(units, seats, groups.code, count) if sided else (None,) * count
    silent = np.bincount(cluster_group[seat_cluster[missing]], minlength=count)
    return tuple(
        Unscored(
            *_rate(shares, g), n=int(shares.n[g]), missing=int(silent[g]),
            related_to_quality=_told(related, g, units.shown_width()) if sided else _NO_SIDE,
            bounds=bounds[g],
        )
        if shares.n[g]
        else None
        for g in range(count)
    )  # fmt: skip


def unscored_judges(units: GradedUnits, level: float) -> tuple[JudgeUnscored, ...]:
    """One per judge version that was asked, in the order of the frame; empty if it does not know."""
    seats, frame = units.seats, units.frame
    if seats is None:
        return ()
    on = slice(len(seats.row) // 2 if units.pairwise else None)
    judge, missing = seats.judge[on], seats.missing[on]
    prompts = int(units.prompt.max(initial=-1)) + 1
    cluster = judge * prompts + units.prompt[seats.row[on]]
    cluster_group = np.repeat(np.arange(len(frame.judges)), prompts)
    shares = _shares(missing, cluster, cluster_group, len(frame.judges), level)
    related = _related(
        seats, on, judge * 0, cluster, cluster_group, groups=len(frame.judges), judges=1, level=level
    )
    silent = np.bincount(judge[missing], minlength=len(frame.judges))
    return tuple(
        JudgeUnscored(
            name, family, *_rate(shares, j), n=int(shares.n[j]), missing=int(silent[j]),
            related_to_quality=_NO_SIDE if units.pairwise else _told(related, j, units.shown_width()),
        )
        for j, (name, family) in enumerate(zip(frame.judges, frame.judge_families, strict=True))
        if shares.n[j]
    )  # fmt: skip


def row_warnings(rows: Sequence[Unscored | None], higher_is_better: bool) -> tuple[str | None, ...]:
    """For each row what its missing verdicts do to its raw mean, where that shows among so many rows."""
    related = [None if row is None else row.related_to_quality for row in rows]
    return tuple(
        None
        if better is None
        else f"verdicts are missing more on answers that the other judges find {_word(better)}: its raw mean "
        f"is likely too {'poor' if better else 'good'} (see its bounds)"
        for better in _shown(related, higher_is_better)
    )


def judge_warnings(judges: Sequence[JudgeUnscored], higher_is_better: bool) -> tuple[str, ...]:
    """What holds for the table: judges that are silent on better or worse answers."""
    found = _shown([one.related_to_quality for one in judges], higher_is_better)
    return tuple(
        f"verdicts of {one.judge} are missing more on answers that the other judges find {_word(better)}"
        for one, better in zip(judges, found, strict=True)
        if better is not None
    )


def _word(better: bool) -> str:
    return "better" if better else "worse"


def _shown(related: Sequence[RelatedToQuality | None], higher_is_better: bool) -> list[bool | None]:
    """Whether missing verdicts are on better answers; None where that may well be chance."""
    p = np.array([np.nan if one is None or one.p_value is None else one.p_value for one in related], float)
    adjusted = holm(p)
    return [
        None
        if one is None or one.difference is None or not adjusted[k] <= _RELATED
        else (one.difference > 0) == higher_is_better
        for k, one in enumerate(related)
    ]


def _clusters(code: Ints, prompt: Ints) -> tuple[Ints, Ints]:
    """A code per prompt within a group, (rows,), and the group of each, (clusters,)."""
    prompts = int(prompt.max(initial=0)) + 1
    present, cluster = coded(code * prompts + prompt)
    return cluster, present // prompts


def _shares(
    missing: NDArray[np.bool_], cluster: Ints, cluster_group: Ints, groups: int, level: float
) -> Shares:
    clusters = len(cluster_group)
    return shares_by(
        hits=np.bincount(cluster[missing], minlength=clusters).astype(float),
        size=np.bincount(cluster, minlength=clusters), group=cluster_group, groups=groups, level=level,
    )  # fmt: skip


def _related(
    seats: Seats, on: slice, judge: Ints, cluster: Ints, cluster_group: Ints, *, groups: int, judges: int,
    level: float,
) -> Related | None:  # fmt: skip
    """None where nothing is missing."""
    if not len(seats.missing_row):
        return None
    return related_to_quality(
        judge=judge, cluster=cluster, cluster_group=cluster_group, missing=seats.missing[on],
        others=seats.others[on], groups=groups, judges=judges, level=level,
    )  # fmt: skip


def _bounds(units: GradedUnits, seats: Seats, code: Ints, groups: int) -> tuple[Bounds | None, ...]:
    raw, low, high = worst_case(
        group=code, raw=units.raw, scored=seats.scored, missing=seats.unscored, groups=groups
    )
    moved = [
        shifted(
            group=code, raw=units.raw, scored=seats.scored, missing_row=seats.missing_row,
            missing_sd=seats.missing_sd, groups=groups, shift=shift,
        )
        for shift in SHIFTS
    ]  # fmt: skip

    def of(g: int) -> Bounds | None:
        if not np.isfinite(low[g]):
            return None
        ends = units.to_shown(float(low[g])), units.to_shown(float(high[g]))
        return Bounds(
            raw_mean=units.to_shown(float(raw[g])) if np.isfinite(raw[g]) else None,
            worst_case=(min(ends), max(ends)),
            shifted=tuple(
                Shifted(shift, units.to_shown(float(mean[g])))
                for shift, mean in zip(SHIFTS, moved, strict=True)
                if np.isfinite(mean[g])
            ),
        )

    return tuple(of(g) for g in range(groups))


def _rate(shares: Shares, g: int) -> tuple[float, tuple[float, float] | None]:
    known = np.isfinite(shares.low[g])
    return float(shares.estimate[g]), (float(shares.low[g]), float(shares.high[g])) if known else None


def _told(related: Related | None, g: int, width: float) -> RelatedToQuality:
    """On the shown scale, ``width`` of which is 1 on the scale of ``related``; None: nothing to compare."""
    if related is None or not np.isfinite(related.difference[g]):
        n = 0 if related is None else int(related.n[g])
        return RelatedToQuality(None, None, None, n, "insufficient_data")
    if related.constant[g]:
        return RelatedToQuality(None, None, None, int(related.n[g]), "not_identified")
    ends = float(related.low[g] * width), float(related.high[g] * width)
    return RelatedToQuality(
        difference=float(related.difference[g] * width), interval=(min(ends), max(ends)),
        p_value=float(related.p_value[g]), n=int(related.n[g]), status="identified",
    )  # fmt: skip

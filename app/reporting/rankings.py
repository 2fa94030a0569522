"""Many systems ranked by what people prefer, from pairwise verdicts: GET /rankings."""

import asyncio
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from app.domain.calibration import ScoreStatus
from app.domain.ids import show_id
from app.domain.problems import BadInput, NotFound, Problem
from app.domain.rubrics import RubricKind
from app.reporting.anchor_shift import Standing
from app.reporting.graded_units import GradedUnits
from app.reporting.quality_report import Quality, Ready
from app.reporting.quality_words import anchor_warnings
from app.reporting.ranked_by_judges import RankedByJudges, judged_ranking
from app.reporting.ranked_pairs import Pairs, Ranked, graded_prompts, pairs_of, rank_pairs
from app.stats.grouped import sum_by
from app.stats.rankings import Ranking
from app.stats.rectified_strengths import LEAST_PROMPTS_OF_SYSTEM
from app.storage.rubrics import get_rubric

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Interval = tuple[float, float]

MOST_SYSTEMS = 200
_NO_ANCHORS = "the anchors do not stand for this traffic"


@dataclass(frozen=True, slots=True)
class RankedSystem:
    """One system.

    ``strength``: log odds of winning against an average system; ``win_rate``: chance of winning against
    another system drawn at random, ties half; ``raw_win_rate``: by the judges as they are, against those it
    met. Of its ``n_pairs`` meetings people graded ``n_anchors``, on ``n_prompts`` prompts. What cannot be
    said is None, with ``status`` and ``warnings`` saying why.
    """

    system: str
    rank: int | None
    rank_interval: tuple[int, int] | None
    strength: float | None
    strength_interval: Interval | None
    win_rate: float | None
    win_rate_interval: Interval | None
    raw_win_rate: float | None
    opponents: int
    n_pairs: int
    n_anchors: int
    n_prompts: int
    status: ScoreStatus
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RankedPair:
    """How often ``system`` wins against ``other``, ties half.

    ``win_rate`` by the strengths, ``raw_win_rate`` by the judges as they are, ``human_win_rate`` by the
    people who graded ``n_anchors`` of their ``n_pairs`` meetings.
    """

    system: str
    other: str
    n_pairs: int
    n_anchors: int
    raw_win_rate: float | None
    human_win_rate: float | None
    win_rate: float | None
    interval: Interval | None


@dataclass(frozen=True, slots=True)
class RankingTable:
    """Rows by rank, those without one last; ``pairs`` of every two systems, each once.

    ``by_judges``: how the judges rank them, None if it was not asked for.

    ``refusals``: why there is no ranking; ``parts``: the sets of systems between which nothing was compared.
    ``tie_rate``: share of ties among people; ``power_tuning``, ``panel_correlation``: as in a quality table.
    """

    rubric: str
    rubric_version: int
    criterion: str
    level: float
    calibration_id: str | None
    calibrated_at: datetime | None
    simulated: bool
    newer_verdicts: int
    tie_rate: float | None
    power_tuning: float | None
    panel_correlation: float | None
    refusals: tuple[str, ...]
    parts: tuple[tuple[str, ...], ...]
    warnings: tuple[str, ...]
    rows: tuple[RankedSystem, ...]
    pairs: tuple[RankedPair, ...]
    by_judges: RankedByJudges | None = None


async def rank(
    quality: Quality, project_id: int, *, rubric: str, criterion: str, level: float = 0.95,
    judges: bool = False,
) -> RankingTable:  # fmt: skip
    """Rank the systems of a pairwise rubric; with ``judges`` also as the judges would, from every verdict.

    Raises
    ------
    NotFound
        If there is no such rubric or criterion.
    BadInput
        If the rubric does not judge pairs, or there are more than `MOST_SYSTEMS` systems.
    """
    version = await get_rubric(quality.db, project_id, rubric)
    if version is None:
        raise NotFound("rubric", rubric)
    if criterion not in {one.name for one in version.rubric.criteria}:
        raise NotFound("criterion", criterion)
    if version.rubric.kind is not RubricKind.PAIRWISE:
        text = f"is {version.rubric.kind.value}: answers judged by themselves are ordered by GET /quality"
        raise BadInput("only pairs can be ranked", [Problem(text, path="query.rubric", value=rubric)])
    ready = await quality.ready(project_id, rubric, criterion)
    units = await quality.uncalibrated(project_id, rubric, criterion) if ready is None else ready.units
    if len(units.frame.systems) > MOST_SYSTEMS:
        text = f"has {len(units.frame.systems)} systems, {MOST_SYSTEMS} are the most"
        raise BadInput("too many systems", [Problem(text, path="query.rubric", value=rubric)])
    pairs = pairs_of(units)
    if ready is None:
        refusals = await quality.why_none(project_id, rubric, criterion)
        ranked = Ranked((), None, refusals)
    elif units.anchoring.hopeless:
        ranked = Ranked((), None, (_NO_ANCHORS,))
    else:
        ranked = await asyncio.to_thread(rank_pairs, units, pairs, level)
    stale = ready is not None and ready.calibration.snapshot.get("rubric_version") != version.version
    power = None if ranked.ranking is None else ranked.ranking.power
    names = units.frame.systems
    return RankingTable(
        rubric=rubric, rubric_version=version.version, criterion=criterion, level=level,
        calibration_id=None if ready is None else show_id("c", ready.calibration.id),
        calibrated_at=None if ready is None else ready.calibration.finished_at,
        simulated=units.frame.simulated, newer_verdicts=0 if ready is None else ready.left_out,
        tie_rate=None if ranked.ranking is None else ranked.ranking.tie_rate,
        power_tuning=None if power is None else power.lam,
        panel_correlation=None if power is None else power.correlation,
        refusals=ranked.refusals, parts=tuple(tuple(names[one] for one in part) for part in ranked.parts),
        warnings=_warnings(ready, stale, ranked),
        rows=_rows(units, pairs, ranked, stale), pairs=_pairs(units, pairs, ranked),
        by_judges=await judged_ranking(quality, project_id, rubric=rubric, criterion=criterion, level=level)
        if judges
        else None,
    )  # fmt: skip


def _warnings(ready: Ready | None, stale: bool, ranked: Ranked) -> tuple[str, ...]:
    if ready is None:
        return ()
    said = []
    if stale:
        said.append("the rubric has changed since this calibration")
    if ready.left_out:
        said.append(f"{ready.left_out} verdicts came later for pairs that were judged before: not in")
    said += anchor_warnings(ready.units.frame, ready.units.anchoring)
    if ranked.ranking is not None and ranked.ranking.power.lam == 0:
        said.append("the panel does not follow the human grades: strengths rest on human grades alone")
    return tuple(said)


def _rows(units: GradedUnits, pairs: Pairs, ranked: Ranked, stale: bool) -> tuple[RankedSystem, ...]:
    names, s = units.frame.systems, len(units.frame.systems)
    both, graded = np.concatenate([pairs.first, pairs.second]), np.tile(pairs.graded, 2)
    n_pairs = np.bincount(both, minlength=s)
    n_anchors = np.bincount(both[graded], minlength=s)
    prompts = graded_prompts(pairs, s, np.ones(pairs.first.size, bool))
    met = np.unique(both * s + np.concatenate([pairs.second, pairs.first])) // s
    opponents = np.bincount(met, minlength=s)
    raw = _means(both, np.concatenate([pairs.raw, 1 - pairs.raw]), s)
    place = {code: k for k, code in enumerate(ranked.systems)}
    rows = []
    for code in range(s):
        status, warnings = _status(units, ranked, code, int(prompts[code]), int(n_anchors[code]))
        ranking = ranked.ranking if status is ScoreStatus.CALIBRATED else None
        k = place.get(code, 0)
        rows.append(
            RankedSystem(
                system=names[code],
                rank=None if ranking is None else int(ranking.rank[k]),
                rank_interval=None
                if ranking is None
                else (int(ranking.rank_interval[0][k]), int(ranking.rank_interval[1][k])),
                strength=None if ranking is None else float(ranking.strength[k]),
                strength_interval=None if ranking is None else _at(ranking.strength_interval, k),
                win_rate=None if ranking is None else float(ranking.win_rate[k]),
                win_rate_interval=None if ranking is None else _at(ranking.win_rate_interval, k),
                raw_win_rate=_known(raw[code]),
                opponents=int(opponents[code]),
                n_pairs=int(n_pairs[code]),
                n_anchors=int(n_anchors[code]),
                n_prompts=int(prompts[code]),
                status=ScoreStatus.STALE if stale and ranking is not None else status,
                warnings=warnings,
            )
        )
    return tuple(sorted(rows, key=lambda row: (row.rank is None, row.rank or 0, row.system)))


def _status(
    units: GradedUnits, ranked: Ranked, code: int, prompts: int, anchors: int
) -> tuple[ScoreStatus, tuple[str, ...]]:
    standing = units.anchoring.of(code)
    if not anchors:
        return ScoreStatus.JUDGE_RELATIVE, ("no human grade compares it with another system",)
    if ranked.ranking is None:
        return ScoreStatus.INSUFFICIENT_ANCHORS, ()
    if code not in ranked.systems:
        why = (
            f"human grades on {prompts} of its prompts, {LEAST_PROMPTS_OF_SYSTEM} are needed against systems "
            "that are ranked"
        )
        return ScoreStatus.INSUFFICIENT_ANCHORS, (why,)
    if standing is Standing.REFUSED:
        return ScoreStatus.EXTRAPOLATING, (_NO_ANCHORS,)
    return ScoreStatus.CALIBRATED, ()


def _pairs(units: GradedUnits, pairs: Pairs, ranked: Ranked) -> tuple[RankedPair, ...]:
    """In the order of names."""
    names, s = units.frame.systems, len(units.frame.systems)
    turned = pairs.first > pairs.second
    code = np.minimum(pairs.first, pairs.second) * s + np.maximum(pairs.first, pairs.second)
    raw = _means(code, np.where(turned, 1 - pairs.raw, pairs.raw), s * s)
    human = _means(code, np.where(turned, 1 - pairs.human, pairs.human), s * s)
    count, graded = np.bincount(code, minlength=s * s), np.bincount(code[pairs.graded], minlength=s * s)
    shown = {
        one: k
        for k, one in enumerate(ranked.systems)
        if ranked.ranking is not None and units.anchoring.of(one) is not Standing.REFUSED
    }
    found = []
    for i in range(s):
        for k in range(i + 1, s):
            at = i * s + k
            rate, interval = _rate(ranked.ranking, shown.get(i), shown.get(k))
            one = RankedPair(
                names[i], names[k], int(count[at]), int(graded[at]), _known(raw[at]), _known(human[at]), rate,
                interval,
            )  # fmt: skip
            found.append(one if names[i] < names[k] else _turned(one))
    return tuple(sorted(found, key=lambda one: (one.system, one.other)))


def _rate(ranking: Ranking | None, i: int | None, k: int | None) -> tuple[float | None, Interval | None]:
    if ranking is None or i is None or k is None:
        return None, None
    low, high = ranking.pair_interval
    return float(ranking.pair_rate[i, k]), (float(low[i, k]), float(high[i, k]))


def _turned(one: RankedPair) -> RankedPair:
    def other(share: float | None) -> float | None:
        return None if share is None else 1 - share

    ends = None if one.interval is None else (1 - one.interval[1], 1 - one.interval[0])
    return RankedPair(
        one.other, one.system, one.n_pairs, one.n_anchors, other(one.raw_win_rate), other(one.human_win_rate),
        other(one.win_rate), ends,
    )  # fmt: skip


def _at(ends: tuple[Floats, Floats], k: int) -> Interval:
    return float(ends[0][k]), float(ends[1][k])


def _known(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _means(code: Ints, values: Floats, size: int) -> Floats:
    known = np.isfinite(values)
    count = np.bincount(code[known], minlength=size)
    return np.where(count > 0, sum_by(code[known], values[known], size) / np.maximum(count, 1), np.nan)

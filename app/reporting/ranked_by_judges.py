"""How the judges themselves rank the systems of a pairwise rubric, beside what people prefer."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.calibration.design import build_design
from app.reporting.quality_report import Quality
from app.reporting.ranked_pairs import one_sided, unconnected
from app.stats.comparison_graph import components
from app.stats.errors import InsufficientData
from app.stats.judge_strengths import Cells, JudgeRanking, rank_by_judges, told_from_position
from app.storage.evidence import Evidence, load_evidence

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Interval = tuple[float, float]

NOT_TOLD = 0.1  # of the information on a difference left beside positions: below, they are one and the same
HARDLY_TOLD = 0.5
_ALWAYS = 0.95  # of a system's verdicts in which it was shown first
_MOST_TASTES = 1_500  # judges times systems: a second of work


@dataclass(frozen=True, slots=True)
class JudgedSystem:
    """One system as judges like these rank it; as in `rankings.RankedSystem`."""

    rank: int
    rank_interval: tuple[int, int]
    strength: float
    strength_interval: Interval
    win_rate: float
    win_rate_interval: Interval


@dataclass(frozen=True, slots=True)
class JudgesTaste:
    """One judge: ``position`` is what the first place adds, in log odds (None where no order is known),
    ``tie_rate`` its share of ties."""

    judge: str
    n_verdicts: int
    position: float | None
    tie_rate: float


@dataclass(frozen=True, slots=True)
class RankedByJudges:
    """``systems`` by name; empty, and ``refusals``, where judges rank nothing. ``spread``: standard deviation
    of a judge's own taste for a system, in log odds."""

    systems: dict[str, JudgedSystem]
    judges: tuple[JudgesTaste, ...]
    spread: float | None
    refusals: tuple[str, ...]
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Verdicts:
    """m verdicts as shown, (m,): ``ordered`` if the order is known; ``outcome`` 1, 1/2, 0 for the first."""

    judge: Ints
    first: Ints
    second: Ints
    ordered: NDArray[np.bool_]
    prompt: Ints
    outcome: Floats

    def only(self, rows: NDArray[np.bool_]) -> "_Verdicts":
        return _Verdicts(*(getattr(self, name)[rows] for name in self.__dataclass_fields__))


async def judged_ranking(
    quality: Quality, project_id: int, *, rubric: str, criterion: str, level: float
) -> RankedByJudges:
    """From every verdict on record under the wording that is calibrated."""
    evidence = await load_evidence(quality.db, project_id, rubric, criterion)
    return await asyncio.to_thread(rank_evidence, evidence, level)


def rank_evidence(evidence: Evidence, level: float) -> RankedByJudges:
    """Leave out judges and systems of which nothing can be told, and rank the rest."""
    verdicts = _verdicts(evidence)
    names, warnings = [judge.name for judge in evidence.judges], []
    for code in np.unique(verdicts.judge):
        why = _useless(verdicts.only(verdicts.judge == code))
        if why:
            warnings.append(f"left out: {names[code]}, which {why}")
            verdicts = verdicts.only(verdicts.judge != code)
    systems, place = np.unique(np.concatenate([verdicts.first, verdicts.second]), return_inverse=True)
    judges, judge = np.unique(verdicts.judge, return_inverse=True)
    first, second = place[: judge.size], place[judge.size :]
    named = [evidence.systems[code] for code in systems]

    def refused(*why: str) -> RankedByJudges:
        return RankedByJudges({}, (), None, why, tuple(warnings))

    if systems.size < 2:
        return refused("no judge has compared two systems")
    if judges.size * systems.size > _MOST_TASTES:
        return refused(f"{judges.size} judges and {systems.size} systems are too many to rank by judges")
    parts = components(first, second, systems.size)
    if len(parts) > 1:
        return refused(unconnected([[named[one] for one in part] for part in parts], "verdict"))
    endless = one_sided(first, second, verdicts.outcome, named, "judges")
    if endless:
        return refused(*endless)
    cells = Cells(
        judge=judge, first=first, second=second, ordered=verdicts.ordered, prompt=verdicts.prompt,
        outcome=verdicts.outcome, systems=systems.size, judges=judges.size,
    )  # fmt: skip
    told = told_from_position(cells)
    if told < NOT_TOLD:
        return refused(_confounded(first, verdicts.ordered, second, named))
    if told < HARDLY_TOLD:
        warnings.append(
            "some systems were shown first far more often than others: their strengths rest on the place "
            "counting alike in every pair"
        )
    try:
        found = rank_by_judges(cells, level=level)
    except InsufficientData as lacking:
        return refused(f"{lacking.what}: {lacking.have}, at least {lacking.need} are needed")
    return _shown(found, cells, named, [names[code] for code in judges], tuple(warnings))


def _verdicts(evidence: Evidence) -> _Verdicts:
    design = build_design(evidence)
    unit = evidence.v_unit.astype(np.int64)
    kept = (evidence.v_unscored < 0) & np.isfinite(evidence.v_value) & (unit >= 0)
    kept &= np.asarray(evidence.v_rubric_version) == design.rubric_version
    kept &= evidence.system[unit] != evidence.other_system[unit]
    unit, place = unit[kept], evidence.v_place[kept]
    a, b = evidence.system[unit].astype(np.int64), evidence.other_system[unit].astype(np.int64)
    swapped, y = place == 1, 0.5 + 0.5 * evidence.v_value[kept]
    return _Verdicts(
        judge=evidence.v_judge[kept].astype(np.int64), first=np.where(swapped, b, a),
        second=np.where(swapped, a, b), ordered=place >= 0, prompt=evidence.prompt[unit].astype(np.int64),
        outcome=np.where(swapped, 1 - y, y),
    )  # fmt: skip


def _useless(own: _Verdicts) -> str | None:
    """Why nothing can be told of a judge's coefficients; None where it can."""
    if (own.outcome == 0.5).all():
        return "only ever said tie"
    known = own.outcome[own.ordered]
    if known.size and (known == 1).all():
        return "always preferred the answer shown first"
    if known.size and (known == 0).all():
        return "always preferred the answer shown second"
    return None


def _confounded(first: Ints, ordered: NDArray[np.bool_], second: Ints, names: Sequence[str]) -> str:
    """Names the systems that stood in one place."""
    in_first = np.bincount(first[ordered], minlength=len(names))
    shown = in_first + np.bincount(second[ordered], minlength=len(names))
    share = in_first / np.maximum(shown, 1)
    always = [name for name, one in zip(names, share, strict=True) if one >= _ALWAYS]
    never = [name for name, one in zip(names, share, strict=True) if one <= 1 - _ALWAYS]
    places = (("always first", always), ("always second", never))
    who = "; ".join(f"{place}: {', '.join(found)}" for place, found in places if found)
    return (
        "judges' taste for a place cannot be told from their taste for a system, because systems kept their "
        f"places{f' ({who})' if who else ''}. Have the same pairs judged in the other order"
    )


def _shown(
    found: JudgeRanking,
    cells: Cells,
    systems: Sequence[str],
    judges: Sequence[str],
    warnings: tuple[str, ...],
) -> RankedByJudges:
    def at(ends: tuple[Floats, Floats], k: int) -> Interval:
        return float(ends[0][k]), float(ends[1][k])

    return RankedByJudges(
        systems={
            name: JudgedSystem(
                rank=int(found.rank[k]),
                rank_interval=(int(found.rank_interval[0][k]), int(found.rank_interval[1][k])),
                strength=float(found.strength[k]),
                strength_interval=at(found.strength_interval, k),
                win_rate=float(found.win_rate[k]),
                win_rate_interval=at(found.win_rate_interval, k),
            )
            for k, name in enumerate(systems)
        },
        judges=tuple(
            JudgesTaste(
                judge=name,
                n_verdicts=int(found.verdicts[j]),
                position=float(found.position[j]) if cells.known[j] else None,
                tie_rate=float(cells.ties[j] / found.verdicts[j]),
            )
            for j, name in enumerate(judges)
        ),
        spread=found.spread,
        refusals=(),
        warnings=warnings,
    )

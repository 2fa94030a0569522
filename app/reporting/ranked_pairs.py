"""A calibrated frame of pairs as rankings need it: which systems can be ranked, and why others cannot."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.reporting.graded_units import GradedUnits
from app.stats.comparison_graph import components, never_beaten
from app.stats.errors import InsufficientData
from app.stats.grouped import sum_by
from app.stats.rankings import Ranking, rank_systems
from app.stats.rectified_strengths import LEAST_PROMPTS_OF_SYSTEM

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Ends = tuple[NDArray[Any], NDArray[Any]]


@dataclass(frozen=True, slots=True)
class Pairs:
    """n pairs of answers by two systems, all (n,); ``row`` is their place in the frame.

    ``raw``, ``prediction``, ``human``: preference for ``first`` on 0 to 1, by the judges as they are, as the
    panel predicts people, and by people; ``ties``: people's share of ties. NaN unknown.
    """

    row: Ints
    first: Ints
    second: Ints
    prompt: Ints
    raw: Floats
    prediction: Floats
    human: Floats
    ties: Floats

    @property
    def graded(self) -> NDArray[np.bool_]:
        return np.isfinite(self.human)


@dataclass(frozen=True, slots=True)
class Ranked:
    """``ranking`` of the systems with codes ``systems``, in that order; or None and why not in ``refusals``.

    ``parts``: the sets of systems that comparisons connect, if there are several.
    """

    systems: tuple[int, ...]
    ranking: Ranking | None
    refusals: tuple[str, ...]
    parts: tuple[tuple[int, ...], ...] = ()


def pairs_of(units: GradedUnits) -> Pairs:
    """Every pair of a frame once; those of a system with itself say nothing of its strength."""
    frame, n = units.frame, len(units.frame.unit_id)
    row = np.flatnonzero(frame.system != frame.other_system)
    human = units.human[:n]
    ties = np.where(np.isfinite(human), human == 0.5, np.nan)
    if len(frame.human_ties):
        ties[np.flatnonzero(frame.labelled)] = frame.human_ties
    return Pairs(
        row, frame.system[row].astype(np.int64), frame.other_system[row].astype(np.int64),
        frame.prompt[row].astype(np.int64), units.raw[row], units.prediction[row], human[row], ties[row],
    )  # fmt: skip


def graded_prompts(pairs: Pairs, systems: int, among: NDArray[np.bool_]) -> Ints:
    """(S,) prompts on which people compared a system with another, of the pairs ``among``."""
    rows = pairs.graded & among
    both = np.concatenate([pairs.first[rows], pairs.second[rows]])
    code = np.unique(np.tile(pairs.prompt[rows], 2) * systems + both)
    return np.bincount(code % systems, minlength=systems)


def rank_pairs(units: GradedUnits, pairs: Pairs, level: float) -> Ranked:
    """Rank every system with enough human grades, if comparisons connect them."""
    names = units.frame.systems
    kept = _with_enough(pairs, len(names))
    if len(kept) < 2:
        why = f"fewer than two systems have human grades on {LEAST_PROMPTS_OF_SYSTEM} prompts"
        return Ranked((), None, (why,))
    code = np.full(len(names), -1)
    code[list(kept)] = np.arange(len(kept))
    among = (code[pairs.first] >= 0) & (code[pairs.second] >= 0)
    own = Pairs(*(getattr(pairs, name)[among] for name in pairs.__dataclass_fields__))
    own = replace(own, first=code[own.first], second=code[own.second])
    known = own.graded
    parts = components(own.first[known], own.second[known], len(kept))
    if len(parts) > 1:
        why = unconnected([[names[kept[one]] for one in part] for part in parts], "human grade")
        return Ranked(kept, None, (why,), tuple(tuple(kept[one] for one in part) for part in parts))
    endless = one_sided(
        own.first[known], own.second[known], own.human[known], [names[one] for one in kept], "people"
    )
    if endless:
        return Ranked(kept, None, tuple(endless))
    try:
        ranking = _rank(own, units.inclusion, level)
        if units.other_inclusion is not None:
            ranking = _wider(ranking, _rank(own, units.other_inclusion, level))
    except InsufficientData as lacking:
        return Ranked(kept, None, (f"{lacking.what}: {lacking.have}, at least {lacking.need} are needed",))
    return Ranked(kept, ranking, ())


def _with_enough(pairs: Pairs, systems: int) -> tuple[int, ...]:
    """Systems with human grades on enough prompts, counting only comparisons among themselves."""
    kept = np.ones(systems, bool)
    while kept.any():
        enough = (
            graded_prompts(pairs, systems, kept[pairs.first] & kept[pairs.second]) >= LEAST_PROMPTS_OF_SYSTEM
        )
        if (kept == (kept & enough)).all():
            break
        kept &= enough
    return tuple(np.flatnonzero(kept).tolist())


def unconnected(parts: Sequence[Sequence[str]], what: str) -> str:
    """That no ``what`` ("human grade") compares these sets of systems."""
    sets = "; ".join(", ".join(part) for part in parts)
    return (
        f"no {what} compares these sets of systems with each other, so they have no common scale: {sets}. "
        "Grade pairs of systems from different sets"
    )


def one_sided(
    first: NDArray[np.integer], second: NDArray[np.integer], preference: Floats, names: Sequence[str],
    who: str,
) -> list[str]:  # fmt: skip
    """What keeps strengths from being finite: sets that never lost a point, or never won one.

    ``preference`` (n,) by ``who`` ("people") for ``first`` against ``second`` (n,), ties half.
    """
    systems = len(names)
    code, row = np.unique(first * systems + second, return_inverse=True)
    rate = sum_by(row, preference) / np.bincount(row)
    one, other = code // systems, code % systems
    said = []
    for what, sets in (
        ("never preferred another system to", never_beaten(one, other, rate, systems)),
        ("always preferred another system to", never_beaten(other, one, rate, systems)),
    ):
        said += [
            f"{who} {what} {', '.join(names[k] for k in found)}, nor called it a tie: how far that is "
            "from the others cannot be told. Grade more such pairs"
            for found in sets
            if 2 * len(found) <= systems
        ]
    return said


def _rank(pairs: Pairs, inclusion: Floats | None, level: float) -> Ranking:
    return rank_systems(
        first=pairs.first, second=pairs.second, prompt=pairs.prompt, prediction=pairs.prediction,
        preference=pairs.human, ties=pairs.ties, systems=int(max(pairs.first.max(), pairs.second.max())) + 1,
        inclusion=None if inclusion is None else inclusion[pairs.row], level=level,
    )  # fmt: skip


def _wider(one: Ranking, other: Ranking) -> Ranking:
    """Intervals that hold both answers."""

    def both(a: Ends, b: Ends) -> Ends:
        return np.minimum(a[0], b[0]), np.maximum(a[1], b[1])

    return replace(
        one,
        strength_interval=both(one.strength_interval, other.strength_interval),
        win_rate_interval=both(one.win_rate_interval, other.win_rate_interval),
        rank_interval=both(one.rank_interval, other.rank_interval),
        pair_interval=both(one.pair_interval, other.pair_interval),
    )

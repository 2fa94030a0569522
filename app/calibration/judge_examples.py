"""For each bias of a judge the answers or pairs that show it most.

A bias is a mean or a slope, and every unit pushes it one way or the other. Shown are the units that push
hardest in the direction of the estimate, at most one per prompt; nothing for a bias that is not identified.
What is "over-scored" is so at equal human grade: e = (S - Sbar) - b (Y - Ybar), b the judge's slope.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.calibration.design import Design
from app.calibration.judged import Judged, as_given, is_model, judged, to_native
from app.calibration.told import Report
from app.domain.judging import UnscoredReason

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

MOST = 3  # per effect


@dataclass(frozen=True, slots=True)
class _Pushes:
    """Units and how far each pushes the effect (only those above 0 show it); ``more`` adds to an example."""

    unit: Ints
    push: Floats
    more: Callable[[int], Report] = lambda row: {}


def bias_examples(design: Design, code: int, told: Report) -> dict[str, list[Report]]:
    """Examples by the name of the effect; ``told`` is the judge's entry of `judge_bias`.

    An example is ``{answer_id, other_answer_id, judge, people, grades, words, other_words}``, and by effect
    ``shown_first`` and ``shown_last`` (values in those places), ``before`` (the earlier version's value),
    ``repeats`` (values of the same question) or ``reason`` (why there is no verdict). Values are on the
    criterion's own scale, for pairs signed for the first answer (``shown_*``: for the one shown first).
    """
    chosen = _Chooser(design, judged(design, code))
    found = {}
    for name, effect in told["effects"].items():
        if effect["status"] != "identified" or name not in _CHOICES:
            continue
        away = effect["estimate"] - (effect["no_effect"] or 0.0)
        pushes = _CHOICES[name](chosen, 1.0 if away >= 0 else -1.0, told)
        if pushes is not None and (examples := chosen.shown(pushes)):
            found[name] = examples
    return found


class _Chooser:
    """One judge's units, with what people gave."""

    def __init__(self, design: Design, judge: Judged) -> None:
        self.design, self.judge, self.evidence = design, judge, design.evidence
        self.given = as_given(design, judge)
        graded = design.n_human[judge.unit] > 0
        self.unit, self.value = judge.unit[graded], judge.value[graded]
        self.human = design.human_mean[self.unit]
        scored = np.isfinite(self.evidence.v_value[judge.rows])
        self.rows = judge.rows[scored]

    def shown(self, pushes: _Pushes) -> list[Report]:
        """The hardest pushes, one per prompt."""
        found: list[Report] = []
        prompts: set[int] = set()
        for row in np.argsort(-pushes.push, kind="stable").tolist():
            unit = int(pushes.unit[row])
            prompt = int(self.evidence.prompt[unit])
            if len(found) == MOST or not pushes.push[row] > 1e-9:
                break
            if prompt not in prompts:
                prompts.add(prompt)
                found.append(self._about(unit) | pushes.more(row))
        return found

    def _about(self, unit: int) -> Report:
        e = self.evidence
        place = int(np.searchsorted(self.judge.unit, unit))  # ascending, as cells are
        scored = place < len(self.judge.unit) and int(self.judge.unit[place]) == unit
        graded = self.design.n_human[unit] > 0
        other = int(e.other_answer_id[unit])
        return {
            "answer_id": str(int(e.answer_id[unit])), "other_answer_id": None if other < 0 else str(other),
            "judge": self.native(float(self.given[place])) if scored else None,
            "people": self.native(float(self.design.human_mean[unit])) if graded else None,
            "grades": int(self.design.n_human[unit]),
            "words": _maybe(e.length[unit]), "other_words": _maybe(e.other_length[unit]),
        }  # fmt: skip

    def native(self, inner: float) -> float:
        return float(to_native(self.design, np.array([inner]))[0])

    def over_scored(self, told: Report) -> Floats:
        """e of the graded units, (u,)."""
        slope = told["effects"]["discrimination"]["estimate"]
        b = 1.0 if slope is None else slope
        if self.design.signed:
            return np.asarray(self.value - b * self.human)
        return np.asarray((self.value - self.value.mean()) - b * (self.human - self.human.mean()))


def _severity(at: _Chooser, sign: float, told: Report) -> _Pushes:
    return _Pushes(at.unit, sign * (at.human - at.value))


def _discrimination(at: _Chooser, sign: float, told: Report) -> _Pushes:
    """Units far from the middle of people's grades that the judge put nearer to it, or farther out."""
    if at.design.signed:
        return _Pushes(at.unit, sign * at.human * (at.value - at.human))
    apart = at.human - at.human.mean()
    return _Pushes(at.unit, sign * apart * (at.value - at.value.mean() - apart))


def _size(which: str) -> Callable[[_Chooser, float, Report], _Pushes]:
    """The longest (most laid out) answers that the judge gave most for it, or took most from."""

    def choose(at: _Chooser, sign: float, told: Report) -> _Pushes:
        e = at.evidence
        own, other = (e.length, e.other_length) if which == "length" else (e.marks, e.other_marks)
        size = np.log2(1 + own[at.unit])
        if at.design.signed:
            size = size - np.log2(1 + other[at.unit])
            return _Pushes(at.unit, np.nan_to_num(sign * size * at.over_scored(told), nan=-1.0))
        apart = size - np.nanmean(size) if np.isfinite(size).any() else size
        push = np.maximum(apart, 0.0) * np.maximum(sign * at.over_scored(told), 0.0)
        return _Pushes(at.unit, np.nan_to_num(push, nan=-1.0))

    return choose


def _own(what: str) -> Callable[[_Chooser, float, Report], _Pushes]:
    """Answers of the judge's own family (or model) that it over-scored most, or under-scored."""

    def choose(at: _Chooser, sign: float, told: Report) -> _Pushes:
        e = at.evidence
        mine = e.judges[at.judge.code]
        kin = np.array([
            family == mine.family if what == "family" else is_model(e, code, mine)
            for code, family in enumerate(e.system_families)
        ], bool)  # fmt: skip
        side = kin[e.system[at.unit]].astype(float)
        if at.design.signed:
            side = side - kin[e.other_system[at.unit]]
        return _Pushes(at.unit, sign * side * at.over_scored(told))

    return choose


def _position(at: _Chooser, sign: float, told: Report) -> _Pushes | None:
    """Units judged in more than one place: what the first place got beyond the last.

    For pairs the value for whichever answer was shown first, in both orders; without a bias they cancel.
    """
    e = at.evidence
    rows = at.rows[e.v_place[at.rows] >= 0]
    unit, place, value = e.v_unit[rows].astype(np.int64), e.v_place[rows].astype(np.int64), e.v_value[rows]
    if at.design.signed:
        value = np.where(place == 0, value, -value)
    units, first, last = _ends(unit, place, value)
    if not len(units):
        return None
    turn = 1.0 if at.design.signed or e.criterion.higher_is_better else -1.0
    # Lists tell position as what the last place gets beyond the first.
    push = sign * (first + last) / 2 if at.design.signed else sign * turn * (last - first)
    return _Pushes(
        units, push, lambda row: {"shown_first": float(first[row]), "shown_last": float(last[row])}
    )


def _flips(at: _Chooser, sign: float, told: Report) -> _Pushes | None:
    """Pairs whose verdict turned round with the order."""
    e = at.evidence
    rows = at.rows[e.v_place[at.rows] >= 0]
    unit, place = e.v_unit[rows].astype(np.int64), e.v_place[rows].astype(np.int64)
    units, first, last = _ends(unit, place, e.v_value[rows])
    if not len(units):
        return None
    return _Pushes(
        units, np.abs(first - last) * (first * last <= 0),
        lambda row: {"shown_first": float(first[row]), "shown_last": float(-last[row])},
    )  # fmt: skip


def _ends(unit: Ints, place: Ints, value: Floats) -> tuple[Ints, Floats, Floats]:
    """Units seen in more than one place: mean values in their first and in their last place."""
    order = np.lexsort((place, unit))
    unit, place, value = unit[order], place[order], value[order]
    units, start = np.unique(unit, return_index=True)
    stop = np.append(start[1:], len(unit)) - 1
    many = np.flatnonzero(place[start] != place[stop]) if len(units) else np.zeros(0, np.int64)
    return units[many], value[start[many]], value[stop[many]]


def _agreement(at: _Chooser, sign: float, told: Report) -> _Pushes:
    """What it disagreed most on, whichever way."""
    return _Pushes(at.unit, np.abs(at.value - at.human))


def _retest(at: _Chooser, sign: float, told: Report) -> _Pushes | None:
    """The same question put again, with the answers farthest apart."""
    e = at.evidence
    question = e.v_unit[at.rows].astype(np.int64) * 64 + e.v_place[at.rows] + 1
    order = np.argsort(question, kind="stable")
    starts = np.flatnonzero(np.r_[True, np.diff(question[order]) != 0][: len(order)])
    if not len(starts):
        return None
    value = e.v_value[at.rows][order]
    apart = np.maximum.reduceat(value, starts) - np.minimum.reduceat(value, starts)
    stops = np.append(starts[1:], len(order))
    return _Pushes(
        e.v_unit[at.rows][order[starts]].astype(np.int64), apart,
        lambda row: {"repeats": value[starts[row] : stops[row]].tolist()},
    )  # fmt: skip


def _change(name: str) -> Callable[[_Chooser, float, Report], _Pushes | None]:
    """Units that the version before judged too: where the level changed, or the distance from people."""

    def choose(at: _Chooser, sign: float, told: Report) -> _Pushes | None:
        digest = told["effects"][name]["compared_with"]["judge_version"]
        old = next((k for k, one in enumerate(at.evidence.judges) if one.digest() == digest), None)
        if old is None:
            return None
        before = judged(at.design, old)
        shared, a, b = np.intersect1d(at.judge.unit, before.unit, assume_unique=True, return_indices=True)
        now, then = at.judge.value[a], before.value[b]
        push = sign * (now - then)
        if name == "version_agreement":
            human = at.design.human_mean[shared]
            push = np.nan_to_num(sign * (np.abs(then - human) - np.abs(now - human)), nan=-1.0)
        return _Pushes(shared, push, lambda row: {"before": at.native(float(then[row]))})

    return choose


def _unscored(at: _Chooser, sign: float, told: Report) -> _Pushes | None:
    """The newest questions that got no verdict."""
    e = at.evidence
    rows = at.judge.rows[(e.v_unscored[at.judge.rows] >= 0) & (e.v_unit[at.judge.rows] >= 0)][::-1]
    reasons = list(UnscoredReason)
    return _Pushes(
        e.v_unit[rows].astype(np.int64), np.ones(len(rows)),
        lambda row: {"reason": reasons[int(e.v_unscored[rows[row]])].value},
    )  # fmt: skip


def _maybe(value: Any) -> float | None:
    return float(value) if np.isfinite(value) else None


_CHOICES: dict[str, Callable[[_Chooser, float, Report], _Pushes | None]] = {
    "severity": _severity,
    "discrimination": _discrimination,
    "position": _position,
    "order_flips": _flips,
    "length": _size("length"),
    "layout": _size("layout"),
    "own_family": _own("family"),
    "own_model": _own("model"),
    "version_level": _change("version_level"),
    "version_agreement": _change("version_agreement"),
    "agreement": _agreement,
    "test_retest": _retest,
    "unscored_rate": _unscored,
}

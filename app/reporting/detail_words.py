"""What scores that mean what they say, residuals, a judge's part in the panel and examples mean, in words."""

from collections.abc import Mapping
from typing import Any

Told = Mapping[str, Any]

_LACKING = {"not_identified": "Cannot be told from these data", "insufficient_data": "Too little data"}


def slope_sentence(told: Told, what: str) -> str:
    """On the line of people's grades on ``what``."""
    if told["status"] != "identified":
        return _lacking(told)
    low, high = told["interval"]
    rise = f"Where {what} rises by 1, people's grades rise by {told['estimate']:.2f}"
    if low <= 1 <= high:
        return f"{rise}: as far as can be told, differences mean what they say."
    if high < 1:
        return f"{rise}: high scores are too high and low ones too low."
    return f"{rise}: differences between answers are larger than the scores say."


def gap_sentence(told: Told, what: str) -> str:
    """On the mean of people's grades less ``what``."""
    if told["status"] != "identified":
        return _lacking(told)
    low, high = told["interval"]
    if low <= 0 <= high:
        return f"On average people grade as {what} says; {_range(low, high)} points are possible."
    word = "higher" if told["estimate"] > 0 else "lower"
    return f"On average people grade {abs(told['estimate']):.2f} points {word} than {what}."


def residual_sentence(told: Told, pairs: bool) -> str:
    """On what calibration leaves open in one group."""
    if told["status"] != "identified":
        return _lacking(told)
    low, high = told["interval"]
    what = "people's preference" if pairs else "people's grades"
    if low <= 0 <= high:
        return f"Calibrated, it agrees with {what} on average; {_range(low, high)} points are possible."
    word = "too low" if told["estimate"] > 0 else "too high"
    return f"Calibrated, it is still {word} here, by {abs(told['estimate']):.2f} points on average."


def adds_sentence(told: Told, judge: str) -> str:
    """On what the judge adds to the panel."""
    if told["status"] != "identified":
        return _lacking(told)
    low, high = told["interval"]
    shares = f"from {100 * told['r2_without']:.0f}% to {100 * told['r2_with']:.0f}%"
    if low > 0:
        return f"With {judge} the panel explains more of what varies in people's grades: {shares}."
    if high < 0:
        return f"With {judge} the panel explains less of what varies in people's grades: {shares}."
    return (
        f"Whether {judge} adds to what the others say cannot be told ({shares} of what varies in people's "
        f"grades); a change of {_range(100 * low, 100 * high, 1)} in 100 is possible."
    )


def example_sentence(told: Told, judge: str, system: str, other: str | None) -> str:
    """What the judge said of one answer (or pair), and what people did."""
    if "reason" in told:
        return f"No verdict: {str(told['reason']).replace('_', ' ')}."
    said = _of_pair(told, judge, system, other) if other is not None else _of_answer(told, judge)
    return " ".join(said)


def _of_answer(told: Told, judge: str) -> list[str]:
    said = []
    if "repeats" in told:
        said.append(f"Asked again and again, {judge} gave {_listed(told['repeats'])}.")
    elif "shown_first" in told:
        said.append(
            f"{judge} gave {_short(told['shown_first'])} in its first place and {_short(told['shown_last'])} "
            "in its last."
        )
    elif "before" in told:
        said.append(
            f"{judge} gives {_short(told['judge'])}, the version before gave {_short(told['before'])}."
        )
    else:
        said.append(f"{judge} gave {_short(told['judge'])}.")
    if told["people"] is not None:
        said.append(f"People gave {_short(told['people'])} ({_grades(told['grades'])}).")
    return said


def _of_pair(told: Told, judge: str, system: str, other: str) -> list[str]:
    said = []
    if "shown_first" in told:
        one, two = _winner(told["shown_first"], system, other), _winner(told["shown_last"], other, system)
        said.append(f"With {system} shown first {judge} {one}; with {other} shown first it {two}.")
    elif "repeats" in told:
        each = ", then ".join(_winner(value, system, other) for value in told["repeats"])
        said.append(f"Asked again and again, {judge} {each}.")
    elif "before" in told:
        now, then = (_winner(told[key], system, other) for key in ("judge", "before"))
        said.append(f"{judge} {now}; the version before {then}.")
    else:
        said.append(f"{judge} {_winner(told['judge'], system, other)}.")
    if told["people"] is not None:
        said.append(f"People {_winner(told['people'], system, other)} ({_grades(told['grades'])}).")
    return said


def _winner(value: float, system: str, other: str) -> str:
    if abs(value) < 1e-9:
        return "saw a tie"
    how = "preferred" if abs(value) > 0.999 else "mostly preferred"
    return f"{how} {system if value > 0 else other}"


def _lacking(told: Told) -> str:
    return f"{_LACKING[told['status']]}: {told['why']}."


def _grades(count: int) -> str:
    return f"{count} grade{'' if count == 1 else 's'}"


def _listed(values: list[float]) -> str:
    return " and ".join(filter(None, (", ".join(map(_short, values[:-1])), _short(values[-1]))))


def _short(value: float | None) -> str:
    return "nothing" if value is None else f"{round(value, 2):g}".replace("-", "\u2212")


def _range(low: float, high: float, digits: int = 2) -> str:
    return f"from {low:+.{digits}f} to {high:+.{digits}f}"

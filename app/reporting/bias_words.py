"""What each measured bias means, in one plain sentence; the thresholds stand beside the words they trigger.

An interval that excludes "no effect" is told as an effect; one that includes it is told as what could
not be ruled out, never as "none".
"""

from collections.abc import Callable, Mapping
from typing import Any

Told = Mapping[str, Any]

TITLES = {
    "severity": "Severity",
    "discrimination": "Discrimination",
    "position": "Position",
    "order_flips": "Flips between orders",
    "length": "Length",
    "own_family": "Own family",
    "agreement": "Agreement with people",
    "test_retest": "Test and retest",
    "unscored_rate": "Unscored",
}

NO_EFFECT = {"severity": 0.0, "discrimination": 1.0, "position": 0.0, "length": 0.0, "own_family": 0.0}

HIGH_RELIABILITY = 0.9  # a judge that repeats itself less than this flickers from call to call
MANY_UNSCORED = 0.05  # more missing verdicts than this may bend what remains


def sentence(name: str, told: Told, judge: str) -> str:
    """One sentence on the effect ``name`` of ``judge``."""
    if told["status"] != "identified":
        return f"{_LACKING[told['status']]}: {told['why']}."
    low, high = told["interval"]
    return _SENTENCES[name](told["estimate"], low, high, judge)


def group_sentence(told: Told, judge: str) -> str:
    """One sentence on what a judge adds to one system or stratum."""
    if told["status"] != "identified":
        return f"{_LACKING[told['status']]}: {told['why']}."
    low, high = told["interval"]
    if told["unit"] == "probability":
        return _siding(told["estimate"], low, high, told["name"], judge)
    if low <= 0 <= high:
        return (
            f"No special treatment of {told['name']} shows; {_range(low, high)} points cannot be ruled out."
        )
    verb = "favours" if told["estimate"] > 0 else "disfavours"
    size = abs(told["estimate"])
    return f"{judge} {verb} {told['name']} by {size:.2f} points, compared with how it treats the rest."


def _siding(estimate: float, low: float, high: float, group: str, judge: str) -> str:
    if low <= 0 <= high:
        return f"In {group} {judge} sides with people about as often as over all."
    word, size = "more" if estimate > 0 else "less", 100 * abs(estimate)
    return f"In {group} {judge} sides with people {word} often than over all, by {size:.0f} in 100."


_LACKING = {"not_identified": "Cannot be told from these data", "insufficient_data": "Too little data"}


def _severity(estimate: float, low: float, high: float, judge: str) -> str:
    if low <= 0 <= high:
        return (
            f"On average {judge} is neither harsher nor milder than people, as far as can be told: "
            f"anything {_range(low, high)} points is possible."
        )
    word = "lower" if estimate > 0 else "higher"
    return f"{judge} grades {abs(estimate):.2f} points {word} than people do, on the same answers."


def _discrimination(estimate: float, low: float, high: float, judge: str) -> str:
    if low <= 0:
        return f"It cannot be shown that {judge} follows the differences that people see at all."
    if high < 1:
        return f"Where people see a difference of 1, {judge} shows {estimate:.2f}: it pulls grades together."
    if low > 1:
        return f"Where people see a difference of 1, {judge} shows {estimate:.2f}: it exaggerates."
    return f"{judge} follows the differences that people see about one to one."


def _position(estimate: float, low: float, high: float, judge: str) -> str:
    if low <= 0 <= high:
        return (
            f"No preference for a place shows; {_range(100 * low, 100 * high, 1)} points in 100 are possible."
        )
    place = "first" if estimate > 0 else "last"
    return (
        f"Between equals, {judge} picks the answer shown {place} {50 + 100 * abs(estimate):.0f} times in 100."
    )


def _flips(estimate: float, low: float, high: float, judge: str) -> str:
    return f"Swapping the two answers changes the verdict of {judge} on {100 * estimate:.0f} pairs in 100."


def _length(estimate: float, low: float, high: float, judge: str) -> str:
    if low <= 0 <= high:
        return (
            f"At equal human grade no taste for length shows; {_range(low, high)} points per "
            "doubling of the length are possible."
        )
    verb = "adds" if estimate > 0 else "takes away"
    return f"At equal human grade {judge} {verb} {abs(estimate):.2f} points when an answer is twice as long."


def _own_family(estimate: float, low: float, high: float, judge: str) -> str:
    if low <= 0 <= high:
        shown = _range(low, high)
        return f"At equal human grade no favour for its own family shows; {shown} points are possible."
    verb = "favours" if estimate > 0 else "disfavours"
    return f"At equal human grade {judge} {verb} systems of its own family by {abs(estimate):.2f} points."


def _agreement(estimate: float, low: float, high: float, judge: str) -> str:
    if low <= 0:
        return f"{judge} agrees with people no better than chance would, as far as can be told."
    return f"{judge} agrees with a single person {estimate:.2f} of the way from chance to always."


def _retest(estimate: float, low: float, high: float, judge: str) -> str:
    if low >= HIGH_RELIABILITY:
        return f"Asked again, {judge} says nearly the same: {100 * estimate:.0f}% of what varies repeats."
    return f"Asked again, {judge} wavers: {100 * estimate:.0f}% of what varies in its verdicts repeats."


def _unscored(estimate: float, low: float, high: float, judge: str) -> str:
    share = f"{judge} gave no verdict on {100 * estimate:.1f}% of what it was asked"
    return f"{share}; so many gaps may bend what remains." if estimate > MANY_UNSCORED else f"{share}."


def _range(low: float, high: float, digits: int = 2) -> str:
    return f"from {low:+.{digits}f} to {high:+.{digits}f}"


_SENTENCES: dict[str, Callable[[float, float, float, str], str]] = {
    "severity": _severity,
    "discrimination": _discrimination,
    "position": _position,
    "order_flips": _flips,
    "length": _length,
    "own_family": _own_family,
    "agreement": _agreement,
    "test_retest": _retest,
    "unscored_rate": _unscored,
}

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
    "layout": "Layout",
    "own_family": "Own family",
    "own_model": "Own model",
    "version_level": "Change since the version before",
    "version_agreement": "Change of agreement since the version before",
    "agreement": "Agreement with people",
    "test_retest": "Test and retest",
    "unscored_rate": "Unscored",
}

NO_EFFECT = {"severity": 0.0, "discrimination": 1.0, "position": 0.0, "length": 0.0, "own_family": 0.0}
"""Of calibrations from before effects carried it themselves."""

HIGH_RELIABILITY = 0.9  # a judge that repeats itself less than this flickers from call to call
MANY_UNSCORED = 0.05  # more missing verdicts than this may bend what remains


def sentence(name: str, told: Told, judge: str) -> str:
    """One sentence on the effect ``name`` of ``judge``."""
    if told["status"] != "identified":
        return f"{_LACKING[told['status']]}: {told['why']}."
    low, high = told["interval"]
    if name in _CHANGES:
        return _CHANGES[name](told["estimate"], low, high, _newer(told["compared_with"], judge))
    words = _SENTENCES[name](told["estimate"], low, high, judge)
    return words if "p_randomisation" not in told else f"{words} {_redrawn(told['p_randomisation'])}"


def check_sentence(name: str, told: Told, linear: Told | None, judge: str) -> str:
    """One sentence on the same effect with grades as ordered categories, beside the one in points."""
    if told["status"] != "identified":
        return f"{_LACKING[told['status']]}: {told['why']}."
    shown = _sign(told["interval"])
    what = {"severity": ("harsher", "milder"), "length": ("fonder of length", "less fond of length")}[name]
    said = (
        f"{judge} is {what[0] if shown > 0 else what[1]} than people"
        if shown
        else f"no difference from people in {name} shows"
    )
    if linear is None or linear["status"] != "identified":
        return f"With grades as ordered categories, {said}."
    agrees = shown * _sign(linear["interval"]) >= 0
    return f"With grades as ordered categories, {said}; this {_AGREES[agrees]} the points above."


_AGREES = {True: "does not contradict", False: "contradicts"}


def _sign(interval: Any) -> int:
    """Of an interval that leaves out 0; else 0."""
    low, high = interval
    return int(low > 0) - int(high < 0)


def _redrawn(p: float) -> str:
    """How often other draws of the orders gave as large an effect."""
    share = "less than 1" if p < 0.001 else f"{1000 * p:.0f}"
    return f"Redrawing the orders gives as much by chance in {share} of 1,000 draws."


def _newer(before: Mapping[str, str], judge: str) -> str:
    """The version before, by what is other about it."""
    return f"{before['name']} ({before['judge_version']})" if before["name"] == judge else before["name"]


def group_sentence(told: Told, judge: str) -> str:
    """One sentence on what a judge adds to one system or stratum."""
    if told["status"] != "identified":
        return f"{_LACKING[told['status']]}: {told['why']}."
    low, high = told["interval"]
    if told["unit"] == "probability":
        return _siding(told["estimate"], low, high, told["name"], judge)
    if low <= 0 <= high:
        return (
            f"At equal human grade no special treatment of {told['name']} shows; "
            f"{_range(low, high)} points cannot be ruled out."
        )
    verb = "favours" if told["estimate"] > 0 else "disfavours"
    size = abs(told["estimate"])
    return (
        f"At equal human grade {judge} {verb} {told['name']} by {size:.2f} points, "
        "compared with how it treats the rest."
    )


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


def _layout(estimate: float, low: float, high: float, judge: str) -> str:
    if low <= 0 <= high:
        return (
            f"At equal human grade and length no taste for layout shows; {_range(low, high)} points per "
            "doubling of headings, list items, bold and code are possible."
        )
    verb = "adds" if estimate > 0 else "takes away"
    return (
        f"At equal human grade and length {judge} {verb} {abs(estimate):.2f} points when an answer has twice "
        "as many headings, list items, bold words and pieces of code."
    )


def _own_model(estimate: float, low: float, high: float, judge: str) -> str:
    if low <= 0 <= high:
        shown = _range(low, high)
        return (
            f"At equal human grade no favour for its own model's answers shows; {shown} points are possible."
        )
    verb = "favours" if estimate > 0 else "disfavours"
    return f"At equal human grade {judge} {verb} the answers of its own model by {abs(estimate):.2f} points."


def _version_level(estimate: float, low: float, high: float, before: str) -> str:
    if low <= 0 <= high:
        return f"On the same answers it grades like {before}; {_range(low, high)} points are possible."
    word = "higher" if estimate > 0 else "lower"
    return f"On the same answers it grades {abs(estimate):.2f} points {word} than {before} did."


def _version_agreement(estimate: float, low: float, high: float, before: str) -> str:
    if low <= 0 <= high:
        return f"It agrees with people about as much as {before}: a change {_range(low, high)} is possible."
    word = "more" if estimate > 0 else "less"
    return f"It agrees with people {word} than {before} did, by {abs(estimate):.3f}."


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
    "layout": _layout,
    "own_family": _own_family,
    "own_model": _own_model,
    "agreement": _agreement,
    "test_retest": _retest,
    "unscored_rate": _unscored,
}

_CHANGES: dict[str, Callable[[float, float, float, str], str]] = {
    "version_level": _version_level,
    "version_agreement": _version_agreement,
}

"""Numbers, times and states as people read them; one wording for all pages."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from math import floor, isfinite, log10

from app.domain.calibration import RunStatus, ScoreStatus

NONE = "–"
_MINUS = "\u2212"


@dataclass(frozen=True, slots=True)
class Mark:
    """A state as a word in a pill; ``tone`` is good, bad, unsure or empty and never speaks alone."""

    word: str
    tone: str
    meaning: str = ""


SCORE_MARKS = {
    ScoreStatus.CALIBRATED: Mark("calibrated", "good", "on the scale of the people who graded"),
    ScoreStatus.JUDGE_RELATIVE: Mark(
        "judges only", "unsure", "no human grades to correct it: compare such rows only with each other"
    ),
    ScoreStatus.INSUFFICIENT_ANCHORS: Mark(
        "too few anchors", "unsure", "human grades exist, but too few to stand on"
    ),
    ScoreStatus.EXTRAPOLATING: Mark(
        "extrapolated", "unsure", "beyond what the anchors cover, so the interval may not hold"
    ),
    ScoreStatus.STALE: Mark("stale", "unsure", "calibrated under an older version of the rubric"),
}

RUN_MARKS = {
    RunStatus.QUEUED: Mark("queued", "", "waits its turn"),
    RunStatus.RUNNING: Mark("running", "", "is being fitted now"),
    RunStatus.DONE: Mark("done", "good", "fitted and in use"),
    RunStatus.REFUSED: Mark("refused", "unsure", "the data cannot carry it; the reasons are listed"),
    RunStatus.FAILED: Mark("failed", "bad", "something broke; the error is listed"),
}


def number(value: float | None, digits: int = 2, *, sign: bool = False) -> str:
    """``1,234.50`` with a true minus sign; a dash for what is unknown."""
    if value is None or not isfinite(value):
        return NONE
    text = f"{value:+,.{digits}f}" if sign else f"{value:,.{digits}f}"
    if float(text.replace(",", "")) == 0:  # no "-0.00"
        text = text.lstrip("+-")
    return text.replace("-", _MINUS)


def count(value: int | None) -> str:
    """``1,234``."""
    return NONE if value is None else f"{value:,}"


def counted(value: int, one: str, many: str = "") -> str:
    """``1 judge``, ``3 judges``."""
    return f"{value:,} {one if value == 1 else many or one + 's'}"


def interval(ends: Sequence[float] | None, digits: int = 2, *, sign: bool = False) -> str:
    """``2.41 to 3.80``."""
    if ends is None:
        return NONE
    return f"{number(ends[0], digits, sign=sign)} to {number(ends[1], digits, sign=sign)}"


def digits_for(width: float) -> int:
    """Decimals with which steps of a thousandth to a hundredth of ``width`` show: 2 for a 1 to 5 scale."""
    if not isfinite(width) or width <= 0:
        return 2
    return min(max(2 - floor(log10(width)), 0), 6)


def percent(share: float | None, digits: int = 0) -> str:
    """``95%``."""
    return NONE if share is None or not isfinite(share) else f"{100 * share:.{digits}f}%"


def level_name(level: float) -> str:
    """``95%``, ``99.5%``."""
    return f"{100 * level:g}%"


def moment(when: datetime | None) -> str:
    """``2026-11-22 10:31 UTC``."""
    return NONE if when is None else when.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")


def p_value(p: float | None) -> str:
    """``0.031``, ``< 0.001``."""
    return "< 0.001" if p is not None and p < 0.001 else number(p, 3)


def ago(when: datetime | None, now: datetime) -> str:
    """``3 minutes ago``."""
    if when is None:
        return NONE
    seconds = max(0.0, (now - when).total_seconds())
    for size, unit in ((86_400, "day"), (3_600, "hour"), (60, "minute")):
        if seconds >= size:
            return f"{counted(int(seconds // size), unit)} ago"
    return "just now"


def money(dollars: float | None) -> str:
    """``$0.0021``, ``$12.40``."""
    if dollars is None:
        return NONE
    if dollars == 0:
        return "$0"
    return f"${dollars:,.2f}" if dollars >= 1 else f"${dollars:.4f}" if dollars >= 0.0001 else "under $0.0001"


def duration(milliseconds: float | None) -> str:
    """``0.7 ms``, ``812 ms``, ``1.9 s``."""
    if milliseconds is None:
        return NONE
    if milliseconds < 10:
        return f"{milliseconds:.1f} ms"
    return f"{milliseconds:.0f} ms" if milliseconds < 1_000 else f"{milliseconds / 1_000:.1f} s"


def time_spent(seconds: float | None) -> str:
    """By a person: ``8 s``, ``12 min``, ``1 h 5 min``."""
    if seconds is None:
        return NONE
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def size(bytes_: int) -> str:
    """``640 bytes``, ``12 kB``, ``8.5 MB``."""
    if bytes_ < 1_000:
        return f"{bytes_} bytes"
    for step, unit in ((1e9, "GB"), (1e6, "MB")):
        if bytes_ >= step:
            return f"{bytes_ / step:.1f} {unit}"
    return f"{bytes_ / 1e3:.0f} kB"


def sentence(text: str) -> str:
    """With a capital and a full stop."""
    text = text.strip()
    if not text:
        return text
    return text[0].upper() + text[1:] + ("" if text.endswith((".", "!", "?")) else ".")

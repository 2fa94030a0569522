"""What a disagreement audit says: its numbers with their notes, one table of criteria, and a sentence."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from app.auditing.disagreement_measures import ALARM, LINE, Measured
from app.domain.audits import AuditTable, Estimate
from app.stats.agreement_ceiling import (
    agreement_of_the_mean,
    correlation_ceiling,
    exact_agreement_ceiling,
)
from app.stats.jackknife import Effect
from app.stats.shares import Share

_SURE = "Every pair agrees, so how far this might be off cannot be told."
_CHANCE = "People agree no better than by chance, so there is nothing in their grades for a judge to follow."
_NAMED = 8  # people who are apart, in a sentence; the table has all
_OF_PAIRS = 3
"""What a person can say of a pair: the one, the other, a tie."""


def estimates_of(one: Measured, several: bool) -> tuple[Estimate, ...]:
    """All numbers of a criterion, which names them where ``several`` are audited."""
    kept = (*_agreement(one), *_ceilings(one), *_calibration(one))
    if not several:
        return kept
    return tuple(replace(each, name=f"{each.name} ({one.criterion})") for each in kept)


def criteria_table(found: Sequence[Measured]) -> AuditTable:
    """Every criterion in a row, held against the line for all of them at once."""
    rows = []
    for one in found:
        above = "yes" if one.above else "no" if one.below else "open"
        rows.append((one.criterion, len(one.twice), *_three(one.share), *_three(one.alpha), above))
    columns = (
        *("criterion", "pairs", "really differ", "differ from", "differ to"),
        *("alpha", "alpha from", "alpha to", "above the line"),
    )
    title = "By criterion; what is above the line is so for all of them at once"
    return AuditTable("criteria", title, columns, tuple(rows), len(rows))


def summary_of(found: Sequence[Measured], outliers: Sequence[str]) -> str:
    """What was found in a sentence: on the worst criterion, on how many others, and who is apart."""
    known = [one for one in found if isinstance(one.share, Share)]
    if not known:
        return f"The data cannot tell: {found[0].share}."
    worst = max(known, key=lambda one: one.share.estimate if isinstance(one.share, Share) else 0.0)
    assert isinstance(worst.share, Share)
    whose = "cold grades really differ from those on record" if worst.twice.cold else "pairs really differ"
    said = (
        f"On {worst.criterion}, {worst.share.estimate:.0%} of {whose}"
        f" ({worst.share.low:.0%} to {worst.share.high:.0%}); above {LINE:.0%} to {ALARM:.0%} the labels are"
        " the problem."
    )
    if len(found) > 1:
        above = sum(one.above for one in found)
        said += f" It is the worst of {len(found)} criteria, {above or 'none'} of them surely above."
    if not outliers:
        return said
    more = f" and {len(outliers) - _NAMED} more" if len(outliers) > _NAMED else ""
    return f"{said} Apart from the others: {', '.join(outliers[:_NAMED])}{more}."


def _agreement(one: Measured) -> tuple[Estimate, ...]:
    between = "Between cold grades and those on record." if one.twice.cold else "Among people."
    kappa = "each side with its own margins" if one.twice.cold else "annotators exchangeable"
    lines = [
        _line(one, "real_disagreements", one.share, "share",
              f"Pairs of grades of one answer that are more than {_points(one.tolerance)} apart."),
        _line(one, "krippendorff_alpha", one.alpha, "agreement",
              f"{between} So far a person, cold, agrees with a grade."),
        _line(one, "weighted_kappa", one.kappa, "agreement", f"Quadratic weights, {kappa}."),
        _line(one, "noise_of_one_grade", one.noise, "points squared",
              "Variance of one person's grade around the answer's mean: what a calibration must bear."),
    ]  # fmt: skip
    if one.shift is not None:
        note = "Cold grades less those on record: what the set's mean would move by if it were graded anew."
        lines.append(_line(one, "cold_above_by", one.shift, "points", note))
    return tuple(lines)


def _ceilings(one: Measured) -> tuple[Estimate, ...]:
    if one.nominal:
        note = "How often a judge can at most give one person's choice, as people disagree."
        return (_bounded(one, "agreement_ceiling", one.equal, "share", note, _categories),)
    return (
        _bounded(one, "correlation_ceiling", one.alpha, "correlation",
                 "Root of alpha: no judge's correlation, or alpha, with one person's grades exceeds it.",
                 correlation_ceiling),
        _bounded(one, "agreement_ceiling", one.alpha, "agreement",
                 "Alpha with one person's grades of a judge that knew every answer's mean grade over people.",
                 agreement_of_the_mean),
    )  # fmt: skip


def _calibration(one: Measured) -> tuple[Estimate, ...]:
    noise = one.calibration
    notes = {
        "noise_in_the_residual": (
            "share",
            "Of the variance that the newest calibration leaves between people and the panel, people's own.",
        ),
        "width_with_one_more_grade": (
            "times",
            "Widths of intervals if every anchor had one grade more, over those of now.",
        ),
        "width_with_new_anchors": ("times", "The same if as many grades went to new anchors instead."),
    }
    if isinstance(noise, str):
        unit, _ = notes["noise_in_the_residual"]
        return (Estimate("noise_in_the_residual", None, None, 0, "anchors", unit, noise),)
    values = (noise.share, noise.one_more, noise.new_anchors)
    return tuple(
        Estimate(name, value.estimate, (value.low, value.high), value.n, "anchors", unit, note)
        for value, (name, (unit, note)) in zip(values, notes.items(), strict=True)
    )


def _points(tolerance: float) -> str:
    return "1 point" if tolerance == 1 else f"{tolerance:g} points"


def _categories(agreeing: float) -> float:
    return exact_agreement_ceiling(agreeing, _OF_PAIRS)


def _bounded(
    one: Measured,
    name: str,
    value: Effect | Share | str,
    unit: str,
    note: str,
    rises: Callable[[float], float],
) -> Estimate:
    """A function that rises with what was measured, and so do the ends of its interval."""
    line = _line(one, name, value, unit, note)
    if line.estimate is None:
        return line
    if isinstance(value, Effect) and value.high <= 0:
        return replace(line, estimate=0.0, interval=None, note=_CHANCE)
    ends = line.interval and (rises(line.interval[0]), rises(line.interval[1]))
    return replace(line, estimate=rises(line.estimate), interval=ends)


def _three(one: Effect | Share | str) -> tuple[float | None, float | None, float | None]:
    return (None, None, None) if isinstance(one, str) else (one.estimate, one.low, one.high)


def _line(one: Measured, name: str, value: Effect | Share | str, unit: str, note: str) -> Estimate:
    n = len(one.twice)
    if isinstance(value, str):
        return Estimate(name, None, None, n, "pairs", unit, f"{value[:1].upper()}{value[1:]}.")
    if isinstance(value, Effect) and value.std_error <= 0:
        return Estimate(name, value.estimate, None, n, "pairs", unit, f"{note} {_SURE}")
    low = max(value.low, 0.0) if unit == "points squared" else value.low
    high = min(value.high, 1.0) if unit == "agreement" else value.high
    return Estimate(name, value.estimate, (low, high), n, "pairs", unit, note)

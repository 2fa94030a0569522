"""The sums of `item_cells` as tables."""

from collections.abc import Mapping

import numpy as np

from benchmarks.simulation.item_cells import item_anchors
from benchmarks.simulation.rows import table
from benchmarks.simulation.tally import Sums, mean, pooled, worlds_of
from benchmarks.simulation.worlds import PANEL

_HEAD = """## Scores of single answers

A calibration on panels of three (one judge of each family at random) and *anchors* graded answers in all,
through `app.calibration.calibrate.compute`; then {answers} new answers to new prompts per world, scored by
the stored model as POST /grade scores them. Coverage of the interval for *a fresh human grade* and of the
one for *latent quality* (the mean grade that people would give, known in closed form), by who sat on the
panel: *usual* as in the calibration, also within the two *strata*; every *judge alone* (the lowest of six),
two, three and six of them; a judge that the calibration never saw, of a known and of an unknown family;
answers of a system that it never saw.

"""
_WHO = (
    "usual", "easy", "hard", "alone", "two", "three", "all", "unseen judge", "unseen family", "unseen system",
)  # fmt: skip


def tables(found: Mapping[str, Sums], answers: int) -> str:
    text = _HEAD.format(answers=answers)
    for what, title in (("grade", "A fresh human grade"), ("latent", "Latent quality")):
        rows = [
            (name, n, worlds_of(sums), *(_coverage(sums, f"{n}:", who, what) for who in _WHO))
            for name, sums in found.items()
            for n in item_anchors(name)
        ]
        text += f"### {title}: coverage\n\n" + table(("world", "anchors", "worlds", *_WHO), rows) + "\n"
    rows = [
        (name, n, worlds_of(sums), *_errors(sums, f"{n}:"))
        for name, sums in found.items()
        for n in item_anchors(name)
    ]
    return (
        text
        + "### Error and width\n\n"
        + table(
            ("world", "anchors", "worlds", "RMSE", "over line", "over best", "person", "grade width",
             "latent width", "alone", "all"), rows,
        )
        + """
*RMSE*: against one person's grade, on the scale of 1 to 5, one judge per family. *over line*: over that of
the mean of standardised judges put through the anchors' least squares line. *over best*: over that of the
best linear prediction that knows how the world was drawn (judges' severities, slopes and noise, and their
errors about systems). *person*: RMSE of another person's grade. *width*: of the usual panel's intervals,
and of the grade's by a judge alone and by all six.
"""
    )  # fmt: skip


def coverages(found: Mapping[str, Sums], what: str) -> list[dict[str, float]]:
    """By who sat on the panel, of every row of the table of ``what``: grade or latent."""
    return [
        {who: _coverage(sums, f"{n}:", who, what) for who in _WHO}
        for name, sums in found.items()
        for n in item_anchors(name)
    ]


def errors(found: Mapping[str, Sums]) -> list[tuple[int, float, float]]:
    """Anchors, and RMSE over the line's and over the best linear one's, of every row."""
    return [(n, *_errors(sums, f"{n}:")[1:3]) for name, sums in found.items() for n in item_anchors(name)]


def _coverage(sums: Sums, at: str, who: str, what: str) -> float:
    if who == "alone":
        alone = [pooled(sums, f"{at}judge {j} {what}") for j in range(PANEL)]
        return float(np.nanmin(alone)) if np.isfinite(alone).any() else np.nan
    return pooled(sums, f"{at}{who} {what}")


def _errors(sums: Sums, at: str) -> tuple[float, ...]:
    ours, line, best, person = (
        pooled(sums, f"{at}{name} error2") for name in ("first of families grade", "line", "oracle", "person")
    )
    alone = float(np.mean([mean(sums, f"{at}judge {j} grade width")[0] for j in range(PANEL)]))
    return (
        np.sqrt(ours), np.sqrt(ours / line), np.sqrt(ours / best), np.sqrt(person),
        pooled(sums, f"{at}usual grade width"), pooled(sums, f"{at}usual latent width"), alone,
        pooled(sums, f"{at}all grade width"),
    )  # fmt: skip

"""Which units make up which row of a quality table."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.calibration.frame import Frame
from app.domain.problems import BadInput, Problem
from app.reporting.graded_units import GradedUnits
from app.reporting.periods import PERIODS, periods_of
from app.stats.grouped import coded

Ints = NDArray[np.int64]

MOST_ROWS = 2_000
_STRATUM = "stratum."


@dataclass(frozen=True, slots=True)
class Groups:
    """Rows of a table: ``code`` (n,) per row of the units, and what each code stands for.

    Beside strata, ``strata`` holds the period (``period.week``: its first day) of rows that have one.
    """

    code: Ints
    systems: tuple[str | None, ...]
    strata: tuple[Mapping[str, str | None], ...]


def group_units(units: GradedUnits, by: Sequence[str], *, at: str = "query.by") -> Groups:
    """Code the rows that ``by``, found ``at`` that place of a request, asks for; combinations that do not
    occur have no row.

    Raises
    ------
    BadInput
        If ``by`` names something unknown, or would give more than `MOST_ROWS` rows.
    """
    names = list(dict.fromkeys(by))
    _check_names(names, units.frame, at)
    code = np.zeros(units.system.size, dtype=np.int64)
    parts = {name: _part(units, name) for name in names if name != "system"}
    for name in names:
        part = units.system if name == "system" else parts[name][0] + 1
        code = code * (int(part.max()) + 1 if part.size else 1) + part
    present, code = coded(code)
    if present.size > MOST_ROWS:
        text = f"would give {present.size} rows, {MOST_ROWS} are the most"
        raise BadInput("too many rows", [Problem(text, path=at, value=list(by))])
    first = np.zeros(present.size, dtype=np.int64)
    first[code[::-1]] = np.arange(code.size)[::-1]
    systems = tuple(units.frame.systems[units.system[row]] if "system" in names else None for row in first)
    strata = tuple(
        {
            name.removeprefix(_STRATUM): None if codes[row] < 0 else values[codes[row]]
            for name, (codes, values) in parts.items()
        }
        for row in first
    )
    return Groups(code, systems, strata)


def _check_names(names: Sequence[str], frame: Frame, at: str) -> None:
    known = ["system", *(f"{_STRATUM}{name}" for name in frame.stratum_values), *PERIODS]
    wrong = [
        Problem(f"is none of {', '.join(known)}", path=at, value=name) for name in names if name not in known
    ]
    asked = [name for name in names if name in PERIODS]
    if len(asked) > 1:
        wrong.append(Problem("one period at a time", path=at, value=asked))
    if asked and not frame.day.size and frame.unit_id.size:
        text = "this calibration is from before days were kept; calibrate again"
        wrong.append(Problem(text, path=at, value=asked[0]))
    if wrong:
        raise BadInput("there is nothing to group by", wrong)


def _part(units: GradedUnits, name: str) -> tuple[Ints, tuple[str, ...]]:
    """Code (n,) of a stratum (-1 none) or a period by row, and its values by code."""
    if name in PERIODS:
        return periods_of(units.frame.day[units.unit], name)
    stratum = name.removeprefix(_STRATUM)
    return units.strata[stratum], units.frame.stratum_values[stratum]

"""Which candidates a draw takes, and what speaks for each."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.annotating.candidates import Candidates
from app.stats.label_choice import draw, draw_chances, shares_of_groups


@dataclass(frozen=True, slots=True)
class Chosen:
    """Rows of the candidates, each with its chance over the mean chance."""

    row: NDArray[np.int64]
    relative: NDArray[np.float64]

    @property
    def size(self) -> int:
        return int(self.row.size)


def choose(could: Candidates, count: int, uniform_share: float, rng: np.random.Generator) -> Chosen:
    """Draw ``count`` of the candidates: a share of them evenly, the rest where a grade buys most."""
    size = np.bincount(could.group, minlength=len(could.systems)).astype(np.float64)
    share = shares_of_groups(spread=could.spread, have=could.have, size=size, more=count)
    chance = draw_chances(
        error=could.error, group=could.group, group_share=share, count=count, uniform_share=uniform_share
    )
    order = np.lexsort((rng.random(len(could)), could.group))
    row = draw(chance, order, rng)
    return Chosen(row, chance[row] / chance.mean())


def why(could: Candidates, k: int) -> tuple[str, ...]:
    """What speaks for grading a candidate, in words."""
    said = []
    known = could.disagreement[np.isfinite(could.disagreement)]
    if known.size and could.disagreement[k] > np.quantile(known, 0.8) > 0:
        said.append("its judges disagree more than most")
    if could.error[k] > 1.5 * could.error.mean():
        said.append("the panel may be far off")
    group = could.group[k]
    if could.have[group] < 0.5 * could.have.mean():
        said.append(f"few human grades of {could.systems[group]} yet")
    return tuple(said) or ("an even draw",)

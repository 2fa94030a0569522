"""How noisy single human grades are, from answers that several people graded.

sigma^2 = sum_i sum_r (Y_ir - Ybar_i)^2 / sum_i (m_i - 1): the variance of one grade around the unit's
mean over annotators, differences in severity between annotators included. It is what errors-in-
variables estimates subtract, and what bounds any judge's agreement with a single person.

Where few people grade many answers each, differences in severity are no noise of that kind: a person who
grades everything shifts everything alike, and subtracting the shift as noise would make judges seem to follow
quality more than they do. Given who graded, the severities of those with many shared units are taken out,

    Y_ir = theta_i + h_r + e_ir ,   h by least squares within units,
    sigma^2 = RSS / (sum_i (m_i - 1) - rank h) .
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

Floats = NDArray[np.float64]
Ints = NDArray[np.integer]

MIN_DOUBLE_GRADED = 20


@dataclass(frozen=True, slots=True)
class GradedUnits:
    """Human grades summed up by unit.

    ``unit`` (u,) codes of graded units; ``mean`` (u,), ``count`` (u,) grades; ``within`` (u,) sum of squares
    around the unit's mean, 0 for a single grade.
    """

    unit: NDArray[np.int64]
    mean: Floats
    count: Floats
    within: Floats

    @property
    def double_graded(self) -> int:
        """Units with at least two grades."""
        return int((self.count >= 2).sum())


def graded_units(*, grade: Floats, graded_unit: Ints, annotator: Ints | None = None) -> GradedUnits:
    """Sum up grades (k,) of units (k,); a unit appears once in the result, in the order of its code.

    With ``annotator`` (k,) codes, severities are taken out that `MIN_DOUBLE_GRADED` or more grades of units
    that others graded too can tell; the mean over all grades stays as it is.
    """
    unit, row = np.unique(graded_unit, return_inverse=True)
    count = np.bincount(row).astype(float)
    kept = 1.0
    if annotator is not None and len(grade):
        severity, rank = _severities(grade, row, count, annotator)
        grade = grade - severity + severity.mean()
        spare = float((count - 1).sum())
        kept = (spare - rank) / spare if spare > rank else 1.0
    mean = np.bincount(row, weights=grade) / count
    within = np.bincount(row, weights=(grade - mean[row]) ** 2) / kept
    return GradedUnits(unit.astype(np.int64), mean, count, np.asarray(within, dtype=np.float64))


def _severities(grade: Floats, row: Ints, count: Floats, annotator: Ints) -> tuple[Floats, int]:
    """What each grade's annotator adds to every unit, (k,), 0 where too little tells; and the rank of it."""
    people, who = np.unique(annotator, return_inverse=True)
    shared = count[row] >= 2
    enough = np.bincount(who[shared], minlength=len(people)) >= MIN_DOUBLE_GRADED
    used = shared & enough[who]
    if not used.any():
        return np.zeros(len(grade)), 0
    apart = grade - (np.bincount(row, weights=grade) / count)[row]
    seat = np.cumsum(enough) - 1
    graded = sparse.csr_array(
        (np.ones(int(used.sum())), (row[used], seat[who[used]])), shape=(len(count), int(enough.sum()))
    )
    gram = np.diag(graded.sum(axis=0)) - (graded.T @ sparse.diags_array(1 / count) @ graded).toarray()
    products = np.bincount(seat[who[used]], weights=apart[used], minlength=len(gram))
    severity = np.linalg.pinv(gram, rcond=1e-10, hermitian=True) @ products
    rank = int(np.linalg.matrix_rank(gram, tol=1e-10 * np.diag(gram).max(), hermitian=True))
    return np.where(enough[who], severity[seat[who]], 0.0), rank

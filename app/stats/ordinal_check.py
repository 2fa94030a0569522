"""Severity and length once more, with grades as ordered categories and thresholds of the judge's own.

Means of grades mislead where most grades sit at one end or categories stay empty: a point at the top is
not a point in the middle. There the same two questions are put to a cumulative-link mixed model of the
judge's verdicts and people's grades of the same answers i,

    logit P(V <= k) = alpha_{g,k} - (lam_0 + lam [g = judge]) x_i - b_i ,   b_i ~ N(0, s^2) ,

with g people or judge, in which the quality b_i is common to both, so that people's noise needs no
correction. Severity is the mean of alpha_judge - alpha_people over k, in log odds; lam is the judge's taste
for length beyond people's own. The judge is taken to follow quality as far as a person does: this is a check
of signs, not a second measure.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from app.stats.clmm import ClmmFit, fit_clmm
from app.stats.errors import InsufficientData, NotIdentified
from app.stats.jackknife import Effect
from app.stats.lmm_design import RandomTerm

Floats = NDArray[np.float64]
Ints = NDArray[np.integer]

FEW = 0.05  # share of grades below which a category hardly occurs
TOP_BOX = 0.5  # share of grades in the best category from which on the scale is saturated
MOST_CATEGORIES = 11  # values of a scale that still count as categories
LEAST_IN_CATEGORY = 5  # grades of either side, below which a category is put together with a neighbour
MIN_UNITS = 30


@dataclass(frozen=True, slots=True)
class GradesByBoth:
    """Grades of one judge and of people on the same units; n rows.

    ``value`` (n,) with higher better; ``of_judge`` (n,); ``unit``, ``prompt`` (n,) codes; ``length`` (n,)
    log2 of words, NaN unknown.
    """

    value: Floats
    of_judge: NDArray[np.bool_]
    unit: Ints
    prompt: Ints
    length: Floats


def needs_categories(value: Floats) -> bool:
    """Whether grades (n,) are so unevenly spread that their means should be checked."""
    values, count = np.unique(value, return_counts=True)
    if not 2 <= len(values) <= MOST_CATEGORIES:
        return False
    share = count / count.sum()
    return int((share < FEW).sum()) >= 2 or bool(share[-1] > TOP_BOX)


@dataclass(frozen=True, slots=True)
class OrdinalCheck:
    """``severity`` and ``length`` (None where length is unknown or hardly varies), in log odds."""

    severity: Effect
    length: Effect | None


def check_ordinal(grades: GradesByBoth, *, level: float = 0.95) -> OrdinalCheck:
    """Fit the model of one judge beside people.

    Raises
    ------
    InsufficientData
        With fewer than `MIN_UNITS` units, or fewer than two categories that both use.
    NotIdentified
        If the fit did not converge: then nothing is said.
    """
    units = len(np.unique(grades.unit))
    if units < MIN_UNITS:
        raise InsufficientData("answers graded by this judge and by people", units, MIN_UNITS)
    category = _merged(grades)
    known = bool(np.isfinite(grades.length).all()) and float(np.std(grades.length)) > 1e-9
    x = (grades.length - grades.length.mean())[:, None] if known else np.zeros((len(category), 0))
    fit = fit_clmm(
        category=category,
        categories=int(category.max()) + 1,
        X=np.hstack([x, x * grades.of_judge[:, None]]),
        groups=[RandomTerm(name="unit", codes=np.unique(grades.unit, return_inverse=True)[1])],
        threshold_codes=grades.of_judge.astype(np.intp),
    )
    if not (fit.converged and fit.identified):
        raise NotIdentified("the ordinal model", "; ".join(fit.reasons))
    k = fit.thresholds.shape[1]
    severity = np.zeros(len(fit.covariance))
    severity[:k], severity[k : 2 * k] = -1 / k, 1 / k
    prompts = len(np.unique(grades.prompt))
    length = None
    if known and fit.p == 2:
        taste = np.zeros(len(fit.covariance))
        taste[-1] = 1.0
        length = _effect(fit, taste, units, prompts, level)
    return OrdinalCheck(_effect(fit, severity, units, prompts, level), length)


def _effect(fit: ClmmFit, contrast: Floats, units: int, prompts: int, level: float) -> Effect:
    every = np.concatenate([fit.thresholds.ravel(), fit.beta])
    estimate = float(contrast @ every)
    std_error = float(np.sqrt(max(float(contrast @ fit.covariance @ contrast), 0.0)))
    freedom = float(max(prompts - 1, 1))
    half = float(stats.t.ppf(0.5 + level / 2, freedom)) * std_error
    return Effect(estimate, estimate - half, estimate + half, std_error, units, prompts, freedom)


def _merged(grades: GradesByBoth) -> Ints:
    """Categories 0, 1, ... with neighbours put together until both sides use each of them."""
    values, code = np.unique(grades.value, return_inverse=True)
    if len(values) > MOST_CATEGORIES:
        raise NotIdentified("the ordinal model", f"{len(values)} different grades are no categories")
    count = np.stack(
        [np.bincount(code[grades.of_judge == side], minlength=len(values)) for side in (False, True)]
    )
    into = np.arange(len(values))
    while count.shape[1] > 1 and count.min() < LEAST_IN_CATEGORY:
        rare = int(np.argmin(count.min(axis=0)))
        near = [k for k in (rare - 1, rare + 1) if 0 <= k < count.shape[1]]
        other = min(near, key=lambda k: int(count[:, k].sum()))
        low, high = min(rare, other), max(rare, other)
        count[:, low] += count[:, high]
        count = np.delete(count, high, axis=1)
        into = np.where(into >= high, into - 1, into)
    if count.shape[1] < 2:
        raise InsufficientData("categories that both the judge and people use", count.shape[1], 2)
    return into[code]

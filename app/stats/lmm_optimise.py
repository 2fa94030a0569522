"""Minimising the profiled criterion: without bounds, with the saddle at zero and the boundary looked at.

Under bounds sd >= 0 a quasi-Newton method can stop at sd = 0, where the gradient vanishes by symmetry. Here
theta is free (a sign flip of a column of Lambda changes nothing), every candidate for zero is compared with
zero and with a small step away from it, and Newton steps on the exact gradient finish the search.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import minimize

from app.stats.lmm_criterion import Criterion, Factor
from app.stats.lmm_design import Floats

ZERO = 1e-3
"""A diagonal of Lambda below this is compared with exactly zero."""

DECREMENT = 1e-6
"""Converged: a Newton step would change the criterion by less than this (deviance units)."""

POLISHED = 1e-10
"""Newton steps go on until the expected gain is well below this (deviance units)."""

BARRIER = 1e4
"""Bound of |theta|: where it holds, the residual standard deviation is zero for every purpose."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class OptimiserRecord:
    """What the optimiser did: kept with the fit so that it can be audited.

    start, end     (k,) theta of the chosen run, before and after
    evaluations    of the criterion, over all runs
    gradient_norm  largest absolute gradient at the end (deviance units per unit of theta)
    decrement      expected change of the criterion by one more Newton step
    code, message  of the last L-BFGS run
    deviances      criterion reached from each start, in the order tried
    hessian        (k, k) of the profiled criterion at the end
    """

    start: Floats
    end: Floats
    evaluations: int
    gradient_norm: float
    decrement: float
    code: int
    message: str
    deviances: tuple[float, ...]
    hessian: Floats


LOOSE = {"ftol": 1e-8, "gtol": 1e-3, "maxiter": 500, "maxcor": 20}
TIGHT = {"ftol": 1e-14, "gtol": 1e-8, "maxiter": 500, "maxcor": 20}


def minimise(criterion: Criterion, starts: list[Floats]) -> tuple[Factor, OptimiserRecord]:
    """Minimise from every start; the best end is polished. LinAlgError if none can be evaluated."""
    best: tuple[float, Floats, Floats, int, str] | None = None
    reached = []
    for start in starts:
        value, theta, code, message = _descend(criterion, start)
        reached.append(value)
        if best is None or value < best[0] - 1e-9:
            best = (value, theta, start, code, message)
    if best is None or not np.isfinite(best[0]):
        raise np.linalg.LinAlgError("the criterion is not finite at any start")
    value, theta, start, code, message = best
    for _ in range(3):
        theta, value, moved = _leave_or_enter_zero(criterion, theta, value)
        if not moved:
            break
        value, theta, code, message = _descend(criterion, theta)
    theta, hessian, gradient, decrement = _polish(criterion, theta)
    if decrement > POLISHED:  # a valley too flat or too bent for Newton steps
        value, theta, code, message = _descend(criterion, theta, TIGHT)
        theta, hessian, gradient, decrement = _polish(criterion, theta)
    gradient = _inward(theta, gradient)
    theta = canonical(criterion, theta)
    state = criterion.factor(theta)
    if state is None:
        raise np.linalg.LinAlgError("the criterion is not finite at its minimum")
    return state, OptimiserRecord(
        start=start,
        end=theta,
        evaluations=criterion.evaluations,
        gradient_norm=float(np.abs(gradient).max(initial=0.0)),
        decrement=decrement,
        code=code,
        message=message,
        deviances=tuple(reached),
        hessian=hessian,
    )


def default_start(criterion: Criterion, level: float = 0.6) -> Floats:
    """Lambda = level times the identity in every block."""
    theta = np.zeros(criterion.parameters)
    theta[diagonal_entries(criterion)] = level
    return theta


def diagonal_entries(criterion: Criterion) -> list[int]:
    """Positions in theta of the diagonals of Lambda."""
    out = []
    for block, part in zip(criterion.blocks, criterion.slices, strict=True):
        out += [part.start + j * (j + 3) // 2 for j in range(block.size)]
    return out


def canonical(criterion: Criterion, theta: Floats) -> Floats:
    """The same covariance with Lambda's diagonal not negative (columns flipped)."""
    out = theta.copy()
    for block, part, matrix in zip(criterion.blocks, criterion.slices, criterion.lambdas(theta), strict=True):
        flip = np.where(np.diag(matrix) < 0, -1.0, 1.0)
        out[part] = (matrix * flip)[np.tril_indices(block.size)]
    return out


def _descend(
    criterion: Criterion, start: Floats, options: Mapping[str, Any] = LOOSE
) -> tuple[float, Floats, int, str]:
    first = criterion.factor(start)
    if first is None:
        return np.inf, start, -1, "not positive definite at the start"
    level = criterion.deviance(first)
    if not len(start):
        return level, start, 0, "no variance to estimate"
    last = [np.zeros(len(start))]

    def shifted(theta: Floats) -> tuple[float, Floats]:
        state = criterion.factor(theta) if np.isfinite(theta).all() else None
        if state is None:
            return 1e10, last[0]
        last[0] = criterion.gradient(state)
        return criterion.deviance(state) - level, last[0]

    settings: Any = dict(options)
    result = minimize(
        shifted,
        start,
        jac=True,
        method="L-BFGS-B",
        bounds=[(-BARRIER, BARRIER)] * len(start),
        options=settings,
    )
    value = float(result.fun) + level
    return value, np.asarray(result.x), int(result.status), str(result.message)


def _value(criterion: Criterion, theta: Floats) -> float:
    state = criterion.factor(theta)
    return np.inf if state is None else criterion.deviance(state)


def _leave_or_enter_zero(criterion: Criterion, theta: Floats, value: float) -> tuple[Floats, float, bool]:
    """Set small diagonals to exactly zero where that is no worse; step away where that is better."""
    moved = False
    for k in diagonal_entries(criterion):
        if abs(theta[k]) >= ZERO:
            continue
        trial = theta.copy()
        trial[k] = 0.0
        at_zero = _value(criterion, trial)
        if at_zero <= value + 1e-9:
            theta, value = trial, at_zero
        for step in (0.1, 0.01):
            trial = theta.copy()
            trial[k] = step
            away = _value(criterion, trial)
            if away < value - 1e-8:
                theta, value, moved = trial, away, True
                break
    return theta, value, moved


def hessian_of(criterion: Criterion, theta: Floats, rss_weight: float | None = None) -> tuple[Floats, Floats]:
    """Central differences of the exact gradient (error about 1e-8 relative), and the gradient itself."""
    k = len(theta)
    out = np.zeros((k, k))
    state = criterion.factor(theta)
    gradient = np.full(k, np.nan) if state is None else criterion.gradient(state, rss_weight)
    for j in range(k):
        h = 1e-4 * max(abs(theta[j]), 0.1)
        sides = []
        for sign in (1.0, -1.0):
            moved = theta.copy()
            moved[j] += sign * h
            side = criterion.factor(moved)
            sides.append(gradient if side is None else criterion.gradient(side, rss_weight))
        out[j] = (sides[0] - sides[1]) / (2 * h)
    return (out + out.T) / 2, gradient


def _polish(criterion: Criterion, theta: Floats) -> tuple[Floats, Floats, Floats, float]:
    """Newton steps in the directions of positive curvature; the Hessian is renewed only if they stall."""
    hessian, gradient = hessian_of(criterion, theta)
    value = _value(criterion, theta)
    noise = 1e-13 * max(abs(value), 1.0)
    decrement = _newton_step(hessian, _inward(theta, gradient))[1]
    renewed = 0
    for _ in range(8):
        step, decrement = _newton_step(hessian, _inward(theta, gradient))
        if decrement < 1e-3 * POLISHED:  # of the exact gradient, which is told far below the noise
            break
        trial = np.clip(theta - step, -BARRIER, BARRIER)
        state = criterion.factor(trial)
        if state is None or not criterion.deviance(state) <= value + 10 * noise:
            break
        after = criterion.gradient(state)
        slow = _newton_step(hessian, _inward(trial, after))[1] > 0.01 * decrement
        theta, value, gradient = trial, criterion.deviance(state), after
        if slow and renewed < 2:
            hessian, gradient = hessian_of(criterion, theta)
            renewed += 1
    return theta, hessian, gradient, _newton_step(hessian, _inward(theta, gradient))[1]


def _inward(theta: Floats, gradient: Floats) -> Floats:
    """The gradient without what pushes against the bound."""
    outward = (np.abs(theta) >= 0.999 * BARRIER) & (theta * gradient <= 0)
    return np.where(outward, 0.0, gradient)


def _newton_step(hessian: Floats, gradient: Floats) -> tuple[Floats, float]:
    if not len(gradient):
        return gradient, 0.0
    values, vectors = np.linalg.eigh(hessian)
    top = max(float(np.abs(values).max(initial=0.0)), 1e-300)
    curved = values > 1e-9 * top
    along = vectors.T @ gradient
    step = vectors[:, curved] @ (along[curved] / values[curved])
    return step, float(0.5 * (along[curved] ** 2 / values[curved]).sum())

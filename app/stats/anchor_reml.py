"""A linear mixed model small enough for anchors: prompts, systems, weights and penalised slopes.

y = X beta + Z a + u_prompt + e, with a ~ N(0, s_a^2 I), u ~ N(0, s_p^2), e_i ~ N(0, s_q^2 + known_i),
where ``known`` carries what is known beforehand of a row's noise (annotators, a thin panel), and a
coefficient may have a normal prior. Z may be signed (a pair gains from one system and loses from the
other). Prompts are eliminated in closed form, so an evaluation costs O(n d^2) with d = columns of X and Z.

Source: Henderson's mixed model equations; the restricted likelihood as in Harville (1977).
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg.lapack import dpotrf, dpotri, dpotrs
from scipy.optimize import OptimizeResult, brentq, minimize
from scipy.stats import chi2

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

NAMES = ("residual", "prompt", "system")
"""Of the variances, in the order used throughout."""

_FLOOR = 1e-7  # smallest variance relative to Var(y): stands for 0 and keeps logarithms finite


@dataclass(frozen=True, slots=True)
class AnchorFit:
    """What was fitted to n anchors with p fixed coefficients and s systems.

    ``coefficients`` (p + s,): beta, then the systems' effects (best linear unbiased predictions);
    ``covariance`` (p + s, p + s): their joint uncertainty given the variances.
    ``prompt_effect``, ``prompt_variance`` (P,): prediction of each prompt's effect and its variance;
    ``prompt_link`` (P, p + s): minus the derivative of a prompt's prediction in the coefficients.
    ``system_variance``, ``prompt_spread``, ``residual_variance``: s_a^2, s_p^2, s_q^2.
    ``reml``: -2 log restricted likelihood. ``evaluations``, ``gradient_norm``, ``converged``,
    ``message``: what the optimiser did. ``singular``: names of variances estimated as 0.
    """

    coefficients: Floats
    covariance: Floats
    prompt_effect: Floats
    prompt_variance: Floats
    prompt_link: Floats
    system_variance: float
    prompt_spread: float
    residual_variance: float
    reml: float
    evaluations: int
    gradient_norm: float
    converged: bool
    message: str
    singular: tuple[str, ...]

    @property
    def variances(self) -> tuple[float, float, float]:
        """(residual, prompt, system): where another fit of much the same rows may start."""
        return self.residual_variance, self.prompt_spread, self.system_variance


@dataclass(frozen=True, slots=True)
class _Rows:
    """Rows of one fit, sorted by prompt; ``wide`` = [X, Z, y]."""

    wide: Floats
    known: Floats
    starts: Ints
    prompt: Ints
    fixed: int
    systems: int
    precision: Floats
    target: Floats
    scale: float
    used: NDArray[np.bool_]


def fit_anchors(
    *,
    y: Floats,
    x: Floats,
    z: Floats,
    prompt: Ints,
    known: Floats,
    prior_mean: Floats | None = None,
    prior_precision: Floats | None = None,
    start: tuple[float, float, float] | None = None,
) -> AnchorFit:
    """Fit by REML over (s_q^2, s_p^2, s_a^2), every variance at least 0, the systems' kept off 0.

    ``y`` (n,), ``x`` (n, p), ``z`` (n, s) with s >= 0, ``prompt`` (n,) codes 0..P-1 that all occur,
    ``known`` (n,) >= 0 variances in y's squared unit. ``prior_precision`` (p,): 0 leaves a
    coefficient free (its likelihood is then the restricted one), larger pulls it to ``prior_mean``.
    ``start`` are variances (residual, prompt, system) to start from; without them two starts guard
    against a poor optimum.
    """
    rows = _prepare(y, x, z, prompt, known, prior_mean, prior_precision)
    used, scale = rows.used, rows.scale
    evaluations = 0

    def objective(logs: Floats) -> tuple[float, Floats]:
        nonlocal evaluations
        evaluations += 1
        variances = _variances(logs, rows)
        solved = _solve(rows, *variances)
        away, slope = _off_zero(variances[2], scale)
        return solved.reml + away, (_gradient(rows, solved, *variances) + np.array([0.0, 0.0, slope]))[used]

    low, high = np.log(_FLOOR), np.log(10.0)
    if start is None:
        starts = [np.log([0.5, share, share]) for share in (0.2, 0.02)]
    else:
        starts = [np.clip(np.log(np.maximum(start, _FLOOR) / scale), low + 0.5, high)]
    best = _least(objective, [guess[used] for guess in starts], low, high)
    stuck = best.x < low + 1.0
    if stuck.any():  # the logarithm's slope is 0 there: look whether it is a minimum or only flat
        again = _least(objective, [np.where(stuck, np.log(0.05), best.x)], low, high)
        best = again if again.fun < best.fun - 1e-6 else best
    residual, between, system = _variances(best.x, rows)
    solved = _solve(rows, residual, between, system)
    names = np.array(NAMES)[used]
    singular = tuple(str(n) for n in names[best.x < low + 1.0])
    free = (best.x > low + 1e-3) & (best.x < high - 1e-3)
    return AnchorFit(
        coefficients=solved.coefficients, covariance=solved.covariance, prompt_effect=solved.prompt_effect,
        prompt_variance=solved.prompt_variance, prompt_link=solved.prompt_link, system_variance=system,
        prompt_spread=between, residual_variance=residual, reml=solved.reml, evaluations=evaluations,
        gradient_norm=float(np.max(np.abs(np.asarray(best.jac)[free]))) if free.any() else 0.0,
        converged=bool(best.success), message=str(best.message), singular=singular,
    )  # fmt: skip


def _prepare(
    y: Floats,
    x: Floats,
    z: Floats,
    prompt: Ints,
    known: Floats,
    prior_mean: Floats | None,
    prior_precision: Floats | None,
) -> _Rows:
    order = np.argsort(prompt, kind="stable")
    starts = np.flatnonzero(np.diff(prompt[order], prepend=-1))
    fixed, systems = x.shape[1], z.shape[1]
    return _Rows(
        wide=np.column_stack([x, z, y])[order], known=known[order], starts=starts, prompt=prompt[order],
        fixed=fixed, systems=systems, scale=max(float(np.var(y)), 1e-8),
        precision=np.zeros(fixed) if prior_precision is None else prior_precision,
        target=np.zeros(fixed) if prior_mean is None else prior_mean,
        used=np.array([True, len(starts) < len(y), systems > 0]),
    )  # fmt: skip


def profile_variances(
    fit: AnchorFit,
    *,
    y: Floats,
    x: Floats,
    z: Floats,
    prompt: Ints,
    known: Floats,
    prior_mean: Floats | None = None,
    prior_precision: Floats | None = None,
    level: float = 0.95,
) -> dict[str, tuple[float, float]]:
    """Profile-likelihood intervals of the variances in the model, by name; from 0 and to infinity where open.

    Arguments are those ``fit`` came from.
    """
    rows = _prepare(y, x, z, prompt, known, prior_mean, prior_precision)
    best = np.log(np.maximum(np.array(fit.variances), _FLOOR * rows.scale) / rows.scale)[rows.used]
    drop = float(chi2.ppf(level, 1))
    # The fit keeps the systems' variance off 0, and so need not stand where the likelihood is highest.
    best, top = _peak(rows, best)
    names = [name for name, used in zip(NAMES, rows.used, strict=True) if used]

    near = best.copy()  # where the others were best last time: the next value is not far from it

    def profiled(k: int, value: float) -> float:
        """Rise of the criterion with the k-th variance held, less what the level allows."""
        held = np.arange(len(best)) == k

        def objective(rest: Floats) -> tuple[float, Floats]:
            logs = np.where(held, value, 0.0)
            logs[~held] = rest
            variances = _variances(logs, rows)
            solved = _solve(rows, *variances)
            return solved.reml - top, _gradient(rows, solved, *variances)[rows.used][~held]

        if held.all():
            return objective(best[~held])[0] - drop
        bounds = [(np.log(_FLOOR), np.log(10.0))] * (len(best) - 1)
        guess = np.clip(near[~held], np.log(_FLOOR) + 0.5, None)
        found = minimize(
            objective, guess, method="L-BFGS-B", jac=True, bounds=bounds, options={"maxiter": 30}
        )
        near[~held] = found.x
        return float(found.fun) - drop

    intervals = {}
    for k, name in enumerate(names):
        near[:] = best
        low, high = np.log(_FLOOR), np.log(10.0)
        ends = [0.0, np.inf]
        rise = {float(best[k]): -drop}  # brentq asks again for the ends that it is given

        def at(value: float, k: int = k, rise: dict[float, float] = rise) -> float:
            if value not in rise:
                rise[value] = profiled(k, value)
            return rise[value]

        for end, bound in enumerate((low, high)):
            if bound != best[k] and at(bound) > 0:
                a, b = sorted((float(bound), float(best[k])))
                ends[end] = rows.scale * float(np.exp(brentq(at, a, b, xtol=0.01)))
        intervals[name] = (ends[0], ends[1])
    return intervals


def _least(
    objective: Callable[[Floats], tuple[float, Floats]], starts: list[Floats], low: float, high: float
) -> OptimizeResult:
    """The best of L-BFGS-B's ends."""
    ends = [
        minimize(
            objective, start, method="L-BFGS-B", jac=True, bounds=[(low, high)] * len(start),
            options={"maxiter": 100, "ftol": 1e-10, "gtol": 1e-5},
        )
        for start in starts
    ]  # fmt: skip
    return min(ends, key=lambda end: float(end.fun))


def _peak(rows: _Rows, start: Floats) -> tuple[Floats, float]:
    """Where the criterion without the penalty on the systems' variance is least, and its value there."""

    def objective(logs: Floats) -> tuple[float, Floats]:
        variances = _variances(logs, rows)
        solved = _solve(rows, *variances)
        return solved.reml, _gradient(rows, solved, *variances)[rows.used]

    bounds = [(np.log(_FLOOR), np.log(10.0))] * len(start)
    found = minimize(objective, start, method="L-BFGS-B", jac=True, bounds=bounds)
    return np.asarray(found.x), float(found.fun)


def _off_zero(system: float, scale: float) -> tuple[float, float]:
    """Penalty that keeps the systems' variance off 0, and its derivative in the logarithm.

    With a handful of systems the restricted likelihood often peaks at 0, which would say that an
    unseen system cannot differ. A gamma(2, 1) prior on their standard deviation over that of y moves
    the mode by about one standard error, and stays proper where two systems say next to nothing.

    Source: Chung, Rabe-Hesketh, Dorie, Gelman and Liu (2013).
    """
    if system <= 0:
        return 0.0, 0.0
    root = float(np.sqrt(system / scale))
    return 2.0 * root - 2.0 * float(np.log(root)), root - 1.0


def _variances(logs: Floats, rows: _Rows) -> tuple[float, float, float]:
    values = rows.scale * np.where(logs <= np.log(_FLOOR) + 1e-9, _FLOOR, np.exp(logs))
    every = np.zeros(3)
    every[rows.used] = values
    return float(every[0]), float(every[1]), float(every[2])


@dataclass(frozen=True, slots=True)
class _Solved:
    coefficients: Floats
    covariance: Floats
    prompt_effect: Floats
    prompt_variance: Floats
    prompt_link: Floats
    reml: float


def _solve(rows: _Rows, residual: float, between: float, system: float) -> _Solved:
    """Solve the mixed model equations at given variances."""
    noise = rows.known + residual
    weight = 1.0 / noise
    weighted = rows.wide * weight[:, None]
    sums = np.add.reduceat(weighted, rows.starts, axis=0)
    mass = np.add.reduceat(weight, rows.starts)
    pull = between / (1.0 + between * mass)
    gram = rows.wide.T @ weighted - sums.T @ (pull[:, None] * sums)
    size = rows.fixed + rows.systems
    penalty = np.r_[rows.precision, np.full(rows.systems, 1.0 / system if system > 0 else 0.0)]
    left, right = gram[:size, :size] + np.diag(penalty), gram[:size, size].copy()
    right[: rows.fixed] += rows.precision * rows.target
    factor, covariance = _inverse(left + np.diag(1e-10 * np.diag(left)))
    coefficients: Floats = dpotrs(factor, right, lower=1)[0]
    quadratic = gram[size, size] + float(rows.precision @ rows.target**2) - float(right @ coefficients)
    log_det = float(np.log(noise).sum() + np.log1p(between * mass).sum() + 2 * np.log(np.diag(factor)).sum())
    log_det += rows.systems * (np.log(system) if system > 0 else 0.0)
    given = rows.precision[rows.precision > 0]
    free = len(noise) - (rows.fixed - len(given))
    reml = log_det - float(np.log(given).sum()) + quadratic + free * np.log(2 * np.pi)
    link = pull[:, None] * sums[:, :size]
    effect = pull * sums[:, size] - link @ coefficients
    variance = pull + ((link @ covariance) * link).sum(axis=1)
    return _Solved(coefficients, covariance, effect, variance, link, float(reml))


def _inverse(matrix: Floats) -> tuple[Floats, Floats]:
    """The lower Cholesky factor and the inverse, without the checks that cost more than they at this size."""
    factor, wrong = dpotrf(matrix, lower=1)
    half, singular = dpotri(factor, lower=1)
    if wrong or singular:
        raise np.linalg.LinAlgError("the mixed model equations are not positive definite")
    inverse = half + half.T  # dpotri leaves zeros above the diagonal, as dpotrf left them
    inverse.flat[:: len(half) + 1] *= 0.5
    return factor, inverse


def _gradient(rows: _Rows, solved: _Solved, residual: float, between: float, system: float) -> Floats:
    """Derivatives of -2 log restricted likelihood in the logarithms of (s_q^2, s_p^2, s_a^2).

    Each variance's derivative is its trace term less the squares of its predicted effects, both
    read off the solved equations (Harville 1977, equations for the EM form).
    """
    size = rows.fixed + rows.systems
    design = rows.wide[:, :size]
    carried = design - solved.prompt_link[rows.prompt]
    weight = 1.0 / (rows.known + residual)
    shared = ((carried @ solved.covariance) * carried).sum(axis=1)
    pull = between / (1.0 + between * np.add.reduceat(weight, rows.starts))
    fitted = design @ solved.coefficients + solved.prompt_effect[rows.prompt]
    error = rows.wide[:, size] - fitted
    shared += pull[rows.prompt]
    residual_part = residual * float((weight - weight**2 * (shared + error**2)).sum())
    prompt_part = system_part = 0.0
    if between > 0:
        squares = float((solved.prompt_variance + solved.prompt_effect**2).sum())
        prompt_part = len(rows.starts) - squares / between
    if system > 0:
        effects = solved.coefficients[rows.fixed :]
        trace = float(np.trace(solved.covariance[rows.fixed :, rows.fixed :]))
        system_part = rows.systems - (trace + float(effects @ effects)) / system
    return np.array([residual_part, prompt_part, system_part])

"""What the other groups say of one: shrinkage across systems, and a prior for its interval.

Fay & Herriot (1979): theta_s = x_s + mu + z_s' b + r_s with r_s ~ N(0, tau^2), observed as y_s ~ N(theta_s,
v_s). x_s is the panel's prediction of the group's mean. z holds what may bend that prediction between
systems: the panel mean itself (a map fitted on items compresses system means; the between slope undoes it),
mean length. x and z see no human grade of the group, else the prior would lean on the very anchors it is to
support. mu is flat and b ~ N(0, diag(slope_sd^2)), so that three systems give a sane line and thirty give
their own.

tau is averaged over its posterior on a grid, under a half-Cauchy prior of scale ``tau_scale``, instead of
maximised: at five or ten systems the maximum is often 0, which would claim that systems cannot differ.

Errors shared through common anchor prompts enter as a common covariance c: v_s - c plays the part of v_s,
because a shift that all groups share is absorbed by mu.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
_GRID = 41
_LEAST = 1e-10  # variance: a hundred-thousandth of the scale


@dataclass(frozen=True, slots=True)
class Shrunk:
    """EBLUPs and leave-one-out priors of S groups, each array (S,).

    Attributes
    ----------
    estimate : EBLUP of theta; the prediction from the others for a group without anchors.
    prior_mean, prior_variance : of theta_s from all groups but s: its mean, and tau^2 plus what the
        regression
        is unsure of.
    tau : posterior mean of tau from all groups.
    slopes : (q,) posterior means of b from all groups.
    """

    estimate: Floats
    prior_mean: Floats
    prior_variance: Floats
    tau: float
    slopes: Floats


def shrink(
    *,
    estimate: Floats,
    variance: Floats,
    prediction: Floats,
    covariates: Floats,
    slope_sd: Floats,
    shared_covariance: float = 0.0,
    tau_scale: float = 0.03,
) -> Shrunk:
    """EBLUP of every group and the prior that the other groups give it.

    Parameters
    ----------
    estimate : (S,)
        Unbiased group means on the unit scale; NaN without anchors.
    variance : (S,)
        Their sampling variances; ignored without anchors.
    prediction : (S,)
        x above.
    covariates : (S, q)
        z above; centred here. q may be 0.
    slope_sd : (q,)
        Prior standard deviations of b.
    shared_covariance : float
        Mean covariance of two groups' errors.
    tau_scale : float
        Where half of the prior of tau lies below; 0.03 is 0.12 points on a scale from 1 to 5.
    """
    used = np.isfinite(estimate)
    z = np.column_stack([np.ones(used.size), covariates - covariates[used].mean(0)])
    d = np.where(used, estimate - prediction, 0.0)
    v = np.where(used, np.maximum(variance - shared_covariance, np.maximum(1e-3 * variance, _LEAST)), 1.0)
    tau2 = _tau_grid(d[used], v[used]) ** 2
    sums = _Sums(d, v, z, used, tau2, slope_sd)
    log_prior = -np.log1p(tau2 / tau_scale**2)

    every = sums.solve(leave_out=False)
    weight = _weights(every.score + log_prior)  # (1, T)
    line = every.coefficients @ z.T  # (1, T, S)
    mean = line[0].T
    keep = np.where(used[:, None], tau2 / (tau2 + v[:, None]), 0.0)
    blup = (weight * (mean + keep * (d[:, None] - mean))).sum(1)

    others = sums.solve(leave_out=True)
    loo_weight = _weights(others.score + log_prior)
    loo_mean = np.einsum("stq,sq->st", others.coefficients, z)
    loo_variance = np.einsum("sq,stqr,sr->st", z, others.covariance, z)
    centre = (loo_weight * loo_mean).sum(1)
    spread = (loo_weight * (tau2 + loo_variance + (loo_mean - centre[:, None]) ** 2)).sum(1)
    return Shrunk(
        estimate=prediction + blup,
        prior_mean=prediction + centre,
        prior_variance=spread,
        tau=float((weight[0] * np.sqrt(tau2)).sum()),
        slopes=(weight[0][:, None] * every.coefficients[0]).sum(0)[1:],
    )


def _tau_grid(d: Floats, v: Floats) -> Floats:
    """Equally spaced standard deviations from 0 to well above the spread that is seen."""
    return np.linspace(0.0, max(3.0 * float(np.sqrt(d.var() + v.mean())), 1e-6), _GRID)


def _weights(score: Floats) -> Floats:
    weight = np.exp(score - score.max(1, keepdims=True))
    return np.asarray(weight / weight.sum(1, keepdims=True))


@dataclass(frozen=True, slots=True)
class _Solved:
    """Regression coefficients (L, T, q+1), their covariances (L, T, q+1, q+1), marginal log-likelihoods (L,
    T)."""

    coefficients: Floats
    covariance: Floats
    score: Floats


class _Sums:
    """Weighted cross-products of (z, d) for every tau, over all groups or with each left out."""

    def __init__(
        self, d: Floats, v: Floats, z: Floats, used: NDArray[np.bool_], tau2: Floats, slope_sd: Floats
    ) -> None:
        total = v[:, None] + tau2
        self.weight = np.where(used[:, None], 1.0 / total, 0.0)  # (S, T)
        self.log = np.where(used[:, None], -np.log(total), 0.0)
        row = np.column_stack([z, d])
        self.products = row[:, :, None] * row[:, None, :]  # (S, q+2, q+2)
        self.ridge = np.diag(np.concatenate([[0.0], 1.0 / slope_sd**2]))

    def solve(self, *, leave_out: bool) -> _Solved:
        sums = np.einsum("st,sqr->tqr", self.weight, self.products)[None]
        logs = self.log.sum(0)[None]
        if leave_out:
            sums = sums - self.weight[:, :, None, None] * self.products[:, None]
            logs = logs - self.log
        information = sums[..., :-1, :-1] + self.ridge
        right, square = sums[..., :-1, -1], sums[..., -1, -1]
        # one group alone leaves no information on mu: keep it finite, its prior is then as good as flat
        information[..., 0, 0] += 1e-9
        covariance = np.linalg.inv(information)
        coefficients = np.einsum("ltqr,ltr->ltq", covariance, right)
        quadratic = np.maximum(square - (coefficients * right).sum(-1), 0.0)
        score = 0.5 * (logs - np.linalg.slogdet(information)[1] - quadratic)
        return _Solved(coefficients, covariance, score)

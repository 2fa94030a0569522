"""What the other groups say of one: shrinkage across systems, and a prior for its interval.

Fay & Herriot (1979): theta_s = x_s + mu + z_s' b + r_s with r_s ~ N(0, tau^2), observed as y_s ~ N(theta_s,
v_s). x_s is the panel's prediction of the group's mean. z holds what may bend that prediction between
systems: the panel mean itself (a map fitted on items compresses system means; the between slope undoes it),
mean length. x and z see no human grade of the group, else the prior would lean on the very anchors it is to
support. b ~ N(0, diag(slope_sd^2)), so that three systems give a sane line and thirty give their own.

mu is how much higher people grade than x says. Where x keeps the judges' own level, mu ~ N(0, m^2), with m
averaged over ``level_sd``, each value alike before the data: a panel that is right as it stands keeps its
level at few anchors, another gets the people's.

tau is averaged over its posterior on a grid, under a half-Cauchy prior of scale ``tau_scale``, instead of
maximised: at five or ten systems the maximum is often 0, which would claim that systems cannot differ.

*No compression by the line.* With l_s = x_s + z_s' b, centred, and R = var l / (var l + tau^2), the
regression says E[theta | l] = mu + l, and read backwards E[l | theta] = R (theta - mu): its guess of theta
is too near the middle for every true theta, by the share 1 - R. ``estimate`` therefore leans on
mu + l / R, which is right on average at every theta (classical instead of inverse calibration: Krutchkoff
1967, Brown 1982), and keeps tau^2 / (tau^2 + v_s) of what y_s departs from it. 1 / R is at most 3: a panel
that explains less of the systems' differences than that tells no line. The prior of the interval is the
regression line itself, which makes it shorter.

Errors shared through common anchor prompts enter as a common covariance c: v_s - c plays the part of v_s. A
shift that all groups share looks like mu and is not theirs: of mu + shift, m^2 / (m^2 + c) is mu. c is
negative between the systems of pairs, of which one wins where the other loses.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
_GRID = 41
_LEAST = 1e-10  # variance: a hundred-thousandth of the scale
_MOST_STRETCH = 2.0  # of (1 - R) / R


@dataclass(frozen=True, slots=True)
class Shrunk:
    """EBLUPs and leave-one-out priors of S groups, each array (S,).

    Attributes
    ----------
    estimate : of theta; the prediction from the others for a group without anchors.
    prior_mean, prior_variance : of theta_s from all groups but s: its mean, and tau^2 plus what the
        regression is unsure of.
    prior_response : how far ``prior_mean`` moves when the estimates of all other groups move by 1.
    tau : posterior mean of tau from all groups.
    slopes : (q,) posterior means of b from all groups.
    """

    estimate: Floats
    prior_mean: Floats
    prior_variance: Floats
    prior_response: Floats
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
    level_sd: Sequence[float] = (np.inf,),
) -> Shrunk:
    """Shrunk estimate of every group and the prior that the other groups give it.

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
    level_sd : (M,)
        Values that m may have; infinity leaves mu to the groups alone.
    """
    used = np.isfinite(estimate)
    z = np.column_stack([np.ones(used.size), covariates - covariates[used].mean(0)])
    d = np.where(used, estimate - prediction, 0.0)
    v = np.where(used, np.maximum(variance - shared_covariance, np.maximum(1e-3 * variance, _LEAST)), 1.0)
    tau2 = _tau_grid(d[used], v[used]) ** 2
    sums = _Sums(d, v, z, used, tau2, slope_sd, np.asarray(level_sd), max(shared_covariance, 0.0))
    log_prior = np.tile(-np.log1p(tau2 / tau_scale**2), len(level_sd))
    tau2 = np.tile(tau2, len(level_sd))

    every = sums.solve(leave_out=False)
    weight = _weights(every.score + log_prior)[0]  # (T,)
    mean = z @ every.coefficients[0].T  # (S, T)
    keep = np.where(used[:, None], tau2 / (tau2 + v[:, None]), 0.0)
    line = prediction[:, None] + mean
    line = line - line[used].mean(0)
    stretch = np.minimum(tau2 / np.maximum((line[used] ** 2).mean(0), _LEAST), _MOST_STRETCH)
    moved = keep * (d[:, None] - mean) + (1.0 - keep) * stretch * line
    blup = ((mean - sums.not_ours * every.coefficients[0][:, 0] + moved) * weight).sum(1)

    others = sums.solve(leave_out=True)
    loo_weight = _weights(others.score + log_prior)
    own = z[:, None, :] - np.eye(z.shape[1])[0] * sums.not_ours[:, None]  # (S, T, q+1): mu without the shift
    loo_mean = np.einsum("stq,stq->st", others.coefficients, own)
    loo_variance = np.einsum("stq,stqr,str->st", own, others.covariance, own)
    centre = (loo_weight * loo_mean).sum(1)
    spread = (loo_weight * (tau2 + loo_variance + (loo_mean - centre[:, None]) ** 2)).sum(1)
    response = np.einsum("stq,stqr,str->st", own, others.covariance, others.level)
    return Shrunk(
        estimate=prediction + blup,
        prior_mean=prediction + centre,
        prior_variance=spread,
        prior_response=(loo_weight * response).sum(1),
        tau=float((weight * np.sqrt(tau2)).sum()),
        slopes=(weight[:, None] * every.coefficients[0]).sum(0)[1:],
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
    T), and ``level`` (L, T, q+1): what a shift of all estimates by 1 adds to the right-hand side.

    T: every m with every tau.
    """

    coefficients: Floats
    covariance: Floats
    score: Floats
    level: Floats


class _Sums:
    """Weighted cross-products of (z, d) for every tau, over all groups or with each left out.

    ``not_ours`` (T,): c / (m^2 + c), the share of the common level that is shared error.
    """

    def __init__(
        self,
        d: Floats,
        v: Floats,
        z: Floats,
        used: NDArray[np.bool_],
        tau2: Floats,
        slope_sd: Floats,
        level_sd: Floats,
        shift: float,
    ) -> None:
        total = v[:, None] + tau2
        self.weight = np.where(used[:, None], 1.0 / total, 0.0)  # (S, T)
        self.log = np.where(used[:, None], -np.log(total), 0.0)
        row = np.column_stack([z, d])
        self.products = row[:, :, None] * row[:, None, :]  # (S, q+2, q+2)
        # one group alone leaves no information on mu: keep it finite, its prior is then as good as flat
        level = np.maximum(1.0 / (level_sd**2 + shift), 1e-9)
        slope = np.broadcast_to(1.0 / slope_sd**2, (level.size, slope_sd.size))
        self.ridge = np.column_stack([level, slope])  # (M, q+1)
        self.not_ours = np.repeat(shift / (level_sd**2 + shift), tau2.size)

    def solve(self, *, leave_out: bool) -> _Solved:
        sums = np.einsum("st,sqr->tqr", self.weight, self.products)[None]
        logs = self.log.sum(0)[None]
        if leave_out:
            sums = sums - self.weight[:, :, None, None] * self.products[:, None]
            logs = logs - self.log
        parts = [_solved(sums, logs, ridge) for ridge in self.ridge]
        return _Solved(*(np.concatenate(part, axis=1) for part in zip(*parts, strict=True)))


def _solved(sums: Floats, logs: Floats, ridge: Floats) -> tuple[Floats, Floats, Floats, Floats]:
    information = sums[..., :-1, :-1] + np.diag(ridge)
    right, square = sums[..., :-1, -1], sums[..., -1, -1]
    covariance = np.asarray(np.linalg.inv(information), dtype=np.float64)
    coefficients = np.einsum("ltqr,ltr->ltq", covariance, right)
    quadratic = np.maximum(square - (coefficients * right).sum(-1), 0.0)
    score = 0.5 * (logs - np.linalg.slogdet(information)[1] - quadratic + np.log(ridge[0]))
    return coefficients, covariance, score, sums[..., :-1, 0]

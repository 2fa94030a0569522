"""Do the anchors look like the traffic they stand for? A test, weights that make them, and what the weights
cost.

*Test.* Within each block (a system, or a system in a stratum) every feature x is centred on the block's
mean over all its units. If anchors were drawn without regard to x, the sums U_p = sum of x over prompt p's
anchors have mean 0, and with G prompts, q features and the sampling fraction phi

    T^2 = (sum U_p)' [ (1 - phi) G/(G-1) sum (U_p - Ubar)(U_p - Ubar)' ]^-1 (sum U_p),
    (G - q) / (q (G - 1)) T^2 ~ F(q, G - q)                                     (Hotelling).

It is the score test of the logistic regression "anchor or not" on x, clustered by prompt. A small p says
that the anchors differ; a large one proves nothing about what was not measured.

*Weights.* Entropy balancing (Hainmueller 2012, doi:10.1093/pan/mpr025): w_i proportional to exp(x_i' b)
with b such that the weighted anchor mean of x is 0, the traffic's. Kish's effective sample size (sum w)^2 /
sum w^2 is the price.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import f as f_distribution

from app.stats.grouped import sum_by

Floats = NDArray[np.float64]

_ROOM = 10  # prompts beyond the number of features, below which a covariance of U is not worth inverting
_STEPS = 60


@dataclass(frozen=True, slots=True)
class Representativeness:
    """How anchors and traffic compare.

    Attributes
    ----------
    p_value : of the joint test; None where there are too few labelled prompts to test anything.
    features : (q,) the columns of x that were tested.
    shift : (q,) mean of x over anchors minus over traffic, in standard deviations of x in the traffic.
    z : (q,) shift divided by its standard error.
    prompts : labelled prompts.
    """

    p_value: float | None
    features: NDArray[np.int64]
    shift: Floats
    z: Floats
    prompts: int


def block_ranks(values: Floats, block: NDArray[np.integer]) -> Floats:
    """(n,) rank of each unit within its block, in (0, 1) with ties shared; NaN stays NaN.

    Ranks make the test indifferent to the scale of a score and to single extreme units.
    """
    out = np.full(values.shape, np.nan)
    known = np.flatnonzero(~np.isnan(values))
    if known.size == 0:
        return out
    order = known[np.lexsort((values[known], block[known]))]
    b, x = block[order], values[order]
    start = np.flatnonzero(np.r_[True, b[1:] != b[:-1]])
    size = np.diff(np.r_[start, b.size])
    place = np.arange(b.size) - np.repeat(start, size)
    tie = np.cumsum(np.r_[True, (b[1:] != b[:-1]) | (x[1:] != x[:-1])]) - 1
    count = np.bincount(tie)
    mean_place = sum_by(tie, place.astype(np.float64)) / count
    out[order] = (mean_place[tie] + 0.5) / np.repeat(size, size)
    return out


def centred_features(features: Floats, block: NDArray[np.integer]) -> Floats:
    """(n, q) features minus their block means over all units; unknown values count as the block's mean."""
    blocks = int(block.max()) + 1 if block.size else 0
    out = np.empty(features.shape, order="F")  # by column, as it is read
    for k in range(features.shape[1]):
        x = features[:, k]
        known = ~np.isnan(x)
        total = np.bincount(block[known], minlength=blocks)
        mean = sum_by(block[known], x[known], blocks) / np.maximum(total, 1)
        out[:, k] = np.where(known, x - mean[block], 0.0)
    return out


def representativeness(
    *, centred: Floats, prompt: NDArray[np.integer], labelled: NDArray[np.bool_], weight: Floats | None = None
) -> Representativeness:
    """Test whether anchors were drawn without regard to the features.

    Parameters
    ----------
    centred : (n, q)
        From `centred_features`; earlier columns are kept when there are too few prompts for all.
    prompt : (n,)
        Clusters.
    labelled : (n,)
        Which units are anchors.
    weight : (n,)
        Design weights of the anchors (1 / inclusion probability); 1 by default.
    """
    cluster = np.unique(prompt[labelled], return_inverse=True)[1]
    count = int(cluster.max()) + 1 if cluster.size else 0
    spread = centred.std(0)
    usable = np.flatnonzero(spread > 1e-9)[: max(count - _ROOM, 0)]
    nothing = Representativeness(None, usable[:0], np.zeros(0), np.zeros(0), count)
    if usable.size == 0:
        return nothing
    a = np.ones(cluster.size) if weight is None else weight[labelled]
    a = a * (a.size / a.sum())
    x = centred[labelled][:, usable] * a[:, None]
    sums = np.column_stack([sum_by(cluster, x[:, k], count) for k in range(usable.size)])
    deviation = sums - sums.mean(0)
    free = max(1.0 - labelled.mean(), 1e-3)
    covariance = free * count / (count - 1) * deviation.T @ deviation
    values, vectors = np.linalg.eigh(covariance / np.outer(spread[usable], spread[usable]))
    solid = values > 1e-6 * values.max() if values.max() > 0 else np.zeros(values.size, bool)
    if not solid.any():
        return nothing
    total = sums.sum(0)
    turned = vectors[:, solid].T @ (total / spread[usable])
    t2, q = float((turned**2 / values[solid]).sum()), int(solid.sum())
    p_value = float(f_distribution.sf((count - q) / (q * (count - 1)) * t2, q, count - q))
    z = total / np.sqrt(np.maximum(np.diag(covariance), 1e-300))
    return Representativeness(p_value, usable, total / a.size / spread[usable], z, count)


def balancing_weights(
    *, centred: Floats, labelled: NDArray[np.bool_], base: Floats | None = None
) -> Floats | None:
    """(n,) weights, 1 for units that are no anchors, that give the anchors the traffic's feature means.

    None where no weights can: the traffic's mean lies outside what the anchors span.

    Parameters
    ----------
    centred : (n, q)
        From `centred_features`.
    base : (n,)
        Weights to start from (1 / inclusion probability); 1 by default.
    """
    x = centred[labelled] / np.maximum(centred.std(0), 1e-9)
    a = np.ones(x.shape[0]) if base is None else base[labelled]
    a = a / a.sum()
    b = np.zeros(x.shape[1])
    value = _dual(x, a, b)
    for _ in range(_STEPS):
        w = _tilted(x, a, b)
        gradient = w @ x
        if np.abs(gradient).max() < 1e-8:
            break
        hessian = (x * w[:, None]).T @ x - np.outer(gradient, gradient) + 1e-10 * np.eye(b.size)
        step = np.linalg.solve(hessian, -gradient)
        size = min(1.0, 5.0 / max(float(np.abs(step).max()), 1e-12))
        while size > 1e-8 and _dual(x, a, b + size * step) > value:
            size *= 0.5
        b = b + size * step
        value = _dual(x, a, b)
    if np.abs(_tilted(x, a, b) @ x).max() > 1e-3:
        return None
    out = np.ones(labelled.size)
    out[labelled] = _tilted(x, a, b) * a.size
    return out


def kish_effective_size(weight: Floats) -> float:
    """(sum w)^2 / sum w^2: how many equally weighted observations these are worth; 0 for none."""
    square = float((weight**2).sum())
    return float(weight.sum()) ** 2 / square if square > 0 else 0.0


def _tilted(x: Floats, a: Floats, b: Floats) -> Floats:
    score = x @ b
    w = a * np.exp(score - score.max())
    return np.asarray(w / w.sum())


def _dual(x: Floats, a: Floats, b: Floats) -> float:
    score = x @ b
    top = float(score.max())
    return top + float(np.log((a * np.exp(score - top)).sum()))

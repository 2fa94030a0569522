"""Do the anchors look like the traffic they stand for? A test, weights that make them, and what the weights
cost.

*Test.* Within each block (a system, or a system in a stratum) every feature x is centred on the block's
mean over all its units. If anchors were drawn without regard to x, the sums U_p = sum of x over prompt p's
anchors have mean 0, and with G prompts, q features and the sampling fraction phi

    T^2 = (sum U_p)' [ (1 - phi) G/(G-1) sum (U_p - Ubar)(U_p - Ubar)' ]^-1 (sum U_p),
    (G - q) / (q (G - 1)) T^2 ~ F(q, G - q)                                     (Hotelling).

It is the score test of the logistic regression "anchor or not" on x, clustered by prompt. Ranks and shares
are not normal: at 30 to 50 prompts F fires 6 to 8% of the time at 5%, and far more often where a stratum is
rare. So up to `_RELABELLED` prompts the covariance is the one that other draws of prompts would have, and so
is the null (`relabelling`); F is used above, and where anchors were drawn with logged probabilities. A small
p says that the anchors differ; a large one proves nothing about what was not measured.

*Weights.* Entropy balancing (Hainmueller 2012, doi:10.1093/pan/mpr025): w_i proportional to exp(x_i' b)
with b such that the weighted anchor mean of x is 0, the traffic's. Kish's effective sample size (sum w)^2 /
sum w^2 is the price.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import f as f_distribution

from app.stats.grouped import sum_by
from app.stats.relabelling import Relabelling, Statistic

Floats = NDArray[np.float64]

_ROOM = 10  # prompts beyond the number of features, below which a covariance of U is not worth inverting
_STEPS = 60
_RELABELLED = 200  # prompts, up to which the null is drawn instead of assumed
_DRAWS = 3999


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
    *,
    centred: Floats,
    prompt: NDArray[np.integer],
    labelled: NDArray[np.bool_],
    block: NDArray[np.integer] | None = None,
    weight: Floats | None = None,
    seed: int = 0,
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
    block : (n,)
        In which the features are centred; one for all by default.
    weight : (n,)
        Design weights of the anchors (1 / inclusion probability); 1 by default.
    seed : int
        Of the relabelling.
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
    scaled = centred[:, usable] / spread[usable]
    x = scaled[labelled] * a[:, None]
    sums = np.column_stack([sum_by(cluster, x[:, k], count) for k in range(usable.size)])
    free = max(1.0 - labelled.mean(), 1e-3)
    if weight is None and count <= _RELABELLED:
        null = Relabelling(
            features=scaled, prompt=prompt, block=np.zeros(prompt.size, np.int64) if block is None else block,
            labelled=labelled, rng=np.random.default_rng(seed),
        )  # fmt: skip
        distance = _distance(null.covariance())
        if distance is None:
            return nothing
        p_value = null.p_value(distance, draws=_DRAWS)
    else:
        found = _hotelling(sums, free)
        if found is None:
            return nothing
        p_value = found
    total = sums.sum(0)
    error = np.sqrt(np.maximum(free * count * sums.var(0, ddof=1), 1e-300))
    return Representativeness(p_value, usable, total / a.size, total / error, count)


def _distance(covariance: Floats) -> Statistic | None:
    """Total' covariance^-1 total, over the directions in which there is any variance."""
    values, vectors = np.linalg.eigh(covariance)
    solid = values > 1e-6 * max(float(values[-1]), 1e-300)
    if values[-1] <= 0:
        return None
    whiten = vectors[:, solid] / np.sqrt(values[solid])
    return lambda sums: ((sums.sum(1) @ whiten) ** 2).sum(1)


def _hotelling(sums: Floats, free: float) -> float | None:
    """p of T^2 for (G, q) sums by prompt."""
    count = len(sums)
    covariance = free * count * np.cov(sums, rowvar=False).reshape(sums.shape[1], -1)
    values, vectors = np.linalg.eigh(covariance)
    solid = values > 1e-6 * values.max() if values.max() > 0 else np.zeros(values.size, bool)
    if not solid.any():
        return None
    turned = vectors[:, solid].T @ sums.sum(0)
    t2, q = float((turned**2 / values[solid]).sum()), int(solid.sum())
    return float(f_distribution.sf((count - q) / (q * (count - 1)) * t2, q, count - q))


@dataclass(frozen=True, slots=True)
class Balance:
    """A tilt of the anchors towards the traffic: weights proportional to base * exp(strength x' tilt).

    ``exact``: at full strength the anchors' means are the traffic's. ``features`` (a, q) of the anchors,
    ``base`` (a,) summing to 1.
    """

    features: Floats
    base: Floats
    tilt: Floats
    exact: bool

    def weights(self, strength: float = 1.0) -> Floats:
        """(a,) weights of the anchors, 1 on average."""
        return _tilted(self.features, self.base, strength * self.tilt) * self.base.size


def balance(*, centred: Floats, labelled: NDArray[np.bool_], base: Floats | None = None) -> Balance:
    """The entropy-balancing tilt, or the direction in which it was sought where none is exact: the traffic's
    mean then lies outside what the anchors span.

    Parameters
    ----------
    centred : (n, q)
        From `centred_features`.
    labelled : (n,)
        Which units are anchors.
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
    return Balance(x, a, b, bool(np.abs(_tilted(x, a, b) @ x).max() <= 1e-3))


def balancing_weights(
    *, centred: Floats, labelled: NDArray[np.bool_], base: Floats | None = None
) -> Floats | None:
    """(n,) weights of an exact `balance`, 1 for units that are no anchors; None where there is none."""
    found = balance(centred=centred, labelled=labelled, base=base)
    if not found.exact:
        return None
    out = np.ones(labelled.size)
    out[labelled] = found.weights()
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

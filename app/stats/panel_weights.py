"""How much each judge deserves beyond the panel's common score, learned from anchors as far as they tell.

f_i = (s_i - s_g) b_0 + sum_j d_ij b_j, with s the panel's score (its judges weighted by what verdicts alone
say of them), d_ij the part of judge j's value that s does not explain (0 where j did not sit) and all terms
centred on their group's mean over the traffic. b is a ridge regression of human grades on them within
groups, with b_0 free and the b_j penalised, all alike; the penalty is the one that predicts prompts left
out best, infinity (the panel's score as it is) among the candidates. So a panel of equals stays a panel of
equals, and where one judge is much better than the rest, as few as 50 anchors show it.

Cross-fitting: a unit whose prompt has human grades is predicted with coefficients that saw none of that
prompt's fold. Centring precedes the folds, else their differences would enter the rectifier as noise.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.stats.grouped import sum_by

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_PENALTIES = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, np.inf)  # per anchor, for features of unit variance
_FOLDS = 20
_LEAST_PROMPTS = 30  # below, the panel's score is taken as it is
_LEAST_SHARE = 0.02  # of units that a judge must have scored to get a weight of its own


@dataclass(frozen=True, slots=True)
class PanelWeights:
    """What was learned.

    Attributes
    ----------
    prediction : (n,) f, on the scale of the human grades up to a constant per group; NaN without a score.
    penalty : the one chosen; infinite where judges get no weights of their own.
    score_slope : b_0 of the fit on all anchors.
    judge_slopes : (J,) change of f per unit of a judge's value beyond the panel's score; 0 if not weighted.
    gain : share by which the error of prompts left out fell against the panel's score alone.
    """

    prediction: Floats
    penalty: float
    score_slope: float
    judge_slopes: Floats
    gain: float


def weigh_panel(
    *,
    score: Floats,
    judge_values: Floats,
    human: Floats,
    group: NDArray[np.integer],
    prompt: NDArray[np.integer],
    seed: int = 0,
) -> PanelWeights:
    """Learn weights and predict every unit.

    Parameters
    ----------
    score : (n,)
        The panel's score, NaN without verdicts.
    judge_values : (n, J)
        Each judge's value, NaN where it gave none.
    human : (n,)
        Human grades, NaN without.
    group : (n,)
        Codes within which to compare (systems); human grades are centred in them.
    prompt : (n,)
        What folds keep together.
    seed : int
        Decides which prompts share a fold.
    """
    g = np.unique(group, return_inverse=True)[1]
    known = np.isfinite(score)
    labelled = known & np.isfinite(human)
    features, used, scales = _features(score, judge_values, g)
    slopes = np.zeros(judge_values.shape[1])
    graded, cluster = np.unique(prompt[labelled], return_inverse=True)
    if graded.size < _LEAST_PROMPTS or not used.size:
        return PanelWeights(np.where(known, features[:, 0], np.nan), np.inf, 1.0, slopes, 0.0)
    folds = min(_FOLDS, graded.size)
    fold_of = np.random.default_rng(seed).permutation(graded.size) % folds
    x, y, code, fold = features[labelled], human[labelled], g[labelled], fold_of[cluster]
    fits = np.array([_fit(x[fold != k], y[fold != k], code[fold != k]) for k in range(folds)])
    errors = _left_out_errors(x, y, code, fold, fits)
    best = int(np.argmin(errors))
    coefficients = _fit(x, y, code)[best]
    prediction = features @ coefficients
    place = np.searchsorted(graded, prompt)
    place = np.where(place < graded.size, place, 0)
    anchored = graded[place] == prompt
    held = fits[fold_of[place[anchored]], best]
    prediction[anchored] = (features[anchored] * held).sum(1)
    slopes[used] = coefficients[1:] / scales
    return PanelWeights(
        prediction=np.where(known, prediction, np.nan),
        penalty=_PENALTIES[best],
        score_slope=float(coefficients[0]),
        judge_slopes=slopes,
        gain=float(1.0 - errors[best] / errors[-1]) if errors[-1] > 0 else 0.0,
    )


def _features(score: Floats, values: Floats, g: Ints) -> tuple[Floats, Ints, Floats]:
    """(n, 1 + q) centred features (0 where unknown), the q judges with weights, and the features' scales."""
    columns, used, scales = [_centred(score, g)], [], []
    for j in range(values.shape[1]):
        known = np.isfinite(values[:, j]) & np.isfinite(score)
        if known.mean() < _LEAST_SHARE:
            continue
        s, v = score[known], values[known, j]
        slope = float(np.cov(v, s)[0, 1] / s.var(ddof=1)) if s.var() > 1e-12 else 0.0
        rest = np.full(score.size, np.nan)
        rest[known] = v - slope * s
        centred = _centred(rest, g)
        scale = float(centred[known].std())
        if scale < 1e-6:
            continue
        columns.append(centred / scale)
        used.append(j)
        scales.append(scale)
    return np.column_stack(columns), np.array(used, dtype=np.int64), np.array(scales)


def _centred(values: Floats, g: Ints) -> Floats:
    """Minus the group's mean of what is known; 0 for what is not."""
    known = np.isfinite(values)
    groups = int(g.max()) + 1 if g.size else 0
    count = np.bincount(g[known], minlength=groups)
    mean = sum_by(g[known], values[known], groups) / np.maximum(count, 1)
    return np.where(known, values - mean[g], 0.0)


def _fit(x: Floats, y: Floats, code: Ints) -> Floats:
    """(penalties, 1 + q) ridge coefficients within groups."""
    groups = int(code.max()) + 1
    count = np.maximum(np.bincount(code, minlength=groups), 1)
    dy = y - (sum_by(code, y, groups) / count)[code]
    dx = np.column_stack([x[:, k] - (sum_by(code, x[:, k], groups) / count)[code] for k in range(x.shape[1])])
    gram, cross = dx.T @ dx, dx.T @ dy
    gram[0, 0] += 1e-9 * y.size
    out = np.zeros((len(_PENALTIES), x.shape[1]))
    for m, penalty in enumerate(_PENALTIES):
        if np.isinf(penalty):
            out[m, 0] = cross[0] / gram[0, 0]
            continue
        ridge = np.full(x.shape[1], penalty * y.size)
        ridge[0] = 0.0
        out[m] = np.linalg.solve(gram + np.diag(ridge), cross)
    return out


def _left_out_errors(x: Floats, y: Floats, code: Ints, fold: Ints, fits: Floats) -> Floats:
    """(penalties,) squared errors of the folds left out, within groups and folds."""
    total = np.zeros(fits.shape[1])
    residual = y[:, None] - np.einsum("ik,imk->im", x, fits[fold])
    groups = int(code.max()) + 1
    count = np.maximum(np.bincount(code, minlength=groups), 1)
    for m in range(total.size):
        mean = sum_by(code, residual[:, m], groups) / count
        total[m] = float(((residual[:, m] - mean[code]) ** 2).sum())
    return total

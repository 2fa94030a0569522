"""How much each judge deserves beyond the panel's common score, learned from anchors as far as they tell.

A unit's features are the panel's score s (its judges weighted by what verdicts alone say of them), d_j, the
part of judge j's value that s does not explain (0 where j did not sit), and the length of the answer; all
centred on their group's mean over the traffic. Human grades y of 0 to 1 are predicted by

    f = s b_0 + sum_j d_j b_j                              y itself (ridge least squares within groups)
    f = 1 / (1 + exp(-(o_g + a + s b_0 + sum_j d_j b_j)))  or its log odds (ridge quasi-likelihood),

with b_0 and a free, the other b penalised alike, and o_g the log odds of the group's mean grade, drawn to
the mean of all. The second form is for yes and no, or grades near an end of the scale: a judge that is sure
cannot push a share beyond 1. Papke & Wooldridge (1996), "Econometric methods for fractional response
variables".

Form and penalty are not chosen but averaged, by the squared error of prompts left out,
weight ~ exp(-SSE / (2 min SSE / m)) for m anchors, infinity (the panel's score alone) among the penalties. So
a panel of equals stays a panel of equals, and where one judge is much better, 50 anchors show it.

Cross-fitting: a unit whose prompt has human grades is predicted with coefficients that saw none of that
prompt's fold. Every fold's predictions are centred on their own mean over the traffic of each group, else
differences between folds would enter the rectifier as noise.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.stats.grouped import sum_by
from app.stats.share_regression import fit_shares, log_odds_of, share_of

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_PENALTIES = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, np.inf)  # per anchor, for features of unit variance
_SHARE_PENALTIES = (
    0.001,
    0.003,
    0.01,
    0.03,
    0.1,
    0.3,
    np.inf,
)  # of log odds: a share's curvature is p (1 - p)
_FOLDS = ((300, 20), (3000, 10), (np.inf, 5))  # anchors up to which so many folds
_LEAST_PROMPTS = 30  # below, the panel's score is taken as it is
_OF_ALL = 2.0  # grades of the mean of all groups that a group's own mean is mixed with
_END = 0.02  # a group's mean is kept off the ends of the scale by this much
_TINY = 1e-6  # keeps the equations solvable where the panel's score never varies
_LONGEST = 4.0  # standard deviations of log length
_LEAST_SHARE = 0.02  # of units that a judge must have scored to get a weight of its own


@dataclass(frozen=True, slots=True)
class PanelWeights:
    """What was learned.

    Attributes
    ----------
    prediction : (n,) f, on the scale of the human grades up to a constant per group; NaN without a score.
    penalty : the one that left-out prompts favour; infinite where judges get no weights of their own.
    odds : share of the prediction that works on log odds.
    score_slope : average change of f per unit of the panel's score, by the fits on all anchors.
    judge_slopes : (J,) of a judge's value beyond the panel's score; 0 if not weighted.
    gain : share by which the error of prompts left out fell against the panel's score alone.
    """

    prediction: Floats
    penalty: float
    odds: float
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
    size: Floats | None = None,
    signed: bool = False,
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
        Human grades, NaN without; 0 to 1, or -1 to 1 if ``signed``. Outside, log odds are not tried.
    group : (n,)
        Codes within which to compare (systems); human grades are centred in them.
    prompt : (n,)
        What folds keep together.
    size : (n,)
        Log length (pairs: its difference), NaN unknown.
    seed : int
        Decides which prompts share a fold.
    """
    g = np.unique(group, return_inverse=True)[1].astype(np.int64)
    known = np.isfinite(score)
    labelled = known & np.isfinite(human)
    features, used, scales = _features(score, judge_values, size, g)
    slopes = np.zeros(judge_values.shape[1])
    graded = np.unique(prompt[labelled])
    if graded.size < _LEAST_PROMPTS or features.shape[1] == 1:
        return PanelWeights(np.where(known, features[:, 0], np.nan), np.inf, 0.0, 1.0, slopes, 0.0)
    folds = min(next(k for most, k in _FOLDS if labelled.sum() <= most), graded.size)
    fold_of = np.random.default_rng(seed).permutation(graded.size) % folds
    place = np.minimum(np.searchsorted(graded, prompt), graded.size - 1)
    fold = np.where(graded[place] == prompt, fold_of[place], -1)
    low, width = (-1.0, 2.0) if signed else (0.0, 1.0)
    shares = (human - low) / width
    forms = [_linear(features, shares, g, labelled, fold, folds)]
    if shares[labelled].min() >= 0.0 and shares[labelled].max() <= 1.0:
        forms.append(_odds(features, shares, g, labelled, fold, folds))
    errors = [_left_out_errors(form, features, shares, g, labelled, fold) for form in forms]
    least = max(min(float(e.min()) for e in errors), 1e-300)
    weights = [np.exp(-0.5 * labelled.sum() * (e / least - 1.0)) for e in errors]
    total = sum(float(w.sum()) for w in weights)
    prediction, slope = np.zeros(g.size), np.zeros(features.shape[1])
    for form, weight in zip(forms, weights, strict=True):
        share = float(weight.sum()) / total
        averaged = form.averaged(weight)
        prediction += share * _predict(averaged, features, g, fold)
        slope += share * averaged.slopes(features[labelled], g[labelled])
    slopes[used] = width * slope[1 : 1 + used.size] / scales
    best, alone = min(float(e.min()) for e in errors), float(errors[0][-1])
    penalties = forms[int(np.argmin([e.min() for e in errors]))].penalties
    chosen = penalties[int(np.argmin(min(errors, key=lambda e: float(e.min()))))]
    return PanelWeights(
        prediction=np.where(known, width * prediction, np.nan),
        penalty=chosen if used.size else np.inf,
        odds=float(weights[1].sum()) / total if len(forms) > 1 else 0.0,
        score_slope=width * float(slope[0]),
        judge_slopes=slopes,
        gain=1.0 - best / alone if alone > 0 else 0.0,
    )


@dataclass(frozen=True, slots=True)
class _Form:
    """Fits of one form: on the anchors without each of K folds, and last on all.

    ``coefficients`` (K + 1, P, q) per penalty; ``offset`` (K + 1, P, G) log odds of the groups, None for a
    form that predicts the grade itself (up to a constant per group).
    """

    penalties: tuple[float, ...]
    coefficients: Floats
    offset: Floats | None

    def averaged(self, weight: Floats) -> "_Form":
        """One penalty in place of all: the mean of their coefficients."""
        # a form that predicts far worse has no weight at all: any mean of it counts for nothing
        share = weight / weight.sum() if weight.sum() > 0 else np.full(weight.size, 1.0 / weight.size)
        offset = None if self.offset is None else np.tensordot(share, self.offset, (0, 1))[:, None]
        return _Form((), np.tensordot(share, self.coefficients, (0, 1))[:, None], offset)

    def at(self, fit: int | Ints, x: Floats, g: Ints, penalty: int = 0) -> Floats:
        """(m,) predictions by one fit, or by another fit for every row."""
        b = self.coefficients[fit, penalty]
        value = x @ b if b.ndim == 1 else np.einsum("mq,mq->m", x, b)
        return value if self.offset is None else share_of(value + self.offset[fit, penalty, g])

    def slopes(self, x: Floats, g: Ints) -> Floats:
        """(q,) average change of the prediction per unit of a feature, by the last fit."""
        b = self.coefficients[-1, 0]
        if self.offset is None:
            return np.asarray(b)
        share = self.at(-1, x, g)
        return np.asarray(b * float((share * (1.0 - share)).mean()))


def _linear(
    features: Floats, y: Floats, g: Ints, labelled: NDArray[np.bool_], fold: Ints, folds: int
) -> _Form:
    """Least squares within groups."""
    x, own, code, of = features[labelled], y[labelled], g[labelled], fold[labelled]
    fits = [_fit(x[of != k], own[of != k], code[of != k]) for k in range(folds)]
    return _Form(_PENALTIES, np.array([*fits, _fit(x, own, code)]), None)


def _odds(features: Floats, y: Floats, g: Ints, labelled: NDArray[np.bool_], fold: Ints, folds: int) -> _Form:
    """Quasi-likelihood with the groups' log odds as offsets; an intercept takes up what those miss."""
    x, own, code, of = features[labelled], y[labelled], g[labelled], fold[labelled]
    used = np.concatenate([of[None, :] != np.arange(folds)[:, None], np.ones((1, own.size), bool)])
    groups = int(g.max()) + 1
    offset = np.array([_group_odds(own[rows], code[rows], groups) for rows in used])
    ridge = np.full((len(_SHARE_PENALTIES), x.shape[1] + 1), _TINY)
    ridge[:, 1:-1] = own.size * np.array(_SHARE_PENALTIES)[:, None]
    fitted = fit_shares(
        x=np.column_stack([x, np.ones(own.size)]), y=own, offset=offset[:, code], used=used, ridge=ridge
    )
    return _Form(_SHARE_PENALTIES, fitted[:, :, :-1], offset[:, None, :] + fitted[:, :, -1:])


def _group_odds(y: Floats, code: Ints, groups: int) -> Floats:
    """(G,) log odds of the groups' mean grades, each drawn to the mean of all by `_OF_ALL` grades of it."""
    every = float(np.clip(y.mean(), _END, 1.0 - _END))
    count, total = np.bincount(code, minlength=groups), sum_by(code, y, groups)
    return log_odds_of(np.clip((total + _OF_ALL * every) / (count + _OF_ALL), _END, 1.0 - _END))


def _predict(form: _Form, features: Floats, g: Ints, fold: Ints) -> Floats:
    """(n,) by the fit without the unit's fold, by that on all anchors elsewhere; each centred in groups."""
    out = _centred(form.at(-1, features, g), g)
    for k in range(form.coefficients.shape[0] - 1):
        rows = fold == k
        every = form.at(k, features, g) if form.offset is not None else features @ form.coefficients[k, 0]
        out[rows] = _centred(every, g)[rows]
    return out


def _left_out_errors(
    form: _Form, features: Floats, y: Floats, g: Ints, labelled: NDArray[np.bool_], fold: Ints
) -> Floats:
    """(penalties,) squared errors of the folds left out, within groups."""
    x, own, of = features[labelled], y[labelled], fold[labelled]
    code = np.unique(g[labelled], return_inverse=True)[1]
    real = g[labelled]
    total = np.zeros(len(form.penalties))
    for p in range(total.size):
        predicted = form.at(of, x, real, p)
        if form.offset is not None:
            every = np.array([_centred_at(form.at(k, x, real, p), code) for k in range(int(of.max()) + 1)])
            predicted = predicted - every[of, np.arange(own.size)]
        total[p] = float((_centred(own - predicted, code) ** 2).sum())
    return total


def _centred_at(values: Floats, g: Ints) -> Floats:
    """(n,) the mean of every row's group."""
    return values - _centred(values, g)


def _features(score: Floats, values: Floats, size: Floats | None, g: Ints) -> tuple[Floats, Ints, Floats]:
    """(n, 1 + q) centred features (0 where unknown), the q' judges with weights, and these features' scales.

    The panel's score first, then judges, then length.
    """
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
    if size is not None and np.isfinite(size).any():
        centred = _centred(np.where(np.isfinite(score), size, np.nan), g)
        spread = float(centred.std())
        if spread > 1e-6:
            columns.append(np.clip(centred / spread, -_LONGEST, _LONGEST))
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

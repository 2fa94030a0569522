"""Residual variances of many groups with few anchors each, moderated towards their common value.

Smyth (2004), "Linear models and empirical Bayes methods for assessing differential expression": s_g^2 with
d_g degrees of freedom is taken as sigma_g^2 chi^2_{d_g} / d_g, and sigma_g^2 as s_0^2 d_0 / chi^2_{d_0}. Then

    s~_g^2 = (d_0 s_0^2 + d_g s_g^2) / (d_0 + d_g)     has     d_0 + d_g degrees of freedom

for the t of group g. d_0 is how alike the groups are: large where a homogeneity test would not object, small
where it would, without the jump of a test. The weight d_0 / (d_0 + d_g) is averaged over the posterior of d_0
on a grid that ends at infinity: its maximum says "all alike" too often, and the one group that varies more
would go with too short an interval.

Grades are bounded, and a group near an end of the scale varies less. So what is moderated is the
*dispersion* phi_g = s_g^2 / (m_g (1 - m_g)), with m_g the group's mean on the unit scale: 1 for binary
grades without a panel, less for ordinal ones. m_g is (n m + 1) / (n + 2), so that a group whose anchors all
agree has a dispersion of 0 and not of 0/0. Such saturated groups do not inform d_0 and never get less than
s_0^2. Where all anchors agree, or all but one, the grades may still be anything elsewhere: with k of n off
the commonest grade c, a share p = (k + 1) / (n + 2) is taken to lie at the far end of the scale, which is a
variance of p (1 - p) max(c, 1 - c)^2. At an end of the scale that is the largest a grade can have, a
dispersion of 1 (simulated, mean .95: coverage at 10 anchors rises from .91 to .96); in its middle far less.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaln, gammaln

Floats = NDArray[np.float64]

_PRIOR_DF = np.concatenate([np.geomspace(1.0, 256.0, 33), [np.inf]])
UNANIMOUS = 2  # anchors away from the commonest grade: fewer, and nothing is known of how far grades go
SATURATED = 3  # fewer, and the group's own variance says nothing


@dataclass(frozen=True, slots=True)
class Dispersions:
    """Moderated dispersions of S groups on the unit scale.

    Attributes
    ----------
    dispersion : (S,) variance of one prompt's residual, divided by m (1 - m).
    degrees_of_freedom : (S,).
    common, common_df : the value the groups are drawn to, and how strongly (infinite: no sign that they
        differ).
    pooled_df : degrees of freedom that stand behind ``common``.
    """

    dispersion: Floats
    degrees_of_freedom: Floats
    common: float
    common_df: float
    pooled_df: float


def moderated_dispersions(
    *,
    variance: Floats,
    degrees_of_freedom: Floats,
    mean: Floats,
    effective_n: Floats,
    off_mode: NDArray[np.integer],
    mode: Floats,
    pool: bool,
) -> Dispersions | None:
    """Dispersions of every group, or None where no group has two anchors.

    Parameters
    ----------
    variance : (S,)
        Own residual variance per prompt on the unit scale, NaN where it cannot be had.
    degrees_of_freedom : (S,)
        Of ``variance``, 0 where it cannot be had.
    mean, effective_n : (S,)
        Mean grade on the unit scale (NaN without anchors) and effective number of prompts behind it.
    off_mode : (S,)
        Anchors whose grade is not the group's commonest one.
    mode : (S,)
        That grade on the unit scale, NaN without anchors.
    pool : bool
        Whether groups may lend each other their variance.
    """
    unit = unit_variance(mean, effective_n)
    usable = np.isfinite(variance) & (degrees_of_freedom > 0)
    if not usable.any():
        return None
    own = np.where(usable, np.nan_to_num(variance) / unit, 0.0)
    df = np.where(usable, degrees_of_freedom, 0.0)
    common = float((df * np.nan_to_num(variance)).sum() / (df * unit).sum())
    prior_df, total = 0.0, df
    dispersion = own
    if pool and common > 0:
        informative = usable & (off_mode >= SATURATED)
        weight = _prior_df_weights(own[informative] / common, df[informative])
        prior_df = float(_PRIOR_DF[int(np.argmax(weight))])
        per_df = (weight / (df[:, None] + _PRIOR_DF)).sum(1)  # 1 / (d_0 + d_g), averaged over d_0
        dispersion = df * per_df * own + (1.0 - df * per_df) * common
        total = np.minimum(1.0 / np.maximum(per_df, 1e-12), df.sum())
    if pool:
        dispersion = np.where(off_mode < SATURATED, np.maximum(dispersion, common), dispersion)
    largest = unanimous_dispersion(off_mode=off_mode, effective_n=effective_n, mode=mode, unit=unit)
    dispersion = np.where(off_mode < UNANIMOUS, np.maximum(dispersion, largest), dispersion)
    return Dispersions(dispersion, total, common, prior_df, float(df.sum()))


def unit_variance(mean: Floats, effective_n: Floats) -> Floats:
    """m (1 - m) of every group, m drawn a little to the middle; 1/4 of one without anchors."""
    m = (effective_n * np.nan_to_num(np.clip(mean, 0.0, 1.0), nan=0.5) + 1.0) / (effective_n + 2.0)
    return np.asarray(m * (1.0 - m))


def unanimous_dispersion(
    *, off_mode: NDArray[Any] | int, effective_n: Floats, mode: Floats, unit: Floats
) -> Floats:
    """What a group whose anchors agree, but for ``off_mode`` of them, may at most vary by; at most 1."""
    off = (off_mode + 1.0) / (effective_n + 2.0)
    centre = np.nan_to_num(np.clip(mode, 0.0, 1.0), nan=1.0)
    largest = off * (1.0 - off) * np.maximum(centre, 1.0 - centre) ** 2 / unit
    return np.asarray(np.minimum(largest, 1.0))


def _prior_df_weights(ratio: Floats, df: Floats) -> Floats:
    """(grid,) posterior of d_0 by the likelihood of s_g^2 / s_0^2 ~ F(d_g, d_0), flat on the grid.

    Of fewer than three groups nothing is learned: alike where there is at most one, 8 where there are two.
    """
    if ratio.size < 3:
        return np.where(np.isinf(_PRIOR_DF) if ratio.size < 2 else np.isclose(_PRIOR_DF, 8.0), 1.0, 0.0)
    x = np.maximum(ratio, 1e-3)[:, None]
    d1, d0 = df[:, None], _PRIOR_DF[None, :-1]
    density = (
        0.5 * d1 * np.log(d1 / d0)
        + (0.5 * d1 - 1.0) * np.log(x)
        - 0.5 * (d1 + d0) * np.log1p(d1 * x / d0)
        - betaln(0.5 * d1, 0.5 * d0)
    )
    half = 0.5 * d1[:, 0]
    limit = half * np.log(half) - gammaln(half) + (half - 1.0) * np.log(x[:, 0]) - half * x[:, 0]
    scores = np.append(density.sum(0), limit.sum())
    weight = np.exp(scores - scores.max())
    return np.asarray(weight / weight.sum())

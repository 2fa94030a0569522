"""Scores of units of which only some were judged by a second stage of judges: two-phase sampling.

Every unit i has a score f1_i by the judges of its first stage. With a logged chance p_i that hangs on the
first stage alone (I_i = 1: drawn) more judges were asked, and by all of them its score is f_i. A unit's
*two-phase score* is

    f~_i = f1_i + I_i / p_i (f_i - f1_i),         E[f~_i | first stage] = E[f_i | first stage],

as E[I_i] = p_i: the score that all judges would have given it, on average over draws, whatever made p large
or small. So means of f~ over any set of units are means of f, and units with one stage (p = 1) mix with them
freely. This is the difference estimator of double sampling with f1 as the auxiliary (Särndal, Swensson &
Wretman 1992, ch. 9). Means of f_i where drawn and f1_i elsewhere have no such property: those drawn differ.

Its variance needs no term of its own. Draws are independent between units, so with d_i = f_i - f1_i

    Var f~_i = Var f_i + E[(1 - p_i) / p_i d_i^2],

and the sample variance of the f~, clustered as usual, estimates the sum. The least chance bounds what the
second stage adds: with p_i >= .2 no difference weighs more than five times.
"""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def two_phase_score(*, first: Floats, whole: Floats, weight: Floats) -> Floats:
    """f~ (n,) from ``first`` f1 and ``whole`` f (n,), f being f1 where no second stage was drawn.

    ``weight`` is 1 / p; 0 leaves the first stage alone to speak. Where one of the two is unknown (a stage of
    which nobody carries weight) the other stands for it; NaN where both are.
    """
    known = np.isfinite(first) & np.isfinite(whole)
    return np.where(known, first + weight * (whole - first), np.where(np.isfinite(first), first, whole))

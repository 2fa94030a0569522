"""How many independent judges a panel is worth.

With theta the mean human grade, judge j errs by e_j = S_j - a_j - b_j theta. Judges that err together
add little to each other. From the graded units that both of a pair saw, with Y corrected for its noise,

    Cov(e_j, e_k) = Cov(S_j, S_k) - Cov(S_j, Y) Cov(S_k, Y) / Var(theta) ,
    r = mean over pairs of the correlation of errors ,     n_eff = k / (1 + (k - 1) r)      (Kish).
"""

import numpy as np
from numpy.typing import NDArray

from app.stats.errors import InsufficientData, NotIdentified
from app.stats.human_noise import MIN_DOUBLE_GRADED
from app.stats.jackknife import Effect, cluster_jackknife, sums_by_prompt

Floats = NDArray[np.float64]
Ints = NDArray[np.integer]

MIN_SHARED = 50  # graded units that both of a pair of judges must have scored


def effective_judges(
    *,
    values: Floats,
    human: Floats,
    grades: Floats,
    within: Floats,
    prompt: Ints,
    panel: int,
    level: float = 0.95,
) -> Effect:
    """n_eff of a panel of ``panel`` judges.

    Parameters
    ----------
    values : (n, J)
        Judges' values of graded units, NaN where a judge gave none.
    human, grades, within : (n,)
        Mean human grade, number of grades, their sum of squares around the mean.
    prompt : (n,)

    Raises
    ------
    InsufficientData
        If no two judges share `MIN_SHARED` graded units.
    NotIdentified
        With fewer than `MIN_DOUBLE_GRADED` units of two grades: people's noise would count as shared error.
    """
    if int((grades >= 2).sum()) < MIN_DOUBLE_GRADED:
        raise NotIdentified("effective judges", "too few answers have two human grades")
    scored = ~np.isnan(values)
    shared = scored.T.astype(float) @ scored.astype(float)
    pairs = [(j, k) for j in range(values.shape[1]) for k in range(j) if shared[j, k] >= MIN_SHARED]
    if not pairs:
        most = int(np.max(np.triu(shared, 1), initial=0.0))
        raise InsufficientData("graded units that two judges share", most, MIN_SHARED)
    columns = [np.ones_like(human), within, grades - 1]
    for j, k in pairs:
        both = (scored[:, j] & scored[:, k]).astype(float)
        s, t = np.nan_to_num(values[:, j]) * both, np.nan_to_num(values[:, k]) * both
        y = human * both
        columns += [both, s, t, y, s * s, t * t, y * y, s * t, s * y, t * y, both / grades]
    sums = sums_by_prompt(np.column_stack(columns), prompt)

    def mean_correlation(total: Floats) -> Floats:
        noise = total[:, 1] / np.maximum(total[:, 2], 1)
        blocks = total[:, 3:].reshape(len(total), len(pairs), 11)
        with np.errstate(divide="ignore", invalid="ignore"):
            means = blocks[:, :, 1:] / blocks[:, :, :1]
            s, t, y = means[:, :, 0], means[:, :, 1], means[:, :, 2]
            theta = means[:, :, 5] - y**2 - noise[:, None] * means[:, :, 9]
            theta = np.where(theta > 0, theta, np.nan)
            sy, ty = means[:, :, 7] - s * y, means[:, :, 8] - t * y
            error_s = means[:, :, 3] - s**2 - sy**2 / theta
            error_t = means[:, :, 4] - t**2 - ty**2 / theta
            shared_error = means[:, :, 6] - s * t - sy * ty / theta
            r = np.clip(shared_error / np.sqrt(error_s * error_t), -1, 1)
        return np.asarray(np.mean(r, axis=1))

    n = int((scored.sum(axis=1) >= 2).sum())
    r = cluster_jackknife(sums, mean_correlation, n=n, level=level, what="effective judges")

    def worth(correlation: float) -> float:
        return panel / (1 + (panel - 1) * min(max(correlation, 0.0), 1.0))

    # n_eff falls as r rises; its own interval would be of no width wherever r is estimated below 0
    estimate, slope = worth(r.estimate), (panel - 1) * worth(max(r.estimate, 0.0)) ** 2 / panel
    return Effect(estimate, worth(r.high), worth(r.low), slope * r.std_error, r.n, r.prompts, r.freedom)

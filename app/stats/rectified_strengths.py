r"""Strengths of systems from a panel's preferences between pairs of them, corrected by people's.

Units u are pairs of answers by systems (i, k), with a panel's prediction f_u of the human preference that
saw no human grade of the prompt. On the few that people graded, y_u = 1, 1/2, 0 for a win, tie or loss of i,
and t_u = 1 for a tie (means over people). With a_u the inverse of the chance of being graded, f_p the mean
prediction of all units of a pair of systems p, x_u = f_u - f_p, and W, P(tie) of `davidson` at
eta_p = theta_i - theta_k, the strengths solve

    sum_p m_p (Y_p - W(eta_p, gamma)) z_p = 0,    Y_p = sum a_u (y_u - lam x_u) / m_p,    m_p = sum a_u,
    sum_p m_p (T_p - P(tie; eta_p, gamma)) = 0,   T_p = sum a_u t_u / m_p,

z_p being +1 at i and -1 at k. Y_p is the *rectified* preference of the pair (`rectifier`): unbiased whatever
the panel says, so a bad panel costs width and no bias. Strengths sum to 0.

*Power tuning.* lam is the slope of y - W on x beside the strengths, by least squares over all graded units,
shrunk by its error clustered by prompt as in `rectifier`. So no pair of systems needs two graded units.

*Errors.* s_g sums the scores of the units of prompt g: a_u (y_u - lam x_u - W) z_p, and a_u (t_u - P(tie)),
of its graded ones, m_p lam (f_u - f_p) z_p / n_p of all. With H the derivative of the equations, H_g the
part of g,

    V = H^-1 [ sum_g s~_g s~_g' + d d' var(lam) ] H^-1,
    s~_g = (1 - H_g H^-1)^-1 s_g,    d = sum over graded u of a_u x_u z_p:

one step of the delete-one-prompt jackknife (CR3, Bell & McCaffrey 2002). A contrast c has t intervals with
(sum h_g)^2 / sum h_g^2 - 1 degrees of freedom, h_g = c' H^-1 H_g H^-1 c.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from app.stats.davidson import log_partition, outcomes
from app.stats.errors import InsufficientData
from app.stats.grouped import sum_by
from app.stats.rectifier import PowerTuning

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

LEAST_PROMPTS = 20  # with human grades, below which no strengths are given
LEAST_PROMPTS_OF_SYSTEM = 5
_STEPS = 100
_BOUND = 30.0  # log odds: beyond, strengths are not finite


def strengths_of(
    *, first: NDArray[np.integer], second: NDArray[np.integer], win_rate: Floats, ties: Floats, systems: int
) -> tuple[Floats, float]:
    """Strengths (S,) and gamma that fit known preferences and ties of pairs of systems, all (P,)."""
    units = PairedUnits(
        first, second, np.arange(len(first)), np.full(len(first), np.nan), win_rate, ties, systems, None
    )
    return solve(units, 0.0)


class PairedUnits:
    """Units by pair of systems: m_p, z_p, and what people and the panel said, in the order first < second."""

    def __init__(
        self, first: NDArray[np.integer], second: NDArray[np.integer], prompt: NDArray[np.integer],
        prediction: Floats, preference: Floats, ties: Floats, systems: int, inclusion: Floats | None,
    ) -> None:  # fmt: skip
        self.systems = systems
        turned = first > second
        low, high = np.minimum(first, second).astype(np.int64), np.maximum(first, second)
        code, self.pair = np.unique(low * systems + high, return_inverse=True)
        self.first, self.second = code // systems, code % systems
        pairs = code.size
        self.z = np.zeros((pairs, systems))
        self.z[np.arange(pairs), self.first], self.z[np.arange(pairs), self.second] = 1.0, -1.0
        self.prompt = np.unique(prompt, return_inverse=True)[1].astype(np.int64)
        f = np.where(turned, 1.0 - prediction, prediction)
        known = np.isfinite(f)
        count = np.maximum(np.bincount(self.pair[known], minlength=pairs), 1)
        mean = sum_by(self.pair[known], f[known], pairs) / count
        self.x = np.where(known, f - mean[self.pair], 0.0)  # a unit nobody scored counts with its pair's mean
        self.n = np.bincount(self.pair, minlength=pairs)
        graded = np.flatnonzero(np.isfinite(preference))
        self.graded = graded
        self.row_pair, self.row_prompt = self.pair[graded], self.prompt[graded]
        self.y = np.where(turned[graded], 1.0 - preference[graded], preference[graded])
        self.t = ties[graded]
        a = np.ones(graded.size) if inclusion is None else 1.0 / inclusion[graded]
        self.a = a * graded.size / max(float(a.sum()), 1e-300)
        self.m = sum_by(self.row_pair, self.a, pairs)
        # an orthonormal basis of strengths that sum to 0
        self.basis = np.linalg.qr(np.column_stack([np.ones(systems), np.eye(systems)[:, 1:]]))[0][:, 1:]
        self.zb = self.z @ self.basis
        self.any_ties = bool(float(self.a @ self.t) > 0)

    def prompts_of_systems(self) -> Ints:
        """(S,) graded prompts."""
        both = np.concatenate([self.first[self.row_pair], self.second[self.row_pair]])
        code = np.unique(np.tile(self.row_prompt, 2) * self.systems + both)
        return np.bincount(code % self.systems, minlength=self.systems)

    def means(self, lam: float) -> tuple[Floats, Floats]:
        """(P,) Y_p and T_p; 0 where nothing is graded."""
        total = np.maximum(self.m, 1e-300)
        y = sum_by(self.row_pair, self.a * (self.y - lam * self.x[self.graded]), self.m.size) / total
        return y, sum_by(self.row_pair, self.a * self.t, self.m.size) / total


def check(units: PairedUnits) -> None:
    """What strengths need; InsufficientData names what is lacking."""
    prompts = np.unique(units.row_prompt).size
    if prompts < LEAST_PROMPTS:
        raise InsufficientData("prompts with human grades", prompts, LEAST_PROMPTS)
    least = int(units.prompts_of_systems().min())
    if least < LEAST_PROMPTS_OF_SYSTEM:
        raise InsufficientData("prompts with human grades of a system", least, LEAST_PROMPTS_OF_SYSTEM)
    if units.t.min() >= 1.0:
        raise InsufficientData("pairs that people did not call a tie", 0, 1)


def solve(units: PairedUnits, lam: float) -> tuple[Floats, float]:
    """Strengths (S,) and gamma, by Newton's method on a concave criterion."""
    y, t = units.means(lam)
    m, zb, k = units.m, units.zb, units.zb.shape[1]
    share = float(m @ t) / float(m.sum())
    free = k + units.any_ties
    beta = np.zeros(k)
    gamma = float(np.log(2 * share / (1 - share))) if units.any_ties else -np.inf

    def criterion(b: Floats, g: float) -> float:
        eta = zb @ b
        tied = float(m @ t) * g if units.any_ties else 0.0
        return float(m @ (y * eta - log_partition(eta, g))) + tied

    value = criterion(beta, gamma)
    for _ in range(_STEPS):
        gradient, hessian = _equations(units, zb @ beta, gamma, y, t)
        try:
            step = np.linalg.solve(hessian[:free, :free], gradient[:free])
        except np.linalg.LinAlgError:
            break
        if float(gradient[:free] @ step) < 1e-18 * max(abs(value), 1.0):
            return units.basis @ beta, gamma
        length = 1.0
        while length > 1e-8:
            next_beta = beta + length * step[:k]
            next_gamma = gamma + length * float(step[k]) if units.any_ties else gamma
            found = criterion(next_beta, next_gamma)
            if found >= value - 1e-13 * abs(value):
                break
            length /= 2
        beta, gamma, value = next_beta, next_gamma, found
        if np.abs(zb @ beta).max() > _BOUND:
            break
    raise InsufficientData("systems with finite strengths", 0, units.systems)


def _equations(units: PairedUnits, eta: Floats, gamma: float, y: Floats, t: Floats) -> tuple[Floats, Floats]:
    """The equations and minus their derivative, in the basis and gamma (the last row and column)."""
    chance = outcomes(eta, gamma)
    ee, eg, gg = (units.m * one for one in chance.information)
    k = units.zb.shape[1]
    gradient, hessian = np.zeros(k + 1), np.zeros((k + 1, k + 1))
    gradient[:k] = units.zb.T @ (units.m * (y - chance.win_rate))
    gradient[k] = float(units.m @ (t - chance.tie))
    hessian[:k, :k] = (units.zb * ee[:, None]).T @ units.zb
    hessian[:k, k] = hessian[k, :k] = units.zb.T @ eg
    hessian[k, k] = float(gg.sum()) if units.any_ties else 1.0
    return gradient, hessian


def tune(units: PairedUnits, theta: Floats, gamma: float) -> PowerTuning:
    """lam: the slope of y - W on x beside the strengths, shrunk as in `rectifier`."""
    chance = outcomes((units.z @ theta)[units.row_pair], gamma)
    root = np.sqrt(units.a)
    columns = root[:, None] * (chance.information[0][:, None] * units.zb[units.row_pair])
    both = root[:, None] * np.column_stack([units.y - chance.win_rate, units.x[units.graded]])
    free = both - columns @ np.linalg.lstsq(columns, both, rcond=None)[0]
    dy, dx = free[:, 0], free[:, 1]
    sxx, syy, sxy = float(dx @ dx), float(dy @ dy), float(dx @ dy)
    if sxx <= 1e-12 * max(dx.size, 1):  # a panel that never varies carries no information
        return PowerTuning(0.0, 0.0, 0.0, 0.0)
    slope = sxy / sxx
    correlation = sxy / float(np.sqrt(sxx * syy)) if syy > 0 else 0.0
    score = sum_by(units.row_prompt, dx * (dy - slope * dx))
    size, spent, clusters = dx.size, units.systems, np.unique(units.row_prompt).size
    if size <= spent:
        return PowerTuning(0.0, slope, 0.0, correlation)
    correction = clusters / (clusters - 1) * (size - 1) / (size - spent)
    variance = float(score @ score) / sxx**2 * correction
    shrink = max(0.0, 1.0 - variance / slope**2) if slope != 0 else 0.0
    return PowerTuning(max(slope * shrink, 0.0), slope, variance, correlation)


class Errors:
    """The covariance of (strengths, gamma) and the degrees of freedom of contrasts of them."""

    def __init__(self, units: PairedUnits, theta: Floats, gamma: float, power: PowerTuning) -> None:
        self.units = units
        eta = units.z @ theta
        chance = outcomes(eta, gamma)
        self.information = chance.information
        k = units.zb.shape[1]
        y, t = units.means(power.lam)
        hessian = _equations(units, eta, gamma, y, t)[1]
        self.inverse = np.linalg.inv(hessian)
        of = units.row_pair
        prompts = int(units.prompt.max()) + 1
        # scores of graded units
        score = np.zeros((prompts, k + 1))
        x = units.x[units.graded]
        residual = units.a * (units.y - power.lam * x - chance.win_rate[of])
        rows = np.column_stack([residual[:, None] * units.zb[of], units.a * (units.t - chance.tie[of])])
        np.add.at(score, units.row_prompt, rows)
        if not units.any_ties:
            score[:, k] = 0.0
        score = self._corrected(score, k)
        moved = power.lam * units.x * (units.m / np.maximum(units.n, 1))[units.pair]
        traffic = csr_matrix((moved, (units.prompt, units.pair)), shape=(prompts, units.m.size)) @ units.zb
        score[:, :k] += traffic
        lever = np.append(units.zb.T @ sum_by(of, units.a * x, units.m.size), 0.0)
        slope = power.slope_variance if power.lam > 0 else 0.0
        meat = score.T @ score + slope * np.outer(lever, lever)
        covariance = self.inverse @ meat @ self.inverse
        self.widen = np.zeros((units.systems + 1, k + 1))
        self.widen[: units.systems, :k], self.widen[units.systems, k] = units.basis, 1.0
        self.covariance = self.widen @ covariance @ self.widen.T

    def _corrected(self, score: Floats, k: int) -> Floats:
        """(1 - H_g H^-1)^-1 s_g for every graded prompt."""
        units, (ee, eg, gg) = self.units, self.information
        order = np.argsort(units.row_prompt, kind="stable")
        starts = np.flatnonzero(np.diff(units.row_prompt[order], prepend=-1))
        out = score.copy()
        for rows in np.split(order, starts[1:]):
            p, a = units.row_pair[rows], units.a[rows]
            z = units.zb[p]
            part = np.zeros((k + 1, k + 1))
            part[:k, :k] = (z * (a * ee[p])[:, None]).T @ z
            part[:k, k] = part[k, :k] = z.T @ (a * eg[p])
            part[k, k] = float(a @ gg[p])
            left = np.eye(k + 1) - part @ self.inverse
            if np.linalg.cond(left) > 1e8:
                raise InsufficientData("prompts that connect two parts of the systems", 1, 2)
            g = units.row_prompt[rows[0]]
            out[g] = np.linalg.solve(left, score[g])
        return out

    def freedom(self, contrasts: Floats) -> Floats:
        """(C,) degrees of freedom of contrasts (C, S + 1) of strengths and gamma; at least 1."""
        units, (ee, eg, gg) = self.units, self.information
        along = contrasts @ self.widen @ self.inverse  # (C, k + 1)
        cells, cell = np.unique(units.row_prompt * units.m.size + units.row_pair, return_inverse=True)
        weight, pair = sum_by(cell, units.a), cells % units.m.size
        place = np.unique(cells // units.m.size, return_inverse=True)[1]
        gather = csr_matrix((np.ones(cells.size), (place, np.arange(cells.size))))
        out = np.empty(len(along))
        for start in range(0, len(along), 256):
            part = along[start : start + 256]
            z, g = units.zb[pair] @ part[:, :-1].T, part[:, -1][None, :]
            spent = ee[pair][:, None] * z**2 + 2 * eg[pair][:, None] * z * g + gg[pair][:, None] * g**2
            of_prompt = gather @ (weight[:, None] * spent)
            out[start : start + 256] = of_prompt.sum(0) ** 2 / np.maximum((of_prompt**2).sum(0), 1e-300) - 1
        return np.maximum(out, 1.0)

    def se(self, contrasts: Floats) -> Floats:
        """(C,) standard errors."""
        spread = np.einsum("ci,ij,cj->c", contrasts, self.covariance, contrasts)
        return np.asarray(np.sqrt(np.maximum(spread, 0.0)))

r"""How judges rank systems, without people: Bradley-Terry strengths with ties, places, and judges who differ.

A verdict of judge j on systems i (shown first) and k follows Davidson's model (`davidson`) with

    eta = theta_i - theta_k + b_ji - b_jk + pi_j o,     gamma = gamma_j,     b_j ~ N(0, tau^2 (I - 11'/S)),

o = 1 where the order is known, else 0: pi_j is the judge's taste for the first place, b_ji its taste for a
system, gamma_j its own readiness to tie. Outcomes are those of the answer shown first, so pi_j is there
however systems and places go together; whether it can be told from strengths is another matter
(`told_from_position`). A judge that never ties has gamma_j = -inf, which costs the others nothing.

*Fit.* Given tau, all coefficients maximise the likelihood less sum |b_j|^2 / (2 tau^2); tau maximises that
value less half log |H| and q log tau, H minus the second derivative by all coefficients, q = J (S - 1):
Laplace's restricted likelihood (Breslow & Clayton 1993).

*Errors.* Verdicts on a prompt go together. With s_g the scores of prompt g and P the penalty's part of H,

    V = H^-1 (G/(G-1) sum_g s_g s_g' + P) H^-1,

which is H^-1 if verdicts are independent (Henderson's equations), and otherwise clustered by prompt. A
contrast with the shares v_p (prompts) and v_j (P: judges) of its variance v has
v^2 / (v_p^2 / (G-1) + v_j^2 / (J-1)) degrees of freedom: it is about judges like these, not these alone.

*Win rates* are P(win) + P(tie)/2 in the mean over the judges' ties, both orders, and tastes b.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.sparse import csr_matrix
from scipy.special import expit, logit, stdtrit

from app.stats.davidson import log_partition, outcomes
from app.stats.errors import InsufficientData
from app.stats.grouped import sum_by
from app.stats.rank_intervals import rank_intervals, ranks

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

LEAST_JUDGES = 2
LEAST_PROMPTS = 20
_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(15)
_TAUS = (1e-3, 5.0)  # log odds
_NO_TAU = 2e-3  # at the lower end judges do not differ
_STEPS = 60
_FURTHEST = 4.0  # of one step, log odds


@dataclass(frozen=True, slots=True)
class JudgeRanking:
    """S systems and J judges. Intervals are pairs of arrays, low and high.

    ``strength``, ``win_rate``, ``rank`` with intervals (S,) as in `rankings.Ranking`, for judges like these;
    ``spread``: tau; ``position`` (J,): pi_j, 0 where no order is known; ``log_ties`` (J,); ``verdicts`` (J,).
    """

    strength: Floats
    strength_interval: tuple[Floats, Floats]
    win_rate: Floats
    win_rate_interval: tuple[Floats, Floats]
    rank: Ints
    rank_interval: tuple[Ints, Ints]
    spread: float
    position: Floats
    log_ties: Floats
    verdicts: Ints


class Cells:
    """Verdicts counted by judge, systems as shown, and whether the order is known: C cells."""

    def __init__(
        self, *, judge: NDArray[np.integer], first: NDArray[np.integer], second: NDArray[np.integer],
        ordered: NDArray[np.bool_], prompt: NDArray[np.integer], outcome: Floats, systems: int, judges: int,
    ) -> None:  # fmt: skip
        self.systems, self.judges = systems, judges
        code = ((judge.astype(np.int64) * systems + first) * systems + second) * 2 + ordered
        kept, cell = np.unique(code, return_inverse=True)
        self.ordered = (kept % 2).astype(float)
        self.second, self.first = kept // 2 % systems, kept // 2 // systems % systems
        self.judge = kept // 2 // systems**2
        self.n = np.bincount(cell).astype(float)
        self.y, self.t = sum_by(cell, outcome), sum_by(cell, (outcome == 0.5).astype(float))
        self.verdicts = np.bincount(judge, minlength=judges)
        self.ties = np.bincount(self.judge, self.t, judges)
        self.known = np.bincount(self.judge, self.n * self.ordered, judges)
        place = np.unique(prompt, return_inverse=True)[1]
        self.prompts = int(place.max(initial=-1)) + 1
        shape = (self.prompts, kept.size)
        self.count_of = csr_matrix((np.ones(cell.size), (place, cell)), shape=shape)
        self.y_of = csr_matrix((outcome, (place, cell)), shape=shape)
        self.t_of = csr_matrix(((outcome == 0.5).astype(float), (place, cell)), shape=shape)
        basis = np.linalg.qr(np.column_stack([np.ones(systems), np.eye(systems)[:, 1:]]))[0][:, 1:]
        self.basis = basis
        z = basis[self.first] - basis[self.second]
        own = np.arange(judges)[None, :] == self.judge[:, None]
        tastes = (own[:, :, None] * z[:, None, :]).reshape(kept.size, -1)
        self.placed = np.flatnonzero(self.known > 0)
        self.tied = np.flatnonzero(self.ties > 0)
        self.z, k = z, systems - 1
        self.eta = np.column_stack([z, own[:, self.placed] * self.ordered[:, None], tastes])
        self.fixed = k + self.placed.size  # strengths and positions; then tastes, then ties
        self.gamma = own[:, self.tied].astype(float)


def told_from_position(cells: Cells) -> float:
    """The least share of the information on any difference of strengths that is left beside positions.

    0 where a difference and the first place always go together.
    """
    k, weight = cells.systems - 1, 0.25 * cells.n
    x = cells.eta[:, : cells.fixed]
    info = (x * weight[:, None]).T @ x
    a, b, c = info[:k, :k], info[:k, k:], info[k:, k:]
    left = a - b @ np.linalg.solve(c, b.T) if c.size else a
    root = np.linalg.cholesky(a + 1e-12 * np.trace(a) * np.eye(k))
    inner = np.linalg.solve(root, np.linalg.solve(root, left).T)
    return float(np.linalg.eigvalsh((inner + inner.T) / 2)[0])


@dataclass(frozen=True, slots=True)
class Mode:
    """Coefficients at a spread: all (fixed, tastes, ties), minus the second derivative, penalised value."""

    coefficients: Floats
    hessian: Floats
    value: float


def mode_at(cells: Cells, tau: float, start: Floats | None = None) -> Mode:
    """The penalised likelihood's maximum at a spread, by Newton's method."""
    size, d = cells.eta.shape[1], cells.tied.size
    penalty = np.zeros(size + d)
    penalty[cells.fixed : size] = 1.0 / tau**2
    beta = np.zeros(size + d) if start is None else start
    value, gradient, hessian = _derivatives(cells, beta, penalty)
    for _ in range(_STEPS):
        step = np.linalg.solve(hessian, gradient)
        if float(gradient @ step) < 1e-16 * max(abs(value), 1.0):
            return Mode(beta, hessian, value)
        length = min(1.0, _FURTHEST / max(float(np.abs(step).max()), 1e-300))
        while length > 1e-10:
            found = _derivatives(cells, beta + length * step, penalty)
            if found[0] >= value - 1e-12 * abs(value):
                break
            length /= 2
        beta = beta + length * step
        value, gradient, hessian = found
        if np.abs(beta[: cells.fixed]).max(initial=0.0) > 30.0:
            break
    raise InsufficientData("systems with finite strengths", 0, cells.systems)


def _derivatives(cells: Cells, beta: Floats, penalty: Floats) -> tuple[float, Floats, Floats]:
    size = cells.eta.shape[1]
    eta, gamma = _linear(cells, beta)
    chance = outcomes(eta, gamma)
    ee, eg, gg = (cells.n * one for one in chance.information)
    tied = np.where(np.isfinite(gamma), cells.t * np.where(np.isfinite(gamma), gamma, 0.0), 0.0)
    value = float(np.sum(cells.y * eta + tied - cells.n * log_partition(eta, gamma)))
    gradient = np.concatenate(
        [
            cells.eta.T @ (cells.y - cells.n * chance.win_rate),
            cells.gamma.T @ (cells.t - cells.n * chance.tie),
        ]
    )
    hessian = np.zeros((beta.size, beta.size))
    hessian[:size, :size] = (cells.eta * ee[:, None]).T @ cells.eta
    hessian[:size, size:] = (cells.eta * eg[:, None]).T @ cells.gamma
    hessian[size:, :size] = hessian[:size, size:].T
    hessian[size:, size:] = (cells.gamma * gg[:, None]).T @ cells.gamma
    return (
        value - 0.5 * float(penalty @ beta**2),
        gradient - penalty * beta,
        hessian + np.diag(penalty),
    )


def _linear(cells: Cells, beta: Floats) -> tuple[Floats, Floats]:
    """eta and gamma (C,)."""
    size = cells.eta.shape[1]
    of = np.full(cells.judges, -np.inf)
    of[cells.tied] = beta[size:]
    return cells.eta @ beta[:size], of[cells.judge]


def rank_by_judges(
    cells: Cells, *, level: float = 0.95, rng: np.random.Generator | None = None
) -> JudgeRanking:
    """Rank systems as judges like these would.

    Comparisons have to connect the systems (`comparison_graph`), none of them may be never beaten, and
    strengths have to be told from position (`told_from_position`).

    Raises
    ------
    InsufficientData
        If there are fewer than two judges or twenty prompts, or strengths are not finite.
    """
    if cells.judges < LEAST_JUDGES:
        raise InsufficientData("judges", cells.judges, LEAST_JUDGES)
    if cells.prompts < LEAST_PROMPTS:
        raise InsufficientData("prompts with verdicts", cells.prompts, LEAST_PROMPTS)
    tau = _spread(cells)
    mode = mode_at(cells, tau)
    from_prompts, from_judges = _covariances(cells, mode, tau)
    if tau <= _NO_TAU:
        tau = 0.0
    k, size = cells.systems - 1, cells.eta.shape[1]
    theta = cells.basis @ mode.coefficients[:k]
    wide = np.zeros((cells.systems, mode.coefficients.size))
    wide[:, :k] = cells.basis
    half = 0.5 + level / 2

    def parts(contrasts: Floats) -> tuple[Floats, Floats]:
        v_p, v_j = (
            np.einsum("ci,ij,cj->c", contrasts, one, contrasts) for one in (from_prompts, from_judges)
        )
        v = v_p + v_j
        spent = v_p**2 / (cells.prompts - 1) + v_j**2 / (cells.judges - 1)
        return np.sqrt(np.maximum(v, 0.0)), v**2 / np.maximum(spent, 1e-300)

    se, df = parts(wide)
    reach = stdtrit(df, half) * se
    rate, step = _win_rates(cells, mode.coefficients, theta, tau)
    rate_se, rate_df = parts(step)
    rate_reach = stdtrit(rate_df, half) * rate_se / np.maximum(rate * (1.0 - rate), 1e-12)
    covariance = wide @ (from_prompts + from_judges) @ wide.T
    position = np.zeros(cells.judges)
    position[cells.placed] = mode.coefficients[k : cells.fixed]
    log_ties = np.full(cells.judges, -np.inf)
    log_ties[cells.tied] = mode.coefficients[size:]
    return JudgeRanking(
        strength=theta, strength_interval=(theta - reach, theta + reach), win_rate=rate,
        win_rate_interval=(
            np.asarray(expit(logit(rate) - rate_reach)), np.asarray(expit(logit(rate) + rate_reach))
        ),
        rank=ranks(theta),
        rank_interval=rank_intervals(
            theta, covariance, lambda contrasts: parts(contrasts @ wide)[1], level=level,
            rng=rng or np.random.default_rng(0),
        ),
        spread=tau, position=position, log_ties=log_ties, verdicts=cells.verdicts,
    )  # fmt: skip


def _spread(cells: Cells) -> float:
    q = cells.judges * (cells.systems - 1)
    start = mode_at(cells, 0.3).coefficients

    def lack(log_tau: float) -> float:
        mode = mode_at(cells, float(np.exp(log_tau)), start)
        return -mode.value + 0.5 * float(np.linalg.slogdet(mode.hessian)[1]) + q * log_tau

    found = minimize_scalar(lack, bounds=tuple(np.log(_TAUS)), method="bounded", options={"xatol": 1e-3})
    return float(np.exp(found.x))


def _covariances(cells: Cells, mode: Mode, tau: float) -> tuple[Floats, Floats]:
    """V of all coefficients in its two parts: from prompts, and from judges."""
    size, beta = cells.eta.shape[1], mode.coefficients
    eta, gamma = _linear(cells, beta)
    chance = outcomes(eta, gamma)
    score = np.column_stack(
        [
            cells.y_of @ cells.eta - cells.count_of @ (chance.win_rate[:, None] * cells.eta),
            cells.t_of @ cells.gamma - cells.count_of @ (chance.tie[:, None] * cells.gamma),
        ]
    )
    penalty = np.zeros(beta.size)
    penalty[cells.fixed : size] = 1.0 / tau**2
    inverse = np.linalg.inv(mode.hessian)
    half = score @ inverse
    judges = inverse[:, cells.fixed : size] / tau
    return cells.prompts / (cells.prompts - 1) * (half.T @ half), judges @ judges.T


def _win_rates(cells: Cells, beta: Floats, theta: Floats, tau: float) -> tuple[Floats, Floats]:
    """(S,) win rates against another system drawn at random, and their derivatives by all coefficients."""
    s, size, k = cells.systems, cells.eta.shape[1], cells.systems - 1
    gap = theta[:, None] - theta[None, :]
    off = ~np.eye(s, dtype=bool)
    rate, step = np.zeros(s), np.zeros((s, beta.size))
    weights = _WEIGHTS / _WEIGHTS.sum() / (2 * cells.judges * (s - 1))
    for j in range(cells.judges):
        place = np.flatnonzero(cells.placed == j)
        tie = np.flatnonzero(cells.tied == j)
        position = float(beta[k + place[0]]) if place.size else 0.0
        gamma = float(beta[size + tie[0]]) if tie.size else -np.inf
        for node, weight in zip(_NODES, weights, strict=True):
            for order in (1.0, -1.0):
                at = outcomes((gap + np.sqrt(2.0) * tau * node + order * position).ravel(), gamma)
                ee, eg, _ = (one.reshape(s, s) for one in at.information)
                rate += weight * np.where(off, at.win_rate.reshape(s, s), 0.0).sum(1)
                ee, eg = np.where(off, ee, 0.0), np.where(off, eg, 0.0)
                step[:, :k] += weight * (ee.sum(1)[:, None] * cells.basis - ee @ cells.basis)
                if place.size:
                    step[:, k + place[0]] += weight * order * ee.sum(1)
                if tie.size:
                    step[:, size + tie[0]] += weight * eg.sum(1)
    return rate, step

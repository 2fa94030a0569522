"""The mixed model by the textbook: n x n matrices, no structure. Slow, short and easy to check."""

from dataclasses import dataclass

import numpy as np
from scipy.linalg import block_diag

from app.stats.lmm import LmmFit, RandomTerm


@dataclass(frozen=True, slots=True, kw_only=True)
class Dense:
    beta: np.ndarray
    covariance: np.ndarray
    modes: np.ndarray
    deviance: float
    mean: np.ndarray
    variance: np.ndarray
    mode_variance: np.ndarray


def design(terms: list[RandomTerm], n: int) -> np.ndarray:
    parts = []
    for term in terms:
        columns = [np.ones(n)] if term.intercept else []
        if term.columns is not None:
            columns += list(np.asarray(term.columns, float).reshape(n, -1).T)
        levels = term.levels or int(term.codes.max()) + 1
        part = np.zeros((n, levels * len(columns)))
        rows = np.flatnonzero(term.codes >= 0)
        for k, column in enumerate(columns):
            part[rows, term.codes[rows] * len(columns) + k] = column[rows]
        parts.append(part)
    return np.hstack(parts)


def at_estimates(
    fit: LmmFit, terms: list[RandomTerm], y: np.ndarray, X: np.ndarray, w: np.ndarray | None
) -> Dense:
    """Everything at the fit's variances: GLS, BLUPs, the criterion, predictions with variances."""
    n, p = X.shape
    weights = np.ones(n) if w is None else w
    Z = design(terms, n)
    G = block_diag(*[np.kron(np.eye(c.levels), c.covariance) for c in fit.components])
    R = np.diag(fit.sigma2 / weights)
    V = Z @ G @ Z.T + R
    Vi = np.linalg.inv(V)
    C = np.linalg.inv(X.T @ Vi @ X)
    beta = C @ X.T @ Vi @ y
    rest = y - X @ beta
    u = G @ Z.T @ Vi @ rest
    P = Vi - Vi @ X @ C @ X.T @ Vi
    if fit.reml:
        deviance = (
            np.linalg.slogdet(V)[1]
            + np.linalg.slogdet(X.T @ Vi @ X)[1]
            + y @ P @ y
            + (n - p) * np.log(2 * np.pi)
        )
    else:
        deviance = np.linalg.slogdet(V)[1] + y @ P @ y + n * np.log(2 * np.pi)
    # Cov of (beta_hat - beta, u_hat - u), Henderson's inverse written with V (G may be singular).
    cross = -C @ X.T @ Vi @ Z @ G
    uu = G - G @ Z.T @ P @ Z @ G
    joint = np.block([[C, cross], [cross.T, uu]])
    A = np.hstack([X, Z])
    return Dense(
        beta=beta,
        covariance=C,
        modes=u,
        deviance=float(deviance),
        mean=A @ np.concatenate([beta, u]),
        variance=np.einsum("ij,jk,ik->i", A, joint, A),
        mode_variance=np.diag(uu),
    )


def kenward_roger(
    fit: LmmFit, terms: list[RandomTerm], X: np.ndarray, w: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    """Adjusted covariance of beta and degrees of freedom of each coefficient, from n x n matrices."""
    n = len(X)
    weights = np.ones(n) if w is None else w
    parts, V = [np.diag(1 / weights)], np.diag(fit.sigma2 / weights)
    for term, component in zip(terms, fit.components, strict=True):
        Z = design([term], n)
        k = len(component.sd)
        V = V + Z @ np.kron(np.eye(component.levels), component.covariance) @ Z.T
        for i in range(k):
            for j in range(i + 1 if term.correlated else 0):
                one, two = Z[:, i::k], Z[:, j::k]
                parts.append(one @ two.T + (two @ one.T if i != j else 0))
            if not term.correlated:
                parts.append(Z[:, i::k] @ Z[:, i::k].T)
    Vi = np.linalg.inv(V)
    phi = np.linalg.inv(X.T @ Vi @ X)
    P = [-X.T @ Vi @ G @ Vi @ X for G in parts]
    middle = [Vi @ G @ Vi for G in parts]
    r = len(parts)
    Q = [[X.T @ middle[i] @ V @ middle[j] @ X for j in range(r)] for i in range(r)]
    information = np.array(
        [
            [
                np.sum((middle[i] @ V) * (middle[j] @ V).T)
                - 2 * np.trace(phi @ Q[i][j])
                + np.trace(phi @ P[i] @ phi @ P[j])
                for j in range(r)
            ]
            for i in range(r)
        ]
    )
    W = 2 * np.linalg.inv(information)
    gap = sum(W[i, j] * (Q[i][j] - P[i] @ phi @ P[j]) for i in range(r) for j in range(r))
    along = np.array([np.diag(phi @ one @ phi) for one in P])
    df = 2 * np.diag(phi) ** 2 / np.einsum("ip,ij,jp->p", along, W, along)
    return phi + 2 * phi @ gap @ phi, df

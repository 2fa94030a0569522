"""The Gaussian linear mixed model of the service: one large factor, several small crossed ones, any weights.

    fit = fit_lmm(y=score, X=X, groups=[RandomTerm(name="item", codes=item),
                                        RandomTerm(name="judge", codes=judge, columns=slopes)])

`fit_lmm` estimates; `lmm_predict` predicts; `lmm_inference` gives contrasts, degrees of freedom and
intervals.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from app.stats.errors import InsufficientData
from app.stats.lmm_criterion import MAX_BORDER, Criterion, Factor, symmetric_inverse
from app.stats.lmm_design import (
    Block,
    Floats,
    Ints,
    RandomTerm,
    Term,
    blocks_of,
    check_outcome,
    check_term,
)
from app.stats.lmm_fixed import FixedPart, prepare_fixed, residualise
from app.stats.lmm_identify import identify
from app.stats.lmm_optimise import BARRIER, DECREMENT, OptimiserRecord, default_start, minimise

__all__ = ["LmmFit", "RandomTerm", "VarianceComponent", "fit_lmm"]

SECOND_START = 2_000
"""Up to this many rows the search is run from a second start: small data can have two minima."""

SINGULAR = 1e-4
"""A standard deviation below this part of the residual's is zero (lme4's `isSingular`)."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class VarianceComponent:
    """The covariance of one term's random effects, in the units of y (slopes: of y per unit of the column).

    effects      names of the K effects, "intercept" first if there is one
    sd           (K,) standard deviations
    correlation  (K, K); identity for independent effects, 0 where a standard deviation is zero
    covariance   (K, K)
    levels       number of levels; used: those with at least one row
    singular     the covariance is on the boundary: a zero standard deviation or a correlation of +-1
    identified   the data can tell these variances from the fixed effects and from the other variances
    """

    term: str
    effects: tuple[str, ...]
    sd: Floats
    correlation: Floats
    covariance: Floats
    levels: int
    used: int
    singular: bool
    identified: bool


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LmmFit:
    """A fitted linear mixed model; p fixed effects could be estimated of the p_all columns of X.

    n, p, df           rows with positive weight; rank of X; residual degrees of freedom (n - p; ML: n)
    names              (p_all,) names of the caller's columns
    kept               (p,) indices of the columns that have a coefficient
    dropped            names of zero or aliased columns, which have none
    beta               (p,) fixed effects, units of y per unit of the column
    covariance         (p, p) covariance of beta at the estimated variances
    standard_errors    (p,)
    sigma2             residual variance for a row of weight 1, units of y squared; sigma its root
    components         one `VarianceComponent` per term, in the caller's order
    reml               REML (True) or maximum likelihood
    deviance           REML criterion, or -2 log likelihood under ML, on the scale of y, as in lme4
    log_likelihood     -deviance / 2
    singular           a variance (the residual's included) or a correlation is on the boundary of its space
    converged          the criterion is at a minimum (a further Newton step gains less than 1e-6)
    identified         every variance can be told from the others and from the fixed effects
    reasons            one sentence for every fact that is not as hoped
    optimiser          what the optimiser did
    """

    n: int
    p: int
    df: int
    names: tuple[str, ...]
    kept: Ints
    dropped: tuple[str, ...]
    beta: Floats
    covariance: Floats
    standard_errors: Floats
    sigma2: float
    components: tuple[VarianceComponent, ...]
    reml: bool
    deviance: float
    log_likelihood: float
    singular: bool
    converged: bool
    identified: bool
    reasons: tuple[str, ...]
    optimiser: OptimiserRecord
    engine: "Engine" = field(repr=False)

    @property
    def sigma(self) -> float:
        return float(np.sqrt(self.sigma2))

    def component(self, term: str) -> VarianceComponent:
        """The component of one term by name; KeyError if there is none."""
        for candidate in self.components:
            if candidate.term == term:
                return candidate
        raise KeyError(term)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Engine:
    """What prediction and inference need of a fit beyond its results; internal to the lmm files.

    y_scale: y on the caller's scale = X b_scaled + y_scale * (what the criterion saw)
    """

    criterion: Criterion
    state: Factor
    fixed: FixedPart
    terms: tuple[Term, ...]
    blocks: tuple[Block, ...]
    offset: Floats
    y_scale: float
    sigma_scaled: float


def fit_lmm(
    *,
    y: Any,
    X: Any,
    groups: Sequence[RandomTerm] = (),
    weights: Any = None,
    reml: bool = True,
    names: Sequence[str] | None = None,
    max_border: int = MAX_BORDER,
) -> LmmFit:
    """Fit y = X beta + sum_t Z_t b_t + e by REML or ML.

    y        (n,) outcome
    X        (n, p_all) dense array, or a scipy sparse matrix where most entries are zero; the caller includes
             the intercept column. Zero and aliased columns are dropped and named
    groups   random terms; negative codes mean that a row lacks the term
    weights  (n,) prior weights: Var(e_i) = sigma^2 / w_i. A row of weight 0 is left out
    names    (p_all,) column names
    max_border  random effects beside the large factor above which the general sparse factorisation takes over

    Raises ValueError for arrays that do not fit together or are not finite, InsufficientData if there are no
    residual degrees of freedom, NotIdentified if X reproduces y. Everything else, a singular, unconverged or
    unidentified fit included, is a result that says so.
    """
    outcome, prior, used = check_outcome(y, weights)
    n = int(used.sum())
    if len({g.name for g in groups}) != len(groups):
        raise ValueError("names of random terms must be unique")
    if n < 2:
        raise InsufficientData("rows of a mixed model", n, 2)
    outcome = np.where(used, outcome, 0.0)
    fixed = prepare_fixed(X, names, prior, len(outcome))
    p = len(fixed.kept)
    if n - p < 1:
        raise InsufficientData("rows of a mixed model with " + f"{p} fixed effects", n, p + 1)
    terms = tuple(check_term(g, len(outcome), used) for g in groups)
    rest, offset, y_scale = residualise(outcome, fixed, prior)
    blocks = blocks_of(terms)
    criterion = Criterion(
        y=rest, X=fixed.matrix, weights=prior, terms=terms, blocks=blocks, reml=reml, max_border=max_border
    )
    known = identify(criterion)
    starts = [known.start]
    if blocks and n <= SECOND_START:
        second = default_start(criterion)
        second[known.start == 0] = 0.0
        starts.append(second)
    state, record = minimise(criterion, starts)
    log_weights = float(np.log(prior[used]).sum())
    return _assemble(
        criterion, state, record, fixed, offset, y_scale, log_weights, known.identified, known.reasons
    )


def _assemble(
    criterion: Criterion,
    state: Factor,
    record: OptimiserRecord,
    fixed: FixedPart,
    offset: Floats,
    y_scale: float,
    log_weights: float,
    identified: tuple[bool, ...],
    reasons: tuple[str, ...],
) -> LmmFit:
    q, p = criterion.q, criterion.p
    sigma2 = state.rss / criterion.df * y_scale**2
    beta = fixed.back @ (offset + y_scale * state.solution[q:])
    lower = state.lower[q : q + p, q : q + p]
    covariance = sigma2 * fixed.back @ symmetric_inverse(lower) @ fixed.back.T
    deviance = criterion.deviance(state) + criterion.df * 2 * np.log(y_scale) - log_weights
    deviance += 2 * fixed.log_scale if criterion.reml else 0.0
    components = _components(criterion, state, sigma2, identified)
    converged = record.decrement < DECREMENT
    notes = list(reasons)
    notes += [f"the covariance of {c.term} is singular" for c in components if c.singular]
    dropped = tuple(name for j, name in enumerate(fixed.names) if j not in set(fixed.kept.tolist()))
    notes += [f"fixed effect {name} is zero or aliased and was dropped" for name in dropped]
    at_wall = bool((np.abs(state.theta) > 0.9 * BARRIER).any())
    if at_wall:
        notes.append(
            "the residual variance is zero for every purpose: the random effects reproduce the outcome"
        )
    if not converged:
        notes.append("the search for the variances did not converge")
    return LmmFit(
        n=criterion.n,
        p=p,
        df=criterion.df,
        names=fixed.names,
        kept=fixed.kept,
        dropped=dropped,
        beta=beta,
        covariance=covariance,
        standard_errors=np.sqrt(np.diag(covariance)),
        sigma2=sigma2,
        components=components,
        reml=criterion.reml,
        deviance=float(deviance),
        log_likelihood=float(-deviance / 2),
        singular=at_wall or any(c.singular for c in components),
        converged=converged,
        identified=all(identified) and not at_wall,
        reasons=tuple(notes),
        optimiser=record,
        engine=Engine(
            criterion=criterion,
            state=state,
            fixed=fixed,
            terms=criterion.terms,
            blocks=criterion.blocks,
            offset=offset,
            y_scale=y_scale,
            sigma_scaled=float(np.sqrt(state.rss / criterion.df)),
        ),
    )


def _components(
    criterion: Criterion, state: Factor, sigma2: float, identified: tuple[bool, ...]
) -> tuple[VarianceComponent, ...]:
    lambdas = criterion.lambdas(state.theta)
    out = []
    position = 0
    flags: dict[int, list[bool]] = {t: [] for t in range(len(criterion.terms))}
    for block in criterion.blocks:
        flags[block.term] += list(identified[position : position + block.size])
        position += block.size
    for t, term in enumerate(criterion.terms):
        k = len(term.effects)
        scaled = np.zeros((k, k))
        singular = False
        for block, matrix in zip(criterion.blocks, lambdas, strict=True):
            if block.term == t:
                scaled[np.ix_(block.effects, block.effects)] = matrix @ matrix.T
                singular |= bool(np.linalg.svd(matrix, compute_uv=False).min() < SINGULAR)
        covariance = sigma2 * scaled / np.outer(term.scale, term.scale)
        sd = np.sqrt(np.diag(covariance))
        divisor = np.where(sd > 0, sd, 1.0)
        correlation = covariance / np.outer(divisor, divisor)
        np.fill_diagonal(correlation, 1.0)
        out.append(
            VarianceComponent(
                term=term.name,
                effects=term.effects,
                sd=sd,
                correlation=correlation,
                covariance=covariance,
                levels=term.levels,
                used=int(np.count_nonzero(np.bincount(term.codes[term.codes >= 0]))),
                singular=singular,
                identified=all(flags[t]),
            )
        )
    return tuple(out)

"""From a panel's factor score to the human scale: tier 1 of the calibration.

The latent quality of a unit is its system's mean plus a deviation within the system. Noise in the
judges blurs deviations but averages out of system means, so the two need different shrinkage: a map that
treats them alike pulls every system towards the middle. Here the deviation is shrunk by its
own reliability first, so that, if judges follow people as well between systems as within them, one
slope serves both; a second coefficient measures by how much it does not.

    Y = w0 + w1 (M_s + D_i) + w2 M_s + w3 log length + a_s + u_prompt + e

M_s is the system's mean panel score, D_i the shrunken deviation, both in units of the raw panel
mean, so that (w0, w1, w2) = (panel mean, 1, 0) is "the panel is right as it stands". Coefficients
are pulled to that by priors whose widths are integrated over their marginal likelihood.

Pairs use the same model with every term signed (it changes sign when the two answers swap), so there
is no intercept and no prompt effect.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from app.stats.anchor_reml import AnchorFit, fit_anchors, profile_variances
from app.stats.system_scores import SystemScores, place_units

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

MIN_SYSTEMS_FOR_BETWEEN = 5  # anchored systems, below which w2 is 0
MIN_ANCHORS_FOR_LENGTH = 30
_SPREADS = {"intercept": 0.1, "panel": 0.25, "between_systems": 0.25, "length": 0.05}
"""How far from the identity a coefficient plausibly lies, on the 0-1 scale (half-Cauchy scales)."""

_LENGTH_KNOWN = 0.9  # share of anchors whose length must be known


@dataclass(frozen=True, slots=True)
class AnchorRows:
    """What the regression saw, in the form `anchor_reml.fit_anchors` takes."""

    y: Floats
    x: Floats
    z: Floats
    prompt: Ints
    known: Floats
    prior_mean: Floats
    prior_precision: Floats

    def intervals(self, fit: AnchorFit) -> dict[str, tuple[float, float]]:
        """Profile-likelihood intervals of the variances of ``fit``."""
        return profile_variances(
            fit, y=self.y, x=self.x, z=self.z, prompt=self.prompt, known=self.known,
            prior_mean=self.prior_mean, prior_precision=self.prior_precision,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class ItemModel:
    """The fitted map on the 0-1 scale (pairs: -1 to 1).

    ``names`` of the fixed coefficients, in order, from intercept, panel, between_systems, length.
    ``fit``: coefficients (fixed, then the effects of ``anchored`` systems, by system code).
    ``prior_mean``, ``prior_sd`` (p,): what each fixed coefficient was pulled to and how firmly (infinite:
    not at all). ``unpulled`` (p,): the estimates without any pull; ``unpulled_se`` (p,).
    ``length_mean``, ``length_sd`` of log(1 + words) (pairs: mean 0, of the difference).
    ``annotator_variance``: one grade around the unit's mean, NaN unknown (then inside the residual).
    ``thin_panel``: the squared slope that turns the panel's own error variance into human units.
    ``low_score``, ``high_score``: range of M_s + D_i with anchors. ``freedom``: of the t quantiles.
    ``anchors``, ``prompts``: counts. ``rows``: what the regression saw, None once stored.
    """

    names: tuple[str, ...]
    fit: AnchorFit
    anchored: Ints
    prior_mean: Floats
    prior_sd: Floats
    unpulled: Floats
    unpulled_se: Floats
    signed: bool
    length_mean: float
    length_sd: float
    annotator_variance: float
    thin_panel: float
    low_score: float
    high_score: float
    freedom: float
    anchors: int
    prompts: int
    rows: AnchorRows | None


@dataclass(frozen=True, slots=True)
class Predictions:
    """Per unit (n,): ``mean``; ``latent_variance`` around the unit's mean human grade (all that the model
    does not explain, if annotators cannot be told apart); ``grade_variance`` around one new grade;
    ``extrapolates``: outside the range with anchors. NaN and False where the panel said nothing."""

    mean: Floats
    latent_variance: Floats
    grade_variance: Floats
    extrapolates: NDArray[np.bool_]


def fit_item_model(
    *,
    panel: SystemScores,
    score: Floats,
    reliability: Floats,
    system: Ints,
    other_system: Ints,
    length: Floats,
    other_length: Floats,
    prompt: Ints,
    human_mean: Floats,
    n_human: Ints,
    annotator_variance: float,
    pull_to_identity: bool = True,
    start: tuple[float, float, float] | None = None,
) -> ItemModel:
    """Fit the map to anchored units (n,), all with a panel score.

    ``score`` G and ``reliability`` r are of `factors.score_units`; ``system`` codes those of
    ``panel`` (``other_system`` is -1 for answers); ``length`` in words, NaN unknown; ``prompt`` any codes;
    ``human_mean`` of ``n_human`` grades whose variance around a unit's mean is ``annotator_variance``.
    ``start``: variances to start the optimiser from, as `AnchorFit.variances` of a similar fit.
    """
    signed = panel.signed
    placed = place_units(
        panel, score=score, reliability=reliability, system=system, other_system=other_system
    )
    anchored = np.unique(np.r_[system, other_system[other_system >= 0]])
    size = _size(length, other_length, signed)
    names, x, length_mean, length_sd = _columns(placed.centre, placed.between, size, signed, len(anchored))
    z = _membership(system, other_system, anchored)
    cluster = np.arange(len(score)) if signed else np.unique(prompt, return_inverse=True)[1].ravel()
    clusters = len(np.unique(prompt))
    grading = np.nan_to_num(annotator_variance) / n_human
    prior_mean = np.array([{"intercept": panel.consensus_mean, "panel": 1.0}.get(n, 0.0) for n in names])
    first = fit_anchors(y=human_mean, x=x, z=z, prompt=cluster, known=grading, start=start)
    thin = _thin_panel(first, names, placed.error)
    known = grading + thin * placed.error
    free = fit_anchors(y=human_mean, x=x, z=z, prompt=cluster, known=known, start=first.variances)
    p = len(names)
    estimate, variance = free.coefficients[:p], np.diag(free.covariance)[:p]
    pulled, prior_sd = free, np.full(p, np.inf)
    if pull_to_identity:
        prior_sd, cost = _pull(names, estimate - prior_mean, variance)
        pulled = fit_anchors(
            y=human_mean, x=x, z=z, prompt=cluster, known=known,
            prior_mean=prior_mean, prior_precision=1.0 / prior_sd**2, start=free.variances,
        )  # fmt: skip
        unsure = np.diag(np.concatenate([cost, np.zeros(len(anchored))]))
        pulled = replace(pulled, covariance=pulled.covariance + unsure)
    return ItemModel(
        names=names, fit=pulled, anchored=anchored, prior_mean=prior_mean, prior_sd=prior_sd,
        unpulled=estimate, unpulled_se=np.sqrt(variance), signed=signed, length_mean=length_mean,
        length_sd=length_sd, annotator_variance=annotator_variance, thin_panel=thin,
        low_score=float(placed.centre.min()), high_score=float(placed.centre.max()),
        freedom=float(max(clusters - p, 3)), anchors=len(score), prompts=clusters,
        rows=AnchorRows(human_mean, x, z, cluster, known, prior_mean, 1.0 / prior_sd**2),
    )  # fmt: skip


def _size(length: Floats, other_length: Floats, signed: bool) -> Floats:
    return np.log1p(length) - np.log1p(other_length) if signed else np.log1p(length)


def _columns(
    centre: Floats, between: Floats, size: Floats, signed: bool, systems: int
) -> tuple[tuple[str, ...], Floats, float, float]:
    names, columns = ([], []) if signed else (["intercept"], [np.ones(len(centre))])
    names.append("panel")
    columns.append(centre)
    if systems >= MIN_SYSTEMS_FOR_BETWEEN:
        names.append("between_systems")
        columns.append(between)
    known = np.isfinite(size)
    mean = float(size[known].mean()) if known.any() and not signed else 0.0
    spread = float(np.sqrt(np.mean((size[known] - mean) ** 2))) if known.any() else 0.0
    if len(size) >= MIN_ANCHORS_FOR_LENGTH and known.mean() >= _LENGTH_KNOWN and spread > 1e-6:
        names.append("length")
        columns.append(np.where(known, (size - mean) / spread, 0.0))
    return tuple(names), np.column_stack(columns), mean, spread


def _membership(system: Ints, other_system: Ints, anchored: Ints) -> Floats:
    z = np.equal.outer(system, anchored).astype(np.float64)
    return z - np.equal.outer(other_system, anchored).astype(np.float64)


def _thin_panel(fit: AnchorFit, names: tuple[str, ...], error: Floats) -> float:
    """The squared panel slope, held where the panel's error would exceed what is left to explain."""
    slope = float(fit.coefficients[names.index("panel")]) ** 2
    most = 0.8 * fit.residual_variance / max(float(error.mean()), 1e-12)
    return min(slope, most)


def _pull(names: tuple[str, ...], deviation: Floats, variance: Floats) -> tuple[Floats, Floats]:
    """Prior standard deviation of each coefficient around the identity, and what not knowing it costs.

    ``deviation`` and ``variance`` (p,) are of the free estimates. The prior is N(0, tau^2) with tau
    half-Cauchy at the scale of `_SPREADS`; tau is integrated over a grid (its marginal likelihood times
    its prior), which shrinks little where the data insist and never to nothing. The second array is
    the variance of the pulled coefficient that comes from tau.
    """
    sd, cost = np.empty(len(names)), np.empty(len(names))
    for k, name in enumerate(names):
        tau = _SPREADS[name] * np.tan(
            np.pi / 2 * (np.arange(200) + 0.5) / 200
        )  # quantiles of the half-Cauchy
        total = variance[k] + tau**2
        log_weight = -0.5 * (np.log(total) + deviation[k] ** 2 / total)
        weight = np.exp(log_weight - log_weight.max())
        weight /= weight.sum()
        kept = tau**2 / total
        share = float(weight @ kept)
        sd[k] = np.sqrt(variance[k] * share / (1.0 - share))
        cost[k] = deviation[k] ** 2 * float(weight @ (kept - share) ** 2)
    return sd, cost


def predict_items(
    model: ItemModel,
    panel: SystemScores,
    *,
    score: Floats,
    reliability: Floats,
    system: Ints,
    other_system: Ints,
    length: Floats,
    other_length: Floats,
) -> Predictions:
    """Predict the human grade of any units (n,), anchored or not, for a prompt not seen before.

    A system code of -1 is a system never seen: it has effect 0 and adds the whole between-system variance.
    """
    placed = place_units(
        panel, score=score, reliability=reliability, system=system, other_system=other_system
    )
    fit, p = model.fit, len(model.names)
    size = (_size(length, other_length, model.signed) - model.length_mean) / max(model.length_sd, 1e-12)
    parts = {
        "intercept": np.ones(len(score)),
        "panel": placed.centre,
        "between_systems": placed.between,
        "length": np.nan_to_num(size),
    }
    x = np.column_stack([parts[n] for n in model.names])
    slope = dict(zip(model.names, fit.coefficients[:p], strict=True))
    carried = slope["panel"] * placed.own_weight + slope.get("between_systems", 0.0)
    effect, variance = _system_terms(fit, model.anchored, x, system, other_system if model.signed else None)
    mean = x @ fit.coefficients[:p] + effect
    variance += np.einsum("ni,ij,nj->n", x, fit.covariance[:p, :p], x, optimize=True)
    variance += fit.residual_variance + fit.prompt_spread
    variance += model.thin_panel * placed.error + carried**2 * placed.between_error
    outside = (placed.centre < model.low_score - 1e-9) | (placed.centre > model.high_score + 1e-9)
    silent = ~np.isfinite(score)
    low = -1.0 if model.signed else 0.0
    return Predictions(
        mean=np.where(silent, np.nan, np.clip(mean, low, 1.0)),
        latent_variance=np.where(silent, np.nan, variance),
        grade_variance=np.where(silent, np.nan, variance + np.nan_to_num(model.annotator_variance)),
        extrapolates=outside & ~silent,
    )


def _system_terms(
    fit: AnchorFit, anchored: Ints, x: Floats, system: Ints, other_system: Ints | None
) -> tuple[Floats, Floats]:
    """Effects of the systems (n,), and what their uncertainty (with beta's) adds to x' C x."""
    p = x.shape[1]
    cross, own = fit.covariance[:p, p:], fit.covariance[p:, p:]
    effects = fit.coefficients[p:]
    first, known = _find(anchored, system)
    effect = np.where(known, effects[first], 0.0)
    variance = np.where(
        known, np.diag(own)[first] + 2 * (x * cross.T[first]).sum(axis=1), fit.system_variance
    )
    if other_system is not None:
        second, other_known = _find(anchored, other_system)
        effect -= np.where(other_known, effects[second], 0.0)
        part = np.diag(own)[second] - 2 * (x * cross.T[second]).sum(axis=1)
        variance += np.where(other_known, part, fit.system_variance)
        variance -= np.where(known & other_known, 2 * own[first, second], 0.0)
    return effect, variance


def _find(codes: Ints, wanted: Ints) -> tuple[Ints, NDArray[np.bool_]]:
    """Places of ``wanted`` in sorted ``codes`` (0 where absent), and which are there."""
    place = np.minimum(np.searchsorted(codes, wanted), len(codes) - 1)
    known = codes[place] == wanted
    return np.where(known, place, 0), known

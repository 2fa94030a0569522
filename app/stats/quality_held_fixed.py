"""What goes into a judge's values beside quality, with quality held fixed though people's grades are noisy.

On graded units i, with S_i the judge's value, Y_i the mean of m_i human grades and theta_i the mean
grade that people would give in the long run,

    S_i = d_s(i) + b theta_i + x_i'lam + e_g(i) + error ,   Y_i = theta_i + u_i ,   Var u_i = sigma^2 / m_i .

A regression of S on the noisy Y would shrink b by the reliability of Y and hand the rest to whatever goes
along with quality, so that a longer or an own-family answer that is truly better looks favoured. The moment
equations are therefore corrected for the noise (errors in variables; Fuller 1987, ch. 2):

    A = sum_i Z_i Z_i' - (1 - 1/G) sigma^2 sum_i (1/m_i) e_1 e_1' ,
    Z_i = (Y_i, x_i, system dummies, group dummies) ,
    A (b, lam, d, e)' = sum_i Z_i S_i ,

with sigma^2 from units that several people graded. The coefficients are a function of sums over prompts, so
that leaving prompts out one by one (`jackknife`) carries the uncertainty of sigma^2 along. A is noisy and
enters by its inverse: with all of the noise subtracted b would come out too large on average, the more the
fewer the prompts G and the noisier people are, and what goes along with quality too small. Subtracting a
little less makes up for most of it (Fuller 1987, sec. 2.5; his factor is 1 - alpha/n with alpha a few units,
and the answers to one prompt count for little more than one).
"""

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from app.stats.errors import InsufficientData, NotIdentified
from app.stats.human_noise import MIN_DOUBLE_GRADED
from app.stats.jackknife import MIN_PROMPTS, Effect, in_blocks, sums_by_prompt

Floats = NDArray[np.float64]
Ints = NDArray[np.integer]

MIN_ANCHORS = 30
MIN_RELIABILITY = 0.1  # of the mean human grade within systems; below, b is a ratio of two noises
MIN_APART = 10  # anchors whose length or layout is not the most common one
KNOWN = 0.9  # share of anchors whose length or layout must be known for it to be held fixed
_ESTIMABLE = 1e-6


@dataclass(frozen=True, slots=True)
class JudgedAnchors:
    """One judge's values of units that people graded (n rows, one per unit), higher is better.

    ``judge`` (n,) mean over the judge's draws and orders; ``human`` (n,) mean grade; ``grades`` (n,) how
    many; ``within`` (n,) their sum of squares around the mean; ``prompt`` (n,), ``system`` (n,) codes;
    ``length`` (n,) log2 of words (pairs: difference of logs), NaN unknown; ``layout`` (n,) likewise of
    1 + marks of layout, None if none is known. For pairs ``judge`` and ``human`` are signed, ``system`` and
    ``other_system`` are the two sides, and a system's dummy is +1 or -1.
    """

    judge: Floats
    human: Floats
    grades: Floats
    within: Floats
    prompt: Ints
    system: Ints
    length: Floats
    other_system: Ints | None = None
    layout: Floats | None = None


@dataclass(frozen=True, slots=True)
class HeldFixed:
    """Coefficients at equal human quality, with their prompt-clustered covariance.

    ``estimate`` (w,), ``covariance`` (w, w) over: quality, then ``covariates`` by name, then ``systems`` (S,)
    codes, then ``groups`` (K,) codes but the first, which is the one the others are compared with.
    ``of_system`` (S,) and ``of_group`` (K,) count anchors. ``space`` (w, w) projects on what the design can
    tell. ``n`` anchors of ``prompts`` prompts; intervals take ``freedom`` degrees of freedom.
    """

    estimate: Floats
    covariance: Floats
    covariates: tuple[str, ...]
    systems: NDArray[np.int64]
    of_system: NDArray[np.int64]
    groups: NDArray[np.int64]
    of_group: NDArray[np.int64]
    space: Floats
    n: int
    prompts: int
    freedom: float

    def effect(self, contrast: Floats, *, what: str, n: int, level: float) -> Effect:
        """The combination ``contrast`` (w,) of coefficients, with a t interval.

        Raises
        ------
        NotIdentified
            If the design cannot tell it.
        """
        if np.abs(self.space @ contrast - contrast).max() > _ESTIMABLE:
            raise NotIdentified(what, "it cannot be told apart from the effects of systems")
        estimate = float(contrast @ self.estimate)
        std_error = float(np.sqrt(max(float(contrast @ self.covariance @ contrast), 0.0)))
        half = float(stats.t.ppf(0.5 + level / 2, self.freedom)) * std_error
        return Effect(estimate, estimate - half, estimate + half, std_error, n, self.prompts, self.freedom)


def hold_quality_fixed(anchors: JudgedAnchors, group: Ints | None = None) -> HeldFixed:
    """Fit the corrected regression; ``group`` (n,) codes add a set of groups, -1 for none of them.

    Length and layout are held fixed where they are known for nearly all anchors and vary.

    Raises
    ------
    InsufficientData
        With fewer than `MIN_ANCHORS` anchors or too few prompts.
    NotIdentified
        If people's noise cannot be told, or is nearly all that varies in their grades within systems.
    """
    if len(anchors.judge) < MIN_ANCHORS:
        raise InsufficientData("answers graded by this judge and by people", len(anchors.judge), MIN_ANCHORS)
    double_graded = int((anchors.grades >= 2).sum())
    if double_graded < MIN_DOUBLE_GRADED:
        raise NotIdentified(
            "quality at equal human grade",
            f"only {double_graded} of the answers that this judge and people graded have two human grades; "
            f"with {MIN_DOUBLE_GRADED} the noise of people can be told from the judge's",
        )
    found = {name: value for name, value in _candidates(anchors) if tells(value)}
    if found:
        known = np.all([~np.isnan(value) for value in found.values()], axis=0)
        anchors, group = _only(anchors, known), None if group is None else group[known]
    columns = [anchors.human[:, None]]
    for name in found:
        value = anchors.length if name == "length" else anchors.layout
        assert value is not None
        # A pair has no intercept to take the mean up: swapping the two must only change signs.
        middle = value.mean() if anchors.other_system is None else 0.0
        columns.append((value - middle)[:, None])
    systems, of_system, dummies = _system_columns(anchors)
    groups, of_group, members = _group_columns(group, len(anchors.judge))
    design = np.hstack([*columns, dummies, members])
    sums = sums_by_prompt(_moments(anchors, design), anchors.prompt)
    prompts = len(sums)
    if prompts < MIN_PROMPTS:
        raise InsufficientData("prompts", prompts, MIN_PROMPTS)
    sums[:, -1] *= 1 - 1 / prompts
    sums = in_blocks(sums)
    width = design.shape[1]
    total = sums.sum(axis=0)[None, :]
    gram = _matrix(total, width)[0]
    space = np.linalg.pinv(gram, hermitian=True) @ gram
    whole = bool(np.allclose(space, np.eye(width), atol=1e-8))
    estimate = _solve(total, width, whole)[0]
    if np.isnan(estimate).any():
        raise NotIdentified(
            "quality at equal human grade",
            "within systems people's grades are mostly noise: their mean would repeat less than "
            f"{100 * MIN_RELIABILITY:.0f}% of what varies in it",
        )
    left_out = _solve(total - sums, width, whole and _well_spread(sums, width))
    if not np.isfinite(left_out).all():
        raise NotIdentified("quality at equal human grade", "it hangs on a single prompt")
    apart = left_out - left_out.mean(axis=0)
    count = len(sums)
    return HeldFixed(
        estimate=estimate,
        covariance=(count - 1) / count * apart.T @ apart,
        covariates=tuple(found),
        systems=systems,
        of_system=of_system,
        groups=groups,
        of_group=of_group,
        space=space,
        n=len(anchors.judge),
        prompts=prompts,
        freedom=float(count - 1),
    )


def _candidates(anchors: JudgedAnchors) -> list[tuple[str, Floats]]:
    layout = [] if anchors.layout is None else [("layout", anchors.layout)]
    return [("length", anchors.length), *layout]


def tells(value: Floats) -> bool:
    """Whether a covariate (n,) is known for nearly all anchors and differs in enough of them."""
    known = value[~np.isnan(value)]
    if len(known) < max(MIN_ANCHORS, KNOWN * len(value)):
        return False
    return len(known) - int(np.unique(known, return_counts=True)[1].max()) >= MIN_APART


def _moments(anchors: JudgedAnchors, design: Floats) -> Floats:
    """Per anchor: products of the design, products with the judge's value, and what tells people's noise."""
    upper = np.triu_indices(design.shape[1])
    noise = np.column_stack([anchors.within, anchors.grades - 1, 1 / anchors.grades])
    return np.hstack([design[:, upper[0]] * design[:, upper[1]], design * anchors.judge[:, None], noise])


def _matrix(total: Floats, width: int) -> Floats:
    """Z'Z (b, w, w) of sums of moments (b, k)."""
    upper = np.triu_indices(width)
    matrix = np.zeros((len(total), width, width))
    matrix[:, upper[0], upper[1]] = total[:, : len(upper[0])]
    matrix[:, upper[1], upper[0]] = total[:, : len(upper[0])]
    return matrix


def _solve(total: Floats, width: int, whole: bool) -> Floats:
    """Coefficients (b, w) of sums of moments (b, k); NaN where people's grades are nearly all noise.

    ``whole``: every matrix has full rank. Otherwise pseudo-inverses: pairs leave the effects' sum open, and a
    system that a single prompt carries leaves an empty column when that prompt is left out.
    """
    matrix = _matrix(total, width)
    products = width * (width + 1) // 2
    right = total[:, products : products + width, None]
    noise = total[:, -3] / np.maximum(total[:, -2], 1) * total[:, -1]
    if whole:
        try:
            return _solve_whole(np.asarray(np.linalg.inv(matrix)), right, noise)
        except np.linalg.LinAlgError:  # leaving a prompt out took the rank away
            pass
    observed = _given_the_rest(matrix)
    fine = (observed - noise) > MIN_RELIABILITY * observed
    matrix[:, 0, 0] -= noise
    answer = np.full((len(total), width), np.nan)
    if fine.any():
        answer[fine] = (_pseudo_inverse(matrix[fine]) @ right[fine])[:, :, 0]
    return answer


def _solve_whole(inverse: Floats, right: Floats, noise: Floats) -> Floats:
    """From the inverses without the correction, which is of rank one (Sherman and Morrison)."""
    observed = 1 / inverse[:, 0, 0]
    if (observed <= 0).any() or not np.isfinite(observed).all():
        raise np.linalg.LinAlgError
    fine = (observed - noise) > MIN_RELIABILITY * observed
    bend = np.where(fine, noise / (1 - noise * inverse[:, 0, 0]), np.nan)
    answer = (inverse @ right)[:, :, 0]
    return np.asarray(answer + inverse[:, :, 0] * (bend * answer[:, 0])[:, None])


def _pseudo_inverse(matrix: Floats) -> Floats:
    return np.asarray(np.linalg.pinv(matrix, hermitian=True))


def _given_the_rest(matrix: Floats) -> Floats:
    """What varies in the first variable once the others are held fixed (a Schur complement), (b,)."""
    cross, rest = matrix[:, 0, 1:], matrix[:, 1:, 1:]
    explained = np.einsum("bi,bij,bj->b", cross, _pseudo_inverse(rest), cross)
    return np.asarray(matrix[:, 0, 0] - explained)


def _well_spread(sums: Floats, width: int) -> bool:
    """Whether no column lives in one block alone."""
    diagonal = np.cumsum(np.r_[0, np.arange(width, 1, -1)])
    return bool(((sums[:, diagonal] > 0).sum(axis=0) >= 2).all())


def _system_columns(anchors: JudgedAnchors) -> tuple[NDArray[np.int64], NDArray[np.int64], Floats]:
    """Codes (S,), anchors of each, and dummies (n, S); for pairs +1 for one side and -1 for the other."""
    if anchors.other_system is None:
        codes, row, counts = np.unique(anchors.system, return_inverse=True, return_counts=True)
        return codes.astype(np.int64), counts, np.eye(len(codes))[row]
    sides = anchors.system, anchors.other_system
    codes, counts = np.unique(np.concatenate(sides), return_counts=True)
    first, second = (np.eye(len(codes))[np.searchsorted(codes, side)] for side in sides)
    return codes.astype(np.int64), counts, first - second


def _group_columns(group: Ints | None, n: int) -> tuple[NDArray[np.int64], NDArray[np.int64], Floats]:
    """Codes (K,), the most common first, anchors of each, and dummies (n, K - 1) of all but the first."""
    if group is None:
        return np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros((n, 0))
    codes, row, counts = np.unique(group, return_inverse=True, return_counts=True)
    order = np.argsort(-counts, kind="stable")
    return codes[order].astype(np.int64), counts[order], np.eye(len(codes))[row][:, order[1:]]


def _only(anchors: JudgedAnchors, keep: NDArray[np.bool_]) -> JudgedAnchors:
    kept: dict[str, Any] = {
        field.name: None if value is None else value[keep]
        for field in fields(anchors)
        for value in [getattr(anchors, field.name)]
    }
    return JudgedAnchors(**kept)

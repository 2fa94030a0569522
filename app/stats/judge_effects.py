"""What is systematic in one judge, relative to people: severity, discrimination, length, system effects.

On graded units i, with S_i the judge's value, Y_i the mean of m_i human grades and theta_i the mean
grade that people would give in the long run,

    S_i = d_s(i) + b theta_i + lam x_i + e_i ,      Y_i = theta_i + u_i ,   Var u_i = sigma^2 / m_i .

Severity is E[Y - S]. It needs nothing but the pairs (S, Y).

Discrimination b, the length effect lam and the system effects d_s hold quality fixed. A regression of S on
the noisy Y would not: it shrinks b by the reliability of Y and hands the rest to whatever goes along
with quality, so that a longer or an own-family answer that is truly better looks favoured. The moment
equations are therefore corrected for the noise (errors in variables; Fuller 1987, ch. 2):

    A = sum_i Z_i Z_i' - sigma^2 sum_i (1/m_i) e_1 e_1' ,  Z_i = (Y_i, x_i, system dummies) ,
    A (b, lam, d)' = sum_i Z_i S_i ,

with sigma^2 from units that several people graded. Every quantity is a function of sums over prompts,
so `cluster_jackknife` carries the uncertainty of sigma^2 into the intervals.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.stats.errors import InsufficientData, NotIdentified
from app.stats.human_noise import MIN_DOUBLE_GRADED
from app.stats.jackknife import Effect, cluster_jackknife, sums_by_prompt

Floats = NDArray[np.float64]
Ints = NDArray[np.integer]

MIN_ANCHORS = 30
MIN_ANCHORS_OF_SYSTEM = 5
MIN_RELIABILITY = 0.1  # of the mean human grade within systems; below, b is a ratio of two noises


@dataclass(frozen=True, slots=True)
class JudgedAnchors:
    """One judge's values of units that people graded (n rows, one per unit), higher is better.

    ``judge`` (n,) mean over the judge's draws and orders; ``human`` (n,) mean grade; ``grades`` (n,) how
    many; ``within`` (n,) their sum of squares around the mean; ``prompt`` (n,), ``system`` (n,) codes;
    ``length`` (n,) log2 of words (pairs: difference of logs), NaN unknown. For pairs ``judge`` and ``human``
    are signed, ``system`` and ``other_system`` are the two sides, and a system's dummy is +1 or -1.
    """

    judge: Floats
    human: Floats
    grades: Floats
    within: Floats
    prompt: Ints
    system: Ints
    length: Floats
    other_system: Ints | None = None


def severity(anchors: JudgedAnchors, *, level: float = 0.95) -> Effect:
    """Mean of human minus judge: positive for a severe judge, negative for a lenient one."""
    if anchors.other_system is not None:
        raise NotIdentified("severity", "a pair has no level, only which answer is better is judged")
    _need(anchors, MIN_ANCHORS)
    moments = np.column_stack([np.ones_like(anchors.judge), anchors.human - anchors.judge])
    return _estimate(anchors, moments, lambda total: total[:, 1] / total[:, 0], "severity", level)


def discrimination(anchors: JudgedAnchors, *, level: float = 0.95) -> Effect:
    """Slope b: by how much the judge's value rises when true quality rises by 1, within systems.

    Length, where it is known, is held fixed: a judge that likes length would otherwise seem to follow
    quality, as far as better answers are longer.
    """
    return _coefficient(anchors, "discrimination", 0, level, with_length=_length_tells(anchors))


def length_effect(anchors: JudgedAnchors, *, level: float = 0.95) -> Effect:
    """Slope lam: what the judge adds per doubling of the answer's length, at equal human quality."""
    known = int((~np.isnan(anchors.length)).sum())
    if known < MIN_ANCHORS:
        raise InsufficientData("anchors of known length", known, MIN_ANCHORS)
    if not _length_tells(anchors):
        raise NotIdentified("length", "the answers hardly differ in length, or for most it is unknown")
    return _coefficient(anchors, "length", 1, level, with_length=True)


@dataclass(frozen=True, slots=True)
class SystemEffects:
    """d_s: what the judge adds to each system at equal human quality.

    ``systems`` (S,) codes; ``effect`` (S,); ``covariance`` (S, S), prompt-clustered; ``anchors`` (S,) units.
    """

    systems: NDArray[np.int64]
    effect: Floats
    covariance: Floats
    anchors: NDArray[np.int64]


def system_effects(anchors: JudgedAnchors) -> SystemEffects:
    """Errors-in-variables effects of the systems with at least `MIN_ANCHORS_OF_SYSTEM` anchors.

    Pairs tell only differences between systems: their effects are those that sum to 0.

    Raises
    ------
    InsufficientData, NotIdentified
        As `discrimination`; also with fewer than two such systems.
    """
    with_length = _length_tells(anchors)
    if with_length:
        anchors = _only(anchors, ~np.isnan(anchors.length))
    sides = [anchors.system] if anchors.other_system is None else [anchors.system, anchors.other_system]
    codes, counts = np.unique(np.concatenate(sides), return_counts=True)
    kept = codes[counts >= MIN_ANCHORS_OF_SYSTEM]
    if len(kept) < 2:
        raise InsufficientData("systems with enough anchors", len(kept), 2)
    chosen = _only(anchors, np.all([np.isin(side, kept) for side in sides], axis=0))
    moments, solve = _corrected_regression(chosen, with_length=with_length)
    sums = sums_by_prompt(moments, chosen.prompt)
    total = sums.sum(axis=0)
    first = 2 if with_length else 1
    effect = solve(total[None, :])[0, first:]
    left_out = solve(total[None, :] - sums)[:, first:]
    if not (np.isfinite(effect).all() and np.isfinite(left_out).all()):
        raise NotIdentified("system effects", "human grades within systems are mostly noise")
    apart = left_out - left_out.mean(axis=0)
    count = len(sums)
    covariance = (count - 1) / count * apart.T @ apart
    return SystemEffects(kept.astype(np.int64), effect, covariance, counts[counts >= MIN_ANCHORS_OF_SYSTEM])


def _length_tells(anchors: JudgedAnchors) -> bool:
    """Whether length is known for nearly all anchors and varies."""
    known = anchors.length[~np.isnan(anchors.length)]
    enough = len(known) > 1 and len(known) >= 0.9 * len(anchors.length)
    return enough and bool(known.std() > 1e-9)


def _coefficient(anchors: JudgedAnchors, what: str, which: int, level: float, *, with_length: bool) -> Effect:
    _need(anchors, MIN_ANCHORS)
    known = ~np.isnan(anchors.length) if with_length else np.ones(len(anchors.judge), dtype=bool)
    chosen = _only(anchors, known)
    moments, solve = _corrected_regression(chosen, with_length=with_length)
    return _estimate(chosen, moments, lambda total: solve(total)[:, which], what, level)


def _corrected_regression(
    anchors: JudgedAnchors, *, with_length: bool
) -> tuple[Floats, Callable[[Floats], Floats]]:
    """Moments (n, k), and the function that solves the corrected equations from their sums."""
    double_graded = int((anchors.grades >= 2).sum())
    if double_graded < MIN_DOUBLE_GRADED:
        raise NotIdentified(
            "quality at equal human grade",
            f"only {double_graded} of the answers that this judge and people graded have two human grades; "
            f"with {MIN_DOUBLE_GRADED} the noise of people can be told from the judge's",
        )
    columns = [anchors.human[:, None]]
    if with_length:
        # A pair has no intercept to take the mean up: swapping the two must only change signs.
        middle = anchors.length.mean() if anchors.other_system is None else 0.0
        columns.append((anchors.length - middle)[:, None])
    design = np.hstack([*columns, _system_columns(anchors)])
    width = design.shape[1]
    upper = np.triu_indices(width)
    products = design[:, upper[0]] * design[:, upper[1]]
    noise = np.column_stack([anchors.within, anchors.grades - 1, 1 / anchors.grades])
    moments = np.hstack([products, design * anchors.judge[:, None], noise])

    def solve(total: Floats) -> Floats:
        matrix = np.zeros((len(total), width, width))
        matrix[:, upper[0], upper[1]] = total[:, : len(upper[0])]
        matrix[:, upper[1], upper[0]] = total[:, : len(upper[0])]
        right = total[:, len(upper[0]) : len(upper[0]) + width]
        within, freedom, inverse = total[:, -3], total[:, -2], total[:, -1]
        noise = within / np.maximum(freedom, 1) * inverse
        observed = _given_the_rest(matrix)
        matrix[:, 0, 0] -= noise
        fine = (observed - noise) > MIN_RELIABILITY * observed
        answer = np.full((len(total), width), np.nan)
        if fine.any():
            # pinv: pairs leave the effects' sum open, and a system that a single prompt carries leaves
            # an empty column when that prompt is left out
            answer[fine] = (np.linalg.pinv(matrix[fine], hermitian=True) @ right[fine][:, :, None])[:, :, 0]
        return answer

    total = moments.sum(axis=0)
    if np.isnan(solve(total[None, :])).any():
        raise NotIdentified(
            "quality at equal human grade",
            "within systems people's grades are mostly noise: their mean would repeat less than "
            f"{100 * MIN_RELIABILITY:.0f}% of what varies in it",
        )
    return moments, solve


def _given_the_rest(matrix: Floats) -> Floats:
    """What varies in the first variable once the others are held fixed (a Schur complement), (b,)."""
    cross, rest = matrix[:, 0, 1:], matrix[:, 1:, 1:]
    explained = np.einsum("bi,bij,bj->b", cross, np.linalg.pinv(rest, hermitian=True), cross)
    return np.asarray(matrix[:, 0, 0] - explained)


def _system_columns(anchors: JudgedAnchors) -> Floats:
    """Dummies (n, S); for pairs +1 for one side and -1 for the other."""
    if anchors.other_system is None:
        codes, row = np.unique(anchors.system, return_inverse=True)
        return np.eye(len(codes))[row]
    codes = np.unique(np.concatenate([anchors.system, anchors.other_system]))
    first = np.searchsorted(codes, anchors.system)
    second = np.searchsorted(codes, anchors.other_system)
    dummies = np.eye(len(codes))
    return dummies[first] - dummies[second]


def _only(anchors: JudgedAnchors, keep: NDArray[np.bool_]) -> JudgedAnchors:
    other = None if anchors.other_system is None else anchors.other_system[keep]
    return JudgedAnchors(
        judge=anchors.judge[keep],
        human=anchors.human[keep],
        grades=anchors.grades[keep],
        within=anchors.within[keep],
        prompt=anchors.prompt[keep],
        system=anchors.system[keep],
        length=anchors.length[keep],
        other_system=other,
    )


def _need(anchors: JudgedAnchors, least: int) -> None:
    if len(anchors.judge) < least:
        raise InsufficientData("answers graded by this judge and by people", len(anchors.judge), least)


def _estimate(
    anchors: JudgedAnchors, moments: Floats, function: Callable[[Floats], Floats], what: str, level: float
) -> Effect:
    return cluster_jackknife(
        sums_by_prompt(moments, anchors.prompt), function, n=len(anchors.judge), level=level, what=what
    )

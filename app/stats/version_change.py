"""What changed when a judge was replaced by a newer version of itself, on the answers that both judged.

The answers are the same, so their quality cancels: only the judge can have changed. The mean change needs no
human grade; the change of agreement with people needs the graded ones.
"""

import numpy as np
from numpy.typing import NDArray

from app.stats.agreement import MatchedGrades, alpha_of, match_moments
from app.stats.errors import InsufficientData
from app.stats.jackknife import Effect, cluster_jackknife, sums_by_prompt

Floats = NDArray[np.float64]
Ints = NDArray[np.integer]

MIN_SHARED = 30


def level_change(*, old: Floats, new: Floats, prompt: Ints, level: float = 0.95) -> Effect:
    """Mean of new minus old values (n,) of the same units: positive for a newer version that gives more."""
    if len(old) < MIN_SHARED:
        raise InsufficientData("answers scored by both versions", len(old), MIN_SHARED)
    moments = np.column_stack([np.ones(len(old)), new - old])
    return cluster_jackknife(
        sums_by_prompt(moments, prompt),
        lambda total: total[:, 1] / total[:, 0],
        n=len(old),
        level=level,
        what="change of version",
    )


def agreement_change(*, old: MatchedGrades, new: MatchedGrades, nominal: bool, level: float = 0.95) -> Effect:
    """New minus old agreement with people, on units that both versions and people graded.

    For pairs (``nominal``) the share of verdicts that are a person's own; for scales Krippendorff's alpha.
    """
    shared = np.intersect1d(old.unit, new.unit)
    if len(shared) < MIN_SHARED:
        raise InsufficientData("graded answers scored by both versions", len(shared), MIN_SHARED)
    blocks, prompts = [], []
    for k, one in enumerate((old, new)):
        kept = np.isin(one.unit, shared)
        moments = match_moments(one, nominal=nominal)[kept]
        moments = moments[:, :2] if nominal else moments
        padded = np.zeros((len(moments), 2 * moments.shape[1]))
        padded[:, k * moments.shape[1] : (k + 1) * moments.shape[1]] = moments
        blocks.append(padded)
        prompts.append(one.prompt[kept])
    width = blocks[0].shape[1] // 2

    def change(total: Floats) -> Floats:
        if nominal:
            before, after = total[:, 1] / total[:, 0], total[:, width + 1] / total[:, width]
        else:
            before, after = (alpha_of(part, nominal=False) for part in (total[:, :width], total[:, width:]))
        return np.asarray(after - before)

    return cluster_jackknife(
        sums_by_prompt(np.vstack(blocks), np.concatenate(prompts)),
        change,
        n=len(shared),
        level=level,
        what="change of agreement",
    )

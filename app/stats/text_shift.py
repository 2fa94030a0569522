"""Do the texts of anchors differ from those of the traffic? A classifier two-sample test, cross-fitted.

*Features.* Words, and runs of `_RUN` bytes, hashed with a sign into `_HASHED` columns (Weinberger et al.
2009, doi:10.1145/1553374.1553516), each text scaled to length 1 and centred on its block's mean; of these the
leading directions of the traffic, so that a calibration can keep them for thousands of texts.

*Classifier.* Ridge discriminant: with C the covariance of the features in the traffic and U_p the sum over
the anchors of prompt p, a prompt is scored by the direction that the *other* anchored prompts show,

    z_p = U_p' (C + r I)^-1 sum_{q != p} U_q ,

which is 0 on average if anchors were drawn without regard to their texts: leaving one prompt out is the
cross-fit. The statistic is sum z_p over its standard deviation, its null the one of `relabelling`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from app.stats.relabelling import Relabelling
from app.stats.representative import centred_features

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

DIRECTIONS = 48
_HASHED = 1024
_RUN = 4
_RIDGE = 0.3  # of the mean variance of a direction
_MULTIPLIER = 2654435761  # Knuth's; of 32 bits
_LEAST_PROMPTS = 15


@dataclass(frozen=True, slots=True)
class TextShift:
    """``p_value``: of no difference; None where too few texts are known. ``prompts``: anchored prompts with
    texts. ``score`` (t,): how much a text resembles the other anchors' texts, in standard deviations of the
    traffic; a prompt's own anchors have no part in it."""

    p_value: float | None
    prompts: int
    score: Floats


def text_directions(texts: Sequence[str], block: NDArray[np.integer]) -> Floats:
    """(t, up to `DIRECTIONS`) features of the texts, of which earlier columns vary more."""
    x = centred_features(np.asarray(_hashed(texts).todense()), block)
    sketch = np.random.default_rng(0).standard_normal((x.shape[1], min(DIRECTIONS + 16, x.shape[1])))
    for _ in range(3):  # a randomised singular value decomposition (Halko, Martinsson & Tropp 2011)
        sketch = np.linalg.qr(x.T @ (x @ sketch))[0]
    _, size, turn = np.linalg.svd(x @ sketch, full_matrices=False)
    kept = size[:DIRECTIONS] > 1e-6 * max(float(size[0]), 1e-12)
    return np.asarray(x @ (sketch @ turn[:DIRECTIONS][kept].T))


def text_shift(
    *,
    directions: Floats,
    prompt: NDArray[np.integer],
    block: NDArray[np.integer],
    labelled: NDArray[np.bool_],
    draws: int = 1999,
    seed: int = 0,
) -> TextShift:
    """Test texts (t, d) from `text_directions`.

    Parameters
    ----------
    prompt, block : (t,)
        Clusters, and the systems (or pairs of them) within which to compare.
    labelled : (t,)
        Which of them are anchors.
    """
    x = centred_features(directions, block)
    prompts = int(np.unique(prompt[labelled]).size)
    spread = x.std(0) if x.size else np.zeros(0)
    usable = spread > 1e-9
    if prompts < _LEAST_PROMPTS or labelled.all() or not usable.any():
        return TextShift(None, prompts, np.full(labelled.size, np.nan))
    x = x[:, usable]
    values, vectors = np.linalg.eigh(x.T @ x / len(x))
    white = x @ (vectors / np.sqrt(values + _RIDGE * values.mean()))
    null = Relabelling(
        features=white, prompt=prompt, block=block, labelled=labelled, rng=np.random.default_rng(seed)
    )
    p_value = null.p_value(_cross_fitted, draws=draws)
    graded = np.unique(prompt[labelled])
    place = np.minimum(np.searchsorted(graded, prompt), graded.size - 1)
    own = np.where((graded[place] == prompt)[:, None], null.sums[place], 0.0)
    total = null.sums.sum(0)
    score = (white * (total - own)).sum(1)
    return TextShift(p_value, prompts, score / max(float(score.std()), 1e-12))


def _cross_fitted(sums: Floats) -> Floats:
    """(b,) sum of z_p over its standard deviation, for (b, G, d) sums of whitened features."""
    total = sums.sum(1, keepdims=True)
    z = (sums * (total - sums)).sum(2)
    return np.asarray(z.sum(1) / np.maximum(np.sqrt((z**2).sum(1)), 1e-300))


def _hashed(texts: Sequence[str]) -> csr_matrix:
    """(t, _HASHED) signed counts of words and runs, log-scaled, rows of length 1 (0 for an empty text)."""
    raw = [f" {' '.join(text.lower().split())} ".encode() for text in texts]
    size = np.array([len(one) for one in raw])
    letters = np.frombuffer(b"".join(raw), dtype=np.uint8).astype(np.uint32)
    document = np.repeat(np.arange(len(raw)), size)
    runs = np.zeros(max(letters.size - _RUN + 1, 0), dtype=np.uint32)
    for k in range(_RUN):
        runs = runs * np.uint32(257) + letters[k : k + runs.size]
    inside = document[: runs.size] == document[_RUN - 1 : _RUN - 1 + runs.size]
    word, of_word = _words(letters, document)
    key = np.concatenate([runs[inside], word ^ np.uint32(0x9E3779B9)])
    row = np.concatenate([document[: runs.size][inside], of_word])
    mixed = key * np.uint32(_MULTIPLIER)
    mixed ^= mixed >> np.uint32(15)
    mixed *= np.uint32(_MULTIPLIER)
    column = (mixed >> np.uint32(8)) % np.uint32(_HASHED)
    sign = np.where(mixed & np.uint32(1), 1.0, -1.0)
    counts = csr_matrix((sign, (row, column.astype(np.int64))), shape=(len(raw), _HASHED))
    counts.sum_duplicates()
    counts.data = np.sign(counts.data) * np.log1p(np.abs(counts.data))
    norm = np.sqrt(np.asarray(counts.multiply(counts).sum(1)).ravel())
    return csr_matrix(counts.multiply(1.0 / np.maximum(norm, 1e-12)[:, None]))


def _words(letters: NDArray[np.uint32], document: Ints) -> tuple[NDArray[np.uint32], Ints]:
    """A number for every word, and the text it stands in. Every text begins with a blank."""
    blank = letters == ord(" ")
    start = np.flatnonzero(~blank & np.r_[True, blank[:-1]])
    if start.size == 0:
        return np.zeros(0, np.uint32), np.zeros(0, np.int64)
    place = np.zeros(letters.size, dtype=np.int64)
    place[start[0] :] = np.arange(letters.size - start[0]) - np.repeat(
        start - start[0], np.diff(np.r_[start, letters.size])
    )
    weight = place.astype(np.uint32) * np.uint32(_MULTIPLIER) + np.uint32(1)
    values = np.where(blank, np.uint32(0), (letters + np.uint32(1)) * (weight ^ (weight >> np.uint32(13))))
    return np.add.reduceat(values, start).astype(np.uint32), document[start]

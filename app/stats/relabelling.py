"""What a statistic of the anchors would be, had other prompts been drawn: the null of "drawn without regard".

A labelled prompt carries a *pattern*: how many of its units of each block (system) are anchors. Under the
null hypothesis that anchors were drawn without regard to the features, the patterns could as well have fallen
on any other prompts that have units of those blocks; this holds for answers drawn one by one and for whole
prompts alike. A draw puts every pattern on another prompt, and no two on one (where prompts have answers of
different systems, no two of the same pattern, which errs to the safe side). The p-value is the rank of the
observed statistic among the draws (Phipson & Smyth 2010, doi:10.2202/1544-6115.1585): valid at any number of
prompts, whatever the features' distribution.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.stats.grouped import sum_by

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Statistic = Callable[[Floats], Floats]
"""(b, G, q) sums of the features over the anchors of G prompts, b times over, to (b,) statistics that do not
hang on the order of the prompts."""

_ROOM = 3_000_000  # numbers held for the prompts on which patterns may fall
_PROMPTS = 4_000  # most of them
_CHUNK = 4_000_000  # numbers held for one chunk of draws
_FIRST = 200  # draws before it is asked for the first time whether they are enough
_WAYS = 4  # choices among the units of one prompt and block, where there are more than a pattern asks for


@dataclass(frozen=True, slots=True)
class _Pattern:
    """One pattern: which labelled prompts carry it, and the sums (r, c, q) at all prompts that could, over r
    choices among their units where they have more than the pattern asks for."""

    prompts: Ints
    sums: Floats


class Relabelling:
    """The labelled prompts of (n, q) ``features``, which are centred in their ``block`` (n,).

    ``prompt`` (n,) clusters; ``labelled`` (n,) the anchors; ``rng`` decides the draws.
    """

    def __init__(
        self,
        *,
        features: Floats,
        prompt: NDArray[np.integer],
        block: NDArray[np.integer],
        labelled: NDArray[np.bool_],
        rng: np.random.Generator,
    ) -> None:
        self._rng = rng
        cluster = np.unique(prompt, return_inverse=True)[1].astype(np.int64)
        blocks = np.unique(block, return_inverse=True)[1].astype(np.int64)
        graded, row = np.unique(cluster[labelled], return_inverse=True)
        self.count = graded.size
        self.sums = _sums(row, features[labelled], graded.size)
        self._patterns = self._find(features, cluster, blocks, labelled, row, graded)

    def covariance(self) -> Floats:
        """(q, q) of the anchors' total under the null, up to the factor that prompts are finite."""
        parts = [
            len(pattern.prompts)
            * np.cov(pattern.sums.reshape(-1, pattern.sums.shape[2]), rowvar=False, bias=True)
            for pattern in self._patterns
        ]
        return np.asarray(np.atleast_2d(np.sum(parts, axis=0)))

    def p_value(self, statistic: Statistic, *, draws: int, enough: int = 40) -> float:
        """Share of draws whose statistic is at least the observed one, which counts itself.

        Stops early once ``enough`` draws reached it (Besag & Clifford 1991, doi:10.1093/biomet/78.2.301).
        """
        observed = float(statistic(self.sums[None])[0])
        at_once = max(_CHUNK // max(self.sums.size, 1), 1)
        done = reached = 0
        while done < draws and reached < enough:
            size = min(at_once, max(_FIRST, done), draws - done)
            values = statistic(self._draw(size))
            reached += int((values >= observed * (1 - 1e-12)).sum())
            done += size
        return (reached + 1) / (done + 1)

    def _draw(self, size: int) -> Floats:
        if len(self._patterns) == 1:
            return self._draw_alike(size, self._patterns[0].sums)
        out = np.empty((size, *self.sums.shape))
        together = self._distinct(size, self.count, self._patterns[0].sums.shape[1]) if self._alike else None
        for pattern in self._patterns:
            ways, candidates, _ = pattern.sums.shape
            if together is not None:
                chosen = together[:, pattern.prompts]
            else:
                chosen = self._distinct(size, len(pattern.prompts), candidates)
            way = self._rng.integers(0, ways, chosen.shape) if ways > 1 else 0
            out[:, pattern.prompts] = pattern.sums[way, chosen]
        return out

    def _draw_alike(self, size: int, sums: Floats) -> Floats:
        """Where all prompts carry one pattern only the set of those drawn matters, not their places."""
        ways, candidates, _ = sums.shape
        if self.count < candidates:
            chosen = self._sets(size, self.count, candidates)
        else:
            chosen = np.tile(np.arange(candidates), (size, 1))
        way = self._rng.integers(0, ways, chosen.shape) if ways > 1 else 0
        return np.asarray(sums[way, chosen])

    def _sets(self, size: int, wanted: int, among: int) -> Ints:
        """(size, wanted) distinct numbers below ``among`` in every row: a set drawn at random, whose order
        says nothing (Floyd's algorithm, Bentley 1987, doi:10.1145/30401.315746)."""
        rows, taken = np.arange(size), np.zeros((size, among), bool)
        chosen = np.empty((size, wanted), np.int64)
        for k, last in enumerate(range(among - wanted, among)):
            drawn = self._rng.integers(0, last + 1, size)
            chosen[:, k] = np.where(taken[rows, drawn], last, drawn)
            taken[rows, chosen[:, k]] = True
        return chosen

    def _distinct(self, size: int, wanted: int, among: int) -> Ints:
        """(size, wanted) distinct numbers below ``among`` in every row."""
        if wanted == 1:
            return self._rng.integers(0, among, (size, 1))
        return np.argsort(self._rng.random((size, among)), axis=1)[:, :wanted]

    def _find(
        self,
        features: Floats,
        cluster: Ints,
        block: Ints,
        labelled: NDArray[np.bool_],
        row: Ints,
        graded: Ints,
    ) -> list[_Pattern]:
        blocks, prompts = int(block.max()) + 1, int(cluster.max()) + 1
        wanted = np.zeros((self.count, blocks), dtype=np.int64)
        np.add.at(wanted, (row, block[labelled]), 1)
        kinds, kind = np.unique(wanted, axis=0, return_inverse=True)
        most = int(np.clip(_ROOM // (len(kinds) * features.shape[1]), 4 * self.count, _PROMPTS))
        code = np.full(prompts, -1)
        code[self._rng.permutation(prompts)[:most]] = 0
        code[graded] = 0
        code[code == 0] = np.arange(int((code == 0).sum()))
        inside = code[cluster] >= 0
        cluster, block, features = code[cluster[inside]], block[inside], features[inside]
        units = np.zeros((int(code.max()) + 1, blocks), dtype=np.int64)
        np.add.at(units, (cluster, block), 1)
        spare = [bool((units > need)[:, need > 0].any()) for need in kinds]
        orders = [_shuffled(self._rng, cluster, block) for _ in range(_WAYS if any(spare) else 1)]
        found, first = [], np.zeros(0, dtype=np.int64)
        self._alike = True
        for k, need in enumerate(kinds):
            carried = np.flatnonzero(kind.ravel() == k)
            able = np.flatnonzero((units >= need).all(1))
            first = able if k == 0 else first
            self._alike &= np.array_equal(first, able)
            place_of = np.full(len(units), -1)
            place_of[able] = np.arange(able.size)
            ways = []
            for order, place in orders if spare[k] else orders[:1]:
                used = order[(place < need[block[order]]) & (place_of[cluster[order]] >= 0)]
                ways.append(_sums(place_of[cluster[used]], features[used], able.size))
            found.append(_Pattern(carried, np.stack(ways)))
        return found


def _shuffled(rng: np.random.Generator, cluster: Ints, block: Ints) -> tuple[Ints, Ints]:
    """Units by prompt and block, in random order within both, and each one's place in it."""
    order = np.lexsort((rng.random(cluster.size), block, cluster))
    fresh = (np.diff(cluster[order], prepend=-1) != 0) | (np.diff(block[order], prepend=-1) != 0)
    start = np.flatnonzero(fresh)
    return order, np.arange(order.size) - np.repeat(start, np.diff(np.r_[start, order.size]))


def _sums(code: Ints, features: Floats, count: int) -> Floats:
    return np.column_stack([sum_by(code, features[:, k], count) for k in range(features.shape[1])])

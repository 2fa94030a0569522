"""Sums over rows: the Gram matrix of the border W = [Z, X, y], and its sums by level of the large factor.

A row of W has few non-zeros: one per random effect, a handful in a sparse X, and the dense columns (a dense X
and y). The sparse part is held as pieces, each one index and one value per row, so that a Gram block is one
`bincount` over a pair of pieces: no sparse product, no dense n x d matrix.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp

from app.stats.lmm_design import Block, Floats, Ints, Sparse, Term, csr

ROWS = 1 << 20
"""Rows per pass: bounds the memory of what is built per row."""

CACHED = 1 << 16
"""Rows per `bincount`: the arrays of one pair stay in the processor's cache."""

MAX_WIDTH = 16
"""A sparse X with more non-zeros in some row than this goes through scipy's sparse product."""


@dataclass(frozen=True, slots=True, eq=False)
class Piece:
    """One non-zero per row: column ``start + index`` (n,) of ``width``; ``value`` (n,), None for 1."""

    start: int
    width: int
    index: Ints
    value: Floats | None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Border:
    """Rows of [Z, X, y] times the root of their weights: pieces, a sparse rest, dense columns last."""

    pieces: tuple[Piece, ...]
    rest: Sparse | None  # (n, width of X) CSR at column `rest_start`, for an X too irregular for pieces
    rest_start: int
    dense: Floats  # (n, m)
    d: int

    @property
    def sparse_width(self) -> int:
        return self.d - int(self.dense.shape[1])

    def matrix(self) -> Sparse:
        """The sparse part (n, d - m) as CSR."""
        n = len(self.dense)
        width = len(self.pieces)
        index = np.empty((n, width), dtype=np.int32)
        value = np.empty((n, width))
        for k, piece in enumerate(self.pieces):
            index[:, k] = piece.index
            index[:, k] += piece.start
            value[:, k] = 1.0 if piece.value is None else piece.value
        kind = np.int32 if n * width < 2**31 else np.int64
        pointer: Any = np.arange(n + 1, dtype=kind)
        pointer *= width
        out = csr((value.ravel(), index.ravel(), pointer), shape=(n, self.sparse_width))
        if self.rest is None:
            return out
        wide = csr(
            (self.rest.data, self.rest.indices + self.rest_start, self.rest.indptr),
            shape=(n, self.sparse_width),
        )
        return csr(out + wide)


def borders(
    *,
    y: Floats,
    X: Any,
    weights: Floats,
    used: Ints,
    terms: Sequence[Term],
    blocks: Sequence[Block],
    offsets: dict[int, int],
    q: int,
) -> Iterator[tuple[Any, Border, Floats | None]]:
    """Row selections of at most `ROWS` rows with their border and root weights (None: all weights are 1)."""
    sparse = bool(sp.issparse(X))
    p = int(X.shape[1])
    d = q + p + 1
    plain = bool((weights[used] == 1).all())
    for a in range(0, len(used), ROWS):
        rows: Any = used[a : a + ROWS]
        if len(rows) == rows[-1] - rows[0] + 1:
            rows = slice(int(rows[0]), int(rows[-1]) + 1)
        root = None if plain else np.sqrt(weights[rows])
        pieces = [
            piece
            for b, offset in offsets.items()
            for piece in _block_pieces(blocks[b], terms[blocks[b].term], offset, rows, root)
        ]
        outcome = y[rows] if root is None else y[rows] * root
        part = select_rows(X, rows) if p else None
        rest = None
        if part is None:
            dense = outcome[:, None]
        elif sparse:
            dense = outcome[:, None]
            found = sparse_pieces(part, q, root)
            if found is None:
                rest = part if root is None else csr(part.multiply(root[:, None]))
            else:
                pieces += found
        else:
            dense = np.empty((len(outcome), p + 1))
            dense[:, :p] = part
            if root is not None:
                dense[:, :p] *= root[:, None]
            dense[:, p] = outcome
        yield rows, Border(pieces=tuple(pieces), rest=rest, rest_start=q, dense=dense, d=d), root


def _block_pieces(block: Block, term: Term, offset: int, rows: Any, root: Floats | None) -> list[Piece]:
    codes = term.codes[rows]
    present = None if codes.min(initial=0) >= 0 else codes >= 0
    if present is not None:
        codes = np.where(present, codes, 0)
    out = []
    for j, effect in enumerate(block.effects):
        value = None if term.values is None else term.values[rows, effect]
        if root is not None:
            value = root if value is None else value * root
        if present is not None:
            value = present.astype(np.float64) if value is None else np.where(present, value, 0.0)
        index = codes if block.size == 1 else codes * block.size + j
        out.append(Piece(offset, block.levels * block.size, index, value))
    return out


def sparse_pieces(X: Sparse, start: int, root: Floats | None) -> list[Piece] | None:
    """A CSR matrix as pieces, rows padded with zeros to the longest; None if that would be wasteful."""
    n, p = X.shape
    lengths = np.diff(X.indptr)
    width = int(lengths.max(initial=0))
    if width > MAX_WIDTH:
        return None
    if (lengths == width).all():
        index, value = X.indices.reshape(n, width), X.data.reshape(n, width)
    else:
        index, value = np.zeros((n, width), dtype=np.intp), np.zeros((n, width))
        inside = np.arange(width) < lengths[:, None]
        index[inside], value[inside] = X.indices, X.data
    return [
        Piece(
            start,
            p,
            index[:, k].astype(np.intp),
            np.ascontiguousarray(value[:, k]) if root is None else value[:, k] * root,
        )
        for k in range(width)
    ]


def select_rows(X: Any, rows: Any) -> Any:
    """Rows of a dense or CSR matrix; those of a slice of CSR are a view, where scipy copies them."""
    sparse = bool(sp.issparse(X))
    if not (sparse and isinstance(rows, slice)):
        return X[rows]
    a, b = int(X.indptr[rows.start]), int(X.indptr[rows.stop])
    pointer = X.indptr[rows.start : rows.stop + 1] - a
    return csr((X.data[a:b], X.indices[a:b], pointer), shape=(rows.stop - rows.start, X.shape[1]))


def gram(border: Border, sparse: Sparse) -> Floats:
    """W'W (d, d); ``sparse`` is ``border.matrix()``."""
    s = border.sparse_width
    out = np.zeros((border.d, border.d))
    if border.rest is not None:
        out[:s, :s] = (sparse.T @ sparse).toarray()
    elif s:
        out[:s, :s] = pairs(border.pieces, s)
    if s:
        cross = np.asarray(sparse.T @ border.dense)
        out[:s, s:] = cross
        out[s:, :s] = cross.T
    out[s:, s:] = border.dense.T @ border.dense
    return out


def weighted_gram(X: Any, weights: Floats) -> Floats:
    """X' diag(w) X (p, p) of a dense or CSR matrix."""
    plain = bool((weights == 1).all())
    dense = not sp.issparse(X)
    if dense:
        return np.asarray(X.T @ (X if plain else X * weights[:, None]))
    p = int(X.shape[1])
    total = np.zeros((p, p))
    for a in range(0, X.shape[0], ROWS):
        part = select_rows(X, slice(a, min(a + ROWS, X.shape[0])))
        root = None if plain else np.sqrt(weights[a : a + ROWS])
        pieces = sparse_pieces(part, 0, root)
        if pieces is None:
            scaled = part if root is None else csr(part.multiply(root[:, None]))
            total += (scaled.T @ scaled).toarray()
        elif pieces:
            total += pairs(pieces, p)
    return total


def pairs(pieces: Sequence[Piece], s: int) -> Floats:
    """The Gram matrix (s, s) of the sum of the pieces."""
    upper, diagonal = np.zeros((s, s)), np.zeros(s)
    widest = max(piece.width for piece in pieces)
    step = max(CACHED, widest * widest // 4)
    for a in range(0, len(pieces[0].index), step):
        rows = slice(a, a + step)
        for i, one in enumerate(pieces):
            index, value = one.index[rows], None if one.value is None else one.value[rows]
            square = None if value is None else value * value
            first = slice(one.start, one.start + one.width)
            diagonal[first] += np.bincount(index, weights=square, minlength=one.width)
            for two in pieces[i + 1 :]:
                weight = None if two.value is None else two.value[rows]
                if value is not None:
                    weight = value if weight is None else value * weight
                block = np.bincount(
                    index * two.width + two.index[rows], weights=weight, minlength=one.width * two.width
                )
                second = slice(two.start, two.start + two.width)
                upper[first, second] += block.reshape(one.width, two.width)
    return np.asarray(upper + upper.T + np.diag(diagonal))


def level_sums(
    codes: Ints,
    z: Floats | None,
    root: Floats | None,
    levels: int,
    border: Border,
    sparse: Sparse,
    into: Floats | None,
) -> tuple[Floats, Floats | Sparse]:
    """Level weights m (levels,) and sums (levels, d) of W for one factor with column ``z`` (None: 1).

    ``into``: a dense array that every row is added to in place, returned as the sums; None: the sums of
    these rows as CSR, by a sparse product.
    """
    n = len(codes)
    value = np.ones(n) if z is None else z
    if root is not None:
        value = value * root
    if codes.min(initial=0) < 0:
        value = np.where(codes >= 0, value, 0.0)
        codes = np.where(codes >= 0, codes, 0)
    m: Floats = np.bincount(codes, weights=value**2, minlength=levels).astype(np.float64)
    s = border.sparse_width
    if into is None:
        pick = csr(
            (value, codes.astype(np.int32), np.arange(n + 1, dtype=np.int32)), shape=(n, levels)
        ).T.tocsr()
        parts = [pick @ sparse] if s else []
        return m, csr(sp.hstack([*parts, csr(np.asarray(pick @ border.dense))], format="csr"))
    flat = into.reshape(-1)
    row = codes * border.d
    for piece in border.pieces:
        weight = value if piece.value is None else value * piece.value
        np.add.at(flat, row + (piece.index + piece.start), weight)
    for j in range(border.dense.shape[1]):
        into[:, s + j] += np.bincount(codes, weights=value * border.dense[:, j], minlength=levels)
    return m, into


def rows_of(sums: Floats | Sparse, index: Any) -> Floats:
    """Rows of level sums as a dense array."""
    if isinstance(sums, np.ndarray):
        return np.asarray(sums[index])
    return np.asarray(sums[index].toarray())

"""Nearest neighbours of a few texts among very many, which stream by.

Three measures, each in [0, 1]:

* *exact*: the same words in the same order, whatever their case, punctuation and layout;
* *near*: |A n D| / min(|A|, |D|), the overlap of two texts' sets of three-word runs. Broder (1997, "On the
  resemblance and containment of documents"): a text is kept as its sketch, the `_SKETCH` runs with the
  smallest hashes (bottom-k MinHash): all of them for texts of up to 258 words, an estimate for longer ones;
* *alike*: the cosine of word stems weighted by how few of the texts have them: wording, not its order.

The texts are held, the others pass in batches: memory grows with the texts, never with the corpus.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from app.auditing.hashed_words import HashedWords, Hashes, Ints, hash_runs, hash_words, mix, whole_hashes

Floats = NDArray[np.float64]
Meaning = Callable[[Sequence[str]], NDArray[np.float32]]

CANDIDATES = 20  # likest documents kept per text
LEAST_RUNS = 6  # a shorter text ("Yes, of course.") stands in everything: only its exact copies count
_SKETCH = 256
_BATCH_TEXTS, _BATCH_LETTERS = 4_000, 1_500_000
_LONGEST = 200_000  # letters of a document that are read
_BUCKETS = 1 << 22
_DENSE = 3_000_000  # cells of a batch's matrix of likeness
_COMMON = 0.2  # stems of more texts than this share tell nothing


@dataclass(frozen=True, slots=True)
class Document:
    """A text of a corpus; ``name`` says where it stands there."""

    name: str
    text: str


@dataclass(slots=True)
class Neighbours:
    """What was found, one row per pair of a text and a document.

    ``text`` index of the text, ``document`` index into ``documents``; ``exact`` bool, ``near``, ``alike``
    in [0, 1]. ``read`` counts the documents that went by.
    """

    text: Ints
    document: Ints
    exact: NDArray[np.bool_]
    near: Floats
    alike: Floats
    documents: list[Document] = field(default_factory=list)
    read: int = 0


class Texts:
    """The texts whose neighbours are sought."""

    def __init__(self, texts: Sequence[str]) -> None:
        self.texts, self.count = texts, len(texts)
        words = hash_words(texts)
        self._whole = whole_hashes(words)
        self._order = np.argsort(self._whole, kind="stable")
        self._runs(words)
        self._stems(words)

    def exact(self, words: HashedWords) -> tuple[Ints, Ints]:
        """(text, document of the batch) with the same words."""
        return _joined(self._whole, self._order, whole_hashes(words))

    def near(self, words: HashedWords) -> tuple[Ints, Ints, Floats]:
        """(text, document, overlap) of pairs that share a run; texts and documents of too few runs apart."""
        run, document = hash_runs(words)
        met = self._bucket[run & np.uint64(_BUCKETS - 1)]
        run, document = run[met], document[met]
        text, row = _joined(self._run, None, run)
        pair = document[row] * self.count + text
        once = np.unique(mix(pair.astype(np.uint64)) ^ run[row], return_index=True)[
            1
        ]  # repeats in a document
        key, shared = np.unique(pair[once], return_counts=True)
        document, text = np.divmod(key, self.count)
        size = np.maximum(words.count - 2, 1)[document]
        in_both = shared * self._sampled[text]
        overlap = np.minimum(in_both / np.minimum(self.runs[text], size), 1.0)
        long_enough = (self.runs[text] >= LEAST_RUNS) & (size >= LEAST_RUNS)
        return text[long_enough], document[long_enough], overlap[long_enough]

    def alike(self, words: HashedWords) -> sparse.csr_array:
        """(documents, texts) cosines."""
        place = np.searchsorted(self._stem, words.stem)
        place[place == self._stem.size] = 0
        known = self._stem[place] == words.stem if self._stem.size else np.zeros(words.stem.size, bool)
        documents = words.count.size
        cell = np.unique(words.text[known] * self._stem.size + place[known])
        document, stem = np.divmod(cell, max(self._stem.size, 1))
        weight = self._idf[stem]
        square = np.bincount(document, weight**2, documents)
        unknown = np.bincount(words.text[~known], minlength=documents)  # repeats count again: a lower cosine
        length = np.sqrt(square + unknown * self._rarest**2)
        weight = np.where(self._telling[stem], weight, 0.0) / length[document]
        rows = sparse.csr_array((weight, (document, stem)), shape=(documents, max(self._stem.size, 1)))
        rows.eliminate_zeros()
        return sparse.csr_array(rows @ self._matrix)

    def _runs(self, words: HashedWords) -> None:
        run, text = hash_runs(words)
        run, text = _distinct(run, text)
        self.runs = np.bincount(text, minlength=self.count).astype(np.float64)
        order = np.lexsort((run, text))
        run, text = run[order], text[order]
        rank = np.arange(run.size) - (np.cumsum(self.runs) - self.runs).astype(np.int64)[text]
        kept = rank < _SKETCH
        run, text = run[kept], text[kept]
        self._sampled = np.maximum(self.runs, 1) / np.minimum(np.maximum(self.runs, 1), _SKETCH)
        order = np.argsort(run, kind="stable")
        self._run = _Keyed(run[order], text[order])
        self._bucket = np.zeros(_BUCKETS, bool)
        self._bucket[run & np.uint64(_BUCKETS - 1)] = True

    def _stems(self, words: HashedWords) -> None:
        stem, text = _distinct(words.stem, words.text)
        self._stem, place, shared = np.unique(stem, return_inverse=True, return_counts=True)
        self._rarest = float(np.log(1 + self.count))
        self._idf = np.log((1 + self.count) / shared)
        self._telling = shared <= max(2, _COMMON * self.count)
        weight = self._idf[place]
        length = np.sqrt(np.maximum(np.bincount(text, weight**2, self.count), 1e-12))
        self._matrix = sparse.csr_array(
            (weight / length[text], (place, text)), shape=(max(self._stem.size, 1), self.count)
        )


@dataclass(frozen=True, slots=True)
class _Keyed:
    """Sorted keys, with the text of each."""

    key: Hashes
    text: Ints


def find_neighbours(
    texts: Texts, corpus: Iterable[Document], *, near: float, meaning: Meaning | None = None
) -> Neighbours:
    """Every exact copy and every document whose overlap is ``near`` or more, and the `CANDIDATES` most alike.

    At most `CANDIDATES` copies and near documents are kept per text. With ``meaning``, which gives vectors
    (n, d) of length 1, the most alike are by its cosines instead of word stems: it reads every document.
    """
    own = None if meaning is None else meaning(texts.texts).T
    copies, overlaps, likes = (_Best(texts.count, CANDIDATES, floor) for floor in (0.5, near, 0.1))
    kept: dict[int, Document] = {}
    read = 0
    batch_texts = max(50, min(_BATCH_TEXTS, _DENSE // max(texts.count, 1)))
    for batch in _batches(corpus, batch_texts):
        words = hash_words([one.text[:_LONGEST] for one in batch])
        text, row = texts.exact(words)
        changed = copies.add(text, read + row, np.ones(text.size))
        text, row, overlap = texts.near(words)
        changed |= overlaps.add(text, read + row, overlap)
        if meaning is None or own is None:
            cosine = texts.alike(words).tocoo()
            row, text, value = cosine.row.astype(np.int64), cosine.col.astype(np.int64), cosine.data
        else:
            every = meaning([one.text for one in batch]) @ own
            row, text = np.nonzero(every >= likes.floor)
            value = every[row, text].astype(np.float64)
        changed |= likes.add(text, read + row, np.minimum(value, 1.0))
        if changed:
            wanted = {*copies.document.tolist(), *overlaps.document.tolist(), *likes.document.tolist()}
            kept = {
                number: kept[number] if number < read else batch[number - read] for number in sorted(wanted)
            }
        read += len(batch)
    return _together(texts.count, copies, overlaps, likes, kept, read)


class _Best:
    """The best few documents of each text so far: ``text``, ``document``, ``value``, by text and value."""

    def __init__(self, texts: int, most: int, floor: float) -> None:
        self.text, self.document = np.zeros(0, np.int64), np.zeros(0, np.int64)
        self.value = np.zeros(0)
        self._most, self.floor = most, np.full(texts, floor)

    def add(self, text: Ints, document: Ints, value: Floats) -> bool:
        """Take pairs in; whether any of them is among the best. Of equal ones the first come stay."""
        better = value >= self.floor[text]
        if not better.any():
            return False
        text = np.concatenate([self.text, text[better]])
        document = np.concatenate([self.document, document[better]])
        value = np.concatenate([self.value, value[better]])
        order = np.lexsort((document, -value, text))
        text, document, value = text[order], document[order], value[order]
        begins = np.r_[True, text[1:] != text[:-1]]
        rank = np.arange(text.size) - np.flatnonzero(begins)[np.cumsum(begins) - 1]
        kept = rank < self._most
        full = rank == self._most - 1
        self.floor[text[full]] = np.nextafter(value[full], np.inf)
        self.text, self.document, self.value = text[kept], document[kept], value[kept]
        return True


def _together(
    texts: int, copies: _Best, overlaps: _Best, likes: _Best, kept: dict[int, Document], read: int
) -> Neighbours:
    numbers = np.array(sorted(kept), np.int64)
    keys = [
        one.text * max(numbers.size, 1) + np.searchsorted(numbers, one.document)
        for one in (copies, overlaps, likes)
    ]
    every = np.unique(np.concatenate(keys))
    columns = []
    for key, one in zip(keys, (copies, overlaps, likes), strict=True):
        column = np.zeros(every.size)
        column[np.searchsorted(every, key)] = one.value
        columns.append(column)
    text, document = np.divmod(every, max(numbers.size, 1))
    exact = columns[0] > 0
    return Neighbours(
        text=text,
        document=document,
        exact=exact,
        near=np.where(exact, 1.0, columns[1]),
        alike=np.where(exact, 1.0, columns[2]),
        documents=[kept[int(number)] for number in numbers],
        read=read,
    )


def _batches(corpus: Iterable[Document], most: int) -> Iterator[list[Document]]:
    """Batches of a bounded number of documents and, one long one apart, of letters."""
    documents = iter(corpus)
    while batch := list(islice(documents, 1)):
        letters = len(batch[0].text)
        while len(batch) < most and letters < _BATCH_LETTERS and (one := next(documents, None)) is not None:
            batch.append(one)
            letters += min(len(one.text), _LONGEST)
        yield batch


def _joined(keys: "_Keyed | Hashes", order: Ints | None, asked: Hashes) -> tuple[Ints, Ints]:
    """(text, place in ``asked``) of every equal pair of hashes; a hash of 0 equals nothing."""
    if isinstance(keys, _Keyed):
        ordered, text = keys.key, keys.text
    else:
        assert order is not None
        ordered, text = keys[order], order
    low = np.searchsorted(ordered, asked, side="left")
    many = np.where(asked == 0, 0, np.searchsorted(ordered, asked, side="right") - low)
    hits = np.flatnonzero(many)
    low, many = low[hits], many[hits]
    step = np.arange(many.sum()) - np.repeat(np.cumsum(many) - many, many)
    return text[np.repeat(low, many) + step], np.repeat(hits, many)


def _distinct(hashes: Hashes, text: Ints) -> tuple[Hashes, Ints]:
    """Each hash once per text."""
    order = np.lexsort((hashes, text))
    hashes, text = hashes[order], text[order]
    first = np.ones(hashes.size, bool)
    first[1:] = (hashes[1:] != hashes[:-1]) | (text[1:] != text[:-1])
    return hashes[first], text[first]

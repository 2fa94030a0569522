"""Texts as hashes of their words, a batch at once and without a loop over texts.

A word is a run of letters and digits, folded to lower case; a letter of a script that is written without
blanks (Chinese, Japanese, Korean) is a word of its own. Its hash is a polynomial in its bytes modulo 2^64,
had from two prefix sums, so that a million texts take seconds.
"""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Hashes = NDArray[np.uint64]
Ints = NDArray[np.int64]

RUN = 3  # words of a run
_STEM = 5  # bytes: what a word's forms mostly share
_BASE = 0x9E3779B97F4A7C15 | 1
_INVERSE = pow(_BASE, -1, 1 << 64)
_WORD = np.zeros(256, bool)
_WORD[[*range(ord("0"), ord("9") + 1), *range(ord("a"), ord("z") + 1), *range(0x80, 0x100)]] = True
_ALONE = np.zeros(256, bool)
_ALONE[0xE3:0xEE] = True  # first bytes of letters that are words (U+3000 to U+DFFF in UTF-8)


@dataclass(frozen=True, slots=True)
class HashedWords:
    """d texts of w words in all. ``word``, ``stem`` uint64 (w,); ``text`` int64 (w,) which text a word is
    of, ascending; ``first`` int64 (d,) its text's first word, ``count`` int64 (d,) words of each text."""

    word: Hashes
    stem: Hashes
    text: Ints
    first: Ints
    count: Ints


def hash_words(texts: Sequence[str]) -> HashedWords:
    """The words of ``texts``. Memory is about 60 bytes per byte of text: call it for a few megabytes."""
    joined = "\x00".join(text.replace("\x00", " ") for text in texts)
    if not joined.isascii():
        joined = unicodedata.normalize("NFKC", joined)
    raw = np.frombuffer(joined.lower().encode("utf-8", "replace"), np.uint8)
    inside, alone = _WORD[raw], _ALONE[raw]
    begins = inside.copy()
    begins[1:] &= ~inside[:-1] | alone[1:]
    begins[3:] |= inside[3:] & alone[:-3]
    start = np.flatnonzero(begins)
    stops = ~inside
    stops[start] = True
    ends = np.append(np.flatnonzero(stops), raw.size)
    end = ends[np.searchsorted(ends, start, side="right")]
    power, inverse = _powers(1 << max(16, int(raw.size).bit_length()))
    with np.errstate(over="ignore"):
        prefix = np.zeros(raw.size + 1, np.uint64)
        np.cumsum((raw.astype(np.uint64) + np.uint64(1)) * power[: raw.size], out=prefix[1:])
        whole = mix((prefix[end] - prefix[start]) * inverse[start])
        stem = mix((prefix[np.minimum(end, start + _STEM)] - prefix[start]) * inverse[start])
    gaps = np.flatnonzero(raw == 0)
    text = np.searchsorted(gaps, start)
    count = np.bincount(text, minlength=len(texts)).astype(np.int64)
    return HashedWords(whole, stem, text, np.cumsum(count) - count, count)


def whole_hashes(words: HashedWords) -> Hashes:
    """(d,) one hash per text of all its words in their order; 0 for a text without words."""
    place = np.arange(words.word.size) - words.first[words.text]
    power, _ = _powers(1 << max(16, int(place.max(initial=0) + 1).bit_length()))
    found = np.zeros(words.count.size, np.uint64)
    with np.errstate(over="ignore"):
        np.add.at(found, words.text, words.word * power[place])
        return np.where(words.count > 0, mix(found), np.uint64(0))


def hash_runs(words: HashedWords) -> tuple[Hashes, Ints]:
    """Hashes of all runs of `RUN` words (of a shorter text: of all its words), and the text of each."""
    left = words.count[words.text] - (np.arange(words.word.size) - words.first[words.text])
    with np.errstate(over="ignore"):
        run = words.word.copy()
        for step in range(1, RUN):
            next_word = np.zeros_like(run)
            next_word[:-step] = words.word[step:]
            run = mix(run) + np.where(left > step, next_word, np.uint64(step))
    is_first = np.zeros(words.word.size, bool)
    is_first[words.first[words.count > 0]] = True
    keep = (left >= RUN) | is_first
    return mix(run[keep]), words.text[keep]


def mix(x: Hashes) -> Hashes:
    """The finaliser of splitmix64: near hashes become far ones."""
    with np.errstate(over="ignore"):
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return x ^ (x >> np.uint64(31))


@lru_cache(maxsize=2)
def _powers(size: int) -> tuple[Hashes, Hashes]:
    with np.errstate(over="ignore"):
        both = []
        for base in (_BASE, _INVERSE):
            powers = np.full(size, base, np.uint64)
            powers[0] = 1
            both.append(np.cumprod(powers))
    return both[0], both[1]

"""Identifiers: integers inside, short readable strings outside.

Two kinds, so that no row needs a round trip to learn its parent's key:

* a *new* id is ordered by time (41 bits of milliseconds, 22 random bits), for what happens;
* a *content* id is a hash of a natural key, for what is: the same answer text has the same id everywhere.
"""

from hashlib import blake2b
from random import Random

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's base 32: no i, l, o, u
_VALUES = {letter: value for value, letter in enumerate(_ALPHABET)}
_EPOCH_MS = 1_704_067_200_000  # 2024-01-01T00:00:00Z
_LETTERS = 13  # 65 bits, enough for 63


class UnknownId(ValueError):
    """A string that is no identifier of the kind asked for."""

    def __init__(self, text: str, prefix: str) -> None:
        super().__init__(f"{text!r} is not an identifier that starts with {prefix}_")
        self.text, self.prefix = text, prefix


def new_id(now_ms: int, rng: Random) -> int:
    """A positive 63-bit id that grows with time; ``now_ms`` is a Unix time in milliseconds."""
    return ((now_ms - _EPOCH_MS) & 0x1FF_FFFF_FFFF) << 22 | rng.getrandbits(22)


def earliest_id(now_ms: int) -> int:
    """The smallest id that `new_id` can give at that time: everything since then is not below it."""
    return ((now_ms - _EPOCH_MS) & 0x1FF_FFFF_FFFF) << 22


def content_id(*key: str | int | None) -> int:
    """A positive 63-bit id of a natural key, the same on every machine.

    Parts are length-prefixed, so that ("ab", "c") and ("a", "bc") differ, and None differs from "".
    """
    digest = blake2b(digest_size=8)
    for part in key:
        raw = b"-" if part is None else str(part).encode("utf-8", "surrogatepass")
        digest.update(f"{len(raw)}{'n' if part is None else 's'}".encode())
        digest.update(raw)
    return int.from_bytes(digest.digest(), "big") >> 1


def show_id(prefix: str, value: int) -> str:
    """The public form of an id, as ``g_0c5m...``."""
    letters = [_ALPHABET[(value >> shift) & 31] for shift in range(5 * (_LETTERS - 1), -1, -5)]
    return f"{prefix}_{''.join(letters)}"


def read_id(prefix: str, text: str) -> int:
    """The inverse of `show_id`.

    Raises
    ------
    UnknownId
        If ``text`` has another prefix, length or alphabet.
    """
    head, _, tail = text.partition("_")
    if head != prefix or len(tail) != _LETTERS or any(letter not in _VALUES for letter in tail):
        raise UnknownId(text, prefix)
    value = 0
    for letter in tail:
        value = value << 5 | _VALUES[letter]
    if value >= 1 << 63:
        raise UnknownId(text, prefix)
    return value

"""The JSON objects that stand in a text: whole, broken, or broken off."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from json import JSONDecoder

_OPENING = re.compile(r'\{\s*"')
_STRING_OR_BRACE = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*(?:"|\\?\Z)|[{}]', re.DOTALL)
_BLANKS = re.compile(r"[ \t\n\r]*")


class Members(dict[str, object]):
    """A decoded object that remembers which of its keys stood twice with different values."""

    contradicted: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class FoundObject:
    """``text[start:end]`` is an object; ``members`` is None where it closes but is no JSON.

    ``end`` is None where the text breaks off before the object closes.
    """

    start: int
    end: int | None
    members: Members | None


def find_objects(text: str, start: int = 0) -> Iterator[FoundObject]:
    """The outermost objects of a text, from left to right, in time linear in its length.

    What looks like an object but is not JSON is found too, up to the brace that closes it, and nothing
    inside it is looked at: a part of a broken object is not an object.
    """
    while opening := _OPENING.search(text, start):
        end = _closing(text, opening.start())
        if end is None:
            yield FoundObject(opening.start(), None, None)
            return
        yield FoundObject(opening.start(), end, _decoded(text[opening.start() : end]))
        start = end


def member_spans(text: str, start: int) -> dict[str, tuple[int, int]]:
    """Where the value of each member stands in the object that begins at ``text[start]``.

    The object must be one that `find_objects` could decode. Spans of strings include the quotes.
    """
    spans: dict[str, tuple[int, int]] = {}
    position = _skip_blanks(text, start + 1)
    while text[position] != "}":
        key, position = _DECODER.raw_decode(text, position)
        first = _skip_blanks(text, _skip_blanks(text, position) + 1)  # past the colon
        _, last = _DECODER.raw_decode(text, first)
        spans[key] = (first, last)
        position = _skip_blanks(text, last)
        if text[position] == ",":
            position = _skip_blanks(text, position + 1)
    return spans


def _skip_blanks(text: str, position: int) -> int:
    match = _BLANKS.match(text, position)
    return match.end() if match else position


def _decoded(text: str) -> Members | None:
    """The object, or None if it is no JSON. Takes a slice: an error costs time in its document's length."""
    try:
        value = _DECODER.decode(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, Members) else None


def _closing(text: str, start: int) -> int | None:
    """The end of the object that begins at ``start``, braces within strings not counted."""
    depth = 0
    for match in _STRING_OR_BRACE.finditer(text, start):
        symbol = match.group()
        if symbol == "{":
            depth += 1
        elif symbol == "}":
            depth -= 1
            if depth == 0:
                return match.end()
    return None


def _members(pairs: list[tuple[str, object]]) -> Members:
    members = Members(pairs)
    if len(members) < len(pairs):
        first: dict[str, object] = {}
        contradicted = {key for key, value in pairs if not _same(first.setdefault(key, value), value)}
        members.contradicted = frozenset(contradicted)
    return members


def _same(first: object, second: object) -> bool:
    """Whether two values of one key agree; lists and objects never do, as comparing them takes too long."""
    if first is second:
        return True
    return not isinstance(first, list | dict) and type(first) is type(second) and first == second


# Not strict about control characters in strings: judges without a schema put line breaks in rationales.
_DECODER = JSONDecoder(object_pairs_hook=_members, strict=False)

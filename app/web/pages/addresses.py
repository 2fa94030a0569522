"""Addresses of pages, with names of others' choosing made safe."""

from collections.abc import Iterable
from urllib.parse import quote, urlencode


def url(*parts: str, **query: str | int | float | Iterable[str] | None) -> str:
    """``/ui`` and ``parts``, each quoted whole; ``query`` without what is None or empty, lists repeated."""
    path = "/".join(("/ui", *(quote(part, safe="") for part in parts)))
    pairs: list[tuple[str, str]] = []
    for name, value in query.items():
        if value is None or value == "":
            continue
        if isinstance(value, str | int | float):
            pairs.append((name, str(value)))
        else:
            pairs += [(name, one) for one in value]
    return f"{path}?{urlencode(pairs)}" if pairs else path


def inside(address: str) -> str:
    """``address`` if it is one of our pages, else the first: where signing in may lead."""
    plain = address.isascii() and address.isprintable() and "\\" not in address
    ours = address == "/ui" or address.startswith(("/ui/", "/ui?"))
    return address if plain and ours else "/ui"


def answer_url(answer_id: str, other_answer_id: str | None, rubric: str, criterion: str | None = None) -> str:
    """The page of an answer or a pair."""
    return url("answers", answer_id, other=other_answer_id, rubric=rubric, criterion=criterion)

"""JSON that obeys a schema, piece by piece, so that every value can carry log-probabilities."""

import json
import math
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from zlib import crc32

Piece = tuple[str, tuple[tuple[str, float], ...]]
"""A token and its alternatives with their log-probabilities, the token itself first."""

Picker = Callable[[str, int], int]
"""Path of a value and how many it may take -> which one."""


def picker(style: str, text: str) -> Picker:
    """How a model picks: see `Behaviour.pick`."""
    if style == "low":
        return lambda path, count: 0
    if style == "high":
        return lambda path, count: count - 1
    if style == "middle":
        return lambda path, count: (count - 1) // 2
    if style.startswith("knows:"):
        # A pairwise judge that knows a word of the right answer: the first choice if it stands in A's text.
        knows_first = 0 <= text.find(style.removeprefix("knows:")) < text.find("<<<answer B")
        return lambda path, count: 0 if knows_first else 1
    start = crc32(text.encode("utf-8", "surrogatepass"))
    return lambda path, count: (crc32(path.encode(), start) >> 7) % count


def pieces(schema: Mapping[str, Any], pick: Picker) -> list[Piece]:
    """A valid instance of ``schema`` as tokens; joined, they are JSON."""
    return list(_value(schema, pick, "", schema))


def out_of_range(tokens: list[Piece]) -> list[Piece]:
    """The same with every number far beyond any scale."""
    return [("999", ()) if _is_number(text) else (text, ()) for text, _ in tokens]


def find_form(text: str) -> dict[str, Any] | None:
    """The form of reply described in a prompt, as a schema: what a model without schemas goes by.

    Reads ``"key": <a whole number from 1 to 5>``, ``<a number from 0 to 1>``, ``<one of "a", "b">``,
    ``<"A", "B" or "tie">`` and nested objects of these; anything else in angle brackets is free text.
    """
    line = form_line(text)
    if line is None:
        return None
    form: dict[str, Any] = json.loads(_SLOT.sub(lambda slot: json.dumps(_slot_schema(slot[1])), line))
    return _as_schema(form)


def form_line(text: str) -> str | None:
    """The line of a prompt that shows the form of the reply."""
    start = text.find(_FORM)
    return None if start < 0 else text[start + len(_FORM) :].split("\n", 1)[0]


def bounded(schema: Mapping[str, Any], text: str) -> Mapping[str, Any]:
    """``schema`` itself, or, where it has numbers without ends, the form described in the prompt."""
    leaves = list(schema.get("properties", {}).values())
    leaves += [inner for leaf in leaves for inner in leaf.get("properties", {}).values()]
    if all(
        "enum" in leaf or "maximum" in leaf for leaf in leaves if leaf.get("type") in ("number", "integer")
    ):
        return schema
    return find_form(text) or schema


_FORM = "in this form:\n"
_SLOT = re.compile(r"<([^<>]*)>")
_RANGE = re.compile(r"from (-?[\d.]+) to (-?[\d.]+)(?: in steps of ([\d.]+))?")


def _slot_schema(words: str) -> dict[str, Any]:
    ends = _RANGE.search(words)
    if ends:
        low, high, step = ends.groups()
        schema: dict[str, Any] = {"type": "number", "minimum": float(low), "maximum": float(high)}
        if "whole" in words:
            schema["type"] = "integer"
        elif step:
            schema["multipleOf"] = float(step)
        return schema
    options = [json.loads(quoted) for quoted in re.findall(r'"(?:[^"\\]|\\.)*"', words)]
    return {"type": "string", "enum": options} if options else {"type": "string"}


def _as_schema(form: dict[str, Any]) -> dict[str, Any]:
    if isinstance(form.get("type"), str):
        return form
    return {"type": "object", "properties": {name: _as_schema(inner) for name, inner in form.items()}}


def json_objects(text: str) -> Iterator[dict[str, Any]]:
    """Every outermost JSON object in a text, in order."""
    decoder, start = json.JSONDecoder(), text.find("{")
    while start >= 0:
        try:
            found, end = decoder.raw_decode(text, start)
        except ValueError:
            end = start + 1
        else:
            if isinstance(found, dict):
                yield found
        start = text.find("{", end)


def _value(schema: Mapping[str, Any], pick: Picker, path: str, root: Mapping[str, Any]) -> Iterator[Piece]:
    if "$ref" in schema:
        schema = _resolve(schema["$ref"], root)
    if "anyOf" in schema:
        schema = schema["anyOf"][0]
    allowed = _allowed(schema)
    if allowed:
        yield from _chosen(allowed, pick(path, len(allowed)))
        return
    kind = schema.get("type", "object")
    if isinstance(kind, list):
        kind = kind[0]
    if kind == "object":
        yield from _object(schema, pick, path, root)
    elif kind == "array":
        yield from _array(schema, pick, path, root)
    else:
        yield json.dumps(f"Read {path.rsplit('.', 1)[-1]} with care."), ()


def _object(schema: Mapping[str, Any], pick: Picker, path: str, root: Mapping[str, Any]) -> Iterator[Piece]:
    yield "{", ()
    for place, (name, inner) in enumerate(schema.get("properties", {}).items()):
        yield (", " if place else "") + json.dumps(name) + ": ", ()
        yield from _value(inner, pick, f"{path}.{name}", root)
    yield "}", ()


def _array(schema: Mapping[str, Any], pick: Picker, path: str, root: Mapping[str, Any]) -> Iterator[Piece]:
    inner = schema.get("prefixItems") or [schema["items"]] * int(schema.get("minItems", 1))
    yield "[", ()
    for place, item in enumerate(inner):
        if place:
            yield ", ", ()
        yield from _value(item, pick, f"{path}.{place}", root)
    yield "]", ()


def _allowed(schema: Mapping[str, Any]) -> list[Any]:
    """Every value a leaf may take; empty for free text, objects and arrays."""
    if "const" in schema:
        return [schema["const"]]
    if "enum" in schema:
        return list(schema["enum"])
    low, high = schema.get("minimum"), schema.get("maximum")
    match schema.get("type"):
        case "boolean":
            return [False, True]
        case "null":
            return [None]
        case "integer":
            return list(range(int(1 if low is None else low), int(5 if high is None else high) + 1))
        case "number":
            first, last = float(1 if low is None else low), float(5 if high is None else high)
            step = schema.get("multipleOf") or (last - first) / 4 or 1
            return [first + k * step for k in range(math.floor((last - first) / step + 1e-9) + 1)]
    return []


def _chosen(allowed: list[Any], index: int) -> Iterator[Piece]:
    """A value and its neighbours: 0.6 for the chosen one, the rest in equal parts for the next ones."""
    near = [allowed[k] for k in (index - 1, index + 1) if 0 <= k < len(allowed)]
    alternatives = [(_bare(allowed[index]), math.log(0.6) if near else 0.0)]
    alternatives += [(_bare(value), math.log(0.4 / len(near))) for value in near]
    quote = isinstance(allowed[index], str)
    if quote:
        yield '"', ()
    yield alternatives[0][0], tuple(alternatives)
    if quote:
        yield '"', ()


def _bare(value: Any) -> str:
    """A value as a model writes it: strings without their quotes, whole numbers without a point."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    text = json.dumps(value)
    return text[1:-1] if isinstance(value, str) else text


def _resolve(reference: str, root: Mapping[str, Any]) -> Mapping[str, Any]:
    found: Any = root
    for part in reference.removeprefix("#/").split("/"):
        found = found[part]
    return found  # type: ignore[no-any-return]


def _is_number(text: str) -> bool:
    return text.lstrip("-").replace(".", "", 1).isdigit()

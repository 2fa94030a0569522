"""Checks values against the part of JSON Schema that the service's OpenAPI document uses.

So that a file of requests can be checked line by line before any of it is sent, by the rules of the very
service that will take it.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from operator import ge, gt, le, lt
from typing import Any

_TYPES: Mapping[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "boolean": (bool,),
    "null": (type(None),),
    "integer": (int,),
    "number": (int, float),
}

_BOUNDS: Sequence[tuple[str, Callable[[float, float], bool], str]] = (
    ("minimum", ge, "at least"),
    ("exclusiveMinimum", gt, "more than"),
    ("maximum", le, "at most"),
    ("exclusiveMaximum", lt, "less than"),
)


def problems(
    value: Any, schema: Mapping[str, Any], document: Mapping[str, Any], path: str = ""
) -> Iterator[str]:
    """What is wrong with ``value``, as sentences with their places; nothing if it fits.

    ``document`` is where references (``#/components/...``) lead.
    """
    schema = _resolved(schema, document)
    place = f"{path}: " if path else ""
    if "anyOf" in schema:
        yield from _any(value, schema["anyOf"], document, path)
        return
    if (type_ := schema.get("type")) and not _is(value, type_):
        yield f"{place}must be {'an' if type_[0] in 'aio' else 'a'} {type_}, not {_kind(value)}"
        return
    if "enum" in schema and value not in schema["enum"]:
        yield f"{place}must be one of {', '.join(map(str, schema['enum']))}"
    if isinstance(value, dict):
        yield from _object(value, schema, document, path)
    elif isinstance(value, list):
        yield from _sized(len(value), schema, "Items", "entries", place)
        for index, one in enumerate(value):
            yield from problems(one, schema.get("items", {}), document, f"{path}[{index}]")
    elif isinstance(value, str):
        yield from _sized(len(value), schema, "Length", "characters", place)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield from _bounded(value, schema, place)


def _resolved(schema: Mapping[str, Any], document: Mapping[str, Any]) -> Mapping[str, Any]:
    while "$ref" in schema:
        found: Any = document
        for step in schema["$ref"].removeprefix("#/").split("/"):
            found = found[step]
        schema = found
    return schema


def _any(value: Any, choices: Sequence[Any], document: Mapping[str, Any], path: str) -> Iterator[str]:
    """The problems under the choice that comes nearest: of a null or a text, the text is what was meant."""
    found = [list(problems(value, choice, document, path)) for choice in choices]
    if all(found):
        fitting = [
            f for f, c in zip(found, choices, strict=True) if _is(value, _resolved(c, document).get("type"))
        ]
        yield from min(fitting or found, key=len)


def _object(
    value: Mapping[str, Any], schema: Mapping[str, Any], document: Mapping[str, Any], path: str
) -> Iterator[str]:
    fields, rest = schema.get("properties", {}), schema.get("additionalProperties", True)
    for name in schema.get("required", ()):
        if name not in value:
            yield f"{_under(path, name)}: this field is required"
    yield from _sized(len(value), schema, "Properties", "entries", f"{path}: " if path else "")
    for name, held in value.items():
        if name in fields:
            yield from problems(held, fields[name], document, _under(path, name))
        elif rest is False:
            yield f"{_under(path, name)}: there is no such field"
        elif isinstance(rest, Mapping):
            yield from problems(held, rest, document, _under(path, name))


def _under(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _sized(size: int, schema: Mapping[str, Any], of: str, unit: str, place: str) -> Iterator[str]:
    if size < (least := schema.get(f"min{of}", 0)):
        yield f"{place}must have at least {least:,} {unit}"
    if size > (most := schema.get(f"max{of}", size)):
        yield f"{place}must have at most {most:,} {unit}, not {size:,}"


def _bounded(value: float, schema: Mapping[str, Any], place: str) -> Iterator[str]:
    for name, keeps, words in _BOUNDS:
        if name in schema and not keeps(value, schema[name]):
            yield f"{place}must be {words} {schema[name]:g}"


def _is(value: Any, type_: str | None) -> bool:
    if type_ is None or type_ not in _TYPES:
        return True
    if isinstance(value, bool) and type_ in ("integer", "number"):
        return False
    if type_ == "integer" and isinstance(value, float):
        return value.is_integer()
    return isinstance(value, _TYPES[type_])


def _kind(value: Any) -> str:
    names = (
        type_ for type_ in ("null", "boolean", "string", "number", "array", "object") if _is(value, type_)
    )
    return next(names, "something else")

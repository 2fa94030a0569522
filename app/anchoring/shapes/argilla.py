"""Argilla's records: responses by people, beside suggestions by models."""

from collections.abc import Iterator
from typing import Any

from app.anchoring.shapes.shape import Reading, Said, a_value, extras, listed, mapped
from app.anchoring.table import Cell
from app.domain.problems import BadInput

_FLAT = ".responses"


def is_argilla(first: Any) -> bool:
    """Whether a document's first object is a record, nested or with one column per part."""
    if not isinstance(first, dict):
        return False
    nested = isinstance(first.get("fields"), dict) and ("responses" in first or "suggestions" in first)
    return nested or any(key.endswith(_FLAT) for key in first)


def read_argilla(records: Any, reading: Reading) -> Iterator[Said]:
    """One grade per submitted response and question.

    Fields and metadata become columns; an item is named by ``item_id`` in the metadata, or the record's id.
    Suggestions are not read, nor are drafts and what was discarded.

    Raises
    ------
    BadInput
        If there are suggestions but no responses.
    """
    people = suggestions = 0
    for record in map(mapped, listed(records)):
        suggestions += _suggestions(record)
        about = _about(record, reading)
        for question, value, who, status in _responses(record):
            people += 1
            if status not in (None, "submitted"):
                reading.left_out[f"responses that are {status}"] += 1
            elif isinstance(value, list | dict):
                reading.left_out[f"answers to {question!r}, which are no single value"] += 1
            else:
                named = who if who is None else str(who)
                yield Said(question, {**about, "annotator": named, reading.value: a_value(value)})
    if suggestions and not people:
        raise BadInput(
            f"The records have {suggestions:,} suggestions by models but no responses: "
            "anchors are human grades."
        )
    if suggestions:
        reading.left_out["suggestions, which models made"] += suggestions


def _about(record: dict[str, Any], reading: Reading) -> dict[str, Cell]:
    metadata = mapped(record.get("metadata"))
    fields = record.get("fields")
    if not isinstance(fields, dict):  # one column per part
        fields = {
            name: value
            for name, value in record.items()
            if "." not in name and name not in ("id", "status", "metadata", "inserted_at", "updated_at")
        }
        metadata = {
            **metadata,
            **{k.removeprefix("metadata."): v for k, v in record.items() if k.startswith("metadata.")},
        }
    named = metadata.get("item_id") or fields.get("item_id") or record.get("external_id") or record.get("id")
    about: dict[str, Cell] = {
        "item_id": None if named is None else str(named),
        "annotator_type": "annotator",
        "source": "Argilla response",
    }
    taken = {**about, "annotator": None, "criterion": None, reading.value: None}
    about |= extras(fields, taken)
    return about | extras(metadata, {**taken, **about})


def _responses(record: dict[str, Any]) -> Iterator[tuple[str, Any, Any, Any]]:
    """(question, value, who, status) of every response, in whichever of three ways it is written."""
    responses = record.get("responses")
    if isinstance(responses, dict):
        for question, given in responses.items():
            for one in given if isinstance(given, list) else [given]:
                if isinstance(one, dict):
                    yield str(question), one.get("value"), _who(one), one.get("status")
    elif isinstance(responses, list):
        for one in responses:
            for question, value in mapped(mapped(one).get("values")).items():
                inner = value.get("value") if isinstance(value, dict) else value
                yield str(question), inner, _who(one), one.get("status")
    for key in record:
        if not key.endswith(_FLAT) or not isinstance(record[key], list):
            continue
        users, states = record.get(f"{key}.users"), record.get(f"{key}.status")
        for place, value in enumerate(record[key]):
            yield key.removesuffix(_FLAT), value, _at(users, place), _at(states, place)


def _suggestions(record: dict[str, Any]) -> int:
    given = record.get("suggestions")
    flat = sum(1 for key, value in record.items() if key.endswith(".suggestion") and value is not None)
    return flat + (len(given) if isinstance(given, dict | list) else 0)


def _who(response: dict[str, Any]) -> Any:
    return response.get("username") or response.get("user_id")


def _at(values: Any, place: int) -> Any:
    return values[place] if isinstance(values, list) and place < len(values) else None

"""Requests of a batch as they are kept: a chunk is a compressed text with one JSON document per line."""

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

import orjson

from app.domain.items import Answer, Item
from app.domain.judging import PanelRequest, Stages
from app.grading.requests import GradeRequest

_LEVEL = 1  # requests are read once: the fastest is half as large, too


def pack(lines: Sequence[tuple[int, GradeRequest]]) -> bytes:
    """(line of the file, request) of a chunk, as stored."""
    return zlib.compress(b"\n".join(orjson.dumps(_out(line, request)) for line, request in lines), _LEVEL)


def unpack(stored: bytes) -> Iterator[tuple[int, GradeRequest]]:
    """The inverse of `pack`."""
    for raw in zlib.decompress(stored).split(b"\n"):
        kept = orjson.loads(raw)
        yield kept.pop("line"), _in(kept)


def _out(line: int, request: GradeRequest) -> dict[str, Any]:
    item, panel = request.item, request.panel
    kept: dict[str, Any] = {
        "line": line,
        "rubric": request.rubric,
        "prompt": item.prompt,
        "answers": [(a.system, a.text, a.family, a.model) for a in item.answers],
        "timeout_s": request.timeout_s,
    }
    optional = {
        "item_id": item.item_id,
        "context": item.context,
        "reference": item.reference,
        "strata": dict(item.strata) or None,
        "max_cost_usd": request.max_cost_usd,
    }
    kept |= {name: value for name, value in optional.items() if value is not None}
    if panel != PanelRequest():
        kept["panel"] = {
            "families": panel.families,
            "judges_per_family": panel.judges_per_family,
            "exclude_families": sorted(panel.exclude_families),
            "exclude_own_family": panel.exclude_own_family,
            "both_orders": panel.both_orders,
            "seed": panel.seed,
            "stages": None if panel.stages is None else asdict(panel.stages),
        }
    return kept


def _in(kept: dict[str, Any]) -> GradeRequest:
    panel = kept.get("panel")
    if panel is not None:
        panel["exclude_families"] = frozenset(panel["exclude_families"])
        if panel.get("stages") is not None:
            panel["stages"] = Stages(**panel["stages"])
    return GradeRequest(
        rubric=kept["rubric"],
        item=Item(
            prompt=kept["prompt"],
            answers=tuple(Answer(*answer) for answer in kept["answers"]),
            item_id=kept.get("item_id"),
            context=kept.get("context"),
            reference=kept.get("reference"),
            strata=kept.get("strata") or {},
        ),
        panel=PanelRequest() if panel is None else PanelRequest(**panel),
        max_cost_usd=kept.get("max_cost_usd"),
        timeout_s=kept["timeout_s"],
    )

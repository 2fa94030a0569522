"""Brings a world into a service over its API, as any team would: rubrics, grades, anchors, calibrations."""

import asyncio
import csv
import tempfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from app.cli.calibrations import wait_for
from app.cli.client import Service
from app.cli.demonstration.world import CRITERIA, HELPFULNESS
from app.cli.errors import CannotRun
from app.domain.rubrics import Criterion

POINTWISE, PAIRWISE = "demo-answers", "demo-pairs"
RUBRICS: dict[str, tuple[str, tuple[Criterion, ...]]] = {
    POINTWISE: ("pointwise", CRITERIA),
    PAIRWISE: ("pairwise", (HELPFULNESS,)),
}
_AT_ONCE = 12

Told = Callable[[int, int], None]


async def put_rubric(
    service: Service, name: str, kind: str, criteria: Sequence[Criterion], instructions: str
) -> None:
    """A rubric with these criteria."""
    described = [
        {
            "name": criterion.name,
            "description": criterion.description,
            "scale": {"min": criterion.scale.low, "max": criterion.scale.high, "step": criterion.scale.step},
        }
        for criterion in criteria
    ]
    await service.put(f"/rubrics/{name}", {"kind": kind, "instructions": instructions, "criteria": described})


async def grade_all(
    service: Service, requests: Sequence[dict[str, Any]], told: Told, at_once: int = _AT_ONCE
) -> list[dict[str, Any]]:
    """Every grade, in the order of the requests; ``told`` hears how many are done."""
    grades: list[dict[str, Any]] = [{}] * len(requests)
    left, done = iter(enumerate(requests)), 0

    async def work() -> None:
        nonlocal done
        for index, request in left:
            response = await service.send("POST", "/grade", json=request)
            body = response.json()
            if response.status_code >= 400 and "grade" not in body:
                raise CannotRun(f"a grade was refused: {body.get('detail')}")
            grades[index] = body.get("grade", body)
            done += 1
            told(done, len(requests))

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(at_once):
                group.create_task(work())
    except* CannotRun as errors:
        raise errors.exceptions[0] from None
    return grades


async def upload_anchors(service: Service, rubric: str, rows: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """Anchor rows as a file of CSV."""
    listed = list(rows)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{rubric}.csv"
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, list(listed[0]))
            writer.writeheader()
            writer.writerows(listed)
        uploaded: dict[str, Any] = await service.upload(
            "/anchors", path, {"rubric": rubric, "anchor_set": f"{rubric}-people"}
        )
    return uploaded


async def calibrated(service: Service, rubric: str) -> list[dict[str, Any]]:
    """The calibrations that were asked for, once they have ended; CannotRun if one broke."""
    runs = await service.all("/calibrations", rubric=rubric)
    ended = await wait_for(service, [run["calibration_id"] for run in runs])
    for run in ended:
        if run["status"] == "failed":
            raise CannotRun(f"the calibration of {rubric}, {run['criterion']} failed: {run['error']}")
    return ended

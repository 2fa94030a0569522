"""Commands as a shell would run them, in a process of their own, and data for them."""

import csv
import json
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from random import Random
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
RUBRIC = {
    "kind": "pointwise",
    "instructions": "Judge the answer.",
    "criteria": [
        {"name": "helpfulness", "description": "It helps.", "scale": {"min": 1, "max": 5, "step": 1}}
    ],
}
SYSTEMS = {"good": 4.2, "bad": 2.6, "like-good": 4.2}
JUDGES = {"gpt-x": "openai", "claude-y": "anthropic", "gemini-z": "google"}


def venire(
    *arguments: object, url: str | None = None, stdin: str | None = None, **variables: object
) -> "subprocess.CompletedProcess[str]":
    """Run a command; ``variables`` are added to an environment without any of ours."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("VENIRE_")}
    environment |= {"PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8"}
    environment |= {name: str(value) for name, value in variables.items()}
    if url is not None:
        environment["VENIRE_URL"] = url
    return subprocess.run(
        [sys.executable, "-c", "from app.command import main; main()", *map(str, arguments)],
        env=environment,
        input=stdin,
        capture_output=True,
        text=True,
        timeout=170,
    )


def said(done: "subprocess.CompletedProcess[str]") -> Any:
    """The JSON that a command printed."""
    return json.loads(done.stdout)


def write_csv(path: Path, rows: Iterable[Mapping[str, Any]]) -> Path:
    """Rows as a file."""
    listed = list(rows)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(listed[0]))
        writer.writeheader()
        writer.writerows(listed)
    return path


def write_lines(path: Path, values: Iterable[Any]) -> Path:
    """Values as JSONL; texts go in as they are."""
    lines = (value if isinstance(value, str) else json.dumps(value) for value in values)
    path.write_text("".join(f"{line}\n" for line in lines), "utf-8")
    return path


def requests(count: int, **more: Any) -> list[dict[str, Any]]:
    """Requests to grade different items."""
    return [
        {
            "item_id": f"q{k}",
            "prompt": f"Question {k}?",
            "answers": [{"system": "bot", "text": f"So {k}."}],
            **more,
        }
        for k in range(count)
    ]


def recorded(items: int = 60) -> list[dict[str, Any]]:
    """Verdicts of three judges on three systems; two of these are equally good."""
    rng = Random(7)
    rows = []
    for k in range(items):
        for system, mean in SYSTEMS.items():
            quality = mean + rng.gauss(0, 0.5)
            for judge, family in JUDGES.items():
                score = round(min(max(quality + rng.gauss(0.3, 0.4), 1), 5), 2)
                rows.append({"item_id": f"q{k}", "system": system, "judge": judge, "judge_family": family,
                             "score": score, "stratum.language": "de" if k % 2 else "en"})  # fmt: skip
    return rows


def graded_by_people(items: int = 60) -> list[dict[str, Any]]:
    """What two people said of the same answers."""
    rng = Random(8)
    return [
        {
            "item_id": f"q{k}",
            "system": system,
            "annotator": annotator,
            "annotator_type": "expert",
            "score": min(max(round(mean + rng.gauss(0, 0.5)), 1), 5),
        }
        for k in range(items)
        for system, mean in SYSTEMS.items()
        for annotator in ("kim", "lee")
    ]

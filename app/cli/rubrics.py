"""``venire rubrics``: put, list, show."""

import json
import sys
from argparse import Namespace
from pathlib import Path
from typing import Any

from app.cli.client import Service, part
from app.cli.errors import OK, CannotRun
from app.cli.options import talks
from app.cli.output import Output, Table
from app.cli.wiring import Commands, Wiring


def add(commands: Commands, wiring: Wiring) -> None:
    """Rubrics are files of JSON as PUT /rubrics/{name} takes it."""
    group = commands.add_parser("rubrics", help="put, list and show rubrics")
    actions = group.add_subparsers(metavar="ACTION", required=True)
    putting = actions.add_parser("put", help="put a rubric; changed content makes a new version")
    putting.add_argument(
        "file", metavar="FILE", help="JSON with kind, instructions and criteria; - for stdin"
    )
    putting.add_argument("--name", help="its name (default: `name` in the file, else the file's own)")
    talks(putting, _put)
    talks(actions.add_parser("list", help="the newest version of each"), _list)
    showing = actions.add_parser("show", help="one rubric in full")
    showing.add_argument("name", metavar="NAME")
    showing.add_argument("--version", type=int, metavar="N", help="an older version")
    talks(showing, _show)


async def _put(arguments: Namespace, service: Service, output: Output) -> int:
    rubric = _read(arguments.file)
    inside = rubric.pop("name", None)
    name = arguments.name or inside or (None if arguments.file == "-" else Path(arguments.file).stem)
    if not isinstance(name, str):
        raise CannotRun("name the rubric: --name NAME")
    before = {one["name"]: one["version"] for one in await service.all("/rubrics")}
    stored = await service.put(f"/rubrics/{part(name)}", rubric)
    new = before.get(name) != stored["version"]
    output.document(stored)
    output.say(f"{name}, version {stored['version']}" + ("" if new else ": nothing has changed"))
    return OK


async def _list(arguments: Namespace, service: Service, output: Output) -> int:
    rubrics = await service.all("/rubrics")
    output.document(rubrics)
    rows = [
        (one["name"], str(one["version"]), one["kind"], ", ".join(c["name"] for c in one["criteria"]))
        for one in rubrics
    ]
    if rows:
        output.table(Table("", ("rubric", "version", "kind", "criteria"), rows, frozenset({1})))
    else:
        output.say("There is no rubric yet; put one: venire rubrics put FILE")
    return OK


async def _show(arguments: Namespace, service: Service, output: Output) -> int:
    path = f"/rubrics/{part(arguments.name)}"
    rubric = await service.get(path if arguments.version is None else f"{path}/versions/{arguments.version}")
    output.document(rubric)
    output.say(
        f"{rubric['name']}, version {rubric['version']}, {rubric['kind']}", "", rubric["instructions"], ""
    )
    rows = [(c["name"], scale(c["scale"]), _direction(c), c["description"]) for c in rubric["criteria"]]
    output.table(Table("", ("criterion", "scale", "better is", "what the judge looks for"), rows))
    return OK


def scale(of: dict[str, Any]) -> str:
    """A scale in words."""
    if of["labels"]:
        return " < ".join(of["labels"])
    steps = "continuous" if of["step"] is None else f"by {of['step']:g}"
    return f"{of['min']:g} to {of['max']:g} {steps}"


def _direction(criterion: dict[str, Any]) -> str:
    return "higher" if criterion["higher_is_better"] else "lower"


def _read(name: str) -> dict[str, Any]:
    try:
        text = sys.stdin.read() if name == "-" else Path(name).read_text("utf-8")
        found = json.loads(text)
    except OSError as error:
        raise CannotRun(f"{name} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise CannotRun(f"{name} is not JSON: {error}") from error
    if not isinstance(found, dict):
        raise CannotRun(f"{name} must hold one JSON object with kind, instructions and criteria")
    return found

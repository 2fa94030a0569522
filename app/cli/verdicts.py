"""``venire verdicts``: judge verdicts recorded elsewhere."""

import asyncio
from argparse import Namespace
from typing import Any

from app.cli.anchors import mapping_option, refuse_file
from app.cli.client import Service
from app.cli.errors import FINDING, OK, Refused, problem_lines
from app.cli.options import about, existing_file, talks
from app.cli.output import Output, Progress
from app.cli.wiring import Commands, Wiring

_POLL_S = 0.3
_AT_WORK = ("checking", "storing", "running")


def add(commands: Commands, wiring: Wiring) -> None:
    """Import."""
    group = commands.add_parser("verdicts", help="bring in judge verdicts recorded elsewhere")
    actions = group.add_subparsers(metavar="ACTION", required=True)
    importing = actions.add_parser("import", help="import a file of verdicts: all rows or none")
    importing.add_argument("file", type=existing_file, metavar="FILE", help="CSV, JSONL, Parquet or XLSX")
    about(importing)
    mapping_option(importing)
    importing.add_argument("--dry-run", action="store_true", help="check the file and store nothing")
    talks(importing, _import)


async def _import(arguments: Namespace, service: Service, output: Output) -> int:
    fields = {
        "rubric": arguments.rubric,
        "mapping": arguments.mapping.read_text("utf-8") if arguments.mapping else None,
        "dry_run": str(arguments.dry_run).lower(),
        "wait": None if arguments.dry_run else "false",
    }
    size = arguments.file.stat().st_size
    progress = Progress()
    if size > 10_000_000:
        progress.show(f"sending {size / 1e6:,.0f} MB", last=True)
    try:
        state = await service.upload("/verdicts", arguments.file, fields)
    except Refused as refused:
        return refuse_file(refused, output)
    watched = False
    while state["status"] in _AT_WORK:
        await asyncio.sleep(_POLL_S)
        state = await service.get(f"/imports/{state['import_id']}")
        watched = True
        progress.show(_line(state))
    if watched:
        progress.show(_line(state), last=True)
    output.document(state)
    if state["status"] == "failed":
        counts = [f"  {count:,} × {wording}" for wording, count in state["counts"].items()]
        output.note(state["error"] or "the import failed", *problem_lines(state["errors"]), *counts)
        return FINDING
    output.note(*state["warnings"])
    output.say(_done(state))
    return OK


def _line(state: dict[str, Any]) -> str:
    if state["status"] == "checking" and state["bytes_total"]:
        share = 100 * (state["bytes_read"] or 0) / state["bytes_total"]
        return f"checking: {state['rows_read'] or 0:,} rows, {share:.0f}%"
    if state["status"] == "storing" and state["rows_total"]:
        stored = state["rows_stored"] or 0
        return (
            f"storing: {stored:,} of {state['rows_total']:,} rows, {100 * stored / state['rows_total']:.0f}%"
        )
    return str(state["status"])


def _done(state: dict[str, Any]) -> str:
    if state["status"] == "checked":
        return (
            f"The file fits: {state['rows_total']:,} verdicts of {state['judges']:,} judges on "
            f"{state['items']:,} items. Nothing was stored."
        )
    if state["repeated"]:
        return "This file was imported before: nothing to do."
    parts = [f"{state['verdicts']:,} verdicts were new"]
    if state["duplicates"]:
        parts.append(f"{state['duplicates']:,} were there already")
    if state["contradictions"]:
        parts.append(
            f"{state['contradictions']:,} of these say something else than what is there, which stays"
        )
    return ", ".join(parts) + "."

"""``venire anchors``: what people said, as files."""

import sys
from argparse import Namespace
from pathlib import Path
from typing import Any

from app.cli.calibrations import wait_for
from app.cli.client import Service, part
from app.cli.errors import FINDING, OK, Refused
from app.cli.options import about, between, existing_file, talks, whole
from app.cli.output import Output, Table
from app.cli.wiring import Commands, Wiring

_POLICY = {
    "every-days": (0.01, 1e6, "days between rotations"),
    "share": (0.001, 0.5, "share of the items that is replaced"),
    "overlap": (0.5, 1, "least share that stays, to link by"),
    "half-life-days": (0.01, 1e6, "days in which an anchor loses half of its freshness"),
    "half-life-exposures": (0.01, 1e6, "exposures in which it loses half of its freshness"),
}
_FORMATS = ("table", "label-studio", "argilla", "promptfoo", "inspect", "mt-bench")


def add(commands: Commands, wiring: Wiring) -> None:
    """Upload, list, compare, export and retire, and a file to fill in."""
    group = commands.add_parser("anchors", help="upload, list, compare and retire human grades")
    actions = group.add_subparsers(metavar="ACTION", required=True)
    uploading = actions.add_parser("upload", help="add a file of human grades to a set: all rows or none")
    uploading.add_argument("file", type=existing_file, metavar="FILE", help="CSV, JSONL, Parquet or XLSX")
    about(uploading)
    uploading.add_argument("--set", required=True, metavar="NAME", dest="anchor_set", help="the anchor set")
    mapping_option(uploading)
    uploading.add_argument(
        "--format", choices=_FORMATS, help="what wrote the file (default: its content says)"
    )
    uploading.add_argument(
        "--corrections", type=existing_file, metavar="FILE", help="wrong rows, mended, in place of the file's"
    )
    uploading.add_argument(
        "--problems", type=Path, metavar="FILE", help="where to write every wrong row as CSV, to be mended"
    )
    uploading.add_argument("--dry-run", action="store_true", help="check the file and store nothing")
    uploading.add_argument("--replace", action="store_true", help="the file becomes the whole set")
    talks(uploading, _upload)
    filling = actions.add_parser("template", help="a file to fill in: columns, notes and examples")
    about(filling)
    filling.add_argument("--format", choices=("csv", "jsonl", "xlsx"), default="csv", help="default: csv")
    filling.add_argument("--output", type=Path, metavar="FILE", help="where to write it (default: stdout)")
    talks(filling, _template)
    comparing = actions.add_parser("diff", help="what changed between two versions of a set")
    comparing.add_argument("name", metavar="NAME")
    comparing.add_argument("--before", type=whole(1, 10**6), metavar="N", help="default: the one before")
    comparing.add_argument("--after", type=whole(1, 10**6), metavar="N", help="default: the newest")
    for option in ("criterion", "annotator", "item"):
        comparing.add_argument(f"--{option}", metavar="NAME", help=f"only of this {option}")
    comparing.add_argument("--change", choices=("changed", "removed", "added"), help="only these")
    comparing.add_argument("--csv", type=Path, metavar="FILE", help="write them all as CSV")
    talks(comparing, _diff)
    exporting = actions.add_parser("export", help="a set with its texts as a file, which upload reads again")
    exporting.add_argument("name", metavar="NAME")
    exporting.add_argument("--version", type=whole(1, 10**6), metavar="N", help="default: the newest")
    exporting.add_argument("--format", choices=("csv", "jsonl"), default="csv", help="default: csv")
    exporting.add_argument("--output", type=Path, metavar="FILE", help="where to write it (default: stdout)")
    talks(exporting, _export)
    planning = actions.add_parser("rotation-plan", help="what to retire and what to grade next")
    rotating = actions.add_parser("rotate", help="do it: draw new answers into a queue, retire the worn")
    for parser, talk in ((planning, _plan), (rotating, _rotate)):
        parser.add_argument("name", metavar="NAME")
        for option, (low, high, help_) in _POLICY.items():
            parser.add_argument(f"--{option}", type=between(low, high), metavar="X", help=help_)
        talks(parser, talk)
    rotating.add_argument("--no-draw", action="store_true", help="new grades come in as a file")
    reporting = actions.add_parser("rotations", help="rotations of a set, or what one of them did")
    reporting.add_argument("name", metavar="NAME")
    reporting.add_argument("id", nargs="?", metavar="ID", help="tell how much of the change is new anchors")
    talks(reporting, _rotations)
    retiring = actions.add_parser("retire", help="take items, people or everything out of a set")
    retiring.add_argument("name", metavar="NAME")
    for option, metavar in (("--item", "ID"), ("--annotator", "NAME")):
        retiring.add_argument(
            option, action="append", default=[], metavar=metavar, help="may be given more than once"
        )
    retiring.add_argument("--everything", action="store_true", help="the whole set")
    retiring.add_argument("--reason", required=True, metavar="TEXT", help="stays with the version")
    retiring.add_argument("--dry-run", action="store_true", help="tell what would leave, and leave it")
    talks(retiring, _retire)
    listing = actions.add_parser("list", help="the newest version of each set")
    listing.add_argument("--rubric", metavar="NAME", help="only sets of this rubric")
    talks(listing, _list)
    showing = actions.add_parser("show", help="every version of one set")
    showing.add_argument("name", metavar="NAME")
    talks(showing, _show)


def mapping_option(parser: Any) -> None:
    """How the columns of a file are ours."""
    parser.add_argument(
        "--mapping", type=existing_file, metavar="FILE", help="JSON that says which column is which"
    )


async def _upload(arguments: Namespace, service: Service, output: Output) -> int:
    fields = {
        "rubric": arguments.rubric,
        "anchor_set": arguments.anchor_set,
        "mapping": arguments.mapping.read_text("utf-8") if arguments.mapping else None,
        "format": arguments.format,
        "dry_run": str(arguments.dry_run).lower(),
        "replace": str(arguments.replace).lower(),
    }
    try:
        done = await service.upload("/anchors", arguments.file, fields, corrections=arguments.corrections)
    except Refused as refused:
        if arguments.problems is not None:
            await _write_problems(arguments, service, output, fields)
        return refuse_file(refused, output)
    output.document(done)
    counts = f"{done['items']:,} items, {done['grades']:,} grades by {done['annotators']:,} people"
    if done["dry_run"]:
        output.say(f"The file fits: {counts}. Nothing was stored.")
    elif not done["changed"]:
        output.say(f"{done['anchor_set']}, version {done['version']}: this file is in it already.")
    else:
        change = f"{done['added']:,} added, {done['removed']:,} taken out"
        output.say(f"{done['anchor_set']}, version {done['version']}: {counts} ({change}).")
    output.note(*done["warnings"])
    if service.local and done["changed"]:
        await _calibrate_now(service, output, done["rubric"])
    return OK


async def _write_problems(
    arguments: Namespace, service: Service, output: Output, fields: dict[str, Any]
) -> None:
    asked = {name: fields[name] for name in ("rubric", "mapping", "format")}
    try:
        rows = await service.upload(
            "/anchors/problems", arguments.file, asked, corrections=arguments.corrections
        )
    except Refused:  # what is wrong is not wrong with single rows; it is told in any case
        return
    arguments.problems.write_bytes(rows)
    output.note(
        f"The wrong rows are in {arguments.problems}: mend their cells, then upload the same file with "
        f"--corrections {arguments.problems}"
    )


async def _diff(arguments: Namespace, service: Service, output: Output) -> int:
    path = f"/anchor-sets/{part(arguments.name)}"
    after = arguments.after or (await service.get(path))["version"]
    before = arguments.before or max(after - 1, 1)
    query = {name: getattr(arguments, name) for name in ("change", "criterion", "annotator", "item")}
    found = await service.get(f"{path}/difference", before=before, after=after, **query)
    output.document(found)
    counts = ", ".join(f"{found[kind]:,} {kind}" for kind in ("changed", "removed", "added"))
    output.say(f"{arguments.name}, version {before} to {after}: {counts}")
    names = ("change", "item", "system", "criterion", "annotator", "before", "after")
    rows = [tuple("" if one[n] is None else str(one[n]) for n in names) for one in found["grades"]]
    if rows:
        output.table(Table("", names, rows, frozenset({5, 6})))
    if found["next_cursor"] is not None:
        output.note("Only the first 1,000 are listed; --csv FILE writes all.")
    if arguments.csv is not None:
        query |= {"before": before, "after": after, "format": "csv"}
        arguments.csv.write_bytes(await service.get(f"{path}/difference", **query))
    return OK


async def _export(arguments: Namespace, service: Service, output: Output) -> int:
    path = f"/anchor-sets/{part(arguments.name)}/export"
    file = await service.get(path, version=arguments.version, format=arguments.format) or b""
    if arguments.output is None:
        sys.stdout.buffer.write(file)
    else:
        arguments.output.write_bytes(file)
    return OK


async def _retire(arguments: Namespace, service: Service, output: Output) -> int:
    body = {
        "items": arguments.item,
        "annotators": arguments.annotator,
        "everything": arguments.everything,
        "reason": arguments.reason,
        "dry_run": arguments.dry_run,
    }
    done = await service.post(f"/anchor-sets/{part(arguments.name)}/retirements", body)
    output.document(done)
    counts = (
        f"{done['retired_grades']:,} grades of {done['retired_items']:,} items by "
        f"{done['retired_annotators']:,} people"
    )
    if done["dry_run"]:
        output.say(f"{counts} would leave {done['name']}. Nothing was changed.")
    else:
        output.say(f"{done['name']}, version {done['version']}: {counts} left.")
    output.note(*(f"nothing in the set is called {name}" for name in done["unknown"]))
    if service.local and done["retired_grades"] and not done["dry_run"]:
        await _calibrate_now(service, output, done["rubric"])
    return OK


def _policy(arguments: Namespace) -> dict[str, float]:
    """What was said of the policy."""
    said = {option.replace("-", "_"): getattr(arguments, option.replace("-", "_")) for option in _POLICY}
    return {name: value for name, value in said.items() if value is not None}


async def _plan(arguments: Namespace, service: Service, output: Output) -> int:
    path = f"/anchor-sets/{part(arguments.name)}/rotation-plan"
    plan = await service.get(path, **_policy(arguments))
    output.document(plan)
    due = "due since" if plan["due"] else "due"
    output.say(
        f"{plan['name']}, version {plan['version']}: {len(plan['retire']):,} of {plan['items']:,} items "
        f"would leave, {plan['new_items']:,} answers be graded in their place; {due} {plan['due_at']}"
    )
    names = ("item", "freshness", "age_days", "showings", "calibrations", "exports")
    rows = [tuple(str(one[name]) for name in names) for one in plan["retire"]]
    if rows:
        output.table(Table("", names, rows, frozenset({1, 2, 3, 4, 5})))
    output.note(*plan["warnings"])
    return OK


async def _rotate(arguments: Namespace, service: Service, output: Output) -> int:
    body = {**_policy(arguments), "draw": not arguments.no_draw}
    done = await service.post(f"/anchor-sets/{part(arguments.name)}/rotations", body)
    output.document(done)
    where = f"; grade the new ones in the queue {done['queue']}" if done["queue"] else ""
    output.say(f"{done['id']}: {len(done['retired']):,} items left {done['name']}{where}")
    output.note(*done["warnings"])
    return OK


async def _rotations(arguments: Namespace, service: Service, output: Output) -> int:
    path = f"/anchor-sets/{part(arguments.name)}/rotations"
    if arguments.id is None:
        found = (await service.get(path))["items"]
        output.document(found)
        names = ("id", "created_at", "before_version", "after_version", "queue")
        rows = [(*(str(one[name] or "") for name in names), str(len(one["retired"]))) for one in found]
        output.table(Table("", (*names, "retired"), rows, frozenset({2, 3, 5})))
        return OK
    report = await service.get(f"{path}/{part(arguments.id)}")
    output.document(report)
    for one in report["criteria"]:
        output.say(f"{one['criterion']}: {one['refusal'] or ''}".rstrip(": "))
        output.say(*(f"  {group['system'] or 'all answers'}: {group['sentence']}" for group in one["groups"]))
    return OK


async def _template(arguments: Namespace, service: Service, output: Output) -> int:
    path = f"/rubrics/{part(arguments.rubric)}/anchor-template"
    file = await service.get(path, format=arguments.format)
    if arguments.output is None:
        sys.stdout.buffer.write(file)
    else:
        arguments.output.write_bytes(file)
        output.say(f"{arguments.output}: fill in rows below its notes, then venire anchors upload it")
    return OK


async def _calibrate_now(service: Service, output: Output, rubric: str) -> None:
    """The upload asked for calibrations; without a service that stays, they run while we wait."""
    runs = await service.all("/calibrations", rubric=rubric)
    waiting = [run for run in runs if run["status"] in ("queued", "running")]
    ended = await wait_for(service, [run["calibration_id"] for run in waiting])
    output.note(*(f"calibration of {run['criterion']}: {run['status']}" for run in ended))


async def _list(arguments: Namespace, service: Service, output: Output) -> int:
    sets = await service.all("/anchor-sets", rubric=arguments.rubric)
    output.document(sets)
    if not sets:
        output.say("There is no anchor set yet; upload one: venire anchors upload FILE --rubric R --set NAME")
    else:
        _table(output, sets)
    return OK


async def _show(arguments: Namespace, service: Service, output: Output) -> int:
    history = await service.get(f"/anchor-sets/{part(arguments.name)}")
    output.document(history)
    _table(output, history["versions"])
    output.say(*history["warnings"])
    return OK


def _table(output: Output, sets: list[dict[str, Any]]) -> None:
    names = ("name", "rubric", "version", "items", "grades", "annotators", "created_at")
    rows = [tuple(f"{one[n]:,}" if isinstance(one[n], int) else str(one[n]) for n in names) for one in sets]
    heads = ("anchor set", *names[1:-1], "made")
    output.table(Table("", heads, rows, frozenset({2, 3, 4, 5})))


def refuse_file(refused: Refused, output: Output) -> int:
    """A file that was refused for what is in it is a finding; anything else did not run."""
    if refused.problem.get("status") != 422:
        raise refused
    output.note(*refused.lines())
    output.document(refused.problem)
    return FINDING

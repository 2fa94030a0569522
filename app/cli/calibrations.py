"""``venire calibrate`` and ``venire calibrations``: ask for calibrations and read them."""

import asyncio
from argparse import Namespace
from collections.abc import Sequence
from typing import Any

from app.cli.client import Service, part
from app.cli.errors import FAILED, FINDING, OK
from app.cli.options import about, talks
from app.cli.output import Output, Progress, Table, interval, number, simulated_note
from app.cli.wiring import Commands, Wiring

_POLL_S = 0.2
_ENDED = ("done", "refused", "failed")


def add(commands: Commands, wiring: Wiring) -> None:
    """Calibrate, list, show."""
    asking = commands.add_parser("calibrate", help="fit the judges to the people")
    about(asking, criterion=False)
    asking.add_argument(
        "--set",
        action="append",
        metavar="NAME",
        dest="anchor_sets",
        help="only these anchor sets; repeatable",
    )
    asking.add_argument("--wait", action="store_true", help="until it is done (this machine's: always)")
    talks(asking, _calibrate)
    group = commands.add_parser("calibrations", help="list and show calibrations")
    actions = group.add_subparsers(metavar="ACTION", required=True)
    listing = actions.add_parser("list", help="newest first")
    listing.add_argument("--rubric", metavar="NAME", help="only of this rubric")
    listing.add_argument("--criterion", metavar="NAME", help="only of this criterion")
    talks(listing, _list)
    showing = actions.add_parser("show", help="what one rests on, what was fitted, what it refused")
    showing.add_argument("id", metavar="ID", help="as c_0c5m0n2x9k4qz")
    talks(showing, _show)


async def _calibrate(arguments: Namespace, service: Service, output: Output) -> int:
    body = {
        "rubric": arguments.rubric,
        "criterion": arguments.criterion,
        "anchor_sets": arguments.anchor_sets,
    }
    queued = (await service.post("/calibrations", body))["calibrations"]
    if arguments.wait or service.local:
        queued = await wait_for(service, [run["calibration_id"] for run in queued])
    output.document(queued)
    for run in queued:
        output.say(f"{run['calibration_id']}  {run['criterion']}: {run['status']}", *_why(run))
    statuses = {run["status"] for run in queued}
    return FAILED if "failed" in statuses else FINDING if "refused" in statuses else OK


async def wait_for(service: Service, ids: Sequence[str]) -> list[dict[str, Any]]:
    """The calibrations of these ids, once every one has ended."""
    progress, ended = Progress(), list[dict[str, Any]]()
    for done, one in enumerate(ids):
        while (run := await service.get(f"/calibrations/{part(one)}"))["status"] not in _ENDED:
            progress.show(f"calibrating {run['criterion']} ({done} of {len(ids)} done)")
            await asyncio.sleep(_POLL_S)
        ended.append(run)
    return ended


async def _list(arguments: Namespace, service: Service, output: Output) -> int:
    runs = await service.all("/calibrations", rubric=arguments.rubric, criterion=arguments.criterion)
    output.document(runs)
    rows = [
        (run["calibration_id"], run["rubric"], run["criterion"], run["status"], run["finished_at"] or "–")
        for run in runs
    ]
    if rows:
        output.table(Table("", ("calibration", "rubric", "criterion", "status", "finished"), rows))
    else:
        output.say("There is no calibration yet; anchors bring one: venire anchors upload FILE")
    return OK


async def _show(arguments: Namespace, service: Service, output: Output) -> int:
    run = await service.get(f"/calibrations/{part(arguments.id)}")
    output.document(run)
    output.say(*simulated_note(bool(run["snapshot"].get("simulated"))))
    output.say(f"{run['calibration_id']}: {run['rubric']}, {run['criterion']}: {run['status']}", *_why(run))
    counts = run["snapshot"].get("counts") or {}
    if counts:
        output.say(
            "", "rests on " + ", ".join(f"{value} {name.replace('_', ' ')}" for name, value in counts.items())
        )
    for title, name in (("fixed effects", "fixed_effects"), ("variance components", "variance_components")):
        rows = [
            (str(one["name"]), number(one.get("estimate"), 4), interval(one.get("interval"), 4))
            for one in run["model"].get(name) or []
        ]
        if rows:
            output.say("")
            output.table(
                Table(f"{title} (scale 0 to 1)", (title, "estimate", "interval"), rows, frozenset({1}))
            )
    output.say(*run["model"].get("warnings", []))
    return OK


def _why(run: dict[str, Any]) -> list[str]:
    return [f"  {line}" for line in (*run["refusals"], *([run["error"]] if run["error"] else []))]

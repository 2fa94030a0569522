"""``venire batches``: watch batches, let them rest, go on, end."""

from argparse import ArgumentParser, Namespace
from collections.abc import Awaitable, Callable
from typing import Any

from app.cli.client import Service, part
from app.cli.errors import OK
from app.cli.grade import ending, line_of, watch
from app.cli.options import Talk, between, talks
from app.cli.output import Output, Table, money
from app.cli.wiring import Commands, Wiring


def add(commands: Commands, wiring: Wiring) -> None:
    """List, show, pause, resume, cancel, retry-failed, budget, limits, workers."""
    group = commands.add_parser("batches", help="watch and steer bulk grading")
    actions = group.add_subparsers(metavar="ACTION", required=True)
    listing = actions.add_parser("list", help="newest first")
    listing.add_argument("--status", metavar="STATUS", help="only these, as running or out_of_budget")
    talks(listing, _list)
    showing = _of_batch(actions, "show", "how far one is, and what it cost", _show)
    showing.add_argument("--watch", action="store_true", help="until it stands still")
    _of_batch(actions, "pause", "begin no further call for it", _steer("pause"))
    resuming = _of_batch(actions, "resume", "go on with it", _resume)
    resuming.add_argument(
        "--top-up", type=between(0, 1e6), default=0.0, metavar="USD", help="add to its budget first"
    )
    _of_batch(actions, "cancel", "grade no more of it; what is graded stays", _cancel)
    retrying = _of_batch(actions, "retry-failed", "grade failed items by new panels", _retry)
    retrying.add_argument("--partial", action="store_true", help="also those graded by some of their seats")
    spending = actions.add_parser("budget", help="what the project may cost in a day (UTC)")
    choice = spending.add_mutually_exclusive_group()
    choice.add_argument("--daily", type=between(0, 1e9), metavar="USD", help="set the limit")
    choice.add_argument("--no-limit", action="store_true", help="take the limit away")
    talks(spending, _budget)
    limiting = actions.add_parser("limits", help="what is taken of limits, and the project's own")
    for name, metavar in (("requests", "N"), ("tokens", "N")):
        limiting.add_argument(
            f"--{name}",
            type=_limit,
            metavar=metavar,
            help=f"{name} of the project's calls a minute; or: none",
        )
    talks(limiting, _limits)
    talks(actions.add_parser("workers", help="the workers that live"), _workers)


def _of_batch(actions: Commands, name: str, meaning: str, talk: Talk) -> ArgumentParser:
    parser = actions.add_parser(name, help=meaning)
    parser.add_argument("id", metavar="ID", help="as b_0c5m0n2x9k4qz")
    talks(parser, talk)
    return parser


async def _list(arguments: Namespace, service: Service, output: Output) -> int:
    found = await service.all("/batches", status=arguments.status)
    output.document(found)
    if not found:
        output.say("There is no batch; send one: venire grade FILE")
        return OK
    rows = [
        (
            one["batch_id"],
            one["name"] or "–",
            one["status"],
            f"{one['items'] - one['counts']['left']:,}",
            f"{one['items']:,}",
            f"{one['counts']['failed']:,}",
            money(one["budget"]["spent_usd"]),
        )
        for one in found
    ]
    columns = ("batch", "name", "status", "settled", "items", "failed", "spent")
    output.table(Table("", columns, rows, frozenset({3, 4, 5, 6})))
    return OK


async def _show(arguments: Namespace, service: Service, output: Output) -> int:
    if arguments.watch:
        return _tell(await watch(service, arguments.id), output)
    return _tell(await service.get(f"/batches/{part(arguments.id)}"), output)


def _steer(action: str) -> Callable[[Namespace, Service, Output], Awaitable[int]]:
    async def talk(arguments: Namespace, service: Service, output: Output) -> int:
        return _tell(await service.post(f"/batches/{part(arguments.id)}/{action}", {}), output)

    return talk


async def _resume(arguments: Namespace, service: Service, output: Output) -> int:
    body = {"top_up_usd": arguments.top_up}
    return _tell(await service.post(f"/batches/{part(arguments.id)}/resume", body), output)


async def _cancel(arguments: Namespace, service: Service, output: Output) -> int:
    await service.delete(f"/batches/{part(arguments.id)}")
    return _tell(await service.get(f"/batches/{part(arguments.id)}"), output)


async def _retry(arguments: Namespace, service: Service, output: Output) -> int:
    body = {"partial": arguments.partial}
    found = await service.post(f"/batches/{part(arguments.id)}/retry-failed", body)
    output.document(found)
    output.say(f"{found['retried']:,} items are graded anew.")
    return OK


async def _budget(arguments: Namespace, service: Service, output: Output) -> int:
    if arguments.no_limit or arguments.daily is not None:
        found = await service.put("/budget", {"daily_usd": arguments.daily})
    else:
        found = await service.get("/budget")
    output.document(found)
    today = found["today"]
    limit = "no limit" if today["limit_usd"] is None else f"of {money(today['limit_usd'])}"
    output.say(f"Today (UTC): {money(today['spent_usd'])} spent, {limit}.")
    return OK


def _limit(text: str) -> float | str:
    """A number, or ``none``."""
    return text if text == "none" else between(1e-6, 1e12)(text)


async def _limits(arguments: Namespace, service: Service, output: Output) -> int:
    given = {"requests_per_minute": arguments.requests, "tokens_per_minute": arguments.tokens}
    changed = {name: None if value == "none" else value for name, value in given.items() if value is not None}
    if changed:
        project = await service.patch("/project", {"limits": changed})
    else:
        project = await service.get("/project")
    found = await service.get("/limits")
    output.document({"project": project["limits"], "limits": found})
    own = project["limits"]
    said = [
        f"{own[name]:,.0f} {kind} a minute"
        for name, kind in zip(given, ("requests", "tokens"), strict=True)
        if own[name] is not None
    ]
    output.say(f"The project's calls: {' and '.join(said) or 'no limit'}.")
    if found:
        rows = [
            (
                one["model"] or "the project",
                one["kind"],
                f"{one['allowance']:,.10g}",
                f"{one['used']:,.1f}",
                f"{100 * one['flow']:.0f}%",
                str(one["turned_away"]),
                ", ".join(f"{held['host']}:{held['pid']}" for held in one["holders"]) or "–",
            )
            for one in found
        ]
        columns = ("limit of", "kind", "allowed", "used", "flows", "turned away", "taken by")
        output.table(Table("", columns, rows, frozenset({2, 3, 4, 5})))
    return OK


async def _workers(arguments: Namespace, service: Service, output: Output) -> int:
    found = await service.get("/workers")
    output.document(found)
    if not found:
        output.say("No worker is running; start one: venire worker")
        return OK
    rows = [
        (
            one["host"],
            str(one["pid"]),
            one["status"],
            f"{one['in_flight']} of {one['places']}",
            str(one["chunks"]),
        )
        for one in found
    ]
    output.table(Table("", ("host", "pid", "status", "calls under way", "chunks"), rows, frozenset({1, 4})))
    return OK


def _tell(batch: dict[str, Any], output: Output) -> int:
    output.document(batch)
    output.say(line_of(batch), *ending(batch), *batch["warnings"])
    return OK

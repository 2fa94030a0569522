"""``venire grade FILE``: a file of requests as a batch, watched to its end."""

import asyncio
import contextlib
import json
import os
import sys
from argparse import Namespace
from collections.abc import AsyncIterator, Iterator
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryFile
from time import monotonic
from typing import IO, Any

from app.cli.client import Service, problem_of
from app.cli.errors import FAILED, FINDING, OK, CannotRun, Refused
from app.cli.nearby import workers_nearby
from app.cli.options import between, talks
from app.cli.output import Output, Progress, money, span
from app.cli.wiring import Commands, Wiring

PATIENCE_S = 60.0  # how long a service that went away is waited for
_POLL_S = 0.25
_CHUNK = 1 << 20
_MOST_SHOWN = 50


def add(commands: Commands, wiring: Wiring) -> None:
    """One file of requests."""
    parser = commands.add_parser(
        "grade",
        help="grade a file of requests",
        description="Grade a file with one request of POST /grade per line, as a batch. Every line is "
        "checked before anything is paid. Run again within a day, the same file is the same batch: nothing "
        "is graded or paid twice.",
    )
    parser.add_argument("file", metavar="FILE", help="JSONL; - for stdin")
    parser.add_argument("--rubric", metavar="NAME", help="for lines that name none")
    parser.add_argument("--out", type=Path, metavar="FILE", help="results as JSONL (default: stdout)")
    parser.add_argument("--name", metavar="NAME", help="a name for the batch")
    parser.add_argument(
        "--budget",
        type=between(0, 1e9),
        metavar="USD",
        help="the most it may cost (default: the high end of the estimate)",
    )
    parser.add_argument(
        "--reuse", action="store_true", help="use verdicts that the same judges gave on the same texts before"
    )
    parser.add_argument(
        "--first",
        type=int,
        metavar="N",
        help="ask judges of N families first, the others where these disagree or the interval is wide",
    )
    parser.add_argument(
        "--stop-when",
        nargs=2,
        metavar=("BASELINE", "CANDIDATE"),
        help="grade in random order, and stop once it is decided how these two systems compare",
    )
    parser.add_argument("--criterion", metavar="NAME", help="of that comparison (default: the only one)")
    parser.add_argument(
        "--margin", type=between(0, 1e6), default=0.0, metavar="X", help="difference that does not matter"
    )
    parser.add_argument(
        "--mode",
        choices=("live", "batch"),
        default="live",
        help="batch: by the providers' batch endpoints, at about half the price, within about a day",
    )
    parser.add_argument(
        "--fallback",
        choices=("ordinary", "batch", "none"),
        help="with --mode batch, for seats that a provider's batch did not answer: ask one by one (the "
        "default), by another batch, or leave them unscored",
    )
    parser.add_argument("--check", action="store_true", help="only check the lines and estimate the cost")
    talks(parser, _grade)


async def _grade(arguments: Namespace, service: Service, output: Output) -> int:
    with contextlib.ExitStack() as stack:
        file = stack.enter_context(_requests(arguments.file))
        query = _query(arguments)
        if arguments.check:
            return _checked(await _post(service, file, {**query, "dry_run": True}, None), output)
        results = _results(arguments.out, stack)
        nearby = workers_nearby(1 if service.local else 0, os.environ)
        try:
            batch = await _begin(service, file, query)
        except Refused as refused:
            return _refuse(refused, output)
        output.note(*_beginning(batch, service))
        async with nearby:
            batch = await watch(service, batch["batch_id"])
        simulated = await _write(service, batch, results)
    output.note(*ending(batch))
    if simulated:
        output.note("SIMULATED: these grades come from simulated judges and measure nothing.")
    if arguments.out is not None:
        output.document(batch)
    return OK if batch["status"] in ("done", "decided") and not batch["counts"]["failed"] else FAILED


async def watch(service: Service, batch_id: str) -> dict[str, Any]:
    """Show how far the batch is until it stands still; returns how it stands then."""
    progress, away_since = Progress(), None
    while True:
        try:
            batch: dict[str, Any] = await service.get(f"/batches/{batch_id}")
            away_since = None
        except CannotRun as error:
            away_since = away_since or monotonic()
            if service.local or not error.gone or monotonic() - away_since > PATIENCE_S:
                raise CannotRun(f"{error}\nThe batch goes on: venire batches show {batch_id}") from error
            await asyncio.sleep(1.0)
            continue
        still = batch["status"] not in ("checking", "running")
        progress.show(line_of(batch), last=still)
        if still:
            return batch
        await asyncio.sleep(_POLL_S)


def line_of(batch: dict[str, Any]) -> str:
    """How far a batch is, in one line."""
    counts, budget = batch["counts"], batch["budget"]
    settled = batch["items"] - counts["left"]
    parts = [f"{settled:,} of {batch['items']:,}", f"{counts['failed']:,} failed"]
    if batch["rate_per_s"] is not None:
        parts.append(f"{batch['rate_per_s']:,.1f}/s")
    limit = "" if budget["limit_usd"] is None else f" of {money(budget['limit_usd'])}"
    parts.append(f"{money(budget['spent_usd'])}{limit}")
    if counts["left"] and batch["cost_left_usd"]:
        parts.append(f"{money(batch['cost_left_usd'])} to come")
    parts += _waiting(batch)
    if batch["left_s"] is not None and counts["left"]:
        parts.append(f"{span(batch['left_s'])} left")
    return ", ".join(parts)


def _waiting(batch: dict[str, Any]) -> list[str]:
    """What of a batch waits at the judges' providers."""
    providers = batch["providers"] or {"sent": 0, "queued": 0, "batches": []}
    going = [one for one in providers["batches"] if one["state"] != "over"]
    parts = []
    if going:
        done = sum(one["done"] for one in going)
        due = f", due {providers['due_at'][:16]}Z" if providers["due_at"] else ""
        many = f"{len(going)} batch{'es' * (len(going) > 1)}"
        parts.append(f"{providers['sent']:,} seats in {many} at providers ({done:,} done{due})")
    if providers["queued"]:
        parts.append(f"{providers['queued']:,} seats to be sent")
    return parts


def ending(batch: dict[str, Any]) -> list[str]:
    """How a batch ended, and what can be done about it."""
    counts, name = batch["counts"], batch["batch_id"]
    graded = counts["complete"] + counts["partial"]
    cost = money(batch["budget"]["spent_usd"])
    said = [f"{name}: {batch['status']}; {graded:,} graded, {counts['failed']:,} failed, {cost}"]
    if batch["budget"]["suspect_usd"]:
        suspect = money(batch["budget"]["suspect_usd"])
        said.append(f"Calls of workers that died may have cost up to {suspect} more.")
    if batch["providers"]:
        said += provider_lines(batch["providers"]["batches"])
    if counts["reused"]:
        said.append(f"{counts['reused']:,} seats took an earlier verdict.")
    said += _compared(batch["comparison"])
    saved = batch["saved"]
    if saved["calls"]:
        share = saved["calls"] / (saved["calls"] + counts["calls"])
        said.append(f"{saved['calls']:,} calls saved ({share:.0%}), about {money(saved['usd'])}.")
    if batch["stop_reason"]:
        said.append(f"It stands still: {batch['stop_reason']}")
    if batch["status"] == "out_of_budget":
        said.append(f"Go on with: venire batches resume {name} --top-up USD")
    elif batch["status"] == "paused":
        said.append(f"Go on with: venire batches resume {name}")
    elif counts["failed"]:
        said.append(f"Grade failed items anew with: venire batches retry-failed {name}")
    return said


def _compared(comparison: dict[str, Any] | None) -> list[str]:
    """How the comparison stands that ends the batch."""
    if comparison is None or comparison["interval"] is None:
        return []
    low, high = comparison["interval"]
    return [
        f"{comparison['candidate']} against {comparison['baseline']} on {comparison['criterion']}: "
        f"{comparison['finding']} ({low:+.3f} to {high:+.3f} at {comparison['level']:.0%}; "
        f"{comparison['seen']:,} of {comparison['prompts']:,} prompts)"
    ]


def provider_lines(batches: list[dict[str, Any]]) -> list[str]:
    """Each batch at a provider in one line."""
    said = []
    for one in batches:
        name = one["provider_id"] or "not known to be there yet"
        why = f" ({one['detail']})" if one["detail"] else ""
        said.append(
            f"  {one['judge']}: {name}, {one['standing'] or one['state']}{why}; {one['answered']:,} of "
            f"{one['requests']:,} answered, {money(one['spent_usd'])}"
        )
    return said


@contextlib.contextmanager
def _requests(name: str) -> Iterator[IO[bytes]]:
    """The file, or stdin kept aside: it is read twice, for its name and to be sent."""
    if name != "-":
        try:
            file = Path(name).open("rb")  # noqa: SIM115 - closed below
        except OSError as error:
            raise CannotRun(f"{name} cannot be read: {error.strerror}") from error
        with file:
            yield file
        return
    with TemporaryFile() as kept:
        while chunk := sys.stdin.buffer.read(_CHUNK):
            kept.write(chunk)
        yield kept


def _results(out: Path | None, stack: contextlib.ExitStack) -> IO[str]:
    if out is None:
        return sys.stdout
    try:
        if out.exists() and not _holds_results(out):
            raise CannotRun(f"{out} is there and does not hold results of `venire grade`")
        return stack.enter_context(out.open("a", encoding="utf-8"))
    except OSError as error:
        raise CannotRun(f"{out} cannot be written: {error.strerror}") from error


def _holds_results(path: Path) -> bool:
    """Whether the file is empty or begins like results."""
    with path.open("rb") as file:
        first = file.readline()
    try:
        return not first.strip() or {"number", "line"} <= json.loads(first).keys()
    except (ValueError, AttributeError):
        return False


def _query(arguments: Namespace) -> dict[str, Any]:
    query = {"rubric": arguments.rubric, "name": arguments.name, "budget_usd": arguments.budget}
    query["first"] = arguments.first
    if arguments.stop_when is not None:
        baseline, candidate = arguments.stop_when
        rule = {"baseline": baseline, "candidate": candidate, "margin": arguments.margin}
        if arguments.criterion is not None:
            rule["criterion"] = arguments.criterion
        query["stop_when"] = json.dumps(rule)
    query["fallback"] = arguments.fallback
    if arguments.mode != "live":  # so that a file sent by an earlier release is still the same batch
        query["mode"] = arguments.mode
    if arguments.reuse:
        query["reuse"] = "same_project"
    return {name: value for name, value in query.items() if value is not None}


async def _begin(service: Service, file: IO[bytes], query: dict[str, Any]) -> dict[str, Any]:
    """The batch of this file and these options: a new one, or the one that was begun before."""
    digest = sha256(json.dumps(query, sort_keys=True).encode())
    file.seek(0)
    while chunk := file.read(_CHUNK):
        digest.update(chunk)
    for attempt in range(1, 1000):
        key = f"batch-{digest.hexdigest()[:48]}-{attempt}"
        begun = await _post(service, file, query, key)
        batch: dict[str, Any] = await service.get(f"/batches/{begun['batch_id']}")
        if batch["status"] != "cancelled":
            return batch
    raise CannotRun("this file was sent and cancelled a thousand times today")


async def _post(service: Service, file: IO[bytes], query: dict[str, Any], key: str | None) -> Any:
    headers = {"content-type": "application/x-ndjson"} | ({"Idempotency-Key": key} if key else {})
    until, pause = monotonic() + PATIENCE_S, 0.2
    while True:
        file.seek(0)
        response = await service.send(
            "POST", "/batches", params=query, headers=headers, content=_chunks(file)
        )
        at_work = response.status_code == 409 and "retry-after" in response.headers
        if not at_work or monotonic() > until:
            break
        await asyncio.sleep(pause)
        pause = min(2 * pause, 5.0)
    if response.status_code >= 400:
        raise Refused(problem_of(response))
    return response.json()


async def _chunks(file: IO[bytes]) -> AsyncIterator[bytes]:
    while chunk := file.read(_CHUNK):
        yield chunk


def _checked(found: dict[str, Any], output: Output) -> int:
    output.document(found)
    estimate = found["estimate"]
    low, high = money(estimate["low_usd"]), money(estimate["high_usd"])
    output.say(
        f"{found['items']:,} lines, all good; nothing was sent to a judge.",
        f"{estimate['seats']:,} calls, about {money(estimate['expected_usd'])} ({low} to {high}).",
        *_ways(estimate),
    )
    return OK


def _refuse(refused: Refused, output: Output) -> int:
    """Bad lines are a finding; anything else is an error like any other."""
    errors = refused.problem.get("errors") or []
    if not any(error.get("row") for error in errors):
        raise refused
    output.note(str(refused))
    for error in errors[:_MOST_SHOWN]:
        place = f"{error['path']}: " if error.get("path") else ""
        output.note(f"  line {error['row']}: {place}{error['problem']}")
    if len(errors) > _MOST_SHOWN:
        output.note(f"  … and {len(errors) - _MOST_SHOWN:,} more problems; --json has the first 1,000")
    output.document(refused.problem)
    return FINDING


def _beginning(batch: dict[str, Any], service: Service) -> list[str]:
    estimate, limit = batch["estimate"], batch["budget"]["limit_usd"]
    low, high = money(estimate["low_usd"]), money(estimate["high_usd"])
    budget = "no budget" if limit is None else f"budget {money(limit)}"
    said = [
        f"{batch['batch_id']}: {batch['items']:,} requests, {estimate['seats']:,} calls, "
        f"about {money(estimate['expected_usd'])} ({low} to {high}), {budget}"
    ]
    if batch["mode"] == "batch":
        said += _ways(estimate)
    return said if service.local else [*said, *batch["warnings"]]


def _ways(estimate: dict[str, Any]) -> list[str]:
    """How each judge is asked, and what that costs."""
    if not any(one["way"] == "batch" for one in estimate["judges"]):
        return []
    said = []
    for one in estimate["judges"]:
        way = f"by batches, at {one['price_factor']:.0%} of the price"
        way = way if one["way"] == "batch" else "one by one"
        said.append(f"  {one['judge']}: {way}; about {money(one['expected_usd'])}")
    return said


async def _write(service: Service, batch: dict[str, Any], results: IO[str]) -> bool:
    """Write what is graded, in the order of the file; whether any of it is simulated."""
    simulated = False
    async for record in service.lines(f"/batches/{batch['batch_id']}/results"):
        simulated = simulated or bool(record.get("grade") and record["grade"]["simulated"])
        results.write(json.dumps(record, ensure_ascii=False) + "\n")
    results.flush()
    return simulated

"""``venire grade FILE``: many grades, each paid for once."""

import asyncio
import json
import sys
from argparse import Namespace
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import IO, Any

from app.cli.client import Service, problem_of
from app.cli.errors import FAILED, FINDING, OK, CannotRun
from app.cli.grade_file import BadLine, Checker, Line, check, graded_before, open_requests
from app.cli.options import talks, whole
from app.cli.output import Output, Progress, money, span
from app.cli.wiring import Commands, Wiring

_PATIENCE_S = 30.0  # how long a service that went away is waited for
_STILL_AT_WORK, _NO_VERDICT = 409, 502
_BUSY = (429, 503)


def add(commands: Commands, wiring: Wiring) -> None:
    """One file of requests."""
    parser = commands.add_parser(
        "grade",
        help="grade a file of requests",
        description="Grade a file with one request of POST /grade per line. Every line is checked before the "
        "first is sent. Run again after an interruption, it goes on: finished lines in --out are left alone, "
        "and those finished within a day are answered from the record, not paid for again.",
    )
    parser.add_argument("file", metavar="FILE", help="JSONL; - for stdin")
    parser.add_argument("--rubric", metavar="NAME", help="for lines that name none")
    parser.add_argument("--out", type=Path, metavar="FILE", help="results as JSONL (default: stdout)")
    parser.add_argument(
        "--concurrency", type=whole(1, 1000), default=16, metavar="N", help="requests at once (default: 16)"
    )
    parser.add_argument("--check", action="store_true", help="only check the lines, send none")
    talks(parser, _grade)


@dataclass(slots=True)
class _Count:
    """How far it is. ``before`` were finished by an earlier run."""

    total: int
    before: int = 0
    done: int = 0
    failed: int = 0
    simulated: int = 0
    cost_usd: float = 0.0
    began: float = field(default_factory=monotonic)

    def line(self) -> str:
        """All of it in one line."""
        settled = self.done + self.failed
        seconds = max(monotonic() - self.began, 1e-9)
        rate = settled / seconds
        left = self.total - self.before - settled
        parts = [f"{self.before + settled:,} of {self.total:,}", f"{self.failed:,} failed", f"{rate:,.1f}/s"]
        parts.append(money(self.cost_usd))
        if left and rate:
            parts.append(f"{span(left / rate)} left")
        return ", ".join(parts)

    def document(self) -> dict[str, Any]:
        """The same for programs."""
        return {
            "total": self.total,
            "before": self.before,
            "done": self.done,
            "failed": self.failed,
            "cost_usd": round(self.cost_usd, 9),
            "seconds": round(monotonic() - self.began, 3),
        }


async def _grade(arguments: Namespace, service: Service, output: Output) -> int:
    rubrics = {one["name"]: one["kind"] for one in await service.all("/rubrics")}
    if arguments.rubric is not None and arguments.rubric not in rubrics:
        raise CannotRun(f"there is no rubric {arguments.rubric!r}")
    checker = Checker(await service.get("/openapi.json"), rubrics, arguments.rubric)
    with ExitStack() as stack:
        try:
            file = stack.enter_context(open_requests(arguments.file))
        except OSError as error:
            raise CannotRun(f"{arguments.file} cannot be read: {error.strerror}") from error
        good, bad, wrong = check(checker.read(file))
        if wrong:
            return _refuse(bad, wrong, output)
        if arguments.check:
            output.document({"lines": good, "bad": 0})
            output.say(f"{good:,} lines, all good; nothing was sent.")
            return OK
        before, results = _results(arguments.out, stack)
        count = _Count(good)
        lines = _left(checker, file, before, count)
        await _send_all(lines, service, arguments.concurrency, results, count)
    output.note(*_summary(count))
    if arguments.out is not None:
        output.document(count.document())
    return FAILED if count.failed else OK


def _refuse(bad: list[BadLine], wrong: int, output: Output) -> int:
    output.note(f"{wrong:,} line{'s' * (wrong != 1)} cannot be graded; nothing was sent, nothing paid:")
    for line in bad[:50]:
        output.note(*(f"  line {line.number}: {problem}" for problem in line.problems))
    if wrong > 50:
        output.note(f"  … and {wrong - 50:,} more lines; --json has the first 1,000")
    output.document({"bad": wrong, "lines": [line.document() for line in bad]})
    return FINDING


def _results(out: Path | None, stack: ExitStack) -> tuple[set[str], IO[str]]:
    """Keys that are finished, and where results go."""
    if out is None:
        return set(), sys.stdout
    try:
        before = graded_before(out)
        return before, stack.enter_context(out.open("a", encoding="utf-8"))
    except ValueError as error:
        raise CannotRun(str(error)) from error
    except OSError as error:
        raise CannotRun(f"{out} cannot be written: {error.strerror}") from error


def _left(checker: Checker, file: IO[bytes], before: set[str], count: _Count) -> Iterator[Line]:
    for line in checker.read(file):
        if not isinstance(line, Line):
            raise CannotRun(f"line {line.number} changed while the file was read")
        if line.key in before:
            count.before += 1
        else:
            yield line


async def _send_all(
    lines: Iterator[Line], service: Service, concurrency: int, results: IO[str], count: _Count
) -> None:
    """So many workers take line after line; the first that cannot go on ends them all."""
    progress = Progress()

    async def work() -> None:
        for line in lines:
            record = await _send(line, service)
            grade = record.get("grade")
            failed = grade is None or grade["status"] == "failed"
            count.failed, count.done = count.failed + failed, count.done + (not failed)
            if grade is not None and not record["replayed"]:
                count.cost_usd += grade["cost_usd"]
            count.simulated += bool(grade and grade["simulated"])
            results.write(json.dumps(record, ensure_ascii=False) + "\n")
            results.flush()
            progress.show(count.line())

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(concurrency):
                group.create_task(work())
    except* (CannotRun, OSError) as errors:
        progress.show(count.line(), last=True)
        raise _first(errors) from None
    progress.show(count.line(), last=True)


def _first(errors: BaseExceptionGroup[CannotRun | OSError]) -> Exception:
    """The first of what kept several workers from going on, in words."""
    first: BaseException = errors
    while isinstance(first, BaseExceptionGroup):
        first = first.exceptions[0]
    if isinstance(first, BrokenPipeError):
        return first
    why = f"results cannot be written: {first.strerror}" if isinstance(first, OSError) else str(first)
    return CannotRun(f"{why}\nWhat is finished is kept: run the same command again to go on.")


async def _send(line: Line, service: Service) -> dict[str, Any]:
    """The line's record: its grade, or the problem for which it has none."""
    record: dict[str, Any] = {"line": line.number, "key": line.key}
    until, pause = monotonic() + _PATIENCE_S, 0.2
    while True:
        try:
            response = await service.send(
                "POST", "/grade", json={**line.request, "wait": True}, headers={"Idempotency-Key": line.key}
            )
        except CannotRun:
            if service.local or monotonic() > until:
                raise
            await asyncio.sleep(pause)
            pause = min(2 * pause, 5.0)
            continue
        at_work = response.status_code == _STILL_AT_WORK and "retry-after" in response.headers
        if not (at_work or response.status_code in _BUSY):
            break
        if response.status_code in _BUSY and monotonic() > until:
            break
        await asyncio.sleep(min(float(response.headers.get("retry-after", 1)), 5.0))
    record["replayed"] = response.headers.get("idempotency-replayed") == "true"
    if response.status_code < 400:
        return {**record, "grade": response.json()}
    problem = problem_of(response)
    if response.status_code in (401, 403):
        raise CannotRun(problem["detail"])
    grade = problem.pop("grade", None)
    if response.status_code == _NO_VERDICT and grade is not None:
        return {**record, "grade": grade}
    return {**record, "error": problem}


def _summary(count: _Count) -> list[str]:
    said = [f"{count.done:,} graded, {count.failed:,} failed, {money(count.cost_usd)}"]
    if count.before:
        said[0] += f"; {count.before:,} were finished before"
    if count.simulated:
        said.append("SIMULATED: these grades come from simulated judges and measure nothing.")
    return said

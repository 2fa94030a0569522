"""The command ``venire``: which command groups there are, and how a command ends."""

import os
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Sequence
from typing import NoReturn

from app.cli import (
    anchors,
    audit,
    batches,
    bias,
    calibrations,
    compare,
    contributions,
    database,
    demo,
    grade,
    judges,
    keys,
    quality,
    rankings,
    rubrics,
    serve,
    verdicts,
)
from app.cli.errors import FAILED, CannotRun, Refused
from app.cli.output import Output
from app.cli.wiring import Wiring
from app.domain.problems import BadInput

# Each module has ``add(commands, wiring)``: it adds its parsers and sets ``run``, a function of the parsed
# arguments and the wiring that returns the exit code. They import what is slow only when they run.
GROUPS = (
    *(
        serve,
        demo,
        grade,
        batches,
        rubrics,
        anchors,
        audit,
        verdicts,
        calibrations,
        quality,
        compare,
        rankings,
        bias,
        contributions,
        judges,
        keys,
    ),
    database,
)

_DESCRIPTION = """\
Makes LLM judges trustworthy: random panels, people as the measure, corrected scores with intervals that hold.

Commands talk to the service at --url (or VENIRE_URL, with the key in VENIRE_KEY), or without one straight to
the database of this machine. Exit codes: 0 ok, 1 failed to run, 2 a finding (worse, refused), 3 inconclusive.
"""


class Parser(ArgumentParser):
    """An ArgumentParser for which a mistake in the arguments is no finding: it leaves with 1, not 2."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong and leave."""
        self.print_usage(sys.stderr)
        self.exit(FAILED, f"{self.prog}: {message}\n")


def main(wiring: Wiring, argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    from argparse import RawDescriptionHelpFormatter

    parser = Parser(prog="venire", description=_DESCRIPTION, formatter_class=RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for group in GROUPS:
        group.add(commands, wiring)
    arguments: Namespace = parser.parse_args(argv)
    run: Callable[[Namespace, Wiring], int] = arguments.run
    output = Output(as_json=getattr(arguments, "json", False))
    try:
        code = run(arguments, wiring)
        sys.stdout.flush()
    except Refused as refused:
        output.note(*refused.lines())
        output.document(refused.problem)
        return refused.code
    except (CannotRun, BadInput) as error:
        output.note(*_words(error))
        output.document(_problem(error))
        return FAILED
    except BrokenPipeError:  # whoever read our output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except KeyboardInterrupt:
        output.note("interrupted")
        return 130
    return code


def _words(error: CannotRun | BadInput) -> list[str]:
    if isinstance(error, CannotRun):
        return [str(error)]
    lines = [f"{error.summary}:" if error.problems else error.summary]
    for one in error.problems:
        value = "" if one.value is None else f" (given: {one.value})"
        lines.append(f"  {one.path + ': ' if one.path else ''}{one.problem}{value}")
    return lines


def _problem(error: CannotRun | BadInput) -> dict[str, object]:
    problems = () if isinstance(error, CannotRun) else error.problems
    errors = [{"path": one.path, "problem": one.problem} for one in problems]
    return {"title": "The command cannot run", "detail": str(error), "errors": errors}

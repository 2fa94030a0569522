"""The command ``venire``: which command groups there are."""

from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Sequence

from app.cli import serve
from app.cli.wiring import Wiring

# Each module has ``add(commands, wiring)``: it adds its parsers and sets ``run``, a function of the parsed
# arguments and the wiring that returns the exit code (0 ok, 1 failed, 2 a finding, 3 inconclusive).
GROUPS = (serve,)


def main(wiring: Wiring, argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    parser = ArgumentParser(prog="venire", description="Makes LLM judges trustworthy.")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for group in GROUPS:
        group.add(commands, wiring)
    arguments: Namespace = parser.parse_args(argv)
    run: Callable[[Namespace, Wiring], int] = arguments.run
    try:
        return run(arguments, wiring)
    except KeyboardInterrupt:
        return 130

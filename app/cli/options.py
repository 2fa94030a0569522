"""Options that commands share, and the frame in which one talks to the service."""

import asyncio
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Awaitable, Callable
from pathlib import Path

from app.cli.client import Service, connect
from app.cli.output import Output
from app.cli.wiring import Wiring

Talk = Callable[[Namespace, Service, Output], Awaitable[int]]


def talks(parser: ArgumentParser, talk: Talk) -> None:
    """Give a command the options of one that talks to the service, and ``talk`` as what it does."""
    group = parser.add_argument_group("service")
    group.add_argument("--url", metavar="URL", help="address of a running service [VENIRE_URL]; without it, "
                       "this machine's database")  # fmt: skip
    group.add_argument("--key", metavar="KEY", help="key for it; better in the environment [VENIRE_KEY]")
    group.add_argument(
        "--project", metavar="NAME", help="project in this machine's database (default: default)"
    )
    prints_json(parser)

    def run(arguments: Namespace, wiring: Wiring) -> int:
        async def in_service() -> int:
            async with connect(arguments, wiring) as service:
                return await talk(arguments, service, Output(as_json=arguments.json))

        return asyncio.run(in_service())

    parser.set_defaults(run=run)


def prints_json(parser: ArgumentParser) -> None:
    """The option that makes stdout JSON."""
    parser.add_argument("--json", action="store_true", help="print JSON, for pipes")


def about(parser: ArgumentParser, *, criterion: bool | None = None) -> None:
    """Which rubric, and which criterion of it (None: not asked, False: may be left out)."""
    parser.add_argument("--rubric", required=True, metavar="NAME", help="the rubric")
    if criterion is not None:
        parser.add_argument("--criterion", required=criterion, metavar="NAME", help="one of its criteria")


def existing_file(text: str) -> Path:
    """An argument that is a file to read."""
    path = Path(text)
    if not path.is_file():
        raise ArgumentTypeError(f"there is no file {text!r}")
    return path


def between(low: float, high: float) -> Callable[[str], float]:
    """An argument that is a number from ``low`` to ``high``."""

    def read(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = float("nan")
        if not low <= value <= high:
            raise ArgumentTypeError(f"{text!r} is no number from {low:g} to {high:g}")
        return value

    return read


def whole(low: int, high: int) -> Callable[[str], int]:
    """An argument that is a whole number from ``low`` to ``high``."""

    def read(text: str) -> int:
        if not text.isdecimal() or not low <= int(text) <= high:
            raise ArgumentTypeError(f"{text!r} is no whole number from {low} to {high}")
        return int(text)

    return read

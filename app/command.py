"""The command ``venire``, ready at once: what a command needs of the service is imported when it runs."""

import os
import sys
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager

from app.cli import main as command_line
from app.cli.wiring import InProcess, Option, Wiring
from app.settings import SETTINGS


def main() -> None:
    """Run one command and leave with its exit code."""
    options = tuple(Option(s.option, s.variable, s.meaning, s.default) for s in SETTINGS)
    sys.exit(command_line.main(Wiring(options, _serve, _work, _open_app, _upgrade_database, os.environ)))


def _serve(options: Mapping[str, str]) -> int:
    from app.bootstrap import serve

    return serve(options)


def _work(options: Mapping[str, str], parent: int | None) -> int:
    from app.bootstrap import run_worker

    return run_worker(options, parent)


def _open_app(project: str) -> AbstractAsyncContextManager[InProcess]:
    from app.bootstrap import open_app

    return open_app(project)


def _upgrade_database() -> str:
    from app.bootstrap import upgrade_database

    return upgrade_database()

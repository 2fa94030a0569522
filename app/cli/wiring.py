"""What commands are given by the floors above them."""

from argparse import ArgumentParser, _SubParsersAction
from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, TypeAlias

Commands: TypeAlias = "_SubParsersAction[ArgumentParser]"

_Message: TypeAlias = MutableMapping[str, Any]
InProcess: TypeAlias = Callable[
    [_Message, Callable[[], Awaitable[_Message]], Callable[[_Message], Awaitable[None]]], Awaitable[None]
]
"""The service as an ASGI app within this process."""


@dataclass(frozen=True, slots=True)
class Option:
    """A setting as an option of ``venire serve``."""

    flag: str
    variable: str
    meaning: str
    default: str


@dataclass(frozen=True, slots=True)
class Wiring:
    """What commands need of the floors above them.

    ``serve`` and ``work`` take variables that win over the environment and return an exit code; a worker
    ends when the process it is told of does. ``open_app`` opens the
    service within this process, on this machine's database, trusted with the project named.
    ``upgrade_database`` migrates that database and returns its address. ``environment`` are the variables.
    """

    options: Sequence[Option]
    serve: Callable[[Mapping[str, str]], int]
    work: Callable[[Mapping[str, str], int | None], int]
    open_app: Callable[[str], AbstractAsyncContextManager[InProcess]]
    upgrade_database: Callable[[], str]
    environment: Mapping[str, str]

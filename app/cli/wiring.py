"""What command groups are given by the floors above them."""

from argparse import ArgumentParser, _SubParsersAction
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, TypeAlias

Commands: TypeAlias = "_SubParsersAction[ArgumentParser]"


@dataclass(frozen=True, slots=True)
class Option:
    """A setting as an option of ``venire serve``."""

    flag: str
    variable: str
    meaning: str
    default: str


@dataclass(frozen=True, slots=True)
class Wiring:
    """What commands need of the floors above them; bootstrap provides it.

    ``serve`` takes variables that win over the environment and returns an exit code; ``services`` opens the
    use cases on this machine's database.
    """

    options: Sequence[Option]
    serve: Callable[[Mapping[str, str]], int]
    services: Callable[[], AbstractAsyncContextManager[Any]]

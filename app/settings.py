"""What the service reads from its environment; nothing else reads it.

`SETTINGS` is the whole list: `venire serve` mirrors it as options, docs/settings.md explains it.
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from app.domain.problems import BadInput, Problem

_PREFIX = "VENIRE_"
_TESTS, _CLIENTS = "VENIRE_TEST_", {"VENIRE_URL", "VENIRE_KEY"}  # not for the service
_SHORTEST_PEPPER = 16
_DATABASES = {
    "sqlite": "sqlite",
    "sqlite+aiosqlite": "sqlite",  # the name its users know; it runs on threads of our own
    "postgresql": "postgresql+asyncpg",
    "postgres": "postgresql+asyncpg",
    "postgresql+asyncpg": "postgresql+asyncpg",
}


@dataclass(frozen=True, slots=True)
class Setting:
    """One variable: ``read`` turns its text into a value or raises ValueError with what is wrong in words."""

    name: str
    default: str
    meaning: str
    read: Callable[[str], Any]
    secret: bool = False

    @property
    def variable(self) -> str:
        return _PREFIX + self.name.upper()

    @property
    def option(self) -> str:
        return "--" + self.name.replace("_", "-")


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings as read. ``unknown`` are variables that look like ours but are none."""

    host: str
    port: int
    data_dir: Path
    database_url: str
    judges: Path | None
    log_level: str
    log_format: str
    public_url: str
    key_pepper: str | None
    max_body_mb: int
    max_upload_mb: int
    max_grades_in_flight: int
    workers: int
    worker_calls: int
    worker_metrics_port: int
    keep_requests_days: int
    provider_poll_s: int
    embeddings: str
    embeddings_model: str
    embeddings_key: str | None
    unknown: tuple[str, ...] = ()


def _text(raw: str) -> str:
    return raw.strip()


def _host(raw: str) -> str:
    host = raw.strip().strip("[]")
    if not host or any(mark in host for mark in "/ \t"):
        raise ValueError("must be an IP address or a host name, such as 127.0.0.1 or 0.0.0.0")
    return host


def _number(low: int, high: int) -> Callable[[str], int]:
    def read(raw: str) -> int:
        try:
            value = int(raw)
        except ValueError:
            raise ValueError(f"must be a whole number between {low} and {high}") from None
        if not low <= value <= high:
            raise ValueError(f"must be between {low} and {high}")
        return value

    return read


def _one_of(*words: str) -> Callable[[str], str]:
    def read(raw: str) -> str:
        if raw.strip().lower() not in words:
            raise ValueError(f"must be one of {', '.join(words)}")
        return raw.strip().lower()

    return read


def _database_url(raw: str) -> str:
    scheme, separator, rest = raw.strip().partition("://")
    if not scheme:
        return ""
    if scheme not in _DATABASES or not separator:
        raise ValueError("must begin with sqlite:/// (a file) or postgresql:// (a server)")
    if _DATABASES[scheme] == "sqlite" and rest.lstrip("/").partition("?")[0] in ("", ":memory:"):
        raise ValueError("must name a file, such as sqlite:////var/lib/venire/venire.db")
    try:
        _ = urlsplit(f"postgresql://{rest}").port
    except ValueError:
        raise ValueError("must be a full address, such as postgresql://user@host:5432/name") from None
    return f"{_DATABASES[scheme]}://{rest}"


def _existing_file(raw: str) -> Path | None:
    if not raw.strip():
        return None
    path = Path(raw.strip()).expanduser()
    if not path.is_file():
        raise ValueError("there is no such file")
    return path


def _url(raw: str) -> str:
    url = raw.strip().rstrip("/")
    if url and (urlsplit(url).scheme not in {"http", "https"} or not urlsplit(url).hostname):
        raise ValueError("must be a full address, such as https://venire.example.org")
    return url


def _embeddings(raw: str) -> str:
    where = raw.strip()
    if not where or where.startswith(("http://", "https://")):
        return _url(where)
    folder = Path(where).expanduser()
    missing = [name for name in ("model.onnx", "tokenizer.json") if not (folder / name).is_file()]
    if missing:
        raise ValueError(
            f"must be an address, or a folder with model.onnx and tokenizer.json; no {missing[0]}"
        )
    return str(folder)


def _pepper(raw: str) -> str | None:
    if raw and len(raw) < _SHORTEST_PEPPER:
        raise ValueError(f"must have at least {_SHORTEST_PEPPER} characters")
    return raw or None


SETTINGS: tuple[Setting, ...] = (
    Setting("host", "127.0.0.1", "Address to listen on. Other than loopback only once a key exists.", _host),
    Setting("port", "8000", "Port to listen on; 0 takes a free one.", _number(0, 65535)),
    Setting("data_dir", "data", "Directory for the database file and the key pepper.", _text),
    Setting(
        "database_url",
        "",
        "SQLAlchemy URL for SQLite or PostgreSQL. Empty: the file `venire.db` in the data directory.",
        _database_url,
        secret=True,
    ),
    Setting(
        "judges",
        "",
        "Path of `judges.toml`, the roster. Empty: built-in simulated judges, marked as such everywhere.",
        _existing_file,
    ),
    Setting(
        "log_level",
        "info",
        "What is logged: debug, info, warning or error.",
        _one_of("debug", "info", "warning", "error"),
    ),
    Setting(
        "log_format",
        "console",
        "Form of the log: console for people, json for machines.",
        _one_of("console", "json"),
    ),
    Setting(
        "public_url",
        "",
        "Address under which callers reach the service, for the links it hands out. Empty: from the request.",
        _url,
    ),
    Setting(
        "key_pepper",
        "",
        "Secret mixed into stored key hashes and callback signatures. Empty: made once, kept in the data "
        "directory as `key-pepper`. Several machines on one database need the same.",
        _pepper,
        secret=True,
    ),
    Setting("max_body_mb", "4", "Largest JSON request body, in MB.", _number(1, 1024)),
    Setting("max_upload_mb", "2048", "Largest uploaded file, in MB.", _number(1, 1024 * 1024)),
    Setting(
        "max_grades_in_flight",
        "512",
        "Grades worked on at once by this process; more wait their turn within their own time.",
        _number(1, 100_000),
    ),
    Setting(
        "workers",
        "0",
        "Workers for batches that `venire serve` starts beside itself and ends with itself.",
        _number(0, 64),
    ),
    Setting(
        "worker_calls",
        "128",
        "Judge calls that a worker has under way at once; a crash repeats at most so many.",
        _number(1, 10_000),
    ),
    Setting(
        "worker_metrics_port",
        "0",
        "Port on which a worker answers Prometheus, on VENIRE_HOST; 0: none. The service's /metrics has the "
        "state of all workers, a worker's own has its judge calls.",
        _number(0, 65535),
    ),
    Setting(
        "keep_requests_days",
        "30",
        "Days for which the requests of a finished batch are kept; its grades stay.",
        _number(0, 36_500),
    ),
    Setting(
        "provider_poll_s",
        "60",
        "Seconds between two looks at a batch at its provider; later ones are up to ten times as far apart.",
        _number(1, 3600),
    ),
    Setting(
        "embeddings",
        "",
        "Model by which an overlap audit tells texts of like meaning: base URL of an OpenAI-compatible "
        "endpoint, or a folder with `model.onnx` and `tokenizer.json`. Empty: by their words alone.",
        _embeddings,
    ),
    Setting("embeddings_model", "text-embedding-3-small", "Which model to ask that endpoint for.", _text),
    Setting(
        "embeddings_key", "", "Key for that endpoint, if it wants one.", lambda raw: raw or None, secret=True
    ),
)


def read_settings(environment: Mapping[str, str] = os.environ) -> Settings:
    """The settings of this environment.

    Raises
    ------
    BadInput
        With every setting that cannot be used, and why.
    """
    values: dict[str, Any] = {}
    problems: list[Problem] = []
    for setting in SETTINGS:
        raw = environment.get(setting.variable, "") or setting.default
        try:
            values[setting.name] = setting.read(raw)
        except ValueError as error:
            shown = "(secret)" if setting.secret else raw
            problems.append(Problem(str(error), path=setting.variable, value=shown))
    data_dir = Path(values.get("data_dir", "data")).expanduser()
    if data_dir.exists() and not data_dir.is_dir():
        problems.append(Problem("is a file, not a directory", path="VENIRE_DATA_DIR", value=str(data_dir)))
    if problems:
        raise BadInput("the settings cannot be used", problems)
    values["data_dir"] = data_dir
    values["database_url"] = values["database_url"] or f"sqlite:///{data_dir.absolute()}/venire.db"
    return Settings(**values, unknown=unknown_variables(environment))


def variables(settings: Settings) -> dict[str, str]:
    """The settings as variables, for processes of our own that are to have the same."""
    values = {setting.variable: getattr(settings, setting.name) for setting in SETTINGS}
    return {variable: "" if value is None else str(value) for variable, value in values.items()}


def unknown_variables(environment: Mapping[str, str]) -> tuple[str, ...]:
    """Variables with our prefix that are no setting, each with the setting that was probably meant."""
    known = {setting.variable for setting in SETTINGS}
    notes = []
    for variable in sorted(environment):
        ours = variable.startswith(_PREFIX) and not variable.startswith(_TESTS)
        if ours and variable not in known | _CLIENTS:
            close = get_close_matches(variable, known, 1)
            notes.append(f"{variable} is no setting" + (f"; did you mean {close[0]}?" if close else ""))
    return tuple(notes)


def describe(problems: BadInput) -> str:
    """Bad settings as lines for a person at a terminal."""
    lines = [f"  {one.path}={one.value}: {one.problem}" for one in problems.problems]
    return "\n".join([f"{problems.summary}:", *lines, "See docs/settings.md."])

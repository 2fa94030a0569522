"""The roster as people write it (``judges.toml``) -> the configuration of each judge, or every mistake in it.

The file holds one ``[[judges]]`` table per judge::

    [[judges]]
    name = "gpt-x"
    family = "openai"
    provider = "openai"
    model = "gpt-x-2026-08-01"
    api_key_env = "OPENAI_API_KEY"
    params = { temperature = 0 }
    price_input_per_mtok = 1.25
    price_output_per_mtok = 10.0
"""

import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from math import isfinite
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from app.domain.judging import JudgeVersion
from app.domain.problems import Problem

PROVIDERS = ("openai", "openai-responses", "anthropic", "openai-compatible", "recorded", "simulated")
_NEEDS_KEY = ("openai", "openai-responses", "anthropic")
_HAS_BATCHES = _NEEDS_KEY  # at the provider's own address, and at half the price
_HALF = 0.5
_NO_MODEL = ("recorded", "simulated")  # nothing is called: the judge's own name stands for the model


@dataclass(frozen=True, slots=True)
class JudgeConfig:
    """One judge of the roster as configured.

    ``params`` are canonical JSON (sorted keys): part of the judge's identity, sent to its provider.
    Prices are US dollars per million tokens, 0 where none was given; input read from a provider's cache or
    written to it costs as much as other input unless its own price is given. Limits are None where there
    is none. ``folder`` is where relative paths in ``params`` start.
    ``batch`` says whether the endpoint takes batches (None: as the provider does, `takes_batches`);
    ``batch_price_factor`` is their price relative to ordinary calls.
    ``api_key`` was read from the variable that ``api_key_env`` names and is never shown.
    """

    name: str
    family: str
    provider: str
    model: str
    base_url: str | None = None
    api_key_env: str | None = None
    api_key: str | None = field(default=None, repr=False, compare=False)
    params: str = "{}"
    price_input_per_mtok: float = 0.0
    price_cached_input_per_mtok: float | None = None
    price_cache_write_per_mtok: float | None = None
    price_output_per_mtok: float = 0.0
    requests_per_minute: float | None = None
    tokens_per_minute: float | None = None
    usd_per_day: float | None = None
    max_concurrency: int = 32
    timeout_s: float = 60.0
    batch: bool | None = None
    batch_price_factor: float | None = None
    batch_max_requests: int | None = None
    batch_max_mb: float | None = None
    enabled: bool = True
    folder: str = "."

    @property
    def takes_batches(self) -> bool:
        """Whether its provider's batch endpoint can be used."""
        return self.provider in _HAS_BATCHES if self.batch is None else self.batch

    @property
    def batch_factor(self) -> float:
        """The price of a request in a batch, relative to an ordinary call."""
        if self.batch_price_factor is not None:
            return self.batch_price_factor
        return _HALF if self.provider in _HAS_BATCHES else 1.0

    def version(self, prompt_version: str) -> JudgeVersion:
        """The identity of a judge that asks a model with this prompt."""
        return JudgeVersion(self.family, self.name, self.model, self.params, prompt_version)

    def param_values(self) -> dict[str, Any]:
        """The parameters as a fresh dictionary."""
        values: dict[str, Any] = json.loads(self.params)
        return values


KEYS = tuple(f.name for f in fields(JudgeConfig) if f.name not in ("api_key", "folder"))
"""What may stand in a judge's table."""


@dataclass(frozen=True, slots=True)
class JudgesFile:
    """What a roster file says. With ``problems`` it is not to be used; ``warnings`` are only worth saying."""

    judges: tuple[JudgeConfig, ...]
    problems: tuple[Problem, ...]
    warnings: tuple[str, ...]


def read_judges_file(path: Path, environment: Mapping[str, str]) -> JudgesFile:
    """Read a roster file; ``environment`` has the variables that hold provider keys."""
    try:
        text = path.read_text("utf-8")
    except OSError as error:
        return _unreadable(f"{path} cannot be read: {error.strerror}")
    except UnicodeDecodeError:
        return _unreadable(f"{path} is not UTF-8 text")
    return read_judges(text, environment, folder=str(path.parent))


def read_judges(text: str, environment: Mapping[str, str], *, folder: str = ".") -> JudgesFile:
    """Read the text of a roster file; relative paths in it start from ``folder``.

    Every mistake is reported, each with its place (``judges[2].timeout_s``) and in words.
    """
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        return _unreadable(f"the file is not valid TOML: {error}")
    problems = [_unknown(key, ("judges",), key) for key in raw if key != "judges"]
    tables = raw.get("judges", [])
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        problem = Problem("judges are written as [[judges]] tables, one per judge", path="judges")
        return JudgesFile((), (*problems, problem), ())
    judges: list[JudgeConfig] = []
    for index, table in enumerate(tables):
        reader = _Table(table, f"judges[{index}]", environment, folder)
        judge = reader.judge()
        problems.extend(reader.problems)
        if judge is not None:
            judges.append(judge)
    problems.extend(_together(tables))
    families = {judge.family for judge in judges if judge.enabled}
    warnings = []
    if not problems and len(families) < 3:
        count = "one family" if len(families) == 1 else f"{len(families)} families"
        warnings.append(
            f"judges of only {count} are enabled; a panel is drawn from at least three unless the project's "
            "settings allow fewer"
        )
    return JudgesFile(tuple(judges), tuple(problems), tuple(warnings))


def _unreadable(problem: str) -> JudgesFile:
    return JudgesFile((), (Problem(problem),), ())


def _unknown(key: str, known: tuple[str, ...], path: str) -> Problem:
    near = get_close_matches(key, known, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else f"; there are {', '.join(known)}"
    return Problem(
        f"{key!r} is not a key of a judge{hint}" if path != key else f"unknown key {key!r}{hint}", path
    )


def _together(tables: list[dict[str, Any]]) -> list[Problem]:
    """What is wrong with the roster as a whole, whatever else is wrong with its judges."""
    problems: list[Problem] = []
    first: dict[str, int] = {}
    for index, table in enumerate(tables):
        name = table.get("name")
        if isinstance(name, str) and first.setdefault(name, index) != index:
            problems.append(
                Problem(f"judges[{first[name]}] has this name already", f"judges[{index}].name", value=name)
            )
    spelled: dict[str, str] = {}
    for index, table in enumerate(tables):
        family = table.get("family")
        if not isinstance(family, str):
            continue
        elsewhere = spelled.setdefault(family.strip().casefold(), family.strip())
        if elsewhere != family.strip():
            problem = f"the family is written {elsewhere!r} elsewhere, and so would count as another"
            problems.append(Problem(problem, f"judges[{index}].family", value=family))
    enabled = [table for table in tables if table.get("enabled", True) is not False]
    simulated = [table for table in enabled if table.get("provider") == "simulated"]
    if simulated and len(simulated) < len(enabled):
        names = ", ".join(repr(table.get("name")) for table in simulated)
        problems.append(
            Problem(
                "simulated judges may not stand on a roster with others: disable or remove one of the two "
                f"kinds (simulated: {names})",
                "judges",
            )
        )
    if not enabled:
        problems.append(Problem("no judge is enabled", "judges"))
    return problems


class _Table:
    """One judge's table, read key by key; mistakes gather in ``problems``."""

    def __init__(self, table: dict[str, Any], path: str, environment: Mapping[str, str], folder: str) -> None:
        self._table, self._path, self._environment, self._folder = table, path, environment, folder
        self.problems: list[Problem] = []

    def judge(self) -> JudgeConfig | None:
        """The judge, or None where it cannot be made."""
        for key in self._table:
            if key not in KEYS:
                self.problems.append(_unknown(key, KEYS, f"{self._path}.{key}"))
        enabled = self._flag("enabled")
        name, family, provider = self._word("name"), self._word("family"), self._provider()
        model = name if provider in _NO_MODEL and "model" not in self._table else self._word("model")
        base_url = self._base_url(provider)
        key_env, api_key = self._key(provider, base_url, enabled)
        judge = JudgeConfig(
            name=name,
            family=family,
            provider=provider,
            model=model,
            base_url=base_url,
            api_key_env=key_env,
            api_key=api_key,
            params=self._params(),
            price_input_per_mtok=self._number("price_input_per_mtok", zero=True) or 0.0,
            price_cached_input_per_mtok=self._number("price_cached_input_per_mtok", zero=True),
            price_cache_write_per_mtok=self._number("price_cache_write_per_mtok", zero=True),
            price_output_per_mtok=self._number("price_output_per_mtok", zero=True) or 0.0,
            requests_per_minute=self._number("requests_per_minute"),
            tokens_per_minute=self._number("tokens_per_minute"),
            usd_per_day=self._number("usd_per_day"),
            max_concurrency=self._whole("max_concurrency", 32) or 32,
            timeout_s=self._number("timeout_s") or 60.0,
            batch=self._batch(provider),
            batch_price_factor=self._factor("batch_price_factor"),
            batch_max_requests=self._whole("batch_max_requests", None),
            batch_max_mb=self._number("batch_max_mb"),
            enabled=enabled,
            folder=self._folder,
        )
        return None if self.problems else judge

    def _wrong(self, key: str, problem: str) -> None:
        self.problems.append(Problem(problem, f"{self._path}.{key}", value=self._table.get(key)))

    def _word(self, key: str) -> str:
        value = self._table.get(key)
        if value is None:
            self._wrong(key, f"a judge needs a {key}")
        elif not isinstance(value, str) or not value.strip():
            self._wrong(key, f"the {key} must be a text that is not empty")
        elif len(value) > 200 or not value.isprintable():
            self._wrong(key, f"the {key} must be one line of at most 200 characters")
        else:
            return value.strip()
        return ""

    def _provider(self) -> str:
        provider = self._word("provider")
        if provider and provider not in PROVIDERS:
            near = get_close_matches(provider, PROVIDERS, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            self._wrong("provider", f"there is no such provider; there are {', '.join(PROVIDERS)}{hint}")
        return provider

    def _base_url(self, provider: str) -> str | None:
        value = self._table.get("base_url")
        if value is None:
            if provider == "openai-compatible":
                self._wrong("base_url", "an openai-compatible judge needs the base_url of its server")
            return None
        if not isinstance(value, str) or not _is_http(value):
            self._wrong("base_url", "must be a URL that begins with http:// or https://")
            return None
        return value.rstrip("/")

    def _key(self, provider: str, base_url: str | None, enabled: bool) -> tuple[str | None, str | None]:
        name = self._table.get("api_key_env")
        if name is None:
            # A server of one's own may speak a provider's protocol and ask for no key.
            if provider in _NEEDS_KEY and base_url is None:
                self._wrong("api_key_env", "name the environment variable that holds the provider's key")
            return None, None
        if not isinstance(name, str) or not name.strip():
            self._wrong("api_key_env", "must be the name of an environment variable")
            return None, None
        key = self._environment.get(name, "").strip()
        if not key and enabled:
            self.problems.append(
                Problem(
                    f"the environment variable {name} is not set; set it, or disable the judge with "
                    "enabled = false",
                    f"{self._path}.api_key_env",
                    value=name,
                )
            )
        return name, key or None

    def _params(self) -> str:
        value = self._table.get("params", {})
        if not isinstance(value, dict):
            self._wrong("params", "must be a table, as { temperature = 0 }")
            return "{}"
        try:
            return json.dumps(
                value, sort_keys=True, ensure_ascii=False, separators=(",", ":"), allow_nan=False
            )
        except (TypeError, ValueError):
            self._wrong("params", "may hold texts, finite numbers, booleans, lists and tables only")
            return "{}"

    def _number(self, key: str, *, zero: bool = False) -> float | None:
        value = self._table.get(key)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
            self._wrong(key, "must be a number")
        elif value < 0 or (value == 0 and not zero):
            self._wrong(key, "must not be negative" if zero else "must be greater than 0")
        else:
            return float(value)
        return None

    def _batch(self, provider: str) -> bool | None:
        if "batch" not in self._table:
            return None
        value = self._flag("batch")
        if value and provider in _NO_MODEL:
            self._wrong("batch", f"a {provider} judge calls nobody, so there is no batch endpoint")
        return value

    def _factor(self, key: str) -> float | None:
        value = self._number(key)
        if value is not None and value > 1:
            self._wrong(key, "must be at most 1: the price relative to ordinary calls")
        return value

    def _whole(self, key: str, default: int | None) -> int | None:
        value = self._table.get(key, default)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            self._wrong(key, "must be a whole number of at least 1")
            return default
        return value

    def _flag(self, key: str) -> bool:
        value = self._table.get(key, True)
        if not isinstance(value, bool):
            self._wrong(key, "must be true or false")
            return True
        return value


def _is_http(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        return False

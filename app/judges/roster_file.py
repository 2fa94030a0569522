"""Configurations of judges -> the text of a `judges.toml`; the inverse of `app.judges.config.read_judges`."""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, fields
from typing import Any

from app.judges.config import JudgeConfig

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_NEVER = ("api_key", "folder")  # a key is named by its variable, never written down


def write_judges(configs: Iterable[JudgeConfig], comments: Mapping[str, str] | None = None) -> str:
    """One ``[[judges]]`` table each, without what is at its default and without keys.

    ``comments`` are put above the judge of that name, for people.
    """
    said = comments or {}
    return "\n".join(_table(config, said.get(config.name, "")) for config in configs)


def _table(config: JudgeConfig, comment: str) -> str:
    lines = ["# " + "".join(filter(str.isprintable, line)) for line in comment.splitlines()]
    lines.append("[[judges]]")
    for field in fields(JudgeConfig):
        value = getattr(config, field.name)
        if field.name in _NEVER or (field.default is not MISSING and value == field.default):
            continue
        if field.name == "params":
            value = config.param_values()
        lines.append(f"{field.name} = {_value(value)}")
    return "\n".join(lines) + "\n"


def _value(value: Any) -> str:
    """A value of JSON's kinds as TOML; a None within a table is left out, as TOML has none."""
    if isinstance(value, str):
        return _string(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Mapping):
        inner = (f"{_key(key)} = {_value(held)}" for key, held in value.items() if held is not None)
        return "{ " + ", ".join(inner) + " }" if value else "{}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_value(held) for held in value) + "]"
    return repr(value)


def _key(key: str) -> str:
    return key if _BARE_KEY.fullmatch(key) else _string(key)


def _string(text: str) -> str:
    """JSON's strings are TOML's, but for one control character that JSON leaves as it is."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")

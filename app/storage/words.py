"""Text as both databases can keep it."""

from typing import Any

from sqlalchemy import Dialect, Text
from sqlalchemy.types import TypeDecorator

from app.domain.problems import BadInput, Problem


def storable(text: str) -> str:
    """``text`` with what cannot be stored (NUL, halves of surrogate pairs) replaced by U+FFFD.

    For words that must be kept whatever they are, such as a judge's.
    """
    if text.isascii():
        return text.replace("\x00", "�")
    whole = "".join("�" if "\ud800" <= letter <= "\udfff" else letter for letter in text)
    return whole.replace("\x00", "�")


def name_of(text: str, column: str) -> str:
    """``text`` itself, if it can be stored as it is: for names, which must not change on the way.

    Raises
    ------
    BadInput
        If it has a NUL character or half of a surrogate pair.
    """
    if storable(text) != text:
        what = "a name may not contain a NUL character or half of a surrogate pair"
        raise BadInput(f"{column} cannot be stored", [Problem(what, column=column, value=text)])
    return text


class Words(TypeDecorator[str]):
    """Text that is made storable where it is bound: a name that cannot exist is then simply not found."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> Any:
        return storable(value) if isinstance(value, str) else value

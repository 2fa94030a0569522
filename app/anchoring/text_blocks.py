"""Bytes of a text file as checked blocks of whole lines: UTF-8, no NUL, no endless line, no bomb."""

import gzip
import zlib
from collections.abc import Iterator
from typing import BinaryIO, Protocol

from app.anchoring.limits import MIB, Limits, show_bytes
from app.domain.problems import BadInput, TooLarge, UnsupportedFormat

_CHUNK = 256 * 1024
_FREE_RATIO = 32 * MIB  # small files may be as repetitive as they like
_UTF8_BOM = b"\xef\xbb\xbf"
_WIDE_BOMS = {
    b"\xff\xfe\x00\x00": "UTF-32",
    b"\x00\x00\xfe\xff": "UTF-32",
    b"\xff\xfe": "UTF-16",
    b"\xfe\xff": "UTF-16",
}


class Readable(Protocol):
    """The one thing blocks need of a file."""

    def read(self, size: int = -1, /) -> bytes: ...


class Unpacked:
    """A gzip file, unpacked as it is read, that stops at a bomb. Several members in a row are one file."""

    def __init__(self, packed: BinaryIO, limits: Limits) -> None:
        self._packed, self._limits, self._given = packed, limits, 0
        self._stream = gzip.GzipFile(fileobj=packed, mode="rb")

    def read(self, size: int = -1, /) -> bytes:
        """At most ``size`` unpacked bytes; empty at the end.

        Raises
        ------
        BadInput
            If the file is damaged or cut short.
        TooLarge
            If it unpacks to more than the limits allow.
        """
        try:
            chunk = self._stream.read(size)
        except (EOFError, OSError, zlib.error) as error:
            raise BadInput(
                f"The gzip file is damaged or cut short after {show_bytes(self._given)} unpacked."
            ) from error
        self._given += len(chunk)
        if self._given > self._limits.unpacked:
            raise TooLarge(f"The gzip file unpacks to more than {show_bytes(self._limits.unpacked)}.")
        if self._given > max(_FREE_RATIO, self._limits.ratio * self._packed.tell()):
            raise TooLarge(
                f"The gzip file unpacks to more than {self._limits.ratio} times its size: refused as a bomb."
            )
        return chunk


def text_blocks(raw: Readable, limits: Limits) -> Iterator[str]:
    """Blocks of whole lines, about 256 KiB unless a line is longer; only the last may lack its line end.

    A UTF-8 byte order mark is dropped. Lines end in LF or CRLF.

    Raises
    ------
    BadInput
        For another encoding (naming line and byte), a NUL character, or a line beyond ``limits.record``.
    """
    carry, lines, first = b"", 0, True
    while chunk := raw.read(_CHUNK):
        if first:
            chunk, first = _beginning(chunk), False
        cut = chunk.rfind(b"\n") + 1
        if cut:
            block = carry + chunk[:cut]
            carry = chunk[cut:]
            yield _decoded(block, lines)
            lines += block.count(b"\n")
        else:
            carry += chunk
        if len(carry) > limits.record:
            if b"\0" in carry:
                raise _holds_nul(carry, lines)
            raise BadInput(
                f"Line {lines + 1} is longer than {show_bytes(limits.record)}; rows must end in a line break."
            )
    if carry:
        yield _decoded(carry, lines)


def _beginning(chunk: bytes) -> bytes:
    for mark, name in _WIDE_BOMS.items():
        if chunk.startswith(mark):
            raise UnsupportedFormat(f"The file is {name} (its first bytes say so); save it as UTF-8.")
    head = chunk[:4096]
    if head.count(0) * 4 > len(head):
        raise UnsupportedFormat(
            "The file looks like UTF-16 or binary data (every other byte is NUL); save it as UTF-8 text."
        )
    return chunk.removeprefix(_UTF8_BOM)


def _decoded(block: bytes, lines_before: int) -> str:
    if b"\0" in block:
        raise _holds_nul(block, lines_before)
    try:
        return block.decode("utf-8")
    except UnicodeDecodeError as error:
        line = lines_before + block.count(b"\n", 0, error.start) + 1
        byte = error.start - (block.rfind(b"\n", 0, error.start) + 1) + 1
        bad = block[error.start : error.start + 1]
        guess = bad.decode("latin-1")
        hint = f" (that would be {guess!r} in Latin-1)" if guess.isprintable() else ""
        raise BadInput(
            f"Line {line} is not UTF-8: byte {byte} of the line is 0x{bad.hex().upper()}{hint}."
            " Save the file as UTF-8."
        ) from error


def _holds_nul(block: bytes, lines_before: int) -> BadInput:
    line = lines_before + block.count(b"\n", 0, block.index(b"\0")) + 1
    return BadInput(f"Line {line} holds a NUL character, so this is not a text file, or a damaged one.")

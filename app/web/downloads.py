"""Files to keep: their names, and how they are sent."""

from collections.abc import Iterator, Mapping
from typing import BinaryIO
from urllib.parse import quote

from starlette.responses import StreamingResponse

_PIECE = 256 * 1024
_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._- ")


def attachment(name: str) -> dict[str, str]:
    """The header that makes a browser keep an answer under ``name`` (RFC 6266), whatever it holds."""
    plain = "".join(letter if letter in _PLAIN else "_" for letter in name)
    said = f'attachment; filename="{plain}"'
    if plain != name:
        said += f"; filename*=UTF-8''{quote(name.encode('utf-8', 'replace'), safe='')}"
    return {"Content-Disposition": said}


def csv_download(file: BinaryIO, name: str, headers: Mapping[str, str]) -> StreamingResponse:
    """A CSV file, sent piece by piece and closed at the end."""

    def pieces() -> Iterator[bytes]:
        with file:
            while piece := file.read(_PIECE):
                yield piece

    kept = {**headers, **attachment(name)}
    return StreamingResponse(pieces(), headers=kept, media_type="text/csv; charset=utf-8")

"""Files that are meant to harm, or merely broken, over HTTP: a clear 4xx, in bounded memory.

What is wrong with a file's content in particular is tested in tests/anchoring and tests/web/test_anchors.py.
"""

import io
import json
import shutil
import socket
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2
import openpyxl
import pytest

from tests.running_service import POINTWISE, ServiceProcess, service_process

HEADER = "item_id,system,annotator,annotator_type,score\n"
MB = 1_000_000


@pytest.fixture(scope="module")
def service(_migrated_sqlite: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    folder = tmp_path_factory.mktemp("hostile")
    shutil.copyfile(_migrated_sqlite, folder / "venire.db")
    with service_process({"VENIRE_DATA_DIR": str(folder)}) as running:
        httpx2.put(f"{running.url}/rubrics/point", json=POINTWISE, timeout=30)
        yield running


@pytest.fixture
def refused(service: ServiceProcess) -> Callable[..., dict[str, Any]]:
    """Upload something, hold the refusal to what every refusal must be, and return the problem."""

    def upload(content: bytes, path: str = "/anchors", name: str = "x.csv", **form: str) -> dict[str, Any]:
        data = {"rubric": "point", **({"anchor_set": "set"} if path == "/anchors" else {}), **form}
        response = httpx2.post(service.url + path, files={"file": (name, content)}, data=data, timeout=120)
        return problem(response)

    return upload


def problem(response: httpx2.Response) -> dict[str, Any]:
    assert 400 <= response.status_code < 500, response.text
    assert response.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = response.json()
    assert body["detail"]
    assert "Traceback" not in response.text
    assert len(response.content) < 2 * MB
    return body


def resident(service: ServiceProcess) -> int:
    """Bytes of memory that the service holds."""
    status = Path(f"/proc/{service.process.pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) * 1024


def peak(service: ServiceProcess) -> int:
    """The most bytes of memory that it ever held."""
    status = Path(f"/proc/{service.process.pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


def row(**more: Any) -> dict[str, Any]:
    kept = {"item_id": "q", "system": "s", "annotator": "a", "annotator_type": "expert", "score": 4}
    return {**kept, **more}


def lines(*rows: dict[str, Any]) -> bytes:
    return "\n".join(json.dumps(one) for one in rows).encode()


HOSTILE: dict[str, tuple[bytes, str]] = {
    "utf-32": (HEADER.encode("utf-32"), "UTF-"),
    "shift-jis": (HEADER.encode() + "質問,s,a,expert,4\n".encode("shift-jis"), "UTF-8"),
    "a lone surrogate": (HEADER.encode() + b"q\xed\xa0\x80,s,a,expert,4\n", "0xED"),
    "an overlong slash": (HEADER.encode() + b"q\xc0\xaf,s,a,expert,4\n", "0xC0"),
    "NUL in JSON": (lines(row(item_id="q\x00")), "NUL"),
    "a key twice in JSON": (b'{"item_id": "q", "item_id": "r", "score": 4}', "twice"),
    "a key twice, escaped": (b'{"item_id": "q", "item\\u005fid": "r", "score": 4}', "twice"),
    "deep JSON": (b'{"item_id": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", ""),
    "a number beyond all bounds": (b'{"item_id": "q", "score": 1' + b"0" * 5000 + b"}", ""),
    "infinity": (lines(row(score=float("inf"))), ""),
    "not a number": (HEADER.encode() + b"q,s,a,expert,NaN\n", "score"),
    "one e999": (HEADER.encode() + b"q,s,a,expert,1e999\n", "score"),
    "many columns": (b",".join(b"c%d" % k for k in range(100_000)) + b"\n1\n", "columns"),
    "many keys": (lines(row(**{f"k{k}": 1 for k in range(100_000)})), ""),
    "semicolons below commas": (HEADER.encode() + b"q;s;a;expert;4\n" * 3, ""),
    "a tab in the header only": (HEADER.replace(",", "\t").encode() + b"q,s,a,expert,4\n" * 3, ""),
    "only line ends": (b"\n" * 1_000_000, ""),
    "only blanks": (b" " * 1_000_000, ""),
    "only commas": (b"," * 1_000_000, ""),
    "a quote never closed": (HEADER.encode() + b'"q,s,a,expert,4\n' + b"q,s,a,expert,4\n" * 1000, "quote"),
    "html": (b"<!DOCTYPE html><html><body>Sign in</body></html>", ""),
    "an image": (b"\x89PNG\r\n\x1a\n" + bytes(1000), ""),
    "an old xls": (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(4000), ""),
    "a column that says it is a score of a model": (
        lines(row(annotator="gpt-4o", annotator_type="expert")),
        "model",
    ),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_file_that_cannot_be_meant_is_refused_in_words(refused, case: str) -> None:
    content, says = HOSTILE[case]
    body = refused(content)
    assert len(json.dumps(body)) < 20_000  # what was sent is shown, but not all of it
    assert says in json.dumps(body, ensure_ascii=False), body


@pytest.mark.parametrize("case", [case for case in HOSTILE if "model" not in case])
def test_recorded_verdicts_are_refused_alike(refused, case: str) -> None:
    refused(HOSTILE[case][0], path="/verdicts")


def bombed(name: str, size: int) -> bytes:
    """A workbook of one row whose part ``name`` unpacks to that many bytes of blanks."""
    book = openpyxl.Workbook()
    book.active.append(["item_id", "score"])
    book.active.append(["q", 4])
    plain, packed = io.BytesIO(), io.BytesIO()
    book.save(plain)
    with zipfile.ZipFile(plain) as source, zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as target:
        for part in source.namelist():
            if part != name:
                target.writestr(part, source.read(part))
        with target.open(name, "w", force_zip64=True) as file:
            for _ in range(size // MB):
                file.write(b" " * MB)
    return packed.getvalue()


def test_a_workbook_that_unpacks_to_a_gigabyte_is_refused_in_little_memory(service, refused) -> None:
    before = resident(service)
    content = bombed("xl/worksheets/sheet1.xml", 1000 * MB)
    assert len(content) < 3 * MB
    refused(content, name="x.xlsx")
    assert peak(service) - before < 150 * MB


def test_formulas_are_never_evaluated(refused, service) -> None:
    book = openpyxl.Workbook()
    book.active.append(["item_id", "system", "annotator", "annotator_type", "score"])
    book.active.append(["q", "s", "a", "expert", "=1+3"])
    saved = io.BytesIO()
    book.save(saved)
    assert "formula" in json.dumps(refused(saved.getvalue(), name="x.xlsx"))
    text = HEADER + '"=HYPERLINK(""http://evil"",""x"")",s,a,expert,4\n'
    data = {"rubric": "point", "anchor_set": "formulas"}
    kept = httpx2.post(f"{service.url}/anchors", files={"file": text.encode()}, data=data, timeout=30)
    assert kept.status_code == 200
    text = HEADER + "q,s,a,expert,=1+3\n"
    assert "=1+3" in json.dumps(refused(text.encode()))


def test_a_gigabyte_in_one_line_is_refused_in_little_memory(service: ServiceProcess) -> None:
    before, began = resident(service), time.monotonic()
    answered = _post_endless(service.url, 1000 * MB)
    assert b" 4" in answered.partition(b"\r\n")[0], answered[:200]
    assert b"application/problem+json" in answered
    assert b"longer than 8 MiB" in answered
    assert peak(service) - before < 150 * MB
    assert time.monotonic() - began < 60


def test_a_body_announced_larger_than_any_upload_is_refused_before_it_is_sent(service) -> None:
    answered = _post_endless(service.url, 3_000 * MB, send=0)
    assert b" 413 " in answered.partition(b"\r\n")[0]
    assert b"application/problem+json" in answered


def _post_endless(url: str, size: int, send: int | None = None) -> bytes:
    """POST /anchors with one line of ``size`` bytes, made as it is sent; what came back."""
    head = (
        b'--b\r\nContent-Disposition: form-data; name="rubric"\r\n\r\npoint\r\n'
        b'--b\r\nContent-Disposition: form-data; name="anchor_set"\r\n\r\nset\r\n'
        b'--b\r\nContent-Disposition: form-data; name="file"; filename="x.csv"\r\n\r\n'
    )
    tail, chunk = b"\r\n--b--\r\n", b"x" * MB
    length = len(head) + size + len(tail)
    where = urlsplit(url)
    with socket.create_connection((where.hostname, where.port), timeout=60) as connection:
        connection.sendall(
            b"POST /anchors HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
            b"Content-Type: multipart/form-data; boundary=b\r\nContent-Length: %d\r\n\r\n" % length
        )
        if send is None:
            connection.sendall(head)
            for _ in range(size // MB):
                connection.sendall(chunk)
            connection.sendall(tail)
        received = b""
        while part := connection.recv(65536):
            received += part
    return received


MULTIPART = "multipart/form-data; boundary=b"
PART = '--b\r\nContent-Disposition: form-data; name="{}"{}\r\n\r\n{}\r\n'


@pytest.mark.parametrize(
    ("content", "content_type"),
    [
        (b"", MULTIPART),
        (b"no parts at all", MULTIPART),
        (b"--b\r\n\r\n\r\n--b--\r\n", MULTIPART),
        (b"--b\r\nContent-Disposition: form-data\r\n\r\nx\r\n--b--\r\n", MULTIPART),
        (PART.format("file", '; filename="x"', "a,b").encode(), MULTIPART),
        (b'{"file": "x"}', "application/json"),
        (b"file=x&rubric=point&anchor_set=s", "application/x-www-form-urlencoded"),
        (b"x", "multipart/form-data"),
        (b"x", "multipart/form-data; boundary="),
        (b"x", ""),
        (PART.format("file", "", "a text, no file").encode() + b"--b--\r\n", MULTIPART),
        ("".join(PART.format(f"f{k}", "", "x") for k in range(2000)).encode() + b"--b--\r\n", MULTIPART),
        (PART.format("rubric", "", "x" * 3_000_000).encode() + b"--b--\r\n", MULTIPART),
    ],
)
@pytest.mark.parametrize("path", ["/anchors", "/verdicts"])
def test_a_form_that_is_none_is_refused_in_words(
    service, path: str, content: bytes, content_type: str
) -> None:
    headers = {"content-type": content_type} if content_type else {}
    problem(httpx2.post(service.url + path, content=content, headers=headers, timeout=30))


@pytest.mark.parametrize(
    "form",
    [
        {"rubric": "point\x00"},
        {"rubric": "x" * 300},
        {"anchor_set": ""},
        {"anchor_set": "a\x00b"},
        {"mapping": "[" * 50_000},
        {"mapping": '{"columns": {"score": "' + "x" * 200_000 + '"}}'},
        {"dry_run": "perhaps"},
    ],
)
def test_a_wrong_field_beside_a_good_file_is_named(refused, form: dict[str, str]) -> None:
    body = refused(HEADER.encode() + b"q,s,a,expert,4\n", **form)
    assert body["errors"] or body["status"] in (404, 409)

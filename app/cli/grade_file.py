"""A file of grade requests: which lines it has, what is wrong with them, which are graded already."""

import json
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any

from app.cli.schema import problems

_ANSWERS = {"pointwise": (1, 1), "pairwise": (2, 2), "listwise": (2, 10)}
_MOST_NAMED = 1_000


@dataclass(frozen=True, slots=True)
class Line:
    """One request. ``key`` depends on what it asks alone, and on how often the file asked the same before:
    so a rerun sends the same keys, and a request that stands there twice is graded twice."""

    number: int
    key: str
    request: dict[str, Any]


@dataclass(frozen=True, slots=True)
class BadLine:
    """A line that cannot be sent, and everything that is wrong with it."""

    number: int
    problems: tuple[str, ...]

    def document(self) -> dict[str, Any]:
        """The line as JSON."""
        return {"line": self.number, "problems": list(self.problems)}


def open_requests(name: str) -> IO[bytes]:
    """The file, or stdin kept aside: requests are read twice, to be checked and to be sent."""
    if name != "-":
        return Path(name).open("rb")
    kept = TemporaryFile()  # noqa: SIM115 - the caller closes it
    while chunk := sys.stdin.buffer.read(1 << 20):
        kept.write(chunk)
    kept.seek(0)
    return kept


class Checker:
    """Finds what is wrong with requests by the service's own description of them."""

    def __init__(self, openapi: Mapping[str, Any], kinds: Mapping[str, str], rubric: str | None) -> None:
        """``kinds`` has the kind of every rubric; ``rubric`` stands in for lines that name none."""
        self._openapi, self._kinds, self._rubric = openapi, kinds, rubric
        self._schema = openapi["components"]["schemas"]["GradeIn"]

    def read(self, file: IO[bytes]) -> Iterator[Line | BadLine]:
        """Every line that is not blank, from the start."""
        file.seek(0)
        seen: Counter[bytes] = Counter()
        for number, raw in enumerate(file, 1):
            if not raw.strip():
                continue
            try:
                request = json.loads(raw, parse_constant=_no_constant)
            except ValueError as error:
                yield BadLine(number, (f"is not JSON: {error}",))
                continue
            wrong = tuple(self._wrong(request))
            if wrong:
                yield BadLine(number, wrong)
                continue
            digest = sha256(json.dumps(request, sort_keys=True).encode()).digest()
            seen[digest] += 1
            yield Line(number, f"line-{digest.hex()[:48]}-{seen[digest]}", request)

    def _wrong(self, request: Any) -> Iterator[str]:
        if not isinstance(request, dict):
            yield "must be a JSON object"
            return
        if self._rubric is not None:
            request.setdefault("rubric", self._rubric)
        yield from problems(request, self._schema, self._openapi)
        rubric, answers = request.get("rubric"), request.get("answers")
        if not isinstance(rubric, str) or not isinstance(answers, list):
            return
        if rubric not in self._kinds:
            yield f"rubric: there is no rubric {rubric!r}"
            return
        least, most = _ANSWERS[self._kinds[rubric]]
        if not least <= len(answers) <= most:
            wanted = str(least) if least == most else f"{least} to {most}"
            yield f"answers: a {self._kinds[rubric]} rubric takes {wanted}, not {len(answers)}"


def check(lines: Iterator[Line | BadLine]) -> tuple[int, list[BadLine], int]:
    """How many lines are good, the first bad ones, and how many are bad."""
    good, bad, count = 0, list[BadLine](), 0
    for line in lines:
        if isinstance(line, Line):
            good += 1
            continue
        count += 1
        if len(bad) < _MOST_NAMED:
            bad.append(line)
    return good, bad, count


def graded_before(path: Path) -> set[str]:
    """Keys of the results that a results file has. A last line cut short by a kill is cut off."""
    keys: set[str] = set()
    if not path.exists():
        return keys
    with path.open("r+b") as file:
        whole = 0
        for raw in file:
            try:
                record = json.loads(raw) if raw.endswith(b"\n") else None
            except ValueError:
                record = None
            if not isinstance(record, dict) or "key" not in record:
                break
            if "error" not in record:
                keys.add(record["key"])
            whole += len(raw)
        rest = path.stat().st_size - whole
        if rest and file.seek(whole) == whole and b"\n" in file.read():
            raise ValueError(f"{path} is there and does not hold results of `venire grade`")
        file.truncate(whole)
    return keys


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no number of JSON")

"""Uploaded files that wait for a person's yes: kept in the data directory, under a name nobody can guess.

Between the two steps of an upload in the browser the file is stored here rather than sent again. A draft
belongs to one project, is readable by the service's user alone, and is gone after `KEPT_FOR`.
"""

import json
import os
import re
import shutil
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from secrets import token_urlsafe
from typing import BinaryIO

from app.anchoring.corrections import Corrections
from app.domain.problems import NotFound
from app.domain.projects import Project

KEPT_FOR = timedelta(hours=6)
MOST_KEPT = 10  # drafts of one project; the oldest makes room
_TOKEN = re.compile(r"[A-Za-z0-9_-]{32}")


@dataclass(frozen=True, slots=True)
class Draft:
    """A waiting upload. ``mapping`` is JSON as `read_mapping` takes it, ``size`` in bytes.

    ``remembered`` says that the mapping is that of an earlier upload; ``corrected`` counts rows for which
    corrections wait beside the file, ``shape`` is what wrote it.
    """

    token: str
    project_id: int
    file_name: str
    rubric: str
    anchor_set: str
    replace: bool
    mapping: str
    size: int
    created_at: str
    remembered: bool = False
    corrected: int = 0
    shape: str = "table"


def _utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Drafts:
    """The drafts of all projects, in ``folder`` (made when first needed)."""

    folder: Path
    now: Callable[[], datetime] = _utc_now

    def keep(
        self,
        project: Project,
        file: BinaryIO,
        *,
        file_name: str,
        rubric: str,
        anchor_set: str,
        replace: bool,
        mapping: str = "",
        remembered: bool = False,
        shape: str = "table",
    ) -> Draft:
        """Copy ``file`` into the folder under a new token."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._make_room(project)
        token = token_urlsafe(24)
        file.seek(0)
        with os.fdopen(os.open(self._file(token), os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as kept:
            shutil.copyfileobj(file, kept, 1 << 20)
            size = kept.tell()
        draft = Draft(
            token, project.id, file_name[:200], rubric, anchor_set, replace, mapping, size,
            self.now().isoformat(), remembered, 0, shape,
        )  # fmt: skip
        self._write(draft)
        return draft

    def get(self, project: Project, token: str) -> Draft:
        """The draft of that token; NotFound if the project has none, or no longer."""
        draft = self._read(token) if _TOKEN.fullmatch(token) else None
        if draft is None or draft.project_id != project.id or self._is_old(draft):
            raise NotFound("waiting upload", "under this address; it may have expired: choose the file again")
        return draft

    def open(self, draft: Draft) -> BinaryIO:
        """The file itself, to be closed by the caller."""
        return self._file(draft.token).open("rb")

    def read_as(self, draft: Draft, *, shape: str, mapping: str, remembered: bool) -> Draft:
        """Keep another shape or a mapping found anew; corrections of another shape were of other rows."""
        corrected = draft.corrected if shape == draft.shape else 0
        changed = replace(draft, shape=shape, mapping=mapping, remembered=remembered, corrected=corrected)
        self._write(changed)
        return changed

    def change(self, draft: Draft, *, mapping: str) -> Draft:
        """Keep another mapping for the same file."""
        changed = replace(draft, mapping=mapping)
        self._write(changed)
        return changed

    def correct(self, draft: Draft, later: Corrections) -> Draft:
        """Keep corrections of rows, beside those that are kept already; none at all takes all back."""
        both = self.corrections(draft).then(later) if later.rows else later
        path = self._corrections(draft.token)
        with os.fdopen(
            os.open(path, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600), "w", encoding="utf-8"
        ) as kept:
            kept.write(both.as_json_lines())
        changed = replace(draft, corrected=len(both.rows))
        self._write(changed)
        return changed

    def corrections(self, draft: Draft) -> Corrections:
        """What is kept in place of rows of the file."""
        if not draft.corrected:
            return Corrections()
        return Corrections.from_json_lines(self._corrections(draft.token).read_text("utf-8"))

    def forget(self, draft: Draft) -> None:
        """Delete a draft."""
        for path in (self._file(draft.token), self._corrections(draft.token), self._about(draft.token)):
            with suppress(FileNotFoundError):
                path.unlink()

    def _make_room(self, project: Project) -> None:
        mine = []
        for path in self.folder.glob("*.json"):
            draft = self._read(path.stem)
            if draft is None or self._is_old(draft):
                self._forget_path(path)
            elif draft.project_id == project.id:
                mine.append(draft)
        mine.sort(key=lambda draft: draft.created_at)
        for draft in mine[: max(0, len(mine) + 1 - MOST_KEPT)]:
            self.forget(draft)

        for path in self.folder.glob("*.upload"):  # left by a crash before it was described
            if not self._about(path.stem).exists() and path.stat().st_mtime < self._oldest():
                path.unlink(missing_ok=True)

    def _oldest(self) -> float:
        return (self.now() - KEPT_FOR).timestamp()

    def _forget_path(self, about: Path) -> None:
        for path in (about, about.with_suffix(".corrections"), about.with_suffix(".upload")):
            with suppress(FileNotFoundError):
                path.unlink()

    def _is_old(self, draft: Draft) -> bool:
        return datetime.fromisoformat(draft.created_at) + KEPT_FOR < self.now()

    def _read(self, token: str) -> Draft | None:
        try:
            raw: Mapping[str, object] = json.loads(self._about(token).read_text())
            return Draft(**raw)  # type: ignore[arg-type]
        except (OSError, ValueError, TypeError):
            return None

    def _write(self, draft: Draft) -> None:
        path = self._about(draft.token)
        with os.fdopen(
            os.open(path.with_suffix(".new"), os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600), "w"
        ) as f:
            json.dump(asdict(draft), f)
        os.replace(path.with_suffix(".new"), path)

    def _file(self, token: str) -> Path:
        return self.folder / f"{token}.upload"

    def _corrections(self, token: str) -> Path:
        return self.folder / f"{token}.corrections"

    def _about(self, token: str) -> Path:
        return self.folder / f"{token}.json"

"""Rows of what *is*: texts, items, systems, answers, strata, judge versions.

Their ids are hashes of what they say, so rows are made without asking the database and written with
``ON CONFLICT``: who comes second changes nothing. A `Catalog` gathers the rows of one submission.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import sha256

from sqlalchemy import Connection, select

from app.domain.ids import content_id
from app.domain.items import ItemConflict
from app.domain.judging import JudgeVersion
from app.storage import tables
from app.storage.database import Database
from app.storage.statements import Insert, Row, all_by_id, by_id
from app.storage.words import name_of


def _refuse_other_prompts(connection: Connection, rows: list[Row]) -> list[Row]:
    """Raise `ItemConflict` where a caller's item id comes with two prompts, here or in the database."""
    claimed: dict[int, Row] = {}
    for row in rows:
        if row[2] is not None and row[3] is not None:
            first = claimed.setdefault(row[0], row)
            if first[3] != row[3]:
                raise ItemConflict(str(row[2]))
    if claimed:
        for item, prompt in _known_prompts(connection, list(claimed)):
            if prompt != claimed[item][3]:
                raise ItemConflict(str(claimed[item][2]))
    return all_by_id(connection, rows)


def _known_prompts(connection: Connection, ids: list[int]) -> list[tuple[int, int]]:
    items = tables.items.c
    known = select(items.id, items.prompt_text_id).where(items.id.in_(ids), items.prompt_text_id.is_not(None))
    return [(row[0], row[1]) for row in connection.execute(known)]


async def items_with_other_prompts(
    db: Database, project_id: int, prompts: Mapping[str, str]
) -> frozenset[str]:
    """Those of the callers' item ids that are known with another prompt than the given one."""
    claimed = {item_id(project_id, name): name for name in prompts}
    known = await db.read(lambda connection: _known_prompts(connection, list(claimed)))
    return frozenset(
        claimed[item] for item, prompt in known if prompt != text_id(project_id, prompts[claimed[item]])
    )


def text_id(project_id: int, body: str) -> int:
    """The id of a text."""
    return content_id(project_id, "text", sha256(body.encode("utf-8", "surrogatepass")).hexdigest())


TEXTS = Insert(tables.texts, ("id", "project_id", "sha256", "body"), ignore=True, prepare=by_id)
ITEMS = Insert(
    tables.items,
    (
        "id",
        "project_id",
        "external_id",
        "prompt_text_id",
        "context_text_id",
        "reference_text_id",
        "created_at",
    ),
    fill=("prompt_text_id", "context_text_id", "reference_text_id"),
    prepare=_refuse_other_prompts,
)
SYSTEMS = Insert(
    tables.systems,
    ("id", "project_id", "name", "family", "model"),
    fill=("family", "model"),
    prepare=all_by_id,
)
ANSWERS = Insert(
    tables.answers,
    ("id", "project_id", "item_id", "system_id", "text_id", "len_words", "len_chars", "created_at"),
    fill=("len_words", "len_chars"),
    prepare=all_by_id,
)
STRATA = Insert(
    tables.strata, ("id", "project_id", "name", "value"), ignore=True, prepare=by_id, remember=True
)
ITEM_STRATA = Insert(
    tables.item_strata,
    ("item_id", "dimension_id", "project_id", "stratum_id"),
    ignore=True,
    prepare=all_by_id,
)
JUDGE_VERSIONS = Insert(
    tables.judge_versions,
    ("id", "project_id", "name", "family", "model", "params", "prompt_version", "simulated", "created_at"),
    ignore=True,
    prepare=by_id,
    remember=True,
)


@lru_cache(maxsize=4096)
def judge_version_id(project_id: int, judge: JudgeVersion) -> int:
    """The id of a judge version: of everything that changes what it would say."""
    return content_id(
        project_id, "judge", judge.name, judge.model, judge.params, judge.prompt_version, int(judge.simulated)
    )


@lru_cache(maxsize=16384)
def system_id(project_id: int, name: str) -> int:
    """The id of a system by its name."""
    return content_id(project_id, "system", name)


def item_id(project_id: int, external_id: str) -> int:
    """The id of an item by the caller's own id."""
    return content_id(project_id, "item", external_id)


@dataclass(frozen=True, slots=True)
class AnswerRef:
    """An answer as rows name it; ``system`` is kept for the canonical order of pairs."""

    id: int
    system_id: int
    system: str


@dataclass(slots=True)
class Catalog:
    """Rows gathered for one submission of one project; ``at`` is the time of recording.

    Names that cannot be stored are refused with `BadInput`.
    """

    project_id: int
    at: int
    rows: dict[Insert, list[Row]] = field(default_factory=dict)

    def put(self, insert: Insert, row: Row) -> None:
        """Add a row."""
        self.rows.setdefault(insert, []).append(row)

    def text(self, body: str) -> tuple[int, str]:
        """Store a text; returns its id and its SHA-256."""
        raw = body.encode("utf-8", "surrogatepass")
        digest = sha256(raw).hexdigest()
        key = content_id(self.project_id, "text", digest)
        self.put(TEXTS, (key, self.project_id, digest, raw))
        return key, digest

    def item(
        self,
        *,
        external_id: str | None,
        prompt: str | None,
        context: str | None = None,
        reference: str | None = None,
        strata: Mapping[str, str] | None = None,
    ) -> int:
        """Store an item under the caller's id or, without one, under the hash of its texts."""
        texts = [None if part is None else self.text(part) for part in (prompt, context, reference)]
        if external_id is not None:
            key = item_id(self.project_id, name_of(external_id, "item_id"))
        elif texts[0] is None:
            raise ValueError("an item needs an id or a prompt")
        else:
            key = content_id(self.project_id, "item of", *(part and part[1] for part in texts))
        ids = (part and part[0] for part in texts)
        self.put(ITEMS, (key, self.project_id, external_id, *ids, self.at))
        for name, value in (strata or {}).items():
            self._stratum(key, name_of(name, "stratum"), name_of(value, f"stratum.{name}"))
        return key

    def answer(
        self,
        item: int,
        *,
        system: str,
        text: str | None,
        family: str | None = None,
        model: str | None = None,
        len_words: int | None = None,
    ) -> AnswerRef:
        """Store a system's answer; without its text it stands for that system's answer to the item."""
        author = system_id(self.project_id, name_of(system, "system"))
        self.put(SYSTEMS, (author, self.project_id, system, family, model))
        body, digest, len_chars = None, None, None
        if text is not None:
            body, digest = self.text(text)
            len_words, len_chars = len(text.split()), len(text)
        key = content_id(self.project_id, "answer", item, system, digest)
        self.put(ANSWERS, (key, self.project_id, item, author, body, len_words, len_chars, self.at))
        return AnswerRef(key, author, system)

    def judge(self, judge: JudgeVersion) -> int:
        """Store a judge version."""
        key = judge_version_id(self.project_id, judge)
        row = (key, self.project_id, judge.name, judge.family, judge.model, judge.params)
        self.put(JUDGE_VERSIONS, (*row, judge.prompt_version, judge.simulated, self.at))
        return key

    def _stratum(self, item: int, name: str, value: str) -> None:
        key = content_id(self.project_id, "stratum", name, value)
        dimension = content_id(self.project_id, "stratum name", name)
        self.put(STRATA, (key, self.project_id, name, value))
        self.put(ITEM_STRATA, (item, dimension, self.project_id, key))


def in_canonical_order(first: AnswerRef, second: AnswerRef) -> bool:
    """Whether a pair already stands in canonical order: by system name, then answer id."""
    return (first.system, first.id) <= (second.system, second.id)

"""Overlap: which anchors has a model seen, word for word, nearly, or in other words?"""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256
from itertools import chain
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from app.auditing.asked import Asked, Likeness, Means, Outcome, Parameters, documents_of
from app.auditing.nearest import Document, Neighbours, Texts, find_neighbours
from app.domain.audits import AuditTable, AuditVerdict, Estimate, Findings, TextPair
from app.domain.problems import BadInput, Problem
from app.domain.rubrics import RubricKind
from app.judges.prompt import rubric_text
from app.stats.errors import InsufficientData
from app.stats.shares import share_of
from app.storage.anchor_texts import AnchorText, anchor_texts
from app.storage.rubrics import list_rubrics

Floats = NDArray[np.float64]

MOST_ANCHORS = 20_000
_PAIRS, _SHOWN_LETTERS = 500, 1_500
ALIKE_BY_WORDS, ALIKE_BY_MEANING = 0.5, 0.8


class OverlapParameters(Parameters):
    """``near``: share of the shorter text's three-word runs that both have. ``alike``: cosine from which a
    text says the same; None: 0.5 of weighted word stems, 0.8 of a model. ``model``: whether the embedding
    model of the settings compares texts: only the ``likest`` 20 by words, or ``every`` one. ``columns``: of
    the file, to read; None: every column of text. ``prompts``: also look through the judges' prompts.
    ``corpus``: what to call the file in the report. ``quarantine``: put aside what is found."""

    near: float = Field(0.6, ge=0.2, le=1)
    alike: float | None = Field(None, ge=0.3, le=1)
    model: Literal["no", "likest", "every"] = "no"
    columns: tuple[str, ...] | None = Field(None, max_length=50)
    prompts: bool = False
    corpus: str = Field("", max_length=200)
    quarantine: bool = True


async def audit_overlap(asked: Asked, means: Means) -> Outcome:
    """The set's texts against the file, the judges' prompts, or both."""
    want: OverlapParameters = asked.parameters
    if asked.file is None and not want.prompts:
        raise BadInput("An overlap audit needs a corpus: send a file, or set parameters.prompts.")
    likeness = None if want.model == "no" else means.likeness
    if want.model != "no" and likeness is None:
        problem = Problem("no model is set up (VENIRE_EMBEDDINGS)", path="parameters.model", value=want.model)
        raise BadInput("The texts cannot be compared by a model.", [problem])
    anchors = await anchor_texts(means.db, asked.project.id, str(asked.audit.anchor_set))
    if not anchors:
        raise InsufficientData("anchors whose texts are known", 0, 1)
    if len(anchors) > MOST_ANCHORS:
        raise BadInput(
            f"At most {MOST_ANCHORS:,} texts of anchors are compared; the set has {len(anchors):,}."
        )
    prompts = await _prompts(asked, means) if want.prompts else []
    digest = await asyncio.to_thread(_digest, asked, prompts)

    def scan() -> Neighbours:
        corpus: Iterator[Document] = iter(prompts)
        if asked.file is not None:
            corpus = chain(corpus, documents_of(means.documents(asked.file, want.columns)))
        texts = Texts([one.text for one in anchors])
        if likeness is None or want.model != "every":
            return find_neighbours(texts, corpus, near=want.near)
        return find_neighbours(
            texts, corpus, near=want.near, meaning=lambda some: asyncio.run(likeness.vectors(some))
        )

    found = await asyncio.to_thread(scan)
    if not found.read:
        raise InsufficientData("documents in the corpus", 0, 1)
    alike, by = found.alike, "word stems"
    if likeness is not None:
        by = likeness.name
        alike = alike if want.model == "every" else await _by_meaning(anchors, found, likeness)
    least = want.alike or (ALIKE_BY_WORDS if likeness is None else ALIKE_BY_MEANING)
    return _outcome(want, anchors, found, alike, by, least, digest)


async def _prompts(asked: Asked, means: Means) -> list[Document]:
    """What judges are shown besides the item, examples in the instructions included: rubrics and criteria."""
    documents = []
    for version in (await list_rubrics(means.db, asked.project.id, limit=200)).items:
        rubric = version.rubric
        answers = 1 if rubric.kind is RubricKind.POINTWISE else 2
        parts = {"instructions": rubric.instructions, "prompt": rubric_text(rubric, answers).system}
        parts |= {f"criterion {one.name}": one.description for one in rubric.criteria}
        documents += [Document(f"rubric {rubric.name}, {part}", text) for part, text in parts.items()]
    return documents


def _digest(asked: Asked, prompts: Sequence[Document]) -> str:
    digest = sha256()
    for one in prompts:
        digest.update(one.text.encode("utf-8", "replace"))
    if asked.file is not None:
        asked.file.seek(0)
        while part := asked.file.read(1 << 20):
            digest.update(part)
    return digest.hexdigest()


async def _by_meaning(anchors: Sequence[AnchorText], found: Neighbours, likeness: Likeness) -> Floats:
    """Cosines of the pairs by a model; each text is asked for once."""
    texts = [one.text for one in anchors] + [one.text for one in found.documents]
    wanted = np.unique(np.concatenate([found.text, len(anchors) + found.document]))
    if not wanted.size:
        return found.alike
    vectors = await likeness.vectors([texts[k] for k in wanted])
    first = vectors[np.searchsorted(wanted, found.text)]
    second = vectors[np.searchsorted(wanted, len(anchors) + found.document)]
    return np.where(found.exact, 1.0, np.einsum("ij,ij->i", first, second).astype(np.float64))


def _outcome(
    want: OverlapParameters,
    anchors: Sequence[AnchorText],
    found: Neighbours,
    alike: Floats,
    by: str,
    least: float,
    digest: str,
) -> Outcome:
    near, like = found.near >= want.near, alike >= least
    hits = np.flatnonzero(found.exact | near | like)
    rank = np.where(found.exact, 3.0, np.where(near, 1 + found.near, alike))
    hits = hits[np.argsort(-rank[hits], kind="stable")]
    pairs = [_pair(anchors, found, alike, want.near, k) for k in hits.tolist()]
    worst: dict[int, TextPair] = {}
    for k, pair in zip(hits, pairs, strict=True):
        worst.setdefault(anchors[found.text[k]].item_id, pair)
    items = {one.item_id: one.item for one in anchors}
    aside = {item: _reason(pair, want.corpus) for item, pair in worst.items()} if want.quarantine else {}
    of = want.corpus or ("the judges' prompts" if want.prompts else "the corpus")
    tail = "; what was found is put aside until a person decides." if aside else "."
    return Outcome(
        Findings(
            verdict=AuditVerdict.FAILED if worst else AuditVerdict.PASSED,
            summary=f"Of {len(items):,} anchors, {len(worst):,} were found in {of} ({found.read:,} texts) "
            f"word for word, nearly, or in other words{tail}",
            estimates=tuple(_shares(items, worst)),
            tables=(_nearest(anchors, found, alike),),
            pairs=tuple(pairs[:_PAIRS]),
            warnings=_warnings(want, by, anchors, len(pairs)),
        ),
        put_aside=aside,
        cause=digest,
    )


def _pair(
    anchors: Sequence[AnchorText],
    found: Neighbours,
    alike: Floats,
    near: float,
    k: int,
) -> TextPair:
    anchor, document = anchors[found.text[k]], found.documents[found.document[k]]
    measure = "exact" if found.exact[k] else "near" if found.near[k] >= near else "alike"
    value = {"exact": 1.0, "near": float(found.near[k]), "alike": float(alike[k])}[measure]
    return TextPair(
        anchor.item, anchor.field, document.name, measure, value,
        _cut(anchor.text), _cut(document.text),
    )  # fmt: skip


def _cut(text: str) -> str:
    return text if len(text) <= _SHOWN_LETTERS else text[:_SHOWN_LETTERS] + " …"


def _reason(pair: TextPair, corpus: str) -> str:
    how = {"exact": "stands word for word in", "near": "nearly stands in", "alike": "says what is said in"}
    where = f"{corpus}, {pair.document}" if corpus else pair.document
    return f"overlap: its {pair.field} {how[pair.measure]} {where} ({pair.similarity:.2f})"


def _shares(items: Mapping[int, str], worst: Mapping[int, TextPair]) -> Iterator[Estimate]:
    keys = np.array(list(items))
    for name, measures in (
        ("share_that_overlaps", ("exact", "near", "alike")),
        ("exact", ("exact",)),
        ("near", ("near",)),
        ("alike", ("alike",)),
    ):
        flags = [item in worst and worst[item].measure in measures for item in items]
        note = "Share of anchors" if len(measures) > 1 else "Share of anchors whose worst overlap is this"
        try:
            share = share_of(np.array(flags), keys)
        except InsufficientData as few:
            yield Estimate(name, float(np.mean(flags)), None, len(keys), "anchors", "share", str(few))
        else:
            yield Estimate(
                name, share.estimate, (share.low, share.high), len(keys), "anchors", "share",
                f"{note}; the interval is for anchors collected this way.",
            )  # fmt: skip


def _nearest(
    anchors: Sequence[AnchorText],
    found: Neighbours,
    alike: Floats,
) -> AuditTable:
    """The nearest text of every anchor, nearest first: what lies just below the threshold can be seen."""
    closeness = np.maximum(np.maximum(found.near, alike), found.exact)
    order = np.argsort(-closeness, kind="stable")
    rows, seen = [], set()
    for k in order:
        anchor = anchors[found.text[k]]
        if (anchor.item, anchor.field) in seen:
            continue
        seen.add((anchor.item, anchor.field))
        rows.append(
            (
                anchor.item, anchor.field, found.documents[found.document[k]].name,
                round(float(found.near[k]), 4), round(float(alike[k]), 4),
            )
        )  # fmt: skip
    columns = ("item", "text", "nearest", "near", "alike")
    return AuditTable("nearest", "The nearest text of each", columns, tuple(rows[:1_000]), len(rows))


def _warnings(want: OverlapParameters, by: str, anchors: Sequence[AnchorText], pairs: int) -> tuple[str, ...]:
    said = []
    if want.model == "no":
        said.append(
            "Other words were sought by weighted word stems, which find edits and miss most paraphrases; "
            "a model (VENIRE_EMBEDDINGS) finds more."
        )
    elif want.model == "likest":
        said.append(
            f"Likeness by {by}, of the 20 texts most alike by words for each text of an anchor: what shares "
            "no words with it was not compared."
        )
    else:
        said.append(f"Likeness by {by}, of every text.")
    if pairs > _PAIRS:
        said.append(f"The {_PAIRS} nearest of {pairs:,} pairs are shown.")
    known = {one.item for one in anchors if one.field == "prompt"}
    bare = {one.item for one in anchors} - known
    if bare:
        said.append(f"The prompts of {len(bare):,} items are not known here, only other texts.")
    return tuple(said)

"""What one audit found, in the words and tables of its page."""

from dataclasses import dataclass

from app.domain.audits import Audit, AuditKind, AuditStatus, AuditTable, AuditVerdict, Quarantined, TextPair
from app.domain.ids import show_id
from app.web.pages.addresses import url
from app.web.pages.words import NONE, Mark, count, interval, moment, number, percent, sentence

_ROWS, _PAIRS = 50, 25

_MARKS = {
    AuditVerdict.PASSED: Mark("passed", "good", "nothing speaks against it"),
    AuditVerdict.FAILED: Mark("failed", "bad", "it was found wanting"),
    AuditVerdict.OPEN: Mark("open", "unsure", "the interval holds both answers"),
}
_STATES = {
    AuditStatus.RUNNING: Mark("running", "", "is at work now; reload the page"),
    AuditStatus.REFUSED: Mark("refused", "unsure", "the data cannot answer"),
    AuditStatus.FAILED: Mark("broke", "bad", "it could not be done"),
}
QUESTIONS = {
    AuditKind.PROVENANCE: "Did a person, known and blind, give every grade?",
    AuditKind.OVERLAP: "Do anchors stand in training data or prompts?",
    AuditKind.DISAGREEMENT: "Would another person, cold, grade alike?",
    AuditKind.INVARIANCE: "Do judges say the same when only the form changes?",
}


@dataclass(frozen=True, slots=True)
class NumberLine:
    """One estimate."""

    name: str
    value: str
    interval: str
    n: str
    note: str


@dataclass(frozen=True, slots=True)
class TableShown:
    """Rows behind the numbers, as text; ``numeric`` are columns set flush right."""

    id: str
    title: str
    columns: tuple[tuple[str, bool], ...]
    rows: tuple[tuple[tuple[str, bool], ...], ...]
    more: str | None


@dataclass(frozen=True, slots=True)
class PairShown:
    """Two texts side by side."""

    heading: str
    measure: str
    anchor: str
    other: str


@dataclass(frozen=True, slots=True)
class AsideLine:
    """One anchor that was put aside; ``address`` takes the decision, None once there is one."""

    item: str
    anchor_set: str
    set_href: str
    reason: str
    state: str
    address: str | None


@dataclass(frozen=True, slots=True)
class AuditPage:
    """What one audit found; ``open`` while it is at work."""

    title: str
    question: str
    mark: Mark
    summary: str
    open: bool
    facts: tuple[tuple[str, str], ...]
    numbers: tuple[NumberLine, ...]
    tables: tuple[TableShown, ...]
    pairs: tuple[PairShown, ...]
    more_pairs: str | None
    warnings: tuple[str, ...]
    aside: tuple[AsideLine, ...]
    more_aside: str | None
    back: str
    json_href: str


def mark_of(audit: Audit) -> Mark:
    """What it found, or where it stands."""
    done = audit.status is AuditStatus.DONE and audit.findings is not None
    return _MARKS[audit.findings.verdict] if done and audit.findings else _STATES[audit.status]


def audit_page(audit: Audit, aside: tuple[AsideLine, ...], *, more: bool) -> AuditPage:
    """One audit, with the anchors that it put aside; ``more`` of them are not among these."""
    found = audit.findings
    name = show_id("au", audit.id)
    facts = [("Rubric", audit.rubric), ("Criterion", audit.criterion or "all")]
    if audit.anchor_set:
        facts.append(("Anchor set", f"{audit.anchor_set}, version {audit.version}"))
    facts += [("Asked for", moment(audit.created_at)), ("Ended", moment(audit.finished_at))]
    facts += [
        (key.replace("_", " ").capitalize(), _asked(value))
        for key, value in audit.parameters.items()
        if value not in (None, "")
    ]
    return AuditPage(
        title=f"{audit.kind.value.capitalize()} audit",
        question=QUESTIONS[audit.kind],
        mark=mark_of(audit),
        summary=(found.summary if found else audit.error) or "It is at work.",
        open=audit.status is AuditStatus.RUNNING,
        facts=tuple(facts),
        numbers=tuple(
            NumberLine(
                _name(one.name),
                _number(one.estimate, one.unit),
                _interval(one.interval, one.unit),
                f"{count(one.n)} {one.of}",
                one.note,
            )
            for one in (found.estimates if found else ())
        ),
        tables=tuple(map(_table, found.tables)) if found else (),
        pairs=tuple(map(_pair, found.pairs[:_PAIRS])) if found else (),
        more_pairs=f"The first {_PAIRS} of {count(len(found.pairs))} are shown; the JSON has them all."
        if found and len(found.pairs) > _PAIRS
        else None,
        warnings=tuple(map(sentence, found.warnings)) if found else (),
        aside=aside,
        more_aside=url("quarantine") if more else None,
        back=url("audits", name),
        json_href=f"/audits/{name}",
    )


def _name(name: str) -> str:
    """Of an estimate, as people say it."""
    words = name.replace("krippendorff_alpha", "Krippendorff's alpha").replace("_", " ")
    return words if ":" in words else _capital(words)  # what begins with a judge's name keeps it


def _capital(words: str) -> str:
    return words[:1].upper() + words[1:]


def _asked(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value)) or NONE
    return NONE if value in (None, "") else str(value)


def _number(value: float | None, unit: str) -> str:
    return percent(value, 1) if unit == "share" else number(value, 3)


def _interval(ends: tuple[float, float] | None, unit: str) -> str:
    if unit != "share" or ends is None:
        return interval(ends, 3)
    return f"{percent(ends[0], 1)} to {percent(ends[1], 1)}"


def _table(table: AuditTable) -> TableShown:
    rows = table.rows[:_ROWS]
    numeric = [not any(isinstance(row[k], str) for row in rows) for k in range(len(table.columns))]
    return TableShown(
        id=table.name,
        title=table.title,
        columns=tuple(zip(map(_capital, table.columns), numeric, strict=True)),
        rows=tuple(
            tuple((_cell(value), flush) for value, flush in zip(row, numeric, strict=True)) for row in rows
        ),
        more=f"{count(table.total - len(rows))} more; the JSON has up to 1,000 rows."
        if table.total > len(rows)
        else None,
    )


def _cell(value: str | float | int | None) -> str:
    if value is None:
        return NONE
    if isinstance(value, float):
        return number(value, 3)
    return count(value) if isinstance(value, int) else value


def _pair(pair: TextPair) -> PairShown:
    how = {"exact": "word for word", "near": "nearly the same", "alike": "says the same"}[pair.measure]
    return PairShown(
        heading=f"{pair.item}, {pair.field} · {pair.document}",
        measure=f"{how} ({pair.similarity:.2f})",
        anchor=pair.anchor_text,
        other=pair.other_text,
    )


def aside_line(entry: Quarantined, may_decide: bool) -> AsideLine:
    """An anchor that was put aside, with what may be done about it."""
    state = "waits" if entry.decision is None else {"keep": "kept", "retire": "retired"}[entry.decision]
    waits = entry.decision is None and may_decide
    return AsideLine(
        item=entry.item,
        anchor_set=entry.anchor_set,
        set_href=url("anchor-sets", entry.anchor_set),
        reason=entry.reason,
        state=state,
        address=url("quarantine", show_id("q", entry.id)) if waits else None,
    )

"""Inspect's eval logs as JSON: scores by people, beside those of scorers."""

from collections.abc import Iterator
from typing import Any

from app.anchoring.shapes.shape import Reading, Said, a_value, extras, listed, mapped, texts_of
from app.anchoring.table import Cell
from app.domain.problems import BadInput

_WORDS: dict[str, float] = {"C": 1, "I": 0, "P": 0.5, "N": 0}  # correct, incorrect, partial, no answer
_WHO = ("annotator", "author", "rater", "grader", "reviewer")


def is_inspect(document: Any) -> bool:
    """Whether a document is an eval log."""
    return isinstance(document, dict) and isinstance(document.get("eval"), dict) and "status" in document


def read_inspect(document: Any, reading: Reading) -> Iterator[Said]:
    """One grade per score that a person gave.

    That is a score whose last edit says its author, one with an annotator (or author, rater, grader,
    reviewer) in its metadata, or one of a scorer called human. The scorer's name, or the key of a value with
    several, is the question; correct, incorrect, partial and no answer are 1, 0, 0.5 and 0.

    Raises
    ------
    BadInput
        If the log holds no samples, or no scores by people.
    """
    samples = document.get("samples")
    if not isinstance(samples, list) or not samples:
        raise BadInput("The eval log holds no samples: write it whole, as JSON (inspect log dump FILE).")
    found, scorers = 0, set()
    for sample in map(mapped, samples):
        for scorer, score in ((name, mapped(one)) for name, one in mapped(sample.get("scores")).items()):
            who, when = _who(score)
            if who is None and "human" not in scorer.lower():
                reading.left_out[f"scores of {scorer!r}, which no person gave"] += 1
                scorers.add(scorer)
                continue
            found += 1
            row = {**_about(document["eval"], sample, reading), "annotator": who, "graded_at": when}
            row["annotator_type"] = "reviewer"
            value = score.get("value")
            for question, one in value.items() if isinstance(value, dict) else [(scorer, value)]:
                said = _WORDS.get(one, one) if isinstance(one, str) else one
                yield Said(str(question), {**row, reading.value: a_value(said)})
    if not found:
        named = f" ({', '.join(sorted(scorers))[:200]})" if scorers else ""
        raise BadInput(
            f"The eval log holds no scores by people, only those of scorers{named}: anchors are human grades."
        )


def _who(score: dict[str, Any]) -> tuple[str | None, str | None]:
    last = mapped(next(reversed(listed(score.get("history"))), None))
    provenance = mapped(last.get("provenance"))
    if provenance.get("author"):
        when = provenance.get("timestamp")
        return str(provenance["author"]), when if isinstance(when, str) else None
    metadata = mapped(score.get("metadata"))
    named = next((metadata[key] for key in _WHO if metadata.get(key)), None)
    return None if named is None else str(named), None


def _about(about_eval: dict[str, Any], sample: dict[str, Any], reading: Reading) -> dict[str, Cell]:
    asked = sample.get("input")
    if isinstance(asked, list):
        asked = [one for one in asked if isinstance(one, dict) and one.get("role") == "user"] or asked
    output = mapped(sample.get("output"))
    first = mapped(next(iter(listed(output.get("choices"))), None))
    target = sample.get("target")
    row: dict[str, Cell] = {
        "item_id": None if sample.get("id") is None else str(sample["id"]),
        "prompt": texts_of(asked),
        "reference": "\n".join(map(str, target)) if isinstance(target, list) else texts_of(target),
        "system": None if about_eval.get("model") is None else str(about_eval["model"]),
        "answer": texts_of(output.get("completion")) or texts_of(first.get("message")),
        "source": "Inspect score by a person",
    }
    taken = {**row, "criterion": None, "annotator": None, "annotator_type": None, reading.value: None}
    return row | extras(sample.get("metadata"), taken)

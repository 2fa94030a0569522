"""promptfoo's results: what people said of outputs, beside what assertions found."""

import json
from collections.abc import Iterator
from hashlib import sha256
from typing import Any

from app.anchoring.shapes.shape import Reading, Said, a_value, extras, listed, mapped, texts_of
from app.anchoring.table import Cell
from app.domain.problems import BadInput

_RATING = "rating"  # how a rating without a metric is called


def is_promptfoo(document: Any) -> bool:
    """Whether a document is an output file of promptfoo."""
    return isinstance(document, dict) and any(isinstance(r, dict) and "vars" in r for r in _results(document))


def read_promptfoo(document: Any, reading: Reading) -> Iterator[Said]:
    """One grade per human assertion (``type`` human) and per named score that people alone gave.

    The metric is the question. A named score counts as human if its name begins with human, which is taken
    off it, or if every assertion with that metric is one by people. A test is named by ``item_id`` or ``id``
    among its variables, or by a hash of them; a system by its provider, and by its prompt where several
    prompts were compared.

    Raises
    ------
    BadInput
        If people said nothing.
    """
    results = list(map(mapped, _results(document)))
    several = len({str(one.get("promptIdx")) for one in results}) > 1
    found = 0
    for result in results:
        grading = mapped(result.get("gradingResult"))
        about = _about(result, grading, several, reading)
        for question, value, comment in _by_people(grading, result, reading):
            found += 1
            row = {**about, reading.value: a_value(value)}
            yield Said(question, {**row, "comment": comment} if comment else row)
    if not found:
        raise BadInput(
            "The results hold no grades by people: no human assertion, and no named score whose name begins "
            "with human. What models and programs found is no anchor."
        )


def _results(document: Any) -> list[Any]:
    results = document.get("results")
    return listed(results["results"] if isinstance(results, dict) and "results" in results else results)


def _by_people(
    grading: dict[str, Any], result: dict[str, Any], reading: Reading
) -> Iterator[tuple[str, Any, Any]]:
    by_people: set[str] = set()
    by_others: set[str] = set()
    for part in map(mapped, listed(grading.get("componentResults"))):
        assertion = mapped(part.get("assertion"))
        metric = assertion.get("metric")
        if assertion.get("type") != "human":
            reading.left_out[f"findings of {assertion.get('type') or 'unnamed'} assertions"] += 1
            by_others.add(str(metric))
            continue
        by_people.add(str(metric))
        value = part.get("score", part.get("pass"))
        yield (
            str(metric or _RATING),
            value,
            part.get("comment") or grading.get("comment") or part.get("reason"),
        )
    scores = mapped(grading.get("namedScores") or result.get("namedScores"))
    for name, value in scores.items():
        if name in by_people and name not in by_others:
            continue  # it is the human assertion's own score, read already
        if name.lower().startswith("human"):
            yield name[5:].strip(" _-.:/") or name, value, grading.get("comment")
        else:
            reading.left_out[f"named scores {name!r}, which people did not give alone"] += 1


def _about(
    result: dict[str, Any], grading: dict[str, Any], several: bool, reading: Reading
) -> dict[str, Cell]:
    given = mapped(result.get("vars") or mapped(result.get("testCase")).get("vars"))
    prompt = mapped(result.get("prompt"))
    canonical = json.dumps(given, sort_keys=True, ensure_ascii=False)
    named = given.get("item_id") or given.get("id")
    provider = result.get("provider")
    if isinstance(provider, dict):
        provider = provider.get("label") or provider.get("id")
    system = None if provider is None else str(provider)
    if system and several:
        system = f"{system} / {prompt.get('label') or result.get('promptIdx')}"
    answer = result.get("response")
    about: dict[str, Cell] = {
        "item_id": str(named) if named else f"promptfoo-{sha256(canonical.encode()).hexdigest()[:12]}",
        "prompt": texts_of(prompt.get("raw")) if not several else _asked(given, canonical),
        "system": system,
        "answer": texts_of(answer.get("output") if isinstance(answer, dict) else answer),
        "source": "promptfoo human rating",
    }
    taken = {**about, "id": None, "criterion": None, reading.value: None, "comment": None}
    about |= extras(given, taken)
    about.setdefault("annotator_type", "user")
    return about


def _asked(given: dict[str, Any], canonical: str) -> str:
    """What all prompts of a test have in common: its variables."""
    texts = [value for value in given.values() if isinstance(value, str)]
    return texts[0] if len(texts) == len(given) == 1 else canonical

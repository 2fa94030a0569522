"""What a person at the desk is asked, as fields of a form, and what they said, back from it.

A field is called ``score:c:k``: criterion c of the k-th answer that is shown; for a pair k is 0.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from app.annotating.desk import BlindItem
from app.domain.annotation import Queue
from app.domain.problems import Problem
from app.domain.rubrics import Criterion, RubricKind
from app.web.pages.words import NONE, sentence

LETTERS = "ABCDEFGHIJ"
_MOST_BUTTONS = 11
_OF_A_PAIR = {1.0: "A is better", 0.0: "A tie", -1.0: "B is better"}


@dataclass(frozen=True, slots=True)
class Choice:
    """One value that can be chosen; ``key`` is the digit that picks it, empty if no digit does.

    ``shows_key`` where the label does not already say which.
    """

    value: str
    label: str
    key: str
    shows_key: bool
    checked: bool


@dataclass(frozen=True, slots=True)
class Judgement:
    """One criterion of one answer or pair: ``choices`` on a stepped scale, else a number from low to high.

    ``hint`` says what the criterion means, where it is asked about first.
    """

    name: str
    legend: str
    hint: str
    choices: tuple[Choice, ...]
    value: str
    low: str
    high: str


def judgements(found: BlindItem, form: Mapping[str, str]) -> tuple[Judgement, ...]:
    """Everything that is asked about an item, with what ``form`` or an earlier visit says of it."""
    pair, made = found.queue.kind is RubricKind.PAIRWISE, []
    for c, criterion in enumerate(found.queue.rubric.rubric.criteria):
        saved = found.scores.get(criterion.name, ())
        for k in range(_places(found)):
            field = f"score:{c}:{k}"
            value = form.get(field, _shown(saved[k] if k < len(saved) else None))
            made.append(
                Judgement(
                    name=field,
                    legend=_legend(found, criterion, k),
                    hint="" if k else criterion.description,
                    choices=tuple(_pair_choices(value) if pair else _choices(criterion, value)),
                    value=value,
                    low=plain(criterion.scale.low),
                    high=plain(criterion.scale.high),
                )
            )
    return tuple(made)


def read_scores(queue: Queue, form: Mapping[str, str], *, all: bool) -> dict[str, tuple[float | None, ...]]:
    """Values of the form by criterion, in the order shown; unless ``all``, only criteria with any value."""
    answers = int(form.get("answers", "1")) if form.get("answers", "1").isdigit() else 1
    places = 1 if queue.kind is RubricKind.PAIRWISE else min(answers, len(LETTERS))
    found: dict[str, tuple[float | None, ...]] = {}
    for c, criterion in enumerate(queue.rubric.rubric.criteria):
        values = tuple(_number(form.get(f"score:{c}:{k}", "")) for k in range(places))
        if all or any(value is not None for value in values):
            found[criterion.name] = values
    return found


def said_wrong(found: BlindItem, problems: Iterable[Problem]) -> tuple[str, ...]:
    """Why a grade was not taken, in the words that stand on the form."""
    fields = {"note": "the note"}
    for criterion in found.queue.rubric.rubric.criteria:
        path, places = f"scores.{criterion.name}", _places(found)
        fields |= {f"{path}[{k}]": _legend(found, criterion, k) for k in range(places)}
        fields[path] = _legend(found, criterion, 0) if places == 1 else criterion.name
    return tuple(
        "Choose why you leave it ungraded."
        if one.path == "skip_reason"
        else sentence(f"{fields.get(one.path or '', one.path)}: {one.problem}")
        for one in problems
    )


def in_words(queue: Queue, criterion: str, values: Iterable[float | None]) -> str:
    """What a person gave, in the order shown: ``4``, ``kind``, ``A is better``, ``3, 5, 1``."""
    scale = queue.rubric.rubric.criterion(criterion).scale
    words = dict(zip(scale.values(), scale.labels, strict=False))  # most scales have no labels
    if queue.kind is RubricKind.PAIRWISE:
        words = _OF_A_PAIR
    return ", ".join(NONE if one is None else words.get(one, plain(one)) for one in values)


def plain(value: float) -> str:
    """As short as it goes: ``4``, ``2.5``."""
    return f"{value:g}"


def _places(found: BlindItem) -> int:
    return 1 if found.queue.kind is RubricKind.PAIRWISE else len(found.answers)


def _legend(found: BlindItem, criterion: Criterion, k: int) -> str:
    if found.queue.kind is RubricKind.PAIRWISE:
        several = len(found.queue.rubric.rubric.criteria) > 1
        return f"Which is better on {criterion.name}?" if several else "Which is better?"
    return criterion.name + (f", answer {LETTERS[k]}" if len(found.answers) > 1 else "")


def _pair_choices(value: str) -> Iterable[Choice]:
    for k, (score, label) in enumerate(_OF_A_PAIR.items(), 1):
        yield Choice(plain(score), label, str(k), True, plain(score) == value)


def _choices(criterion: Criterion, value: str) -> Iterable[Choice]:
    """Buttons, unless there are too many or the scale has no steps: then a number is typed."""
    shown = [plain(one) for one in criterion.scale.values()]
    if len(shown) > _MOST_BUTTONS:
        return
    labels = criterion.scale.labels or tuple(shown)
    for one, label, key in zip(shown, labels, _keys(shown), strict=True):
        yield Choice(one, label, key, key not in ("", label), one == value)


def _keys(shown: list[str]) -> list[str]:
    """A digit picks the value that it says, 0 the 10; on other scales 1 is the first value, 2 the second."""
    if all(one.isdigit() and int(one) <= 10 for one in shown):
        return ["" if one == "10" and "0" in shown else one[-1] for one in shown]
    return [str(k) if k < 10 else "" for k in range(1, len(shown) + 1)]


def _shown(value: float | None) -> str:
    return "" if value is None else plain(value)


def _number(text: str) -> float | None:
    """What was typed; what is no number is off every scale."""
    if not text.strip():
        return None
    try:
        return float(text)
    except ValueError:
        return float("nan")

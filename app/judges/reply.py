"""What a judge wrote -> scores, or why there are none.

Strict: a value is taken only from the one JSON object of the reply, only if it is a value of the
criterion's scale, and only if that object does not stand in a text that the judge was shown. Tolerant:
the object may stand in prose or in a code fence, and may be repeated. Nothing is
rounded, guessed or filled in.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import isfinite

from app.domain.judging import Score, Unscored, UnscoredReason
from app.domain.rubrics import Criterion, RubricKind, Scale
from app.judges.expected import Token, TokenisedReply
from app.judges.found_json import FoundObject, Members, find_objects, member_spans
from app.judges.judge import Question
from app.judges.prompt import LABELS, RATIONALE, TIE, Prompt, show_number

LONGEST_REPLY = 200_000  # characters; a verdict takes a few hundred
LONGEST_RATIONALE = 4_000
MOST_VERDICTS = 20  # repeated or echoed; more are noise, and looking each up takes time
_NUMERAL = re.compile(r"-?[0-9]+(\.[0-9]+)?")
_THINKING = re.compile(r"\s*<think(?:ing)?>")
_THOUGHT = re.compile(r"</think(?:ing)?>")


@dataclass(frozen=True, slots=True)
class Reading:
    """What was read from a reply: scores of every criterion and answer, or why there are none; never both."""

    scores: tuple[Score, ...] = ()
    unscored: Unscored | None = None
    rationale: str | None = None


def read_reply(text: str, question: Question, prompt: Prompt, tokens: Sequence[Token] = ()) -> Reading:
    """Read the verdict on ``question`` from the reply to ``prompt``.

    ``tokens`` are the reply's tokens with their log-probabilities, where the provider gives them; each
    score then has its ``expected`` value if they tell it. Scores name answers in the caller's order.
    """
    try:
        return _read(text, question, prompt, tokens)
    except RecursionError:  # one bracket short of what the decoder itself gives up on
        return Reading(unscored=_unparsable("the verdict is nested too deeply"))


def _read(text: str, question: Question, prompt: Prompt, tokens: Sequence[Token]) -> Reading:
    verdict = _the_verdict(text, question, prompt)
    if isinstance(verdict, Unscored):
        return Reading(unscored=verdict)
    assert verdict.members is not None
    values = _values(verdict.members, question, prompt)
    if isinstance(values, Unscored):
        return Reading(unscored=values, rationale=_rationale(verdict.members))
    expected = _expected(text, verdict, question, prompt, tokens) if tokens else {}
    return Reading(
        scores=tuple(
            Score(criterion=name, answer=answer, value=value, expected=expected.get((name, answer)))
            for (name, answer), value in values.items()
        ),
        rationale=_rationale(verdict.members),
    )


def _unparsable(detail: str) -> Unscored:
    return Unscored(UnscoredReason.UNPARSABLE, detail)


def _the_verdict(text: str, question: Question, prompt: Prompt) -> FoundObject | Unscored:
    """The one object of the reply that holds a verdict."""
    if len(text) > LONGEST_REPLY:
        return _unparsable(f"the reply is {len(text)} characters long")
    start = 0
    if thinking := _THINKING.match(text):
        thought = _THOUGHT.search(text, thinking.end())
        if thought is None:
            return _unparsable("the reply breaks off before the judge ended its thoughts")
        start = thought.end()
    shown = _TextsShown(question)
    verdicts: list[FoundObject] = []
    echoes = 0
    for found in find_objects(text, start):
        if found.end is None:
            return _unparsable("the reply breaks off within a JSON object")
        if not _is_verdict(found, text, prompt):
            continue
        if len(verdicts) + echoes == MOST_VERDICTS:
            return _unparsable(f"the reply has more than {MOST_VERDICTS} verdicts")
        if shown.hold(found, text):
            echoes += 1
        elif found.members is None:
            return _unparsable("the verdict is not valid JSON")
        else:
            verdicts.append(found)
    if not verdicts:
        return _unparsable(
            "the only verdict in the reply stands word for word in the texts that were judged"
            if echoes
            else "the reply has no JSON object with a verdict"
        )
    first = _said(verdicts[0], prompt)
    if any(_said(other, prompt) != first for other in verdicts[1:]):
        return _unparsable(f"the reply has {len(verdicts)} verdicts that differ")
    if not any(_rationale(one.members) for one in verdicts if one.members) and shown.speak_of(prompt):
        # An answer could list every verdict but the best one, so that only the best could be read.
        return _unparsable("the verdict has no rationale, and the texts that were judged hold verdicts too")
    return verdicts[0]


def _is_verdict(found: FoundObject, text: str, prompt: Prompt) -> bool:
    """Whether an object speaks of a criterion; a broken one does if it names any."""
    if found.members is not None:
        return any(key in found.members for key in prompt.fixed.keys)
    return any(f'"{key}"' in text[found.start : found.end] for key in prompt.fixed.keys)


def _said(found: FoundObject, prompt: Prompt) -> list[object]:
    """What an object says of the criteria, comparable; its type tells True from 1."""
    members = found.members or Members()
    contradicted = sorted(members.contradicted)
    return [contradicted, *(repr(members.get(key)) for key in prompt.fixed.keys)]


class _TextsShown:
    """What the judge saw from outside, in which a verdict of its own does not stand."""

    def __init__(self, question: Question) -> None:
        texts = [question.prompt, question.context, question.reference]
        texts += [answer.text for answer in question.answers]
        self._texts = [text for text in texts if text and "{" in text]
        self._squeezed: list[str] | None = None
        self._objects: set[str] | None = None

    def hold(self, found: FoundObject, text: str) -> bool:
        """Whether the object stands in them, blanks apart or with its members in another order."""
        if not self._texts:
            return False
        if self._squeezed is None:
            self._squeezed = ["".join(shown.split()) for shown in self._texts]
        squeezed = "".join(text[found.start : found.end].split())
        if any(squeezed in shown for shown in self._squeezed):
            return True
        return found.members is not None and _in_any_order(found.members) in self._decoded()

    def speak_of(self, prompt: Prompt) -> bool:
        """Whether they hold anything that looks like a verdict."""
        keys = prompt.fixed.keys
        if any(f'"{key}"' in shown for shown in self._texts for key in keys):
            return True
        return bool(self._texts) and any(repr(key) in shown for shown in self._decoded() for key in keys)

    def _decoded(self) -> set[str]:
        if self._objects is None:
            found = [one.members for shown in self._texts for one in find_objects(shown)]
            self._objects = {_in_any_order(members) for members in found if members is not None}
        return self._objects


def _in_any_order(members: Members) -> str:
    return repr(sorted(members.items(), key=lambda member: member[0]))


def _values(members: Members, question: Question, prompt: Prompt) -> dict[tuple[str, int], float] | Unscored:
    """The value of each (criterion, answer), in the order of the rubric and then of the places shown."""
    values: dict[tuple[str, int], float] = {}
    for criterion, key in zip(question.rubric.criteria, prompt.fixed.keys, strict=True):
        if key not in members:
            return _unparsable(f"the verdict says nothing on {criterion.name!r}")
        if key in members.contradicted:
            return _unparsable(f"the verdict says two different things on {criterion.name!r}")
        said = members[key]
        if question.rubric.kind is not RubricKind.LISTWISE:
            value = _value(said, criterion, question)
            if isinstance(value, Unscored):
                return value
            values[criterion.name, 0] = value
            continue
        wrong = _wrong_labels(said, criterion, prompt.labels)
        if wrong is not None:
            return wrong
        assert isinstance(said, Members)
        for label, answer in zip(prompt.labels, question.order, strict=True):
            value = _value(said[label], criterion, question)
            if isinstance(value, Unscored):
                return value
            values[criterion.name, answer] = value
    return values


def _wrong_labels(said: object, criterion: Criterion, labels: tuple[str, ...]) -> Unscored | None:
    if not isinstance(said, Members):
        return _unparsable(f"the verdict on {criterion.name!r} has no score per answer")
    if said.contradicted:
        return _unparsable(
            f"the verdict on {criterion.name!r} scores {_and(sorted(said.contradicted))} twice, differently"
        )
    if missing := [label for label in labels if label not in said]:
        return _unparsable(f"the verdict on {criterion.name!r} has no score for {_and(missing)}")
    if extra := [label for label in said if label not in labels]:
        return _unparsable(f"the verdict on {criterion.name!r} scores {_and(extra)}, which was not shown")
    return None


def _and(names: Sequence[str]) -> str:
    return ", ".join(_short(name) for name in names)


def _value(said: object, criterion: Criterion, question: Question) -> float | Unscored:
    """One value as the number it stands for."""
    if question.rubric.kind is RubricKind.PAIRWISE:
        if isinstance(said, str):
            value = preference_choices(question.order, question.labels).get(_bare(said))
            if value is not None:
                return value
        a, b = question.labels[0], question.labels[1]
        return _unparsable(f'{_short(said)} on {criterion.name!r} is not "{a}", "{b}" or "{TIE}"')
    if criterion.scale.labels:
        return _labelled(said, criterion)
    number = _number(said)
    if number is None:
        return _unparsable(f"{_short(said)} on {criterion.name!r} is not a number")
    if not criterion.scale.on_step(number):
        return Unscored(
            UnscoredReason.OUT_OF_RANGE,
            f"{show_number(number)} is not on the scale of {criterion.name!r}, {_scale(criterion.scale)}",
        )
    return number


def _bare(said: str) -> str:
    """A choice without the word under which it was shown: ``Answer A`` is ``A``."""
    folded = said.strip().casefold()
    return folded.removeprefix("answer ")


def preference_choices(order: tuple[int, ...], labels: str = LABELS) -> dict[str, float]:
    """What each choice of a pairwise reply means: +1 if the caller's first answer wins, 0 tie, -1."""
    first_shown = 1.0 if order[0] == 0 else -1.0
    return {labels[0].lower(): first_shown, labels[1].lower(): -first_shown, TIE: 0.0}


def _number(said: object) -> float | None:
    """A finite number, or a string that is exactly one."""
    if isinstance(said, bool):
        return None
    if isinstance(said, str) and _NUMERAL.fullmatch(said):
        said = float(said)
    if not isinstance(said, int | float):
        return None
    try:
        number = float(said)
    except OverflowError:
        return None
    return number + 0.0 if isfinite(number) else None  # + 0.0 makes -0.0 a plain 0.0


def _labelled(said: object, criterion: Criterion) -> float | Unscored:
    """The place of a label on its scale; a number counts only where the labels are numbers themselves."""
    number = _number(said)
    written = said if isinstance(said, str) else show_number(number) if number is not None else None
    if written is None:
        return _unparsable(f"{_short(said)} on {criterion.name!r} is none of its labels")
    value = label_value(criterion.scale, written)
    if value is not None:
        return value
    return Unscored(
        UnscoredReason.OUT_OF_RANGE,
        f"{_short(said)} is not on the scale of {criterion.name!r}, {_scale(criterion.scale)}",
    )


def label_value(scale: Scale, written: str) -> float | None:
    """The value of a label, written exactly, or without regard to case where that leaves no doubt."""
    if written in scale.labels:
        return float(scale.labels.index(written) + 1)
    folded = [label.strip().casefold() for label in scale.labels]
    written = written.strip().casefold()
    return float(folded.index(written) + 1) if folded.count(written) == 1 else None


def _scale(scale: Scale) -> str:
    if scale.labels:
        return _and(scale.labels)
    steps = "" if scale.step is None else f" in steps of {show_number(scale.step)}"
    return f"{show_number(scale.low)} to {show_number(scale.high)}{steps}"


def _short(said: object) -> str:
    shown = repr(said)
    return shown if len(shown) <= 60 else shown[:59] + "…"


def _rationale(members: Members) -> str | None:
    said = members.get(RATIONALE)
    if not isinstance(said, str) or RATIONALE in members.contradicted:
        return None
    return said.strip()[:LONGEST_RATIONALE] or None


def _expected(
    text: str, verdict: FoundObject, question: Question, prompt: Prompt, tokens: Sequence[Token]
) -> dict[tuple[str, int], float | None]:
    """The mean of the judge's distribution for each (criterion, answer) for which the tokens tell it."""
    reply, spans = TokenisedReply(text, tokens), member_spans(text, verdict.start)
    expected: dict[tuple[str, int], float | None] = {}
    for criterion, key in zip(question.rubric.criteria, prompt.fixed.keys, strict=True):
        start = spans[key][0]
        if question.rubric.kind is RubricKind.PAIRWISE:
            expected[criterion.name, 0] = reply.expected(
                start, preference_choices(question.order, question.labels)
            )
            continue
        choices = _written_values(criterion.scale)
        if question.rubric.kind is RubricKind.POINTWISE:
            expected[criterion.name, 0] = reply.expected(start, choices)
            continue
        places = member_spans(text, start)
        for label, answer in zip(prompt.labels, question.order, strict=True):
            expected[criterion.name, answer] = reply.expected(places[label][0], choices)
    return expected


@lru_cache(maxsize=1024)
def _written_values(scale: Scale) -> Mapping[str, float]:
    """Every value of a scale as a judge would write it; none for a continuous one."""
    if scale.labels:
        return {label: float(number) for number, label in enumerate(scale.labels, start=1)}
    return {show_number(value): value for value in scale.values()}

"""Changes of a question that leave its meaning alone: by rule, versioned, none needs a model.

Each takes a question and gives it in another form, or None where it does not apply to this one (nothing to
reorder, no word with a synonym). Code, quoted text and numbers stay as they are.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from app.domain.rubrics import Rubric
from app.judges.judge import Question

Change = Callable[[Question], Question | None]


@dataclass(frozen=True, slots=True)
class Perturbation:
    """``version`` counts changes of its rule: results of two versions are not compared. ``what`` says it."""

    version: int
    what: str
    change: Change


_FENCE = re.compile(r"(```.*?```|`[^`\n]*`|\"[^\"\n]*\"|“[^”\n]*”)", re.S)
_PREAMBLE = "Good day. Thank you for taking the time. Here is what I would like to ask."
# Only words that are one part of speech with one meaning: "help" or "list" would change some sentences.
_SYNONYMS = {
    "big": "large", "begin": "start", "quick": "fast", "quickly": "rapidly", "often": "frequently",
    "maybe": "perhaps", "whole": "entire", "almost": "nearly", "buy": "purchase",
    "enough": "sufficient", "however": "nevertheless", "therefore": "hence", "choose": "select",
    "difficult": "hard", "important": "essential", "usually": "normally", "car": "automobile",
    "rich": "wealthy", "smart": "clever", "main": "principal", "different": "distinct",
    "happens": "occurs", "happen": "occur", "sometimes": "occasionally", "huge": "enormous",
    "entire": "whole", "rapidly": "quickly", "purchase": "buy", "perhaps": "maybe",
    "frequently": "often", "nearly": "almost", "kids": "children", "sufficient": "enough",
}  # fmt: skip
_WORDS = re.compile(rf"\b({'|'.join(_SYNONYMS)})\b", re.I)
_OTHER_LABELS = "XYZUVWKLMN"
_BULLETS = re.compile(r"^([ \t]*)[-*•]([ \t]+)", re.M)
_NUMBERS = re.compile(r"^([ \t]*\d+)[.]([ \t]+)", re.M)


def _outside_quotes(text: str, change: Callable[[str], str]) -> str:
    return "".join(part if k % 2 else change(part) for k, part in enumerate(_FENCE.split(text)))


def _texts(question: Question, change: Callable[[str], str]) -> Question | None:
    """Prompt and answers changed outside of quotes; None if nothing is."""
    prompt = _outside_quotes(question.prompt, change)
    answers = tuple(replace(one, text=_outside_quotes(one.text, change)) for one in question.answers)
    if prompt == question.prompt and answers == question.answers:
        return None
    return replace(question, prompt=prompt, answers=answers)


def order_of_parts(question: Question) -> Question | None:
    """The context before the question, or the question before what it is about."""
    if question.context:
        joined = f"{question.context}\n\n{question.prompt}"
        return replace(question, prompt=joined, context=None)
    parts = [part for part in re.split(r"\n{2,}", question.prompt.strip()) if part.strip()]
    if len(parts) >= 2 and parts[-1].rstrip().endswith("?") and "```" not in question.prompt:
        return replace(question, prompt="\n\n".join([parts[-1], *parts[:-1]]))
    return None


def neutral_preamble(question: Question) -> Question | None:
    """Polite words before the prompt."""
    return replace(question, prompt=f"{_PREAMBLE}\n\n{question.prompt}")


def synonyms(question: Question) -> Question | None:
    """Words for others of the same meaning (English)."""

    def swap(found: re.Match[str]) -> str:
        word = found.group(0)
        other = _SYNONYMS[word.lower()]
        return other.capitalize() if word[:1].isupper() else other

    return _texts(question, lambda text: _WORDS.sub(swap, text))


def whitespace(question: Question) -> Question | None:
    """Two blanks after a full stop, a blank line more between paragraphs, one at the end."""

    def loosen(text: str) -> str:
        return re.sub(r"\n\n", "\n\n\n", re.sub(r"([.!?]) (?=[A-Z])", r"\1  ", text))

    changed = _texts(question, loosen) or question
    answers = tuple(replace(one, text=one.text + "\n") for one in changed.answers)
    return replace(changed, prompt=changed.prompt + "\n", answers=answers)


def layout(question: Question) -> Question | None:
    """Other bullets and numbers of lists, paragraphs of one line broken after sentences."""

    def lay_out(text: str) -> str:
        other = _NUMBERS.sub(r"\1)\2", _BULLETS.sub(lambda m: f"{m[1]}–{m[2]}", text))
        if other != text or "\n" in text.strip():
            return other
        return re.sub(r"([.!?]) (?=[A-Z])", r"\1\n", text)

    return _texts(question, lay_out)


def label_names(question: Question) -> Question | None:
    """Answers called X and Y rather than A and B."""
    if len(question.answers) < 2:
        return None
    return replace(question, labels=_OTHER_LABELS)


def rubric_order(question: Question) -> Question | None:
    """The criteria in the other order."""
    rubric = question.rubric
    if len(rubric.criteria) < 2:
        return None
    turned = Rubric(rubric.name, rubric.kind, rubric.instructions, rubric.criteria[::-1])
    return replace(question, rubric=turned)


PERTURBATIONS: Mapping[str, Perturbation] = {
    "order_of_parts": Perturbation(1, "the prompt's parts in another order", order_of_parts),
    "neutral_preamble": Perturbation(1, "polite words before the prompt", neutral_preamble),
    "synonyms": Perturbation(1, "words for others of the same meaning", synonyms),
    "whitespace": Perturbation(1, "more blanks and blank lines", whitespace),
    "layout": Perturbation(1, "other bullets, numbers and line breaks", layout),
    "label_names": Perturbation(1, "answers called X and Y", label_names),
    "rubric_order": Perturbation(1, "the criteria in the other order", rubric_order),
}

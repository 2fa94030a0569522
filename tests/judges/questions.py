"""Rubrics and questions for the tests of judges."""

from hypothesis import strategies as st

from app.domain.items import Answer
from app.domain.rubrics import Criterion, Rubric, RubricKind, Scale
from app.judges.judge import Question

ONE_TO_FIVE = Scale(1, 5)
LABELLED = Scale.of_labels(("Poor", "Fair", "Very good"))
HELPFUL = Criterion("helpfulness", "Does it help?", ONE_TO_FIVE)
TONE = Criterion("tone", "Is it polite?", LABELLED)
HARM = Criterion("harm", "Does it do harm?", Scale(0, 1, 0.25), higher_is_better=False)


def rubric_of(kind: RubricKind = RubricKind.POINTWISE, *criteria: Criterion) -> Rubric:
    return Rubric("support", kind, "Judge as a customer would.", criteria or (HELPFUL,))


def question_of(rubric: Rubric, *texts: str, **changes) -> Question:
    answers = tuple(Answer(f"system-{index}", text) for index, text in enumerate(texts or ("Hello.",)))
    given = {"prompt": "Say hello.", "order": tuple(range(len(answers))), "seed": 7}
    return Question(rubric=rubric, answers=answers, **{**given, **changes})


ANY_TEXT = st.text(max_size=60)


@st.composite
def questions(draw, texts=ANY_TEXT) -> Question:
    """Any question: every kind of rubric, up to three criteria, any texts, any order."""
    kind = draw(st.sampled_from(RubricKind))
    least, most = {"pointwise": (1, 1), "pairwise": (2, 2), "listwise": (2, 10)}[kind]
    criteria = draw(st.lists(st.sampled_from([HELPFUL, TONE, HARM]), min_size=1, max_size=3, unique=True))
    shown = draw(st.lists(texts, min_size=least, max_size=most))
    return question_of(
        rubric_of(kind, *criteria),
        *shown,
        prompt=draw(texts),
        context=draw(st.none() | texts),
        reference=draw(st.none() | texts),
        order=tuple(draw(st.permutations(range(len(shown))))),
        seed=draw(st.integers(0, 2**63 - 1)),
    )

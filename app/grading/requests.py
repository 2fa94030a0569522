"""What a caller asks of a grade, and what about it cannot be."""

from collections.abc import Collection
from dataclasses import asdict, dataclass, field
from difflib import get_close_matches
from typing import Any

from app.domain.items import Item
from app.domain.judging import PanelRequest
from app.domain.problems import BadInput, Problem
from app.domain.projects import PanelPolicy
from app.domain.rubrics import Rubric, RubricKind
from app.grading.assignment import Exclusions

MOST_LISTED = 10
_ANSWERS = {RubricKind.POINTWISE: (1, 1), RubricKind.PAIRWISE: (2, 2), RubricKind.LISTWISE: (2, MOST_LISTED)}
_WORDS = {
    RubricKind.POINTWISE: "a pointwise rubric judges one answer",
    RubricKind.PAIRWISE: "a pairwise rubric compares two answers",
    RubricKind.LISTWISE: f"a listwise rubric judges two to {MOST_LISTED} answers together",
}


@dataclass(frozen=True, slots=True)
class GradeRequest:
    """One item to be graded. ``timeout_s`` counts from the request's arrival."""

    rubric: str
    item: Item
    panel: PanelRequest = field(default_factory=PanelRequest)
    max_cost_usd: float | None = None
    timeout_s: float = 60.0
    callback_url: str | None = None

    def kept(self) -> dict[str, Any]:
        """What of the request is stored with the grade, beside its texts and its assignment."""
        panel = self.panel
        return {
            "panel": {
                "families": panel.families,
                "judges_per_family": panel.judges_per_family,
                "exclude_families": sorted(panel.exclude_families),
                "exclude_own_family": panel.exclude_own_family,
                "both_orders": panel.both_orders,
                "stages": None if panel.stages is None else asdict(panel.stages),
            },
            "max_cost_usd": self.max_cost_usd,
            "timeout_s": self.timeout_s,
        }


def check(
    request: GradeRequest, rubric: Rubric, policy: PanelPolicy, families: Collection[str] | None = None
) -> None:
    """Raise BadInput with everything in the request that its rubric or its project does not allow.

    Of ``families``, if given, those must be that it names.
    """
    problems = [
        *_answer_problems(request, rubric),
        *_panel_problems(request, rubric, policy),
        *_family_problems(request, families),
    ]
    if problems:
        count = f"{len(problems)} problem{'' if len(problems) == 1 else 's'}"
        raise BadInput(f"{count} in the request", problems)


def exclusions(request: GradeRequest, policy: PanelPolicy) -> Exclusions:
    """Who may not sit on this panel."""
    families = set(request.panel.exclude_families)
    if request.panel.exclude_own_family or policy.exclude_own_family:
        families |= {answer.family for answer in request.item.answers if answer.family}
    models = {answer.model for answer in request.item.answers if answer.model}
    return Exclusions(frozenset(families), frozenset(models) if policy.forbid_own_model else frozenset())


def _answer_problems(request: GradeRequest, rubric: Rubric) -> list[Problem]:
    answers, (fewest, most) = request.item.answers, _ANSWERS[rubric.kind]
    problems = []
    if not fewest <= len(answers) <= most:
        wording = f"{_WORDS[rubric.kind]}, here are {len(answers)}"
        problems.append(Problem(wording, path="body.answers", value=len(answers)))
    first: dict[tuple[str, str], int] = {}
    for index, answer in enumerate(answers):
        same = first.setdefault((answer.system, answer.text), index)
        if same != index:
            wording = f"is the same answer of the same system as answers[{same}]"
            problems.append(Problem(wording, path=f"body.answers[{index}]", value=answer.system))
    return problems


def _panel_problems(request: GradeRequest, rubric: Rubric, policy: PanelPolicy) -> list[Problem]:
    panel, problems = request.panel, []
    if panel.families < policy.min_families:
        wording = f"this project draws panels from at least {policy.min_families} families"
        problems.append(Problem(wording, path="body.panel.families", value=panel.families))
    if panel.both_orders and rubric.kind is RubricKind.POINTWISE:
        wording = "a pointwise rubric shows one answer, which has no order"
        problems.append(Problem(wording, path="body.panel.both_orders", value=True))
    most = panel.families if panel.judges_per_family > 1 else panel.families - 1
    if panel.stages is not None and panel.stages.first > most:
        wording = (
            f"at most {most} of {panel.families} families can be asked first: one judge of each, "
            "and somebody has to be left for the second stage"
        )
        problems.append(Problem(wording, path="body.panel.stages.first", value=panel.stages.first))
    return problems


def _family_problems(request: GradeRequest, families: Collection[str] | None) -> list[Problem]:
    if families is None:
        return []
    problems = []
    for name in sorted(request.panel.exclude_families - set(families)):
        close = get_close_matches(name, families, 1)
        meant = f"did you mean {close[0]}?" if close else f"there are {', '.join(sorted(families))}"
        wording = f"the roster has no such family; {meant}"
        problems.append(Problem(wording, path="body.panel.exclude_families", value=name))
    return problems

"""What a batch will probably cost, before anything is paid.

Tokens follow from the length of the texts, prices from the roster, the length of replies from what judges
wrote lately. Over many items the draw of panels averages out, so that expectations add up; the range is
for what is not known beforehand: how the texts fall into tokens, how long replies get, how many calls are
retried.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from app.domain.batches import Estimate
from app.domain.items import Answer
from app.domain.judging import JudgeVersion
from app.domain.rubrics import RubricVersion
from app.grading.assignment import ByFamily
from app.grading.requests import GradeRequest
from app.judges.config import JudgeConfig
from app.judges.judge import Question
from app.judges.prompt import build_prompt

CHARS_PER_TOKEN = 4.0
TYPICAL_OUTPUT = 150.0  # tokens, of a judge that has not written yet
_LOW_INPUT, _HIGH_INPUT = 0.8, 1.35  # 5 and 3 characters a token
_LOW_OUTPUT, _HIGH_OUTPUT = 0.6, 1.8
_RETRIES = 1.1  # of the high end: one call in ten is made again
_MILLION = 1_000_000


@dataclass(slots=True)
class _Tokens:
    """Dollars of what is shown and of what is written."""

    input: float = 0.0
    output: float = 0.0


def _asked(request: GradeRequest) -> tuple[float, float]:
    """The least and the likely share of a panel's seats that are asked: of a second stage as many as its
    least chance says, and half-way from there to all."""
    panel, stages = request.panel, request.panel.stages
    if stages is None:
        return 1.0, 1.0
    first = stages.first / (panel.families * panel.judges_per_family)
    least = first + (1.0 - first) * stages.least_chance
    return least, (1.0 + least) / 2.0


class Estimator:
    """Adds up requests. ``written`` is how many tokens a judge's replies took lately, where that is known."""

    def __init__(
        self, configs: Mapping[JudgeVersion, JudgeConfig], written: Mapping[JudgeVersion, float]
    ) -> None:
        self._configs, self._written = configs, written
        self._panels: dict[tuple[int, int, int, bool], tuple[float, float, float]] = {}
        self._fixed: dict[tuple[int, int], int] = {}
        self._seats = 0.0
        self._low, self._expected, self._high = _Tokens(), _Tokens(), _Tokens()

    def add(self, request: GradeRequest, rubric: RubricVersion, eligible: ByFamily) -> None:
        """Add a request that is drawn from ``eligible``."""
        seats, per_char, per_reply = self._panel(request, eligible)
        item = request.item
        chars = self._overhead(rubric, len(item.answers)) + len(item.prompt)
        chars += len(item.context or "") + len(item.reference or "")
        chars += sum(len(answer.text) for answer in item.answers)
        least, likely = _asked(request)
        self._seats += likely * seats
        for tokens, share in ((self._low, least), (self._expected, likely), (self._high, 1.0)):
            tokens.input += share * per_char * chars
            tokens.output += share * per_reply

    def estimate(self) -> Estimate:
        """The sum of what was added."""
        return Estimate(
            seats=round(self._seats),
            expected_usd=self._expected.input + self._expected.output,
            low_usd=_LOW_INPUT * self._low.input + _LOW_OUTPUT * self._low.output,
            high_usd=_RETRIES * (_HIGH_INPUT * self._high.input + _HIGH_OUTPUT * self._high.output),
        )

    def _panel(self, request: GradeRequest, eligible: ByFamily) -> tuple[float, float, float]:
        """Seats of the panel, and its expected dollars per character shown and for its replies."""
        panel = request.panel
        key = (id(eligible), panel.families, panel.judges_per_family, panel.both_orders)
        known = self._panels.get(key)
        if known is None:
            seats = per_char = per_reply = 0.0
            for judges in eligible.values():
                sits = min(panel.judges_per_family, len(judges)) * (2 if panel.both_orders else 1)
                share = panel.families / len(eligible) * sits
                seats += share
                for judge in judges:
                    config = self._configs[judge]
                    token = config.price_input_per_mtok / _MILLION
                    per_char += share / len(judges) * token / CHARS_PER_TOKEN
                    written = self._written.get(judge, TYPICAL_OUTPUT)
                    per_reply += share / len(judges) * written * config.price_output_per_mtok / _MILLION
            known = self._panels[key] = (seats, per_char, per_reply)
        return known

    def _overhead(self, rubric: RubricVersion, answers: int) -> int:
        """Characters of a prompt without the texts of the item."""
        key = (rubric.id, answers)
        if key not in self._fixed:
            question = Question(
                rubric=rubric.rubric,
                prompt="",
                answers=tuple(Answer(str(place), "") for place in range(answers)),
                order=tuple(range(answers)),
                seed=0,
            )
            prompt = build_prompt(question)
            self._fixed[key] = len(prompt.system) + len(prompt.user)
        return self._fixed[key]

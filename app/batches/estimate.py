"""What a batch will probably cost, before anything is paid.

Tokens follow from the length of the texts, prices from the roster, the length of replies from what judges
wrote lately. Over many items the draw of panels averages out, so that expectations add up; the range is
for what is not known beforehand: how the texts fall into tokens, how long replies get, how many calls are
retried.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from app.domain.batches import Estimate, JudgeShare
from app.domain.items import Answer
from app.domain.judging import JudgeVersion
from app.domain.rubrics import RubricVersion
from app.grading.assignment import ByFamily
from app.grading.requests import GradeRequest
from app.judges.config import JudgeConfig
from app.judges.judge import Question
from app.judges.params import read_params
from app.judges.pricing import cost_usd
from app.judges.prompt import build_prompt

CHARS_PER_TOKEN = 4.0
TYPICAL_OUTPUT = 150.0  # tokens, of a judge that has not written yet
_LOW_INPUT, _HIGH_INPUT = 0.8, 1.35  # 5 and 3 characters a token
_LOW_OUTPUT, _HIGH_OUTPUT = 0.6, 1.8
_RETRIES = 0.1  # of the high end: one call in ten is made again
_BYTES = 4  # at most, of a character: a call is set aside at a token per byte
_MARGIN = 1.1  # for panels that are dearer than expected
_MILLION = 1_000_000


@dataclass(slots=True)
class _Sum:
    """Requests, and the characters shown by them; weighted by the share of a panel's seats that is asked."""

    requests: float = 0.0
    chars: float = 0.0


@dataclass(slots=True)
class _Panel:
    """Requests with the same panel: the sums of the least, the likely and the full share of its seats that
    are asked, and the characters of the longest. Per judge its expected seats."""

    seats: dict[JudgeVersion, float]
    asked: tuple[_Sum, _Sum, _Sum] = field(default_factory=lambda: (_Sum(), _Sum(), _Sum()))
    longest: int = 0


def _asked(request: GradeRequest) -> tuple[float, float, float]:
    """The least, the likely and the full share of a panel's seats that are asked: of a second stage as many
    as its least chance says, and half-way from there to all."""
    panel, stages = request.panel, request.panel.stages
    if stages is None:
        return 1.0, 1.0, 1.0
    first = stages.first / (panel.families * panel.judges_per_family)
    least = first + (1.0 - first) * stages.least_chance
    return least, (1.0 + least) / 2.0, 1.0


class Estimator:
    """Adds up requests. ``written`` is how many tokens a judge's replies took lately, where that is known.

    Judges ``by_batch`` go by their providers' batches, at the price of these.
    """

    def __init__(
        self,
        configs: Mapping[JudgeVersion, JudgeConfig],
        written: Mapping[JudgeVersion, float],
        by_batch: Collection[JudgeVersion] = (),
    ) -> None:
        self._configs, self._written, self._by_batch = configs, written, by_batch
        self._panels: dict[tuple[int, int, int, bool], _Panel] = {}
        self._fixed: dict[tuple[int, int], int] = {}

    def add(self, request: GradeRequest, rubric: RubricVersion, eligible: ByFamily) -> None:
        """Add a request that is drawn from ``eligible``."""
        panel = self._panel(request, eligible)
        item = request.item
        chars = self._overhead(rubric, len(item.answers)) + len(item.prompt)
        chars += len(item.context or "") + len(item.reference or "")
        chars += sum(len(answer.text) for answer in item.answers)
        panel.longest = max(panel.longest, chars)
        for asked, share in zip(panel.asked, _asked(request), strict=True):
            asked.requests += share
            asked.chars += share * chars

    def estimate(self) -> Estimate:
        """The sum of what was added, and each judge's part of it."""
        sums: dict[JudgeVersion, tuple[_Sum, _Sum, _Sum]] = {}
        for panel in self._panels.values():
            for judge, seats in panel.seats.items():
                mine = sums.setdefault(judge, (_Sum(), _Sum(), _Sum()))
                for own, asked in zip(mine, panel.asked, strict=True):
                    own.requests += seats * asked.requests
                    own.chars += seats * asked.chars
        judges = tuple(self._share(judge, *sums[judge]) for judge in sorted(sums))
        return Estimate(
            seats=round(sum(one.seats for one in judges)),
            expected_usd=sum(one.expected_usd for one in judges),
            low_usd=sum(one.low_usd for one in judges),
            high_usd=sum(one.high_usd for one in judges),
            judges=judges,
        )

    def budget(self) -> float:
        """What it may cost if nobody says: the high end of the estimate or, where judges go by batches, what
        has to be set aside to send all requests at once, if that is more; and one panel of the dearest judges
        at its worst, since no call is made for which that is not left."""
        found, dearest = self.estimate(), 0.0
        for panel in self._panels.values():
            seats = sum(panel.seats.values())
            for judge in panel.seats:
                dearest = max(dearest, seats * self._worst(judge, _BYTES * panel.longest, 1.0))
        at_once = sum(one.at_worst_usd for one in found.judges)
        return max(found.high_usd, _MARGIN * at_once) + dearest

    def _worst(self, judge: JudgeVersion, chars: float, seats: float) -> float:
        """What these seats may cost: a token per character, and everything written that may be."""
        config = self._configs[judge]
        factor = config.batch_factor if judge in self._by_batch else 1.0
        written = seats * read_params(config)[0].max_output_tokens
        return factor * cost_usd(config, input_tokens=round(chars), output_tokens=round(written))

    def _share(self, judge: JudgeVersion, least: _Sum, likely: _Sum, most: _Sum) -> JudgeShare:
        config = self._configs[judge]
        by_batch = judge in self._by_batch
        factor = config.batch_factor if by_batch else 1.0
        per_char = config.price_input_per_mtok / _MILLION / CHARS_PER_TOKEN
        per_reply = self._written.get(judge, TYPICAL_OUTPUT) * config.price_output_per_mtok / _MILLION

        def dollars(asked: _Sum, input_: float, output: float) -> float:
            return input_ * per_char * asked.chars + output * per_reply * asked.requests

        return JudgeShare(
            judge=judge.name,
            by_batch=by_batch,
            price_factor=factor,
            seats=round(likely.requests, 3),
            expected_usd=factor * dollars(likely, 1.0, 1.0),
            low_usd=factor * dollars(least, _LOW_INPUT, _LOW_OUTPUT),
            # What is made again is an ordinary call.
            high_usd=(factor + _RETRIES) * dollars(most, _HIGH_INPUT, _HIGH_OUTPUT),
            at_worst_usd=self._worst(judge, most.chars, most.requests) if by_batch else 0.0,
        )

    def _panel(self, request: GradeRequest, eligible: ByFamily) -> _Panel:
        panel = request.panel
        key = (id(eligible), panel.families, panel.judges_per_family, panel.both_orders)
        known = self._panels.get(key)
        if known is None:
            known = self._panels[key] = _Panel({})
            for judges in eligible.values():
                sits = min(panel.judges_per_family, len(judges)) * (2 if panel.both_orders else 1)
                share = panel.families / len(eligible) * sits
                known.seats |= dict.fromkeys(judges, share / len(judges))
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

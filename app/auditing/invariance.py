"""Invariance: does a judge say the same when nothing but the form of the question changes?

Live: anchors are shown to the roster's judges as they are, again, and in other forms (`perturbations`); the
replies are measured and kept nowhere else. Recorded: verdicts of one judge on the same question under
several parameters (prompt variants) that are in the ledger already.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from app.auditing.asked import Asked, Means, Outcome, Parameters
from app.auditing.asking import Asks, Heard, ask_judges
from app.auditing.perturbations import PERTURBATIONS
from app.domain.audits import AuditTable, AuditVerdict, Estimate, Findings
from app.domain.problems import BadInput
from app.domain.rubrics import RubricKind
from app.stats.errors import InsufficientData, NotIdentified
from app.stats.jackknife import Effect
from app.stats.shares import share_of
from app.stats.swings import form_variance_of, mean_over_pairs, pairs_of_forms, shift_of, swing_of
from app.storage.evidence import Evidence, load_evidence

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

LARGEST_SWING = 0.05
"""Of the width of the scale (for pairs: verdicts turned round): more is brittleness."""


class InvarianceParameters(Parameters):
    """``recorded``: measure what the ledger has instead of asking. ``items``: how many anchors to ask
    about; ``perturbations``, ``judges``: only these. ``max_cost_usd`` ends the asking, ``seed`` draws."""

    recorded: bool = False
    items: int = Field(30, ge=10, le=1_000)
    perturbations: tuple[str, ...] = Field(tuple(PERTURBATIONS), min_length=1, max_length=20)
    judges: tuple[str, ...] | None = Field(None, min_length=1, max_length=50)
    max_cost_usd: float = Field(1.0, gt=0, le=10_000)
    seed: int = Field(0, ge=0, lt=2**53)


@dataclass(frozen=True, slots=True)
class Swing:
    """One judge under one change (None: all of them), in points of the scale.

    ``swing``, ``variance``, ``shift`` may be a reason (text) where they cannot be told. ``changed`` and
    ``repeated``: share of questions whose verdict is another one after the change, and after none.
    """

    judge: str
    change: str | None
    n: int
    swing: Effect | str
    variance: Effect | str
    shift: Effect | str
    changed: float
    repeated: float | None


async def audit_invariance(asked: Asked, means: Means) -> Outcome:
    """Every criterion asked for, every judge."""
    want: InvarianceParameters = asked.parameters
    if unknown := [name for name in want.perturbations if name not in PERTURBATIONS]:
        raise BadInput(f"parameters.perturbations knows {', '.join(PERTURBATIONS)}, not {', '.join(unknown)}")
    rubric = asked.rubric.rubric
    criterion = asked.audit.criterion or rubric.criteria[0].name
    scale = rubric.criterion(criterion).scale
    width = 2.0 if rubric.kind is RubricKind.PAIRWISE else scale.high - scale.low
    if want.recorded:
        evidence = await load_evidence(means.db, asked.project.id, rubric.name, criterion)
        swings = recorded_swings(evidence)
        warnings = ["The noise of a repeat is inside: no question was asked twice in the same form."]
        if evidence.simulated:
            warnings.append("The judges are simulated: this measures no model.")
    else:
        heard = await ask_judges(
            asked, means, Asks(want.items, want.perturbations, want.judges, want.max_cost_usd, want.seed)
        )
        swings, warnings = live_swings(heard, criterion, width), [*heard.warnings, *heard.skipped]
    if not swings:
        raise InsufficientData("judges with verdicts on the same question in two forms", 0, 1)
    return Outcome(_findings(criterion, swings, width, tuple(warnings)))


def live_swings(heard: Heard, criterion: str, width: float) -> list[Swing]:
    """Per judge all changes together and each by itself."""
    swings = []
    for judge in heard.judges:
        first = heard.values(judge, None, criterion)
        again = heard.values(judge, "again", criterion) - first
        together = []
        for change in heard.changes:
            moved = heard.values(judge, change, criterion) - first
            some = np.isfinite(moved)
            if some.any():
                together.append((moved[some], again[some], heard.prompt[some]))
                swings.append(_live(judge, change, width, *together[-1]))
        if together:
            stacked = [np.concatenate(column) for column in zip(*together, strict=True)]
            swings.append(_live(judge, None, width, *stacked))
    return swings


def _live(judge: str, change: str | None, width: float, moved: Floats, again: Floats, prompt: Ints) -> Swing:
    known = np.isfinite(again)
    swing = _or_why(swing_of, moved, again, prompt)
    if isinstance(swing, Effect) and swing.std_error == 0:
        # Nothing moved. That bounds how often verdicts move; each might move by the whole scale.
        rarely = share_of(moved != 0, prompt)
        swing = replace(swing, high=max(swing.high, rarely.high * width))
    return Swing(
        judge=judge,
        change=change,
        n=len(moved),
        swing=swing,
        variance=_or_why(form_variance_of, moved, again, prompt),
        shift=_or_why(shift_of, moved, prompt),
        changed=float(np.mean(moved != 0)),
        repeated=float(np.mean(again[known] != 0)) if known.any() else None,
    )


def recorded_swings(evidence: Evidence) -> list[Swing]:
    """Per judge on record under two or more parameters: all pairs of them, and each against their mean.

    A question is a unit in one order; of several draws the first counts.
    """
    names: dict[tuple[str, str], list[int]] = {}
    for code, version in enumerate(evidence.judges):
        names.setdefault((version.name, version.model), []).append(code)
    question = evidence.v_unit.astype(np.int64) * 4 + evidence.v_place + 1
    swings: list[Swing] = []
    for (name, _), versions in sorted(names.items()):
        mine = np.isin(evidence.v_judge, versions) & np.isfinite(evidence.v_value)
        if len(versions) < 2 or not mine.any():
            continue
        questions, row = np.unique(question[mine], return_inverse=True)
        table = np.full((len(questions), len(versions)), np.nan)
        column = np.searchsorted(versions, evidence.v_judge[mine])
        table[row[::-1], column[::-1]] = evidence.v_value[mine][::-1]
        prompt = evidence.prompt[(questions // 4)].astype(np.int64)
        forms = [evidence.judges[code].params for code in versions]
        swings += _recorded(name, forms, table, prompt)
    return swings


def _recorded(judge: str, forms: Sequence[str], table: Floats, prompt: Ints) -> list[Swing]:
    """``table`` (questions, forms), NaN without a verdict."""
    pairs, apart, square = pairs_of_forms(table)
    if not (pairs > 0).any():
        return []
    differ, both = _differing(table)
    several = np.isfinite(table).sum(axis=1) >= 2
    centred = np.full(table.shape, np.nan)
    centred[several] = table[several] - np.nanmean(table[several], axis=1, keepdims=True)
    unknown = "a form by itself has none"
    swings = []
    for place, form in enumerate(forms):
        some = np.isfinite(centred[:, place])
        if both[place].sum():
            shift = _or_why(shift_of, centred[some, place], prompt[some])
            changed = float(differ[place].sum() / both[place].sum())
            swings.append(Swing(judge, form, int(some.sum()), unknown, unknown, shift, changed, None))
    swing = _or_why(mean_over_pairs, pairs, apart, prompt)
    variance = _or_why(mean_over_pairs, pairs, square / 2, prompt)
    changed = float(differ.sum() / both.sum())
    n = int((pairs > 0).sum())
    return [*swings, Swing(judge, None, n, swing, variance, "all forms together have none", changed, None)]


def _differing(table: Floats) -> tuple[Ints, Ints]:
    """(forms, forms): questions on which two forms differ, and where both have a verdict; diagonal 0."""
    known = np.isfinite(table)
    forms = table.shape[1]
    differ, both = np.zeros((forms, forms), np.int64), np.zeros((forms, forms), np.int64)
    for one in range(forms):
        together = known & known[:, [one]]
        together[:, one] = False
        both[one] = together.sum(axis=0)
        differ[one] = (together & (table != table[:, [one]])).sum(axis=0)
    return differ, both


def _or_why(estimate: Callable[..., Effect], *arguments: object) -> Effect | str:
    try:
        return estimate(*arguments)
    except (InsufficientData, NotIdentified) as error:
        return str(error)


def _findings(criterion: str, swings: Sequence[Swing], width: float, warnings: tuple[str, ...]) -> Findings:
    overall = [one for one in swings if one.change is None]
    told = [(one.judge, one.swing) for one in overall if isinstance(one.swing, Effect)]
    most = LARGEST_SWING * width
    brittle = [judge for judge, swing in told if swing.low > most]
    steady = [judge for judge, swing in told if swing.high <= most]
    verdict = (
        AuditVerdict.FAILED if brittle
        else AuditVerdict.PASSED if told and len(steady) == len(overall)
        else AuditVerdict.OPEN
    )  # fmt: skip
    said = (
        f"{', '.join(brittle)} swing by more than {LARGEST_SWING:.0%} of the scale" if brittle
        else f"no judge swings by more than {LARGEST_SWING:.0%} of it" if verdict is AuditVerdict.PASSED
        else f"the data do not tell whether every judge stays within {LARGEST_SWING:.0%} of the scale"
    )  # fmt: skip
    return Findings(
        verdict=verdict,
        summary=f"On {criterion}, when only the form of a question changes, {said}.",
        estimates=tuple(line for one in overall for line in _estimates(one, width)) + _panel(overall),
        tables=(_changes(swings), _forms(swings)),
        warnings=warnings,
    )


def _estimates(swing: Swing, width: float) -> tuple[Estimate, ...]:
    beyond = " beyond what a repeat moves" if swing.repeated is not None else ""
    lines = [
        _line(f"{swing.judge}: swing", swing.swing, swing.n, "points",
              f"Mean absolute change{beyond}; the scale is {width:g} wide."),
        _line(f"{swing.judge}: form variance", swing.variance, swing.n, "points squared",
              "What the form of a question adds to the variance of one verdict."),
        Estimate(f"{swing.judge}: verdicts that change", swing.changed, None, swing.n, "questions", "share",
                 "Between two forms of one question, any change at all."),
    ]  # fmt: skip
    if swing.repeated is not None:
        lines.append(
            Estimate(f"{swing.judge}: verdicts that change when merely asked again", swing.repeated, None,
                     swing.n, "questions", "share", "Of the same questions in the same form.")
        )  # fmt: skip
    return tuple(lines)


def _line(name: str, effect: Effect | str, n: int, unit: str, note: str) -> Estimate:
    if isinstance(effect, str):
        return Estimate(name, None, None, n, "questions", unit, effect)
    return Estimate(name, effect.estimate, (effect.low, effect.high), effect.n, "questions", unit, note)


def _panel(overall: Sequence[Swing]) -> tuple[Estimate, ...]:
    """What forms add to the mean of three judges, if each were asked in a form of its own."""
    known = [one.variance for one in overall if isinstance(one.variance, Effect)]
    if not known or len(known) < len(overall):
        return ()
    mean = float(np.mean([one.estimate for one in known])) / 3
    error = float(np.sqrt(sum(one.std_error**2 for one in known))) / len(known) / 3
    ends = tuple(float(np.sqrt(max(0.0, mean + sign * 1.96 * error))) for sign in (-1, 1))
    return (
        Estimate(
            "a panel of three: noise from the form", float(np.sqrt(max(0.0, mean))), (ends[0], ends[1]),
            sum(one.n for one in known), "questions", "points",
            "Standard deviation that forms add to the mean of three judges, each asked in its own.",
        ),
    )  # fmt: skip


def _changes(swings: Sequence[Swing]) -> AuditTable:
    rows = []
    for one in swings:
        if one.change is not None:
            shift = one.shift if isinstance(one.shift, Effect) else None
            swing = one.swing if isinstance(one.swing, Effect) else None
            ends = (shift.low, shift.high) if shift else (None, None)
            moved = swing.estimate if swing else None
            rows.append(
                (
                    one.judge,
                    one.change,
                    one.n,
                    shift.estimate if shift else None,
                    *ends,
                    moved,
                    one.changed,
                    one.repeated,
                )
            )
    columns = (
        "judge",
        "form",
        "questions",
        "shift",
        "from",
        "to",
        "swing",
        "verdicts changed",
        "by a repeat",
    )
    return AuditTable("by_form", "Every judge under every form", columns, tuple(rows), len(rows))


def _forms(swings: Sequence[Swing]) -> AuditTable:
    used = {one.change for one in swings}
    rows = tuple((name, one.version, one.what) for name, one in PERTURBATIONS.items() if name in used)
    return AuditTable(
        "forms", "What was changed", ("form", "version of its rule", "what it does"), rows, len(rows)
    )

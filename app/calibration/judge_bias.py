"""What is systematic in each judge, relative to people: every effect with an interval, or why there is none.

Computed with a calibration, from the same evidence, and stored with it as JSON-ready values, so that a
bias report is a look-up however many verdicts there are.

Units. Effects on scores are in points of the criterion's own scale (a range of 1 to 5 has 4 points), for
pairs in preference points (1 is from a tie to a sure win); positions of pairs are in probability.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.calibration.design import Design, to_inner
from app.domain.calibration import EffectStatus
from app.domain.judging import UnscoredReason
from app.stats.agreement import agreement_among_people, agreement_with_people
from app.stats.errors import InsufficientData, NotIdentified
from app.stats.family_bias import own_family_effect
from app.stats.human_noise import GradedUnits, graded_units
from app.stats.jackknife import Effect, cluster_jackknife, sums_by_prompt
from app.stats.judge_effects import (
    JudgedAnchors,
    SystemEffects,
    discrimination,
    length_effect,
    severity,
    system_effects,
)
from app.stats.order_effects import order_flips, position_effect_lists, position_effect_pairs
from app.stats.panel_dependence import effective_judges
from app.stats.repeats import retest_reliability

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Report = dict[str, Any]

PANEL = 3  # the panel whose effective size is told: one judge from each of three families
MIN_GROUP = 10  # anchors that a judge needs in a system or stratum before its effect there is told
_POINTS, _SHARE = "points", "probability"


@dataclass(frozen=True, slots=True)
class _Judge:
    """One judge's verdicts: rows of the evidence, and one value per unit with position removed."""

    code: int
    rows: NDArray[np.int64]
    unit: NDArray[np.int64]
    value: Floats


def judge_bias(design: Design, *, level: float = 0.95) -> Report:
    """Every judge's effects, and what they share.

    Returns
    -------
    dict
        ``judges``: per judge version its identity, ``effects`` by name, ``systems`` and ``strata`` tables,
        ``unscored`` counts by reason; ``panel``: n_eff; ``people``: agreement among them. Each
        effect is ``{status, estimate, interval, std_error, n, prompts, unit, why}``; without an estimate
        the numbers are None and ``why`` says what is missing.
    """
    evidence = design.evidence
    people = graded_units(
        grade=to_inner(evidence.criterion, evidence.h_value, design.signed), graded_unit=evidence.h_unit
    )
    judges = [_judge(design, code) for code in range(len(evidence.judges))]
    return {
        "level": level,
        "judges": [_effects_of(design, judge, people, level) for judge in judges],
        "panel": {"judges": PANEL, "effective": _n_eff(design, people, level)},
        "people": {
            "double_graded": people.double_graded,
            "agreement": _tell(
                lambda: agreement_among_people(
                    grade=evidence.h_value,
                    graded_unit=evidence.h_unit,
                    prompt=evidence.prompt[evidence.h_unit],
                    nominal=design.signed,
                    level=level,
                ),
                "alpha",
            ),
        },
    }


def _judge(design: Design, code: int) -> _Judge:
    cells = design.judge == code
    return _Judge(
        code, np.flatnonzero(design.evidence.v_judge == code), design.unit[cells], design.value[cells]
    )


def _effects_of(design: Design, judge: _Judge, people: GradedUnits, level: float) -> Report:
    evidence, scale = design.evidence, _points(design)
    anchors, graded = _anchors(design, judge, people)
    systems = _try(lambda: system_effects(anchors))
    effects = {
        "severity": _tell(lambda: severity(anchors, level=level), _POINTS, scale),
        "discrimination": _tell(lambda: discrimination(anchors, level=level), "slope"),
        **_order(design, judge, level),
        "length": _tell(lambda: length_effect(anchors, level=level), "points per doubling of length", scale),
        "own_family": _tell(
            lambda: _own_family(design, judge, systems, len(np.unique(anchors.prompt)), level), _POINTS, scale
        ),
        "agreement": _tell(lambda: _agreement(design, judge, level), "alpha"),
        "test_retest": _tell(lambda: _retest(design, judge, level), "reliability"),
        "unscored_rate": _tell(lambda: _unscored_rate(design, judge, level), _SHARE),
    }
    reasons = evidence.v_unscored[judge.rows]
    version = evidence.judges[judge.code]
    return {
        "name": version.name,
        "family": version.family,
        "model": version.model,
        "params": version.params,
        "prompt_version": version.prompt_version,
        "judge_version": version.digest(),
        "simulated": version.simulated,
        "effects": effects,
        "systems": _by_group(design, anchors, anchors.system, evidence.systems, level),
        "strata": {
            name: _by_group(design, anchors, codes[judge.unit[graded]], evidence.stratum_values[name], level)
            for name, codes in evidence.strata.items()
        },
        "verdicts": len(judge.rows),
        "unscored": {
            reason.value: int((reasons == k).sum())
            for k, reason in enumerate(UnscoredReason)
            if (reasons == k).any()
        },
    }


def _points(design: Design) -> float:
    """From the inner scale to points of the criterion's own."""
    scale = design.evidence.criterion.scale
    return 1.0 if design.signed else scale.high - scale.low


def _anchors(design: Design, judge: _Judge, people: GradedUnits) -> tuple[JudgedAnchors, Bools]:
    """The units that the judge and people graded; and which of the judge's units they are."""
    evidence = design.evidence
    place = np.clip(np.searchsorted(people.unit, judge.unit), 0, max(len(people.unit) - 1, 0))
    graded = people.unit[place] == judge.unit if len(people.unit) else np.zeros(len(judge.unit), dtype=bool)
    unit, row = judge.unit[graded], place[graded]
    length = np.log2(1 + evidence.length[unit])
    if design.signed:
        length = length - np.log2(1 + evidence.other_length[unit])
    return (
        JudgedAnchors(
            judge=judge.value[graded],
            human=people.mean[row],
            grades=people.count[row],
            within=people.within[row],
            prompt=evidence.prompt[unit],
            system=evidence.system[unit],
            length=length,
            other_system=evidence.other_system[unit] if design.signed else None,
        ),
        graded,
    )


def _order(design: Design, judge: _Judge, level: float) -> Report:
    """Position and, for pairs, flips between the two orders."""
    evidence = design.evidence
    known = np.isfinite(evidence.v_value[judge.rows]) & (evidence.v_place[judge.rows] >= 0)
    rows = judge.rows[known]
    unit, place = evidence.v_unit[rows], evidence.v_place[rows]
    value, prompt = to_inner(evidence.criterion, evidence.v_value[rows], design.signed), evidence.prompt[unit]
    if not design.signed:
        if not (place > 0).any():
            return {"position": _nothing(EffectStatus.NOT_IDENTIFIED, "each answer was shown alone")}
        seating = evidence.item[unit].astype(np.int64) * 1000 + evidence.v_draw[rows]
        return {
            "position": _tell(
                lambda: position_effect_lists(
                    value=value, place=place, seating=seating, prompt=prompt, level=level
                ),
                "points from the first to the last place",
                _points(design),
            )
        }
    contrast = evidence.system[unit].astype(np.int64) * len(evidence.systems) + evidence.other_system[unit]
    return {
        "position": _tell(
            lambda: position_effect_pairs(
                value=value, first_shown=place == 0, pair=unit, prompt=prompt, contrast=contrast, level=level
            ),
            _SHARE,
        ),
        "order_flips": _tell(
            lambda: order_flips(value=value, first_shown=place == 0, pair=unit, prompt=prompt, level=level),
            _SHARE,
        ),
    }


def _own_family(
    design: Design, judge: _Judge, systems: SystemEffects | Exception, prompts: int, level: float
) -> Effect:
    if isinstance(systems, Exception):
        raise systems
    evidence = design.evidence
    families = [evidence.system_families[code] for code in systems.systems]
    if all(family is None for family in families):
        raise NotIdentified("own family", "no system's family is known")
    mine = evidence.judges[judge.code].family
    return own_family_effect(
        systems, own=np.array([family == mine for family in families]), prompts=prompts, level=level
    )


def _agreement(design: Design, judge: _Judge, level: float) -> Effect:
    """Single verdicts as they were given against single grades: an average over orders is no verdict."""
    evidence = design.evidence
    rows = judge.rows[np.isfinite(evidence.v_value[judge.rows])]
    unit = evidence.v_unit[rows]
    return agreement_with_people(
        judge=to_inner(evidence.criterion, evidence.v_value[rows], design.signed),
        unit=unit,
        grade=to_inner(evidence.criterion, evidence.h_value, design.signed),
        graded_unit=evidence.h_unit,
        prompt=evidence.prompt[unit],
        nominal=design.signed,
        level=level,
    )


def _retest(design: Design, judge: _Judge, level: float) -> Effect:
    evidence = design.evidence
    rows = judge.rows[np.isfinite(evidence.v_value[judge.rows])]
    unit = evidence.v_unit[rows].astype(np.int64)
    return retest_reliability(
        value=evidence.v_value[rows],
        question=unit * 64 + evidence.v_place[rows] + 1,
        prompt=evidence.prompt[unit],
        level=level,
    )


def _unscored_rate(design: Design, judge: _Judge, level: float) -> Effect:
    evidence = design.evidence
    missing = (evidence.v_unscored[judge.rows] >= 0).astype(float)
    prompt = evidence.prompt[evidence.v_unit[judge.rows]]
    if missing.min(initial=1.0) == missing.max(initial=0.0):
        return _all_alike(float(missing[0]), len(missing), len(np.unique(prompt)), level)
    moments = np.column_stack([np.ones_like(missing), missing])
    return cluster_jackknife(
        sums_by_prompt(moments, prompt),
        lambda total: total[:, 1] / total[:, 0],
        n=len(missing),
        level=level,
        what="prompts with verdicts",
    )


def _all_alike(rate: float, n: int, prompts: int, level: float) -> Effect:
    """A rate of exactly 0 or 1: Clopper and Pearson's one-sided end, with prompts as the trials."""
    far = float(((1 - level) / 2) ** (1 / prompts))
    low, high = (0.0, 1 - far) if rate == 0 else (far, 1.0)
    return Effect(rate, low, high, (high - low) / 4, n, prompts, float(prompts - 1))


def _by_group(
    design: Design, anchors: JudgedAnchors, group: NDArray[Any], names: tuple[str, ...], level: float
) -> list[Report]:
    """How much more the judge gives a group, over what people give, than it does over all.

    Pairs have no level: told is how much more often the judge sides with people, and nothing by system.
    """
    if design.signed and group is anchors.system:
        return []
    agrees = np.sign(np.round(anchors.judge, 6)) == np.sign(anchors.human)
    gap = agrees.astype(float) if design.signed else anchors.judge - anchors.human
    unit, scale = (_SHARE, 1.0) if design.signed else (_POINTS, _points(design))
    table = []
    for code, name in enumerate(names):
        inside = (group == code).astype(float)
        count = int(inside.sum())
        moments = np.column_stack([np.ones_like(gap), gap, inside, inside * gap])
        told = _tell(partial(_difference, moments, anchors.prompt, count, level), unit, scale)
        table.append({"name": name, **told, "n": count})
    return table


def _difference(moments: Floats, prompt: NDArray[Any], inside: int, level: float) -> Effect:
    if inside < MIN_GROUP:
        raise InsufficientData("answers of the group graded by this judge and by people", inside, MIN_GROUP)
    if inside == len(moments):
        raise NotIdentified("the group's effect", "every anchor is in this group")
    return cluster_jackknife(
        sums_by_prompt(moments, prompt),
        lambda total: total[:, 3] / total[:, 2] - total[:, 1] / total[:, 0],
        n=inside,
        level=level,
        what="prompts",
    )


def _n_eff(design: Design, people: GradedUnits, level: float) -> Report:
    values = np.full((design.units, len(design.evidence.judges)), np.nan)
    values[design.unit, design.judge] = design.value
    return _tell(
        lambda: effective_judges(
            values=values[people.unit],
            human=people.mean,
            grades=people.count,
            within=people.within,
            prompt=design.evidence.prompt[people.unit],
            panel=PANEL,
            level=level,
        ),
        "judges",
    )


def _try(compute: Callable[[], SystemEffects]) -> SystemEffects | Exception:
    try:
        return compute()
    except (InsufficientData, NotIdentified) as reason:
        return reason


def _tell(compute: Callable[[], Effect], unit: str, scale: float = 1.0) -> Report:
    """An effect as JSON-ready values, or the status and the reason that stand in its place."""
    try:
        effect = compute()
    except InsufficientData as reason:
        return _nothing(EffectStatus.INSUFFICIENT_DATA, str(reason), n=reason.have)
    except NotIdentified as reason:
        return _nothing(EffectStatus.NOT_IDENTIFIED, str(reason))
    told = asdict(effect)
    return {
        "status": EffectStatus.IDENTIFIED.value,
        "estimate": told["estimate"] * scale,
        "interval": [told["low"] * scale, told["high"] * scale],
        "std_error": told["std_error"] * abs(scale),
        "n": told["n"],
        "prompts": told["prompts"],
        "unit": unit,
        "why": None,
    }


def _nothing(status: EffectStatus, why: str, n: int = 0) -> Report:
    return {
        "status": status.value,
        "estimate": None,
        "interval": None,
        "std_error": None,
        "n": n,
        "prompts": 0,
        "unit": None,
        "why": why,
    }

"""What is systematic in each judge, relative to people: every effect with an interval, or why there is none.

Computed with a calibration, from the same evidence, and stored with it as JSON-ready values, so that a
bias report is a look-up however many verdicts there are.

Units. Effects on scores are in points of the criterion's own scale (a range of 1 to 5 has 4 points), for
pairs in preference points (1 is from a tie to a sure win); positions of pairs are in probability.
"""

from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.calibration.bias_groups import by_stratum, by_system
from app.calibration.design import Design, to_inner
from app.calibration.fit import Fit
from app.calibration.judged import Judged, is_model, judged, judged_anchors, points
from app.calibration.lineage import version_changes
from app.calibration.told import Report, flag, nothing, tell
from app.domain.calibration import EffectStatus
from app.domain.judging import UnscoredReason
from app.stats.agreement import agreement_among_people, agreement_with_people
from app.stats.errors import InsufficientData, NotIdentified
from app.stats.family_bias import own_family_effect, own_model_effect
from app.stats.human_noise import GradedUnits, graded_units
from app.stats.jackknife import Effect, cluster_jackknife, sums_by_prompt
from app.stats.judge_effects import discrimination, severity, system_effects, taste
from app.stats.order_effects import order_flips, position_effect_lists, position_effect_pairs
from app.stats.order_randomisation import randomisation_p_lists, randomisation_p_pairs
from app.stats.ordinal_check import GradesByBoth, OrdinalCheck, check_ordinal, needs_categories
from app.stats.panel_dependence import effective_judges
from app.stats.panel_worth import panel_worth
from app.stats.quality_held_fixed import HeldFixed, JudgedAnchors, hold_quality_fixed
from app.stats.repeats import retest_reliability

Floats = NDArray[np.float64]

PANEL = 3  # the panel whose effective size is told: one judge from each of three families
_POINTS, _SHARE, _ODDS = "points", "probability", "log odds"


def judge_bias(design: Design, *, level: float = 0.95) -> Report:
    """Every judge's effects, and what they share.

    Returns
    -------
    dict
        ``judges``: per judge version its identity, ``effects`` by name, ``systems`` and ``strata`` tables,
        ``unscored`` counts by reason; ``panel``: n_eff (and `worth_of_panel`, added when there is a fit);
        ``people``: agreement among them;
        ``multiplicity``: over how many effects p-values were adjusted, and how. Effects are those of `told`.
    """
    evidence = design.evidence
    given: Any = {
        "grade": to_inner(evidence.criterion, evidence.h_value, design.signed),
        "graded_unit": evidence.h_unit,
    }
    people = graded_units(**given)
    # Pairs have no level that one person could set lower than another.
    even = people if design.signed else graded_units(**given, annotator=evidence.h_annotator)
    changes = version_changes(design, level, points(design))
    judges = [
        _effects_of(design, judged(design, code), people, even, changes[code], level)
        for code in range(len(evidence.judges))
    ]
    return {
        "level": level,
        "multiplicity": flag(judges, level),
        "judges": judges,
        "panel": {"judges": PANEL, "effective": _n_eff(design, even, level)},
        "people": {
            "double_graded": people.double_graded,
            "agreement": tell(
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


def worth_of_panel(design: Design, fit: Fit, *, level: float = 0.95) -> Report | None:
    """How calibrated scores that saw no human grade of their prompt follow people within systems, as a
    `panel_worth.PanelWorth` in plain values; None where nothing was calibrated."""
    if fit.item is None:
        return None
    system = design.evidence.system
    worth = panel_worth(
        group=np.zeros_like(system) if design.signed else system,
        prompt=design.evidence.prompt,
        prediction=fit.out_of_fold,
        human=design.human_mean,
        level=level,
    )
    return asdict(worth)


def _effects_of(
    design: Design, judge: Judged, people: GradedUnits, even: GradedUnits, changes: Report, level: float
) -> Report:
    """``people`` as they graded; ``even`` with their severities taken out, where quality is held fixed."""
    evidence, scale = design.evidence, points(design)
    as_graded, graded = judged_anchors(design, judge, people)
    anchors, _ = judged_anchors(design, judge, even)
    fixed = _fixed(anchors)
    about: Any = {"unit": _POINTS, "scale": scale, "level": level}
    effects = {
        "severity": tell(lambda: severity(as_graded, level=level), _POINTS, scale, no_effect=0.0),
        "discrimination": tell(lambda: discrimination(_told(fixed), level=level), "slope", no_effect=1.0),
        **_order(design, judge, level),
        **{
            name: tell(
                lambda name=name: taste(_told(fixed), anchors, name, level=level),  # type: ignore[misc]
                f"points per doubling of {what}",
                scale,
                no_effect=0.0,
            )
            for name, what in (("length", "length"), ("layout", "layout marks"))
        },
        "own_family": tell(
            lambda: _own(design, judge, fixed, "family", level), _POINTS, scale, no_effect=0.0
        ),
        "own_model": tell(lambda: _own(design, judge, fixed, "model", level), _POINTS, scale, no_effect=0.0),
        **changes,
        "agreement": tell(lambda: _agreement(design, judge, level), "alpha"),
        "test_retest": tell(lambda: _retest(design, judge, level), "reliability"),
        "unscored_rate": tell(lambda: _unscored_rate(design, judge, level), _SHARE),
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
        "checks": _checks(design, judge, people, level),
        "systems": by_system(anchors, fixed, evidence.systems, **about),
        "strata": {
            name: by_stratum(
                anchors,
                codes[judge.unit[graded]],
                evidence.stratum_values[name],
                **(about | {"unit": _SHARE, "scale": 1.0} if design.signed else about),
            )
            for name, codes in evidence.strata.items()
        },
        "verdicts": len(judge.rows),
        "unscored": {
            reason.value: int((reasons == k).sum())
            for k, reason in enumerate(UnscoredReason)
            if (reasons == k).any()
        },
    }


def _fixed(anchors: JudgedAnchors) -> HeldFixed | Exception:
    try:
        return hold_quality_fixed(anchors)
    except (InsufficientData, NotIdentified) as reason:
        return reason


def _told(fixed: HeldFixed | Exception) -> HeldFixed:
    if isinstance(fixed, Exception):
        raise fixed
    return fixed


def _order(design: Design, judge: Judged, level: float) -> Report:
    """Position, with its randomisation test, and, for pairs, flips between the two orders."""
    evidence = design.evidence
    known = np.isfinite(evidence.v_value[judge.rows]) & (evidence.v_place[judge.rows] >= 0)
    rows = judge.rows[known]
    unit, place = evidence.v_unit[rows], evidence.v_place[rows]
    value, prompt = to_inner(evidence.criterion, evidence.v_value[rows], design.signed), evidence.prompt[unit]
    if not design.signed:
        if not (place > 0).any():
            return {"position": nothing(EffectStatus.NOT_IDENTIFIED, "each answer was shown alone")}
        seating = evidence.item[unit].astype(np.int64) * 1000 + evidence.v_draw[rows]
        position = tell(
            lambda: position_effect_lists(
                value=value, place=place, seating=seating, prompt=prompt, level=level
            ),
            "points from the first to the last place",
            points(design),
            no_effect=0.0,
        )
        if position["p_value"] is not None:
            p = randomisation_p_lists(value=value, place=place, seating=seating)
            position["p_randomisation"] = p
        return {"position": position}
    contrast = evidence.system[unit].astype(np.int64) * len(evidence.systems) + evidence.other_system[unit]
    about: Any = {"value": value, "first_shown": place == 0, "pair": unit}
    position = tell(
        lambda: position_effect_pairs(**about, prompt=prompt, contrast=contrast, level=level),
        _SHARE,
        no_effect=0.0,
    )
    if position["p_value"] is not None:
        position["p_randomisation"] = randomisation_p_pairs(**about, contrast=contrast)
    return {
        "position": position,
        "order_flips": tell(lambda: order_flips(**about, prompt=prompt, level=level), _SHARE),
    }


def _own(design: Design, judge: Judged, fixed: HeldFixed | Exception, what: str, level: float) -> Effect:
    """The judge's own family, or its very model, against the systems of other families."""
    held = _told(fixed)
    evidence, effects = design.evidence, system_effects(held)
    mine = evidence.judges[judge.code]
    families = [evidence.system_families[code] for code in effects.systems]
    kin = np.array([family == mine.family for family in families])
    if what == "family":
        if all(family is None for family in families):
            raise NotIdentified("own family", "no system's family is known")
        return own_family_effect(effects, own=kin, prompts=held.prompts, level=level)
    own = np.array([is_model(evidence, code, mine) for code in effects.systems])
    other = own | ~kin  # siblings are neither: the family's effect is theirs too
    return own_model_effect(effects.of(other), own=own[other], prompts=held.prompts, level=level)


def _checks(design: Design, judge: Judged, people: GradedUnits, level: float) -> Report:
    """Severity and length by ordered categories, where grades crowd in few of them."""
    evidence = design.evidence
    if design.signed:
        return {}
    rows = judge.rows[np.isfinite(evidence.v_value[judge.rows])]
    rows = rows[np.isin(evidence.v_unit[rows], people.unit)]
    by_people = np.isin(evidence.h_unit, evidence.v_unit[rows])
    unit = np.r_[evidence.v_unit[rows], evidence.h_unit[by_people]]
    native = np.r_[evidence.v_value[rows], evidence.h_value[by_people]]
    value = to_inner(evidence.criterion, native, signed=False)
    of_judge = np.arange(len(unit)) < len(rows)
    if not (needs_categories(value[of_judge]) or needs_categories(value[~of_judge])):
        return {}
    length = np.log2(1 + evidence.length[unit])
    about = GradesByBoth(value, of_judge, unit, evidence.prompt[unit], length)
    found: list[OrdinalCheck] = []

    def fit() -> Effect:
        found.append(check_ordinal(about, level=level))
        return found[0].severity

    checks = {"severity": tell(fit, _ODDS, no_effect=0.0)}
    if found and found[0].length is not None:
        taste_for_it = found[0].length
        checks["length"] = tell(lambda: taste_for_it, f"{_ODDS} per doubling of length", no_effect=0.0)
    return checks


def _agreement(design: Design, judge: Judged, level: float) -> Effect:
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


def _retest(design: Design, judge: Judged, level: float) -> Effect:
    evidence = design.evidence
    rows = judge.rows[np.isfinite(evidence.v_value[judge.rows])]
    unit = evidence.v_unit[rows].astype(np.int64)
    return retest_reliability(
        value=evidence.v_value[rows],
        question=unit * 64 + evidence.v_place[rows] + 1,
        prompt=evidence.prompt[unit],
        level=level,
    )


def _unscored_rate(design: Design, judge: Judged, level: float) -> Effect:
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


def _n_eff(design: Design, people: GradedUnits, level: float) -> Report:
    values = np.full((design.units, len(design.evidence.judges)), np.nan)
    values[design.unit, design.judge] = design.value
    return tell(
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

from dataclasses import replace

import numpy as np
import pytest

from app.reporting.graded_units import graded_units
from app.reporting.quality_groups import group_units
from app.reporting.quality_rows import estimate, quality_rows
from app.reporting.quality_words import table_warnings
from benchmarks.quality_speed import frame_of


def frame(seed=1, share=None, anchors=300):
    """6,000 answers of 20 systems; ``share`` (n,) -> how much likelier a unit is to be an anchor."""
    rng = np.random.default_rng(seed)
    made = frame_of(18_000, rng)
    n = made.unit_id.size
    quality = made.panel_score + 0.05 * rng.normal(size=n)
    weight = np.ones(n) if share is None else share(made)
    chosen = rng.choice(n, anchors, replace=False, p=weight / weight.sum())
    human = np.full(n, np.nan)
    human[chosen] = np.round(4 * np.clip(quality[chosen], 0, 1)) / 4
    graded = np.isfinite(human)
    chance = np.where(graded, anchors * weight / weight.sum(), np.nan)
    return replace(made, simulated=False, human_mean=human, n_human=graded.astype(np.int32)), chance


def warnings_of(units):
    groups = group_units(units, ("system",))
    return table_warnings(units.frame, units.anchoring, estimate(units, groups, 0.95, "stream"))


def test_anchors_drawn_at_random_are_used_as_they_are():
    made, _ = frame()
    units = graded_units(made)
    assert units.anchoring.test.p_value > 0.001
    assert not units.anchoring.hopeless
    assert not units.anchoring.logged


def test_anchors_that_prefer_high_scores_are_weighted_and_it_is_said():
    made, _ = frame(share=lambda f: np.exp(2.0 * f.panel_score))
    units = graded_units(made)
    assert units.anchoring.flagged
    assert units.anchoring.weight is not None
    assert units.anchoring.effective_size < 300
    assert any("weighted" in warning for warning in warnings_of(units))


def test_logged_probabilities_explain_an_uneven_draw():
    made, chance = frame(share=lambda f: np.exp(2.0 * f.panel_score))
    units = graded_units(replace(made, human_inclusion=chance))
    assert units.anchoring.logged
    assert units.anchoring.test.p_value > 0.001
    assert units.inclusion is not None


def test_partly_logged_probabilities_are_not_used_and_it_is_said():
    made, chance = frame()
    chance[np.flatnonzero(np.isfinite(chance))[:10]] = np.nan
    units = graded_units(replace(made, human_inclusion=chance))
    assert not units.anchoring.logged
    assert units.anchoring.partly_logged
    assert any("some anchors only" in warning for warning in warnings_of(units))


def test_anchors_of_one_language_for_traffic_in_six_give_no_level():
    made, _ = frame(share=lambda f: (f.strata["language"] == 0).astype(float))
    units = graded_units(made)
    assert units.anchoring.hopeless
    rows, quality = quality_rows(units, group_units(units, ("system",)), 0.95, "stream", True)
    assert {row.status for row in rows} == {"extrapolating"}
    assert {row.corrected for row in rows} == {None}
    said = table_warnings(units.frame, units.anchoring, quality)
    assert any("grade some of what the anchors leave out" in warning for warning in said)


def test_random_anchors_are_flagged_about_as_rarely_as_promised():
    flags = [graded_units(frame(seed, anchors=150)[0]).anchoring.flagged for seed in range(60)]
    assert np.mean(flags) <= 0.15  # 60 draws at 5%: three standard errors above


@pytest.mark.parametrize("anchors", [0, 1, 5])
def test_too_few_anchors_are_not_tested(anchors):
    made, _ = frame(anchors=max(anchors, 1))
    if anchors == 0:
        made = replace(made, human_mean=np.full_like(made.human_mean, np.nan), n_human=0 * made.n_human)
    units = graded_units(made)
    assert units.anchoring.test.p_value is None
    assert not units.anchoring.flagged

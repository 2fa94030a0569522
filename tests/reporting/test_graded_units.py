from dataclasses import replace

import numpy as np
import pytest

from app.reporting.anchor_shift import TEXTS, Standing
from app.reporting.graded_units import graded_units
from app.reporting.quality_groups import group_units
from app.reporting.quality_rows import estimate, rows_of
from app.reporting.quality_words import table_warnings
from app.stats.text_shift import text_directions
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
    groups = group_units(units, ("system",))
    quality = estimate(units, groups, 0.95, "stream")
    rows = rows_of(units, groups, quality)
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


def test_a_system_whose_own_anchors_are_off_is_told_apart_from_the_others():
    made, _ = frame(anchors=2000)
    own = made.system == 3
    # of system 3 only the answers that the panel likes best were graded
    kept = ~own | (made.panel_score > np.quantile(made.panel_score[own], 0.67))
    human = np.where(kept, made.human_mean, np.nan)
    units = graded_units(replace(made, human_mean=human, n_human=np.isfinite(human).astype(np.int32)))
    assert set(units.anchoring.systems) >= {3}
    assert units.anchoring.systems[3] in (Standing.WEIGHTED, Standing.WIDENED, Standing.REFUSED)
    groups = group_units(units, ("system",))
    rows = rows_of(units, groups, estimate(units, groups, 0.95, "stream"))
    assert rows[3].anchors_stand is units.anchoring.systems[3]
    assert any("do not look like" in said or "do not stand" in said for said in rows[3].warnings)
    assert any(made.systems[3] in said for said in warnings_of(units)) or units.anchoring.flagged


def test_where_no_weights_can_mend_the_anchors_an_interval_is_wider_or_there_is_none():
    seen = set()
    for seed in range(8):
        made, _ = frame(seed=seed, anchors=40, share=lambda m: _among_the_best(m, 0.25))
        units = graded_units(made)
        seen.add(units.anchoring.standing)
        if units.anchoring.standing is not Standing.WIDENED:
            continue
        groups = group_units(units, ())
        wide = estimate(units, groups, 0.95, "stream")
        plain = replace(units, anchoring=replace(units.anchoring, bent=None))
        narrow = estimate(plain, groups, 0.95, "stream")
        assert wide.lower[0] <= narrow.lower[0]
        assert wide.upper[0] >= narrow.upper[0]
        assert wide.upper[0] - wide.lower[0] > narrow.upper[0] - narrow.lower[0]
        rows = rows_of(units, groups, wide)
        assert rows[0].anchors_stand is Standing.WIDENED
        assert any("furthest" in said for said in rows[0].warnings)
    assert seen <= {Standing.WIDENED, Standing.REFUSED}
    assert seen


def _among_the_best(made, share):
    """Only answers of the best quarter by the panel, chosen all alike."""
    return (made.panel_score >= np.quantile(made.panel_score, 1 - share)).astype(float)


def test_anchors_that_differ_in_their_texts_alone_are_flagged():
    made, _ = frame(anchors=60)
    rng = np.random.default_rng(2)
    unit = np.unique(np.concatenate([np.flatnonzero(made.labelled), rng.choice(made.unit_id.size, 600)]))
    graded = made.labelled[unit]
    say = np.where(graded, "the invoice of the customer was paid", "a poem about the sea and its ships")
    # nine words of ten are shared by all: the difference is in a few
    common = "we thank you for your question and answer it here as well as we can today"
    texts = [f"{common} {words if k % 3 else common}" for k, words in enumerate(say)]
    other = [f"{common} {['the invoice', 'a poem'][k % 2]} {k % 7}" for k in range(unit.size)]
    for told, flagged in ((texts, True), (other, False)):
        directions = text_directions(told, made.block[unit])
        units = graded_units(replace(made, text_unit=unit.astype(np.int32), text_directions=directions))
        assert units.anchoring.flagged is flagged
        assert units.anchoring.feature is not None
        if flagged:
            assert units.anchoring.feature == TEXTS
            assert any("texts" in said for said in warnings_of(units))

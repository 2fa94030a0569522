"""Quality where panels had two stages: what selected the second stage must not be in any mean."""

from dataclasses import replace

import numpy as np
import pytest

from app.calibration.design import build_design
from app.calibration.fit import fit_calibration, fit_panel
from app.calibration.frame import Frame
from app.calibration.snapshot import frame_of
from app.reporting.graded_units import graded_units
from tests.calibration.planted import plant


def thinned(evidence, *, least=0.25, seed=0, grades=None):
    """Two of a unit's three judges first; the third, where the first two were harsh, nearly always."""
    rng = np.random.default_rng(seed)
    place = np.arange(evidence.v_unit.size) % 3  # the three verdicts of a unit stand together
    first = np.bincount(evidence.v_unit, np.where(place < 2, evidence.v_value, 0.0)) / 2
    chance = np.where(first < np.quantile(first, 0.3), 1.0, least)
    drawn = rng.random(chance.size) < chance
    keep = (place < 2) | drawn[evidence.v_unit]
    columns = {
        name: getattr(evidence, name)[keep]
        for name in evidence.__slots__
        if name.startswith("v_") and getattr(evidence, name).size == keep.size
    }
    unit = evidence.v_unit[keep].astype(np.int64)
    return replace(
        evidence, **columns, v_chance=chance[unit], v_second=(place == 2)[keep],
        v_grade=unit if grades is None else grades[keep],
    )  # fmt: skip


def system_means(units, values):
    return np.bincount(units.system, values) / np.bincount(units.system)


@pytest.fixture(scope="module")
def whole():
    return plant(prompts=300, systems=4, anchors=240, seed=5).evidence


def test_means_of_two_phase_scores_are_those_of_whole_panels_and_plain_means_are_not(whole):
    design = build_design(whole)
    of_all = system_means(graded_units(frame_of(design, fit_calibration(design, seed=1))), design.raw_mean)
    corrected, plain = [], []
    for seed in range(12):
        asked = thinned(whole, seed=seed)
        found = build_design(asked)
        units = graded_units(frame_of(found, fit_calibration(found, seed=1)))
        corrected.append(system_means(units, units.raw) - of_all)
        plain.append(system_means(units, found.raw_mean) - of_all)
    spread = np.std(corrected, axis=0, ddof=1) / np.sqrt(len(corrected))
    assert np.abs(np.mean(corrected, axis=0)).max() < 4.5 * spread.max()
    assert np.mean(plain, axis=0).min() > 0.01  # on 0 to 1: who was harsh at first was judged again


def test_first_stages_and_weights_are_kept_in_the_frame(whole):
    asked = thinned(whole)
    design = build_design(asked)
    frame = Frame.from_bytes(frame_of(design, fit_calibration(design, seed=1)).to_bytes())
    staged = design.staged
    assert staged is not None
    assert frame.stage_unit.tolist() == staged.unit.tolist()
    assert set(np.round(frame.stage_weight, 6)) == {4.0}
    chances = np.full(design.units, np.nan)
    chances[asked.v_unit] = asked.v_chance
    assert (chances[frame.stage_unit] < 1).all()
    assert np.bincount(frame.first_cell_unit)[frame.stage_unit].tolist() == [2] * frame.stage_unit.size
    assert np.isfinite(frame.first_score).all()
    assert frame.mixed_panels  # where all judges were asked for certain there was one stage in effect


def test_system_means_of_the_panel_rest_on_first_stages_alone(whole):
    asked = thinned(whole)
    second_gone = ~asked.v_second
    columns = {
        name: getattr(asked, name)[second_gone]
        for name in asked.__slots__
        if name.startswith("v_") and getattr(asked, name).size == second_gone.size
    }
    design = build_design(asked)
    systems = fit_panel(design)[2]
    first = build_design(replace(asked, **columns))
    from_first = fit_panel(first)[2]
    # not exactly: judges' weights come from all verdicts, and certain second stages count as first ones
    assert systems.mean == pytest.approx(from_first.mean, abs=0.15)
    assert np.corrcoef(systems.mean, from_first.mean)[0, 1] > 0.99


def test_units_with_second_stages_in_several_grades_count_by_their_first_stages(whole):
    grades = np.arange(whole.v_unit.size) % 3 // 2 + 10 * whole.v_unit.astype(np.int64)
    asked = thinned(whole, grades=grades)  # as if each third verdict were of a grade of its own
    staged = build_design(asked).staged
    assert staged is not None
    both = np.isin(staged.unit, asked.v_unit[asked.v_second])
    assert (staged.weight[both] == 0).all()
    assert (staged.weight[~both] == 4.0).all()


def test_quality_without_two_stages_is_what_it_was(whole):
    nothing = {"v_chance": np.full(whole.v_unit.size, np.nan), "v_grade": whole.v_unit.astype(np.int64)}
    marked = replace(whole, **nothing, v_second=np.zeros(whole.v_unit.size, bool))
    assert build_design(marked).staged is None
    design, other = build_design(whole), build_design(marked)
    assert frame_of(design, fit_calibration(design, seed=1)).to_bytes() == (
        frame_of(other, fit_calibration(other, seed=1)).to_bytes()
    )

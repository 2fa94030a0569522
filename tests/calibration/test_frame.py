"""A stored frame comes back as it was."""

import io
import json
import zipfile
from dataclasses import fields, replace

import numpy as np
import pytest

from app.calibration.frame import Frame


def small_frame(kind: str = "pointwise", higher_is_better: bool = True) -> Frame:
    n = 4
    ids = np.arange(n, dtype=np.int64) + (1 << 62)
    codes = np.array([0, 1, 0, 1], np.int32)
    values = np.array([0.25, np.nan, 0.5, 1.0])
    return Frame(
        kind=kind, low=1.0, high=5.0, higher_is_better=higher_is_better, simulated=False,
        systems=("a", "b"), system_families=("x", None), stratum_values={"language": ("de",)},
        judges=("j", "k"), judge_families=("f", "g"), annotator_variance=float("nan"), newest_verdict=7,
        judge_version_ids=np.array([5, 6]), unit_id=ids, answer_id=ids, other_answer_id=ids * 0 - 1,
        item=codes, prompt=codes, system=codes, other_system=codes * 0 - 1, length=values * 100,
        other_length=values * np.nan, raw_mean=values, panel_score=values, reliability=values,
        cell_unit=np.array([0, 2, 3], np.int32), cell_judge=np.array([0, 1, 1], np.int32),
        cell_value=np.array([0.25, 0.5, 1.0]), cell_draws=np.array([1, 2, 1], np.int32),
        out_of_fold=values, fold=codes, full_fit=values, latent_variance=values, grade_variance=values,
        extrapolates=np.array([True, False, False, True]), human_mean=values,
        n_human=np.array([1, 0, 2, 1], np.int32), human_inclusion=values,
        strata={"language": np.array([0, -1, 0, 0], np.int32)},
    )  # fmt: skip


def test_a_frame_survives_storage_to_seven_digits() -> None:
    frame = small_frame()
    back = Frame.from_bytes(frame.to_bytes())
    for entry in fields(Frame):
        mine, theirs = getattr(frame, entry.name), getattr(back, entry.name)
        if isinstance(mine, np.ndarray):
            assert theirs.dtype == mine.dtype
            np.testing.assert_allclose(theirs, mine, rtol=1e-7)  # float32 keeps 2**-24
        elif isinstance(mine, dict):
            assert {k: list(v) for k, v in mine.items()} == {k: list(v) for k, v in theirs.items()}
        else:
            assert theirs == mine or (np.isnan(mine) and np.isnan(theirs))


def test_values_return_to_the_criterions_own_scale_and_direction() -> None:
    values = np.array([0.0, 0.25, 1.0])
    np.testing.assert_allclose(small_frame().to_native(values), [1, 2, 5])
    np.testing.assert_allclose(small_frame(higher_is_better=False).to_native(values), [5, 4, 1])
    np.testing.assert_allclose(small_frame(kind="pairwise").to_native(values), values)


def test_missing_judges_are_nan_in_the_matrix() -> None:
    matrix = small_frame().judge_matrix()
    assert matrix.shape == (4, 2)
    assert np.isnan(matrix[1]).all()
    assert matrix[2, 1] == 0.5


def test_a_frame_from_before_missing_verdicts_were_counted_does_not_know_of_any() -> None:
    frame = replace(small_frame(), missing_unit=np.array([1], np.int32), knows_missing=True)
    with zipfile.ZipFile(io.BytesIO(frame.to_bytes())) as archive:
        parts = {name: archive.read(name) for name in archive.namelist() if not name.startswith("missing")}
    head = np.load(io.BytesIO(parts.pop("head.npy")))
    told = json.loads(head.tobytes())
    del told["knows_missing"]
    old, member = io.BytesIO(), io.BytesIO()
    np.save(member, np.frombuffer(json.dumps(told).encode(), np.uint8))
    with zipfile.ZipFile(old, "w") as archive:
        for name, raw in {**parts, "head.npy": member.getvalue()}.items():
            archive.writestr(name, raw)
    back = Frame.from_bytes(old.getvalue())
    assert not back.knows_missing
    assert back.missing_unit.size == 0


def test_bytes_of_another_format_are_refused() -> None:
    with pytest.raises(ValueError, match=r"File|zip|pickle|format|read"):
        Frame.from_bytes(b"no frame at all")

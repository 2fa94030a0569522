"""Codes by counting are codes by sorting."""

import numpy as np
import pytest

from app.stats.grouped import coded


@pytest.mark.parametrize(
    "values",
    [
        np.zeros(0, np.int64),
        np.array([5, 0, 5, 3]),
        np.array([-4, 7, -4]),
        np.array([10**15, 3, 10**15]),
        np.random.default_rng(1).integers(0, 900, 1_000).astype(np.int32),
    ],
    ids=["nothing", "dense", "negative", "sparse", "many"],
)
def test_values_are_coded_in_their_order(values):
    present, place = coded(values)
    expected, inverse = np.unique(values, return_inverse=True)
    assert present.tolist() == expected.tolist()
    assert place.tolist() == inverse.tolist()

import numpy as np
import pytest
from statsmodels.stats.multitest import multipletests

from app.stats.multiplicity import benjamini_hochberg, holm


@pytest.mark.parametrize(("adjust", "name"), [(holm, "holm"), (benjamini_hochberg, "fdr_bh")])
def test_adjusted_p_values_agree_with_statsmodels(adjust, name):
    p = np.random.default_rng(0).uniform(size=40) ** 3
    assert adjust(p) == pytest.approx(multipletests(p, method=name)[1])


@pytest.mark.parametrize("adjust", [holm, benjamini_hochberg])
def test_unknown_rows_stay_unknown_and_cost_nothing(adjust):
    p = np.array([0.01, np.nan, 0.04])
    assert adjust(p)[[0, 2]] == pytest.approx(adjust(p[[0, 2]]))
    assert np.isnan(adjust(p)[1])


@pytest.mark.parametrize("adjust", [holm, benjamini_hochberg])
def test_one_row_needs_no_adjustment(adjust):
    assert adjust(np.array([0.03]))[0] == pytest.approx(0.03)

"""How much each judge's verdict counts in a calibrated score when all of them sit on one panel."""

from collections.abc import Mapping

import numpy as np

from app.calibration.prepared import PreparedCalibration
from app.domain.calibration import Calibration
from app.domain.ids import show_id
from app.stats.factors import subset_weights


def panel_weights(calibration: Calibration) -> Mapping[str, float]:
    """Weight of each judge version (by digest), scaled so that their sizes add up to 1.

    A judge that is noisy, or says only what others say already, counts little; one that adds nothing but
    others' noise may count against. Empty where the calibration has no panel.
    """
    if not calibration.model.get("judges"):
        return {}
    prepared = PreparedCalibration(calibration_id=show_id("c", calibration.id), model=calibration.model)
    factor = prepared.factor
    if factor is None:
        return {}
    used = np.flatnonzero(factor.used)
    weights, _ = subset_weights(factor, used, np.ones(len(used), np.int64))
    total = float(np.abs(weights).sum())
    if total <= 0:
        return {}
    digest = {code: version for version, code in prepared.judge_codes.items()}
    return {digest[int(code)]: float(weight) / total for code, weight in zip(used, weights, strict=True)}

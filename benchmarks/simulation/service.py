"""The service's own path from evidence to a quality table, with what does not hang on human grades kept."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from app.calibration.design import Design, build_design
from app.calibration.fit import Fit, fit_panel, without_map
from app.calibration.snapshot import frame_of
from app.reporting.graded_units import GradedUnits, graded_units
from app.storage.evidence import Evidence

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Judged:
    """A world whose verdicts are fitted: stage one of a calibration. Quality tables use no more of one."""

    design: Design
    fit: Fit

    @property
    def score(self) -> Floats:
        """(n,) the panel's score, on its own scale."""
        return self.fit.scores.score

    def graded(self, human: Floats, inclusion: Floats) -> GradedUnits:
        """The units with one human grade each where ``human`` (n,) is not NaN, on 0 to 1 (pairs: signed)."""
        known = np.isfinite(human)
        design = replace(
            self.design, human_mean=human, n_human=known.astype(np.int64),
            human_inclusion=np.where(known, inclusion, np.nan),
        )  # fmt: skip
        return graded_units(frame_of(design, self.fit))


def judge(evidence: Evidence) -> Judged:
    design = build_design(evidence)
    return Judged(design, without_map(design, *fit_panel(design)))

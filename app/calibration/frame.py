"""The calibration frame: one row per unit, with what the panel, the fit and the people said of it.

A frame is stored with its calibration and never changes, so that any quality table over any strata
is arithmetic on its arrays, without reading verdicts again.

Scales. Pointwise: 0 (worst) to 1 (best), already turned where the criterion says lower is better.
Pairwise: -1 to 1, positive where the canonical first answer (`system`) is better than the second
(`other_system`). `Frame.to_native` brings a value back to the criterion's own scale.
"""

import io
import json
import zipfile
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

_FORMAT = 1
_ANY_DATE = (1980, 1, 1, 0, 0, 0)
Floats = NDArray[np.float64]
Ints = NDArray[np.int32]
Ids = NDArray[np.int64]


def pair_code(system: Ints, other_system: Ints, systems: int) -> NDArray[np.int64]:
    """int64 (n,): one code per system (other -1) or pair of systems that occurs."""
    code = (system.astype(np.int64) + 1) * (systems + 1) + other_system + 1
    _, dense = np.unique(code, return_inverse=True)
    return np.asarray(dense, dtype=np.int64)


@dataclass(frozen=True, slots=True)
class Frame:
    """n units (an answer, or a canonical pair of answers), J judge versions, c judged cells.

    Names
        ``systems``, ``system_families``: names by system code. ``stratum_values``: names by stratum code.
        ``judges``, ``judge_families``: by judge code; ``judge_version_ids`` int64 (J,).
    Units
        ``unit_id``, ``answer_id``, ``other_answer_id`` int64 (n,), the last -1 for an answer alone.
        ``item``, ``prompt``, ``system``, ``other_system`` int32 (n,) codes; the last -1 for an answer alone.
        ``length``, ``other_length`` float64 (n,) in words, NaN unknown.
        ``day`` int32 (n,): days from 1970-01-01 to when the answers were first seen; empty in old frames.
        ``strata``: name -> int32 (n,) code, -1 missing.
    Panel
        ``raw_mean`` float64 (n,): mean over judges of each judge's mean, NaN where no judge scored.
        ``panel_score`` float64 (n,): the panel's consensus on the judges' own common scale, with severity,
        position and the make-up of the panel removed; ``reliability`` float64 (n,) in (0, 1): how
        much of it is signal for the judges that happened to sit.
        ``cell_unit``, ``cell_judge`` int32 (c,), ``cell_value`` float64 (c,) (mean of a judge's draws
        on a unit, position removed for pairs), ``cell_draws`` int32 (c,).
    Fit
        ``out_of_fold`` float64 (n,): the calibrated value, by a fit that saw no human grade of the unit's
        prompt. Where no unit of the prompt has a human grade it is the mean over the fold fits.
        ``fold`` int32 (n,): the fold of the prompt, -1 where the prompt has no human grade.
        ``full_fit`` float64 (n,): the value by the fit on all anchors. Both are NaN everywhere if
        the calibration was refused, and NaN where no judge scored the unit.
        ``latent_variance`` float64 (n,): of the full fit around the mean human grade of the unit;
        ``grade_variance`` float64 (n,): the same plus one annotator's noise.
        ``extrapolates`` bool (n,): the panel's score lies outside the range that has anchors.
    People
        ``human_mean`` float64 (n,), NaN unlabelled; ``n_human`` int32 (n,) grades;
        ``human_inclusion`` float64 (n,) probability with which the unit was drawn to be graded, NaN unknown.
        ``annotator_variance``: of one grade around the unit's mean grade; NaN where no unit has two grades.
        ``human_ties`` float64 (labelled,): pairs' share of human grades that are ties, of the labelled units
        in their order; empty in old frames.
    Texts
        ``text_unit`` int32 (t,): units of some prompts drawn at random; ``text_directions`` float64 (t, d):
        what their texts say, as `stats.text_shift` sees it. Empty without texts, and in old frames.
    Missing verdicts
        ``missing_unit``, ``missing_judge`` int32 (u,): a judge was asked about a unit and gave no verdict;
        ``knows_missing`` is False in old frames, which do not say so.
    Panels with two stages
        ``stage_unit`` int32 (t,): units that a second stage was drawn for with a chance below 1;
        ``stage_weight`` float64 (t,): how the second stage counts in means (1 / chance; 0: not at all);
        ``first_raw_mean``, ``first_score``, ``first_reliability`` float64 (t,): as ``raw_mean``,
        ``panel_score`` and ``reliability``, of the first stage alone; ``first_cell_unit``,
        ``first_cell_judge``, ``first_cell_value`` (d,): its cells. Empty in old frames.
    """

    kind: str
    low: float
    high: float
    higher_is_better: bool
    simulated: bool
    systems: tuple[str, ...]
    system_families: tuple[str | None, ...]
    stratum_values: dict[str, tuple[str, ...]]
    judges: tuple[str, ...]
    judge_families: tuple[str, ...]
    annotator_variance: float
    newest_verdict: int

    judge_version_ids: Ids
    unit_id: Ids
    answer_id: Ids
    other_answer_id: Ids
    item: Ints
    prompt: Ints
    system: Ints
    other_system: Ints
    length: Floats
    other_length: Floats
    raw_mean: Floats
    panel_score: Floats
    reliability: Floats
    cell_unit: Ints
    cell_judge: Ints
    cell_value: Floats
    cell_draws: Ints
    out_of_fold: Floats
    fold: Ints
    full_fit: Floats
    latent_variance: Floats
    grade_variance: Floats
    extrapolates: NDArray[np.bool_]
    human_mean: Floats
    n_human: Ints
    human_inclusion: Floats
    strata: dict[str, Ints]
    text_unit: Ints = field(default_factory=lambda: np.zeros(0, np.int32))
    text_directions: Floats = field(default_factory=lambda: np.zeros((0, 0)))
    human_ties: Floats = field(default_factory=lambda: np.zeros(0))
    missing_unit: Ints = field(default_factory=lambda: np.zeros(0, np.int32))
    missing_judge: Ints = field(default_factory=lambda: np.zeros(0, np.int32))
    knows_missing: bool = False
    stage_unit: Ints = field(default_factory=lambda: np.zeros(0, np.int32))
    stage_weight: Floats = field(default_factory=lambda: np.zeros(0))
    first_raw_mean: Floats = field(default_factory=lambda: np.zeros(0))
    first_score: Floats = field(default_factory=lambda: np.zeros(0))
    first_reliability: Floats = field(default_factory=lambda: np.zeros(0))
    first_cell_unit: Ints = field(default_factory=lambda: np.zeros(0, np.int32))
    first_cell_judge: Ints = field(default_factory=lambda: np.zeros(0, np.int32))
    first_cell_value: Floats = field(default_factory=lambda: np.zeros(0))
    day: Ints = field(default_factory=lambda: np.zeros(0, np.int32))

    @property
    def block(self) -> NDArray[np.int64]:
        """int64 (n,): codes of systems, for pairs of pairs of systems, within which units are compared."""
        return pair_code(self.system, self.other_system, len(self.systems))

    @property
    def mixed_panels(self) -> bool:
        """Whether some units' panels had two stages and others' did not."""
        return 0 < self.stage_unit.size < int(self.judged.sum())

    @property
    def labelled(self) -> NDArray[np.bool_]:
        """Units with at least one human grade, bool (n,)."""
        return self.n_human > 0

    @property
    def judged(self) -> NDArray[np.bool_]:
        """Units with at least one scored verdict, bool (n,)."""
        return ~np.isnan(self.raw_mean)

    def to_native(self, value: Floats) -> Floats:
        """Frame scale to the criterion's own scale (pairs stay signed)."""
        if self.kind == "pairwise":
            return value
        unit = value if self.higher_is_better else 1.0 - value
        return self.low + unit * (self.high - self.low)

    def judge_matrix(self) -> Floats:
        """float64 (n, J): a judge's mean value of a unit, NaN where it gave none."""
        matrix = np.full((len(self.unit_id), len(self.judges)), np.nan)
        matrix[self.cell_unit, self.cell_judge] = self.cell_value
        return matrix

    def to_bytes(self) -> bytes:
        """An npz archive; measured values as float32 (7 digits), codes as they are."""
        head: dict[str, Any] = {"format": _FORMAT, "strata": list(self.strata)}
        arrays: dict[str, NDArray[Any]] = {}
        for entry in fields(self):
            value = getattr(self, entry.name)
            if isinstance(value, np.ndarray):
                arrays[entry.name] = value.astype(np.float32) if value.dtype == np.float64 else value
            elif entry.name != "strata":
                head[entry.name] = value
        for k, codes in enumerate(self.strata.values()):
            arrays[f"stratum_{k}"] = codes
        arrays["head"] = np.frombuffer(json.dumps(head, allow_nan=True).encode(), np.uint8)
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            for name, array in arrays.items():
                member = io.BytesIO()
                np.save(member, array, allow_pickle=False)
                entry_of = zipfile.ZipInfo(f"{name}.npy", _ANY_DATE)  # equal frames, equal bytes
                entry_of.compress_type = zipfile.ZIP_DEFLATED
                archive.writestr(entry_of, member.getvalue(), compresslevel=1)
        return buffer.getvalue()

    @staticmethod
    def from_bytes(raw: bytes) -> "Frame":
        """The inverse of `to_bytes`.

        Raises
        ------
        ValueError
            If the bytes are no frame, or one of a format that this version does not know.
        """
        with np.load(io.BytesIO(raw), allow_pickle=False) as archive:
            head = json.loads(archive["head"].tobytes())
            if head.pop("format") != _FORMAT:
                raise ValueError("the frame was written in a format that this version does not read")
            names = head.pop("strata")
            loaded = {
                name: values.astype(np.float64) if values.dtype == np.float32 else values
                for name, values in archive.items()
                if name != "head"
            }
        strata = {name: loaded.pop(f"stratum_{k}") for k, name in enumerate(names)}
        for key in ("systems", "system_families", "judges", "judge_families"):
            head[key] = tuple(head[key])
        head["stratum_values"] = {k: tuple(v) for k, v in head["stratum_values"].items()}
        return Frame(strata=strata, **head, **loaded)

"""A stored model made ready: one unit's verdicts in, a calibrated score out, in some microseconds.

This repeats `stats.item_score` and `stats.system_scores` for a single unit in plain floats (arrays cost
a hundred times more at that size); a test holds the two together.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import isfinite, log1p, sqrt
from typing import Any

import numpy as np
from scipy import stats

from app.calibration.limits import Refusal
from app.calibration.stored_factor import stored_factor, strangers
from app.domain.calibration import CalibratedScore, ScoreStatus
from app.domain.judging import JudgeVersion
from app.stats.factors import subset_weights
from app.stats.ties import tie_probability


@dataclass(frozen=True, slots=True)
class Reading:
    """One seat's verdict on one unit: native scale (pairs signed for the answer that is asked about).

    ``first_shown`` for pairs: 1 if that answer was shown first, -1 if second, 0 unknown.
    """

    judge: JudgeVersion
    value: float
    expected: float | None = None
    first_shown: int = 0


@dataclass(frozen=True, slots=True)
class _Panel:
    """The unit as the panel saw it: score G, error variance, and what must be said of the judges."""

    score: float
    noise: float
    strange: tuple[str, ...]
    changed: tuple[str, ...]


class PreparedCalibration:
    """Applies one stored calibration; immutable but for a cache of weights per set of judges."""

    def __init__(self, *, calibration_id: str, model: Mapping[str, Any]) -> None:
        self.calibration_id, self.model = calibration_id, model
        self.signed = model["kind"] == "pairwise"
        self.level = float(model["level"])
        self.simulated, self.rubric_version = bool(model["simulated"]), int(model["rubric_version"])
        scale = model["scale"]
        self._low, self._width = scale["low"], scale["high"] - scale["low"]
        self._upright = bool(scale["higher_is_better"])
        self.factor = stored_factor(model)
        judges = model["judges"]
        self.judge_codes = {row["version"]: j for j, row in enumerate(judges)}
        self._by_name = {row["name"]: j for j, row in enumerate(judges) if row.get("used")}
        self._removed = [row.get("position", {}).get("removed", 0.0) for row in judges]
        self._expected = [row["uses_expected"] for row in judges]
        self._digests: dict[JudgeVersion, str] = {}
        self._weights: dict[tuple[tuple[int, int], ...], tuple[tuple[float, ...], float]] = {}
        self._systems = {row["name"]: (row["mean"], row["variance"]) for row in model["systems"]}
        self._strangers = strangers(model)
        self._item: Mapping[str, Any] | None = model["item"]
        self._refused = {row["reason"]: row["sentence"] for row in model["refused"]}
        if self._item is not None:
            self._effects = {name: k for k, name in enumerate(self._item["anchored"])}
            self._quantile = float(stats.t.ppf((1 + self.level) / 2, self._item["freedom"]))
            self._fresh = model["conformal"] or self._quantile

    def score(
        self,
        readings: Sequence[Reading],
        *,
        system: str | None,
        other_system: str | None = None,
        words: float | None = None,
        other_words: float | None = None,
        rubric_version: int | None = None,
    ) -> CalibratedScore:
        """The calibrated score of one unit from the seats that gave a verdict (any number of them).

        ``system`` wrote the answer (pairs: the one that positive values speak for, ``other_system`` the
        other). ``words`` are lengths. ``rubric_version`` is the one the verdicts were given under.
        """
        if self.simulated != all(reading.judge.simulated for reading in readings) and readings:
            kind = "simulated" if self.simulated else "real"
            return self._nothing(f"the calibration is of {kind} judges, and this panel is not", stale=True)
        panel = self._read(readings)
        if panel is None:
            return self._nothing("no judge that the calibration knows gave a verdict")
        said = [*self.model["warnings"]]
        stale = self._staleness(panel, rubric_version)
        if self._item is None:
            return self._judge_relative(panel, said + stale)
        return self._calibrated(panel, system, other_system, words, other_words, said, stale)

    def _read(self, readings: Sequence[Reading]) -> _Panel | None:
        """Factor score of the known judges; of unknown ones only if no other sat."""
        if self.factor is None or self._strangers is None:
            return None
        cells: dict[int, list[float]] = {}
        strangers: list[Reading] = []
        changed: list[str] = []
        for reading in readings:
            code, other_version = self._usable(reading.judge)
            if other_version:
                changed.append(reading.judge.name)
            if code is None:
                strangers.append(reading)
                continue
            cells.setdefault(code, []).append(self._inner(reading, code))
        names = tuple(dict.fromkeys(one.judge.name for one in strangers))
        if not cells:
            return self._strange_panel(strangers, names)
        key = tuple(sorted((code, len(values)) for code, values in cells.items()))
        weights_of, reliability = self._weights_of(key)
        if reliability <= 0.0:
            return None
        total = 0.0
        for (code, draws_of), weight in zip(key, weights_of, strict=True):
            total += weight * (sum(cells[code]) / draws_of - float(self.factor.mean[code]))
        return _Panel(total, (1.0 - reliability) / reliability, names, tuple(dict.fromkeys(changed)))

    def _usable(self, judge: JudgeVersion) -> tuple[int | None, bool]:
        """The judge's place in the factor, None without a weight; whether another version stands in."""
        code, other_version = self._code(judge), False
        if code is None:
            code = self._by_name.get(judge.name)
            other_version = code is not None
        if code is None or self.factor is None or not self.factor.used[code]:
            return None, other_version
        return code, other_version

    def _weights_of(self, key: tuple[tuple[int, int], ...]) -> tuple[tuple[float, ...], float]:
        """Weights and reliability of judges with their numbers of draws."""
        known = self._weights.get(key)
        if known is None:
            assert self.factor is not None
            judges, draws = np.array(key).T
            weights, reliability = subset_weights(self.factor, judges, draws)
            known = self._weights[key] = (tuple(float(w) for w in weights), reliability)
        return known

    def weigh(self, readings: Sequence[Reading]) -> tuple[tuple[float, float] | None, ...]:
        """Weight and deviation of each reading: the panel's score G is the sum of their products.

        A deviation is the reading less the judge's mean, on the inner scale. None for what does not count.
        """
        if self.factor is None or self._strangers is None:
            return (None,) * len(readings)
        codes = [self._usable(reading.judge)[0] for reading in readings]
        draws = Counter(code for code in codes if code is not None)
        if not draws:
            found = []
            for reading in readings:
                mean, loading, _ = self._strangers.get(reading.judge.family) or self._strangers[""]
                found.append((1 / (loading * len(readings)), self._inner(reading, None) - mean))
            return tuple(found)
        key = tuple(sorted(draws.items()))
        weight = {code: w for (code, _), w in zip(key, self._weights_of(key)[0], strict=True)}
        return tuple(
            None
            if code is None
            else (weight[code] / draws[code], self._inner(reading, code) - float(self.factor.mean[code]))
            for code, reading in zip(codes, readings, strict=True)
        )

    def line(
        self,
        readings: Sequence[Reading],
        *,
        system: str | None,
        other_system: str | None = None,
        words: float | None = None,
        other_words: float | None = None,
    ) -> tuple[float, float] | None:
        """The score on the inner scale, before it is kept within it, as a line in G: where every judge gives
        its own mean (G = 0), and per unit of G. None where the panel says nothing."""
        panel = self._read(readings)
        if panel is None:
            return None
        if self._item is None:
            about = self.model["panel"]
            return float(about["consensus_mean"]), float(about["consensus_slope"])
        item, size = self._item, self._size(words, other_words, self._item)

        def mean(score: float) -> float:
            at = replace(panel, score=score)
            between, centre, _ = self._place(
                at, system, other_system, item["names"], item["coefficients"], item
            )
            x = _columns(item["names"], between, centre, size)
            return float(self._combine(x, system, other_system, item)[0])

        return mean(0.0), mean(1.0) - mean(0.0)

    def points(self, inner: float) -> float:
        """From the inner scale to the criterion's own, also past its ends; pairs stay signed."""
        if self.signed:
            return inner
        return float(self._low + (inner if self._upright else 1.0 - inner) * self._width)

    def _strange_panel(self, readings: Sequence[Reading], names: tuple[str, ...]) -> _Panel | None:
        """Judges never seen: their family's average judge (or anyone's), noisier by how judges differ."""
        if not readings or self._strangers is None:
            return None
        scores, noises = [], []
        for reading in readings:
            mean, loading, noise = self._strangers.get(reading.judge.family) or self._strangers[""]
            scores.append((self._inner(reading, None) - mean) / loading)
            noises.append(noise)
        k = len(readings)
        shared = min(noises)  # strangers may err alike: more of them are no more than the best of them
        return _Panel(sum(scores) / k, shared, names, ())

    def _code(self, judge: JudgeVersion) -> int | None:
        digest = self._digests.get(judge)
        if digest is None:
            digest = self._digests[judge] = judge.digest()
        return self.judge_codes.get(digest)

    def _inner(self, reading: Reading, code: int | None) -> float:
        use = reading.expected is not None and (code is None or self._expected[code])
        value = reading.expected if use and reading.expected is not None else reading.value
        if self.signed:
            removed = float(self._removed[code]) if code is not None else 0.0
            return value - removed * reading.first_shown
        unit = float((value - self._low) / self._width)
        return unit if self._upright else 1.0 - unit

    def _native(self, value: float) -> float:
        if self.signed:
            return max(-1.0, min(1.0, value))
        unit = max(0.0, min(1.0, value))
        return float(self._low + (unit if self._upright else 1.0 - unit) * self._width)

    def _staleness(self, panel: _Panel, rubric_version: int | None) -> list[str]:
        said = []
        if rubric_version is not None and rubric_version != self.rubric_version:
            said.append(
                f"calibrated under version {self.rubric_version} of the rubric, graded under {rubric_version}"
            )
        if panel.changed:
            said.append(
                f"another version of {', '.join(panel.changed)} was calibrated: "
                "its model, its parameters or its prompt differ"
            )
        if panel.strange:
            names = ", ".join(panel.strange)
            said.append(f"not part of the calibration, and left out where others sat: {names}")
        return said

    def _nothing(self, why: str, stale: bool = False) -> CalibratedScore:
        status = ScoreStatus.STALE if stale else ScoreStatus.JUDGE_RELATIVE
        return CalibratedScore(None, None, self.level, self.calibration_id, status, (why,))

    def _judge_relative(self, panel: _Panel, said: list[str]) -> CalibratedScore:
        """The panel's consensus on the judges' own scale: severity is out, nothing human is in."""
        about = self.model["panel"]
        value = self._native(about["consensus_mean"] + about["consensus_slope"] * panel.score)
        nobody = Refusal.NO_ANCHORS in self._refused
        status = ScoreStatus.JUDGE_RELATIVE if nobody else ScoreStatus.INSUFFICIENT_ANCHORS
        words = (*self._refused.values(), "the score is on the judges' own scale, not on the humans'", *said)
        return CalibratedScore(value, None, self.level, self.calibration_id, status, words)

    def _calibrated(
        self,
        panel: _Panel,
        system: str | None,
        other_system: str | None,
        words: float | None,
        other_words: float | None,
        said: list[str],
        stale: list[str],
    ) -> CalibratedScore:
        item = self._item
        assert item is not None
        names, coefficients = item["names"], item["coefficients"]
        between, centre, variance = self._place(panel, system, other_system, names, coefficients, item)
        size = self._size(words, other_words, item)
        x = _columns(names, between, centre, size)
        mean, spread = self._combine(x, system, other_system, item)
        variance += spread + item["residual_variance"] + item["prompt_variance"]
        if system not in self._effects:
            said.append(f"system {system!r} has no anchors: how systems differ is in the interval")
        elif self.signed and other_system not in self._effects:
            said.append(f"system {other_system!r} has no anchors: how systems differ is in the interval")
        outside = not item["low_score"] - 1e-9 <= centre <= item["high_score"] + 1e-9
        if outside:
            said.append("the panel's score lies outside the range that has human grades")
        status = ScoreStatus.CALIBRATED
        if outside:
            status = ScoreStatus.EXTRAPOLATING
        if stale:
            status = ScoreStatus.STALE
        interval = grade = None
        if Refusal.ITEM_INTERVAL not in self._refused:
            interval = self._ends(mean, self._quantile * sqrt(variance))
            grade = self._ends(mean, self._fresh * sqrt(variance + (item["annotator_variance"] or 0.0)))
        else:
            said.append(self._refused[Refusal.ITEM_INTERVAL])
        bounded = max(-1.0, min(1.0, mean)) if self.signed else mean
        ties = tie_probability(bounded, self.model["tie_width"] or 0.0) if self.signed else None
        return CalibratedScore(
            self._native(mean),
            interval,
            self.level,
            self.calibration_id,
            status,
            (*stale, *said),
            grade,
            ties,
        )

    def _place(
        self,
        panel: _Panel,
        system: str | None,
        other_system: str | None,
        names: Sequence[str],
        coefficients: Sequence[float],
        item: Mapping[str, Any],
    ) -> tuple[float, float, float]:
        """M, M + D, and the variance of not knowing them (see `stats.system_scores.place_units`)."""
        about = self.model["panel"]
        within, prior, slope = about["within_systems"], about["between_systems"], about["consensus_slope"]
        mean, unsure = self._systems.get(system or "", (0.0, prior))
        strange = system not in self._systems
        if self.signed:
            other_mean, other_unsure = self._systems.get(other_system or "", (0.0, prior))
            mean, unsure = mean - other_mean, unsure + other_unsure
            strange = strange or other_system not in self._systems
        spread = within + panel.noise
        learn = unsure / (unsure + spread) if strange else 0.0
        mean += learn * (panel.score - mean)
        unsure *= 1.0 - learn
        kept = within / spread
        between = slope * mean
        centre = between + slope * kept * (panel.score - mean)
        carried = coefficients[names.index("panel")] * (1.0 - kept)
        if "between_systems" in names:
            carried += coefficients[names.index("between_systems")]
        error = item["thin_panel"] * slope**2 * within * (1.0 - kept)
        return between, centre, error + carried**2 * slope**2 * unsure

    def _size(self, words: float | None, other_words: float | None, item: Mapping[str, Any]) -> float:
        if words is None or (self.signed and other_words is None):
            return 0.0
        size = log1p(words) - (log1p(other_words) if self.signed and other_words is not None else 0.0)
        scaled = (size - item["length_mean"]) / max(item["length_sd"], 1e-12)
        return scaled if isfinite(scaled) else 0.0

    def _combine(
        self, x: list[float], system: str | None, other_system: str | None, item: Mapping[str, Any]
    ) -> tuple[float, float]:
        """x' beta with the systems' effects, and its variance."""
        places, values, extra = list(range(len(x))), list(x), 0.0
        signs = ((system, 1.0), (other_system, -1.0)) if self.signed else ((system, 1.0),)
        for name, sign in signs:
            k = self._effects.get(name or "")
            if k is None:
                extra += item["system_variance"]
            else:
                places.append(len(x) + k)
                values.append(sign)
        coefficients, covariance = item["coefficients"], item["covariance"]
        mean = sum(v * coefficients[p] for p, v in zip(places, values, strict=True))
        variance = extra
        for p, v in zip(places, values, strict=True):
            row = covariance[p]
            variance += v * sum(w * row[q] for q, w in zip(places, values, strict=True))
        return mean, variance

    def _ends(self, mean: float, half: float) -> tuple[float, float]:
        ends = self._native(mean - half), self._native(mean + half)
        return min(ends), max(ends)


def _columns(names: Sequence[str], between: float, centre: float, size: float) -> list[float]:
    """The row of the map's regression."""
    known = {"intercept": 1.0, "panel": centre, "between_systems": between, "length": size}
    return [known[name] for name in names]

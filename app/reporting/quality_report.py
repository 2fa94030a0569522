"""Corrected quality of systems and strata: GET /quality."""

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from app.calibration.apply import prepare
from app.calibration.bulk import apply_to_evidence
from app.calibration.design import build_design
from app.calibration.frame import Frame
from app.domain.calibration import Calibration, RunStatus
from app.domain.ids import show_id
from app.domain.problems import NotFound
from app.reporting.estimates import Estimates
from app.reporting.graded_units import GradedUnits, graded_units, raw_units
from app.reporting.newer_units import with_newer
from app.reporting.panel_worth import ToldPanel
from app.reporting.quality_rows import QualityRow, stale_row
from app.reporting.quality_words import table_warnings
from app.reporting.unscored import JudgeUnscored, judge_warnings
from app.stats.rectifier import Population
from app.storage import ledger
from app.storage.calibrations import (
    get_calibration,
    get_frame,
    latest_calibration_id,
    list_calibrations,
    newest_calibrated,
)
from app.storage.database import Database
from app.storage.evidence import load_evidence
from app.storage.rubrics import get_rubric

_KEPT = 8


@dataclass(frozen=True, slots=True)
class QualityTable:
    """The rows of one criterion.

    ``newer_verdicts`` came after the calibration's snapshot for answers it had already, and are not in
    (answers that were first judged since are). ``power_tuning`` is how much
    of a difference between panel scores is taken over (0: human grades alone), ``panel_correlation`` how
    the panel's scores follow the human grades within rows; None without a calibration. ``panel``: whether it
    is worth having, in numbers and in a sentence.
    ``judges``: the missing verdicts of each judge version.
    """

    rubric: str
    rubric_version: int
    criterion: str
    kind: str
    scale: tuple[float, float]
    higher_is_better: bool
    level: float
    population: Population
    calibration_id: str | None
    calibrated_at: datetime | None
    simulated: bool
    newer_verdicts: int
    power_tuning: float | None
    panel_correlation: float | None
    panel: ToldPanel | None
    warnings: tuple[str, ...]
    judges: tuple[JudgeUnscored, ...]
    rows: tuple[QualityRow, ...]


@dataclass(frozen=True, slots=True)
class Ready:
    """A criterion's newest calibration, what its units say, and how many newer verdicts they do not have.

    ``seen`` is the newest verdict that was looked at.
    """

    calibration: Calibration
    estimates: Estimates
    left_out: int
    seen: int

    @property
    def units(self) -> GradedUnits:
        return self.estimates.units


class Quality:
    """Quality tables and what they are made from, with the newest calibrations' units kept in memory."""

    def __init__(self, db: Database) -> None:
        self.db = db
        self._kept: OrderedDict[int, Ready] = OrderedDict()
        self._at_work: dict[int, asyncio.Lock] = {}

    async def table(
        self,
        project_id: int,
        *,
        rubric: str,
        criterion: str,
        by: Sequence[str] = ("system",),
        level: float = 0.95,
        population: Population = "stream",
    ) -> QualityTable:
        """The quality table.

        Parameters
        ----------
        by
            ``system`` and ``stratum.<name>``, in any combination; empty gives one row for everything.
        population
            ``stream``: the answers stand for more like them. ``these_units``: they are all there is.

        Raises
        ------
        NotFound
            If there is no such rubric or criterion.
        BadInput
            If ``by`` names something unknown, or would give more than `MOST_ROWS` rows.
        """
        version = await get_rubric(self.db, project_id, rubric)
        if version is None:
            raise NotFound("rubric", rubric)
        if criterion not in {one.name for one in version.rubric.criteria}:
            raise NotFound("criterion", criterion)
        ready = await self.ready(project_id, rubric, criterion)
        calibration = None if ready is None else ready.calibration
        if ready is None:
            units = await self.uncalibrated(project_id, rubric, criterion)
            estimates = Estimates(units, calibrated=False)
        else:
            units, estimates = ready.units, ready.estimates
        computed = await asyncio.to_thread(estimates.table, by, level, population)
        rows, quality, judges = computed.rows, computed.quality, computed.judges
        warnings = table_warnings(units.frame, units.anchoring, quality) if quality is not None else ()
        newer = 0 if ready is None else ready.left_out
        stale = calibration is not None and calibration.snapshot.get("rubric_version") != version.version
        frame = units.frame
        if calibration is None:
            about = await self.why_none(project_id, rubric, criterion)
        else:
            about = _about_calibration(calibration, newer, stale)
        return QualityTable(
            rubric=rubric,
            rubric_version=version.version,
            criterion=criterion,
            kind=version.rubric.kind.value,
            scale=(0.0, 1.0) if units.pairwise else (frame.low, frame.high),
            higher_is_better=True if units.pairwise else frame.higher_is_better,
            level=level,
            population=population,
            calibration_id=None if calibration is None else show_id("c", calibration.id),
            calibrated_at=None if calibration is None else calibration.finished_at,
            simulated=frame.simulated,
            newer_verdicts=newer,
            power_tuning=None if quality is None else quality.means.power.lam,
            panel_correlation=None if quality is None else quality.means.power.correlation,
            panel=computed.panel,
            warnings=(*about, *warnings, *judge_warnings(judges, frame.higher_is_better)),
            judges=judges,
            rows=tuple(stale_row(row) for row in rows) if stale else rows,
        )

    async def ready(self, project_id: int, rubric: str, criterion: str) -> Ready | None:
        """The newest calibration that is done, with all that was judged since; None if there is none."""
        newest = await latest_calibration_id(self.db, project_id, rubric=rubric, criterion=criterion)
        if newest is None:
            return None
        async with self._at_work.setdefault(newest, asyncio.Lock()):  # who comes meanwhile waits for it
            kept = self._kept.get(newest) or await self._read(project_id, newest)
            if kept is None:
                return None
            if await self.db.read(ledger.newest) > kept.seen:
                kept = await self._with_newer(project_id, kept)
            self._kept[newest] = kept
        self._kept.move_to_end(newest)
        while len(self._kept) > _KEPT:
            dropped, _ = self._kept.popitem(last=False)
            self._at_work.pop(dropped, None)
        return kept

    async def prepare(self, project_id: int, rubric: str, criterion: str) -> None:
        """Arrange a criterion's units and compute what its pages begin with, before anyone asks."""
        ready = await self.ready(project_id, rubric, criterion)
        if ready is not None:
            await asyncio.to_thread(ready.estimates.table, ("system",), 0.95, "stream")

    async def prepare_newest(self) -> None:
        """`prepare` the criteria that were calibrated last, as many as are kept, the newest last."""
        for about in reversed(await newest_calibrated(self.db, limit=_KEPT)):
            await self.prepare(*about)

    async def units(self, project_id: int, rubric: str, criterion: str) -> tuple[GradedUnits, bool]:
        """Everything that was judged or graded on a criterion, and whether it is calibrated."""
        ready = await self.ready(project_id, rubric, criterion)
        if ready is not None:
            return ready.units, True
        return await self.uncalibrated(project_id, rubric, criterion), False

    async def why_none(self, project_id: int, rubric: str, criterion: str) -> tuple[str, ...]:
        """Why a criterion without a calibration has none: what the newest run said, if it was refused."""
        refused = await self.refusals(project_id, rubric, criterion)
        return refused or ("this criterion has not been calibrated: upload human grades and calibrate",)

    async def calibrated(self, project_id: int, rubric: str, criterion: str) -> tuple[datetime, ...]:
        """When the newest calibrations of a criterion were done, newest first."""
        runs = await list_calibrations(self.db, project_id, rubric=rubric, criterion=criterion, limit=100)
        return tuple(
            run.finished_at for run in runs.items if run.status is RunStatus.DONE and run.finished_at
        )

    async def refusals(self, project_id: int, rubric: str, criterion: str) -> tuple[str, ...]:
        """What the newest run of a criterion said if it was refused; else empty."""
        runs = await list_calibrations(self.db, project_id, rubric=rubric, criterion=criterion, limit=1)
        if runs.items and runs.items[0].status is RunStatus.REFUSED and runs.items[0].refusals:
            whys = (why.partition(": ")[2] or why for why in runs.items[0].refusals)
            return tuple(f"the calibration of this criterion was refused: {why}" for why in whys)
        return ()

    async def _read(self, project_id: int, calibration_id: int) -> Ready | None:
        calibration = await get_calibration(self.db, project_id, calibration_id)
        raw = await get_frame(self.db, project_id, calibration_id)
        if raw is None or calibration is None:
            return None
        frame = await asyncio.to_thread(Frame.from_bytes, raw)
        units = await asyncio.to_thread(graded_units, frame)
        return Ready(calibration, Estimates(units), 0, frame.newest_verdict)

    async def _with_newer(self, project_id: int, kept: Ready) -> Ready:
        calibration, frame = kept.calibration, kept.units.frame
        later = await load_evidence(
            self.db,
            project_id,
            calibration.rubric,
            calibration.criterion,
            after_verdict=kept.seen,
            simulated=frame.simulated,
        )
        prepared = prepare(calibration)
        if not len(later.v_unit) or prepared is None:
            return replace(kept, seen=later.newest_verdict, left_out=kept.left_out + len(later.v_unit))
        scores = await asyncio.to_thread(apply_to_evidence, prepared, later)
        more = with_newer(frame, later, scores)
        estimates = kept.estimates
        if more.added:
            estimates = Estimates(await asyncio.to_thread(graded_units, more.frame))
        return Ready(calibration, estimates, kept.left_out + more.left_out, later.newest_verdict)

    async def uncalibrated(self, project_id: int, rubric: str, criterion: str) -> GradedUnits:
        """Every unit as judges and people left it, for a criterion without a calibration."""
        evidence = await load_evidence(self.db, project_id, rubric, criterion)
        return await asyncio.to_thread(lambda: raw_units(build_design(evidence)))


def _about_calibration(calibration: Calibration, newer: int, stale: bool) -> tuple[str, ...]:
    said = []
    if stale:
        said.append(
            f"calibrated under version {calibration.snapshot.get('rubric_version')} of the rubric, "
            "which has changed since"
        )
    if newer:
        are = "verdict is" if newer == 1 else "verdicts are"
        said.append(
            f"{newer} newer {are} not in these numbers: on answers that this calibration had already, or "
            "under another version of the rubric; calibrate again"
        )
    return tuple(said)

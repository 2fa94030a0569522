"""What one state of a criterion's units says, computed once however often it is asked."""

from collections import OrderedDict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from threading import RLock

from app.reporting.graded_units import GradedUnits
from app.reporting.panel_worth import ToldPanel, told_panel
from app.reporting.quality_groups import Groups, group_units
from app.reporting.quality_rows import QualityRow, estimate, rows_of, with_unscored
from app.reporting.unscored import JudgeUnscored, unscored_judges
from app.stats.group_quality import GroupQuality
from app.stats.rectifier import Population

_KEPT_ESTIMATES = 8
_KEPT_TABLES = 64


@dataclass(frozen=True, slots=True)
class ComputedTable:
    """What a quality table takes of its units alone; ``quality`` and ``panel`` are None uncalibrated."""

    rows: tuple[QualityRow, ...]
    quality: GroupQuality | None
    judges: tuple[JudgeUnscored, ...]
    panel: ToldPanel | None


class Estimates:
    """Estimates and tables of ``units``, kept as long as these are.

    Units never change: a newer verdict makes others, with estimates of their own, so that nothing kept
    here can be out of date. May be asked from several threads.
    """

    def __init__(self, units: GradedUnits, *, calibrated: bool = True) -> None:
        self.units, self.calibrated = units, calibrated
        self._one_at_a_time = RLock()
        self._kept: OrderedDict[tuple[Hashable, ...], tuple[Groups, GroupQuality]] = OrderedDict()
        self._table = lru_cache(_KEPT_TABLES)(self._new_table)
        self._judges = lru_cache(_KEPT_TABLES)(lambda level: unscored_judges(units, level))

    def of(
        self,
        by: Sequence[str] = ("system",),
        level: float = 0.95,
        population: Population = "stream",
        *,
        at: str = "query.by",
    ) -> tuple[Groups, GroupQuality]:
        """The rows that ``by``, found ``at`` that place of a request, asks for, and each one's quality on the
        unit scale.

        Raises
        ------
        BadInput
            If ``by`` names something unknown, or would give more than `MOST_ROWS` rows.
        """
        key = (tuple(by), level, population)
        with self._one_at_a_time:
            if key not in self._kept:
                groups = group_units(self.units, by, at=at)
                self._kept[key] = groups, estimate(self.units, groups, level, population)
            self._kept.move_to_end(key)
            while len(self._kept) > _KEPT_ESTIMATES:
                self._kept.popitem(last=False)
            return self._kept[key]

    def table(self, by: Sequence[str], level: float, population: Population) -> ComputedTable:
        """The same as rows of a table; BadInput as `of`."""
        with self._one_at_a_time:
            return self._table(tuple(by), level, population)

    def _new_table(self, by: tuple[str, ...], level: float, population: Population) -> ComputedTable:
        units, quality = self.units, None
        if self.calibrated and units.system.size:
            groups, quality = self.of(by, level, population)
        else:
            groups = group_units(units, by)
        rows = with_unscored(rows_of(units, groups, quality), units, groups, level, quality)
        panel = None if quality is None else told_panel(units, groups, level)
        return ComputedTable(rows, quality, self._judges(level), panel)

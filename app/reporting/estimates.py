"""What one state of a criterion's units says, computed once however often it is asked."""

from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from threading import RLock
from typing import Any, TypeVar

from app.reporting.graded_units import GradedUnits
from app.reporting.panel_worth import ToldPanel, told_panel
from app.reporting.quality_groups import Groups, group_units
from app.reporting.quality_rows import QualityRow, estimate, rows_of, with_unscored
from app.reporting.unscored import JudgeUnscored, unscored_judges
from app.stats.group_quality import GroupQuality
from app.stats.rectifier import Population

T = TypeVar("T")

_KEPT = 16


@dataclass(frozen=True, slots=True)
class ComputedTable:
    """What a quality table takes of its units alone; ``quality`` and ``panel`` are None uncalibrated."""

    rows: tuple[QualityRow, ...]
    quality: GroupQuality | None
    judges: tuple[JudgeUnscored, ...]
    panel: ToldPanel | None


class Estimates:
    """Estimates and tables of ``units``, and whatever else is made from them, kept as long as these are.

    Units never change: a newer verdict makes others, with estimates of their own, so that nothing kept
    here can be out of date. May be asked from several threads.
    """

    def __init__(self, units: GradedUnits, *, calibrated: bool = True) -> None:
        self.units, self.calibrated = units, calibrated
        self._one_at_a_time = RLock()
        self._kept: OrderedDict[Hashable, Any] = OrderedDict()

    def once(self, key: Hashable, compute: Callable[[], T]) -> T:
        """What ``compute`` makes of the units, or made of them before under the same ``key``."""
        with self._one_at_a_time:
            if key not in self._kept:
                self._kept[key] = compute()
            self._kept.move_to_end(key)
            while len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
            found: T = self._kept[key]
            return found

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

        def compute() -> tuple[Groups, GroupQuality]:
            groups = group_units(self.units, by, at=at)
            return groups, estimate(self.units, groups, level, population)

        return self.once(("estimates", *by, level, population), compute)

    def table(self, by: Sequence[str], level: float, population: Population) -> ComputedTable:
        """The same as rows of a table; BadInput as `of`."""

        def compute() -> ComputedTable:
            units, quality = self.units, None
            if self.calibrated and units.system.size:
                groups, quality = self.of(by, level, population)
            else:
                groups = group_units(units, by)
            rows = with_unscored(rows_of(units, groups, quality), units, groups, level, quality)
            judges = self.once(("judges", level), lambda: unscored_judges(units, level))
            panel = None if quality is None else told_panel(units, groups, level)
            return ComputedTable(rows, quality, judges, panel)

        return self.once(("table", *by, level, population), compute)

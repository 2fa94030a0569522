"""Whether the panel of a quality table is worth having, in numbers and in a sentence."""

from dataclasses import dataclass, replace

from app.reporting.graded_units import GradedUnits
from app.reporting.quality_groups import Groups
from app.stats.panel_worth import PanelWorth, Worth, panel_worth


@dataclass(frozen=True, slots=True)
class ToldPanel:
    """``worth`` within the rows of the table (pairs: ``n`` counts each once), and what it means."""

    worth: PanelWorth
    sentence: str


def told_panel(units: GradedUnits, groups: Groups, level: float) -> ToldPanel:
    """What the panel is worth to the rows of a table."""
    worth = panel_worth(
        group=groups.code,
        prompt=units.prompt,
        prediction=units.prediction,
        human=units.human,
        inclusion=units.inclusion,
        level=level,
    )
    if units.pairwise:
        worth = replace(worth, n=worth.n // 2)
    return ToldPanel(worth, panel_sentence(worth, level))


_WORTH = {
    Worth.USEFUL: "the judges are useful here",
    Worth.WEAK: "the judges help little here, or are not shown to",
    Worth.USELESS: "the judges are useless here",
}
_ADVICE = {
    Worth.USEFUL: "",
    Worth.WEAK: "; more human grades tell more surely",
    Worth.USELESS: "; the numbers rest on human grades: change the judges, their prompt or the rubric",
}


def panel_sentence(panel: PanelWorth, level: float, within: str = "rows") -> str:
    """What the panel is worth, in one sentence with its numbers."""
    if panel.status is Worth.INSUFFICIENT_DATA:
        return f"whether the judges are of use cannot be told yet: {panel.why}"
    said, advice = _WORTH[panel.status], _ADVICE[panel.status]
    if panel.correlation is None or panel.interval is None or panel.width_ratio is None:
        return f"{said}: {panel.why}{advice}"
    low, high = panel.interval
    shorter, saved = 1.0 - panel.width_ratio, 1.0 - panel.width_ratio**2
    return (
        f"{said}: within {within} their scores follow people's grades with a correlation of "
        f"{panel.correlation:.2f} ({100 * level:g}% interval {low:.2f} to {high:.2f}, {panel.n} graded), "
        f"which saves {saved:.0%} of the human grades (intervals {shorter:.0%} shorter){advice}"
    )

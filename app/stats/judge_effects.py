"""What is systematic in one judge, relative to people: severity, discrimination, taste for length and layout,
and what it adds to single systems and groups.

Severity is E[Y - S], human minus judge on the same answers. Everything else holds quality fixed:
`quality_held_fixed` has the model and the equations.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.stats.errors import InsufficientData, NotIdentified
from app.stats.jackknife import Effect, cluster_jackknife, sums_by_prompt
from app.stats.quality_held_fixed import MIN_ANCHORS, HeldFixed, JudgedAnchors, tells

Floats = NDArray[np.float64]

MIN_ANCHORS_OF_SYSTEM = 5


def severity(anchors: JudgedAnchors, *, level: float = 0.95) -> Effect:
    """Mean of human minus judge: positive for a severe judge, negative for a lenient one."""
    if anchors.other_system is not None:
        raise NotIdentified("severity", "a pair has no level, only which answer is better is judged")
    n = len(anchors.judge)
    if n < MIN_ANCHORS:
        raise InsufficientData("answers graded by this judge and by people", n, MIN_ANCHORS)
    moments = np.column_stack([np.ones(n), anchors.human - anchors.judge])
    return cluster_jackknife(
        sums_by_prompt(moments, anchors.prompt),
        lambda total: total[:, 1] / total[:, 0],
        n=n,
        level=level,
        what="severity",
    )


def discrimination(fixed: HeldFixed, *, level: float = 0.95) -> Effect:
    """Slope b: by how much the judge's value rises when true quality rises by 1, within systems.

    Length and layout, where they are known, are held fixed: a judge that likes length would otherwise seem to
    follow quality, as far as better answers are longer.
    """
    return fixed.effect(_unit(fixed, 0), what="discrimination", n=fixed.n, level=level)


def taste(fixed: HeldFixed, anchors: JudgedAnchors, which: str, *, level: float = 0.95) -> Effect:
    """Slope lam of ``which``, "length" or "layout": what the judge adds per doubling, at equal quality.

    Raises
    ------
    InsufficientData, NotIdentified
        If it is known for too few of the ``anchors``, or hardly differs between them.
    """
    value = anchors.length if which == "length" else anchors.layout
    known = 0 if value is None else int((~np.isnan(value)).sum())
    if value is None or known < MIN_ANCHORS:
        raise InsufficientData(f"anchors of known {which}", known, MIN_ANCHORS)
    if not tells(value):
        raise NotIdentified(which, f"the answers hardly differ in {which}, or for many it is unknown")
    place = 1 + fixed.covariates.index(which)
    return fixed.effect(_unit(fixed, place), what=which, n=fixed.n, level=level)


@dataclass(frozen=True, slots=True)
class SystemEffects:
    """d_s: what the judge adds to each system at equal human quality.

    ``systems`` (S,) codes; ``effect`` (S,); ``covariance`` (S, S), prompt-clustered; ``anchors`` (S,) units.
    Pairs tell only differences between systems: their effects are those that sum to 0.
    """

    systems: NDArray[np.int64]
    effect: Floats
    covariance: Floats
    anchors: NDArray[np.int64]

    def of(self, some: NDArray[np.bool_]) -> "SystemEffects":
        """Those of ``some`` (S,) systems."""
        return SystemEffects(
            self.systems[some], self.effect[some], self.covariance[np.ix_(some, some)], self.anchors[some]
        )


def system_effects(fixed: HeldFixed) -> SystemEffects:
    """Effects of the systems with at least `MIN_ANCHORS_OF_SYSTEM` anchors; InsufficientData below two."""
    enough = np.flatnonzero(fixed.of_system >= MIN_ANCHORS_OF_SYSTEM)
    if len(enough) < 2:
        raise InsufficientData("systems with enough anchors", len(enough), 2)
    place = 1 + len(fixed.covariates) + enough
    return SystemEffects(
        fixed.systems[enough],
        fixed.estimate[place],
        fixed.covariance[np.ix_(place, place)],
        fixed.of_system[enough],
    )


def system_against_rest(fixed: HeldFixed, system: int, *, level: float = 0.95) -> Effect:
    """What the judge adds to one system at equal quality, less what it adds to the others on average.

    ``system`` is a place in ``fixed.systems``. The others count by their anchors.
    """
    first = 1 + len(fixed.covariates)
    contrast = np.zeros(len(fixed.estimate))
    contrast[first : first + len(fixed.systems)] = _against_rest(fixed.of_system, system)
    n = int(fixed.of_system[system])
    return fixed.effect(contrast, what="the system's effect", n=n, level=level)


def group_against_rest(fixed: HeldFixed, group: int, *, level: float = 0.95) -> Effect:
    """The same of one group, a place in ``fixed.groups``, within systems."""
    contrast = np.zeros(len(fixed.estimate))
    contrast[len(contrast) - len(fixed.groups) + 1 :] = _against_rest(fixed.of_group, group)[1:]
    n = int(fixed.of_group[group])
    return fixed.effect(contrast, what="the group's effect", n=n, level=level)


def _against_rest(counts: NDArray[np.int64], one: int) -> Floats:
    """Weights (K,): 1 for one of K, and minus the others' shares of their anchors."""
    if len(counts) < 2:
        raise NotIdentified("the effect", "every anchor is in this group")
    weights = -counts / (counts.sum() - counts[one])
    weights[one] = 1.0
    return np.asarray(weights, dtype=np.float64)


def _unit(fixed: HeldFixed, place: int) -> Floats:
    unit = np.zeros(len(fixed.estimate))
    unit[place] = 1.0
    return unit

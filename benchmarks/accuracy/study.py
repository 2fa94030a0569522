"""Draws of one criterion, and what every method made of them."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import combinations

import numpy as np

from benchmarks.accuracy import estimates as ways
from benchmarks.accuracy.estimates import Estimates
from benchmarks.accuracy.items import ItemMaps
from benchmarks.accuracy.panel import Floats, Ints, Sides, anchored, group_mean, judge, sides
from benchmarks.accuracy.peers import Peer, by_group
from benchmarks.accuracy.protocols import Protocol
from benchmarks.accuracy.recorded import Recorded

TARGETS = ("systems", "strata", "pairs", "items")
LEAST_UNITS = 10  # a system or stratum with fewer has no truth worth the name


@dataclass(slots=True)
class Kept:
    """Of one method: error, whether covered, width: a list over draws of (G,) arrays, NaN unanswered."""

    error: list[Floats] = field(default_factory=list)
    covered: list[Floats] = field(default_factory=list)
    width: list[Floats] = field(default_factory=list)

    def add(self, found: Estimates, truth: Floats) -> None:
        known = np.isfinite(found.lower) & np.isfinite(found.upper) & np.isfinite(truth)
        held = (found.lower - 1e-12 <= truth) & (truth <= found.upper + 1e-12)
        self.error.append(found.estimate - truth)
        self.covered.append(np.where(known, held, np.nan))
        self.width.append(found.upper - found.lower)


@dataclass(frozen=True, slots=True)
class Result:
    """``kept[anchors, target, method]``; ``anchors_in[anchors]``: (draws, S) anchors of every system."""

    data: Recorded
    groups: Mapping[str, tuple[str, ...]]
    kept: Mapping[tuple[int, str, str], Kept]
    anchors_in: Mapping[int, list[Ints]]
    useless: Mapping[int, list[bool]]


def study(
    data: Recorded,
    protocol: Protocol,
    *,
    draws: int,
    peer_draws: int,
    item_draws: int,
    peers: Mapping[str, Peer],
) -> Result:
    """Draw ``draws`` times; the slow ones (peers, items) take part in the first draws only."""
    kept: dict[tuple[int, str, str], Kept] = defaultdict(Kept)
    anchors_in: dict[int, list[Ints]] = defaultdict(list)
    useless: dict[int, list[bool]] = defaultdict(list)
    truth = truths(data)
    fixed = None if protocol.resample or protocol.seats else judge(data)
    for number in range(draws):
        drawn, rng = protocol.draw(data, number)
        panel = judge(drawn) if fixed is None else fixed
        side = sides(drawn)
        maps = ItemMaps(drawn, panel) if number < item_draws else None
        state = rng.bit_generator.state
        for anchors in protocol.anchor_counts(data):
            rng.bit_generator.state = state
            rows = protocol.pick(drawn, anchors, rng)
            graded = np.zeros(drawn.units, bool)
            graded[rows] = True
            y = np.where(graded[side.unit], side.human, np.nan)
            anchors_in[anchors].append(
                np.bincount(side.system[graded[side.unit]], minlength=len(data.systems))
            )
            found = _plain(drawn, side, y, protocol)
            for target, one in ways.ours(anchored(panel.frame, drawn, rows), protocol.population).items():
                found[target, "ours"] = ways.shown(one)
                if target == "systems":
                    found["pairs", "ours"] = ways.differences(one)
                    useless[anchors].append(one.quality.means.power.lam == 0.0)
            if number < peer_draws:
                for name, peer in peers.items():
                    found["systems", name] = by_group(peer, y, _proxy(side), side.system, len(data.systems))
            for name in [m for t, m in found if t == "systems" and m != "ours"]:
                found["pairs", name] = ways.independent_differences(found["systems", name])
            for (target, method), estimates in found.items():
                kept[anchors, target, method].add(estimates, truth[target])
            if maps is not None:
                _items(kept, anchors, maps, drawn, rows)
    names = {
        "systems": data.systems, "strata": data.strata,
        "pairs": tuple(f"{b} - {a}" for a, b in combinations(data.systems, 2)), "items": (),
    }  # fmt: skip
    return Result(data, names, dict(kept), dict(anchors_in), dict(useless))


def truths(data: Recorded) -> dict[str, Floats]:
    """(G,) mean human grade on 0 to 1 by target, NaN where there is none to speak of."""
    side = sides(data)
    out = {}
    for target, group, groups in _groupings(data, side):
        count = np.bincount(group[group >= 0], minlength=groups)
        out[target] = np.where(count >= LEAST_UNITS, group_mean(side.human, group, groups), np.nan)
    mean = out["systems"].copy()
    if data.pairwise and mean.size == 2:
        out["systems"][1] = np.nan  # wins where the other loses: the same number again
    out["pairs"] = np.array([mean[b] - mean[a] for a, b in combinations(range(mean.size), 2)])
    return out


def _groupings(data: Recorded, side: Sides) -> list[tuple[str, Ints, int]]:
    """Both sides of a pair sum to 1 in every stratum: there only the first system's are looked at."""
    stratum = np.where(side.system == 0, side.stratum, -1) if data.pairwise else side.stratum
    return [("systems", side.system, len(data.systems)), ("strata", stratum, len(data.strata))]


def _plain(data: Recorded, side: Sides, y: Floats, protocol: Protocol) -> dict[tuple[str, str], Estimates]:
    found = {}
    finite = protocol.population == "these_units"
    for target, group, groups in _groupings(data, side):
        if not groups:
            continue
        best, _ = ways.best_judge(side, group)
        found[target, "human"] = ways.human_only(y, group, groups, finite)
        found[target, "raw"] = ways.raw_panel(side.raw, group, groups)
        found[target, "best_judge"] = ways.ppi(y, side.value[:, best], group, groups)
        found[target, "ppi"] = ways.ppi(y, side.raw, group, groups)
        if side.value.shape[1] > 1:
            found[target, "multi_ppi"] = ways.multi_ppi(y, side.value, group, groups)
    return found


def _proxy(side: Sides) -> Floats:
    best, better = ways.best_judge(side, side.system)
    return side.value[:, best] if better else side.raw


def _items(
    kept: dict[tuple[int, str, str], Kept], anchors: int, maps: ItemMaps, data: Recorded, rows: Ints
) -> None:
    """Errors of single scores, and coverage of single human grades."""
    found, held = maps.scores_of(rows)
    side = sides(data)
    human, raw = side.human[: data.units], side.raw[: data.units].copy()
    raw[rows] = np.nan
    constant = np.where(np.isfinite(raw), human[rows].mean(), np.nan)
    ours = kept[anchors, "items", "ours"]
    by_system = group_mean(held, data.system[data.vote_unit], len(data.systems))
    ours.error.append(found.estimate - human)
    ours.covered.append(by_system)
    ours.width.append(group_mean(found.upper - found.lower, data.system, len(data.systems)))
    for method, estimate in (("raw", raw), ("human", constant)):
        kept[anchors, "items", method].error.append(estimate - human)

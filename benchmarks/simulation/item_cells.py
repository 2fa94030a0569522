"""Scores of single answers by any panel: coverage of both intervals and errors, where the truth is known.

A calibration is fitted to panels of three and some human grades. New answers to new prompts are then scored
as POST /grade scores them, by panels of every make-up. The truth about quality is the mean grade that
people would give the answer, in closed form; the truth about a grade is one more person's.
"""

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray
from scipy import special

from app.calibration.calibrate import compute
from app.calibration.prepared import PreparedCalibration, Reading
from app.domain.judging import UnscoredReason
from app.storage.evidence import Evidence
from benchmarks.simulation.made_evidence import SCALE
from benchmarks.simulation.tally import Sums, Tally
from benchmarks.simulation.worlds import (
    COMMON_ERROR,
    FAMILY_ERROR,
    JUDGES,
    PANEL,
    Panel,
    World,
    draw,
    draw_panel,
    grades,
    qualities,
)

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

ANCHORS = (40, 100, 300)  # graded answers in all; in worlds other than the first 100 alone
ANSWERS = 100  # scored in every world
STRANGER = "system-never-seen"
_STRATA = ("easy", "hard")


@dataclass(frozen=True)
class ItemWorld:
    """``twice``: share of anchors that two people graded. ``missing``: share of verdicts that failed, in the
    calibration and afterwards."""

    name: str
    world: World = field(default_factory=lambda: World("items", prompts=120))
    twice: float = 0.5
    missing: float = 0.0


ITEM_WORLDS = (
    ItemWorld("ordinal"),
    ItemWorld("ordinal, single grades", twice=0.0),
    ItemWorld("ordinal, a fifth of verdicts missing", missing=0.2),
    ItemWorld("binary", World("items", prompts=120, cuts=(-0.3,))),
    ItemWorld("null panel", World("items", prompts=120, null_panel=True)),
)


def item_anchors(name: str) -> tuple[int, ...]:
    """Numbers of anchors tried in the world called ``name``."""
    return ANCHORS if name == ITEM_WORLDS[0].name else (100,)


@dataclass(frozen=True)
class Answers:
    """New answers of known quality (a,), with the verdicts (a, 8) of all judges, known or not."""

    system: Ints
    stratum: Ints
    words: Floats
    value: Floats
    latent: Floats
    grade: Floats


def chunk(cell: ItemWorld, seed: int, start: int, stop: int) -> Sums:
    """Sums over the worlds ``start`` to ``stop``; the first key is the number of anchors."""
    tally = Tally()
    for k in range(start, stop):
        rng = np.random.default_rng([seed, k])
        drawn = draw(cell.world, rng)
        strangers = draw_panel(replace(cell.world, systems=cell.world.systems + 1), len(JUDGES), rng)
        panel = _with_strangers(drawn.panel, strangers)
        evidence = _without_some(drawn.evidence, cell.missing, rng)
        new, strange = (_answers(cell.world, panel, ANSWERS, rng, unseen) for unseen in (False, True))
        order = rng.permutation(drawn.grade.size)
        second = grades(cell.world, drawn.quality, rng)
        for n in item_anchors(cell.name):
            anchors = order[:n]
            graded = _graded(evidence, anchors, drawn.grade, second, cell.twice)
            done = compute(graded, seed=k)
            at = f"{n}:"
            tally.add(f"{at}answered", not done.refusals)
            prepared = PreparedCalibration(calibration_id="c_1", model=done.model)
            _panels(tally, at, prepared, new, strange, cell.missing, np.random.default_rng([seed, k, n]))
            _beside(tally, at, cell.world, drawn.panel, graded, anchors, drawn.grade, new)
    return tally.sums


def _with_strangers(panel: Panel, more: Panel) -> Panel:
    """The six judges of ``panel`` and two that no calibration knows; and one more system."""
    s = panel.of_system.shape[0]
    of_system = more.of_system.copy()
    of_system[:s, :PANEL] = panel.of_system
    parts = {}
    for name in ("of_stratum", "severity", "slope", "noise"):
        parts[name] = getattr(more, name).copy()
        parts[name][..., :PANEL] = getattr(panel, name)
    return Panel(useless=panel.useless, of_system=of_system, **parts)


def _without_some(evidence: Evidence, missing: float, rng: np.random.Generator) -> Evidence:
    lost = rng.random(evidence.v_value.size) < missing
    timeout = list(UnscoredReason).index(UnscoredReason.TIMEOUT)
    return replace(
        evidence,
        v_value=np.where(lost, np.nan, evidence.v_value),
        v_unscored=np.where(lost, timeout, -1).astype(np.int8),
    )


def _graded(evidence: Evidence, anchors: Ints, first: Floats, second: Floats, twice: float) -> Evidence:
    """``evidence`` with one grade of every anchor, and a second person's of some."""
    again = anchors[: round(twice * anchors.size)]
    unit = np.concatenate([anchors, again])
    person = np.repeat([0, 1], [anchors.size, again.size])
    value = np.concatenate([first[anchors], second[again]])
    order = np.argsort(unit, kind="stable")
    return replace(
        evidence,
        h_unit=unit[order].astype(np.int32),
        h_value=_native(value[order]),
        h_annotator=person[order].astype(np.int32),
        h_inclusion=np.full(unit.size, np.nan),
        annotators=("person-0", "person-1"),
        annotator_types=("expert", "expert"),
    )


def _native(share: Floats) -> Floats:
    return SCALE.low + (SCALE.high - SCALE.low) * share


def _answers(world: World, panel: Panel, count: int, rng: np.random.Generator, unseen: bool) -> Answers:
    """Each of a prompt of its own; ``unseen``: all of one system that no calibration knows."""
    systems = world.systems
    system = np.full(count, systems) if unseen else rng.integers(0, systems, count)
    mean = np.append(qualities(world), rng.uniform(-world.spread, world.spread))
    stratum = (rng.random(count) < world.hard_share).astype(np.int64)
    q = mean[system] + world.hard * stratum + rng.standard_normal(count)
    every = np.tile(np.arange(len(JUDGES)), (count, 1))
    latent = special.ndtr((q[:, None] - np.array(world.cuts)) / world.human_noise).mean(1)
    return Answers(
        system=system,
        stratum=stratum,
        words=np.round(np.exp(5 + 0.4 * rng.standard_normal(count))),
        value=panel.verdicts(q, system, stratum, every, rng),
        latent=_native(latent),
        grade=_native(grades(world, q, rng)),
    )


def _panels(
    tally: Tally,
    at: str,
    prepared: PreparedCalibration,
    new: Answers,
    strange: Answers,
    missing: float,
    rng: np.random.Generator,
) -> None:
    """Every make-up of the panel: as in the calibration, single judges, pairs, all, judges never seen."""
    a = new.system.size
    three = 2 * np.arange(3) + rng.integers(0, 2, (a, 3))
    kept = rng.random((a, 3)) >= missing
    usual = [row[some] for row, some in zip(three, kept, strict=True)]
    _scored(tally, f"{at}usual", prepared, new, usual)
    for code, name in enumerate(_STRATA):
        _scored(tally, f"{at}{name}", prepared, new, usual, new.stratum == code)
    for j in range(PANEL):
        _scored(tally, f"{at}judge {j}", prepared, new, [np.array([j])] * a)
    pairs = [np.sort(rng.permutation(PANEL)[:2]) for _ in range(a)]
    _scored(tally, f"{at}two", prepared, new, pairs)
    _scored(tally, f"{at}three", prepared, new, [np.sort(rng.permutation(PANEL)[:3]) for _ in range(a)])
    _scored(tally, f"{at}all", prepared, new, [np.arange(PANEL)] * a)
    _scored(tally, f"{at}first of families", prepared, new, [2 * np.arange(3)] * a)
    _scored(tally, f"{at}unseen judge", prepared, new, [np.array([PANEL])] * a)
    _scored(tally, f"{at}unseen family", prepared, new, [np.array([PANEL + 1])] * a)
    _scored(tally, f"{at}unseen system", prepared, strange, usual)


def _scored(
    tally: Tally,
    at: str,
    prepared: PreparedCalibration,
    answers: Answers,
    panels: list[Ints],
    some: NDArray[np.bool_] | None = None,
) -> None:
    """Adds what the scores of ``some`` answers by their panels amount to, in means over a world."""
    rows = np.arange(answers.system.size) if some is None else np.flatnonzero(some)
    found = np.full((rows.size, 5), np.nan)
    for k, row in enumerate(rows.tolist()):
        readings = [Reading(JUDGES[j], float(answers.value[row, j])) for j in panels[row].tolist()]
        system = f"system-{answers.system[row]}"
        score = prepared.score(readings, system=system, words=float(answers.words[row]))
        if score.score is None or score.interval is None or score.grade_interval is None:
            continue
        found[k] = (score.score, *score.interval, *score.grade_interval)
    value, low, high, grade_low, grade_high = found.T
    latent, grade = answers.latent[rows], answers.grade[rows]
    known = np.isfinite(low)
    tally.add(f"{at} given", known.mean())
    if not known.any():
        return
    mean = {
        "latent": (low - 1e-9 <= latent) & (latent <= high + 1e-9),
        "grade": (grade_low - 1e-9 <= grade) & (grade <= grade_high + 1e-9),
        "latent width": high - low,
        "grade width": grade_high - grade_low,
        "latent error2": (value - latent) ** 2,
        "grade error2": (value - grade) ** 2,
    }
    for name, values in mean.items():
        tally.add(f"{at} {name}", values[known].mean())


def _beside(
    tally: Tally,
    at: str,
    world: World,
    panel: Panel,
    evidence: Evidence,
    anchors: Ints,
    grade: Floats,
    new: Answers,
) -> None:
    """The mean of standardised judges put through a line by the anchors, the best linear prediction that
    knows how the world was drawn, and a second person: squared errors for new answers, panels of three."""
    three = np.tile(2 * np.arange(3), (new.system.size, 1))
    judge, value = evidence.v_judge, evidence.v_value
    scored = np.isfinite(value)
    count = np.maximum(np.bincount(judge[scored], minlength=PANEL), 1)
    mean = np.bincount(judge[scored], value[scored], PANEL) / count
    sd = np.sqrt(np.bincount(judge[scored], (value[scored] - mean[judge[scored]]) ** 2, PANEL) / count)
    units = evidence.unit_id.size
    z = np.where(scored, (value - mean[judge]) / np.maximum(sd[judge], 1e-9), 0.0)
    seats = np.bincount(evidence.v_unit[scored], minlength=units)
    usual = np.where(seats > 0, np.bincount(evidence.v_unit, z, units) / np.maximum(seats, 1), np.nan)
    seen = anchors[np.isfinite(usual[anchors])]
    line = np.polyfit(usual[seen], grade[seen], 1)
    at_new = np.take_along_axis((new.value[:, :PANEL] - mean) / np.maximum(sd, 1e-9), three, 1).mean(1)
    best = _oracle(world, panel, new.system, three, np.take_along_axis(new.value, three, 1))
    # the best line from its prediction to grades, from so many answers that its own error is nothing
    rng = np.random.default_rng(0)
    many = _answers(world, _padded(panel), 4000, rng, unseen=False)
    places = np.tile(2 * np.arange(3), (4000, 1))
    guess = _oracle(world, panel, many.system, places, np.take_along_axis(many.value, places, 1))
    to_grade = np.polyfit(guess, many.grade, 1)
    tally.add(f"{at}line error2", ((_native(np.polyval(line, at_new)) - new.grade) ** 2).mean())
    tally.add(f"{at}oracle error2", ((np.polyval(to_grade, best) - new.grade) ** 2).mean())
    tally.add(f"{at}person error2", 2 * ((new.latent - new.grade) ** 2).mean())


def _padded(panel: Panel) -> Panel:
    """The same judges, with places for two that are not looked at and for a system."""
    more = len(JUDGES) - PANEL
    wide = {
        name: np.concatenate([x, np.ones((*x.shape[:-1], more))], axis=-1)
        for name in ("of_system", "of_stratum", "severity", "slope", "noise")
        for x in [getattr(panel, name)]
    }
    wide["of_system"] = np.vstack([wide["of_system"], np.zeros(len(JUDGES))])
    return Panel(useless=panel.useless, **wide)


def _oracle(world: World, panel: Panel, system: Ints, judge: Ints, value: Floats) -> Floats:
    """(a,) E[q | S] with all that a panel of one judge per family was drawn with, strata not known:
    m + K (S - E S), K = V b' (V b b' + C)^-1, C of the errors that judges share and do not."""
    strata = world.hard**2 * world.hard_share * (1 - world.hard_share)
    middle = world.hard * world.hard_share
    m = qualities(world)[system] + middle
    b = 0.0 * panel.slope if panel.useless else panel.slope
    slope = b[judge]
    about = world.stratum_bias**2
    own = FAMILY_ERROR**2 + panel.noise[judge] ** 2 + 1 / 12 + about * slope**2
    v = 1.0 + strata
    total = v * slope[:, :, None] * slope[:, None, :] + COMMON_ERROR**2
    total = total + own[:, :, None] * np.eye(judge.shape[1])
    expected = 3 + panel.severity[judge] + slope * (m[:, None] + panel.of_system[system[:, None], judge])
    solved = np.linalg.solve(total, (value - expected)[:, :, None])[:, :, 0]
    return np.asarray(m + v * (slope * solved).sum(1))

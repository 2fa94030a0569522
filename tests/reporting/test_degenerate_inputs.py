"""Inputs that carry no information, or lie about how much: each ends in a named refusal or an honest number.

Every case goes through the database and the calibration that the service runs. A number is honest if its
interval holds what is known of the system, or is at least as wide as people's grades alone would make it.
"""

import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from app.calibration.apply import prepare
from app.calibration.calibrate import list_runs
from app.calibration.prepared import Reading
from app.domain.anchors import HumanVerdict, Pairing, RecordedVerdict
from app.domain.calibration import Calibration, RunStatus, ScoreStatus
from app.domain.judging import JudgeVersion
from app.domain.rubrics import RubricKind
from app.reporting.comparisons import compare
from app.reporting.quality_report import Quality
from app.stats.difference import Finding
from app.storage.calibrations import get_calibration
from tests.reporting.projects import calibrate, rubric_for
from tests.storage.samples import anchored, human, imported, recorded, rubric_in

ASK = {"rubric": "support", "criterion": "quality"}
SPREAD = 0.8  # of an answer's quality around its system's


@pytest.fixture
def database_url(_migrated_sqlite: Path, tmp_path: Path) -> str:
    """SQLite alone: what is stored is the same in both, and the statistics never see the database."""
    shutil.copyfile(_migrated_sqlite, tmp_path / "venire.db")
    return f"sqlite:///{tmp_path / 'venire.db'}"


@dataclass
class Case:
    """Answers (or pairs) with the values of judges and people; a value of None is an unscored seat."""

    judges: list[tuple[Pairing, str, float | None]] = field(default_factory=list)
    people: list[tuple[Pairing, str, float]] = field(default_factory=list)
    truth: dict[str, float] = field(default_factory=dict)

    def verdicts(self) -> list[RecordedVerdict]:
        return [recorded(about, value, by=name, order=1) for about, name, value in self.judges]

    def grades(self) -> list[HumanVerdict]:
        return [human(about, value, annotator=name) for about, name, value in self.people]


def ordinary(
    *,
    systems: int = 5,
    prompts: int = 40,
    graded: int = 20,
    annotators: int = 1,
    judges: int = 3,
    step: float = 0.4,
    text: str | None = None,
    seed: int = 1,
) -> Case:
    """Nothing wrong: systems at 2.2, 2.6, ...; judges half a point too kind; ``graded`` of each."""
    rng, case = np.random.default_rng(seed), Case()
    for s in range(systems):
        case.truth[f"bot-{s}"] = 2.2 + step * s
        chosen = set(rng.permutation(prompts)[:graded].tolist())
        for p in range(prompts):
            words = text or f"answer {p} of {s}"
            one = Pairing(f"item-{p}", f"bot-{s}", answer=words, prompt=f"prompt {p}", len_words=50)
            quality = case.truth[f"bot-{s}"] + SPREAD * rng.normal()
            for j in range(judges):
                case.judges.append((one, f"judge-{j}", on_scale(quality + 0.5 + 0.7 * rng.normal())))
            if p in chosen:
                for k in range(annotators):
                    case.people.append((one, f"ann-{k}", on_scale(quality + 0.4 * rng.normal())))
    return case


def pairs(*, systems: int = 4, prompts: int = 120, graded: int = 80, seed: int = 2) -> Case:
    rng, case = np.random.default_rng(seed), Case()
    for p in range(prompts):
        a, b = sorted(rng.permutation(systems)[:2].tolist())
        one = Pairing(
            f"item-{p}", f"bot-{a}", other_system=f"bot-{b}", answer=f"answer {p} of {a}",
            other_answer=f"answer {p} of {b}", prompt=f"prompt {p}", len_words=50,
        )  # fmt: skip
        gap = 0.5 * (a - b) + rng.normal()
        for j in range(3):
            case.judges.append((one, f"judge-{j}", float(np.sign(gap + rng.normal()))))
        if p < graded:
            case.people.append((one, "ann-0", float(np.sign(gap + 0.5 * rng.normal()))))
    return case


def on_scale(value: float) -> float:
    return float(np.clip(round(value), 1, 5))


def judge_says(case: Case, name: str, say: Callable[[Pairing, float], float | None]) -> Case:
    """That judge's values replaced; the others as they were."""
    changed = [(a, n, say(a, v) if n == name and v is not None else v) for a, n, v in case.judges]
    return Case(changed, case.people, case.truth)


def everyone_says(case: Case, say: Callable[[Pairing, float], float | None]) -> Case:
    return Case(
        [(a, n, None if v is None else say(a, v)) for a, n, v in case.judges], case.people, case.truth
    )


def people_say(case: Case, say: Callable[[Pairing, float], float]) -> Case:
    return Case(case.judges, [(a, n, say(a, v)) for a, n, v in case.people], case.truth)


def copied(case: Case, source: str, target: str, of: Callable[[float], float] = lambda v: v) -> Case:
    """``target`` says what ``source`` says, or a function of it."""
    said = {key(about): value for about, name, value in case.judges if name == source}
    return judge_says(case, target, lambda about, _: of(said[key(about)] or 0.0))


def key(about: Pairing) -> tuple[str, str]:
    return about.item_id or "", about.system


REFUSED = {
    "every judge gives every answer the same": (
        lambda: everyone_says(ordinary(), lambda *_: 4.0), "no_verdicts",
    ),
    "no judge scored anything": (lambda: everyone_says(ordinary(), lambda *_: None), "no_verdicts"),
    "people give every answer the same": (lambda: people_say(ordinary(), lambda *_: 3.0), "no_variation"),
    "one prompt": (lambda: ordinary(systems=8, prompts=1, graded=1), "too_few_prompts"),
    "two prompts of many systems": (lambda: ordinary(systems=30, prompts=2, graded=2), "too_few_prompts"),
    "one system": (lambda: ordinary(systems=1, prompts=80, graded=60), "too_few_systems"),
    "one answer": (lambda: ordinary(systems=1, prompts=1, graded=1), "no_verdicts"),
    "nobody graded": (lambda: ordinary(graded=0), "no_anchors"),
    "people graded what no judge scored": (
        lambda: everyone_says(ordinary(graded=10), lambda about, v: None if key(about) in _graded() else v),
        "no_anchors",
    ),
}  # fmt: skip


@cache
def _graded() -> set[tuple[str, str]]:
    return {key(about) for about, _, _ in ordinary(graded=10).people}


PAIRS_REFUSED = {
    "judges call every pair a tie": (lambda: everyone_says(pairs(), lambda *_: 0.0), "no_verdicts"),
    "people call every pair a tie": (lambda: people_say(pairs(), lambda *_: 0.0), "no_variation"),
    "everyone calls every pair a tie": (
        lambda: people_say(everyone_says(pairs(), lambda *_: 0.0), lambda *_: 0.0), "no_verdicts",
    ),
}  # fmt: skip

HONEST = {
    "nothing wrong": ordinary,
    "a constant judge among others": lambda: judge_says(ordinary(), "judge-1", lambda *_: 5.0),
    "a judge that never scored": lambda: judge_says(ordinary(), "judge-1", lambda *_: None),
    "a single judge": lambda: ordinary(judges=1),
    "two judges that say the same": lambda: copied(ordinary(), "judge-0", "judge-1"),
    "three judges that say the same": lambda: copied(
        copied(ordinary(), "judge-0", "judge-1"), "judge-0", "judge-2"
    ),
    "judges of whom one is a line through another": lambda: copied(
        ordinary(), "judge-0", "judge-1", lambda v: 1 + 0.5 * (v - 1)
    ),
    "a judge that says the opposite": lambda: copied(ordinary(), "judge-0", "judge-1", lambda v: 6 - v),
    "judges that all say the opposite": lambda: everyone_says(ordinary(), lambda _, v: 6 - v),
    "judges that only throw dice": lambda: _dice(ordinary()),
    "judges with two values": lambda: everyone_says(ordinary(), lambda _, v: 1.0 if v < 3 else 5.0),
    "one annotator": lambda: ordinary(annotators=1, graded=30),
    "two annotators who copy": lambda: _second_copies(ordinary(annotators=2)),
    "two systems": lambda: ordinary(systems=2, prompts=60, graded=30),
    "a system without any grade": lambda: _without_grades(ordinary(systems=7), "bot-3"),
    "a system with one grade": lambda: _without_grades(ordinary(), "bot-3", keep=1),
    "a system with one answer": lambda: _one_answer(ordinary(), "bot-3"),
    "judges who give one system the same always": lambda: everyone_says(
        ordinary(), lambda about, v: 5.0 if about.system == "bot-2" else v
    ),
    "every answer has the same text": lambda: ordinary(step=0.0, text="I do not know."),
    "people who give one system the same always": lambda: _as_people(
        people_say(ordinary(), lambda about, v: 2.0 if about.system == "bot-0" else v), "bot-0", 2.0
    ),
    "people who grade only the ends": lambda: people_say(ordinary(), lambda _, v: 1.0 if v < 3 else 5.0),
}

PAIRS_HONEST = {
    "nothing wrong": pairs,
    "a judge that always takes the first": lambda: judge_says(pairs(), "judge-1", lambda *_: 1.0),
    "judges that always take the first, all but one": lambda: judge_says(
        judge_says(pairs(), "judge-1", lambda *_: 1.0), "judge-2", lambda *_: 1.0
    ),
    "two islands of systems": lambda: _islands(pairs(prompts=240, graded=160)),
    "two systems": lambda: pairs(systems=2),
}


def _as_people(case: Case, system: str, mean: float) -> Case:
    return Case(case.judges, case.people, case.truth | {system: mean})


def _islands(case: Case) -> Case:
    """Only pairs within the first two and within the last two systems."""

    def same(about: Pairing) -> bool:
        return (about.system, about.other_system) in (("bot-0", "bot-1"), ("bot-2", "bot-3"))

    return Case([r for r in case.judges if same(r[0])], [r for r in case.people if same(r[0])])


def _dice(case: Case) -> Case:
    rng = np.random.default_rng(5)
    return everyone_says(case, lambda *_: float(rng.integers(1, 6)))


def _second_copies(case: Case) -> Case:
    first = {key(about): value for about, name, value in case.people if name == "ann-0"}
    return people_say(case, lambda about, _: first[key(about)])


def _without_grades(case: Case, system: str, keep: int = 0) -> Case:
    own = [row for row in case.people if row[0].system == system]
    return Case(case.judges, [r for r in case.people if r[0].system != system] + own[:keep], case.truth)


def _one_answer(case: Case, system: str) -> Case:
    own = next(about for about, _, _ in case.people if about.system == system)
    kept = [r for r in case.judges if r[0].system != system or r[0] == own]
    return Case(kept, [r for r in case.people if r[0].system != system or r[0] == own], case.truth)


async def stored(db, project, now, case: Case, kind: RubricKind = RubricKind.POINTWISE):
    """The newest run of the case, and its tables."""
    rubric = await rubric_in(db, project.id, now, rubric_for(kind))
    await imported(db, project.id, rubric, case.verdicts(), now)
    if case.people:
        await anchored(db, project.id, rubric, case.grades(), now)
    await calibrate(db, project.id, now)
    runs = await list_runs(db, project.id, **ASK, limit=1, cursor=None)
    found = await get_calibration(db, project.id, runs.items[0].id)
    assert found is not None
    return found


@pytest.mark.parametrize("name", REFUSED)
async def test_what_says_nothing_is_refused_by_name(db, project, now, name):
    made, reason = REFUSED[name]
    await _refused(db, project, now, made(), reason, RubricKind.POINTWISE)


@pytest.mark.parametrize("name", PAIRS_REFUSED)
async def test_pairs_that_say_nothing_are_refused_by_name(db, project, now, name):
    made, reason = PAIRS_REFUSED[name]
    await _refused(db, project, now, made(), reason, RubricKind.PAIRWISE)


async def _refused(db, project, now, case, reason, kind):
    run = await stored(db, project, now, case, kind)
    assert run.status is RunStatus.REFUSED, run.error
    assert any(why.startswith(f"{reason}:") for why in run.refusals), run.refusals
    table = await Quality(db).table(project.id, **ASK)
    assert table.rows
    assert all(row.corrected is None and row.interval is None and row.warnings for row in table.rows)
    if len(table.rows) > 1:
        found = await compare(
            Quality(db), project.id, **ASK, baseline=table.rows[0].system, candidate=table.rows[1].system
        )
        assert found.overall.verdict is Finding.INCONCLUSIVE
        assert found.overall.difference is None


@pytest.mark.parametrize("name", HONEST)
async def test_what_says_little_gets_an_honest_number_or_a_reason(db, project, now, name):
    case = HONEST[name]()
    run = await stored(db, project, now, case)
    assert run.status is RunStatus.DONE, (run.error, run.refusals)
    _effects_are_honest(run)
    table = await Quality(db).table(project.id, **ASK)
    held = []
    for row in table.rows:
        if row.corrected is None:
            assert row.status is not ScoreStatus.CALIBRATED
            assert row.warnings
            continue
        low, high = row.interval
        assert 1 <= low <= row.corrected <= high <= 5
        # Nobody knows so many answers to better than this, whatever the judges say of each other.
        assert high - low > 0.5 * SPREAD / np.sqrt(row.n_items)
        # rounding to the scale and cutting at its ends moves a mean by up to .1
        if name != "people who grade only the ends":
            held.append(low - 0.1 <= case.truth[row.system] <= high + 0.1)
    # 95% intervals with .1 to spare: with 2 to 7 of them more than one miss is less than 1% by chance
    assert sum(held) >= len(held) - 1
    _single_answers_are_honest(run, case)


@pytest.mark.parametrize("name", PAIRS_HONEST)
async def test_pairs_that_say_little_get_an_honest_number_or_a_reason(db, project, now, name):
    run = await stored(db, project, now, PAIRS_HONEST[name](), RubricKind.PAIRWISE)
    assert run.status is RunStatus.DONE, (run.error, run.refusals)
    _effects_are_honest(run)
    table = await Quality(db).table(project.id, **ASK)
    for row in table.rows:
        if row.corrected is None:
            assert row.warnings
            continue
        low, high = row.interval
        assert 0 <= low <= row.corrected <= high <= 1
        assert high - low > 0.02


def _effects_are_honest(run: Calibration) -> None:
    """Every effect of every judge is a number with an interval that is not a point, or a reason."""
    report = run.model["bias"]
    effects = [report["panel"]["effective"], report["people"]["agreement"]]
    effects += [effect for judge in report["judges"] for effect in judge["effects"].values()]
    for effect in effects:
        if effect["status"] != "identified":
            assert effect["estimate"] is None
            assert effect["why"]
            continue
        low, high = effect["interval"]
        assert np.isfinite([low, effect["estimate"], high]).all()
        assert low <= effect["estimate"] <= high
    worth = report["panel"]["worth"]
    if worth is not None and worth["correlation"] is not None:
        low, high = worth["interval"]
        assert -1 <= low <= worth["correlation"] <= high <= 1
        assert 0 <= worth["width_ratio"] <= 1
    elif worth is not None:
        assert worth["why"]


def _single_answers_are_honest(run: Calibration, case: Case) -> None:
    """A single answer is known to no better than people's noise about it."""
    about = case.judges[0][0]
    said = [(n, v) for a, n, v in case.judges if key(a) == key(about) and v is not None]
    judges = {name: recorded(about, None, by=name) for name, _ in said}
    readings = [Reading(JudgeVersion(judges[n].judge_family, n, n), v) for n, v in said]
    found = prepare(run).score(readings, system=about.system, words=50)
    if found.interval is None:
        assert found.warnings
        return
    assert found.interval[0] <= found.score <= found.interval[1]
    assert found.interval[1] - found.interval[0] > 0.5

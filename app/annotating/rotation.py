"""Renewing an anchor set: which anchors are worn, what to grade in their place, and what that did."""

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np

from app.anchoring.ingest import Anchors, rubric_or_refuse
from app.annotating.plan import label_plan
from app.annotating.queues import Queues
from app.annotating.rotation_link import CriterionLink, link_rotation
from app.domain.anchors import AnchorSetVersion
from app.domain.ids import read_id, show_id
from app.domain.problems import BadInput, Conflict, NotFound, Problem
from app.domain.projects import Project
from app.domain.rotation import EXPORT_COUNTS_AS, AnchorAge, Rotation, RotationPolicy
from app.reporting.quality_report import Quality
from app.storage.anchor_rotations import add_rotation, anchor_ages, list_rotations
from app.storage.database import Database

LEAST_ITEMS = 20
"""Items below which a set is not rotated: what is left could not link its versions."""
_LEAST_LEFT = 0.5  # of a system's items that stay, whatever is worn


@dataclass(frozen=True, slots=True)
class WornAnchor:
    """An item of a set with its wear: ``showings`` to judges, ``exposures`` with all else, ``freshness``."""

    about: AnchorAge
    age_days: float
    showings: int
    exposures: float
    freshness: float


@dataclass(frozen=True, slots=True)
class SystemTurn:
    """One system's anchors in a rotation: ``have`` items now, of which so many ``leave``.

    ``share`` of the new grades it should get; None where nothing is calibrated: they are drawn evenly.
    """

    system: str
    have: int
    leave: int
    share: float | None


@dataclass(frozen=True, slots=True)
class RotationPlan:
    """What a rotation would do now. ``anchors`` are all items, the most worn first; ``retire`` of them leave.

    ``due_at`` is the last rotation (or the set's beginning) and ``every_days`` later. ``new_items`` are to be
    graded in place of those that leave. ``warnings`` say why less, or nothing, is proposed.
    """

    version: AnchorSetVersion
    policy: RotationPolicy
    due_at: datetime
    due: bool
    anchors: tuple[WornAnchor, ...]
    retire: tuple[WornAnchor, ...]
    systems: tuple[SystemTurn, ...]
    new_items: int
    warnings: tuple[str, ...]


def _utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(slots=True)
class Rotations:
    """Plans, does and reports the rotations of all projects' anchor sets."""

    db: Database
    anchors: Anchors
    queues: Queues
    quality: Quality
    now: Callable[[], datetime] = _utc_now

    async def policy(self, project: Project, name: str) -> RotationPolicy:
        """That of the set's last rotation, or the default."""
        last = next(iter(await list_rotations(self.db, project.id, name)), None)
        return RotationPolicy() if last is None else last.policy

    async def plan(self, project: Project, name: str, policy: RotationPolicy, seed: int = 0) -> RotationPlan:
        """What to retire and what to grade next; the same for the same set, policy, seed and day.

        Raises
        ------
        NotFound
            If there is no such set.
        BadInput
            If the policy leaves too little overlap.
        """
        refuse_bad_policy(policy)
        versions = await self.anchors.versions(project, name)
        rotations = await list_rotations(self.db, project.id, name)
        since = rotations[0].created_at if rotations else versions[-1].created_at
        due_at = since + timedelta(days=policy.every_days)
        now = self.now()
        ages = await anchor_ages(self.db, project.id, name)
        criterion = (await rubric_or_refuse(self.db, project, versions[0].rubric)).rubric.criteria[0].name
        shown = await self._showings(project, versions[0].rubric)
        worn = sorted((_worn(one, policy, shown, now) for one in ages), key=lambda one: one.freshness)
        retire, warnings = _choose(worn, policy, np.random.default_rng(seed))
        plan = await label_plan(self.quality, project, rubric=versions[0].rubric, criterion=criterion)
        shares = None if plan.assumed else {one.system or "": one.share for one in plan.rows}
        return RotationPlan(
            version=versions[0],
            policy=policy,
            due_at=due_at,
            due=now >= due_at,
            anchors=tuple(worn),
            retire=retire,
            systems=_turns(worn, retire, shares),
            new_items=sum(max(len(one.about.answer_ids), 1) for one in retire),
            warnings=warnings,
        )

    async def rotate(
        self, project: Project, name: str, policy: RotationPolicy, *, seed: int = 0, draw: bool = True
    ) -> Rotation:
        """Do what the plan says: draw as many answers as leave into a new queue, then retire.

        The new queue's grades become anchors when they are published, as any queue's. Without ``draw``
        nothing is drawn, for teams that bring new grades in as a file.

        Raises
        ------
        BadInput
            If there is nothing to retire, or nothing to draw in its place.
        """
        plan = await self.plan(project, name, policy, seed)
        if not plan.retire:
            raise BadInput("nothing is to be rotated", [Problem(one) for one in plan.warnings])
        queue, warnings = None, list(plan.warnings)
        if draw:
            queue, drawn = await self._draw(project, plan)
            if drawn < plan.new_items:
                warnings.append(f"only {drawn:,} of {plan.new_items:,} answers could be drawn to be graded")
        items = tuple(one.about.item for one in plan.retire)
        after, _ = await self.anchors.retire(
            project, name, items=items, reason=f"rotation: the most worn of {len(plan.anchors):,} items"
        )
        return await add_rotation(
            self.db,
            project.id,
            name,
            before_version=plan.version.version,
            after_version=after.version,
            queue=queue,
            policy=policy,
            retired=items,
            warnings=tuple(warnings),
            now=self.now(),
        )

    async def refuse_stale(self, project: Project, name: str, planned: int) -> None:
        """Raise Conflict unless the set still has the version whose plan somebody agreed to."""
        newest = (await self.anchors.versions(project, name))[0].version
        if newest != planned:
            raise Conflict(
                f"the set changed since version {planned} was planned for: it was rotated, or more"
            )

    async def rotations(self, project: Project, name: str) -> tuple[Rotation, ...]:
        """All of a set, the newest first; NotFound if there is no such set."""
        await self.anchors.versions(project, name)
        return await list_rotations(self.db, project.id, name)

    async def report(
        self, project: Project, name: str, rotation_id: str, level: float = 0.95
    ) -> tuple[Rotation, tuple[CriterionLink, ...]]:
        """A rotation, and criterion by criterion how much of the change since is the new anchors."""
        wanted = read_id("rot", rotation_id)
        found = next((one for one in await self.rotations(project, name) if one.id == wanted), None)
        if found is None:
            raise NotFound(f"rotation of {name!r}", rotation_id)
        rubric = await rubric_or_refuse(
            self.db, project, (await self.anchors.versions(project, name))[0].rubric
        )
        return found, tuple(
            [
                await link_rotation(self.db, project, found, rubric.rubric, one.name, level)
                for one in rubric.rubric.criteria
            ]
        )

    async def _draw(self, project: Project, plan: RotationPlan) -> tuple[str, int]:
        name = plan.version.anchor_set
        done = await list_rotations(self.db, project.id, name)
        queue = await self.queues.create(
            project,
            name=f"{name[:150]}: rotation {len(done) + 1}",
            rubric=plan.version.rubric,
            anchor_set=name,
            guidance="These answers take the place of anchors that are worn.",
        )
        try:
            drawn = await self.queues.draw(project, queue, count=plan.new_items)
        except BadInput:
            await self.queues.set_open(queue, False)
            raise
        return queue.name, drawn.items

    async def _showings(self, project: Project, rubric: str) -> Counter[int]:
        """Verdicts that judges gave on each answer, on the criterion with the most of them."""
        version = await rubric_or_refuse(self.db, project, rubric)
        most: Counter[int] = Counter()
        for criterion in version.rubric.criteria:
            units, _ = await self.quality.units(project.id, rubric, criterion.name)
            frame = units.frame
            draws = np.bincount(frame.cell_unit, frame.cell_draws, frame.unit_id.size).astype(np.int64)
            seen: Counter[int] = Counter()
            for answers in (frame.answer_id, frame.other_answer_id):
                for answer, count in zip(answers.tolist(), draws.tolist(), strict=True):
                    if answer > 0:
                        seen[answer] += count
            most |= seen
        return most


def shown_rotation_id(rotation: Rotation) -> str:
    """Its public id."""
    return show_id("rot", rotation.id)


def refuse_bad_policy(policy: RotationPolicy) -> None:
    """Raise BadInput for a policy under which versions could not be linked, naming all that is wrong."""
    problems = []
    if not 0 < policy.share <= 0.5:
        problems.append(Problem("must lie above 0 and be at most 0.5", path="share", value=policy.share))
    if not 0.5 <= policy.overlap <= 1:
        problems.append(Problem("must lie between 0.5 and 1", path="overlap", value=policy.overlap))
    elif policy.share > 1 - policy.overlap + 1e-9:
        wording = f"leaves an overlap of {1 - policy.share:g}, less than {policy.overlap:g}"
        problems.append(Problem(wording, path="share", value=policy.share))
    for field in ("every_days", "half_life_days", "half_life_exposures"):
        value = getattr(policy, field)
        if not (math.isfinite(value) and 0 < value <= 1e6):
            problems.append(Problem("must lie above 0 and be at most 1,000,000", path=field, value=value))
    if problems:
        raise BadInput("a set cannot be rotated like this", problems)


def _worn(one: AnchorAge, policy: RotationPolicy, shown: Counter[int], now: datetime) -> WornAnchor:
    age = (now - one.born) / timedelta(days=1)
    showings = sum(shown[answer] for answer in one.answer_ids)
    exposures = float(showings + one.calibrations + EXPORT_COUNTS_AS * one.exports)
    return WornAnchor(one, max(age, 0.0), showings, exposures, policy.freshness(age, exposures))


def _choose(
    worn: Sequence[WornAnchor], policy: RotationPolicy, rng: np.random.Generator
) -> tuple[tuple[WornAnchor, ...], tuple[str, ...]]:
    """The most worn items, ties by lot, as long as every system keeps half of its own."""
    if len(worn) < LEAST_ITEMS:
        return (), (f"a set of {len(worn):,} items is not rotated: from {LEAST_ITEMS} on its versions link",)
    count = min(math.ceil(policy.share * len(worn)), math.floor((1 - policy.overlap) * len(worn) + 1e-9))
    lot = rng.random(len(worn))
    # Freshness to three digits: what differs by less is equally worn, and the lot decides.
    order = sorted(range(len(worn)), key=lambda k: (round(worn[k].freshness, 3), lot[k]))
    have = Counter(system for one in worn for system in one.about.systems)
    left, spared = Counter(have), Counter[str]()
    chosen: list[WornAnchor] = []
    for k in order:
        if len(chosen) == count:
            break
        thin = [s for s in worn[k].about.systems if left[s] - 1 < _LEAST_LEFT * have[s]]
        if thin:
            spared.update(thin)
            continue
        left.subtract(worn[k].about.systems)
        chosen.append(worn[k])
    warnings = [
        f"{number:,} worn items of {system} stay, since half of a system's anchors always do"
        for system, number in spared.items()
    ]
    if not chosen:
        warnings.append("nothing is proposed: the share of so few items is less than one, or all are spared")
    return tuple(chosen), tuple(warnings)


def _turns(
    worn: Sequence[WornAnchor], retire: Sequence[WornAnchor], shares: dict[str, float] | None
) -> tuple[SystemTurn, ...]:
    have = Counter(system for one in worn for system in one.about.systems)
    leave = Counter(system for one in retire for system in one.about.systems)
    return tuple(
        SystemTurn(name, have[name], leave[name], None if shares is None else shares.get(name, 0.0))
        for name in sorted(have.keys() | (shares or {}).keys())
    )

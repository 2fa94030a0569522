"""Where a project stands, step by step from nothing to a calibration, on both databases."""

import io
from datetime import datetime

from app.anchoring.anchor_sets import anchor_set
from app.anchoring.imports import Imports
from app.anchoring.ingest import Anchors
from app.calibration.calibrate import compute
from app.domain.projects import Project
from app.domain.rubrics import Criterion, Rubric, RubricKind, Scale
from app.grading.rubrics import Rubrics
from app.reporting.activity import calibration_runs, recent_grades, recent_imports
from app.reporting.overview import State, Step, overview
from app.reporting.panel_weights import panel_weights
from app.reporting.roster_bias import roster_glance
from app.storage import calibrations
from app.storage.database import Database
from app.storage.evidence import load_evidence
from app.storage.projects import get_or_create_project
from tests.web.pages.planted import pointwise, table

RUBRIC = Rubric("support", RubricKind.POINTWISE, "Judge.", (Criterion("helpfulness", "", Scale(1, 5)),))


async def test_an_empty_project_begins_with_a_rubric(db: Database, project: Project, now: datetime) -> None:
    found = await overview(db, project, now=now)
    assert (found.step, found.about, found.criteria) == (Step.MAKE_RUBRIC, None, ())


async def test_each_step_leads_to_the_next(db: Database, project: Project, now: datetime) -> None:
    verdicts, grades = pointwise(prompts=40)

    async def step() -> tuple[Step, State]:
        found = await overview(db, project, now=now)
        return found.step, found.criteria[0].state

    await Rubrics(db).put(project, RUBRIC)
    assert await step() == (Step.BRING_VERDICTS, State.EMPTY)

    running = await Imports(db).begin(project, file=io.BytesIO(table(verdicts)), rubric="support")
    await running.run()
    assert await step() == (Step.UPLOAD_ANCHORS, State.NOT_CALIBRATED)

    anchors = Anchors(db)
    file = io.BytesIO(table(grades))
    await anchors.upload(project, file=file, rubric="support", anchor_set="people")
    assert await step() == (Step.CALIBRATE, State.NOT_CALIBRATED)

    await calibrations.queue_calibration(
        db, project.id, rubric="support", criterion="helpfulness", anchor_sets=None, now=now
    )
    assert await step() == (Step.WAIT, State.QUEUED)

    run = await calibrations.claim_calibration(db, now=now)
    assert run is not None
    done = compute(await load_evidence(db, project.id, "support", "helpfulness"), seed=1)
    await calibrations.finish_calibration(
        db, run.calibration.id, snapshot=done.snapshot, model=done.model, frame=done.frame or b"",
        refusals=done.refusals, now=now,
    )  # fmt: skip
    assert await step() == (Step.READ, State.CALIBRATED)

    found = (await overview(db, project, now=now)).criteria[0]
    assert (found.verdicts, found.human_grades, found.judges) == (len(verdicts), len(grades), 4)
    assert (found.simulated, found.new_verdicts) == (False, 0)
    await Rubrics(db).put(project, Rubric("support", RubricKind.POINTWISE, "Other.", RUBRIC.criteria))
    assert await step() == (Step.RECALIBRATE, State.STALE)

    (listed,) = (await calibration_runs(db, project.id)).items
    assert listed.model == {}  # lists leave models where they are
    stored = await calibrations.get_calibration(db, project.id, listed.id)
    assert stored is not None
    weights = panel_weights(stored)
    assert len(weights) == 4
    assert abs(sum(map(abs, weights.values())) - 1) < 1e-9
    glance = await roster_glance(db, project.id, "support", "helpfulness")
    severities = {name: told["severity"].estimate for (name, _), told in glance.judges.items()}
    assert severities["azure-4"] > severities["cobalt-2"] > severities["basalt/large"]
    (brought,) = (await recent_imports(db, project.id)).items
    assert (brought.status, brought.verdicts) == ("done", len(verdicts))
    assert (await recent_grades(db, project.id)).items == ()

    makeup = (await anchor_set(anchors, project, "people")).makeup
    by_person = {
        one["annotator"]: sum(row["annotator"] == one["annotator"] for row in grades) for one in grades
    }
    assert {one.name: one.grades for one in makeup.annotators} == by_person
    assert makeup.units == len({(row["item_id"], row["system"]) for row in grades})
    assert makeup.double == len(grades) - makeup.units
    assert makeup.blind == len(grades)


async def test_nothing_of_another_project_is_counted(db: Database, project: Project, now: datetime) -> None:
    await Rubrics(db).put(project, RUBRIC)
    other = await get_or_create_project(db, "other", now=now)
    assert (await overview(db, other, now=now)).criteria == ()

"""The recorded sets in a database, by the mappings of examples/imports."""

import json
from datetime import UTC, datetime
from pathlib import Path

from app.anchoring.imports import Imports
from app.anchoring.ingest import Anchors
from app.domain.projects import Project
from app.domain.rubrics import Rubric
from app.storage.database import Database
from app.storage.rubrics import put_rubric
from tests.anchoring.files import EXAMPLES, example_rubric


async def import_verdicts(db: Database, project: Project, data: Path, name: str, *, judge: str) -> Rubric:
    """One judge's recorded verdicts of a set whose folder is called as its rubric."""
    rubric = await _rubric(db, project, name)
    mapping = json.loads((EXAMPLES / "imports" / f"{name}.verdicts.json").read_text())
    mapping["where"] = {**mapping.get("where", {}), "judge": judge}
    imports = Imports(db)
    with (data / name / "grades.csv.gz").open("rb") as file:
        running = await imports.begin(project, file=file, rubric=rubric.name, mapping=json.dumps(mapping))
        await running.run()
    return rubric


async def import_anchors(db: Database, project: Project, data: Path, name: str) -> Rubric:
    """The human grades of a set, as an anchor set of the same name."""
    rubric = await _rubric(db, project, name)
    mapping = (EXAMPLES / "imports" / f"{name}.anchors.json").read_text()
    with (data / name / "human.csv.gz").open("rb") as file:
        await Anchors(db).upload(project, file=file, rubric=rubric.name, anchor_set=name, mapping=mapping)
    return rubric


async def _rubric(db: Database, project: Project, name: str) -> Rubric:
    rubric = example_rubric(name)
    await put_rubric(db, project.id, rubric, now=datetime(2026, 11, 22, tzinfo=UTC))
    return rubric

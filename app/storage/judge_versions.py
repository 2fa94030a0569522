"""Judge versions: everyone who has ever sat on a panel of a project or came in with an import."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, select

from app.domain.judging import JudgeVersion
from app.storage.database import Database
from app.storage.tables import judge_versions


async def list_judge_versions(
    db: Database, project_id: int, *, name: str | None = None
) -> tuple[tuple[int, JudgeVersion], ...]:
    """(id, judge version) of the project, by name and then by first appearance."""
    versions = judge_versions.c
    query = (
        select(judge_versions)
        .where(versions.project_id == project_id)
        .order_by(versions.name, versions.created_at, versions.id)
    )
    if name is not None:
        query = query.where(versions.name == name)
    return await db.read(lambda c: tuple((row.id, judge_of(row)) for row in c.execute(query)))


def judges_by_id(connection: Connection, ids: Sequence[int]) -> dict[int, JudgeVersion]:
    """The judge versions of those ids."""
    query = select(judge_versions).where(judge_versions.c.id.in_(ids))
    return {row.id: judge_of(row) for row in connection.execute(query)}


def judge_of(row: Any) -> JudgeVersion:
    """The judge version in a row with its columns."""
    return JudgeVersion(row.family, row.name, row.model, row.params, row.prompt_version, bool(row.simulated))

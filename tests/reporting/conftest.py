"""Calibrated projects, made once per session and copied: a calibration costs seconds, a copy nothing."""

import itertools
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from app.domain.projects import Project
from app.reporting.quality_report import Quality
from app.storage.database import Database
from app.storage.projects import get_or_create_project
from tests.reporting.projects import calibrate, judged_project

Opened = tuple[Quality, Project, Database]


@pytest.fixture(scope="session")
def _made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {}


@pytest.fixture
def calibrated(
    _made: dict[str, Path],
    _migrated_sqlite: Path,
    tmp_path_factory: pytest.TempPathFactory,
    tmp_path: Path,
    now: datetime,
) -> Callable[..., AbstractAsyncContextManager[Opened]]:
    """Opens fresh copies: ``async with calibrated(anchors=6) as (quality, project, db)``."""

    count = itertools.count()

    @asynccontextmanager
    async def opened(**options: Any) -> AsyncIterator[Opened]:
        key = repr(sorted(options.items()))
        if key not in _made:
            path = tmp_path_factory.mktemp("calibrated") / "venire.db"
            shutil.copyfile(_migrated_sqlite, path)
            async with Database(f"sqlite:///{path}") as made:
                project = await get_or_create_project(made, now=now)
                await judged_project(made, project.id, now, **options)
                await calibrate(made, project.id, now)
            _made[key] = path
        mine = tmp_path / f"{next(count)}.db"
        shutil.copyfile(_made[key], mine)
        async with Database(f"sqlite:///{mine}") as db:
            yield Quality(db), await get_or_create_project(db, now=now), db

    return opened

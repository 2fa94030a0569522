from pathlib import Path

import pytest

from app.bootstrap import check_before_serving
from app.domain.problems import BadInput
from app.settings import describe, read_settings


async def problems_of(**environment: str) -> str:
    """What is said of settings with which the service does not start."""
    with pytest.raises(BadInput) as caught:
        await check_before_serving(read_settings(environment))
    return describe(caught.value)


async def test_everything_that_keeps_the_service_from_starting_is_told_at_once(tmp_path: Path):
    (tmp_path / "judges.toml").write_text('[[judges]]\nname = "a"\nprovider = "opnai"\n')
    (tmp_path / "file").write_text("")
    (tmp_path / "venire.db").write_text("no database " * 100)
    said = await problems_of(
        VENIRE_JUDGES=str(tmp_path / "judges.toml"),
        VENIRE_DATA_DIR=str(tmp_path / "file" / "data"),
        VENIRE_DATABASE_URL=f"sqlite:///{tmp_path / 'venire.db'}",
    )
    assert "judges[0].provider=opnai" in said
    assert f"VENIRE_DATA_DIR={tmp_path / 'file' / 'data'}: cannot be written: Not a directory" in said
    assert "VENIRE_DATABASE_URL=sqlite:///" in said
    assert "file is not a database" in said


async def test_a_database_within_a_directory_that_cannot_be_made_is_not_told_a_second_time(tmp_path: Path):
    (tmp_path / "file").write_text("")
    said = await problems_of(VENIRE_DATA_DIR=str(tmp_path / "file" / "data"))
    assert "VENIRE_DATA_DIR" in said
    assert "VENIRE_DATABASE_URL" not in said

"""Files between choosing and storing: found by who sent them alone, private, and gone in time."""

import io
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from app.anchoring.drafts import KEPT_FOR, MOST_KEPT, Draft, Drafts
from app.domain.problems import NotFound
from app.domain.projects import Project

MINE, OTHER = Project(1, "mine"), Project(2, "other")


class Clock:
    def __init__(self) -> None:
        self.now = datetime(2026, 11, 22, 12, tzinfo=UTC)

    def __call__(self) -> datetime:
        self.now += timedelta(seconds=1)
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def drafts(tmp_path: Path, clock: Clock) -> Drafts:
    return Drafts(tmp_path / "uploads", clock)


def _keep(drafts: Drafts, project: Project = MINE, content: bytes = b"a,b\n1,2\n") -> Draft:
    return drafts.keep(
        project, io.BytesIO(content), file_name="f.csv", rubric="r", anchor_set="s", replace=False
    )


def test_a_draft_is_read_as_it_was_kept(drafts: Drafts) -> None:
    kept = _keep(drafts)
    found = drafts.get(MINE, kept.token)
    assert found == kept
    with drafts.open(found) as file:
        assert file.read() == b"a,b\n1,2\n"
    changed = drafts.change(found, mapping='{"columns": {}}')
    assert drafts.get(MINE, kept.token) == changed


def test_only_the_project_that_sent_a_draft_finds_it(drafts: Drafts) -> None:
    kept = _keep(drafts)
    with pytest.raises(NotFound):
        drafts.get(OTHER, kept.token)


@pytest.mark.parametrize(
    "token", ["", "x", "../secret", "a" * 32, "a" * 33, "..%2f" + "a" * 27, "a" * 31 + "\n"]
)
def test_no_other_token_finds_anything(drafts: Drafts, token: str) -> None:
    _keep(drafts)
    with pytest.raises(NotFound):
        drafts.get(MINE, token)


def test_drafts_are_readable_by_the_service_alone(drafts: Drafts) -> None:
    _keep(drafts)
    assert drafts.folder.stat().st_mode & 0o077 == 0
    assert all(path.stat().st_mode & 0o077 == 0 for path in drafts.folder.iterdir())


def test_an_old_draft_is_not_found_and_its_file_makes_room(drafts: Drafts, clock: Clock) -> None:
    old = _keep(drafts)
    clock.now += KEPT_FOR
    with pytest.raises(NotFound):
        drafts.get(MINE, old.token)
    new = _keep(drafts)
    assert {path.stem for path in drafts.folder.iterdir()} == {new.token}


def test_a_project_keeps_its_newest_drafts_and_leaves_others_theirs(drafts: Drafts) -> None:
    others = _keep(drafts, OTHER)
    kept = [_keep(drafts) for _ in range(MOST_KEPT + 2)]
    with pytest.raises(NotFound):
        drafts.get(MINE, kept[0].token)
    assert drafts.get(MINE, kept[-1].token) == kept[-1]
    assert drafts.get(OTHER, others.token) == others


def test_a_forgotten_draft_leaves_nothing(drafts: Drafts) -> None:
    drafts.forget(_keep(drafts))
    assert not list(drafts.folder.iterdir())

from datetime import datetime, timedelta

import pytest
from sqlalchemy.exc import IntegrityError

from app.domain.projects import ApiKey, PanelPolicy, Project, Scope
from app.storage.database import Database
from app.storage.keys import any_key, create_key, find_key, list_keys, revoke_key, touch_key
from app.storage.projects import find_project, get_or_create_project, get_project, set_policy


async def key_of(db: Database, project_id: int, now: datetime, prefix: str = "vk1") -> ApiKey:
    return await create_key(
        db,
        project_id=project_id,
        name="ci",
        prefix=prefix,
        mac=b"\x00" * 32,
        scopes=frozenset({Scope.READ, Scope.GRADE}),
        now=now,
    )


async def test_a_key_is_found_by_its_prefix_with_what_proves_it(
    db: Database, project: Project, now: datetime
):
    made = await key_of(db, project.id, now)
    assert made.scopes == {Scope.READ, Scope.GRADE}
    found = await find_key(db, "vk1")
    assert found is not None
    assert (found.key, found.project_id, found.mac) == (made, project.id, b"\x00" * 32)
    assert await find_key(db, "vk2") is None


async def test_a_prefix_is_used_once(db: Database, project: Project, now: datetime):
    await key_of(db, project.id, now)
    with pytest.raises(IntegrityError):
        await key_of(db, project.id, now)


async def test_a_revoked_key_is_listed_and_no_longer_counts(db: Database, project: Project, now: datetime):
    assert not await any_key(db)
    made = await key_of(db, project.id, now)
    assert await any_key(db)
    assert await revoke_key(db, project.id, made.id, now=now)
    assert await revoke_key(db, project.id, made.id, now=now + timedelta(days=1))
    assert await any_key(db)  # a revoked one counts: losing a key must not open the door
    (listed,) = await list_keys(db, project.id)
    assert listed.revoked_at == now


async def test_the_last_use_is_noted(db: Database, project: Project, now: datetime):
    made = await key_of(db, project.id, now)
    await touch_key(db, made.id, now=now)
    (listed,) = await list_keys(db, project.id)
    assert listed.last_used_at == now


async def test_a_project_keeps_its_policy(db: Database, project: Project, now: datetime):
    assert project.policy == PanelPolicy()
    policy = PanelPolicy(min_families=2, forbid_own_model=False, exclude_own_family=True)
    await set_policy(db, project.id, policy)
    assert await get_or_create_project(db, now=now) == Project(project.id, "default", policy)
    assert await get_project(db, project.id) == await find_project(db, "default")
    assert await find_project(db, "none") is None

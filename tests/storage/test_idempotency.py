import asyncio
from datetime import UTC, datetime, timedelta

from sqlalchemy import update

from app.domain.projects import Project
from app.storage.database import Database
from app.storage.idempotency import (
    Claimed,
    KeyReused,
    Replay,
    StillRunning,
    claim,
    forget_keys,
    release,
    store_answer,
)
from app.storage.tables import processes


async def test_of_many_at_once_exactly_one_is_to_be_answered(
    db: Database, project: Project, database_url: str
):
    now = datetime.now(UTC)  # the other process shows its life by the real clock
    async with Database(database_url) as other:
        claims = await asyncio.gather(
            *(claim(one, project.id, "k", "body", now=now) for one in (db, other) * 10)
        )
    kinds = [type(one) for one in claims]
    assert (kinds.count(Claimed), kinds.count(StillRunning)) == (1, 19)


async def test_the_first_answer_is_given_again(db: Database, project: Project, now: datetime):
    mine = await claim(db, project.id, "k", "body", now=now)
    assert isinstance(mine, Claimed)
    headers = {"content-type": "application/json"}
    await store_answer(db, mine, status_code=502, headers=headers, body=b'{"a": "\xc3\xa9"}')
    again = await claim(db, project.id, "k", "body", now=now)
    assert again == Replay(502, headers, b'{"a": "\xc3\xa9"}')


async def test_the_key_of_another_body_is_refused_also_while_it_runs(
    db: Database, project: Project, now: datetime
):
    mine = await claim(db, project.id, "k", "body", now=now)
    assert isinstance(mine, Claimed)
    assert await claim(db, project.id, "k", "other", now=now) == KeyReused("k")
    await store_answer(db, mine, status_code=200, headers={}, body=b"")
    assert await claim(db, project.id, "k", "other", now=now) == KeyReused("k")


async def test_a_released_key_may_be_tried_again(db: Database, project: Project, now: datetime):
    mine = await claim(db, project.id, "k", "body", now=now)
    assert isinstance(mine, Claimed)
    await release(db, mine)
    assert isinstance(await claim(db, project.id, "k", "other body", now=now), Claimed)
    # The first owner has nothing to say any more.
    await store_answer(db, mine, status_code=200, headers={}, body=b"late")
    assert isinstance(await claim(db, project.id, "k", "other body", now=now), StillRunning)


async def test_the_claim_of_a_dead_process_is_taken_over_once(
    db: Database, project: Project, now: datetime, database_url: str
):
    dead = Database(database_url)
    await dead.open()
    assert isinstance(await claim(dead, project.id, "k", "body", now=now), Claimed)
    gone = update(processes).where(processes.c.id == dead.process_id).values(pid=2**22 + 1)
    await db.write(lambda c: c.execute(gone).rowcount)
    soon = datetime.now(tz=now.tzinfo)
    claims = await asyncio.gather(*(claim(db, project.id, "k", "body", now=soon) for _ in range(5)))
    assert [type(one) for one in claims].count(Claimed) == 1
    await dead.close()


async def test_old_keys_are_forgotten(db: Database, project: Project, now: datetime):
    await claim(db, project.id, "old", "body", now=now - timedelta(days=2))
    await claim(db, project.id, "new", "body", now=now)
    assert await forget_keys(db, before=now - timedelta(days=1)) == 1
    assert isinstance(await claim(db, project.id, "old", "other", now=now), Claimed)
    assert isinstance(await claim(db, project.id, "new", "other", now=now), KeyReused)

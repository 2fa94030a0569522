"""Money is set aside before it may cost, on each kind of database."""

import asyncio

import pytest

from app.domain.batches import BatchOptions, Estimate
from app.grading.purse import OutOfBudget, Purses
from app.storage import budgets, workers
from app.storage.batches import load_batch, open_batch, start_batch


async def batch_with(db, project, now, budget):
    """A running batch with that budget; its id."""
    batch = db.new_id(now)
    options = BatchOptions()
    await open_batch(db, batch, project.id, name=None, options=options, now=now)
    await start_batch(
        db,
        batch,
        project.id,
        options=options,
        estimate=Estimate(0, 0.0, 0.0, 0.0),
        items=0,
        chunks=0,
        budget_usd=budget,
        now=now,
    )
    return batch


async def test_a_purse_never_holds_more_than_the_budget_has(db, project, now):
    batch = await batch_with(db, project, now, 1.0)
    purse = Purses(db, lambda: now).of(project.id, batch)
    for _ in range(4):
        await purse.draw(0.25)
    waiting = asyncio.create_task(purse.draw(0.25))
    await asyncio.sleep(0.1)
    assert not waiting.done()  # what is under way may cost less than its worst
    for _ in range(4):
        await db.submit(purse.settle(0.25, 0.1))
    await waiting
    await db.submit(purse.settle(0.25, 0.25))
    with pytest.raises(OutOfBudget):
        await purse.draw(0.5)
    await purse.close()
    spending = (await load_batch(db, project.id, batch)).spending
    assert (round(spending.spent_usd, 9), spending.held_usd) == (0.65, 0.0)


async def test_the_tighter_of_batch_and_day_counts(db, project, now):
    await budgets.set_daily_limit(db, project.id, 0.3, now=now)
    purses = Purses(db, lambda: now)
    first, second = [purses.of(project.id, await batch_with(db, project, now, 1.0)) for _ in range(2)]
    await first.draw(0.2)
    with pytest.raises(OutOfBudget) as caught:
        await second.draw(0.2)
    assert caught.value.kind == budgets.DAY
    await db.submit(first.settle(0.2, 0.05))
    await first.close()
    await second.draw(0.2)
    assert (await budgets.spending_of_day(db, project.id, now=now)).spent_usd == 0.05


async def test_what_a_dead_worker_held_is_suspect_and_never_spent_again(db, project, now):
    batch = await batch_with(db, project, now, 1.0)
    purse = Purses(db, lambda: now).of(project.id, batch)
    await purse.draw(0.6)
    assert await workers.bury(db, db.process_id) == pytest.approx(0.6)
    spending = (await load_batch(db, project.id, batch)).spending
    assert spending.held_usd == 0
    assert spending.suspect_usd == pytest.approx(0.6)
    with pytest.raises(OutOfBudget):
        await Purses(db, lambda: now).of(project.id, batch).draw(0.6)


async def test_what_calls_leave_while_the_budget_is_asked_is_spent(db, project, now, monkeypatch):
    batch = await batch_with(db, project, now, 1.0)
    purse = Purses(db, lambda: now).of(project.id, batch)
    await purse.draw(1.0)
    hold = budgets.hold

    async def hold_while_the_call_ends(*given):
        found = await hold(*given)
        if purse.drawn:
            await db.submit(purse.settle(1.0, 0.1))
        return found

    monkeypatch.setattr(budgets, "hold", hold_while_the_call_ends)
    await purse.draw(0.8)
    assert purse.drawn == pytest.approx(0.8)
    assert purse.free == pytest.approx(0.1)

import asyncio

from app.batches.turns import Turns


async def test_projects_take_turns_however_many_calls_one_of_them_has():
    turns, order, hold = Turns(2), [], asyncio.Event()

    async def call(project: int) -> None:
        async with turns.turn(project):
            order.append(project)
            if len(order) <= 2:
                await hold.wait()

    large = [asyncio.create_task(call(1)) for _ in range(50)]
    await asyncio.sleep(0)
    small = [asyncio.create_task(call(2)) for _ in range(5)]
    await asyncio.sleep(0)
    assert (turns.taken, turns.waiting) == (2, 53)
    hold.set()
    await asyncio.gather(*large, *small)
    assert order[2:12].count(2) == 5  # every other turn, while it has any
    assert (turns.taken, turns.waiting) == (0, 0)


async def test_a_wait_that_is_cancelled_takes_no_place():
    turns = Turns(1)
    async with turns.turn(1):
        waiting = [asyncio.create_task(_once(turns)) for _ in range(3)]
        await asyncio.sleep(0)
        waiting[0].cancel()
        await asyncio.sleep(0)
    await asyncio.gather(*waiting, return_exceptions=True)
    assert (turns.taken, turns.waiting) == (0, 0)


async def _once(turns: Turns) -> None:
    async with turns.turn(1):
        await asyncio.sleep(0)

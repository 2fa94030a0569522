import asyncio

from app.batches.places import Places


async def test_projects_take_places_however_many_calls_one_of_them_has():
    places, order, hold = Places(2), [], asyncio.Event()

    async def call(project: int) -> None:
        async with places.place(project):
            order.append(project)
            if len(order) <= 2:
                await hold.wait()

    large = [asyncio.create_task(call(1)) for _ in range(50)]
    await asyncio.sleep(0)
    small = [asyncio.create_task(call(2)) for _ in range(5)]
    await asyncio.sleep(0)
    assert (places.taken, places.waiting) == (2, 53)
    hold.set()
    await asyncio.gather(*large, *small)
    assert order[2:12].count(2) == 5  # every other turn, while it has any
    assert (places.taken, places.waiting) == (0, 0)


async def test_a_project_whose_calls_take_long_does_not_fill_all_places():
    places, hold, quick = Places(8), asyncio.Event(), 0

    async def slow() -> None:
        async with places.place(1):
            await hold.wait()

    async def fast() -> None:
        nonlocal quick
        for _ in range(50):
            async with places.place(2):
                await asyncio.sleep(0)
            quick += 1

    first = [asyncio.create_task(slow()) for _ in range(4)]
    await asyncio.sleep(0)
    others = [asyncio.create_task(fast()) for _ in range(8)]
    more = [asyncio.create_task(slow()) for _ in range(20)]
    await asyncio.wait_for(asyncio.gather(*others), 30)
    assert quick == 400
    hold.set()
    await asyncio.gather(*first, *more)
    assert (places.taken, places.waiting) == (0, 0)


async def test_a_wait_that_is_cancelled_takes_no_place():
    places = Places(1)
    async with places.place(1):
        waiting = [asyncio.create_task(_once(places)) for _ in range(3)]
        await asyncio.sleep(0)
        waiting[0].cancel()
        await asyncio.sleep(0)
    await asyncio.gather(*waiting, return_exceptions=True)
    assert (places.taken, places.waiting) == (0, 0)


async def _once(places: Places) -> None:
    async with places.place(1):
        await asyncio.sleep(0)

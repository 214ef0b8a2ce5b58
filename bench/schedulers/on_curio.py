"""The tasks under curio."""

import curio

from bench.schedulers.answering import (
    ARMED_SECONDS,
    LOCKING_TASKS,
    SPAWN_BATCH,
    SWITCHING_TASKS,
    TIMEOUT_SECONDS,
    answer,
    sleep_seconds,
)


async def run_all(tasks):
    for task in [await curio.spawn(*task) for task in tasks]:
        await task.join()


async def passing(times):
    for _ in range(times):
        await curio.sleep(0)


async def switch(count):
    await run_all((passing, count // SWITCHING_TASKS) for _ in range(SWITCHING_TASKS))


async def nothing():
    return


async def spawn(count):
    for _ in range(count):
        task = await curio.spawn(nothing)
        await task.join()


async def spawn_many(count):
    for _ in range(count // SPAWN_BATCH):
        await run_all((nothing,) for _ in range(SPAWN_BATCH))


async def sleep(count):
    await run_all((curio.sleep, sleep_seconds(i)) for i in range(count))


async def timeout(count):
    for _ in range(count):
        async with curio.timeout_after(TIMEOUT_SECONDS):
            await curio.sleep(0)


async def putting(queue, count):
    for number in range(count):
        await queue.put(number)


async def channel(count):
    queue = curio.Queue(1)
    putter = await curio.spawn(putting, queue, count)
    for _ in range(count):
        await queue.get()
    await putter.join()


async def locking(lock, times):
    for _ in range(times):
        async with lock:
            await curio.sleep(0)


async def lock(count):
    shared = curio.Lock()
    await run_all((locking, shared, count // LOCKING_TASKS) for _ in range(LOCKING_TASKS))


async def waiting(event):
    async with curio.timeout_after(ARMED_SECONDS):
        await event.wait()


async def timers(count):
    event = curio.Event()
    tasks = [await curio.spawn(waiting, event) for _ in range(count)]
    await curio.sleep(0)
    await event.set()
    for task in tasks:
        await task.join()


works = (switch, spawn, spawn_many, sleep, timeout, channel, lock, timers)
answer({work.__name__: lambda n, work=work: curio.run(work, n) for work in works})

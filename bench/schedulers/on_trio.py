"""The tasks under trio. A nursery is how trio waits for a task, so `spawn` opens one for each."""

import trio

from bench.schedulers.answering import (
    ARMED_SECONDS,
    LOCKING_TASKS,
    SPAWN_BATCH,
    SWITCHING_TASKS,
    TIMEOUT_SECONDS,
    answer,
    sleep_seconds,
)


async def passing(times):
    for _ in range(times):
        await trio.lowlevel.checkpoint()


async def switch(count):
    async with trio.open_nursery() as nursery:
        for _ in range(SWITCHING_TASKS):
            nursery.start_soon(passing, count // SWITCHING_TASKS)


async def nothing():
    return


async def spawn(count):
    for _ in range(count):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(nothing)


async def spawn_many(count):
    for _ in range(count // SPAWN_BATCH):
        async with trio.open_nursery() as nursery:
            for _ in range(SPAWN_BATCH):
                nursery.start_soon(nothing)


async def sleep(count):
    async with trio.open_nursery() as nursery:
        for i in range(count):
            nursery.start_soon(trio.sleep, sleep_seconds(i))


async def timeout(count):
    for _ in range(count):
        with trio.fail_after(TIMEOUT_SECONDS):
            await trio.lowlevel.checkpoint()


async def putting(sender, count):
    for number in range(count):
        await sender.send(number)


async def channel(count):
    sender, receiver = trio.open_memory_channel(1)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(putting, sender, count)
        for _ in range(count):
            await receiver.receive()


async def locking(lock, times):
    for _ in range(times):
        async with lock:
            await trio.lowlevel.checkpoint()


async def lock(count):
    shared = trio.Lock()
    async with trio.open_nursery() as nursery:
        for _ in range(LOCKING_TASKS):
            nursery.start_soon(locking, shared, count // LOCKING_TASKS)


async def waiting(event):
    with trio.fail_after(ARMED_SECONDS):
        await event.wait()


async def timers(count):
    event = trio.Event()
    async with trio.open_nursery() as nursery:
        for _ in range(count):
            nursery.start_soon(waiting, event)
        await trio.lowlevel.checkpoint()
        await trio.lowlevel.checkpoint()
        event.set()


works = (switch, spawn, spawn_many, sleep, timeout, channel, lock, timers)
answer({work.__name__: lambda n, work=work: trio.run(work, n) for work in works})

"""The tasks under asyncio:  on_asyncio.py asyncio|uvloop"""

import asyncio
import sys

import uvloop

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
        await asyncio.sleep(0)


async def switch(count):
    await asyncio.gather(*(passing(count // SWITCHING_TASKS) for _ in range(SWITCHING_TASKS)))


async def nothing():
    return


async def spawn(count):
    for _ in range(count):
        await asyncio.create_task(nothing())


async def spawn_many(count):
    for _ in range(count // SPAWN_BATCH):
        tasks = [asyncio.create_task(nothing()) for _ in range(SPAWN_BATCH)]
        for task in tasks:
            await task


async def sleep(count):
    tasks = [asyncio.create_task(asyncio.sleep(sleep_seconds(i))) for i in range(count)]
    for task in tasks:
        await task


async def timeout(count):
    for _ in range(count):
        async with asyncio.timeout(TIMEOUT_SECONDS):
            await asyncio.sleep(0)


async def putting(queue, count):
    for number in range(count):
        await queue.put(number)


async def channel(count):
    queue = asyncio.Queue(1)
    putter = asyncio.create_task(putting(queue, count))
    for _ in range(count):
        await queue.get()
    await putter


async def locking(lock, times):
    for _ in range(times):
        async with lock:
            await asyncio.sleep(0)


async def lock(count):
    shared = asyncio.Lock()
    await asyncio.gather(*(locking(shared, count // LOCKING_TASKS) for _ in range(LOCKING_TASKS)))


async def waiting(event):
    async with asyncio.timeout(ARMED_SECONDS):
        await event.wait()


async def timers(count):
    event = asyncio.Event()
    tasks = [asyncio.create_task(waiting(event)) for _ in range(count)]
    await asyncio.sleep(0)
    event.set()
    for task in tasks:
        await task


run = uvloop.run if sys.argv[1] == "uvloop" else asyncio.run
works = (switch, spawn, spawn_many, sleep, timeout, channel, lock, timers)
answer({work.__name__: lambda n, work=work: run(work(n)) for work in works})

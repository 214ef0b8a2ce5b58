"""The tasks under coop."""

import coop
from bench.schedulers.answering import (
    ARMED_SECONDS,
    LOCKING_TASKS,
    SPAWN_BATCH,
    SWITCHING_TASKS,
    TIMEOUT_SECONDS,
    answer,
    sleep_seconds,
)


def run_all(generators):
    for task in [coop.spawn(generator) for generator in generators]:
        yield from task.join()


def passing(times):
    for _ in range(times):
        yield


def switch(count):
    yield from run_all(passing(count // SWITCHING_TASKS) for _ in range(SWITCHING_TASKS))


def nothing():
    return
    yield


def spawn(count):
    for _ in range(count):
        yield from coop.spawn(nothing()).join()


def spawn_many(count):
    for _ in range(count // SPAWN_BATCH):
        yield from run_all(nothing() for _ in range(SPAWN_BATCH))


def sleep(count):
    yield from run_all(coop.sleep(sleep_seconds(i)) for i in range(count))


def timeout(count):
    for _ in range(count):
        with coop.timeout(TIMEOUT_SECONDS):
            yield


def putting(queue, count):
    for number in range(count):
        yield from queue.send(number)


def channel(count):
    queue = coop.Channel(1)
    putter = coop.spawn(putting(queue, count))
    for _ in range(count):
        yield from queue.recv()
    yield from putter.join()


def locking(lock, times):
    for _ in range(times):
        with (yield from lock.acquire()):
            yield


def lock(count):
    shared = coop.Lock()
    times = count // LOCKING_TASKS
    yield from run_all(locking(shared, times) for _ in range(LOCKING_TASKS))


def waiting(event):
    with coop.timeout(ARMED_SECONDS):
        yield from event.wait()


def timers(count):
    event = coop.Event()
    tasks = [coop.spawn(waiting(event)) for _ in range(count)]
    yield
    event.set()
    for task in tasks:
        yield from task.join()


works = (switch, spawn, spawn_many, sleep, timeout, channel, lock, timers)
answer({work.__name__: lambda n, work=work: coop.run(work(n)) for work in works})

"""The tasks under simpy: in virtual time, so `sleep` never waits; it has no timeouts."""

import simpy

from bench.schedulers.answering import (
    LOCKING_TASKS,
    SPAWN_BATCH,
    SWITCHING_TASKS,
    answer,
    sleep_seconds,
)


def passing(env, times):
    for _ in range(times):
        yield env.timeout(0)


def switch(env, count):
    tasks = [env.process(passing(env, count // SWITCHING_TASKS)) for _ in range(SWITCHING_TASKS)]
    yield env.all_of(tasks)


def nothing():
    return
    yield


def spawn(env, count):
    for _ in range(count):
        yield env.process(nothing())


def spawn_many(env, count):
    for _ in range(count // SPAWN_BATCH):
        yield from [env.process(nothing()) for _ in range(SPAWN_BATCH)]


def sleeping(env, seconds):
    yield env.timeout(seconds)


def sleep(env, count):
    yield from [env.process(sleeping(env, sleep_seconds(i))) for i in range(count)]


def putting(store, count):
    for number in range(count):
        yield store.put(number)


def channel(env, count):
    store = simpy.Store(env, 1)
    putter = env.process(putting(store, count))
    for _ in range(count):
        yield store.get()
    yield putter


def locking(env, resource, times):
    for _ in range(times):
        with resource.request() as request:
            yield request
            yield env.timeout(0)


def lock(env, count):
    shared = simpy.Resource(env, 1)
    times = count // LOCKING_TASKS
    yield env.all_of([env.process(locking(env, shared, times)) for _ in range(LOCKING_TASKS)])


def run(work, count):
    env = simpy.Environment()
    env.run(env.process(work(env, count)))


works = (switch, spawn, spawn_many, sleep, channel, lock)
answer({work.__name__: lambda n, work=work: run(work, n) for work in works})

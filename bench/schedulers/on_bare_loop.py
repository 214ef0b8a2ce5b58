"""The limit: a deque, `send`, and a heap for sleepers. No cancel, no errors, no I/O, no results."""

from collections import deque
from heapq import heappop, heappush
from time import monotonic
from time import sleep as idle

from bench.schedulers.answering import SPAWN_BATCH, SWITCHING_TASKS, answer, sleep_seconds


def run(tasks):
    ready = deque(task.send for task in tasks)
    sleepers = []
    while ready or sleepers:
        if sleepers:
            wake_due(sleepers, ready)
        resume = ready.popleft()
        try:
            wanted = resume(None)
        except StopIteration:
            continue
        if wanted is None:
            ready.append(resume)
        elif type(wanted) is float:
            heappush(sleepers, (monotonic() + wanted, id(resume), resume))
        else:
            ready.extend([*wanted, resume])


def wake_due(sleepers, ready):
    seconds = sleepers[0][0] - monotonic()
    if seconds > 0:
        if ready:
            return
        idle(seconds)
    time = monotonic()
    while sleepers and sleepers[0][0] <= time:
        ready.append(heappop(sleepers)[2])


def passing(times):
    for _ in range(times):
        yield


def nothing():
    return
    yield


def spawning(count, batch):
    for _ in range(count // batch):
        yield [nothing().send for _ in range(batch)]


def sleeping(seconds):
    yield seconds


answer(
    {
        "switch": lambda n: run(passing(n // SWITCHING_TASKS) for _ in range(SWITCHING_TASKS)),
        "spawn": lambda n: run([spawning(n, 1)]),
        "spawn_many": lambda n: run([spawning(n, SPAWN_BATCH)]),
        "sleep": lambda n: run(sleeping(sleep_seconds(i)) for i in range(n)),
    }
)

"""The tasks under gevent."""

import gevent
from gevent.event import Event
from gevent.lock import BoundedSemaphore
from gevent.queue import Queue

from bench.schedulers.answering import (
    ARMED_SECONDS,
    LOCKING_TASKS,
    SPAWN_BATCH,
    SWITCHING_TASKS,
    TIMEOUT_SECONDS,
    answer,
    sleep_seconds,
)


def passing(times):
    for _ in range(times):
        gevent.sleep(0)


def switch(count):
    tasks = [gevent.spawn(passing, count // SWITCHING_TASKS) for _ in range(SWITCHING_TASKS)]
    gevent.joinall(tasks)


def nothing():
    return


def spawn(count):
    for _ in range(count):
        gevent.spawn(nothing).join()


def spawn_many(count):
    for _ in range(count // SPAWN_BATCH):
        for task in [gevent.spawn(nothing) for _ in range(SPAWN_BATCH)]:
            task.join()


def sleep(count):
    gevent.joinall([gevent.spawn(gevent.sleep, sleep_seconds(i)) for i in range(count)])


def timeout(count):
    for _ in range(count):
        with gevent.Timeout(TIMEOUT_SECONDS):
            gevent.sleep(0)


def putting(queue, count):
    for number in range(count):
        queue.put(number)


def channel(count):
    queue = Queue(1)
    putter = gevent.spawn(putting, queue, count)
    for _ in range(count):
        queue.get()
    putter.join()


def locking(lock, times):
    for _ in range(times):
        with lock:
            gevent.sleep(0)


def lock(count):
    shared = BoundedSemaphore(1)
    times = count // LOCKING_TASKS
    gevent.joinall([gevent.spawn(locking, shared, times) for _ in range(LOCKING_TASKS)])


def waiting(event):
    with gevent.Timeout(ARMED_SECONDS):
        event.wait()


def timers(count):
    event = Event()
    tasks = [gevent.spawn(waiting, event) for _ in range(count)]
    gevent.sleep(0)
    event.set()
    gevent.joinall(tasks)


works = (switch, spawn, spawn_many, sleep, timeout, channel, lock, timers)
answer({work.__name__: work for work in works})

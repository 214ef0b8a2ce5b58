"""Answering: the frame of every scheduler program.

Charter: a line "WORK COUNT" on standard input is answered by the CPU time in nanoseconds (user and
system, of the whole process) that one of COUNT operations took. What the operations are:

switch      100 tasks, each passing to the next over and over: one pass
spawn       start a task that ends at once, wait for it, then the next: one task
spawn_many  start 100 such tasks, then wait for all of them: one task
sleep       that many tasks asleep at once, each for its own time: start, sleep, end of one task
timeout     enter a timeout of 30 s, pass once, leave it: one timeout
channel     a queue with room for one; a task puts, another takes: one value
timers      that many tasks, each waiting for one event under a timeout of its own: start, wait,
            wake when the event is set, end of one task
lock        two tasks, each takes the lock, passes once, gives it back: one taking
"""

import sys
import time
from collections.abc import Callable

SWITCHING_TASKS = 100
SPAWN_BATCH = 100
LOCKING_TASKS = 2
TIMEOUT_SECONDS = 30.0
ARMED_SECONDS = 3600.0


def sleep_seconds(number: int) -> float:
    """Return how long the task of that number sleeps: 1 to 1.1 s, the same every time.

    All are asleep before the first is due, and then they are due faster than anyone wakes them, so
    that no scheduler idles in between and is charged for it.
    """
    return 1.0 + (number * 7919 % 100_003) / 1_000_030


def answer(works: dict[str, Callable[[int], object]]) -> None:
    """Answer lines until standard input ends."""
    print("ready", *works, flush=True)
    for line in sys.stdin:
        name, count = line.split()
        begin = time.process_time_ns()
        works[name](int(count))
        print((time.process_time_ns() - begin) / int(count), flush=True)

"""Timeouts: every wait can be bounded, from outside, by anybody, as often as one likes.

Run:  python samples/07_timeout.py
See:  five ways to give up in time, each with how long it took.
"""

import coop


def slow(seconds):
    """Something that takes its time, and says so when it is cut short."""
    try:
        yield from coop.sleep(seconds)
        return "done"
    except coop.Cancelled:
        print("    (slow was cut short, and cleans up)")
        raise


def an_error():
    """A timeout is an error: what was to happen has not happened."""
    try:
        with coop.timeout(0.1):
            yield from slow(10)
    except TimeoutError as error:
        return f"{error}"


def no_error():
    """Or it is none: go on with what there is."""
    with coop.move_on_after(0.1) as scope:
        yield from slow(10)
    return f"moved on: {scope.caught}"


def nested():
    """The outer one counts, however long the inner ones are."""
    with coop.move_on_after(0.1) as total:
        while True:
            with coop.timeout(5):
                yield from coop.sleep(0.04)
    return f"the whole was bounded: {total.caught}"


def idle():
    """A deadline can be pushed on: give up after silence, not after work."""
    with coop.move_on_after(0.05) as silence:
        for _ in range(4):
            yield from coop.sleep(0.03)
            silence.deadline += 0.03
        yield from slow(10)
    return f"silence was noticed: {silence.caught}"


def cleaning_up():
    """Cleanup may wait too, behind a shield that is bounded itself."""
    with coop.move_on_after(0.05):
        try:
            yield from slow(10)
        finally:
            with coop.shield(1.0):
                yield from coop.sleep(0.05)
                farewell = "goodbye was said"
    return farewell


def main():
    for example in (an_error, no_error, nested, idle, cleaning_up):
        watch = coop.Stopwatch()
        outcome = yield from example()
        print(f"{example.__name__}: {outcome} after {watch.elapsed:.2f} s")


if __name__ == "__main__":
    coop.run(main())

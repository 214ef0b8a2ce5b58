"""Arguments: what a caller hands in, looked at before anything is done with it.

What lives here: ``whole_number``, ``length_of_time``, ``descriptor_of``, ``check_callable``.  What
it must not know: what they are for; the caller says that, in the words the error begins with.
Stands on: outcomes.

Python compares 1.5, NaN and infinity with any number, so a count that is none of the integers goes
wrong much later: a semaphore of 1.5 permits gives out two, and never has none.
"""

from __future__ import annotations

from operator import index
from typing import TYPE_CHECKING, Any, SupportsIndex

from coop.outcomes import ClosedError

if TYPE_CHECKING:
    from coop.poller import HasFileno


def whole_number(number: SupportsIndex, least: int, says: str) -> int:
    """Return a count that is ``least`` or more; ``says`` is what it should be.

    Errors: ValueError when it is less; TypeError when it is no whole number.
    """
    try:
        count = index(number)
    except TypeError:
        raise TypeError(f"{says}, and a whole number, not {number!r}") from None
    if count < least:
        raise ValueError(f"{says}, not {number!r}")
    return count


def length_of_time(seconds: float, says: str) -> float:
    """Return a number of seconds that is 0 or more; ``says`` is what it should be.

    Errors: ValueError when it is negative or NaN; TypeError when it is no number.
    """
    try:
        is_one = seconds >= 0
    except TypeError:
        raise TypeError(f"{says}, not {seconds!r}") from None
    if not is_one:
        raise ValueError(f"{says}, not {seconds!r}")
    return seconds


def descriptor_of(thing: HasFileno | int) -> int:
    """Return the number of a descriptor, or of an object with one.

    Errors: ClosedError when it is closed; TypeError when there is none.
    """
    if isinstance(thing, int):
        fd = thing
    elif hasattr(thing, "fileno"):
        fd = thing.fileno()
    else:
        raise TypeError(f"a descriptor is a number or an object with fileno(), not {thing!r}")
    if fd < 0:
        raise ClosedError(f"{thing!r} is closed: there is nothing to wait for")
    return fd


def check_callable(thing: object, says: str) -> None:
    """See that a thing can be called; ``says`` is what it should be.

    Errors: TypeError when it cannot, with what was probably meant.
    """
    if not callable(thing):
        raise TypeError(f"{says}, not {thing!r}{without_call(thing)}")


def without_call(thing: Any) -> str:
    """Return a hint at the function that gave a generator or a coroutine; nothing for others.

    It will not run any more, and is closed: or Python would complain that it never did.
    """
    code = getattr(thing, "gi_code", None) or getattr(thing, "cr_code", None)
    if code is None:
        return ""
    thing.close()
    return f": did you mean {code.co_name}, without the call?"

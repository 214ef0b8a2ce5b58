"""WOULDBLOCK, the family of errors, and the judgement of accept's errors."""

from __future__ import annotations

import errno
import os
import pickle
from copy import deepcopy

import pytest

from coop.outcomes import (
    WOULDBLOCK,
    AcceptFailure,
    BusyError,
    Cancelled,
    ClosedError,
    CoopError,
    Deadlock,
    IncompleteError,
    LimitError,
    MisuseError,
    ResolveError,
    TaskCancelled,
    errno_name,
    judge_accept,
)

pytestmark = pytest.mark.core


def test_wouldblock_is_falsy_and_prints_its_own_name() -> None:
    assert not WOULDBLOCK
    assert ("wouldblock", "WOULDBLOCK") == (str(WOULDBLOCK), repr(WOULDBLOCK))


def test_wouldblock_is_not_the_end_of_the_stream() -> None:
    others: list[object] = [b"", 0, None, False]
    assert WOULDBLOCK not in others


def test_there_is_one_wouldblock_even_after_a_copy() -> None:
    assert WOULDBLOCK is pickle.loads(pickle.dumps(WOULDBLOCK))
    assert WOULDBLOCK is deepcopy(WOULDBLOCK)


def test_cancelled_passes_through_except_exception() -> None:
    assert not issubclass(Cancelled, Exception)
    assert "the peer left" == Cancelled("the peer left").reason
    assert ((), None) == (Cancelled().args, Cancelled().reason)


@pytest.mark.parametrize(
    ("error", "builtin"),
    [
        (MisuseError("x"), RuntimeError),
        (BusyError("x"), Exception),
        (ClosedError("x"), OSError),
        (IncompleteError("x"), EOFError),
        (LimitError("x"), ValueError),
        (ResolveError(-2, "x"), OSError),
        (TaskCancelled("x"), Exception),
        (Deadlock("x"), Exception),
    ],
    ids=lambda value: type(value).__name__,
)
def test_each_error_is_of_the_family_and_of_a_builtin_kind(
    error: CoopError, builtin: type[Exception]
) -> None:
    assert isinstance(error, CoopError)
    assert isinstance(error, builtin)
    assert "x" == str(error)


def test_closed_error_carries_the_errno_of_a_bad_descriptor() -> None:
    assert errno.EBADF == ClosedError("closed").errno


def test_incomplete_error_keeps_what_had_arrived() -> None:
    assert (b"half", b"") == (IncompleteError("x", b"half").partial, IncompleteError("x").partial)


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ("ECONNABORTED EPROTO EPERM EINTR ENETDOWN EHOSTUNREACH ETIMEDOUT", AcceptFailure.GONE),
        ("EMFILE ENFILE ENOBUFS ENOMEM", AcceptFailure.EXHAUSTED),
        ("EBADF EINVAL ENOTSOCK EFAULT", AcceptFailure.FATAL),
    ],
    ids=lambda value: getattr(value, "value", ""),
)
def test_accept_failure_is_judged_by_its_errno(names: str, expected: AcceptFailure) -> None:
    for name in names.split():
        code = getattr(errno, name)
        assert expected is judge_accept(OSError(code, os.strerror(code))), name


def test_error_without_an_errno_is_fatal() -> None:
    assert AcceptFailure.FATAL is judge_accept(OSError("out of the blue"))


def test_errno_is_told_by_its_symbolic_name() -> None:
    assert "ECONNREFUSED" == errno_name(OSError(errno.ECONNREFUSED, "no"))
    assert "123456" == errno_name(OSError(123456, "what"))

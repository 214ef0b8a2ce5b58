"""The outbox: everything on its way out of a WebSocket, frame behind frame.

What lives here: Outbox, what a WebSocket sends with.  What it must not know: what the frames say.
Stands on: stream, sync, waits.

A frame that has been begun is finished before another one begins, whatever happens to the task that
sent it; where that cannot be, the connection is lost.  Most often the system takes a frame at once,
and nothing here is touched.
"""

from __future__ import annotations

from collections import deque
from contextlib import suppress
from typing import Any, Final

from coop.outcomes import BusyError, ClosedError
from coop.stream import Connection
from coop.sync import Lock
from coop.task import Task
from coop.traps import Coop
from coop.waits import spawn

#: Frames are put together until they are this many bytes.
_GATHER_BYTES: Final = 65536


class Outbox:
    """Send frames over a connection: now, in turn, or when there is room.

    ``lose`` is called when the connection has broken.
    """

    __slots__ = (
        "_connection", "_controls", "_flusher", "_frames", "_is_clear", "_lock", "_rest",
        "_send_bytes", "bytes_behind",
    )  # fmt: skip

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._send_bytes = connection.socket.send
        #: Whether a frame may go out now, before any other: nothing waits, and nobody sends.
        self._is_clear = True
        #: Held by whoever sends more than the system takes at once; made when first needed.
        self._lock: Lock | None = None
        #: The task that sends what nobody waits for.
        self._flusher: Task[Any] | None = None
        #: What is left of a frame that has been begun; goes before all else.
        self._rest = b""
        #: Pings and pongs, which may go between the fragments of a message.
        self._controls: list[bytes] = []
        #: Frames that nobody waits for, made when first needed.
        self._frames: deque[bytes] | None = None
        #: How many bytes of those the system has not been given.
        self.bytes_behind = 0

    def lose(self, error: OSError | None) -> None:
        """Take note that the connection has broken."""
        raise NotImplementedError

    # -- now, or later ----------------------------------------------------------------------------

    def _put(self, frame: bytes) -> None:
        """Send a frame behind those that wait.  Never waits: a task of its own does, if need be."""
        if self._is_clear:
            self._send_now(frame)
        else:
            if self._frames is None:
                self._frames = deque()
            self._frames.append(frame)
            self.bytes_behind += len(frame)
        self._send_later()

    def _put_control(self, frame: bytes) -> None:
        """The same for a ping or pong; of those that cannot go at once, only the last is kept."""
        if self._is_clear:
            self._send_now(frame)
        else:
            opcode = frame[0]
            self._controls = [each for each in self._controls if each[0] != opcode]
            self._controls.append(frame)
        self._send_later()

    def _send_now(self, frame: bytes) -> None:
        """Offer a frame to the system; what it does not take is the rest, to go before all else."""
        try:
            sent = self._send_bytes(frame)
        except OSError as error:
            self.lose(error)
            return
        if sent != len(frame):
            # The whole of it, perhaps: a TLS socket that took nothing wants the same bytes again.
            self._rest = frame[sent or 0 :]
            self._is_clear = False

    def _send_later(self) -> None:
        """Have a task send what nobody waits for, unless one does already."""
        if not self._is_clear and (self._flusher is None or self._flusher.is_done):
            self._flusher = spawn(self._flush(), name="websocket outbox")

    def _flush(self) -> Coop[None]:
        with suppress(ClosedError, BusyError), (yield from self._take_turn()):
            pass  # whoever takes a turn has sent what waited

    # -- in turn ----------------------------------------------------------------------------------

    def _take_turn(self) -> Coop[_Turn]:
        """Wait until everybody before us has sent, and what nobody waits for is on its way.

        Returns the turn, for a ``with``.  Errors: ClosedError when the connection broke.
        """
        if self._lock is None:
            self._lock = Lock(name="outbox")
        self._is_clear = False
        yield from self._lock.acquire()
        try:
            while self._rest or self._controls or self._frames:
                yield from self._transmit(self._gather())
        except BaseException:
            self._end_turn()
            raise
        return _Turn(self)

    def _end_turn(self) -> None:
        assert self._lock is not None
        self._lock.release()
        # What was put meanwhile has a task that will take its turn.
        self._is_clear = self._lock.holder is None and not (
            self._rest or self._controls or self._frames
        )

    def _send_controls(self) -> Coop[None]:
        """Send what may go between two fragments; by the one whose turn it is."""
        if self._controls:
            controls = b"".join(self._controls)
            self._controls.clear()
            yield from self._transmit(controls)

    def _transmit(self, data: bytes) -> Coop[None]:
        """Send all of this; by the one whose turn it is.

        Errors: ClosedError when the connection broke.  Cancelled: it is lost, since nobody knows
        how much has gone out.
        """
        try:
            yield from self._connection.sendall(data)
        except OSError as error:
            self.lose(error)
            raise self._lost_error(error) from error
        except BaseException:
            self.lose(None)
            raise

    def _gather(self) -> bytes:
        data = [self._rest, *self._controls]
        size = 0
        self._rest = b""
        self._controls.clear()
        frames = self._frames
        while frames and size < _GATHER_BYTES:
            size += len(frames[0])
            data.append(frames.popleft())
        self.bytes_behind -= size
        return b"".join(data)

    def _drop_frames(self) -> None:
        """Forget the frames that nobody waits for, but what of them has been begun."""
        if self._frames:
            self._frames.clear()
        self.bytes_behind = 0

    def _lost_error(self, error: OSError | None = None) -> ClosedError:
        return ClosedError(f"the connection of {self!r} broke: {error}")


class _Turn:
    """The right to send, to the end of a with-block."""

    __slots__ = ("_outbox",)

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox

    def __enter__(self) -> None:
        return None

    def __exit__(self, *error: object) -> None:
        self._outbox._end_turn()

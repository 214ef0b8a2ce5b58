"""Streams: a connection as a task sees it.

What lives here: Connection, its life as a table, its buffer, and the way to open one.
What it must not know: the operating system's sockets, the poller; it asks a raw socket, each call
of which tries once, and waits by ``retry`` alone.  Stands on: outcomes, readiness, scopes, sockets.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum
from types import TracebackType
from typing import IO, Any, Final, NoReturn, cast

from coop.address import Address
from coop.outcomes import (
    WOULDBLOCK,
    BusyError,
    ClosedError,
    IncompleteError,
    LimitError,
    MisuseError,
    WouldBlock,
)
from coop.port import close_socket
from coop.readiness import BUDGET_BYTES, Descriptor, retry, take_turn
from coop.scopes import move_on_after
from coop.sockets import StreamSocket
from coop.traps import Coop, Operation, current_scheduler, operation

#: How much one ``recv`` asks for unless told otherwise, in bytes.
RECV_BYTES: Final = 65536
#: How much ``recv_until`` collects before it gives up unless told otherwise, in bytes.
LIMIT_BYTES: Final = 65536
#: How much of a file, or of memory to fill, is handed to the system at once, in bytes.
PIECE_BYTES: Final = 1 << 20
_NO_END: Final = 1 << 62
#: How long and how much ``aclose`` reads on for the peer's end: seconds, bytes.
LINGER_SECONDS: Final = 2.0
LINGER_BYTES: Final = 1 << 20


class ConnectionState(Enum):
    """Where a connection is in its life."""

    #: Both directions may be used.
    OPEN = "open"
    #: We have said that nothing more comes from us; receiving goes on.
    SEND_CLOSED = "send_closed"
    #: Closed, by us: nothing more goes either way.
    CLOSED = "closed"


#: The life of a connection: {state: {event: next state}}.
CONNECTION_LIFE: Final[dict[ConnectionState, dict[str, ConnectionState]]] = {
    ConnectionState.OPEN: {
        "shutdown_send": ConnectionState.SEND_CLOSED,
        "close": ConnectionState.CLOSED,
    },
    ConnectionState.SEND_CLOSED: {
        "shutdown_send": ConnectionState.SEND_CLOSED,
        "close": ConnectionState.CLOSED,
    },
    ConnectionState.CLOSED: {"close": ConnectionState.CLOSED},
}


class _Gone:
    """What stands where a detached connection's socket stood."""

    __slots__ = ()

    def __getattr__(self, call: str) -> NoReturn:
        raise ClosedError("the connection was detached: use the socket that it gave away")

    def __repr__(self) -> str:
        return "detached"


class _FileRest:
    """What of a file is still to be sent."""

    __slots__ = ("end", "file", "offset")

    def __init__(self, file: IO[bytes] | int, offset: int, end: int) -> None:
        self.file = file
        self.offset = offset
        self.end = end


def octets(data: object) -> memoryview:
    """Return a view of the bytes to send.  Errors: TypeError, with what was probably meant."""
    try:
        return memoryview(data).cast("B")  # type: ignore[arg-type]
    except TypeError as error:
        hint = ""
        if isinstance(data, str):
            hint = ": encode() it"
        elif hasattr(data, "send"):
            hint = ": did you mean 'yield from'?"
        raise TypeError(f"what is sent are bytes, not {data!r:.80}{hint}") from error


class Connection:
    """One end of a stream of bytes, to a peer that may be gone at any time.

    One task may receive while another sends; a second one in the same direction gets BusyError.
    A reset by the peer comes as the OSError that it is (``ConnectionResetError``, …).
    """

    __slots__ = (
        "__weakref__", "_buffer", "_descriptor", "_reader", "_socket", "_writer", "state",
    )  # fmt: skip

    def __init__(self, socket: StreamSocket) -> None:
        self._socket = socket
        self._descriptor: Descriptor = current_scheduler().descriptors.add(socket.fileno())
        self._reader = self._descriptor.reader
        self._writer = self._descriptor.writer
        #: Received and not yet asked for; None as long as nothing ever was, which is most often.
        self._buffer: bytearray | None = None
        self.state = ConnectionState.OPEN

    def connect(self, address: Address) -> Operation[bool]:
        """Connect the fresh socket to its peer: what ``coop.connect`` does, for one address.

        Waits: until it is connected.  Errors: the OSError of connect(2), such as
        ConnectionRefusedError; close the connection then.
        """
        return retry(self._writer, self._socket.connect, address)

    # -- receiving ----------------------------------------------------------------------------

    def recv(self, max_bytes: int = RECV_BYTES) -> Operation[bytes]:
        """Receive what is there, at least one byte and at most ``max_bytes``; ``b""`` at the end.

        Waits: until something has come.  Errors: OSError when the connection broke; ClosedError;
        BusyError when another task is receiving; ValueError unless ``max_bytes`` is positive.
        """
        if max_bytes <= 0:
            raise ValueError(f"max_bytes must be 1 or more, not {max_bytes!r}")
        if self._buffer:
            self._reader.is_ready = True  # what is here already need not be waited for
        return retry(self._reader, self._try_recv, max_bytes)

    def recv_into(self, buffer: bytearray | memoryview) -> Operation[int]:
        """Receive into ``buffer``; return how many bytes came, 0 at the end.

        Waits, errors: as ``recv``.
        """
        if self._buffer:
            self._reader.is_ready = True
        return retry(self._reader, self._try_recv_into, buffer)

    @operation
    def recv_exactly(self, count: int) -> Coop[bytes]:
        """Receive exactly ``count`` bytes.

        Waits: until they have come.  Errors: as ``recv``; IncompleteError, whose ``partial`` holds
        what came, when the stream ends before.  Cancelled: what came stays in the buffer.
        """
        if count < 0:
            raise ValueError(f"count must be 0 or more, not {count!r}")
        if self._buffer:
            yield from take_turn(self._reader)
        buffer = self._open_buffer()
        while len(buffer) < count:
            if not (yield from self._fill(count - len(buffer))):
                raise IncompleteError(
                    f"{self!r} ended after {len(buffer)} of {count} bytes", self._take(len(buffer))
                )
        return self._take(count)

    def recv_until(self, separator: bytes, limit: int = LIMIT_BYTES) -> Operation[bytes]:
        """Receive up to and including ``separator``, at most ``limit`` bytes in all.

        Waits: until it has come.  Errors: as ``recv``; LimitError when ``limit`` bytes came
        without it (they stay in the buffer); IncompleteError when the stream ends before.
        """
        if not separator:
            raise ValueError("recv_until needs a separator of at least one byte")
        return self._recv_through(separator, limit, may_end=False)

    def readline(self, limit: int = LIMIT_BYTES) -> Operation[bytes]:
        """Receive one line with its ``\\n``; at the end what is left, and then ``b""``.

        Waits, errors: as ``recv_until``, but for the end, which is no error here.
        """
        return self._recv_through(b"\n", limit, may_end=True)

    @operation
    def _recv_through(self, separator: bytes, limit: int, *, may_end: bool) -> Coop[bytes]:
        is_over = False
        if self._buffer:
            yield from take_turn(self._reader)
        else:
            data = yield from self.recv()
            if 0 <= data.find(separator) == len(data) - len(separator) and len(data) <= limit:
                return data  # as most often, and without the buffer
            is_over = not data
            self._open_buffer().extend(data)
        buffer = self._open_buffer()
        searched = 0
        while not is_over:
            found = buffer.find(separator, max(0, searched - len(separator) + 1), limit)
            if found >= 0:
                return self._take(found + len(separator))
            if len(buffer) >= limit:
                raise LimitError(f"{self!r} sent {limit} bytes without {separator!r}")
            searched = len(buffer)
            is_over = not (yield from self._fill(RECV_BYTES))
        partial = self._take(len(buffer))
        if may_end:
            return partial
        raise IncompleteError(f"{self!r} ended before {separator!r} came", partial)

    def unread(self, data: bytes) -> None:
        """Put bytes back in front of what will be received next.

        Errors: ClosedError; BusyError while a task is receiving, which would not see them.
        """
        if self.state is ConnectionState.CLOSED:
            raise ClosedError(f"{self!r} receives nothing any more")
        if self._reader.is_busy:
            raise BusyError(f"another task is receiving from {self!r}: put back before it does")
        self._open_buffer()[:0] = data
        self._reader.is_ready = True

    def _open_buffer(self) -> bytearray:
        if self._buffer is None:
            self._buffer = bytearray()
        return self._buffer

    def _take(self, count: int) -> bytes:
        buffer = self._open_buffer()
        data = bytes(memoryview(buffer)[:count])
        del buffer[:count]
        return data

    def _try_recv(self, max_bytes: int) -> bytes | WouldBlock:
        if self._buffer:
            return self._take(max_bytes)
        data = self._socket.recv(max_bytes)
        if data is not WOULDBLOCK:
            if len(data) < max_bytes:
                self._reader.is_ready = False  # as in _learn, which would be one call more
            else:
                self._learn(max_bytes, max_bytes)
        return data

    def _try_recv_into(self, buffer: bytearray | memoryview) -> int | WouldBlock:
        if self._buffer:
            view = memoryview(buffer).cast("B")
            data = self._take(len(view))
            view[: len(data)] = data
            return len(data)
        count = self._socket.recv_into(buffer)
        if count is not WOULDBLOCK:
            self._learn(count, memoryview(buffer).nbytes)
        return count

    def _fill(self, wanted: int) -> Operation[int]:
        """Receive something into the buffer; return how many bytes, 0 at the end."""
        # Not all that is wanted at once: Python sets memory aside for as much as it asks for.
        size = min(max(wanted, RECV_BYTES), PIECE_BYTES)
        return retry(self._reader, self._try_fill, size)

    def _try_fill(self, max_bytes: int) -> int | WouldBlock:
        """Receive into the buffer; 0 at the end."""
        data = self._socket.recv(max_bytes)
        if data is WOULDBLOCK:
            return WOULDBLOCK
        self._learn(len(data), max_bytes)
        self._open_buffer().extend(data)
        return len(data)

    def _learn(self, count: int, max_bytes: int) -> None:
        """Take note of what the length of a receive tells."""
        if count < max_bytes:
            # Drained: the next receive parks without a call that would only fail.
            self._reader.is_ready = False
        else:
            # There is more, and much takes long.
            self._reader.scheduler.budget -= count // BUDGET_BYTES

    # -- sending ------------------------------------------------------------------------------

    @operation
    def sendall(self, data: bytes | bytearray | memoryview) -> Coop[None]:
        """Send all of ``data``.

        Waits: as long as the peer takes nothing (backpressure).  Errors: OSError when the
        connection broke; ClosedError; BusyError when another task is sending.  After Cancelled or
        an error an unknown part has been sent: close the connection then.
        """
        if type(data) is not bytes:
            data = octets(data)
        way = self._writer
        scheduler = way.scheduler
        if way.is_ready and not way.is_busy and scheduler.budget > 0:
            # What retry would do first, in place: nearly always it is all, and costs a third less.
            scheduler.budget -= 1
            sent = self._socket.send(data)
            if sent == len(data):
                return
            way.is_ready = False
            data = memoryview(data)[sent or 0 :]
        yield from retry(way, self._try_send, [data])

    def sendall_parts(self, parts: Iterable[bytes]) -> Operation[None]:
        """Send all of these, one after the other, as ``sendall`` does."""
        return self.sendall(b"".join(parts))

    @operation
    def sendfile(
        self, file: IO[bytes] | int, offset: int = 0, count: int | None = None
    ) -> Coop[int]:
        """Send ``count`` bytes of a regular file from ``offset`` on; return how many were sent.

        ``count`` None means to the end.  Less is sent when the file ends before.
        Waits, errors: as ``sendall``.
        """
        rest = _FileRest(file, offset, _NO_END if count is None else offset + count)
        yield from retry(self._writer, self._try_sendfile, rest)
        return rest.offset - offset

    def _try_sendfile(self, rest: _FileRest) -> bool | WouldBlock:
        """Send a piece and note it in ``rest``; True at the end."""
        if rest.offset >= rest.end:
            return True
        size = min(rest.end - rest.offset, PIECE_BYTES)
        sent = self._socket.sendfile(rest.file, rest.offset, size)
        if sent == 0:
            return True
        if sent is not WOULDBLOCK:
            rest.offset += sent
            if rest.offset >= rest.end:
                return True
        # The rest is for when the socket is writable again: a long file is many short steps.
        return WOULDBLOCK

    def _try_send(self, rest: list[Any]) -> WouldBlock | None:
        """Send the rest, and keep in it what the system did not take."""
        data = rest[0]
        sent = self._socket.send(data)
        if sent is WOULDBLOCK:
            return WOULDBLOCK
        if sent == len(data):
            return None
        # Not taken whole: the system's buffer is full, so the next try is after the next event.
        rest[0] = memoryview(data)[sent:]
        return WOULDBLOCK

    # -- ending -------------------------------------------------------------------------------

    def shutdown_send(self) -> None:
        """Tell the peer that nothing more comes (FIN); receiving goes on.  Never waits.

        Errors: ClosedError; OSError when the connection is broken already.
        """
        self._socket.shutdown_send()
        self._advance("shutdown_send")

    def close(self) -> None:
        """Close at once: what the peer has not taken may be lost, and every waiter is woken.

        Waits: never.  Again: no effect.  The one to keep the data is ``aclose``.
        """
        if self.state is ConnectionState.CLOSED:
            return
        self._advance("close")
        self._buffer = None
        close_socket(self._socket, self._descriptor)

    def close_if_over(self) -> bool:
        """Close if the peer has said that it is done; return whether it is closed.

        For those who want nothing more of it: what came is dropped.  Waits: never; where it
        returns False, ``aclose`` does.
        """
        if self.state is not ConnectionState.CLOSED and not self._reader.is_busy:
            try:
                if self._socket.recv(RECV_BYTES) == b"":
                    self.close()
            except OSError:
                self.close()
        return self.state is ConnectionState.CLOSED

    @operation
    def aclose(
        self, *, timeout: float | None = LINGER_SECONDS, max_bytes: int = LINGER_BYTES
    ) -> Coop[None]:
        """Close so that the peer gets everything: say that we are done, let it finish, close.

        Closing with unread input makes TCP destroy what is still on its way out, so the peer's
        last bytes are read, and dropped, for at most so many seconds and bytes.  It always closes,
        whatever fails.  Waits: may, within ``timeout``.  Errors: none of the network's.
        Source: RFC 9112 §9.6, tcp(7).
        """
        try:
            if self.state is ConnectionState.OPEN:
                self.shutdown_send()
            with move_on_after(timeout):
                yield from self._drain(max_bytes)
        except OSError:
            pass  # broken or closed meanwhile: there is nothing left to keep
        finally:
            self.close()

    def _drain(self, max_bytes: int) -> Coop[None]:
        """Receive and drop what still comes, to the peer's end or so many bytes."""
        while max_bytes > 0:
            data = yield from self.recv()
            if not data:
                break
            max_bytes -= len(data)

    def detach(self) -> StreamSocket:
        """Give the raw socket away, still open; this connection is closed from now on.

        Waits: never; who waits on the connection gets ClosedError.  Errors: ClosedError;
        MisuseError when bytes were received that nobody has asked for: they would be lost.
        """
        raw = self._socket
        if self.state is ConnectionState.CLOSED:
            raise ClosedError(f"{self!r} has no socket to give away")
        if self._buffer:
            raise MisuseError(f"{self!r} still holds {len(self._buffer)} bytes: receive them first")
        self._advance("close")
        self._socket = cast(StreamSocket, _Gone())
        current = self._descriptor
        current.reader.scheduler.descriptors.forget(current)
        return raw

    def _advance(self, event: str) -> None:
        self.state = CONNECTION_LIFE[self.state][event]

    def __enter__(self) -> Connection:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    # -- what it is ---------------------------------------------------------------------------

    @property
    def is_closed(self) -> bool:
        """Whether ``close`` was called."""
        return self.state is ConnectionState.CLOSED

    @property
    def is_busy(self) -> bool:
        """Whether a task is receiving or sending."""
        return self._reader.is_busy or self._writer.is_busy

    @property
    def buffered_bytes(self) -> int:
        """How many bytes have been received ahead of what was asked for."""
        return len(self._buffer) if self._buffer else 0

    @property
    def socket(self) -> StreamSocket:
        """The raw socket, for its options."""
        return self._socket

    @property
    def local_address(self) -> Address:
        """Our end's address."""
        return self._socket.local_address

    @property
    def peer_address(self) -> Address | None:
        """The other end's address, as it was when the connection began."""
        return self._socket.peer_address

    def fileno(self) -> int:
        """Return the descriptor's number.  Errors: ClosedError."""
        return self._socket.fileno()

    def __repr__(self) -> str:
        return f"<connection {self._socket!r} {self.state.value}>"

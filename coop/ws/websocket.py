"""WebSockets: messages to and from a peer, and an orderly end.

What lives here: WebSocket.  What it must not know: handshakes, the bytes of frames.
Stands on: codec, life, outbox, vigil, rules, stream.

Whoever needs what the peer sends receives it himself: there is no task that reads for the others.
As long as the handler receives, what comes goes straight to it.  Others who wait for something, a
pong or the peer's Close, read ahead while it does not, and leave a few messages for it.  When
nobody reads for a while, the vigil has a task do so: pings are answered, and a Close is seen.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import suppress
from types import TracebackType
from typing import Any, Final

from coop.address import Address, unmapped
from coop.channel import CLOSED, Closed
from coop.http import NEED_DATA, Request
from coop.http.codec import NeedData
from coop.outcomes import BusyError, Cancelled, ClosedError, TaskCancelled
from coop.parking import OwnedLot
from coop.scopes import move_on_after
from coop.stream import Connection
from coop.task import Task
from coop.traps import FOREVER, Coop, Operation, current_scheduler, operation
from coop.waits import spawn
from coop.ws.codec import ENDED, PASS, Codec, Ended, Message, Pass, check_close
from coop.ws.life import WEBSOCKET_LIFE, WebSocketState
from coop.ws.outbox import Outbox
from coop.ws.rules import Rules
from coop.ws.vigil import Pulse, Vigil

logger = logging.getLogger("coop.ws")

#: How many messages are kept for a handler that does not receive.
READ_AHEAD: Final = 16

NORMAL: Final = 1000
GOING_AWAY: Final = 1001
ABNORMAL: Final = 1006
INTERNAL_ERROR: Final = 1011


class WebSocket(Outbox):
    """A conversation in messages: str for text, bytes for binary.

    One task may receive while any number send.  ``request`` is the one that it began with, None at
    a client's end; ``subprotocol`` the one that both have agreed on, or None.
    """

    __slots__ = (
        "__weakref__", "_close_deadline", "_codec", "_inbox", "_is_fragmenting", "_is_reading",
        "_is_receiving", "_news", "_ping_count", "_pings", "_pump", "_receive_bytes", "_rules",
        "_scheduler", "_vigil", "close_code", "close_reason", "path", "request", "state",
        "subprotocol",
    )  # fmt: skip

    def __init__(
        self,
        connection: Connection,
        codec: Codec,
        rules: Rules,
        *,
        path: str = "/",
        request: Request | None = None,
        subprotocol: str | None = None,
    ) -> None:
        super().__init__(connection)
        self._receive_bytes = connection.recv
        self._codec = codec
        self._rules = rules
        self._scheduler = current_scheduler()
        self.path = path
        self.request = request
        self.subprotocol = subprotocol
        self.state = WebSocketState.OPEN
        #: Code and reason of the first Close, the peer's or ours; 1005 for one without a code, 1006
        #: when the connection broke without any.  None as long as there is none.
        self.close_code: int | None = None
        self.close_reason = ""
        #: Messages that somebody else read, for the next ``recv``; made when first needed.
        self._inbox: deque[Message] | None = None
        #: Whether a task is inside ``recv``, and whether one is receiving from the connection.
        self._is_receiving = self._is_reading = False
        #: Those who wait until something has been received, by another.
        self._news = OwnedLot(self, "news of")
        #: The payloads of pings whose pongs are waited for; made when first needed.
        self._pings: dict[bytes, bool] | None = None
        #: The task that reads when nobody else does.
        self._pump: Task[Any] | None = None
        self._vigil = Vigil(self, rules, self._scheduler.now)
        self._ping_count = 0
        #: Clock time at which the peer's goodbye is waited for no longer.
        self._close_deadline = FOREVER
        #: Whether a message is on its way of which more fragments follow.
        self._is_fragmenting = False

    # -- receiving --------------------------------------------------------------------------------

    @operation
    def recv(self) -> Coop[Message | Closed]:
        """Receive the next message; ``coop.CLOSED`` when there will be none.

        An empty message is falsy too: ask ``is coop.CLOSED``.  The end is no error, whatever the
        cause: ``close_code`` tells it.  Waits: until one has come.  Errors: BusyError when another
        task is receiving.  When it raises, no message has been taken.
        """
        if self._is_receiving:
            raise BusyError(f"another task is receiving from {self!r}: one at a time")
        codec = self._codec
        message: Message | NeedData | Ended | Pass = NEED_DATA
        self._is_receiving = True
        try:
            if codec.has_rest or self._inbox:
                yield from self._count()
                if self._inbox:
                    return self._inbox.popleft()
                message = codec.next_message()
            while message is NEED_DATA or message is PASS or codec.has_news:
                if codec.has_news:
                    self._heed()
                elif message is PASS:
                    yield None
                    message = codec.next_message()
                elif self.state is WebSocketState.CLOSED:
                    return CLOSED
                elif self._is_reading:
                    message = yield from self._wait_for_reader()
                else:
                    # As _read does, in place: a third of a microsecond less for each message.
                    self._is_reading = True
                    self._be_convenient()
                    data = b""
                    try:
                        data = yield from self._receive_bytes()
                    except OSError as error:
                        self.lose(error)
                    finally:
                        self._end_reading()
                    message = self._take(data)
        finally:
            self._is_receiving = False
            if self._news.spots:
                self._news.wake_all()
        return CLOSED if message is ENDED else message

    def _take(self, data: bytes) -> Message | NeedData | Ended | Pass:
        """Take what was received, ``b""`` for the end; return the next message."""
        if data:
            self._vigil.heard = True
        else:
            self.lose(None)
        return self._codec.next_message(data)

    def _count(self) -> Coop[None]:
        """Count what needs no wait; pass when there was much of it."""
        scheduler = self._scheduler
        if scheduler.budget <= 0:
            yield None
        scheduler.budget -= 1

    def _wait_for_reader(self) -> Coop[Message | NeedData | Ended | Pass]:
        """Wait until another task has received something; return the next message."""
        self._be_convenient()
        try:
            yield from self._news.park()
        finally:
            self._vigil.is_convenient = False
        return self._inbox.popleft() if self._inbox else self._codec.next_message()

    def _be_convenient(self) -> None:
        """Mark the point at which a server that stops may say goodbye: ``recv`` waits."""
        vigil = self._vigil
        if vigil.task is not None and vigil.task.soft_cancelled:
            self.go_away()
        vigil.is_convenient = True

    def _end_reading(self) -> None:
        self._is_reading = self._vigil.is_convenient = False
        if self._news.spots:
            self._news.wake_all()

    def _read(self) -> Coop[Message | NeedData | Ended | Pass]:
        """Receive something from the connection; return the next message, if that is complete."""
        self._is_reading = True
        data = b""
        try:
            data = yield from self._receive_bytes()
        except OSError as error:
            self.lose(error)
        finally:
            self._end_reading()
        return self._take(data)

    def _read_ahead(self) -> Coop[None]:
        """Do a little of what ``recv`` does, as long as nobody is in it.

        Messages are left for it, READ_AHEAD at most: then its turn has come.
        """
        inbox = self._inbox
        if self._is_receiving or self._is_reading or (inbox and len(inbox) >= READ_AHEAD):
            yield from self._news.park()
            return
        message = self._codec.next_message()
        if message is NEED_DATA and not self._codec.has_news:
            if self.state is WebSocketState.CLOSED:
                return
            message = yield from self._read()
        if self._codec.has_news:
            self._heed()
        if message is PASS:
            yield None
        elif message is not NEED_DATA and message is not ENDED:
            if self._inbox is None:
                self._inbox = deque()
            self._inbox.append(message)

    def _heed(self) -> None:
        """Act on what came beside messages: pings, pongs, the peer's Close, a broken rule."""
        codec = self._codec
        codec.has_news = False
        if codec.is_over and self.state is not WebSocketState.CLOSED:
            # First of all: to send may be to learn that the connection is lost.
            if codec.failure is not None:
                self._finish("failed", *codec.failure)
            else:
                self._finish("close_received", *(codec.close_received or (ABNORMAL, "")))
        replies, codec.replies = codec.replies, []
        for frame in replies:
            if frame[0] & 0x0F == _PONG:
                self._put_control(frame)
            else:
                self._drop_frames()
                self._put(frame)
        for payload in codec.pongs:
            self._note_pong(payload)
        codec.pongs.clear()

    def _note_pong(self, payload: bytes) -> None:
        """Take note of a pong: it answers its ping, and those before it (RFC 6455 5.5.3)."""
        pings = self._pings
        if pings is not None and payload in pings:
            for each in pings:
                pings[each] = True
                if each == payload:
                    break
            self._news.wake_all()

    @operation
    def __anext__(self) -> Coop[Message]:
        message = yield from self.recv()
        if message is CLOSED:
            raise StopAsyncIteration
        return message

    def __aiter__(self) -> WebSocket:
        """Receive until the end: ``async for message in ws``."""
        return self

    def __iter__(self) -> Iterator[Operation[Message]]:
        """Receive until the end: ``for incoming in ws: message = yield from incoming``.

        The end comes while one waits, so it comes as ClosedError, which ends the handler; whoever
        called it knows that for a good end.  What is to be done then belongs into a ``finally``.
        """
        while self.state is not WebSocketState.CLOSED or self._inbox:
            yield self._next()

    @operation
    def _next(self) -> Coop[Message]:
        message = yield from self.recv()
        if message is CLOSED:
            raise self._ended_error()
        return message

    # -- sending ----------------------------------------------------------------------------------

    @operation
    def send(self, message: Message | bytearray | memoryview | Iterable[Message]) -> Coop[None]:
        """Send a message: str as text, bytes as binary; anything else is its fragments.

        Those are sent as they come; all are str, or all are bytes.  Senders take turns.
        Waits: as long as the peer takes nothing (backpressure).  Errors: ClosedError when the
        WebSocket has ended; TypeError for what is no message.  Cancelled while a frame was on its
        way, or in the middle of a message, the connection is broken.
        """
        if not isinstance(message, _MESSAGES):
            yield from self._send_fragments(message)
            return
        scheduler = self._scheduler
        if scheduler.budget <= 0:
            yield None
        scheduler.budget -= 1
        if self.state is not WebSocketState.OPEN:
            raise self._ended_error()
        if self._is_clear:
            self._send_now(self._codec.encode(message))
            if self._is_clear:
                if self.state is not WebSocketState.OPEN:
                    raise self._ended_error()  # it has just broken
                return
            with (yield from self._take_turn()):
                return  # the rest has been sent
        with (yield from self._take_turn()):
            self._check_open()
            yield from self._transmit(self._codec.encode(message))

    def _send_fragments(self, fragments: Iterable[Message]) -> Coop[None]:
        if not isinstance(fragments, Iterable):
            raise TypeError(f"a message is str, bytes, or an iterable of them, not {fragments!r}")
        with (yield from self._take_turn()):
            self._check_open()
            try:
                for frame in self._codec.encode_fragments(fragments):
                    self._is_fragmenting = True
                    yield from self._transmit(frame)
                    yield from self._send_controls()
                    self._check_open()
            except BaseException:
                if self._is_fragmenting and self.state is WebSocketState.OPEN:
                    self._break_off("a message was not sent to its end")
                raise
            finally:
                self._is_fragmenting = False

    def post(self, message: Message, frames: dict[int, bytes] | None = None) -> int:
        """Send a message when there is room, and return how many bytes wait for that by now.

        ``frames``: its frames, as others have been posted them, so that all share one.
        Waits: never, so whoever posts must look at what it returns.  Errors: as ``send``;
        BusyError where a message in fragments is under way, unless the frame stands alone.
        """
        self._check_open()
        codec = self._codec
        if self._is_fragmenting and not codec.can_stand_alone:
            raise BusyError(f"{self!r} is in the middle of a message: send, and wait for its end")
        self._put(codec.encode_alone(message, {} if frames is None else frames))
        return self.bytes_behind

    @operation
    def ping(self) -> Coop[float]:
        """Send a ping; return after how many seconds the pong came.

        Waits: until it has; while no task receives, a few messages are read ahead, no more.
        Errors: ClosedError when the WebSocket ends before.
        """
        self._check_open()
        self._ping_count += 1
        payload = self._ping_count.to_bytes(4, "big")
        if self._pings is None:
            self._pings = {}
        self._pings[payload] = False
        clock = self._scheduler.clock
        begin = clock.now()
        try:
            self._put_control(self._codec.encode_ping(payload))
            while not self._pings[payload]:
                if self.state is WebSocketState.CLOSED:
                    raise self._ended_error()
                yield from self._read_ahead()
        finally:
            del self._pings[payload]
        return clock.now() - begin

    # -- ending -----------------------------------------------------------------------------------

    @operation
    def close(self, code: int = NORMAL, reason: str = "") -> Coop[None]:
        """Say goodbye, wait for the peer's, and close the connection; again: no effect.

        What the peer still sends is received and dropped, unless a task is in ``recv``.
        Waits: at most ``close_timeout`` seconds, and a little for the connection to end.
        Errors: ValueError for a code or reason that may not be sent.  Source: RFC 6455 section 7.
        """
        check_close(code, reason)
        with move_on_after(self._rules.close_timeout), suppress(ClosedError):
            if self.state is WebSocketState.OPEN:
                with (yield from self._take_turn()):
                    if self.state is WebSocketState.OPEN:
                        yield from self._transmit(self._begin_close(code, reason))
            while self.state is WebSocketState.CLOSING:
                if self._inbox:
                    self._inbox.clear()
                yield from self._read_ahead()
        with move_on_after(self._rules.close_timeout), suppress(ClosedError):
            if not self._is_clear and not self._connection.is_closed:
                with (yield from self._take_turn()):
                    pass  # the answer to the peer's Close is on its way
        yield from self._part()

    def _part(self) -> Coop[None]:
        """End the connection so that the peer gets everything."""
        if self.state is not WebSocketState.CLOSED:
            self.lose(None)
        if self._pump is not None and not self._pump.is_done:
            self._pump.cancel("the WebSocket has ended")
            with suppress(TaskCancelled):
                yield from self._pump.join()
        if self._connection.is_busy:
            self._connection.close()  # a task of the program's own is still at it
        elif not self._connection.is_closed:
            yield from self._connection.aclose()

    def drop(self, code: int, reason: str = "") -> None:
        """End it without waiting: forget what was posted, say goodbye, and then cut it off.

        The peer gets ``close_timeout`` seconds for its goodbye.  Waits: never.
        """
        check_close(code, reason)
        if self.state is WebSocketState.OPEN:
            self._drop_frames()
            self._put(self._begin_close(code, reason))
            if self._vigil.task is None:
                self.lose(None)
            else:
                self._vigil.deadline = self._close_deadline

    def go_away(self) -> None:
        """Begin to end, since the server stops: close code 1001.  Never waits."""
        self.drop(GOING_AWAY)

    def lose(self, error: OSError | None) -> None:
        """Take note that the connection is of no use any more, and close it.  Never waits."""
        if self.state is not WebSocketState.CLOSED:
            logger.debug("%r was lost: %s", self, error)
            self._finish("lost", ABNORMAL, "" if error is None else str(error))
        self._drop_frames()
        self._connection.close()

    def _begin_close(self, code: int, reason: str) -> bytes:
        frame = self._codec.encode_close(code, reason)
        self._close_deadline = self._scheduler.clock.now() + self._rules.close_timeout
        self._finish("close_sent", code, reason)
        return frame

    def _break_off(self, reason: str) -> None:
        """End at once what cannot be mended."""
        frame = self._codec.encode_close(INTERNAL_ERROR, reason)
        self._finish("failed", INTERNAL_ERROR, reason)
        self._put(frame)
        self._connection.close()

    def _finish(self, event: str, code: int, reason: str) -> None:
        self.state = WEBSOCKET_LIFE[self.state][event]
        if self.close_code is None:
            self.close_code, self.close_reason = code, reason
        self._news.wake_all()

    def _check_open(self) -> None:
        if self.state is not WebSocketState.OPEN:
            raise self._ended_error()

    def _ended_error(self) -> ClosedError:
        why = f" ({self.close_reason})" if self.close_reason else ""
        return ClosedError(f"{self!r} has ended with close code {self.close_code}{why}")

    def __enter__(self) -> WebSocket:
        self._vigil.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close at once, with as much of a goodbye as needs no waiting; see ``close``."""
        self._vigil.__exit__(kind, error, traceback)
        self._vigil.end()
        if self.state is WebSocketState.OPEN:
            code = NORMAL if kind is None else INTERNAL_ERROR
            if kind is not None and issubclass(kind, Cancelled):
                code = GOING_AWAY
            self._put(self._begin_close(code, ""))
        self._connection.close()
        if self.state is not WebSocketState.CLOSED:
            self.lose(None)

    # -- what the vigil asks ----------------------------------------------------------------------

    def look_after(self, now: float) -> float:
        """See to it that somebody reads, and that the peer is alive; return when to look next."""
        if self.state is WebSocketState.CLOSED:
            return FOREVER
        if self.state is WebSocketState.CLOSING:
            if now >= self._close_deadline:
                self.lose(None)
                return FOREVER
            return self._close_deadline
        if not self._is_reading:
            self._let_somebody_read()
        pulse = self._vigil.take_pulse(now)
        if pulse is Pulse.DOUBTFUL:
            self._put_control(self._codec.encode_ping(b""))
        elif pulse is Pulse.DEAD:
            self._break_off("no answer to a ping")
        return self._vigil.next_look(now)

    def _let_somebody_read(self) -> None:
        if self._inbox and len(self._inbox) >= READ_AHEAD:
            self._vigil.heard = True  # it has sent more than is taken: its silence says nothing
        elif self._pump is None or self._pump.is_done:
            self._pump = spawn(self._pump_messages(), name="websocket reader")

    def _pump_messages(self) -> Coop[None]:
        with suppress(BusyError):  # the connection is being closed
            while (
                self.state is not WebSocketState.CLOSED
                and not self._is_receiving
                and (not self._inbox or len(self._inbox) < READ_AHEAD)
            ):
                yield from self._read_ahead()

    # -- what it is -------------------------------------------------------------------------------

    @property
    def peer_address(self) -> Address | None:
        """The other end's address; at a server's end, the client's: ``request.peer``."""
        if self.request is not None:
            return self.request.peer
        return unmapped(self._connection.peer_address)

    @property
    def is_closed(self) -> bool:
        """Whether nothing comes or goes any more."""
        return self.state is WebSocketState.CLOSED

    def __repr__(self) -> str:
        return f"<websocket {self.path} {self.state.value}>"


_PONG: Final = 10
_MESSAGES: Final = (bytes, str, bytearray, memoryview)

"""The conversation: everything that happens on one connection, from the first request to the last.

What lives here: Conversation, which has the hot loop: receive, parse, handle, send.  What it must
not know: how many connections there are, how a body is framed.  Stands on: codec, delivery,
exchange, messages, stream.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from types import GeneratorType
from typing import TYPE_CHECKING, Any, Final

from coop.conversations import first_word
from coop.groups import as_generator
from coop.http.codec import ParserState
from coop.http.delivery import Delivery
from coop.http.errors import HttpError
from coop.http.exchange import EXCHANGE_LIFE, ExchangeState
from coop.http.head import NO_BODY
from coop.http.intake import Intake
from coop.http.messages import BODILESS, FileRegion, Request, Response
from coop.http.pages import error_page
from coop.http.record import CLIENT_GONE, AccessRecord
from coop.http.upgrade import Upgrade
from coop.outcomes import WOULDBLOCK, Cancelled, IncompleteError, MisuseError
from coop.stream import RECV_BYTES, Connection
from coop.traps import Coop

if TYPE_CHECKING:
    from coop.http.site import Site

logger = logging.getLogger("coop.http")

App = Callable[[Request], Any]
"""What answers a request: with a Response, or with a generator or coroutine that returns one."""

#: A body up to this long is joined to its head, to be sent in one go.
_SMALL_BYTES: Final = 65536
# The two steps of an exchange that never waits, taken from the table once.
_IDLE: Final = ExchangeState.IDLE
_HANDLING: Final = EXCHANGE_LIFE[_IDLE]["request"]
assert EXCHANGE_LIFE[_HANDLING]["answered"] is _IDLE


class Conversation(Intake):
    """The exchanges of one connection."""

    __slots__ = ("_begun", "_delivery", "_raw", "_rest", "_upgrade")

    def __init__(self, site: Site, connection: Connection) -> None:
        super().__init__(site, connection)
        #: The connection's socket, which sends nearly every answer.
        self._raw = connection.socket
        #: Clock time at which the present request began to come; negative before the first one.
        self._begun = -1.0
        #: The answer on its way, when it was not sent in one go; until it has been reported.
        self._delivery: Delivery | None = None
        #: What of an answer the system did not take at once.
        self._rest = b""
        #: The answer that hands the connection over to another protocol, once it has been sent.
        self._upgrade: Upgrade | None = None

    def turn_away(self, error: HttpError) -> Coop[None]:
        """Say why there is no conversation, and have none."""
        self._begun = self._task.scheduler.now
        with self._exchange:
            yield from self._refuse(error)
        self._exchange.advance("break" if self._exchange.caught else "end")

    @classmethod
    def hold(cls, site: Site, connection: Connection) -> Coop[None]:
        """Converse until the client leaves, a deadline passes, or something goes wrong.

        What a connection's task runs: a Conversation is made in the task that it belongs to.
        """
        self = cls(site, connection)
        data, since = b"", self._task.scheduler.now
        try:
            if ahead := self._connection.buffered_bytes:  # by whoever read what came before HTTP
                data = yield from self._connection.recv(ahead)
            while True:
                if self._task.soft_cancelled and not data:
                    data = yield from self._hear_last(since)
                    if not data:
                        break
                yield from self._converse(data)
                data = b""
                exchange = self._exchange
                if exchange.is_client_gone or not exchange.caught:
                    break
                if exchange.has_expired and (
                    exchange.state is not _IDLE or not (data := self._look_again())
                ):
                    break
                self._exchange = self._begin_exchanges()
            if self._exchange.has_expired:
                self._give_up(self._exchange.state)
            elif self._upgrade is not None:
                yield from self._upgrade.take_over(self._connection, self._parser.hand_over())
        except BaseException:
            self._exchange.advance("break")
            raise
        if self._exchange.state is not ExchangeState.BROKEN:
            self._exchange.advance("end")

    def _hear_last(self, since: float) -> Coop[bytes]:
        """Take a request that has come while we were told to part, or comes from a newcomer."""
        if self._begun < 0:
            with first_word(since):
                return (yield from self._connection.recv())
        return self._look_again()

    def _look_again(self) -> bytes:
        """Take a request that has come while we were told to part; else part, this very moment.

        A turn later it would be too late for what comes in between: dropped without an answer.
        """
        data = self._connection.socket.recv(RECV_BYTES)
        if data is WOULDBLOCK:
            self._connection.shutdown_send()
        return data or b""

    # -- the hot loop ---------------------------------------------------------------------------

    def _converse(self, data: bytes) -> Coop[None]:
        """Answer request after request; ``data`` was received before."""
        parser, exchange, way = self._parser, self._exchange, self._way
        recv, app, scheduler = self._connection.recv, self._site.app, self._task.scheduler
        request: Any = None
        answer: Any = None
        left = self._site.limits.requests_per_connection or -1
        keep = True
        with exchange:
            while keep:
                if not data and not parser.has_rest:
                    exchange.is_convenient = True
                    data = yield from recv()
                    exchange.is_convenient = False
                self._begun = scheduler.now
                try:
                    request = parser.next_request(data) or (yield from self._finish_head(data))
                except HttpError as error:
                    return (yield from self._refuse(error))
                if request is None:
                    return
                exchange.state = _HANDLING
                request.source = self
                left -= 1
                if not left:
                    request.framing = request.framing._replace(keep_alive=False)
                if request.framing is not NO_BODY:
                    self._begin_body(request)
                try:
                    answer = app(request)
                    if type(answer) is GeneratorType:
                        if not way.is_watched:
                            exchange.watch_client()
                        answer = yield from answer
                    if type(answer) is not Response:
                        answer = yield from self._settle(answer)
                except (Exception, Cancelled) as error:
                    answer = self._answer_error(request, error)
                keep = self._send_at_once(request, answer) or (
                    yield from self._deliver(request, answer)
                )
                data, request, answer = b"", None, None  # or an idle connection would keep them
                if parser.has_rest:
                    yield from self._count()

    def _count(self) -> Coop[None]:
        """Count a pipelined request, since it came without a wait; pass when there were many."""
        scheduler = self._task.scheduler
        scheduler.budget -= 1
        if scheduler.budget <= 0:
            yield None

    def _finish_head(self, data: bytes) -> Coop[Request | None]:
        """Receive the rest of a head; None when the client has left."""
        if not data and self._parser.is_idle:
            return None
        self._exchange.advance("first_bytes")
        while True:
            data = yield from self._connection.recv()
            if not data:
                return None
            request = self._parser.next_request(data)
            if request:
                return request

    # -- answers --------------------------------------------------------------------------------

    def _settle(self, answer: Any) -> Coop[Response]:
        """Wait for an answer that is a coroutine or the like, and see that it is one."""
        if hasattr(answer, "send") or hasattr(answer, "__await__"):
            self._exchange.watch_client()
            answer = yield from as_generator(answer)
        if not isinstance(answer, Response):
            raise TypeError(f"the handler answered {answer!r}: return a coop.http.Response")
        return answer

    def _answer_error(self, request: Request, error: BaseException) -> Response:
        """Make an answer of what the handler raised; what cannot be answered is raised again."""
        if error is self._loss or isinstance(error, Cancelled):
            if error is self._loss or self._exchange.is_client_gone:
                self._report(request, Response(b"", CLIENT_GONE), is_whole=False)
            self._exchange.advance("break")
            raise error
        if isinstance(error, HttpError):
            logger.debug("%r: %s", request, error)
            try:
                return error_page(error.status, error.headers)
            except ValueError as mistake:  # fields that cannot be sent
                error = mistake
        if isinstance(error, IncompleteError) and self._must_close:
            return error_page(400)
        logger.error("the handler of %r failed", request, exc_info=error)
        page = error_page(500)
        page.should_close = True
        return page

    def _refuse(self, error: HttpError) -> Coop[None]:
        """Answer what is no request, and give the connection up."""
        logger.debug("%r: %s", self._connection, error)
        self._must_close = True
        yield from self._deliver(None, error_page(error.status, error.headers))

    def _send_at_once(self, request: Request, answer: Response) -> bool:
        """Send a plain answer in one go, as nearly all are; False leaves it to ``_deliver``."""
        body = answer.body
        if (
            type(body) is not bytes
            or (request.framing is not NO_BODY and not self._is_as_without_body(request))
            or request.method == "HEAD"
            or answer.should_close
            or answer.status in BODILESS
            or len(body) > _SMALL_BYTES
            or self._task.soft_cancelled
        ):
            return False
        data = answer.message(self._site.date_lines(self._task.scheduler.now))
        try:
            sent = self._raw.send(data)
        except OSError:
            self._report(request, answer, is_whole=False)
            raise
        if sent == len(data):
            self._exchange.state = _IDLE
            if self._site.access_log is not None:
                self._report(request, answer)
            return True
        self._rest = data[sent or 0 :]
        return False

    def _is_as_without_body(self, request: Request) -> bool:
        """Whether the body is read, and leaves nothing to think of but the next request."""
        is_read = self._parser.state is ParserState.HEAD and not self._must_close
        return (
            is_read
            and not self._awaits_continue
            and request.framing.keep_alive
            and request.minor == 1
        )

    def _deliver(self, request: Request | None, answer: Response) -> Coop[bool]:
        """Send an answer of any kind, and close it; return whether the connection goes on."""
        self._exchange.advance("answer")
        is_whole = False
        try:
            if self._rest:
                rest, self._rest = self._rest, b""
                yield from self._connection.sendall(rest)
                keep = is_whole = True
            else:
                keep, is_whole = yield from self._send(request, answer)
        finally:
            answer.close()
            self._report(request, answer, is_whole=is_whole)
        if keep and not self._parser.is_body_read:
            keep = yield from self._discard()
        return self._end_exchange(keep=keep)

    def _send(self, request: Request | None, answer: Response) -> Coop[tuple[bool, bool]]:
        """Send an answer; return whether the connection may go on, and whether all was sent."""
        if isinstance(answer, Upgrade):
            yield from self._switch(answer)
            return False, True
        delivery = self._delivery = Delivery(self._connection, self._exchange, request, answer)
        if self._awaits_continue and delivery.may_read and answer.status < 300:
            yield from self._send_continue()  # or the client, told the end, would send nothing
        keep = self._will_keep(request, answer, delivery) and not delivery.is_close_delimited
        keep_lines = b"Connection: close\r\n"
        if keep and request is not None:
            keep_lines = b"" if request.minor else b"Connection: keep-alive\r\n"
        lines = self._site.date_lines(self._task.scheduler.now)
        if isinstance(answer.body, FileRegion):
            self._site.headroom.give(self._connection.socket, len(answer.body))
        try:
            yield from delivery.run(answer.head(lines, delivery.framing_lines(keep_lines)))
        except OSError:
            raise  # the connection's end, or the file's: nothing can be said any more
        except Exception as error:
            self._break_off(error, delivery)
            return False, False
        return keep, True

    def _switch(self, answer: Upgrade) -> Coop[None]:
        """Send the answer behind which another protocol begins."""
        if not self._parser.is_body_read:
            raise MisuseError(f"{answer!r} to a request with a body, which was not read")
        lines = self._site.date_lines(self._task.scheduler.now)
        yield from self._connection.sendall(answer.head(lines))
        self._upgrade = answer

    def _will_keep(self, request: Request | None, answer: Response, delivery: Delivery) -> bool:
        """Say, before the head is sent, whether the connection will go on behind the answer."""
        if (
            request is None
            or not request.framing.keep_alive
            or answer.should_close
            or self._must_close
            or self._task.soft_cancelled
            or self._parser.state is ParserState.FAILED
        ):
            return False
        if self._parser.is_body_read:
            return True
        remaining = self._parser.body_remaining
        if self._awaits_continue:
            return False  # it may send the body, or not
        if delivery.may_read:
            return True  # an echo reads it all; if not, the connection is closed without a word
        return remaining is None or remaining <= self._site.limits.discard_bytes

    def _end_exchange(self, *, keep: bool) -> bool:
        """Go on to the next exchange if there may be one; return whether."""
        if not keep or self._task.soft_cancelled:
            return False
        self._exchange.advance("answered")
        return True

    def _break_off(self, error: Exception, delivery: Delivery) -> None:
        """End an answer that is not whole; its framing tells the client so, or else a reset."""
        is_clients_fault = isinstance(error, HttpError) or self._must_close
        level = logging.DEBUG if is_clients_fault else logging.ERROR
        logger.log(level, "an answer was broken off", exc_info=error)
        if delivery.is_close_delimited:
            self._reset()

    # -- the access log -------------------------------------------------------------------------

    def _report(self, request: Request | None, answer: Response, *, is_whole: bool = True) -> None:
        """Tell the access log what became of a request."""
        delivery, self._delivery = self._delivery, None
        if (access_log := self._site.access_log) is None:
            return
        record = AccessRecord(
            request,
            answer,
            self,
            refused_line=self._parser.line_so_far if request is None else b"",
            body_bytes=len(answer.body) if delivery is None else delivery.body_bytes,
            seconds=self._task.scheduler.clock.now() - self._begun,
            is_whole=is_whole,
        )
        access_log(record)

    # -- the end --------------------------------------------------------------------------------

    def _give_up(self, state: ExchangeState) -> None:
        """Part from a client that was too slow; tell it where a request has begun."""
        if state is ExchangeState.HEAD:
            page = error_page(408)
            self._report(None, page)
            lines = b"Content-Length: %d\r\nConnection: close\r\n" % len(page.body)
            head = page.head(self._site.date_lines(self._task.scheduler.now), lines)
            self._connection.socket.send(head + page.body)  # or not: it gets no more time
        elif state is not _IDLE:
            logger.debug("%r takes nothing: it is reset", self._connection)
            self._reset()

    def _reset(self) -> None:
        """Close so that the client learns of it as an error (RST), and the system keeps nothing."""
        self._exchange.advance("break")
        set_linger = getattr(self._connection.socket, "set_linger", None)
        if set_linger is not None:
            set_linger(0)
        self._connection.close()

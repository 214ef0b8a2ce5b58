"""Conversations: what a server has with each of its clients, from the first byte to the last.

What lives here: Conversations, the group of a server's tasks, one for each connection: admission,
the handler, and the parting.  What it must not know: listeners, signals, when to stop.
Stands on: groups, proxies, stream, tls.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from inspect import iscoroutinefunction, isgeneratorfunction
from typing import TYPE_CHECKING, Any, Final

from coop.groups import Group, as_generator
from coop.outcomes import is_connection_lost
from coop.proxies import TrustedPeers, receive_proxy_header
from coop.scopes import Scope
from coop.scopes import timeout as within
from coop.stream import Connection
from coop.task import Task, TaskState
from coop.tls import TlsConnection
from coop.traps import FOREVER, Coop, Runnable, current_task
from coop.waits import wait_readable

if TYPE_CHECKING:
    from coop.server import Server

logger = logging.getLogger("coop.server")

Handler = Callable[[Connection], Runnable[Any]]
"""What serves one connection: called with it, it returns a generator (or a coroutine)."""

#: Seconds of silence behind which a client of a server that stops is not waited for any more.
SILENT_SECONDS: Final = 0.25
#: Seconds that a client gets for its first word when the server stops just as it has connected.
NEWCOMER_SECONDS: Final = 0.5


class FirstWord(Scope):
    """Mark a with-block in which a client that has only just connected says its first word.

    ``with coop.first_word() as silence: data = yield from conn.recv()`` and then
    ``if silence.caught: return``.  It is a convenient point to stop, as ``coop.convenient()`` is
    for a connection that is kept, but not before the client has been waited for half a second:
    it connects because it is about to speak.  ``since`` is the clock time from which that counts,
    now if not given.
    """

    __slots__ = ("_end",)

    def __init__(self, since: float | None = None) -> None:
        task = current_task()
        now = task.scheduler.now
        #: Clock time at which the client has had its time.
        self._end = (now if since is None else since) + NEWCOMER_SECONDS
        super().__init__(max(0.0, self._end - now) if task.soft_cancelled else None)
        self.is_convenient = True

    def cancel(self, reason: object = None) -> None:
        """Cancel the wait when the client has had its time.  Waits: never."""
        if self.task is not None and self.task.scheduler.now < self._end:
            self.deadline = min(self.deadline, self._end)
        else:
            super().cancel(reason)


# A class under the name of what it does.
first_word = FirstWord


class Parting(Scope):
    """The end of a connection; in a stop it is waited for those alone who go on sending.

    A client that keeps an idle connection in a pool does not look at it before it needs it.
    """

    __slots__ = ("_silent_since",)

    def __init__(self, *, in_haste: bool) -> None:
        task = current_task()
        super().__init__(SILENT_SECONDS if in_haste or task.soft_cancelled else None)
        #: When the wait began that is too long at the deadline.
        self._silent_since = task.scheduler.now
        self.is_convenient = True

    def cancel(self, reason: object = None) -> None:
        """End a silence that is long enough, or when it will be.  Waits: never."""
        task = self.task
        if task is None or task.since + SILENT_SECONDS <= task.scheduler.now:
            super().cancel(reason)
        else:
            self._silent_since = task.since
            self.deadline = min(self.deadline, task.since + SILENT_SECONDS)

    def run_out(self) -> None:
        """Take note that the deadline has passed: the silence is over, or has lasted."""
        if self.task is not None and self.task.since > self._silent_since:
            self._deadline = FOREVER  # it goes on sending: for that, ``aclose`` has a limit
        else:
            super().run_out()


class Conversations(Group):
    """One task for each connection of a server.

    The task is the handler's own generator: what a wrapper would do before and after it is done by
    the one who spawns it, and by ``task_ended``.  A wrapper would cost each connection a frame,
    and each resumption of the handler another one to go through.
    """

    __slots__ = ("_connections", "_is_direct", "_server")

    def __init__(self, server: Server) -> None:
        super().__init__(name="conversations")
        self._server = server
        #: The connection of each task by the task's number.
        self._connections: dict[int, Connection] = {}
        #: Whether calling the handler runs nothing of it yet, and nobody is to be heard before.
        self._is_direct = server.proxies is None and (
            isgeneratorfunction(server.handler) or iscoroutinefunction(server.handler)
        )

    def take_in(self, connection: Connection) -> None:
        """Begin a conversation.  Waits: never."""
        task = self.spawn(self._begin(connection))
        self._connections[task.number] = connection

    def close_all(self) -> None:
        """Close what is open still, in a run that is thrown away."""
        for connection in self._connections.values():
            connection.close()

    def task_ended(self, task: Task[Any], was_joined: bool) -> None:
        """Close the connection of a task that has ended; called by the kernel."""
        connection = self._connections.pop(task.number)
        if task.state is TaskState.RETURNED and not connection.close_if_over():
            end = _part(connection, in_haste=task.soft_cancelled)
            parting = self.spawn(end, name=f"the end of {task.name}")
            self._connections[parting.number] = connection
        else:
            connection.close()
            self._server.active -= 1
            self._server.room.wake_all()
        if isinstance(task.exception, Exception):
            self._note(task, connection, task.exception, was_joined)
            was_joined = True
        super().task_ended(task, was_joined)

    def _note(
        self, task: Task[Any], connection: Connection, error: Exception, was_joined: bool
    ) -> None:
        """Count and log what ended a conversation: it is no other's business."""
        if _is_lost(error):
            self._server.broken += 1
            logger.debug("%r broke: %s", connection, error)
        elif not was_joined:
            self._server.failed += 1
            logger.error("the handler in %r failed", task, exc_info=error)

    # -- admission ------------------------------------------------------------------------------

    def _begin(self, connection: Connection) -> Runnable[Any]:
        """Return what the conversation's task runs."""
        if self._is_direct and not isinstance(connection, TlsConnection):
            try:
                return self._server.handler(connection)
            except TypeError:
                pass  # it does not take a connection: told in the task, as any failure of its
        return self._converse(connection)

    def _converse(self, connection: Connection) -> Coop[None]:
        """Converse with a client that has to be admitted first, or by a handler of another kind."""
        proxies = self._server.proxies
        if (proxies is None or (yield from self._hear_proxy(connection, proxies))) and (
            not isinstance(connection, TlsConnection) or (yield from self._shake_hands(connection))
        ):
            yield from as_generator(self._server.handler(connection))
        else:
            connection.close()

    def _hear_proxy(self, connection: Connection, proxies: TrustedPeers) -> Coop[bool]:
        """Hear whose connection it is, in its own task; return whether somebody trusted said so."""
        if connection.peer_address not in proxies:
            self._server.unshaken += 1
            logger.debug("%r is none of %r: not heard", connection, proxies)
            return False
        try:
            with within(self._server.handshake_timeout), first_word() as silence:
                yield from receive_proxy_header(connection)
        except OSError as error:
            self._server.unshaken += 1
            logger.debug("no PROXY header from %r: %s", connection, error)
            return False
        return not silence.caught

    def _shake_hands(self, connection: TlsConnection) -> Coop[bool]:
        """Do the handshake, in the connection's own task; return whether it was done."""
        try:
            with within(self._server.handshake_timeout):
                with first_word() as silence:  # a client that says nothing holds up no stop
                    yield from wait_readable(connection)
                is_silent = silence.caught and not connection.socket.raw.bytes_pending()
                if not is_silent:
                    yield from connection.handshake(timeout=None)
        except OSError as error:
            self._server.unshaken += 1
            logger.debug("no handshake with %r: %s", connection, error)
            return False
        return not is_silent


def _part(connection: Connection, *, in_haste: bool) -> Coop[None]:
    with Parting(in_haste=in_haste):
        yield from connection.aclose()


def _is_lost(error: BaseException) -> bool:
    """Tell whether a connection broke, and nothing else went wrong."""
    if isinstance(error, BaseExceptionGroup):
        return all(map(_is_lost, error.exceptions))
    # A refusal was met elsewhere, by a handler that dialled: a failure of the handler's.
    is_refusal = isinstance(error, ConnectionRefusedError)
    return isinstance(error, OSError) and is_connection_lost(error) and not is_refusal

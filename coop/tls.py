"""TLS connections: a connection whose bytes are encrypted, and the ways to make one.

What lives here: TlsConnection and ``start_tls``.  What it must not know: the bytes of TLS; a
TlsSocket answers WOULDBLOCK like any other.  Stands on: tls_socket, tls_context, stream, readiness,
waits.
"""

from __future__ import annotations

import errno
import ssl
from contextlib import suppress
from typing import Any, Final, Literal

from coop.outcomes import WOULDBLOCK, BusyError, MisuseError, WouldBlock
from coop.readiness import BUDGET, retry
from coop.scopes import move_on_after
from coop.scopes import timeout as within
from coop.stream import LINGER_BYTES, LINGER_SECONDS, Connection, ConnectionState, octets
from coop.stream_socket import StreamSocket
from coop.tls_context import default_client_context
from coop.tls_socket import TlsError, TlsSocket, TlsState
from coop.traps import Coop, Operation, operation
from coop.waits import spawn

#: How long a handshake may take unless told otherwise, in seconds.
HANDSHAKE_SECONDS: Final = 10.0


class TlsConnection(Connection):
    """A connection whose bytes are encrypted, once ``handshake`` has been waited for.

    All else is as with any Connection, but for two things.  An end without close_notify raises
    TruncatedError (see ``suppress_ragged_eofs``).  And bytes that have come may be inside OpenSSL,
    where ``coop.wait_readable`` and ``coop.readable`` cannot see them: wait by ``recv``.
    """

    __slots__ = ()

    _socket: TlsSocket

    def __init__(self, socket: TlsSocket) -> None:
        super().__init__(socket)
        socket.hint = self._reader

    @operation
    def handshake(self, *, timeout: float | None = HANDSHAKE_SECONDS) -> Coop[None]:
        """Agree on keys with the peer; until then nothing can be received or sent.

        ``coop.connect``, ``coop.serve`` and ``coop.start_tls`` have done it.  Again: no effect.
        Waits: for the peer, at most ``timeout`` seconds.  Errors: TimeoutError;
        ssl.SSLCertVerificationError when the peer is not who it should be; TlsError; OSError.  The
        connection is of no use then: close it.  Cancelled: it may be called again, and goes on.
        """
        with within(timeout):
            try:
                while not (yield from retry(self._reader, TlsSocket.shake_hands, self._socket)):
                    yield from retry(self._writer, TlsSocket.flush, self._socket)
            except ssl.SSLError:
                # The alert is out; with what came unread, a bare close would destroy it.
                self._part()
                raise

    def _try_recv(self, max_bytes: int) -> bytes | WouldBlock:
        return self._take(max_bytes) if self._buffer else self._socket.recv(max_bytes)

    def _learn(self, count: int, max_bytes: int) -> None:
        # Nothing: it receives a record at a time, and the socket itself says whether it is drained.
        pass

    def sendall(self, data: bytes | bytearray | memoryview) -> Operation[None]:
        """Send all of ``data``, as any Connection does."""
        return retry(self._writer, self._try_send, [octets(data)])

    def _try_send(self, rest: list[Any]) -> WouldBlock | None:
        # Of a long message the system takes one record after the other.
        for _ in range(BUDGET):
            before = rest[0]
            if super()._try_send(rest) is not WOULDBLOCK:
                return None
            if rest[0] is before:
                break
        return WOULDBLOCK

    def shutdown_send(self) -> None:
        """Tell the peer that nothing more comes (close_notify); receiving goes on.  Never waits.

        What the system does not take at once is sent by a task of the run's own.
        Errors: ClosedError; OSError when the connection is broken already.
        """
        super().shutdown_send()
        if self._socket.has_unsent and not self._writer.is_busy:
            spawn(self._send_the_end(), name="close_notify")

    def _send_the_end(self) -> Coop[None]:
        with suppress(OSError, BusyError):  # closed meanwhile, or sent by aclose
            yield from retry(self._writer, TlsSocket.flush, self._socket)

    def close_if_over(self) -> bool:
        """Return whether it is closed: the peer is still to be told that we are done."""
        return self.is_closed

    @operation
    def aclose(
        self, *, timeout: float | None = LINGER_SECONDS, max_bytes: int = LINGER_BYTES
    ) -> Coop[None]:
        """Close so that the peer gets everything and knows that it has: with close_notify.

        Waits, errors: as those of any Connection.  Without a handshake it closes at once.
        """
        if self.is_closed:
            return
        if self._socket.state is not TlsState.SECURE:
            self._part()
            return
        try:
            if self.state is ConnectionState.OPEN:
                super().shutdown_send()
            with move_on_after(timeout):
                if not self._writer.is_busy:  # or the one who sends does it
                    yield from retry(self._writer, TlsSocket.flush, self._socket)
                yield from self._drain(max_bytes)
        except OSError:
            pass  # broken or closed meanwhile: there is nothing left to keep
        finally:
            self.close()

    def _part(self) -> None:
        """Close without a notice, but so that the peer gets what has been sent."""
        self._buffer = None
        self.detach().close_down()

    # -- what it is ---------------------------------------------------------------------------

    @property
    def socket(self) -> TlsSocket:
        """The TLS socket: its options are those of the raw one, ``engine`` is ssl's own object."""
        return self._socket

    @property
    def alpn_protocol(self) -> str | None:
        """The protocol that both sides have agreed to speak (ALPN, RFC 7301), or None."""
        return self._socket.engine.selected_alpn_protocol()

    @property
    def tls_version(self) -> str | None:
        """Such as ``TLSv1.3``; None before the handshake."""
        return self._socket.engine.version()

    def peer_certificate(self) -> dict[str, Any] | None:
        """Return what the peer's certificate says, as ``ssl.SSLSocket.getpeercert`` does.

        None when it has shown none, or none was asked for or checked.
        Errors: ValueError before the handshake.
        """
        return self._socket.engine.getpeercert() or None

    @property
    def suppress_ragged_eofs(self) -> bool:
        """Whether an end without close_notify is taken for an end like any other; at first, not.

        For a protocol that says itself where things end, and peers that do not bother.
        """
        return self._socket.suppress_ragged_eofs

    @suppress_ragged_eofs.setter
    def suppress_ragged_eofs(self, on: bool) -> None:
        self._socket.suppress_ragged_eofs = on


def expect_tls(socket: StreamSocket, context: ssl.SSLContext) -> TlsConnection:
    """Make the server's side of a connection that has just come in; its handshake is to be done."""
    return TlsConnection(TlsSocket(socket, context, server_side=True))


def check_server_context(context: ssl.SSLContext) -> None:
    """Raise ValueError for what cannot be a server's context: now, not at the first connection."""
    if not isinstance(context, ssl.SSLContext) or not _is_servers(context):
        raise ValueError(f"a server needs a context of coop.tls_server_context, not {context!r}")


@operation
def start_tls(
    connection: Connection,
    context: ssl.SSLContext | Literal[True],
    *,
    server_hostname: str | None = None,
    timeout: float | None = HANDSHAKE_SECONDS,
) -> Coop[TlsConnection]:
    """Begin TLS on a connection (STARTTLS); return the one to use from now on.

    The one given is closed by that.  ``context`` says which side we are; True is a client's that
    trusts what the system trusts.  ``server_hostname``: whom the certificate must be for.
    Waits: for the handshake, at most ``timeout`` seconds.  Errors: as ``TlsConnection.handshake``,
    and all is closed then; BusyError while an operation is under way; TlsError when plaintext has
    come that nobody has received, which an attacker may have put there to be taken for decrypted
    (CVE-2011-0411): close the connection.
    """
    if connection.is_busy:
        raise BusyError(f"another task is using {connection!r}: begin TLS between its operations")
    if connection.buffered_bytes:
        count = connection.buffered_bytes
        message = f"{connection!r} got {count} bytes of plaintext where TLS was to begin"
        raise TlsError(errno.ECONNABORTED, message)
    if context is True:
        context = default_client_context()
    if not isinstance(context, ssl.SSLContext):
        raise MisuseError(f"TLS needs an ssl.SSLContext, or True for the default, not {context!r}")
    socket = TlsSocket(
        connection.socket,
        context,
        server_side=_is_servers(context),
        server_hostname=server_hostname,
    )
    connection.detach()
    secure = TlsConnection(socket)
    try:
        yield from secure.handshake(timeout=timeout)
    except BaseException:
        secure.close()
        raise
    return secure


def _is_servers(context: ssl.SSLContext) -> bool:
    return context.protocol is not ssl.PROTOCOL_TLS_CLIENT

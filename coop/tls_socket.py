"""TLS over a stream socket: bytes go out encrypted, and come in checked and decrypted.

What lives here: TlsSocket, its life as a table, and its errors; each call tries once and never
waits.  What it must not know: who waits, how long, or what for.  Stands on: ssl, stream_socket.

OpenSSL works on two buffers in memory, and the bytes between those and the raw socket are moved
here, so that TLS runs over whatever moves bytes: a simulated socket too.  No descriptor is known to
OpenSSL, hence no byte of plaintext can be taken for one that it decrypted, or sent as one that it
encrypted.  See docs/decisions/tls-over-bio.md.
"""

from __future__ import annotations

import errno
import os
import socket
import ssl
from collections.abc import Callable, Sequence
from contextlib import suppress
from enum import Enum
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final, NoReturn, Protocol, cast

from coop.base_socket import Buffer
from coop.outcomes import WOULDBLOCK, ClosedError, CoopError, MisuseError, WouldBlock
from coop.poller import HasFileno
from coop.stream_socket import StreamSocket

#: How much ciphertext is received at once, and plaintext encrypted at once, in bytes.
PIECE_BYTES: Final = 65536
#: The most that one record holds, in bytes: RFC 8446 §5.1.
RECORD_BYTES: Final = 16384

#: What OpenSSL says, by its reason, and what to do about it.
_REMEDIES: Final = {
    "HTTP_REQUEST": "the peer spoke plain HTTP: use https",
    "HTTPS_PROXY_REQUEST": "the peer spoke plain HTTP: use https",
    "WRONG_VERSION_NUMBER": "the peer does not speak TLS here: is it the right port?",
    "NO_SHARED_CIPHER": "does the server's context have a certificate?",
    "TLSV1_ALERT_UNKNOWN_CA": "the peer does not trust our certificate's issuer",
    "SSLWantReadError": "the peer wants to negotiate anew: set OP_NO_RENEGOTIATION in the context",
    "PEER_DID_NOT_RETURN_A_CERTIFICATE": "the client has to show a certificate",
    "TLSV13_ALERT_CERTIFICATE_REQUIRED": "the server wants a certificate of ours",
}
_ISSUER: Final = "if its issuer is to be trusted: tls=coop.tls_client_context('issuer.pem')"
_NAME: Final = "connect to a name that is in its certificate, or give server_hostname="
_DATE: Final = "its owner has to renew it, or the clock of this machine is wrong"
#: The same for a certificate that is not believed, by OpenSSL's X509_V_ERR_… codes.
_DISTRUSTED: Final = {
    **dict.fromkeys((9, 10), _DATE),
    **dict.fromkeys((18, 19, 20, 21), _ISSUER),
    **dict.fromkeys((62, 64), _NAME),
}


class TlsError(CoopError, ssl.SSLError, ConnectionError):
    """TLS with this peer has failed, and the connection is of no more use.

    An ``ssl.SSLError`` (``reason`` is OpenSSL's word for it) and a ConnectionError, for what it
    means to a conversation: ``errno`` is ECONNABORTED, or ECONNRESET for a TruncatedError.
    """


class TruncatedError(TlsError, ssl.SSLEOFError):
    """The stream ended without close_notify: the peer broke off, or somebody cut the end away."""


class TlsState(Enum):
    """Where a TLS socket is in its life."""

    #: The handshake is not finished: nothing can be received or sent.
    HANDSHAKE = "handshake"
    #: The peers have agreed on keys.
    SECURE = "secure"
    #: Something did not check out: nothing goes any more, either way.
    BROKEN = "broken"
    #: Closed, by us.
    CLOSED = "closed"


#: The life of a TLS socket: {state: {event: next state}}.
TLS_LIFE: Final[dict[TlsState, dict[str, TlsState]]] = {
    TlsState.HANDSHAKE: {
        "agree": TlsState.SECURE,
        "fail": TlsState.BROKEN,
        "close": TlsState.CLOSED,
    },
    TlsState.SECURE: {"fail": TlsState.BROKEN, "close": TlsState.CLOSED},
    TlsState.BROKEN: {"fail": TlsState.BROKEN, "close": TlsState.CLOSED},
    TlsState.CLOSED: {"close": TlsState.CLOSED},
}


class Hint(Protocol):
    """Whatever remembers whether an attempt to receive may succeed."""

    is_ready: bool


class TlsSocket(StreamSocket):
    """A stream socket whose bytes are encrypted on the way, after a handshake."""

    __slots__ = (
        "_below", "_engine", "_has_taken_for", "_incoming", "_is_fin_due", "_is_send_ended",
        "_outgoing", "_taken", "_tls", "_unsent", "hint", "raw", "state", "suppress_ragged_eofs",
    )  # fmt: skip

    def __init__(
        self,
        raw: StreamSocket,
        context: ssl.SSLContext,
        *,
        server_side: bool,
        server_hostname: str | None = None,
    ) -> None:
        """Take over a connected socket.  Errors: ssl.SSLError, ValueError for an unfit context."""
        if context.check_hostname and not server_side and not server_hostname:
            # ssl checks that for its sockets, and for its objects would leave the check out.
            raise ValueError("a client must say whom it wants to talk to: give server_hostname")
        # Not Socket's own: the operating system's socket has one already.
        self.raw = raw
        self.os_socket = raw.os_socket
        self.peer = raw.peer
        self.family = raw.family
        self.is_listening = False
        #: What knows whether there is more below, when that is TLS too.
        self._below = raw.hint if isinstance(raw, TlsSocket) else None
        #: Ciphertext that came and that TLS has not looked at; that it made and that is to go.
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._engine = context.wrap_bio(
            self._incoming,
            self._outgoing,
            server_side=server_side,
            server_hostname=server_hostname,
        )
        #: What data goes through: the engine while the state is SECURE, else what refuses.  So
        #: neither recv nor send tests for the state.
        self._tls = _refusing(_unshaken)
        #: Ciphertext taken out of ``_outgoing``, which the system has not taken.
        self._unsent = b""
        #: Plaintext that was encrypted by a ``send`` that had to answer WOULDBLOCK, since its
        #: ciphertext was not gone; and what it was asked to send.
        self._taken = b""
        self._has_taken_for: object = None
        #: Whether close_notify was said, and whether the raw socket's end is still to follow it.
        self._is_send_ended = self._is_fin_due = False
        #: Told after each ``recv`` whether there is more inside, of which no poller knows.
        self.hint: Hint = SimpleNamespace(is_ready=True)
        #: Whether an end without close_notify is taken for an end like any other.
        self.suppress_ragged_eofs = False
        self.state = TlsState.HANDSHAKE

    @property
    def engine(self) -> ssl.SSLObject:
        """The ``ssl.SSLObject``, for what it knows of the peer and of the keys."""
        return self._engine

    # -- the handshake ------------------------------------------------------------------------

    def shake_hands(self) -> bool | WouldBlock:
        """Go on with the handshake.

        True: it is done, and the peer has all that it needs.  WOULDBLOCK: call again when something
        has come.  False: what ``flush`` sends must go first, then call again.
        Errors: TlsError; ssl.SSLCertVerificationError; OSError.  The peer has been told why, as far
        as that could be sent at once.
        """
        if self.state is not TlsState.HANDSHAKE:
            self._tls.pending()  # which the closed and the broken refuse
            return True
        while True:
            try:
                self._engine.do_handshake()
            except ssl.SSLWantReadError:
                if self.flush() is WOULDBLOCK:
                    return False
            except ssl.SSLError as error:
                raise self._failure(error) from None
            else:
                self._advance("agree")
                self._tls = self._engine
                return self.flush() is not WOULDBLOCK
            data = self.raw.recv(PIECE_BYTES)
            if data is WOULDBLOCK:
                return WOULDBLOCK
            if not data:
                raise self._truncation("in the handshake")
            self._incoming.write(data)

    # -- receiving ----------------------------------------------------------------------------

    def recv(self, max_bytes: int) -> bytes | WouldBlock:
        """Return what has come, at most ``max_bytes``; b"" after close_notify.

        Errors: TruncatedError at an end without close_notify, unless ``suppress_ragged_eofs``;
        TlsError; OSError.
        """
        data = self._receive(b"", min(max_bytes, RECORD_BYTES))
        if data and self._incoming.pending and len(data) < max_bytes:
            return self._gather(data, max_bytes)
        return data  # type: ignore[no-any-return]

    def peek(self, max_bytes: int) -> bytes | WouldBlock:
        """Return what has come, as ``recv`` does, and leave it there.  Errors: as ``recv``."""
        if isinstance(self._tls, _Ahead):
            return self._tls.peek(max_bytes)
        data: bytes | WouldBlock = self._receive(b"", min(max_bytes, RECORD_BYTES))
        if data:
            self._tls = cast(ssl.SSLObject, _Ahead(self, bytearray(data)))
            self.hint.is_ready = True
        return data

    def recv_into(self, buffer: bytearray | memoryview) -> int | WouldBlock:
        """Receive into a buffer; return how many bytes came, 0 after close_notify.

        Errors: as ``recv``.
        """
        view = memoryview(buffer).cast("B")
        return self._receive(0, len(view), view) if view else 0

    def _receive(self, end: bytes | int, *wanted: Any) -> Any:
        """Read of one record, and feed ciphertext as long as TLS wants more; ``end`` at the end."""
        is_drained = False
        while True:
            try:
                got = self._tls.read(*wanted) or end
                break
            except ssl.SSLWantReadError:
                data = self._recv_ciphertext()
                if not data:
                    return WOULDBLOCK if data is WOULDBLOCK else end
                is_drained = len(data) < PIECE_BYTES and not (self._below and self._below.is_ready)
                self._incoming.write(data)
            except ssl.SSLZeroReturnError:
                got = end
                break
            except ssl.SSLError as error:
                raise self._failure(error) from None
        # What is inside never wakes a poller.  And the end is there for good, without an event.
        self.hint.is_ready = not (
            got and is_drained and not self._incoming.pending and not self._tls.pending()
        )
        return got

    def _gather(self, data: bytes, max_bytes: int) -> bytes:
        """Read on from the records that have come with the first; the hint stays "there is more".

        A file comes in records of 16 KiB, too small to be handled each for itself.
        """
        pieces = [data]
        room = max_bytes - len(data)
        try:
            while room and self._incoming.pending and data:
                data = self._tls.read(min(room, RECORD_BYTES))
                pieces.append(data)
                room -= len(data)
        except (ssl.SSLWantReadError, ssl.SSLZeroReturnError):
            pass
        except ssl.SSLError as error:
            self._failure(error)  # what came before was whole; the next recv tells of this one
        return b"".join(pieces)

    def _recv_ciphertext(self) -> bytes | WouldBlock:
        if self.has_unsent:
            with suppress(OSError):  # the next send learns of it; reading may go on
                self.flush()
        data = self.raw.recv(PIECE_BYTES)
        if data == b"" and not self.suppress_ragged_eofs:
            raise self._truncation("without close_notify") from None
        return data

    # -- sending ------------------------------------------------------------------------------

    def send(self, data: Buffer) -> int | WouldBlock:
        """Encrypt and send at most PIECE_BYTES; return how many bytes of ``data`` are gone.

        WOULDBLOCK: the system did not take the whole of the ciphertext.  Call again with the same
        data when it takes more; what comes after other data instead is what was taken already.
        Errors: BrokenPipeError after ``shutdown_send``; TlsError; OSError.
        """
        if self.flush() is WOULDBLOCK:
            return WOULDBLOCK
        if self._taken:
            taken = self._take_back()
            if data is taken[0] or bytes(memoryview(data)[: len(taken[1])]) == taken[1]:
                return len(taken[1])
        return self._encrypt(data, data)

    def sendfile(self, file: int | HasFileno, offset: int, count: int) -> int | WouldBlock:
        """Send a piece of a file; return how many bytes of it are gone, 0 at its end.

        It must be encrypted, so it is read: sendfile(2) is of no use.  WOULDBLOCK: as ``send``,
        which goes for the same place of the same file, whatever is written there meanwhile.
        """
        if self.flush() is WOULDBLOCK:
            return WOULDBLOCK
        fd = file if isinstance(file, int) else file.fileno()
        if self._taken:
            taken = self._take_back()
            if taken[0] == (fd, offset):
                return len(taken[1])
        return self._encrypt(_read_piece(fd, offset, min(count, PIECE_BYTES)), (fd, offset))

    def send_parts(self, parts: Sequence[Buffer]) -> int | WouldBlock:
        """Send several buffers as one: ``send`` of all of them joined."""
        return self.send(b"".join(parts))

    def _encrypt(self, data: Buffer, asked: object) -> int | WouldBlock:
        if not data:
            return 0
        piece = data if len(data) <= PIECE_BYTES else memoryview(data)[:PIECE_BYTES]
        try:
            count = self._tls.write(piece)
        except ssl.SSLError as error:
            if self._is_send_ended:
                raise BrokenPipeError(errno.EPIPE, f"{self!r} has ended what it sends") from None
            # One that wants to read is in a renegotiation, which only TLS 1.2 has.
            raise self._failure(error) from None
        if self.flush() is WOULDBLOCK:
            self._taken, self._has_taken_for = bytes(piece), asked
            return WOULDBLOCK
        return count

    def _take_back(self) -> tuple[object, bytes]:
        """Return, and forget, what was encrypted by a send that was not finished then."""
        taken = self._has_taken_for, self._taken
        self._taken, self._has_taken_for = b"", None
        return taken

    def flush(self) -> bool | WouldBlock:
        """Send what TLS has to say; True when nothing is left of it.  Errors: OSError."""
        while self._unsent or self._outgoing.pending:
            if not self._unsent:
                self._unsent = self._outgoing.read()
            sent = self.raw.send(self._unsent)
            if sent is WOULDBLOCK:
                return WOULDBLOCK
            self._unsent = self._unsent[sent:]
        if self._is_fin_due:
            self._is_fin_due = False
            self.raw.shutdown_send()
        return True

    @property
    def has_unsent(self) -> bool:
        """Whether there is something for ``flush`` to do."""
        return bool(self._unsent or self._outgoing.pending or self._is_fin_due)

    # -- ending -------------------------------------------------------------------------------

    def shutdown_send(self) -> None:
        """Say close_notify, and then the raw socket's end; the peer may go on sending.

        What the system does not take at once goes with the next calls of ``flush`` or ``recv``.
        Without a handshake there is nothing to notify, and only the raw socket's end is said.
        """
        if self.state is TlsState.CLOSED:
            self._tls.pending()  # which raises
        if self._is_send_ended:
            return
        self._is_send_ended = self._is_fin_due = True
        if self.state is TlsState.SECURE:
            self._notify()
        self.flush()

    def _notify(self) -> None:
        """Have OpenSSL make a close_notify.

        It would go on to look for the peer's, and throw away the data that it finds instead.  So
        that it finds none, what has come is taken away meanwhile.
        """
        decrypted = bytearray()
        while self._tls.pending():
            decrypted += self._tls.read(self._tls.pending())
        ciphertext = self._incoming.read()
        with suppress(ssl.SSLError):  # it wants the peer's close_notify
            self._engine.unwrap()
        self._incoming.write(ciphertext)
        if decrypted:
            self._tls = cast(ssl.SSLObject, _Ahead(self, decrypted))

    def read_on(self) -> None:
        """Have data come from OpenSSL again, when what it had decrypted before is gone."""
        self._tls = self._engine

    def shutdown(self) -> None:
        """End both directions; the descriptor stays."""
        self.shutdown_send()
        self.raw.shutdown_receive()

    def close_down(self) -> None:
        """Say the end, read what is there, and close, whatever fails on the way.  Never waits."""
        with self, suppress(OSError):
            self.shutdown_send()
            for _ in range(16):  # a peer that never stops must not keep us here
                if not self.raw.recv(PIECE_BYTES):
                    break

    def detach(self) -> socket.socket:
        """Give the operating-system socket away, still open; this one is closed."""
        super().detach()
        self._advance("close")
        self._tls = _refusing(_closed)
        self._unsent = self._taken = b""
        self._has_taken_for = None
        return self.raw.detach()

    # -- what it is ---------------------------------------------------------------------------

    def bytes_pending(self) -> int:
        """Return how many bytes can be taken without asking the system: those of one record."""
        return self._tls.pending()

    def bytes_unsent(self) -> int | None:
        """Return how much ciphertext the peer has not taken yet; None where nobody tells."""
        below = self.raw.bytes_unsent()
        return None if below is None else below + len(self._unsent) + self._outgoing.pending

    if not TYPE_CHECKING:  # which would let it check no name any more

        def __getattr__(self, name: str) -> Any:
            # The options of the kind of socket below: set_nodelay, set_linger, peer_credentials, …
            return getattr(self.raw, name)

    # -- how it fails -------------------------------------------------------------------------

    def _advance(self, event: str) -> None:
        self.state = TLS_LIFE[self.state][event]

    def _failure(self, error: ssl.SSLError) -> ssl.SSLError:
        """Break, tell the peer as far as that goes at once, and return what to raise."""
        self._advance("fail")
        reason = error.reason or type(error).__name__
        remedy = _REMEDIES.get(reason)
        what = f"{remedy} [{reason}]" if remedy else error.strerror or str(error)
        self._tls = _refusing(
            lambda: self._explained(TlsError, f"it has failed before: {what}", reason)
        )
        with suppress(OSError):
            self.flush()
        if isinstance(error, ssl.SSLCertVerificationError):
            remedy = _DISTRUSTED.get(error.verify_code, "its certificate is not believed")
            error.add_note(f"TLS with {self.peer_address or 'the peer'}: {remedy}")
            return error
        return self._explained(TlsError, what, reason)

    def _truncation(self, how: str) -> TlsError:
        """Return what to raise at the raw socket's end.  Only receiving is over."""
        reason = "UNEXPECTED_EOF_WHILE_READING"
        message = f"the peer ended the connection {how}"
        return self._explained(TruncatedError, message, reason)

    def _explained(self, kind: type[TlsError], message: str, reason: str) -> TlsError:
        code = errno.ECONNRESET if kind is TruncatedError else errno.ECONNABORTED
        failure = kind(code, f"TLS with {self.peer_address or 'the peer'}: {message}")
        failure.reason = reason
        failure.library = "SSL"
        return failure


class _Refusing:
    """What stands where OpenSSL's object stands when the socket is secure: every call raises."""

    __slots__ = ("_make_error",)

    def __init__(self, make_error: Callable[[], Exception]) -> None:
        self._make_error = make_error

    def __getattr__(self, call: str) -> NoReturn:
        raise self._make_error()


def _refusing(make_error: Callable[[], Exception]) -> ssl.SSLObject:
    return cast(ssl.SSLObject, _Refusing(make_error))


def _closed() -> Exception:
    return ClosedError("this TLS socket is closed: open another")


def _unshaken() -> Exception:
    return MisuseError("the handshake is still to be done: 'yield from conn.handshake()'")


class _Ahead:
    """Stands before OpenSSL's object as long as something is left that it had decrypted before."""

    __slots__ = ("_data", "_socket")

    def __init__(self, socket: TlsSocket, data: bytearray) -> None:
        self._socket = socket
        self._data = data

    def read(self, max_bytes: int, view: memoryview | None = None) -> bytes | int:
        taken = bytes(self._data[:max_bytes])
        del self._data[:max_bytes]
        if not self._data:
            self._socket.read_on()
        if view is None:
            return taken
        view[: len(taken)] = taken
        return len(taken)

    def peek(self, max_bytes: int) -> bytes:
        return bytes(self._data[:max_bytes])

    def pending(self) -> int:
        return len(self._data)

    def __getattr__(self, call: str) -> Any:
        return getattr(self._socket.engine, call)


def _read_piece(fd: int, offset: int, count: int) -> bytes:
    """Read at a place of a file; where there is no pread, the file's own place moves."""
    if hasattr(os, "pread"):
        return os.pread(fd, count, offset)
    os.lseek(fd, offset, os.SEEK_SET)
    return os.read(fd, count)

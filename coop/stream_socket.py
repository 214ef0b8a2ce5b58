"""Stream sockets: TCP and unix sockets, whose bytes keep their order but not their pieces.

What lives here: StreamSocket, TcpSocket, UnixSocket; each call tries once and never waits.
What it must not know: who waits, how long, or what for.  Stands on: base_socket, poller.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Sequence
from contextlib import suppress
from socket import IPPROTO_TCP, SOL_SOCKET
from typing import Final, NamedTuple, Self

from coop.address import Address, wildcard
from coop.base_socket import Buffer, Socket, needed
from coop.outcomes import WOULDBLOCK, WouldBlock
from coop.poller import HasFileno
from coop.remedies import fail

_SO_PEERCRED: Final[int | None] = getattr(socket, "SO_PEERCRED", None)
_TCP_KEEPIDLE: Final[int | None] = getattr(  # macOS calls it KEEPALIVE
    socket, "TCP_KEEPIDLE", getattr(socket, "TCP_KEEPALIVE", None)
)
_TCP_KEEPINTVL: Final[int | None] = getattr(socket, "TCP_KEEPINTVL", None)
_TCP_KEEPCNT: Final[int | None] = getattr(socket, "TCP_KEEPCNT", None)
_TCP_NOTSENT_LOWAT: Final[int | None] = getattr(socket, "TCP_NOTSENT_LOWAT", None)
_LINGER: Final = struct.Struct("HH" if os.name == "nt" else "ii")
_HAS_SENDMSG: Final = hasattr(socket.socket, "sendmsg")
_MOST_PARTS: Final = 1024  # IOV_MAX of Linux, macOS and the BSDs; POSIX promises 16
_PIECE_BYTES: Final = 65536

# connect(2) while the handshake is under way.  Elsewhere than on Windows, EWOULDBLOCK is EAGAIN,
# which is a refusal: by a unix listener whose backlog is full.
_CONNECTING: Final = {errno.EINPROGRESS, errno.EALREADY, errno.EINTR} | (
    {errno.EWOULDBLOCK} if os.name == "nt" else set()
)
# sendfile(2) from a file that it cannot take, such as those in /proc.
_NO_SENDFILE: Final = {errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSOCK}


class Credentials(NamedTuple):
    """Who is at the other end of a unix socket."""

    pid: int
    uid: int
    gid: int


class StreamSocket(Socket):
    """A connection, or a listener that yields them: a client, a server, or a peer."""

    __slots__ = ()

    # The inner loop of the library.  recv and send cost 30 to 60 ns more than the bare socket's
    # (Python 3.11, 3.13); a test for being closed would add to that, so close() takes care of it.

    def recv(self, max_bytes: int) -> bytes | WouldBlock:
        """Return what has come, at most ``max_bytes``; b"" is the end of the peer's data."""
        try:
            return self.os_socket.recv(max_bytes)
        except BlockingIOError:
            return WOULDBLOCK

    def peek(self, max_bytes: int) -> bytes | WouldBlock:
        """Return what has come, as ``recv`` does, and leave it there."""
        try:
            return self.os_socket.recv(max_bytes, socket.MSG_PEEK)
        except BlockingIOError:
            return WOULDBLOCK

    def recv_into(self, buffer: bytearray | memoryview) -> int | WouldBlock:
        """Receive into a buffer; return how many bytes came, 0 at the end of the peer's data."""
        try:
            return self.os_socket.recv_into(buffer)
        except BlockingIOError:
            return WOULDBLOCK

    def send(self, data: Buffer) -> int | WouldBlock:
        """Send; return how many bytes the system took, which may be fewer than there are."""
        try:
            return self.os_socket.send(data)
        except BlockingIOError:
            return WOULDBLOCK

    def accept(self) -> Self | WouldBlock:
        """Return the next connection: the same kind of socket, non-blocking, its peer filled in.

        Errors: OSError, which ``coop.outcomes.judge_accept`` tells what to do about.
        """
        try:
            os_socket, sockaddr = self.os_socket.accept()
        except BlockingIOError:
            return WOULDBLOCK
        accepted = type(self)(os_socket)
        accepted.peer = sockaddr  # made an Address when asked for: most never are
        return accepted

    def send_parts(self, parts: Sequence[Buffer]) -> int | WouldBlock:
        """Send several buffers as one, without joining them; return how many bytes were taken."""
        if not _HAS_SENDMSG:
            return self.send(b"".join(parts))
        try:
            return self.os_socket.sendmsg(parts[:_MOST_PARTS])
        except BlockingIOError:
            return WOULDBLOCK

    def sendfile(self, file: int | HasFileno, offset: int, count: int) -> int | WouldBlock:
        """Send ``count`` bytes of a file from ``offset``; return how many were taken.

        0 is the end of the file.  The system copies them itself where it can (sendfile(2)).
        """
        if not count:
            return 0  # which macOS would take for "all of it"
        fd = file if isinstance(file, int) else file.fileno()
        if not hasattr(os, "sendfile"):
            return self._send_piece(fd, offset, count)
        try:
            return os.sendfile(self.fileno(), fd, offset, count)
        except BlockingIOError:
            return WOULDBLOCK
        except OSError as err:
            if err.errno not in _NO_SENDFILE:
                raise
            return self._send_piece(fd, offset, count)

    def connect(self, address: Address) -> bool | WouldBlock:
        """Start to connect, and when called again tell how it went: True, WOULDBLOCK, or OSError.

        Call again when the socket is writable.  After an error only ``close`` is of use.
        A unix listener whose backlog is full refuses with BlockingIOError.
        """
        sockaddr = self.sockaddr_of(address)
        code = self.os_socket.getsockopt(SOL_SOCKET, socket.SO_ERROR) or self.os_socket.connect_ex(
            sockaddr
        )
        if code == errno.EISCONN and self.peer_address == address:
            return True
        if code and code not in _CONNECTING:
            fail(f"connect to {address}", OSError(code, os.strerror(code)), address)
        self.peer = address
        return WOULDBLOCK if code else True

    def shutdown_send(self) -> None:
        """Say that nothing more will be sent; the peer reads the end after all that was."""
        self.os_socket.shutdown(socket.SHUT_WR)

    def shutdown_receive(self) -> None:
        """Say that nothing more will be read."""
        self.os_socket.shutdown(socket.SHUT_RD)

    def shutdown(self) -> None:
        """End both directions; the descriptor stays."""
        self.os_socket.shutdown(socket.SHUT_RDWR)

    def start_listening(self, backlog: int = 5) -> None:
        """Become a listener, for which the system queues up to ``backlog`` connections."""
        local = self.local_address
        try:
            self.os_socket.listen(backlog)
        except OSError as err:
            fail(f"listen at {local}", err, local)
        self.is_listening = True

    def close_down(self) -> None:
        """Send the end, read what is there, and close, whatever fails on the way.

        Never waits, so it keeps what was sent only if the peer's data has come already; the forms
        that wait are ``coop.blocking.close_down`` and a connection's ``aclose``.
        """
        with self, suppress(OSError):  # ENOTCONN is usual after the peer's reset
            self.shutdown_send()
            for _ in range(16):  # a peer that never stops must not keep us here
                if not self.recv(_PIECE_BYTES):
                    break

    def _send_piece(self, fd: int, offset: int, count: int) -> int | WouldBlock:
        """Send a piece of a file by reading it; where there is no pread, the file's place moves."""
        count = min(count, _PIECE_BYTES)
        if hasattr(os, "pread"):
            return self.send(os.pread(fd, count, offset))
        os.lseek(fd, offset, os.SEEK_SET)
        return self.send(os.read(fd, count))


class TcpSocket(StreamSocket):
    """A TCP connection or listener.  Source: tcp(7)."""

    __slots__ = ()

    def bind_to_port(self, port: int, family: int | None = None) -> None:
        """Take this port at every address of the machine, in the family of the socket."""
        self.bind(wildcard(port, family or self.family))

    def set_nodelay(self, on: bool = True) -> None:
        """Send small pieces at once, rather than wait to join them (Nagle's algorithm)."""
        self.set_option(IPPROTO_TCP, socket.TCP_NODELAY, on)

    def set_unsent_bytes(self, count: int) -> None:
        """Have the system hold about so much that is not on its way yet.

        What a listener accepts inherits it.  What is on its way is not counted: a fast peer is as
        fast as before, and a slow one does not fill a buffer of megabytes.  No effect where the
        system knows no TCP_NOTSENT_LOWAT.
        """
        if _TCP_NOTSENT_LOWAT is not None:
            self.set_option(IPPROTO_TCP, _TCP_NOTSENT_LOWAT, count)

    def set_keepalive(
        self, on: bool = True, *, idle: int = 120, interval: int = 15, count: int = 4
    ) -> None:
        """Have the system ask a silent peer whether it is there; if not, calls raise an OSError.

        It asks after ``idle`` seconds, again each ``interval`` seconds, and gives up at ``count``.
        """
        self.set_option(SOL_SOCKET, socket.SO_KEEPALIVE, on)
        names = (_TCP_KEEPIDLE, idle), (_TCP_KEEPINTVL, interval), (_TCP_KEEPCNT, count)
        for name, value in names if on else ():
            if name is not None:
                self.set_option(IPPROTO_TCP, name, value)

    def set_linger(self, seconds: int | None) -> None:
        """Choose what ``close`` does with unsent data: None sends it on, 0 drops it and resets."""
        value = _LINGER.pack(seconds is not None, seconds or 0)
        self.set_option(SOL_SOCKET, socket.SO_LINGER, value)


class SocketFile(NamedTuple):
    """The file that a bind has made: where, which, and whose doing."""

    path: str
    device: int
    inode: int
    pid: int


class UnixSocket(StreamSocket):
    """A unix connection or listener, on this machine alone.  Source: unix(7)."""

    __slots__ = ("_file",)

    def __init__(
        self,
        os_socket: socket.socket,
        *,
        peer_address: Address | None = None,
        is_listening: bool = False,
    ) -> None:
        super().__init__(os_socket, peer_address=peer_address, is_listening=is_listening)
        #: What ``close`` removes.
        self._file: SocketFile | None = None

    def own_file(self) -> None:
        """Have ``close`` remove the socket file that ``bind`` has just made.

        Not if another file is there by then, and not in a process that was forked off.
        """
        path = self.local_address.path or ""
        if path and not path.startswith("\0"):
            found = os.lstat(path)
            self._file = SocketFile(os.path.abspath(path), found.st_dev, found.st_ino, os.getpid())

    def close(self) -> None:
        """Give the descriptor back at once, and remove the file that it owns; twice is no error."""
        if self._file is not None and not self.is_closed:
            # Before the descriptor: as long as that is open, no other file gets the inode number.
            _remove(self._file)
        super().close()

    def peer_credentials(self) -> Credentials:
        """Return the process, user and group of the peer, as the system vouches for them."""
        layout = struct.Struct("3i")
        name = needed(_SO_PEERCRED, "SO_PEERCRED")
        return Credentials(*layout.unpack(self.os_socket.getsockopt(SOL_SOCKET, name, layout.size)))


def _remove(file: SocketFile) -> None:
    with suppress(OSError):  # gone already, or the directory is not ours any more
        found = os.lstat(file.path)
        if file == (file.path, found.st_dev, found.st_ino, os.getpid()):
            os.unlink(file.path)

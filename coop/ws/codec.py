"""The codec: bytes in, messages out, and back.  It does no input or output.

What lives here: Codec, one per WebSocket.  What it must not know: where bytes come from, who
handles messages.  Stands on: websockets' sans-I/O protocol; rules.

It cuts what was received into frames, and judges each frame by its first bytes, before the rest has
come.  A whole message in one plain frame, as nearly all are, is read here.  Everything else goes
frame by frame to the protocol: fragments, compression, pings, closing.  Frame by frame, because a
protocol that is fed a segment at once would inflate all that is in it.
"""

from __future__ import annotations

import codecs
import zlib
from collections.abc import Callable, Iterable
from enum import Enum
from struct import Struct
from typing import Any, Final, Literal

from websockets.frames import Close, Frame, Opcode
from websockets.protocol import SERVER, Protocol

from coop.http import NEED_DATA
from coop.http.codec import NeedData
from coop.ws.rules import Rules

apply_mask: Callable[[Any, Any], bytes]
try:
    from websockets.speedups import apply_mask
except ImportError:  # its C part was not built
    from websockets.utils import apply_mask


class _Sign(Enum):
    """What a codec answers in place of a message."""

    ENDED = "ended"
    PASS = "pass"

    def __bool__(self) -> Literal[False]:
        return False

    def __repr__(self) -> str:
        return self.name


Ended = Literal[_Sign.ENDED]
Pass = Literal[_Sign.PASS]
ENDED: Final = _Sign.ENDED
"""The answer when no message comes any more: the peer has closed, or broken a rule."""
PASS: Final = _Sign.PASS
"""The answer when many frames were read and no message was among them: let others run, and ask
again."""

#: How many frames are read in a row without a message among them.
_PATIENCE: Final = range(32)

# The first byte of a frame: FIN, three reserved bits, four of opcode.
_FIN: Final = 0x80
_COMPRESSED: Final = 0x40
_RESERVED: Final = 0x30
_TEXT: Final = 0x81
_BINARY: Final = 0x82
_PLAIN: Final = (_BINARY, _TEXT)
_CONTROL: Final = 0x08
_OPCODES: Final = frozenset([0, 1, 2, 8, 9, 10])
#: Longest payload of a control frame (RFC 6455 section 5.5).
CONTROL_BYTES: Final = 125

PROTOCOL_ERROR: Final = 1002
NO_STATUS: Final = 1005
INVALID_DATA: Final = 1007
TOO_BIG: Final = 1009

_pack_short: Final = Struct("!BB").pack
_pack_medium: Final = Struct("!BBH").pack
_pack_long: Final = Struct("!BBQ").pack

Message = str | bytes


class Codec:
    """Decode and encode the messages of one WebSocket whose handshake is done.

    ``receive(data)`` what came; ``next_message()`` until it is NEED_DATA.  Its result does not
    depend on how the bytes were cut.  ``replies`` are frames to send, ``pongs`` what came in those.
    """

    __slots__ = (
        "_at", "_buffer", "_compress_from", "_decoder", "_extensions", "_is_server", "_mask_bit",
        "_max_bytes", "_part_bytes", "_part_count", "_parts", "_protocol", "_rules", "failure",
        "has_news", "has_rest", "is_over", "pongs", "replies",
    )  # fmt: skip

    def __init__(self, protocol: Protocol, rules: Rules, received: bytes = b"") -> None:
        self._protocol = protocol
        self._rules = rules
        self._is_server = protocol.side is SERVER
        #: permessage-deflate, if that was agreed on.
        self._extensions: list[Any] = protocol.extensions
        self._compress_from = rules.compress_from_bytes
        self._max_bytes = rules.max_message_bytes
        #: What was received; what lies before ``_at`` has been used up.
        self._buffer: bytes | bytearray = received
        self._at = 0
        #: Set in the second byte of each frame that comes, or in none.
        self._mask_bit = 0x80 if self._is_server else 0
        # The message whose last fragment has not come: its pieces, None between messages; what
        # makes text of them; and their sizes so far.
        self._parts: list[Any] | None = None
        self._decoder: Any = None
        self._part_bytes = self._part_count = 0
        #: Whether ``next_message`` has something to look at: when not, it is NEED_DATA.
        self.has_rest = bool(received)
        #: Whether anything below has changed; reset by whoever has looked.
        self.has_news = False
        #: Frames to send, in order: pongs, the answer to a Close, the Close of a failure.
        self.replies: list[bytes] = []
        #: The payloads of the pongs that came and nobody has looked at.
        self.pongs: list[bytes] = []
        #: Whether no message comes any more,
        self.is_over = False
        #: and when that is the peer's fault: code and reason of our Close.
        self.failure: tuple[int, str] | None = None

    # -- in -------------------------------------------------------------------------------------

    def receive(self, data: bytes) -> None:
        """Take what came; behind the end it is dropped."""
        if self.is_over:
            return
        self.has_rest = True
        if self._at == len(self._buffer):
            self._buffer = data
        elif isinstance(self._buffer, bytearray):
            del self._buffer[: self._at]
            self._buffer += data
        else:
            self._buffer = bytearray(memoryview(self._buffer)[self._at :])
            self._buffer += data
        self._at = 0

    def next_message(self, data: bytes = b"") -> Message | NeedData | Ended | Pass:
        """Take what came, if anything did; return the next message that is complete."""
        if data:
            if self._at == len(self._buffer) and not self.is_over:
                self._buffer = data
                self._at = 0
            else:
                self.receive(data)
        for _ in _PATIENCE:
            buffer, at = self._buffer, self._at
            have = len(buffer)
            if have < at + 2:
                return ENDED if self.is_over else NEED_DATA
            first, second = buffer[at], buffer[at + 1]
            is_plain = first in _PLAIN and self._parts is None
            is_suspect = not is_plain or second & 0x80 != self._mask_bit
            if is_suspect and (fault := self._find_fault(first, second)):
                return self._fail(PROTOCOL_ERROR, fault)
            size, start = second & 0x7F, at + 2
            if size > CONTROL_BYTES:
                start += 2 if size == 126 else 8
                if have < start:
                    return NEED_DATA
                size = int.from_bytes(buffer[at + 2 : start], "big")
                if blame := self._find_size_fault(size, start - at):
                    return self._fail(*blame)
            payload = start + 4 if self._mask_bit else start
            end = payload + size
            if end > have:
                return NEED_DATA
            self._at = end
            self.has_rest = end < have
            if is_plain:
                return self._take_plain(first, start, payload, end)
            message = self._take_frame(bytes(memoryview(buffer)[at:end]))
            if message is not NEED_DATA:
                return message
        return PASS

    def _take_plain(self, first: int, start: int, payload: int, end: int) -> Message | Ended:
        buffer = self._buffer
        if self._is_server:
            data = apply_mask(buffer[payload:end], buffer[start:payload])
        else:
            data = bytes(buffer[payload:end])
        if end == len(buffer):  # an idle connection keeps nothing
            self._buffer = b""
            self._at = 0
        if len(data) > self._max_bytes:
            return self._fail(TOO_BIG, "the message is too long")
        if first == _BINARY:
            return data
        try:
            return data.decode()
        except UnicodeDecodeError as error:
            return self._fail(INVALID_DATA, f"not UTF-8 at byte {error.start}")

    def _find_fault(self, first: int, second: int) -> str:
        """Judge a frame by its first two bytes; return what is wrong with it, or nothing."""
        opcode = first & 0x0F
        if opcode not in _OPCODES:
            return f"opcode {opcode} is reserved"
        if first & _RESERVED or (first & _COMPRESSED and not self._may_be_compressed(opcode)):
            return "a reserved bit is set"
        if second & 0x80 != self._mask_bit:
            return "the frame is not masked" if self._mask_bit else "the frame is masked"
        if opcode & _CONTROL:
            if not first & _FIN:
                return "a control frame is fragmented"
            if second & 0x7F > CONTROL_BYTES:
                return "a control frame is too long"
        elif opcode == 0 and self._parts is None:
            return "a continuation of nothing"
        elif opcode != 0 and self._parts is not None:
            return "a message begins inside another"
        return ""

    def _may_be_compressed(self, opcode: int) -> bool:
        return bool(self._extensions) and opcode in (1, 2)

    def _find_size_fault(self, size: int, header_bytes: int) -> tuple[int, str] | None:
        """Judge the length a frame declares in more than one byte (RFC 6455 section 5.2)."""
        if size >> 63:
            return PROTOCOL_ERROR, "the length has its top bit set"
        if size <= (CONTROL_BYTES if header_bytes == 4 else 0xFFFF):
            return PROTOCOL_ERROR, "the length is not written the shortest way"
        if size > self._max_bytes - self._part_bytes:
            return TOO_BIG, "the message is too long"
        return None

    # -- in, by the protocol --------------------------------------------------------------------

    def _take_frame(self, frame: bytes) -> Message | NeedData | Ended:
        protocol = self._protocol
        self.has_news = True
        protocol.receive_data(frame)
        events = protocol.events_received()
        self._collect_replies()
        if protocol.parser_exc is not None:
            return self._note_failure()
        message: Message | NeedData | Ended = NEED_DATA
        for event in events:
            assert isinstance(event, Frame)
            if event.opcode is Opcode.PONG:
                self.pongs.append(bytes(event.data))
            elif event.opcode is Opcode.CLOSE:
                self._end()
                return ENDED
            elif event.opcode is not Opcode.PING:
                message = self._take_fragment(event)
        return message

    def _take_fragment(self, frame: Frame) -> Message | NeedData | Ended:
        if self._parts is None:
            self._parts = []
            is_text = frame.opcode is Opcode.TEXT
            self._decoder = codecs.getincrementaldecoder("utf-8")() if is_text else None
        self._part_bytes += len(frame.data)
        self._part_count += 1
        if self._part_bytes > self._max_bytes:
            return self._fail(TOO_BIG, "the message is too long")
        if self._part_count > self._rules.max_fragments:
            return self._fail(TOO_BIG, "the message has too many fragments")
        piece: Message
        try:
            data = bytes(frame.data)
            piece = data if self._decoder is None else self._decoder.decode(data, frame.fin)
        except UnicodeDecodeError:
            return self._fail(INVALID_DATA, "the message is not UTF-8")
        if piece:
            self._parts.append(piece)
        if not frame.fin:
            return NEED_DATA
        parts, is_text = self._parts, self._decoder is not None
        self._forget_parts()
        return "".join(parts) if is_text else b"".join(parts)

    def _forget_parts(self) -> None:
        self._parts = self._decoder = None
        self._part_bytes = self._part_count = 0

    def _collect_replies(self) -> None:
        # An empty one stands for the end of the stream, which is not the codec's to send.
        self.replies.extend(filter(None, self._protocol.data_to_send()))

    def _fail(self, code: int, reason: str) -> Ended:
        """Fail the connection (RFC 6455 section 7.1.7): no more comes in, and a Close goes out."""
        self._protocol.fail(code, reason)
        self._collect_replies()
        self.failure = code, reason
        self._end()
        return ENDED

    def _note_failure(self) -> Ended:
        sent = self._protocol.close_sent
        self.failure = (PROTOCOL_ERROR, "") if sent is None else (int(sent.code), sent.reason)
        self._end()
        return ENDED

    def _end(self) -> None:
        self.is_over = self.has_news = self.has_rest = True
        self._forget_parts()
        self._buffer = b""
        self._at = 0

    @property
    def close_received(self) -> tuple[int, str] | None:
        """Code and reason of the peer's Close; None when none came."""
        close: Close | None = self._protocol.close_rcvd
        return None if close is None else (int(close.code), close.reason)

    # -- out ------------------------------------------------------------------------------------

    def encode(self, message: Any) -> bytes:
        """Return the one frame of a message.  Errors: TypeError for what is no message."""
        kind = type(message)
        if kind is bytes:
            is_text, data = False, message
        elif kind is str:
            is_text, data = True, message.encode()
        else:
            is_text, data = as_payload(message)
        if self._is_server and (not self._extensions or len(data) < self._compress_from):
            return plain_frame(_TEXT if is_text else _BINARY, data)
        send = self._protocol.send_text if is_text else self._protocol.send_binary
        send(data)
        return self._take_writes()

    @property
    def can_stand_alone(self) -> bool:
        """Whether a frame needs nothing of what was sent before it, or will be."""
        return self._window_bits is not None

    def encode_alone(self, message: object, others: dict[int, bytes]) -> bytes:
        """Return the frame of a message that may be the same for many peers.

        ``others`` are its frames so far, by the way they were encoded: to be looked up, and added
        to.  Where frames cannot stand alone, it is one of this peer's own.
        """
        bits = self._window_bits
        if bits is None:
            return self.encode(message)
        frame = others.get(bits)
        if frame is None:
            is_text, data = as_payload(message)
            first = _TEXT if is_text else _BINARY
            if bits and len(data) >= self._compress_from:
                frame = plain_frame(first | _COMPRESSED, deflate(data, bits))
            else:
                frame = plain_frame(first, data)
            others[bits] = frame
        return frame

    @property
    def _window_bits(self) -> int | None:
        """How a frame that stands alone is compressed; 0: not at all; None: there is none."""
        if not self._is_server:
            return None
        if not self._extensions:
            return 0
        deflate = self._extensions[0]
        return int(deflate.local_max_window_bits) if deflate.local_no_context_takeover else None

    def encode_fragments(self, fragments: Iterable[object]) -> Iterable[bytes]:
        """Give a frame for each fragment of one message, as they come, and an empty one at the end.

        Errors: TypeError unless all are of one kind; those of the iterable.
        """
        protocol = self._protocol
        is_text = None
        for fragment in fragments:
            kind, data = as_payload(fragment)
            if is_text is None:
                is_text = kind
                (protocol.send_text if is_text else protocol.send_binary)(data, False)
            elif kind == is_text:
                protocol.send_continuation(data, False)
            else:
                raise TypeError("the fragments of a message are all str, or all bytes")
            yield self._take_writes()
        if is_text is None:
            protocol.send_binary(b"", True)
        else:
            protocol.send_continuation(b"", True)
        yield self._take_writes()

    def encode_ping(self, payload: bytes) -> bytes:
        """Return the frame of a ping."""
        self._protocol.send_ping(payload)
        return self._take_writes()

    def encode_close(self, code: int, reason: str) -> bytes:
        """Return the frame of a Close.

        Errors: ValueError for a code or a reason that may not be sent (RFC 6455 section 7.4).
        """
        check_close(code, reason)
        self._protocol.send_close(code, reason)
        return self._take_writes()

    def _take_writes(self) -> bytes:
        return b"".join(self._protocol.data_to_send())


def as_payload(message: object) -> tuple[bool, bytes]:
    """Return whether a message is text, and its bytes.  Errors: TypeError for what is neither."""
    if isinstance(message, str):
        return True, message.encode()
    if isinstance(message, (bytes, bytearray, memoryview)):
        return False, bytes(message)
    raise TypeError(f"a message is str or bytes, not {message!r}")


def deflate(data: bytes, window_bits: int) -> bytes:
    """Compress a whole message by itself (RFC 7692 section 7.2.1)."""
    press = zlib.compressobj(wbits=-window_bits, memLevel=5)
    return (press.compress(data) + press.flush(zlib.Z_SYNC_FLUSH))[:-4]


def plain_frame(first: int, data: bytes) -> bytes:
    """Return a server's frame around a payload that is as it is to be sent."""
    size = len(data)
    if size <= CONTROL_BYTES:
        return _pack_short(first, size) + data
    if size <= 0xFFFF:
        return _pack_medium(first, 126, size) + data
    return _pack_long(first, 127, size) + data


def check_close(code: int, reason: str) -> None:
    """Raise ValueError for a Close that may not be sent."""
    if code not in _CODES and not 3000 <= code <= 4999:
        raise ValueError(f"close code {code!r} may not be sent (RFC 6455 section 7.4)")
    if len(reason.encode()) > CONTROL_BYTES - 2:
        raise ValueError(f"a reason to close has at most {CONTROL_BYTES - 2} bytes: {reason!r}")


_CODES: Final = frozenset([*range(1000, 1004), *range(1007, 1015)])

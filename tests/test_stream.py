"""Connections, over real sockets: pairs, and TCP over the loopback."""

from __future__ import annotations

import os
import sys
import tempfile
from typing import Any

import kit
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kit import Gen, World, play

import coop
from coop.sockets import socket_pair
from coop.stream import ConnectionState

pytestmark = pytest.mark.core

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="as Linux does it")


def collect(conn: coop.Connection) -> Gen[bytes]:
    """Receive to the end of the stream."""
    data = bytearray()
    while piece := (yield from conn.recv()):
        data += piece
    return bytes(data)


def reset(conn: coop.Connection) -> None:
    """Close so that the peer gets ECONNRESET."""
    conn.socket.set_linger(0)  # type: ignore[attr-defined]
    conn.close()


# -- receiving ------------------------------------------------------------------------------------


def test_recv_returns_what_is_there_and_no_more_than_asked_for() -> None:
    def main() -> Gen[list[bytes]]:
        a, b = kit.pair()
        with a, b:
            yield from b.sendall(b"hello")
            first = yield from a.recv(3)
            return [first, (yield from a.recv(3))]

    assert [b"hel", b"lo"] == play(main())


def test_recv_waits_until_something_comes() -> None:
    world = World()

    def main() -> Gen[bytes]:
        a, b = kit.pair()
        with a, b:
            world.poller.before_poll = lambda: b.socket.send(b"late")
            return (yield from a.recv())

    assert b"late" == world.run(main())


def test_at_the_end_recv_answers_nothing_again_and_again() -> None:
    def main() -> Gen[list[bytes]]:
        a, b = kit.pair()
        with a, b:
            yield from b.sendall(b"last")
            b.close()
            return [(yield from a.recv()), (yield from a.recv()), (yield from a.recv())]

    assert [b"last", b"", b""] == play(main())


@pytest.mark.parametrize("count", [0, -1])
def test_to_receive_less_than_a_byte_is_refused(count: int) -> None:
    def main() -> Gen[None]:
        a, b = kit.pair()
        with a, b:
            with pytest.raises(ValueError, match="max_bytes must be 1 or more"):
                yield from a.recv(count)
        yield

    play(main())


def test_recv_into_fills_a_buffer() -> None:
    def main() -> Gen[tuple[int, bytes, int, int]]:
        a, b = kit.pair()
        with a, b:
            buffer = bytearray(8)
            yield from b.sendall(b"hello")
            count = yield from a.recv_into(buffer)
            a.unread(b"again")
            buffered = yield from a.recv_into(memoryview(buffer)[:3])
            yield from a.recv_exactly(2)
            b.close()
            return count, bytes(buffer), buffered, (yield from a.recv_into(buffer))

    assert (5, b"agalo\0\0\0", 3, 0) == play(main())


def test_recv_exactly_collects_what_comes_in_pieces() -> None:
    def main() -> Gen[list[bytes]]:
        a, b = kit.pair()
        with a, b:
            reader = coop.spawn(a.recv_exactly(10))
            for piece in (b"123", b"4567", b"890 and more"):
                yield from b.sendall(piece)
                yield from kit.passes(2)
            whole = yield from reader.join()
            return [whole, (yield from a.recv())]

    assert [b"1234567890", b" and more"] == play(main())


def test_recv_exactly_of_nothing_needs_nothing() -> None:
    def main() -> Gen[bytes]:
        a, b = kit.pair()
        with a, b:
            return (yield from a.recv_exactly(0))

    assert b"" == play(main())


def test_recv_exactly_of_less_than_nothing_is_refused() -> None:
    def main() -> Gen[None]:
        a, b = kit.pair()
        with a, b:
            with pytest.raises(ValueError, match="count must be 0 or more, not -1"):
                yield from a.recv_exactly(-1)

    play(main())


def test_an_end_within_what_was_asked_for_keeps_what_had_come() -> None:
    def main() -> Gen[list[Any]]:
        a, b = kit.pair()
        with a, b:
            yield from b.sendall(b"half")
            b.shutdown_send()
            with pytest.raises(coop.IncompleteError, match="after 4 of 8 bytes") as caught:
                yield from a.recv_exactly(8)
            return [caught.value.partial, (yield from a.recv())]

    assert [b"half", b""] == play(main())


def test_recv_until_returns_with_the_separator_and_keeps_the_rest() -> None:
    def main() -> Gen[list[bytes]]:
        a, b = kit.pair()
        with a, b:
            yield from b.sendall(b"one;;two;;three")
            b.shutdown_send()
            parts = [(yield from a.recv_until(b";;")), (yield from a.recv_until(b";;"))]
            return [*parts, (yield from a.recv())]

    assert [b"one;;", b"two;;", b"three"] == play(main())


def test_a_separator_that_comes_in_two_pieces_is_found() -> None:
    def main() -> Gen[bytes]:
        a, b = kit.pair()
        with a, b:
            reader = coop.spawn(a.recv_until(b"\r\n\r\n"))
            for piece in (b"head\r", b"\n\r", b"\nbody"):
                yield from b.sendall(piece)
                yield from kit.passes(2)
            return (yield from reader.join())

    assert b"head\r\n\r\n" == play(main())


def test_more_than_the_limit_is_refused_and_stays_in_the_buffer() -> None:
    def main() -> Gen[list[bytes]]:
        a, b = kit.pair()
        with a, b:
            yield from b.sendall(b"0123456789;")
            with pytest.raises(coop.LimitError, match="sent 10 bytes without b';'"):
                yield from a.recv_until(b";", limit=10)
            return [(yield from a.recv_until(b";", limit=11))]

    assert [b"0123456789;"] == play(main())


def test_the_limit_counts_the_separator() -> None:
    def main() -> Gen[None]:
        a, b = kit.pair()
        with a, b:
            yield from b.sendall(b"0123456789\r\n")
            with pytest.raises(coop.LimitError):
                yield from a.recv_until(b"\r\n", limit=11)
            assert b"0123456789\r\n" == (yield from a.recv_until(b"\r\n", limit=12))

    play(main())


def test_the_end_before_the_separator_keeps_what_had_come() -> None:
    def main() -> Gen[bytes]:
        a, b = kit.pair()
        with a, b:
            yield from b.sendall(b"no end")
            b.shutdown_send()
            with pytest.raises(coop.IncompleteError, match="ended before b';' came") as caught:
                yield from a.recv_until(b";")
            return caught.value.partial

    assert b"no end" == play(main())


def test_an_empty_separator_is_refused() -> None:
    def main() -> Gen[None]:
        a, b = kit.pair()
        with a, b:
            with pytest.raises(ValueError, match="a separator of at least one byte"):
                yield from a.recv_until(b"")

    play(main())


def test_readline_returns_line_after_line_and_at_the_end_what_is_left() -> None:
    def main() -> Gen[list[bytes]]:
        a, b = kit.pair()
        with a, b:
            yield from b.sendall(b"one\ntwo\r\n\nlast")
            b.close()
            lines = []
            while line := (yield from a.readline()):
                lines.append(line)
            return [*lines, (yield from a.readline())]

    assert [b"one\n", b"two\r\n", b"\n", b"last", b""] == play(main())


def test_what_is_put_back_comes_first() -> None:
    def main() -> Gen[list[bytes]]:
        a, b = kit.pair()
        with a, b:
            yield from b.sendall(b"third")
            a.unread(b"second ")
            a.unread(b"first ")
            return [(yield from a.recv_exactly(6)), (yield from a.recv()), (yield from a.recv())]

    assert [b"first ", b"second ", b"third"] == play(main())


@given(st.lists(st.binary(min_size=1, max_size=20), max_size=12), st.data())
def test_whatever_the_pieces_the_stream_is_the_same(pieces: list[bytes], data: Any) -> None:
    whole = b"".join(pieces)

    def read(conn: coop.Connection) -> Gen[bytes]:
        got = bytearray()
        while True:
            way = data.draw(st.sampled_from(["recv", "exactly", "until", "line", "into"]))
            try:
                if way == "recv":
                    piece = yield from conn.recv(data.draw(st.integers(1, 9)))
                elif way == "exactly":
                    piece = yield from conn.recv_exactly(data.draw(st.integers(1, 9)))
                elif way == "until":
                    piece = yield from conn.recv_until(b"\0", data.draw(st.integers(1, 9)))
                elif way == "line":
                    piece = yield from conn.readline()
                else:
                    buffer = bytearray(data.draw(st.integers(1, 9)))
                    piece = bytes(buffer[: (yield from conn.recv_into(buffer))])
            except coop.LimitError:
                piece = yield from conn.recv(1)
            except coop.IncompleteError as error:
                return bytes(got) + error.partial
            if not piece:
                return bytes(got)
            got += piece

    def write(conn: coop.Connection) -> Gen[None]:
        for piece in pieces:
            yield from conn.sendall(piece)
            yield from kit.passes(data.draw(st.integers(0, 2)))
        conn.shutdown_send()

    def main() -> Gen[bytes]:
        a, b = kit.pair()
        with a, b:
            return (yield from coop.gather(read(a), write(b)))[0]

    assert whole == play(main())


# -- sending --------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_sendall_takes_every_kind_of_bytes(kind: Any) -> None:
    def main() -> Gen[bytes]:
        a, b = kit.pair()
        with a, b:
            yield from b.sendall(kind(b"bytes"))
            return (yield from a.recv())

    assert b"bytes" == play(main())


def test_a_memoryview_of_wide_items_is_sent_as_its_bytes() -> None:
    wide = memoryview(bytearray(range(16))).cast("I")

    def main() -> Gen[bytes]:
        a, b = kit.pair()
        with a, b:
            yield from b.sendall(wide)
            return (yield from a.recv())

    assert bytes(range(16)) == play(main())


def test_to_send_nothing_is_no_wait() -> None:
    def main() -> Gen[None]:
        a, b = kit.pair()
        with a, b:
            yield from a.sendall(b"")

    play(main())


def test_a_big_message_waits_for_its_slow_reader() -> None:
    """Backpressure: what the peer does not take is not sent, and is not piled up."""
    message = bytes(range(256)) * 40_000  # ten million bytes
    world = World()

    def slow_reader(conn: coop.Connection) -> Gen[bytes]:
        data = bytearray()
        while len(data) < len(message):
            yield from coop.sleep(1)
            data += yield from conn.recv(1 << 20)
        return bytes(data)

    def main() -> Gen[bytes]:
        a, b = yield from kit.tcp_pair()
        with a, b:
            writer = coop.spawn(a.sendall(message))
            yield from kit.passes(5)
            assert not writer.is_done
            return (yield from slow_reader(b))

    assert message == world.run(main())


def test_one_may_send_while_another_receives_on_the_same_connection() -> None:
    message = bytes(3_000_000)

    def main() -> Gen[list[int]]:
        a, b = yield from kit.tcp_pair()
        with a, b:
            results = yield from coop.gather(
                a.sendall(message),
                b.sendall(message),
                a.recv_exactly(len(message)),
                b.recv_exactly(len(message)),
            )
            return [len(result) for result in results if result is not None]

    assert [3_000_000, 3_000_000] == play(main())


def test_sendall_parts_sends_one_after_the_other() -> None:
    def main() -> Gen[bytes]:
        a, b = kit.pair()
        with a, b:
            yield from b.sendall_parts([b"one ", b"two ", b"three"])
            return (yield from a.recv())

    assert b"one two three" == play(main())


@pytest.mark.parametrize(
    ("offset", "count"), [(0, None), (10, None), (10, 1000), (0, 0), (5, 10**9)]
)
def test_sendfile_sends_that_part_of_a_file(offset: int, count: int | None) -> None:
    content = os.urandom(3_000_000)
    expected = content[offset:] if count is None else content[offset : offset + count]

    def send(conn: coop.Connection) -> Gen[int]:
        with tempfile.TemporaryFile() as file:
            file.write(content)
            file.flush()
            sent = yield from conn.sendfile(file, offset, count)
        conn.shutdown_send()
        return sent

    def main() -> Gen[tuple[Any, ...]]:
        a, b = yield from kit.tcp_pair()
        with a, b:
            return (yield from coop.gather(send(a), collect(b)))

    assert (len(expected), expected) == play(main())


# -- ending ---------------------------------------------------------------------------------------


def test_after_a_half_close_receiving_goes_on() -> None:
    def main() -> Gen[list[Any]]:
        a, b = yield from kit.tcp_pair()
        with a, b:
            yield from a.sendall(b"question")
            a.shutdown_send()
            question = yield from collect(b)
            yield from b.sendall(b"answer")
            b.close()
            return [question, (yield from collect(a)), a.state]

    assert [b"question", b"answer", ConnectionState.SEND_CLOSED] == play(main())


def test_after_a_half_close_sending_fails() -> None:
    def main() -> Gen[None]:
        a, b = kit.pair()
        with a, b:
            a.shutdown_send()
            with pytest.raises(BrokenPipeError):
                yield from a.sendall(b"more")

    play(main())


@pytest.mark.parametrize("way", ["recv", "recv_exactly", "readline", "recv_into"])
def test_close_wakes_a_reader_with_closed_error(way: str) -> None:
    def main() -> Gen[None]:
        a, b = kit.pair()
        with a, b:
            args = {"recv_exactly": [10], "recv_into": [bytearray(10)]}.get(way, [])
            reader = coop.spawn(getattr(a, way)(*args))
            yield from kit.passes(3)
            a.close()
            with pytest.raises(coop.ClosedError):
                yield from reader.join()

    play(main())


def test_close_wakes_a_writer_with_closed_error() -> None:
    def main() -> Gen[None]:
        a, b = kit.pair()
        with a, b:
            kit.fill(a)
            writer = coop.spawn(a.sendall(b"more"))
            yield from kit.passes(3)
            a.close()
            with pytest.raises(coop.ClosedError):
                yield from writer.join()

    play(main())


def test_every_call_on_a_closed_connection_says_so() -> None:
    def main() -> Gen[None]:
        a, b = kit.pair()
        a.close()
        a.close()
        b.close()
        for call in (
            a.recv,
            a.readline,
            lambda: a.recv_exactly(1),
            lambda: a.recv_into(bytearray(1)),
            lambda: a.sendall(b"x"),
        ):
            with pytest.raises(coop.ClosedError, match=r"is closed: open another"):
                yield from call()
        with pytest.raises(coop.ClosedError):
            a.shutdown_send()
        with pytest.raises(coop.ClosedError):
            a.unread(b"x")
        with pytest.raises(coop.ClosedError):
            a.fileno()
        assert a.is_closed
        yield from a.aclose()

    play(main())


def test_close_drops_what_is_in_the_buffer() -> None:
    def main() -> Gen[None]:
        a, b = kit.pair()
        with b:
            a.unread(b"unasked")
            a.close()
            with pytest.raises(coop.ClosedError):
                yield from a.recv()

    play(main())


def test_leaving_the_with_block_closes() -> None:
    def main() -> Gen[None]:
        a, b = kit.pair()
        with pytest.raises(KeyError):
            with a, b:
                raise KeyError
        assert a.is_closed
        assert b.is_closed
        yield

    play(main())


def fill_and_end(end: Any) -> Gen[tuple[int, int]]:
    """Send all that the system takes, with input unread, and end; what was sent, what arrived."""
    a, b = yield from kit.tcp_pair()
    with a, b:
        yield from b.sendall(b"sixty bytes that nobody reads, like a request that was refused")
        sent = kit.fill(a)

        def read_all() -> Gen[int]:
            total = 0
            try:
                while piece := (yield from b.recv()):
                    total += len(piece)
            except ConnectionResetError:
                pass
            b.close()
            return total

        ended = end(a)
        received, _ = yield from coop.gather(read_all(), ended if ended else kit.passes(1))
        return sent, received


def test_aclose_delivers_all_though_input_is_unread() -> None:
    sent, received = play(fill_and_end(lambda conn: conn.aclose()))
    assert sent == received


@LINUX
def test_close_loses_what_is_under_way_when_input_is_unread() -> None:
    """Why there is an aclose."""
    sent, received = play(fill_and_end(lambda conn: conn.close()))
    assert received < sent


def test_aclose_waits_no_longer_than_its_timeout() -> None:
    def main() -> Gen[float]:
        a, b = kit.pair()
        with a, b:
            yield from a.aclose(timeout=3)
            assert a.is_closed
            return kit.now()

    assert 3.0 == play(main())


def test_aclose_reads_no_more_than_its_limit() -> None:
    def pour(conn: coop.Connection) -> Gen[None]:
        with pytest.raises(OSError, match=r"Broken pipe|reset"):
            while True:
                yield from conn.sendall(bytes(65536))

    def main() -> Gen[float]:
        a, b = yield from kit.tcp_pair()
        with a, b:
            yield from coop.gather(pour(b), a.aclose(timeout=None, max_bytes=1_000_000))
            return kit.now()

    assert 0.0 == play(main())


def test_aclose_ends_with_the_peer() -> None:
    def main() -> Gen[float]:
        a, b = kit.pair()
        with a, b:
            closing = coop.spawn(a.aclose())
            yield from coop.sleep(1)
            b.close()
            yield from closing.join()
            return kit.now()

    assert 1.0 == play(main())


def test_close_if_over_closes_only_behind_the_peers_end() -> None:
    def main() -> Gen[list[bool]]:
        a, b = kit.pair()
        with a, b:
            yield from b.sendall(b"unread")
            yield from coop.wait_readable(a)
            seen = [a.close_if_over(), a.close_if_over(), a.is_closed]
            b.shutdown_send()
            yield from coop.wait_readable(a)
            return [*seen, a.close_if_over(), a.is_closed, a.close_if_over()]

    assert [False, False, False, True, True, True] == play(main())


def test_aclose_of_a_connection_that_is_broken_closes_it() -> None:
    def main() -> Gen[bool]:
        a, b = yield from kit.tcp_pair()
        with a, b:
            reset(b)
            yield from a.aclose()
            return a.is_closed

    assert play(main())


def test_a_cancelled_aclose_has_closed() -> None:
    def main() -> Gen[bool]:
        a, b = kit.pair()
        with b:
            with coop.move_on_after(1):
                yield from a.aclose(timeout=100)
            return a.is_closed

    assert play(main())


def test_aclose_wakes_a_writer_that_cannot_go_on() -> None:
    def main() -> Gen[None]:
        a, b = kit.pair()
        with a, b:
            kit.fill(a)
            writer = coop.spawn(a.sendall(b"more"))
            yield from kit.passes(3)
            closing = coop.spawn(a.aclose(timeout=1))
            with pytest.raises((coop.ClosedError, BrokenPipeError)):
                yield from writer.join()
            yield from closing.join()

    play(main())


# -- a peer that breaks off -----------------------------------------------------------------------


def test_a_reset_by_the_peer_comes_as_the_error_that_it_is() -> None:
    def main() -> Gen[None]:
        a, b = yield from kit.tcp_pair()
        with a, b:
            reader = coop.spawn(a.recv())
            yield from kit.passes(3)
            reset(b)
            with pytest.raises(ConnectionResetError):
                yield from reader.join()

    play(main())


def test_a_reset_by_the_peer_wakes_a_writer() -> None:
    def main() -> Gen[None]:
        a, b = yield from kit.tcp_pair()
        with a, b:
            kit.fill(a)
            writer = coop.spawn(a.sendall(b"more"))
            yield from kit.passes(3)
            reset(b)
            with pytest.raises((ConnectionResetError, BrokenPipeError)):
                yield from writer.join()

    play(main())


# -- one task per direction -----------------------------------------------------------------------


def test_a_second_reader_gets_busy() -> None:
    def main() -> Gen[bytes]:
        a, b = kit.pair()
        with a, b:
            first = coop.spawn(a.recv())
            yield from kit.passes(3)
            with pytest.raises(coop.BusyError, match=r"already waiting until readable fd \d+"):
                yield from a.recv()
            yield from b.sendall(b"for the first")
            return (yield from first.join())

    assert b"for the first" == play(main())


def test_a_second_writer_gets_busy() -> None:
    def main() -> Gen[None]:
        a, b = kit.pair()
        with a, b:
            kit.fill(a)
            first = coop.spawn(a.sendall(b"more"))
            yield from kit.passes(3)
            with pytest.raises(coop.BusyError, match=r"already waiting until writable fd \d+"):
                yield from a.sendall(b"in between")
            first.cancel()

    play(main())


def test_a_second_reader_gets_busy_also_while_the_first_is_woken_and_has_not_run() -> None:
    log: list[Any] = []

    def first(conn: coop.Connection) -> Gen[None]:
        log.append((yield from conn.recv()))

    def second(conn: coop.Connection) -> Gen[None]:
        try:
            log.append((yield from conn.recv()))
        except coop.BusyError:
            log.append("busy")

    world = World()

    def main() -> Gen[None]:
        a, b = kit.pair()
        with a, b:
            coop.spawn(first(a))
            yield from kit.passes(3)

            def between() -> None:
                # In the inbox, so it runs after the poll has woken the first, and spawns; the
                # second's step comes after the first's, so it is put in front by hand.
                b.socket.send(b"data")
                task = coop.spawn(second(a))
                world.scheduler.ready.remove(task)
                world.scheduler.ready.appendleft(task)

            world.poller.before_poll = between
            yield from coop.sleep(1)

    world.run(main())
    assert ["busy", b"data"] == log


# -- cancelled at each wait -----------------------------------------------------------------------


def test_a_cancelled_recv_has_received_nothing() -> None:
    def main() -> Gen[bytes]:
        a, b = kit.pair()
        with a, b:
            for call in (a.recv, lambda: a.recv_into(bytearray(9)), a.readline):
                with coop.move_on_after(1) as scope:
                    yield from call()
                assert scope.caught
            yield from b.sendall(b"all of it")
            return (yield from a.recv())

    assert b"all of it" == play(main())


@pytest.mark.parametrize("way", ["recv_exactly", "recv_until", "readline"])
def test_what_a_cancelled_read_had_collected_stays_in_the_buffer(way: str) -> None:
    def main() -> Gen[bytes]:
        a, b = kit.pair()
        with a, b:
            yield from b.sendall(b"first half, ")
            args = {"recv_exactly": [100], "recv_until": [b";"]}.get(way, [])
            with coop.move_on_after(1) as scope:
                yield from getattr(a, way)(*args)
            assert scope.caught
            yield from b.sendall(b"second half;")
            return (yield from a.recv_until(b";"))

    assert b"first half, second half;" == play(main())


def test_a_cancelled_sendall_has_sent_a_part_and_the_next_goes_on_after_it() -> None:
    message = bytes(range(256)) * 40_000

    def main() -> Gen[bool]:
        a, b = yield from kit.tcp_pair()
        with a, b:
            with coop.move_on_after(1) as scope:
                yield from a.sendall(message)
            assert scope.caught
            sender = coop.spawn(a.sendall(b"the end"))
            data = bytearray()
            while not data.endswith(b"the end"):
                data += yield from b.recv()
            yield from sender.join()
            return message.startswith(bytes(data[: -len(b"the end")]))

    assert play(main())


def test_a_cancelled_sendfile_leaves_the_connection_usable() -> None:
    def main() -> Gen[bool]:
        a, b = yield from kit.tcp_pair()
        with a, b, tempfile.TemporaryFile() as file:
            file.truncate(50_000_000)
            with coop.move_on_after(1) as scope:
                yield from a.sendfile(file)
            assert scope.caught
            sender = coop.spawn(a.sendall(b"the end"))
            data = bytearray()
            while not data.endswith(b"the end"):
                data += yield from b.recv()
            yield from sender.join()
            return not any(data[: -len(b"the end")])

    assert play(main())


def test_a_reader_that_left_leaves_no_interest_behind() -> None:
    world = World()

    def main() -> Gen[None]:
        a, b = kit.pair()
        with a, b:
            with coop.move_on_after(1):
                yield from a.recv()
            yield from b.sendall(b"unasked")
            yield from coop.sleep(1)
            assert {} == world.poller.watched, "dropped at the first event with nobody waiting"
            assert b"unasked" == (yield from a.recv())

    world.run(main())


# -- what it is -----------------------------------------------------------------------------------


def test_a_connection_knows_its_addresses() -> None:
    def main() -> Gen[None]:
        a, b = yield from kit.tcp_pair()
        with a, b:
            assert a.local_address == b.peer_address
            assert a.peer_address == b.local_address
            assert f"<connection <TcpSocket fd {a.fileno()} at " in repr(a)
            assert repr(a).endswith(" open>")
        assert repr(a).endswith(" closed>")

    play(main())


def test_a_detached_socket_lives_on() -> None:
    def main() -> Gen[bytes]:
        a, b = kit.pair()
        with b:
            with a.detach() as raw:
                assert a.is_closed
                raw.send(b"raw")
                return (yield from b.recv())

    assert b"raw" == play(main())


def test_a_descriptor_number_is_used_again_without_harm() -> None:
    def main() -> Gen[None]:
        for _ in range(50):
            a, b = kit.pair()
            with a, b:
                with coop.move_on_after(1):
                    yield from a.recv()
                yield from b.sendall(b"x")
                assert b"x" == (yield from a.recv())

    play(main())


def test_a_connection_is_for_a_run() -> None:
    ours, theirs = socket_pair()
    with ours, theirs:
        with pytest.raises(coop.MisuseError, match="no scheduler runs"):
            coop.Connection(ours)

"""The call: the rules of PEP 3333, kept by the server, and broken by applications."""

from __future__ import annotations

import gzip
import io
import logging
import sys
import tempfile
from pathlib import Path
from typing import Any
from wsgiref.validate import validator

import pytest
from http_kit import Answer, Hall, get, post
from kit import Gen, wait_until
from wsgi_kit import ask, each_mode, text, visit

import coop
from coop.wsgi.call import CALL_LIFE, ApplicationError, Call, CallState

HEADERS = [("Content-Type", "text/plain")]


def answering(*pieces: Any, status: str = "200 OK", headers: Any = HEADERS) -> Any:
    """Return an application that answers with these pieces."""

    def application(environ: dict[str, Any], start_response: Any) -> Any:
        start_response(status, headers)
        yield from pieces

    return application


def ask_once(application: Any, request: bytes = get(), **options: Any) -> Answer:
    (answer,) = ask(application, request, **options)
    return answer  # type: ignore[no-any-return]


@pytest.fixture
def told(caplog: pytest.LogCaptureFixture) -> Any:
    """Return a function that says what was logged with the one failure there was."""

    def tell() -> str:
        errors = [record for record in caplog.records if record.levelno >= logging.ERROR]
        (error,) = errors
        assert error.exc_info is not None
        return str(error.exc_info[1])

    return tell


# -- by the letter ------------------------------------------------------------------------------


@each_mode
def test_the_validator_of_the_standard_library_has_nothing_to_say(mode: str) -> None:
    @validator
    def application(environ: dict[str, Any], start_response: Any) -> Any:
        source = environ["wsgi.input"]
        lines = [source.readline(), source.read(3), *source.readlines(), *source]
        write = start_response("200 OK", [("Content-Type", "text/plain"), ("X-A", "b")])
        write(b"|".join(lines))
        return [b"", b"over"]

    answers = ask(application, get(), post(b"one\ntwo\nthree\nfour"), get("/a/b?c"), mode=mode)
    assert [b"|over", b"one\n|two|\n|three\n|fourover", b"|over"] == [each.body for each in answers]
    assert {(200, "b")} == {(each.status, each.fields["x-a"]) for each in answers}


@each_mode
def test_a_single_piece_needs_no_chunks(mode: str) -> None:
    answer = ask_once(text(b"hello"), mode=mode)
    assert ("5", b"hello") == (answer.fields["content-length"], answer.body)


@each_mode
def test_pieces_go_out_in_chunks(mode: str) -> None:
    answer = ask_once(answering(b"a", b"", b"bc"), mode=mode)
    assert ("chunked", b"abc") == (answer.fields["transfer-encoding"], answer.body)


@each_mode
def test_a_length_that_is_told_is_kept(mode: str) -> None:
    answer = ask_once(answering(b"a", b"bc", headers=[("Content-Length", "3")]), mode=mode)
    assert ("3", b"abc") == (answer.fields["content-length"], answer.body)


@each_mode
@pytest.mark.parametrize("pieces", [[], [b""], [b"", b""]])
def test_an_empty_answer_is_one(mode: str, pieces: list[bytes]) -> None:
    answer = ask_once(answering(*pieces), mode=mode)
    assert (200, "0", b"") == (answer.status, answer.fields["content-length"], answer.body)


@each_mode
def test_write_comes_before_what_is_returned(mode: str) -> None:
    def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        write = start_response("200 OK", HEADERS)
        write(b"one ")
        write(b"")
        write(b"two ")
        return [b"three"]

    assert b"one two three" == ask_once(application, mode=mode).body


@each_mode
def test_an_application_may_write_while_it_gives_pieces(mode: str) -> None:
    def application(environ: dict[str, Any], start_response: Any) -> Any:
        write = start_response("200 OK", HEADERS)
        yield b"1"
        write(b"2")
        yield b"3"
        write(b"4")

    assert b"1234" == ask_once(application, mode=mode).body


@pytest.mark.parametrize("told", [None, "5"])
def test_head_has_no_body_but_the_head_of_one(told: str | None) -> None:
    headers = [("Content-Length", told)] if told else []
    answers = ask(answering(b"hello", headers=headers), get(method="HEAD"), get(method="HEAD"))
    for answer in answers:
        assert (200, told, b"") == (answer.status, answer.fields.get("content-length"), answer.body)


def test_head_of_an_application_that_gives_nothing_says_what_it_was_told() -> None:
    answer = ask_once(answering(headers=[("Content-Length", "5")]), get(method="HEAD"))
    assert "5" == answer.fields["content-length"]


@pytest.mark.parametrize("status", ["204 No Content", "304 Not Modified", "205 Reset Content"])
def test_some_answers_have_no_body_whatever_is_given(status: str) -> None:
    headers = [("Content-Length", "5"), ("ETag", '"a"')]
    answers = ask(answering(b"hello", status=status, headers=headers), get(), get())
    assert [int(status[:3])] * 2 == [each.status for each in answers]
    assert ['"a"'] * 2 == [each.fields["etag"] for each in answers]


def test_a_reason_of_its_own_is_sent() -> None:
    def visitor(hall: Hall) -> Gen[bytes]:
        client = yield from hall.enter()
        yield from client.say(get())
        return (yield from client.conn.recv_until(b"\r\n"))

    assert b"HTTP/1.1 299 Quite Fine\r\n" == visit(answering(status="299 Quite Fine"), visitor)


def test_space_around_a_value_is_of_no_meaning() -> None:
    assert "b" == ask_once(answering(headers=[("X-A", " b\t")])).fields["x-a"]


def test_an_error_in_time_replaces_the_head() -> None:
    def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response("200 OK", [("X-First", "1")])
        try:
            raise LookupError("too bad")
        except LookupError:
            start_response("500 Oh", [("X-Second", "2")], sys.exc_info())
        return [b"sorry"]

    answer = ask_once(application)
    assert (500, b"sorry", "2") == (answer.status, answer.body, answer.fields["x-second"])
    assert "x-first" not in answer.fields


@each_mode
def test_an_error_too_late_is_raised_again(mode: str, told: Any) -> None:
    def application(environ: dict[str, Any], start_response: Any) -> Any:
        start_response("200 OK", HEADERS)
        yield b"hello"
        try:
            raise LookupError("too bad")
        except LookupError:
            start_response("500 Oh", [], sys.exc_info())

    def visitor(hall: Hall) -> Gen[bytes]:
        client = yield from hall.enter()
        yield from client.say(get())
        return (yield from client.hear_end())

    data = visit(application, visitor, mode)
    assert data.startswith(b"HTTP/1.1 200 OK\r\n")
    assert data.endswith(b"hello\r\n"), "the chunks have no end"
    assert "too bad" == told()


# -- close --------------------------------------------------------------------------------------


class Pieces:
    """An answer that notes when it is closed."""

    def __init__(self, *pieces: Any) -> None:
        self.pieces = iter(pieces)
        self.closed = 0

    def __iter__(self) -> Any:
        return self

    def __next__(self) -> Any:
        piece = next(self.pieces)
        if isinstance(piece, Exception):
            raise piece
        return piece

    def close(self) -> None:
        self.closed += 1


def giving(answer: Any, status: str = "200 OK") -> Any:
    def application(environ: dict[str, Any], start_response: Any) -> Any:
        start_response(status, HEADERS)
        return answer

    return application


@each_mode
@pytest.mark.parametrize("status", ["200 OK", "204 No Content"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("pieces", [[], [b"a"], [b"a", b"b"], [b"", ValueError()], [b"a", "b"]])
def test_close_is_called_once_whatever_happens(
    mode: str, status: str, method: str, pieces: list[Any]
) -> None:
    answer = Pieces(*pieces)

    def visitor(hall: Hall) -> Gen[None]:
        client = yield from hall.enter()
        yield from client.say(get("/", "Connection: close\r\n", method))
        yield from client.hear_end()
        yield from wait_until(lambda: not hall.server.active)

    visit(giving(answer, status), visitor, mode)
    assert 1 == answer.closed


@each_mode
def test_close_is_called_when_the_client_leaves(mode: str) -> None:
    answer = Pieces(*[bytes(65536)] * 10000)

    def visitor(hall: Hall) -> Gen[None]:
        client = yield from hall.enter(receive_buffer_bytes=4096)
        yield from client.say(get())
        yield from client.conn.recv_exactly(100000)
        client.conn.close()
        while hall.server.active:
            yield from coop.sleep(0.001)

    visit(giving(answer), visitor, mode)
    assert 1 == answer.closed
    assert next(answer), "it was not run to its end"


def test_an_error_of_close_is_logged(told: Any) -> None:
    answer = Pieces(b"a", b"b")
    answer.close = lambda: 1 / 0  # type: ignore[method-assign, assignment, return-value]
    data = visit(giving(answer), _hear_everything)
    assert data.endswith(b"b\r\n")
    assert "division by zero" == told()


def _hear_everything(hall: Hall) -> Gen[bytes]:
    client = yield from hall.enter()
    yield from client.say(get("/", "Connection: close\r\n"))
    return (yield from client.hear_end())


# -- files --------------------------------------------------------------------------------------


def wrapping(open_file: Any, *headers: tuple[str, str]) -> Any:
    def application(environ: dict[str, Any], start_response: Any) -> Any:
        start_response("200 OK", [*HEADERS, *headers])
        return environ["wsgi.file_wrapper"](open_file())

    return application


@each_mode
def test_a_file_is_sent_from_where_it_stands_and_closed(mode: str, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"0123456789" * 50000)
    files: list[Any] = []

    def open_file() -> Any:
        files.append(path.open("rb"))
        files[-1].seek(10)
        return files[-1]

    answers = ask(wrapping(open_file), get(), get(), mode=mode)
    assert ["499990"] * 2 == [each.fields["content-length"] for each in answers]
    assert [path.read_bytes()[10:]] * 2 == [each.body for each in answers]
    assert [True, True] == [file.closed for file in files]


def test_no_more_of_a_file_is_sent_than_was_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"0123456789")
    application = wrapping(lambda: (tmp_path / "file").open("rb"), ("Content-Length", "4"))
    assert b"0123" == ask_once(application).body


@pytest.mark.parametrize(
    "make",
    [
        lambda: io.BytesIO(b"content"),
        lambda: _written(tempfile.SpooledTemporaryFile()),  # noqa: SIM115
        lambda: _written(tempfile.TemporaryFile()),  # noqa: SIM115
        lambda: _written(tempfile.NamedTemporaryFile()),  # noqa: SIM115
    ],
)
def test_anything_that_can_be_read_is_a_file(make: Any) -> None:
    assert b"content" == ask_once(wrapping(make)).body


def _written(file: Any) -> Any:
    file.write(b"content")
    file.seek(0)
    return file


def test_a_file_that_unpacks_what_it_reads_is_not_sent_as_it_lies(tmp_path: Path) -> None:

    path = tmp_path / "a.gz"
    path.write_bytes(gzip.compress(b"content"))
    assert b"content" == ask_once(wrapping(lambda: gzip.GzipFile(path))).body


# -- mistakes -----------------------------------------------------------------------------------


def start(*args: Any) -> Any:
    def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response(*args)
        return [b"hello"]

    return application


def twice(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    start_response("200 OK", [])
    start_response("200 OK", [])
    return []


def write_text(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    start_response("200 OK", [])("hello")
    return []


MISTAKES = {
    "no start_response": (lambda *_: [], "did not call start_response"),
    "a piece before it": (lambda *_: [b"a"], "a piece before it called start_response"),
    "returns None": (giving(None), "returned None: return an iterable of bytes"),
    "returns bytes": (giving(b"hello"), r"returned b'hello': return an iterable .* \[body\]"),
    "returns str": (giving("hello"), "returned 'hello'"),
    "gives str": (giving(["hello"]), "gave 'hello' where bytes"),
    "writes str": (write_text, "gave 'hello' where bytes"),
    "starts twice": (twice, "called again, and without exc_info"),
    "status is a number": (start(200, []), "a str such as '200 OK', not 200"),
    "status has no reason": (start("200", []), "not '200'"),
    "status ends the line": (start("200 OK\r\nX: y", []), "not '200 OK"),
    "status of none": (start("999 Odd", []), "not '999 Odd'"),
    "headers are a tuple": (start("200 OK", ()), "headers are a list of pairs"),
    "a header is a list": (start("200 OK", [["A", "b"]]), "a header is a tuple"),
    "a header of three": (start("200 OK", [("A", "b", "c")]), "a header is a tuple"),
    "a name in bytes": (start("200 OK", [(b"A", "b")]), "name and value of a header are str"),
    "a number for a value": (start("200 OK", [("A", 1)]), "name and value of a header are str"),
    "a name with a colon": (start("200 OK", [("A:", "b")]), "bad head: .*'A:'"),
    "a value that ends the line": (start("200 OK", [("A", "b\r\nC: d")]), "bad head: .*control"),
    "hop by hop": (start("200 OK", [("Connection", "close")]), "Connection is the server's"),
    "its own chunks": (start("200 OK", [("Transfer-Encoding", "chunked")]), "the server's"),
    "an odd length": (start("200 OK", [("Content-Length", "-1")]), "bad head: Content-Length"),
    "two lengths": (start("200 OK", [("Content-Length", "5")] * 2), "bad head: .* twice"),
    "a length too short": (start("200 OK", [("Content-Length", "4")]), "has 5 bytes"),
    "a length of nothing": (
        answering(headers=[("Content-Length", "4")]),
        "has 0 bytes, its Content-Length is 4",
    ),
}


@each_mode
@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_answered_500_and_explained(
    mode: str, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    application, message = MISTAKES[name]
    with caplog.at_level(logging.ERROR):
        answer = ask_once(application, mode=mode)
    assert (500, b"500 Internal Server Error\n") == (answer.status, answer.body)
    (record,) = caplog.records
    assert record.exc_info is not None
    with pytest.raises(ApplicationError, match=message):
        raise record.exc_info[1]  # type: ignore[misc]


@each_mode
def test_an_error_of_the_application_is_answered_500(mode: str, told: Any) -> None:
    def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response("200 OK", HEADERS)
        raise LookupError("too bad")

    assert 500 == ask_once(application, mode=mode).status
    assert "too bad" == told()


@each_mode
def test_a_body_that_turns_out_too_long_is_cut_off(mode: str) -> None:
    application = answering(b"abc", b"def", headers=[("Content-Length", "4")])

    def visitor(hall: Hall) -> Gen[bytes]:
        client = yield from hall.enter()
        yield from client.say(get())
        return (yield from client.hear_end())

    assert visit(application, visitor, mode).endswith(b"\r\n\r\nabc")


# -- the life -----------------------------------------------------------------------------------


def make_call() -> Call:
    call = Call(text(), {})
    call.emit = lambda piece: None
    return call


def reach(state: CallState) -> Call:
    call = make_call()
    if state is not CallState.SILENT:
        call.start_response("200 OK", [])
    if state is CallState.ANSWERING:
        call.write(b"a")
    assert state is call.state
    return call


ACTS: dict[str, Any] = {
    "start": lambda call: call.start_response("200 OK", []),
    "start_again": lambda call: call.start_response(
        "200 OK", [], (KeyError, KeyError("too bad"), None)
    ),
    "first_piece": lambda call: call.write(b"a"),
}


@pytest.mark.parametrize("state", CallState)
@pytest.mark.parametrize("event", ACTS)
def test_each_cell_of_the_table_holds(state: CallState, event: str) -> None:
    call = reach(state)
    following = CALL_LIFE[state].get(event)
    if following is not None:
        ACTS[event](call)
        assert following is call.state
    elif event == "start_again" and state is CallState.SILENT:
        ACTS[event](call)  # an error before anything was said is the head like any other
        assert CallState.STARTED is call.state
    elif event == "first_piece" and state is CallState.ANSWERING:
        ACTS[event](call)  # and so are all pieces behind the first
        assert state is call.state
    else:
        with pytest.raises((ApplicationError, KeyError)):
            ACTS[event](call)
        assert state is call.state


def test_write_is_of_no_use_where_nobody_runs_the_call() -> None:
    call = Call(text(), {})
    with pytest.raises(ApplicationError, match="while the application did not run"):
        call.start_response("200 OK", [])(b"a")

"""Static files: what is found, what is not, and that nothing outside ever is."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coop.http.codec import NEED_DATA, RequestParser
from coop.http.errors import HttpError
from coop.http.fields import Headers
from coop.http.messages import FileRegion, Request, Response
from coop.http.ranges import Span, Validators, select_spans
from coop.http.router import Router
from coop.http.static import Directory, content_type, send_file, split_path

SECRET = b"secret"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "outside.txt").write_bytes(SECRET)
    (tmp_path / "www-secret").mkdir()
    (tmp_path / "www-secret" / "file.txt").write_bytes(SECRET)
    www = tmp_path / "www"
    (www / "dir" / "sub").mkdir(parents=True)
    (www / "file.txt").write_bytes(b"0123456789")
    (www / "empty").write_bytes(b"")
    (www / "a b é.html").write_text("blank")
    (www / "dir" / "<b>&.txt").write_bytes(b"x")
    (www / "indexed").mkdir()
    (www / "indexed" / "index.html").write_text("index")
    (www / ".git").mkdir()
    (www / ".git" / "config").write_bytes(SECRET)
    (www / "out").symlink_to(tmp_path / "outside.txt")
    (www / "outdir").symlink_to(tmp_path / "www-secret")
    (www / "loop").symlink_to("loop")
    (www / "inside").symlink_to("file.txt")
    os.utime(www / "file.txt", (784111777, 784111777))
    return www


@pytest.fixture
def files(root: Path) -> Directory:
    return Directory(root)


def ask(
    files: Callable[[Request], Response], target: str, fields: str = "", method: str = "GET"
) -> tuple[int, dict[str, str], bytes]:
    """Return status, fields and body of the answer."""
    head = f"{method} {target} HTTP/1.1\r\nHost: a\r\n{fields}\r\n".encode("latin-1")
    request = RequestParser().next_request(head)
    assert request is not NEED_DATA
    try:
        response = files(request)
    except HttpError as error:
        return error.status, dict(error.headers), b""
    try:
        body = b"".join(octets(response))
        assert response.content_length == len(body)
        return response.status, {**response.headers}, body
    finally:
        response.close()


def octets(response: Response) -> Iterator[bytes]:
    whole = isinstance(response.body, (bytes, FileRegion))
    for piece in [response.body] if whole else response.body:
        if isinstance(piece, FileRegion):
            yield os.pread(piece.file.fileno(), piece.count, piece.offset)
        else:
            yield piece


# -- the way to a file --------------------------------------------------------------------------

PATHS = {
    "/file.txt": (200, b"0123456789"),
    "/file.txt?x=../outside.txt": (200, b"0123456789"),
    "http://a/file.txt": (200, b"0123456789"),
    "/%66ile.txt": (200, b"0123456789"),
    "//file.txt": (200, b"0123456789"),
    "/a%20b%20%C3%A9.html": (200, b"blank"),
    "/indexed/": (200, b"index"),
    "/inside": (200, b"0123456789"),
    "/empty": (200, b""),
    "/dir": (301, b""),
    "/file.txt/": (404, b""),
    "/missing": (404, b""),
    "/file.txt/below": (404, b""),
    "/.git/config": (404, b""),
    "/%2egit/config": (404, b""),
    "/.": (404, b""),
    "/..": (404, b""),
    "/../outside.txt": (404, b""),
    "/%2e%2e/outside.txt": (404, b""),
    "/..%2foutside.txt": (404, b""),
    "/..%5coutside.txt": (404, b""),
    "/..\\outside.txt": (404, b""),
    "/dir/../../outside.txt": (404, b""),
    "/dir/..": (404, b""),
    "/....//outside.txt": (404, b""),
    "/..;/outside.txt": (404, b""),
    "/%252e%252e/outside.txt": (404, b""),
    "/../www-secret/file.txt": (404, b""),
    "//etc/passwd": (404, b""),
    "/%2fetc%2fpasswd": (404, b""),
    "/out": (404, b""),
    "/outdir/file.txt": (404, b""),
    "/outdir/": (404, b""),
    "/loop": (404, b""),
    "/" + "a" * 300: (404, b""),
    "/" + "a/" * 3000: (404, b""),
    "/%00": (400, b""),
    "/file.txt%00.html": (400, b""),
    "/%1b%5b31m": (400, b""),
    "/%0d%0aX:": (400, b""),
    "/%c0%ae%c0%ae/outside.txt": (400, b""),
    "/%ff": (400, b""),
    "/%": (400, b""),
    "/%zz": (400, b""),
    "/%uff0e": (400, b""),
}


@pytest.mark.parametrize(("target", "answer"), PATHS.items(), ids=[path[:40] for path in PATHS])
def test_a_path_leads_to_a_file_or_nowhere(
    files: Directory, target: str, answer: tuple[int, bytes]
) -> None:
    status, _, body = ask(files, target)
    assert answer == (status, body)


@given(st.lists(st.sampled_from(["..", ".", "%2e", "/", "%2f", "\\", "%5c", "a", "%00", "%"])))
def test_no_spelling_yields_a_name_that_is_unsafe_to_join(pieces: list[str]) -> None:
    try:
        segments = split_path("/" + "".join(pieces))
    except HttpError:
        return
    for segment in segments:
        assert not segment.startswith(".")
        assert not {"/", "\\", "\x00", ""} & {*segment, segment}


@given(st.text("/a.~-_%2e:\\", max_size=8))
def test_a_plain_path_is_split_as_any_other(path: str) -> None:
    def outcome(raw_path: str) -> list[str] | int:
        try:
            return split_path(raw_path)
        except HttpError as error:
            return error.status

    # An empty name is skipped, and keeps the path from being taken for a plain one.
    assert outcome("//" + path) == outcome("/" + path)


def test_the_root_itself_may_be_a_link(root: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(root)
    assert 200 == ask(Directory(tmp_path / "link"), "/file.txt")[0]


def test_the_root_must_be_a_directory(root: Path) -> None:
    with pytest.raises(NotADirectoryError):
        Directory(root / "file.txt")
    with pytest.raises(FileNotFoundError):
        Directory(root / "missing")


def test_a_pipe_is_not_waited_for(files: Directory, root: Path) -> None:
    os.mkfifo(root / "pipe")
    assert 404 == ask(files, "/pipe")[0]


def test_what_the_system_forbids_is_403(files: Directory, root: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may read everything")
    (root / "file.txt").chmod(0)
    assert 403 == ask(files, "/file.txt")[0]


def test_other_methods_are_told_what_is_allowed(files: Directory) -> None:
    assert (405, {"Allow": "GET, HEAD"}, b"") == ask(files, "/file.txt", method="POST")


# -- directories --------------------------------------------------------------------------------


@pytest.mark.parametrize("target", ["/dir", "//dir", "///dir", "/%2fdir"])
def test_a_directory_without_its_slash_redirects_within_the_host(
    files: Directory, target: str
) -> None:
    assert "/dir/" == ask(files, target)[1]["location"]


def test_a_redirect_keeps_the_query_and_escapes_the_path(files: Directory, root: Path) -> None:
    (root / "a b").mkdir()
    assert "/a%20b/?c=d" == ask(files, "/a%20b?c=d")[1]["location"]


def test_a_listing_is_escaped_and_hides_dot_files(files: Directory) -> None:
    status, fields, body = ask(files, "/dir/")
    assert (200, "text/html; charset=utf-8") == (status, fields["content-type"])
    assert b'<a href="./%3Cb%3E%26.txt">&lt;b&gt;&amp;.txt</a>' in body
    assert b'<a href="./sub/">sub/</a>' in body
    assert b'<a href="../">' in body
    assert b".git" not in ask(files, "/")[2]


def test_a_listing_can_be_refused(root: Path) -> None:
    files = Directory(root, listing=False)
    assert (403, 200) == (ask(files, "/dir/")[0], ask(files, "/indexed/")[0])


# -- types, validators, conditions --------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.html", "text/html; charset=utf-8"),
        ("a.JS", "text/javascript; charset=utf-8"),
        ("a.json", "application/json; charset=utf-8"),
        ("a.png", "image/png"),
        ("a.tar.gz", "application/gzip"),
        ("a", "application/octet-stream"),
        ("a.unheard-of", "application/octet-stream"),
        ("data:a.html", "text/html; charset=utf-8"),
    ],
)
def test_the_type_is_told_by_the_name(name: str, kind: str) -> None:
    assert kind == content_type(name)


def test_a_file_has_validators_and_a_type(files: Directory) -> None:
    fields = ask(files, "/file.txt")[1]
    assert "Sun, 06 Nov 1994 08:49:37 GMT" == fields["last-modified"]
    assert fields["etag"].startswith('"')
    assert ("bytes", "text/plain; charset=utf-8") == (
        fields["accept-ranges"], fields["content-type"],
    )  # fmt: skip


DATE, LATER = "Sun, 06 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 08:49:38 GMT"
EARLIER = "Sun, 06 Nov 1994 08:49:36 GMT"


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ("If-None-Match: *\r\n", 304),
        ("If-None-Match: TAG\r\n", 304),
        ("iF-nOnE-mAtCh:TAG\r\n", 304),
        ("If-None-Match: W/TAG\r\n", 304),
        ('If-None-Match: "x", TAG , "y"\r\n', 304),
        ('If-None-Match: "x"\r\nIf-None-Match: TAG\r\n', 304),
        ('If-None-Match: "x"\r\n', 200),
        (f'If-None-Match: "x"\r\nIf-Modified-Since: {LATER}\r\n', 200),
        (f"If-Modified-Since: {DATE}\r\n", 304),
        (f"If-Modified-Since: {LATER}\r\n", 304),
        (f"If-Modified-Since: {EARLIER}\r\n", 200),
        ("If-Modified-Since: Sunday, 06-Nov-94 08:49:37 GMT\r\n", 304),
        ("If-Modified-Since: Sun Nov  6 08:49:37 1994\r\n", 304),
        ("If-Modified-Since: yesterday\r\n", 200),
        ("If-Modified-Since: Sun, 06 Nov 99999 08:49:37 GMT\r\n", 200),
        ("If-Match: TAG\r\n", 200),
        ("If-Match: *\r\n", 200),
        ("If-Match: W/TAG\r\n", 412),
        ('If-Match: "x"\r\n', 412),
        (f"If-Unmodified-Since: {DATE}\r\n", 200),
        (f"If-Unmodified-Since: {EARLIER}\r\n", 412),
        ("If-Unmodified-Since: yesterday\r\n", 200),
    ],
)
def test_conditions_hold_in_their_order(files: Directory, fields: str, status: int) -> None:
    tag = ask(files, "/file.txt")[1]["etag"]
    answer = ask(files, "/file.txt", fields.replace("TAG", tag))
    assert status == answer[0]
    if status == 304:
        assert (tag, b"") == (answer[1]["etag"], answer[2])


# -- ranges -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "status", "part", "body"),
    [
        ("bytes=0-3", 206, "bytes 0-3/10", b"0123"),
        ("BYTES=4-", 206, "bytes 4-9/10", b"456789"),
        ("bytes=-3", 206, "bytes 7-9/10", b"789"),
        ("bytes=-100", 206, "bytes 0-9/10", b"0123456789"),
        ("bytes=5-100", 206, "bytes 5-9/10", b"56789"),
        ("bytes=0-99999999999999999999", 206, "bytes 0-9/10", b"0123456789"),
        ("bytes=0-2,1-3,,4-5", 206, "bytes 0-5/10", b"012345"),
        ("bytes=8-9,20-30", 206, "bytes 8-9/10", b"89"),
        ("bytes=-17208,-9223372036854758792", 206, "bytes 0-9/10", b"0123456789"),
        ("bytes=10-", 416, "bytes */10", b""),
        ("bytes=-0", 416, "bytes */10", b""),
        ("bytes=100-200", 416, "bytes */10", b""),
        ("bytes=3-1", 200, None, b"0123456789"),
        ("bytes=a-b", 200, None, b"0123456789"),
        ("bytes=", 200, None, b"0123456789"),
        ("bytes=-", 200, None, b"0123456789"),
        ("bytes=--1", 200, None, b"0123456789"),
        ("bytes=1-2-3", 200, None, b"0123456789"),
        ("bytes=+1-3", 200, None, b"0123456789"),
        ("bytes=\u00d9\u00a0-\u00d9\u00a3", 200, None, b"0123456789"),
        ("bytes= 0-3", 200, None, b"0123456789"),
        ("bytes 0-3", 200, None, b"0123456789"),
        ("lines=0-3", 200, None, b"0123456789"),
        ("bytes=" + ",".join(f"{i}-{i}" for i in range(17)), 200, None, b"0123456789"),
        ("bytes=" + "1" * 5000 + "-", 200, None, b"0123456789"),
    ],
)
def test_a_range_is_answered(
    files: Directory, asked: str, status: int, part: str | None, body: bytes
) -> None:
    answer = ask(files, "/file.txt", f"Range: {asked}\r\n")
    assert answer == ask(files, "/file.txt", f"rAnGe:{asked}\r\n")
    fields = {name.lower(): value for name, value in answer[1].items()}
    assert (status, part, body) == (answer[0], fields.get("content-range"), answer[2])


def test_ranges_apart_come_in_parts_in_the_order_asked(files: Directory) -> None:
    status, fields, body = ask(files, "/file.txt", "Range: bytes=7-8,0-1\r\n")
    assert (206, True) == (status, fields["content-type"].startswith("multipart/byteranges"))
    boundary = fields["content-type"].partition("boundary=")[2].encode()
    parts = body.split(b"\r\n--" + boundary)
    assert [b"", b"--\r\n"] == [parts[0], parts[-1]]
    assert [b"78", b"01"] == [part.partition(b"\r\n\r\n")[2] for part in parts[1:-1]]
    assert b"Content-Range: bytes 7-8/10" in parts[1]


@pytest.mark.parametrize(
    ("condition", "status"),
    [("TAG", 206), ('"x"', 200), ("W/TAG", 200), (DATE, 206), (LATER, 200), ("nonsense", 200)],
)
def test_if_range_guards_the_range(files: Directory, condition: str, status: int) -> None:
    tag = ask(files, "/file.txt")[1]["etag"]
    fields = f"Range: bytes=0-3\r\nIf-Range: {condition.replace('TAG', tag)}\r\n"
    assert status == ask(files, "/file.txt", fields)[0]


def test_a_range_is_for_get_alone(files: Directory) -> None:
    assert 200 == ask(files, "/file.txt", "Range: bytes=0-3\r\n", "HEAD")[0]


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)), min_size=1, max_size=16))
def test_parts_never_exceed_the_whole(pairs: list[tuple[int, int]]) -> None:
    asked = ",".join(f"{start}-{stop}" for start, stop in pairs)
    try:
        spans = select_spans(Headers([("Range", f"bytes={asked}")]), Validators('"x"', 0), 30)
    except HttpError:
        assert all(start >= 30 for start, _ in pairs)
        return
    if any(start > stop for start, stop in pairs):
        assert spans is None
        return
    assert spans is not None
    covered = [octet for span in spans for octet in range(*span)]
    wanted = {octet for start, stop in pairs for octet in range(start, min(stop, 29) + 1)}
    assert sorted(wanted) == sorted(covered)
    assert all(isinstance(span, Span) and 0 <= span.start < span.stop <= 30 for span in spans)


# -- packed siblings ----------------------------------------------------------------------------


@pytest.fixture
def packed(tmp_path: Path) -> Directory:
    (tmp_path / "outside").mkdir()
    www = tmp_path / "packed"
    www.mkdir()
    (www / "app.js").write_bytes(b"0123456789" * 10)
    (www / "app.js.gz").write_bytes(b"gzipped")
    (www / "app.js.br").write_bytes(b"brotli")
    (www / "alone.js").write_bytes(b"alone")
    (www / "stale.js").write_bytes(b"new")
    (www / "stale.js.gz").write_bytes(b"old")
    os.utime(www / "stale.js.gz", (1, 1))
    (www / "dir.js").write_bytes(b"plain")
    (www / "dir.js.gz").mkdir()
    (www / "link.js").write_bytes(b"plain")
    (tmp_path / "outside" / "link.js.gz").write_bytes(SECRET)
    (www / "link.js.gz").symlink_to(tmp_path / "outside" / "link.js.gz")
    (www / "index.html").write_bytes(b"index")
    (www / "index.html.gz").write_bytes(b"packed index")
    return Directory(www, precompressed=True)


@pytest.mark.parametrize(
    ("target", "accept", "coding", "body"),
    [
        ("/app.js", "gzip", "gzip", b"gzipped"),
        ("/app.js", "gzip, br", "br", b"brotli"),
        ("/app.js", "gzip, br;q=0.5", "gzip", b"gzipped"),
        ("/app.js", "zstd", None, b"0123456789" * 10),
        ("/app.js", "gzip;q=0, br;q=0", None, b"0123456789" * 10),
        ("/alone.js", "gzip", None, b"alone"),
        ("/stale.js", "gzip", None, b"new"),
        ("/dir.js", "gzip", None, b"plain"),
        ("/link.js", "gzip", None, b"plain"),
        ("/", "gzip", "gzip", b"packed index"),
        ("/app.js.gz", "gzip", None, b"gzipped"),
    ],
)
def test_a_packed_sibling_is_sent_to_who_accepts_it(
    packed: Directory, target: str, accept: str, coding: str | None, body: bytes
) -> None:
    status, fields, sent = ask(packed, target, f"Accept-Encoding: {accept}\r\n")
    assert (200, coding, body) == (status, fields.get("content-encoding"), sent)
    assert fields["content-type"] == content_type(target.replace("/", "", 1) or "index.html")


def test_an_answer_varies_where_there_is_a_choice(packed: Directory) -> None:
    for target, vary in [("/app.js", "Accept-Encoding"), ("/alone.js", None), ("/stale.js", None)]:
        for accept in ("", "Accept-Encoding: br\r\n"):
            assert vary == ask(packed, target, accept)[1].get("vary")


def test_each_representation_has_its_own_validators_and_ranges(packed: Directory) -> None:
    fields = {
        coding: ask(packed, "/app.js", f"Accept-Encoding: {coding}\r\n")[1]
        for coding in ("identity", "gzip", "br")
    }
    tags = {coding: each["etag"] for coding, each in fields.items()}
    assert 3 == len(set(tags.values()))
    assert not any(tag.startswith("W/") for tag in tags.values())
    for coding, tag in tags.items():
        asked = f"Accept-Encoding: {coding}\r\n"
        status, told, _ = ask(packed, "/app.js", f"{asked}If-None-Match: {tag}\r\n")
        assert (304, "Accept-Encoding", tag) == (status, told["vary"], told["etag"])
    asked = "Accept-Encoding: gzip\r\nRange: bytes=0-2\r\n"
    status, told, body = ask(packed, "/app.js", asked + f"If-Range: {tags['gzip']}\r\n")
    assert (206, "gzip", "bytes 0-2/7", b"gzi") == (
        status, told["content-encoding"], told["content-range"], body,
    )  # fmt: skip
    assert 200 == ask(packed, "/app.js", asked + f"If-Range: {tags['br']}\r\n")[0]


def test_siblings_are_not_looked_for_unless_told(packed: Directory) -> None:
    plain = Directory(packed.root)
    _, fields, body = ask(plain, "/app.js", "Accept-Encoding: gzip\r\n")
    assert b"0123456789" * 10 == body
    assert "vary" not in fields


# -- one file -----------------------------------------------------------------------------------


def test_one_file_is_sent_with_conditions_and_ranges(root: Path) -> None:
    def one(request: Request) -> Response:
        return send_file(request, root / "inside", kind="text/x-digits", save_as='a"b\r\né.txt')

    status, fields, body = ask(one, "/any")
    assert (200, b"0123456789", "text/x-digits") == (status, body, fields["content-type"])
    assert (
        "attachment; filename=\"a_b___.txt\"; filename*=UTF-8''a%22b%0D%0A%C3%A9.txt"
    ) == fields["content-disposition"]
    assert (206, b"12") == ask(one, "/any", "Range: bytes=1-2\r\n")[::2]
    assert 304 == ask(one, "/any", f"If-None-Match: {fields['etag']}\r\n")[0]
    assert 404 == ask(lambda request: send_file(request, root / "missing"), "/any")[0]
    assert 404 == ask(lambda request: send_file(request, root / "dir"), "/any")[0]
    assert 416 == ask(one, "/any", "Range: bytes=10-\r\n")[0]


# -- caches -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "cache"),
    [
        ("app.3f9a01c7.js", "public, max-age=31536000, immutable"),
        ("app-3f9a01c7deadbeef.css", "public, max-age=31536000, immutable"),
        ("report-20240101.pdf", "max-age=60"),
        ("a.facadedd.js", "max-age=60"),
        ("3f9a01c7.js", "max-age=60"),
        ("app.3f9a01c.js", "max-age=60"),
        ("plain.js", "max-age=60"),
    ],
)
def test_a_name_with_a_hash_is_for_ever(tmp_path: Path, name: str, cache: str) -> None:
    (tmp_path / name).write_bytes(b"x")
    files = Directory(tmp_path, max_age=60, immutable=True)
    _, fields, _ = ask(files, f"/{name}")
    assert cache == fields["cache-control"]
    status, told, _ = ask(files, f"/{name}", f"If-None-Match: {fields['etag']}\r\n")
    assert (304, cache) == (status, told["cache-control"])
    assert "max-age=60" == ask(Directory(tmp_path, max_age=60), f"/{name}")[1]["cache-control"]
    assert "cache-control" not in ask(Directory(tmp_path), f"/{name}")[1]


def test_a_mounted_directory_redirects_below_its_mount(root: Path) -> None:
    router = Router()
    router.mount("/st atic", Directory(root))
    for target, location in [
        ("/st%20atic/dir?x", "/st%20atic/dir/?x"),
        ("/st%20atic", "/st%20atic/"),
    ]:
        request = RequestParser().next_request(f"GET {target} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
        assert location == router(request).headers["location"]
    for target in ("/st%20atic/../outside.txt", "/st%20atic/%2e%2e/outside.txt", "/st%20atic//.."):
        request = RequestParser().next_request(f"GET {target} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
        with pytest.raises(HttpError):
            router(request)

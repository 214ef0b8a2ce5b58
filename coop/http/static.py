"""Static files: a directory, and no way out of it.

What lives here: Directory, a handler that answers from files, and the way from a request's path to
a file.  What it must not know: connections; a file is answered as a region, which the system sends.
Stands on: messages, ranges, negotiation, errors.
"""

from __future__ import annotations

import errno
import html
import io
import mimetypes
import os
import re
import stat
from collections.abc import Iterator
from functools import lru_cache
from typing import Final
from urllib.parse import quote, unquote_to_bytes

from coop.http.errors import HttpError
from coop.http.messages import FileRegion, Request, Response
from coop.http.negotiate import choose_coding
from coop.http.ranges import Span, Validators, check_conditions, select_spans
from coop.stopwatch import wall_seconds

#: Tried in a directory before it is listed.
INDEX_PAGES: Final = ("index.html", "index.htm")

#: Content codings in the order of our preference, and how the packed sibling of a file is named.
CODINGS: Final = {"br": ".br", "zstd": ".zst", "gzip": ".gz"}
#: What is said of a file whose name tells its content, so that it never changes.
_FOR_EVER: Final = "public, max-age=31536000, immutable"
#: A date, or a word, is no hash.
_is_hashed_name: Final = re.compile(
    r".*[._-](?=[0-9a-f]*[0-9])(?=[0-9a-f]*[a-f])[0-9a-f]{8,}\.[^/]+"
).fullmatch

#: A file up to this long is read, to be sent in one go with its head: cheaper than sendfile(2).
_SMALL_BYTES: Final = 65536
_FORBIDDEN: Final = frozenset([errno.EACCES, errno.EPERM])
_EXHAUSTED: Final = frozenset([errno.EMFILE, errno.ENFILE, errno.ENOMEM])
#: Not followed at the last step, not waited for, not inherited; 0 where a system lacks one.
_OPEN_FLAGS: Final = (
    os.O_RDONLY
    | getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_NONBLOCK", 0)
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_BINARY", 0)
)
#: A path with nothing to decode, nor to refuse: the usual one.
_is_plain_path: Final = re.compile(r"(?:/[A-Za-z0-9_~-][A-Za-z0-9_.~-]*+)++").fullmatch
_has_bad_escape: Final = re.compile(r"%(?![0-9A-Fa-f]{2})").search
_has_control_character: Final = re.compile(r"[\x00-\x1f\x7f]").search
#: Python's own table alone, so that a type does not depend on the machine.
_TYPES: Final = mimetypes.MimeTypes()
for _type, _suffix in (
    ("text/javascript", ".js"),
    ("text/javascript", ".mjs"),
    ("text/markdown", ".md"),
    ("application/wasm", ".wasm"),
    ("font/woff2", ".woff2"),
    ("image/webp", ".webp"),
):
    _TYPES.add_type(_type, _suffix)
_PACKED: Final = {"gzip": "application/gzip", "bzip2": "application/x-bzip2"}


_LISTING_STYLE: Final = (
    "body { font: 1rem/1.7 system-ui, sans-serif; color: #234; max-width: 45rem; margin: 2rem auto;"
    " padding: 0 1rem } h1 { font-size: 1.4rem; overflow-wrap: anywhere }"
    " ul { list-style: none; padding: 0 } li { border-top: 1px solid #e3e9ee; padding: .15rem 0 }"
    " a { color: #075; text-decoration: none } a:hover { text-decoration: underline }"
)


class Directory:
    """A handler that answers GET and HEAD with the files below a directory.

    A directory is answered with its index page, else a listing (``listing=False``: 403).  Names
    that begin with a dot do not exist here, nor does what a symbolic link outside leads to.

    ``precompressed`` sends ``app.js.br``, ``.zst`` or ``.gz`` in place of ``app.js`` to clients
    that accept it, unless it is older.  ``max_age``, in seconds, is for Cache-Control;
    ``immutable`` says for ever of names that have a hash in hexadecimal: ``app.3f9a01c7.js``.

    Errors of a request come as HttpError: 400 for a path that cannot be a name, 403, 404, 405, 412,
    416; 503 when the system is short of descriptors.  OSError when ``root`` is no directory.
    """

    def __init__(
        self,
        root: str | os.PathLike[str],
        *,
        listing: bool = True,
        precompressed: bool = False,
        max_age: int | None = None,
        immutable: bool = False,
    ) -> None:
        #: The directory, absolute and free of symbolic links.
        self.root: Final = os.path.realpath(root, strict=True)
        if not os.path.isdir(self.root):
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(root))
        self.listing: Final = listing
        self.precompressed: Final = precompressed
        self.immutable: Final = immutable
        self._cache: Final = "" if max_age is None else f"max-age={int(max_age)}"

    def __call__(self, request: Request) -> Response:
        """Answer with the file that the request's path names; for ``coop.http.serve``."""
        return self.answer(request, request.raw_path)

    def answer(self, request: Request, raw_path: str) -> Response:
        """Answer with the file of this path, still percent-encoded: the rest of a route, say."""
        if request.method not in ("GET", "HEAD"):
            raise HttpError(405, "files can be read only", (("Allow", "GET, HEAD"),))
        segments = split_path(raw_path)
        with_slash = raw_path.endswith("/")
        path, status = self._find(segments)
        if stat.S_ISDIR(status.st_mode):
            if not with_slash:
                return _redirect(request, segments)
            return self._answer_directory(request, segments, path)
        if with_slash or not stat.S_ISREG(status.st_mode):
            raise HttpError(404, "not a regular file")
        return self._answer_file(request, path)

    def _find(self, segments: list[str]) -> tuple[str, os.stat_result]:
        """Return the real path and the status of what the segments name inside the root."""
        path = self.root
        try:
            if not segments:
                return path, os.lstat(path)
            for segment in segments:
                path = os.path.join(path, segment)
                status = os.lstat(path)
                if stat.S_ISLNK(status.st_mode) or _is_junction(status):
                    return self._follow(segments)
        except OSError as error:
            raise _as_answer(error) from None
        return path, status

    def _follow(self, segments: list[str]) -> tuple[str, os.stat_result]:
        """Find what lies behind a symbolic link, if that is inside the root."""
        wanted = os.path.join(self.root, *segments)
        try:
            path = os.path.realpath(wanted, strict=True)
            if path != self.root and not path.startswith(os.path.join(self.root, "")):
                raise HttpError(404, "a symbolic link leads out of the root")
            return path, os.stat(path, follow_symlinks=False)
        except OSError as error:
            raise _as_answer(error) from None

    def _answer_directory(self, request: Request, segments: list[str], path: str) -> Response:
        for name in INDEX_PAGES:
            try:
                index, status = self._find([*segments, name])
            except HttpError as error:
                if error.status != 404:
                    raise
            else:
                if stat.S_ISREG(status.st_mode):
                    return self._answer_file(request, index)
        if not self.listing:
            raise HttpError(403, "directories are not listed")
        return _list(segments, path)

    def _answer_file(self, request: Request, path: str) -> Response:
        chosen = _open(path)
        fields = [("Cache-Control", cache)] if (cache := self._cache_control(path)) else []
        try:
            if self.precompressed:
                chosen, has_others = self._choose_variant(request, path, chosen)
                if has_others:
                    fields.append(("Vary", "Accept-Encoding"))
            return _answer_variant(request, chosen, content_type(path), fields)
        except BaseException:
            chosen.close()
            raise

    def _cache_control(self, path: str) -> str:
        if self.immutable and _is_hashed_name(os.path.basename(path)):
            return _FOR_EVER
        return self._cache

    def _choose_variant(self, request: Request, path: str, plain: Variant) -> tuple[Variant, bool]:
        """Return the file or the packed sibling that the client prefers, and if it had a choice."""
        codings = {
            coding: path + suffix
            for coding, suffix in CODINGS.items()
            if self._is_fresh_sibling(path + suffix, plain.status)
        }
        coding = choose_coding(request.headers.get("accept-encoding"), codings)
        if coding is None:
            return plain, bool(codings)
        try:
            packed = _open(codings[coding], coding)
        except HttpError:
            return plain, True  # it has gone meanwhile
        plain.close()
        return packed, True

    def _is_fresh_sibling(self, path: str, original: os.stat_result) -> bool:
        """Tell whether this is a packed file, and not older than the original, in whole seconds."""
        try:
            status = os.stat(path, follow_symlinks=False)
        except OSError:
            return False
        return stat.S_ISREG(status.st_mode) and int(status.st_mtime) >= int(original.st_mtime)


class Variant:
    """An open file, as it is or packed, until it is read, taken or closed."""

    __slots__ = ("_fd", "coding", "status")

    def __init__(self, fd: int, status: os.stat_result, coding: str) -> None:
        self._fd = fd
        self.status = status
        #: Its content coding; empty for none.
        self.coding = coding

    def read(self) -> bytes:
        """Return what it holds, and close it."""
        data = os.read(self._fd, self.status.st_size)
        self.close()
        return data

    def take(self) -> io.FileIO:
        """Return it as a file, which closes it."""
        fd, self._fd = self._fd, -1
        return io.FileIO(fd, "rb")

    def close(self) -> None:
        """Close it, unless it is somebody else's by now."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def split_path(raw_path: str) -> list[str]:
    """Return the names in a percent-encoded path, decoded once, and each safe to join.

    Empty names are skipped.  Errors: HttpError 400 for a bad escape, NUL or another control
    character, or what is not UTF-8; 404 for a backslash, for ``..``, and for any other name that
    begins with a dot, or on Windows has a colon.
    """
    if _is_plain_path(raw_path):
        return raw_path[1:].split("/")
    if not raw_path.startswith("/") or _has_bad_escape(raw_path):
        raise HttpError(400, "not an absolute path, or a bad percent-escape")
    try:
        path = unquote_to_bytes(raw_path).decode("utf-8")
    except UnicodeDecodeError:
        raise HttpError(400, "path is not UTF-8") from None
    if _has_control_character(path):
        raise HttpError(400, "control character in the path")
    segments = [segment for segment in path.split("/") if segment]
    if not all(map(_is_served, segments)):
        raise HttpError(404, "a name that is not served")
    return segments


def _is_served(name: str) -> bool:
    return not name.startswith(".") and "\\" not in name and (os.name != "nt" or ":" not in name)


def content_type(path: str) -> str:
    """Return the media type that a file's name tells, application/octet-stream if it tells none."""
    return _type_of_name(os.path.basename(path))


@lru_cache(maxsize=1024)
def _type_of_name(name: str) -> str:
    kind, packed = _TYPES.guess_type(f"/{name}")
    if packed is not None:
        return _PACKED.get(packed, "application/octet-stream")
    if kind is None:
        return "application/octet-stream"
    is_text = kind.startswith("text/") or kind == "application/json"
    return f"{kind}; charset=utf-8" if is_text else kind


class ByteRanges:
    """The parts of a file as a multipart/byteranges body (RFC 9110 section 14.6)."""

    __slots__ = ("_file", "_parts", "content_length", "content_type")

    def __init__(self, file: io.FileIO, spans: list[Span], size: int, kind: str) -> None:
        boundary = os.urandom(12).hex()
        self._file = file
        #: What the message's own Content-Type says.
        self.content_type: Final = f"multipart/byteranges; boundary={boundary}"
        self._parts: list[bytes | FileRegion] = []
        for span in spans:
            head = f"\r\n--{boundary}\r\nContent-Type: {kind}\r\n{_content_range(span, size)}"
            self._parts.append(head.encode("latin-1"))
            self._parts.append(FileRegion(file, span.start, span.stop - span.start))
        self._parts.append(f"\r\n--{boundary}--\r\n".encode())
        #: Octets of the whole body.
        self.content_length: Final = sum(map(len, self._parts))

    def __iter__(self) -> Iterator[bytes | FileRegion]:
        return iter(self._parts)

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _content_range(span: Span, size: int) -> str:
    return f"Content-Range: bytes {span.start}-{span.stop - 1}/{size}\r\n\r\n"


def send_file(
    request: Request,
    path: str | os.PathLike[str],
    *,
    kind: str | None = None,
    save_as: str | None = None,
) -> Response:
    """Answer with one file of yours, wherever it is; conditions and ranges are heeded.

    ``kind`` is its media type, else told by its name.  ``save_as`` has browsers save it under that
    name.  Never make ``path`` of what a client sent: that is what Directory is for.
    Errors: HttpError 403, 404, 412, 416, 503.
    """
    real = os.path.realpath(path)
    variant = _open(real)
    fields = []
    if save_as is not None:
        plain = re.sub(r"[^ !#-\[\]-~]", "_", save_as)
        told = f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(save_as, '')}"
        fields.append(("Content-Disposition", told))  # RFC 6266 section 4
    try:
        return _answer_variant(request, variant, kind or content_type(real), fields)
    except BaseException:
        variant.close()
        raise


def _is_junction(status: os.stat_result) -> bool:
    """Tell whether this leads elsewhere as a symbolic link does, on Windows."""
    return getattr(status, "st_reparse_tag", 0) != 0


def _open(path: str, coding: str = "") -> Variant:
    """Open a file; HttpError when that cannot be done."""
    try:
        fd = os.open(path, _OPEN_FLAGS)
    except OSError as error:
        raise _as_answer(error) from None
    status = os.fstat(fd)
    if not stat.S_ISREG(status.st_mode):
        os.close(fd)
        raise HttpError(404, "not a regular file, or not any more")
    return Variant(fd, status, coding)


def _answer_variant(
    request: Request, variant: Variant, kind: str, fields: list[tuple[str, str]]
) -> Response:
    status, coding = variant.status, variant.coding
    size = status.st_size
    # Not in the future: the client would be told that it has what comes later (section 8.8.2.1).
    modified = int(min(status.st_mtime, wall_seconds()))
    validators, told = _validators(status.st_mtime_ns, size, modified, coding)
    fields += told
    spans = None
    if request.has_conditions:
        if not check_conditions(request.headers, validators):
            variant.close()
            return Response(b"", 304, fields)
        if request.method == "GET":
            spans = select_spans(request.headers, validators, size)
    fields.append(("Accept-Ranges", "bytes"))
    if coding:
        fields.append(("Content-Encoding", coding))
    if spans is not None and len(spans) > 1:
        body = ByteRanges(variant.take(), spans, size, kind)
        fields.append(("Content-Type", body.content_type))
        fields.append(("Content-Length", str(body.content_length)))
        return Response(body, 206, fields)
    fields.append(("Content-Type", kind))
    if spans is None and size <= _SMALL_BYTES and request.method == "GET":
        return Response(variant.read(), 200, fields)
    if spans is None:
        return Response(FileRegion(variant.take(), 0, size), 200, fields)
    start, stop = spans[0]
    fields.append(("Content-Range", f"bytes {start}-{stop - 1}/{size}"))
    return Response(FileRegion(variant.take(), start, stop - start), 206, fields)


@lru_cache(maxsize=1024)
def _validators(
    mtime_ns: int, size: int, modified: int, coding: str
) -> tuple[Validators, list[tuple[str, str]]]:
    """Return what tells this state of a file from others, and the fields that say so."""
    mark = f"-{coding}" if coding else ""
    validators = Validators(f'"{mtime_ns:x}-{size:x}{mark}"', modified)
    return validators, validators.fields()


def _as_answer(error: OSError) -> HttpError:
    """Say what an error of the file system means to the client; never 500."""
    if error.errno in _FORBIDDEN:
        return HttpError(403, "the system forbids it")
    if error.errno in _EXHAUSTED:
        return HttpError(503, os.strerror(error.errno), (("Retry-After", "1"),))
    return HttpError(404, os.strerror(error.errno or 0))


def _redirect(request: Request, segments: list[str]) -> Response:
    """Lead to the same path with a slash; from its names, so it cannot begin with ``//``."""
    location = request.mount + "/" + "".join(f"{quote(segment)}/" for segment in segments)
    if request.query_string:
        location += "?" + request.query_string
    return Response(b"", 301, [("Location", location)])


def _list(segments: list[str], path: str) -> Response:
    try:
        with os.scandir(path) as entries:
            names = sorted(
                (not entry.is_dir(), entry.name + "/" * entry.is_dir())
                for entry in entries
                if _is_served(entry.name) and entry.name.isprintable()
            )
    except OSError as error:
        raise _as_answer(error) from None
    title = html.escape("/" + "".join(f"{segment}/" for segment in segments))
    rows = "".join(
        f'<li><a href="./{quote(name)}">{html.escape(name)}</a></li>\n' for _, name in names
    )
    up = '<li><a href="../">../</a></li>\n' if segments else ""
    page = (
        '<!DOCTYPE html>\n<html lang="en">\n<head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>Files in {title}</title>\n<style>{_LISTING_STYLE}</style></head>\n"
        f"<body>\n<h1>Files in {title}</h1>\n<ul>\n{up}{rows}</ul>\n</body>\n</html>\n"
    )
    return Response(page, 200, [("Content-Type", "text/html; charset=utf-8")])

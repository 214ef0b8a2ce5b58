"""The application with several pages, in the dress of each interface.

GET /json    1 KiB of JSON, made for each request
GET /10k     a file of 10 KiB, GET /1m one of 1 MiB: by what the interface has for files
POST /       the number of bytes in the request's body

The files lie in the folder that HTTP_FILES in the environment names.
"""

import json
import os

TEXT, JSON, BINARY = "text/plain", "application/json", "application/octet-stream"
FOLDER = os.environ["HTTP_FILES"]
SIZES = {"/10k": 10 * 1024, "/1m": 1024 * 1024}
PIECE_BYTES = 65536
RECORDS = [{"id": i, "name": f"record {i:05}", "is_new": True} for i in range(22)]
PAGE = {"page": 1, "records": RECORDS}
encode = json.JSONEncoder(separators=(",", ":")).encode


def file_of(path):
    """Return the path of the file that a request asks for, or None."""
    return FOLDER + path if path in SIZES else None


def answer(body):
    """Return content type and bytes of what is no file; `body` is None but for a POST."""
    if body is None:
        return JSON, encode(PAGE).encode()
    return TEXT, b"%d" % len(body)


def pieces(file):
    with file:
        while piece := file.read(PIECE_BYTES):
            yield piece


def wsgi(environ, start_response):
    path = environ["PATH_INFO"]
    if name := file_of(path):
        headers = [("Content-Type", BINARY), ("Content-Length", str(SIZES[path]))]
        start_response("200 OK", headers)
        file = open(name, "rb")  # noqa: SIM115  (the server closes it)
        wrapper = environ.get("wsgi.file_wrapper")
        return wrapper(file, PIECE_BYTES) if wrapper else pieces(file)
    body = None
    if environ["REQUEST_METHOD"] == "POST":
        body = environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
    kind, content = answer(body)
    start_response("200 OK", [("Content-Type", kind), ("Content-Length", str(len(content)))])
    return [content]


async def asgi(scope, receive, send):
    if scope["type"] != "http":
        return
    path = scope["path"]
    if name := file_of(path):
        await send(start_of(BINARY, SIZES[path]))
        for piece in pieces(open(name, "rb")):  # noqa: SIM115
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b""})
        return
    body = await read_all(receive) if scope["method"] == "POST" else None
    kind, content = answer(body)
    await send(start_of(kind, len(content)))
    await send({"type": "http.response.body", "body": content})


def start_of(kind, size):
    headers = [(b"content-type", kind.encode()), (b"content-length", b"%d" % size)]
    return {"type": "http.response.start", "status": 200, "headers": headers}


async def read_all(receive):
    body, has_more = b"", True
    while has_more:
        message = await receive()
        body += message.get("body", b"")
        has_more = message.get("more_body", False)
    return body


async def rsgi(scope, protocol):
    if name := file_of(scope.path):
        protocol.response_file(200, [("content-type", BINARY)], name)
        return
    body = await protocol() if scope.method == "POST" else None
    kind, content = answer(body)
    protocol.response_bytes(200, [("content-type", kind)], content)

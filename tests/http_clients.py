"""The server that real clients are sent to, and what each client does there, in its own process.

    python tests/http_clients.py requests http://127.0.0.1:8000

Every client does the same: three requests over one connection; a body in either framing, there and
back; a megabyte, whole and in pieces; a status of each kind; a head alone; and many at once.
"""

from __future__ import annotations

import asyncio
import importlib
import os
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

SERVER = """
import coop, coop.http
from coop.http import HttpError, Response
try:
    import coop.ws
except ImportError:
    pass

BIG = bytes(range(256)) * 4096

def pieces(data):
    for start in range(0, len(data), 40_000):
        yield data[start : start + 40_000]
        yield

def talk(ws):
    while (message := (yield from ws.recv())) is not coop.CLOSED:
        yield from ws.send(message)

def app(request):
    path = request.path
    if path == "/ws":
        return coop.ws.upgrade(request, talk, origins="any")
    if path == "/missing":
        raise HttpError(404)
    if path == "/crash":
        raise RuntimeError("as it must")
    if path == "/empty":
        return Response(status=204)
    if path == "/close":
        return Response(b"close", headers={"Connection": "close"})
    if path == "/page":
        return Response(PAGE, headers={"Content-Type": "text/html"})
    if path == "/peer":
        return Response(str(request.peer))
    if path == "/big":
        return Response(BIG)
    if path == "/pieces":
        return Response(pieces(BIG))
    return (yield from echo(request))

def echo(request):
    return Response((yield from request.read(8_000_000)))

PAGE = '''<!doctype html><title>coop</title><script>
async function ask(path, options) {
    const answer = await fetch(path, options);
    return [answer.status, (await answer.arrayBuffer()).byteLength];
}
async function ask_all() {
    const many = await Promise.all(Array.from({length: 20}, (_, n) =>
        ask("/echo", {method: "POST", body: "x".repeat(n)})));
    return JSON.stringify([many.every(([status, size], n) => status == 200 && size == n),
        await ask("/big"), await ask("/pieces"), await ask("/missing"), await ask("/crash"),
        await ask("/empty"), await ask("/close"), await ask("/big", {method: "HEAD"})]);
}
async function talk() {
    const ws = new WebSocket("ws://" + location.host + "/ws");
    const next = name => new Promise((done, fail) => {
        ws.onclose = fail;
        ws["on" + name] = done;
    });
    const heard = [];
    await next("open");
    for (const word of ["one", "two", "x".repeat(100000)]) {
        ws.send(word);
        heard.push((await next("message")).data.length);
    }
    ws.close(1000);
    const end = await next("close");
    return JSON.stringify([heard, end.code, end.wasClean]);
}
</script>'''

coop.run(coop.http.serve(app, "127.0.0.1", 0, on_listening=tell))
"""

BIG = bytes(range(256)) * 4096
STATUSES = {"/missing": 404, "/crash": 500, "/empty": 204, "/close": 200}
MANY = 20


def in_pieces(data: bytes) -> Iterator[bytes]:
    for start in range(0, len(data), 70_000):
        yield data[start : start + 70_000]


async def in_pieces_async(data: bytes) -> Any:
    for piece in in_pieces(data):
        yield piece


def visit_with_requests(url: str) -> None:
    import requests

    with requests.Session() as session:
        assert 1 == len({session.get(url + "/peer", timeout=9).text for _ in range(3)})
        assert BIG == session.post(url + "/echo", data=BIG, timeout=9).content
        assert BIG == session.post(url + "/echo", data=in_pieces(BIG), timeout=9).content
        for path in ("/big", "/pieces"):
            assert BIG == session.get(url + path, timeout=9).content
        for path, status in STATUSES.items():
            assert status == session.get(url + path, timeout=9).status_code
        head = session.head(url + "/big", timeout=9)
        assert (str(len(BIG)), b"") == (head.headers["Content-Length"], head.content)
    with ThreadPoolExecutor(MANY) as pool:
        answers = list(pool.map(lambda n: requests.get(f"{url}/{n}", timeout=9), range(MANY)))
    assert [200] * MANY == [answer.status_code for answer in answers]


def visit_with_httpx(url: str) -> None:
    import httpx

    with httpx.Client(base_url=url) as client:
        assert 1 == len({client.get("/peer").text for _ in range(3)})
        assert BIG == client.post("/echo", content=BIG).content
        assert BIG == client.post("/echo", content=in_pieces(BIG)).content
        for path in ("/big", "/pieces"):
            assert BIG == client.get(path).content
        for path, status in STATUSES.items():
            assert status == client.get(path).status_code
        head = client.head("/big")
        assert (str(len(BIG)), b"") == (head.headers["Content-Length"], head.content)

    async def at_once() -> None:
        async with httpx.AsyncClient(base_url=url) as client:
            answers = await asyncio.gather(
                *(client.post("/echo", content=in_pieces_async(b"x" * n)) for n in range(MANY))
            )
            assert list(range(MANY)) == [len(answer.content) for answer in answers]

    asyncio.run(at_once())


def visit_with_aiohttp(url: str) -> None:
    import aiohttp

    async def visit() -> None:
        async with aiohttp.ClientSession(url) as session:

            async def ask(method: str, path: str, **options: Any) -> tuple[int, bytes]:
                async with session.request(method, path, **options) as answer:
                    return answer.status, await answer.read()

            assert 1 == len({(await ask("GET", "/peer"))[1] for _ in range(3)})
            assert (200, BIG) == await ask("POST", "/echo", data=BIG)
            assert (200, BIG) == await ask("POST", "/echo", data=in_pieces_async(BIG))
            assert (200, BIG) == await ask("POST", "/echo", data=BIG, expect100=True)
            for path in ("/big", "/pieces"):
                assert (200, BIG) == await ask("GET", path)
            for path, status in STATUSES.items():
                assert status == (await ask("GET", path))[0]
            assert (200, b"") == await ask("HEAD", "/big")
            answers = await asyncio.gather(
                *(ask("POST", "/echo", data=b"x" * n) for n in range(MANY))
            )
            assert list(range(MANY)) == [len(body) for _, body in answers]

    asyncio.run(visit())


def visit_with_websockets(url: str) -> None:
    from websockets.sync.client import connect

    with connect(url.replace("http", "ws", 1) + "/ws", max_size=None, proxy=None) as client:
        for message in ("", "Grüße", b"", os.urandom(100_000), "x" * 1_000_000):
            client.send(message)
            assert message == client.recv(timeout=9)
        client.send(iter(["in ", "fragments"]))
        assert "in fragments" == client.recv(timeout=9)
        assert client.ping().wait(9)
    assert 1000 == client.close_code


VISITS = {
    "requests": visit_with_requests,
    "httpx": visit_with_httpx,
    "aiohttp": visit_with_aiohttp,
    "websockets": visit_with_websockets,
}

if __name__ == "__main__":
    name, url = sys.argv[1:]
    importlib.import_module(name)
    VISITS[name](url)
    print("content")

"""HTTP by socketify (C++, uWebSockets, its own interface):  http_socketify.py PORT

Both applications, by its router. It has nothing for files but reading them whole.
"""

import sys
from pathlib import Path

from http_hello import BODY
from http_pages import BINARY, SIZES, TEXT, answer, file_of
from socketify import App, AppListenOptions


def reply(response, kind, content):
    response.write_header("Content-Type", kind)
    response.end(content)


def hello(response, request):
    reply(response, TEXT, BODY)


def page(response, request):
    reply(response, *answer(None))


def file(response, request):
    reply(response, BINARY, Path(file_of(request.get_url())).read_bytes())


def take(response, request):
    body = bytearray()

    def on_data(response, piece, is_last):
        body.extend(piece or b"")
        if is_last:
            reply(response, *answer(bytes(body)))

    response.on_data(on_data)


if __name__ == "__main__":
    app = App()
    app.get("/", hello)
    app.get("/json", page)
    app.post("/", take)
    for path in SIZES:
        app.get(path, file)
    app.listen(AppListenOptions(port=int(sys.argv[1]), host="127.0.0.1"), lambda config: None)
    app.run()

"""The shop in Flask."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import flask
from flask import Flask, request, session, stream_with_context

from wsgi_apps import FILE, PIECES, SECRET, describe

app = Flask(__name__)
app.secret_key = SECRET


@app.get("/hello")
def hello() -> str:
    return f"hello {request.args['name']}"


@app.post("/form")
def form() -> Any:
    return {"a": request.form["a"], "b": request.form.getlist("b")}


@app.post("/json")
def json() -> Any:
    return {"twice": 2 * request.get_json()["number"]}


@app.post("/upload")
def upload() -> Any:
    file = request.files["file"]
    return describe(file.filename or "", file.read())


@app.post("/raw")
def raw() -> bytes:
    return request.stream.read()


@app.get("/stream")
def stream() -> Any:
    return iter(PIECES), {"Content-Type": "text/plain"}


@app.get("/context")
def context() -> Any:
    """Stream what only the request's own context tells, piece by piece."""

    def pieces() -> Iterator[str]:
        for _ in range(20):
            yield request.args["name"] * 65536

    return stream_with_context(pieces()), {"Content-Type": "text/plain"}


@app.get("/file")
def file() -> Any:
    return flask.send_file(FILE, mimetype="text/x-python")


@app.get("/cookies")
def cookies() -> Any:
    answer = flask.make_response("")
    answer.set_cookie("first", "1", httponly=True)
    answer.set_cookie("second", "2")
    return answer


@app.get("/cookie")
def cookie() -> str:
    return request.cookies["first"]


@app.get("/old")
def old() -> Any:
    return flask.redirect("/hello?name=you")


@app.get("/count")
def count() -> str:
    session["count"] = session.get("count", 0) + 1
    return str(session["count"])


@app.get("/error")
def error() -> str:
    raise LookupError("too bad")

"""The shop in Bottle."""

from __future__ import annotations

from typing import Any

from bottle import Bottle, redirect, request, response, static_file

from wsgi_apps import FILE, PIECES, SECRET, describe

app = Bottle()


@app.get("/hello")
def hello() -> str:
    return f"hello {request.query.name}"


@app.post("/form")
def form() -> Any:
    return {"a": request.forms.a, "b": request.forms.getall("b")}


@app.post("/json")
def json() -> Any:
    return {"twice": 2 * request.json["number"]}


@app.post("/upload")
def upload() -> Any:
    file = request.files.file
    with request.body, file.file:  # Bottle closes neither
        return describe(file.raw_filename, file.file.read())


@app.post("/raw")
def raw() -> bytes:
    return request.body.read()


@app.get("/stream")
def stream() -> Any:
    response.content_type = "text/plain"
    yield from PIECES


@app.get("/file")
def file() -> Any:
    return static_file(FILE.name, root=FILE.parent, mimetype="text/x-python")


@app.get("/cookies")
def cookies() -> str:
    response.set_cookie("first", "1", httponly=True)
    response.set_cookie("second", "2")
    return ""


@app.get("/cookie")
def cookie() -> str:
    return request.get_cookie("first")


@app.get("/old")
def old() -> Any:
    redirect("/hello?name=you")


@app.get("/count")
def count() -> str:
    number = int(request.get_cookie("count", "0", secret=SECRET)) + 1
    response.set_cookie("count", str(number), secret=SECRET)
    return str(number)


@app.get("/error")
def error() -> str:
    raise LookupError("too bad")

"""HTTP app: a guest book. Routes, a form, a cookie, JSON, live events, gzip, in one small file.

Run:  python samples/10_http_app.py [PORT]                          (default port 8010; 0 is any)
Then: open http://localhost:8010/ in two windows and sign in one of them; or
      curl localhost:8010/entries;  curl -d text=hello localhost:8010/
      curl --json '{"text": "hello"}' localhost:8010/entries
See:  both windows show a new entry at once; the book remembers your name, by a cookie.
      curl -i localhost:8010/entries/99 is told 404, in JSON.
"""

import html
import sys
from urllib.parse import quote, unquote

import coop
import coop.http
from coop.http import HttpError, Response

PAGE = """<!DOCTYPE html><html lang="en"><meta charset="utf-8"><title>Guest book</title>
<style>body {{ font: 1.1rem/1.6 system-ui; max-width: 36rem; margin: 3rem auto; padding: 0 1rem }}
input, button {{ font: inherit; padding: .3rem .6rem }}</style><h1>Guest book</h1>
<form method="post"><input name="name" value="{name}" placeholder="name">
<input name="text" placeholder="what you have to say"> <button>Sign</button></form>
<ol>{entries}</ol><script>
new EventSource('/events').onmessage = event => {{
  const item = document.createElement('li');
  item.textContent = event.data;
  document.querySelector('ol').append(item);
}};</script></body></html>"""

router = coop.http.Router()
book = []  # of (name, text)
readers = set()  # a channel for each open window


def sign(name, text):
    if not text:
        raise HttpError(400, "an entry has a text")
    book.append((name or "somebody", text))
    for channel in readers:
        channel.try_send(len(book) - 1)


def as_line(number):
    return "{}: {}".format(*book[number])


@router.get("/")
def show(request):
    name = html.escape(unquote(request.cookies.get("name", "")))
    entries = "".join(f"<li>{html.escape(as_line(number))}</li>" for number in range(len(book)))
    page = PAGE.format(name=name, entries=entries)
    return Response(page, headers={"Content-Type": "text/html; charset=utf-8"})


@router.post("/")
def sign_by_form(request):
    form = yield from request.form()
    sign(form.get("name"), form.get("text"))
    response = coop.http.redirect("/")
    response.set_cookie("name", quote(form.get("name", "")), max_age=30 * 24 * 3600)
    return response


@router.get("/entries")
def entries(request):
    state = coop.http.Validators(f'"{len(book)}"')  # the book only grows
    known = coop.http.revalidate(request, state)
    return known or coop.http.json(book, headers=state.fields())


@router.post("/entries")
def sign_by_json(request):
    entry = yield from request.json()
    if not isinstance(entry, dict) or not isinstance(entry.get("text"), str):
        raise HttpError(400, "an entry is an object with a text")
    sign(str(entry.get("name", "")), entry["text"])
    return coop.http.json(entry, 201, {"Location": f"/entries/{len(book) - 1}"})


@router.get("/entries/{number:int}")
def entry(request, number):
    if not 0 <= number < len(book):
        raise HttpError(404)
    return coop.http.json(book[number])


@router.get("/events")
def events(request):
    return coop.http.event_stream(follow())


def follow():
    """Tell each new entry, for as long as somebody reads."""
    channel = coop.Channel(None)
    readers.add(channel)
    try:
        while True:
            yield as_line((yield from channel.recv()))
    finally:
        readers.discard(channel)


def json_page(request, error):
    return coop.http.json({"status": error.status}, error.status)


def announce(server):
    print(f"listening on {server.address}", flush=True)


PORT = int(sys.argv[1]) if len(sys.argv) > 1 else 8010
app = coop.http.compress(coop.http.error_pages(router, json_page))
if __name__ == "__main__":
    coop.run(coop.http.serve(app, port=PORT, on_listening=announce))

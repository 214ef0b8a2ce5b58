"""HTTP server: the files of a directory, and three dynamic pages.

Run:  python samples/http_server.py [PORT] [-d DIR] [-b ADDR]     (default port 8000; 0 is any)
Then: open the address that it prints, or:  curl -r 0-99 localhost:8000/README.md
See:  the files; /hello greets; /echo streams back what is sent to it; /clock shows server-sent
      events, one a second.  Ctrl-C lets answers under way be finished, and ends.
"""

import argparse
import html
import itertools
import sys
import time

import coop
import coop.http
from coop.http import Response

PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{title}</title><style>
body {{ font: 1.1rem/1.6 system-ui, sans-serif; color: #234; background: #f3f6f8; margin: 0 }}
nav {{ background: #234; padding: .8rem 2rem; display: flex; gap: 2rem }}  nav a {{ color: #cde }}
main {{ max-width: 38rem; margin: 3rem auto; padding: 1.5rem 2.5rem 2rem; background: #fff;
        border-radius: 12px; box-shadow: 0 2px 14px #2341 }}  h1 {{ margin: 0 0 1rem }}
h1, #now {{ color: #075 }}  #now {{ font: 600 4rem/1.4 monospace; margin: 0 }}
input, button {{ font: inherit; padding: .4rem .8rem; border: 1px solid #abc; border-radius: 6px }}
button {{ color: #fff; background: #075 }}
</style></head><body>
<nav><a href="/">files</a><a href="/hello?name=you">hello</a><a href="/echo">echo</a>
<a href="/clock">clock</a></nav><main><h1>{title}</h1>{body}</main></body></html>
"""
ECHO = """<p>What is sent comes back, while it is still coming.</p>
<p><input id="text" value="Is there anybody?"> <button onclick="send()">POST</button></p>
<p id="answer"></p><script>
async function send() {
  const answer = await fetch('/echo', {method: 'POST', body: document.all.text.value});
  document.all.answer.textContent = await answer.text();
}</script>"""
CLOCK = """<p id="now">--:--:--</p><p>ticks since you came: <span id="count">0</span></p><script>
new EventSource('/clock/events').onmessage = event => {
  document.all.now.textContent = event.data;
  document.all.count.textContent = event.lastEventId;
};</script>"""


router = coop.http.Router()


def page(title, body):
    content = PAGE.format(title=title, body=body)
    return Response(content, headers={"Content-Type": "text/html; charset=utf-8"})


@router.get("/hello")
def hello(request):
    name = html.escape(request.query.get("name", "world"))
    form = f'<form><input name="name" value="{name}"> <button>Greet</button></form>'
    return page(f"Hello, {name}!", form)


@router.get("/echo")
def echo_page(request):
    return page("Echo", ECHO)


@router.post("/echo")
def echo(request):
    return Response(send_back(request), headers={"Content-Type": "text/plain; charset=utf-8"})


def send_back(request):
    """A body in pieces: the next one is read when the last one has been sent."""
    while piece := (yield from request.read_piece(max_bytes=1 << 40)):
        yield piece


@router.get("/clock")
def clock(request):
    return page("The time is", CLOCK)


@router.get("/clock/events")
def clock_events(request):
    return coop.http.event_stream(tick())


def tick():
    for number in itertools.count(1):
        yield coop.http.Event(time.strftime("%H:%M:%S"), id=str(number))
        yield from coop.sleep(1)


def announce(server):
    host = options.bind or "localhost"
    host = f"[{host}]" if ":" in host else host
    what = f"{options.directory}, /hello, /echo and /clock"
    print(f"serving {what} on http://{host}:{server.port}/", flush=True)


parser = argparse.ArgumentParser(description="Serve a directory, and three dynamic pages.")
parser.add_argument("port", nargs="?", type=int, default=8000)
parser.add_argument("-d", "--directory", default=".")
parser.add_argument("-b", "--bind", metavar="ADDR", help="listen there; default: everywhere")
options = parser.parse_args()
router.mount("/", coop.http.Directory(options.directory))
log = coop.http.access.common(sys.stderr)

coop.run(
    coop.http.serve(
        router, options.bind, options.port, on_listening=announce, access_log=log, drain=5
    )
)

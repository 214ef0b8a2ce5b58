"""WebSocket chat: a page, and a room in which everybody hears everybody.

Run:  python samples/09_websocket_chat.py [PORT] [--once]   (default port 8009; 0 is any)
Then: open http://localhost:8009/ in two windows; the first thing you type is your name.
See:  what one says, all read, and who is there; a tab that sleeps holds up nobody, and is put out
      when it has fallen too far behind.  Needs: pip install 'coop-net[ws]'
"""

import json
import sys
from pathlib import Path

import coop
import coop.http
import coop.ws

PAGE = Path(__file__).with_suffix(".html").read_text("utf-8")
room = coop.ws.Room(max_behind_bytes=256 * 1024)
names = {}


def tell(kind, **what):
    """Tell everybody in the room, and who is there by now."""
    room.broadcast(json.dumps({"kind": kind, "names": sorted(names.values()), **what}))


def chat(ws):
    """Talk with one page: its first message is a name, and the others are what it says."""
    name = yield from ws.recv()
    if name is coop.CLOSED:
        return
    names[ws] = str(name).strip()[:30] or "somebody"
    with room.joined(ws):
        try:
            tell("came", name=names[ws])
            while (text := (yield from ws.recv())) is not coop.CLOSED:
                tell("said", name=names[ws], text=str(text))
        finally:
            name = names.pop(ws)
            room.remove(ws)
            tell("left", name=name)
    if ONCE and not names:
        SERVER[0].stop()


def app(request):
    if request.path == "/chat":
        return coop.ws.upgrade(request, chat, rules=RULES)
    if request.path != "/":
        return coop.http.Response("There is only the chat.\n", 404)
    return coop.http.Response(PAGE, headers={"Content-Type": "text/html; charset=utf-8"})


def announce(server):
    SERVER.append(server)
    print(f"listening on http://localhost:{server.port}/", flush=True)


PORT = int(next((word for word in sys.argv[1:] if word.isdigit()), 8009))
ONCE = "--once" in sys.argv  # end when the room is empty again
RULES = coop.ws.Rules(max_message_bytes=4000)
SERVER = []
if __name__ == "__main__":
    coop.run(coop.http.serve(app, port=PORT, on_listening=announce, drain=5))

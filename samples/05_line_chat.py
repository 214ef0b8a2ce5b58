"""Line chat: conversations that talk to each other.

Run:  python samples/05_line_chat.py [PORT] [--once]   (default port 8008; 0 is any)
Then: nc localhost 8008 in two terminals; the first line you type is your name.
See:  what one says, all the others read.  A reader who stops reading is put out after two seconds,
      and holds nobody up: every member has a task and a pigeonhole of their own.
"""

import sys
from collections import deque

import coop

PIGEONHOLE_LINES = 100


class Member:
    """Somebody in the room: a name, a connection, and the lines not yet sent to them."""

    def __init__(self, name, conn):
        self.name = name
        self.conn = conn
        self.lines = deque(maxlen=PIGEONHOLE_LINES)  # a slow reader misses the oldest
        self.mail = coop.Event()

    def tell(self, line):
        self.lines.append(line)
        self.mail.set()

    def deliver(self):
        """Send what is in the pigeonhole, for ever."""
        while True:
            yield from self.mail.wait()
            self.mail.clear()
            while self.lines:
                with coop.timeout(2):
                    yield from self.conn.sendall(self.lines.popleft())


room = []


def say(line):
    for member in room:
        member.tell(line)


def listen_to(member):
    while line := (yield from member.conn.readline(limit=1000)):
        say(member.name + b": " + line)


def converse(conn):
    yield from conn.sendall(b"Your name?\n")
    name = (yield from conn.readline(limit=100)).strip()
    if not name:
        return
    member = Member(name, conn)
    room.append(member)
    say(name + b" comes in\n")
    try:
        yield from coop.race(listen_to(member), member.deliver())
    finally:
        room.remove(member)
        say(name + b" has gone\n")
        if ONCE and not room:
            SERVER[0].stop()


def announce(server):
    SERVER.append(server)
    print(f"listening on {server.address}", flush=True)


PORT = int(next((word for word in sys.argv[1:] if word.isdigit()), 8008))
ONCE = "--once" in sys.argv  # end when the room is empty again
SERVER = []
if __name__ == "__main__":
    coop.run(coop.serve(converse, port=PORT, on_listening=announce, drain=1))

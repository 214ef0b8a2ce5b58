"""A timeout is a stopwatch: try, wait, try again, until the countdown ends.

Run:  python samples/03_stopwatch_timeout.py [PORT] [--once]        (default port 8007; 0 is any)
Then: nc localhost 8007, and type; then stop typing for five seconds.
See:  what you type comes back, and the server says how long you took.  When you take too long, it
      says goodbye: the timeout is the application's, the socket only ever answers WOULDBLOCK.
"""

import sys

from coop import blocking
from coop.address import ipv4
from coop.outcomes import WOULDBLOCK
from coop.poller import READ
from coop.sockets import create_tcp_server_socket
from coop.stopwatch import Countdown, Stopwatch

PATIENCE = 5.0


def recv_in_time(conn):
    """Spelled out once; ``blocking.recv(conn, 65536, timeout=PATIENCE)`` is the same."""
    countdown = Countdown(PATIENCE)
    while (data := conn.recv(65536)) is WOULDBLOCK:
        blocking.wait_ready(conn, READ, countdown)  # raises TimeoutError when it has ended
    return data


def echo(conn):
    watch = Stopwatch()
    while data := recv_in_time(conn):
        print(f"{len(data)} bytes after {watch.lap():.3f} s")
        blocking.send_all(conn, data, timeout=PATIENCE)
    print(f"the end after {watch.elapsed:.3f} s in all")


def serve_one(listener):
    with blocking.accept(listener) as conn:
        try:
            echo(conn)
        except TimeoutError:
            conn.send(b"too slow, goodbye\n")
        except OSError as error:
            print(f"{conn.peer_address}: {error}")
        blocking.close_down(conn, timeout=PATIENCE)


PORT = int(next((word for word in sys.argv[1:] if word.isdigit()), 8007))
if __name__ == "__main__":
    with create_tcp_server_socket(PORT, address=ipv4("127.0.0.1", PORT)) as server:
        print(f"listening on {server.local_address}", flush=True)
        serve_one(server)
        while "--once" not in sys.argv:
            serve_one(server)

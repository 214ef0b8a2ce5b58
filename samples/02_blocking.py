"""Blocking calls: the same socket, made to wait.  One conversation at a time, in plain order.

Run:  python samples/02_blocking.py [PORT] [--once]        (default port 8007; 0 is any)
Then: nc localhost 8007, and type; then the same from a second window.
See:  what you type comes back, and the second window waits for its turn.  Each call is one loop:

          repeat
              outcome = try once
              if it is WOULDBLOCK, wait until the socket is ready
          until there is an outcome
"""

import sys

from coop import blocking
from coop.address import ipv4
from coop.sockets import create_tcp_server_socket


def echo(conn):
    while data := blocking.recv(conn, 65536):
        blocking.send_all(conn, data)


def serve_one(listener):
    with blocking.accept(listener) as conn:
        try:
            echo(conn)
            blocking.close_down(conn)
        except OSError as error:  # such as the peer's reset: the next one may be luckier
            print(f"{conn.peer_address}: {error}")


PORT = int(next((word for word in sys.argv[1:] if word.isdigit()), 8007))
if __name__ == "__main__":
    with create_tcp_server_socket(PORT, address=ipv4("127.0.0.1", PORT)) as server:
        print(f"listening on {server.local_address}", flush=True)
        serve_one(server)
        while "--once" not in sys.argv:
            serve_one(server)

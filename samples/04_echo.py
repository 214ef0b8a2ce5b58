"""Echo: the smallest server.  One generator a connection, and nothing else.

Run:  python samples/04_echo.py [PORT] [--once]        (default port 8007; 0 is any)
Then: nc localhost 8007, and type.
See:  what you type comes back.  Open ten more: they do not disturb each other, in one thread.
      Ctrl-C lets them finish, for thirty seconds; a second one cuts them off.
"""

import sys

import coop


def echo(conn):
    while data := (yield from conn.recv()):
        yield from conn.sendall(data)


def announce(server):
    print(f"listening on {server.address}", flush=True)


def echo_once():
    """Serve one connection only, for those who want the sample to end."""
    with coop.listen("127.0.0.1", PORT) as listener:
        announce(listener)
        with (yield from listener.accept()) as conn:
            yield from echo(conn)
            yield from conn.aclose()


PORT = int(next((word for word in sys.argv[1:] if word.isdigit()), 8007))
if __name__ == "__main__":
    if "--once" in sys.argv:
        coop.run(echo_once())
    else:
        coop.run(coop.serve(echo, port=PORT, on_listening=announce))

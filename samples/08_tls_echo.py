"""TLS: the echo server, encrypted, with a certificate that can be renewed while it runs.

Make:  openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=localhost \\
           -addext subjectAltName=DNS:localhost -keyout me.pem -out cert.pem; cat cert.pem >> me.pem
Run:   python samples/08_tls_echo.py [PORT] me.pem [--once]        (default port 8007; 0 is any)
Then:  openssl s_client -connect localhost:8007 -CAfile me.pem -quiet, and type.
See:   what you type comes back.  nc localhost 8007 gets nothing, and after ten seconds the door.
       With another me.pem in its place, kill -HUP makes new connections see that one.
"""

import signal
import sys

import coop


def echo(conn):
    print(f"{conn.tls_version} with {conn.peer_address}", flush=True)
    while data := (yield from conn.recv()):
        yield from conn.sendall(data)
    if "--once" in sys.argv:
        server.stop()


def renew(context, certfile):
    with coop.Signals(signal.SIGHUP) as hangups:
        while True:
            yield from hangups.next()
            coop.renew_certificate(context, certfile)
            print("renewed", flush=True)


def announce(started):
    global server
    server = started
    print(f"listening on {server.address}", flush=True)


def main():
    certfile = next(word for word in sys.argv[1:] if word.endswith(".pem"))
    context = coop.tls_server_context(certfile)
    renewing = coop.spawn(renew(context, certfile))
    yield from coop.serve(echo, port=PORT, tls=context, on_listening=announce, drain=1)
    renewing.cancel()


PORT = int(next((word for word in sys.argv[1:] if word.isdigit()), 8007))
if __name__ == "__main__":
    coop.run(main())

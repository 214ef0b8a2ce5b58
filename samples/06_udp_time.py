"""UDP time: datagrams.  Ask, and get the time of day; an answer may be lost, so the asker retries.

Run:  python samples/06_udp_time.py [PORT] [--once]    (default port 8013; 0 is any)
Then: python samples/06_udp_time.py --ask PORT         (or: nc -u localhost 8013, and press return)
See:  the time, as text, one datagram for each that you send.
"""

import sys
from datetime import datetime

import coop


def tell_the_time(socket, questions=None):
    while questions is None or questions > 0:
        _, asker = yield from socket.recv_from()
        yield from socket.send_to(datetime.now().isoformat().encode(), asker)
        questions = None if questions is None else questions - 1


def ask(port, tries=3):
    """Ask up to three times, half a second each: nobody else repeats a lost datagram."""
    with coop.open_datagram("127.0.0.1") as socket:
        for _ in range(tries):
            yield from socket.send_to(b"what time is it?", coop.parse_address(f"127.0.0.1:{port}"))
            with coop.move_on_after(0.5):
                answer, _ = yield from socket.recv_from()
                return answer.decode()
    raise SystemExit(f"nobody answers at port {port}")


def serve():
    with coop.open_datagram("127.0.0.1", PORT) as socket:
        print(f"listening on {socket.address}", flush=True)
        yield from tell_the_time(socket, questions=1 if "--once" in sys.argv else None)


PORT = int(next((word for word in sys.argv[1:] if word.isdigit()), 8013))
if __name__ == "__main__":
    if "--ask" in sys.argv:
        print(coop.run(ask(PORT)))
    else:
        coop.run(serve())

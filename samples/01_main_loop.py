"""The main loop: accept what is there, work on what is ready.  Raw sockets, no scheduler.

Run:  python samples/01_main_loop.py [PORT] [--once]        (default port 8007; 0 is any)
Then: nc localhost 8007, and type; from several windows if you like.
See:  what you type comes back.  Each call tries once and answers WOULDBLOCK rather than wait; the
      loop sleeps in the poller, so an idle server uses no CPU.
"""

import sys
from contextlib import closing, suppress

from coop.address import ipv4
from coop.poller import READ, WRITE, best_poller
from coop.sockets import create_tcp_server_socket


class Conversation:
    """A peer, and what has yet to be sent back to it."""

    def __init__(self, sock):
        self.sock = sock
        self.unsent = b""

    def work(self):
        """Do what can be done at once; tell what to wait for next: READ, WRITE, or 0 at the end."""
        if self.unsent:
            self.unsent = self.unsent[self.sock.send(self.unsent) or 0 :]  # WOULDBLOCK is falsy
        elif (data := self.sock.recv(65536)) == b"":
            return 0
        else:
            self.unsent = data or b""
        return WRITE if self.unsent else READ


def main_loop(listener, poller, is_once):
    conversations = {}
    poller.watch(listener.fileno(), READ)
    while True:
        for fd, _ in poller.poll(None):
            if fd == listener.fileno():
                if accepted := listener.accept():
                    conversations[accepted.fileno()] = Conversation(accepted)
                    poller.watch(accepted.fileno(), READ)
                continue
            interest = 0
            with suppress(OSError):  # such as the peer's reset: it ends that conversation alone
                interest = conversations[fd].work()
            if interest:
                poller.watch(fd, interest)
                continue
            poller.forget(fd)  # before the number can come back
            conversations.pop(fd).sock.close_down()
            if is_once:
                return


PORT = int(next((word for word in sys.argv[1:] if word.isdigit()), 8007))
if __name__ == "__main__":
    address = ipv4("127.0.0.1", PORT)
    with create_tcp_server_socket(PORT, address=address) as server, closing(best_poller()) as poll:
        print(f"listening on {server.local_address}", flush=True)
        main_loop(server, poll, "--once" in sys.argv)

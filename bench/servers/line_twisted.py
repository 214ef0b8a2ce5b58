"""Lines over twisted:  line_twisted.py PORT"""

import sys

from twisted.internet import epollreactor

epollreactor.install()

from twisted.internet import protocol, reactor  # noqa: E402  (the reactor is chosen above)
from twisted.protocols.basic import LineOnlyReceiver  # noqa: E402


class Lines(LineOnlyReceiver):
    delimiter = b"\n"

    def connectionMade(self) -> None:  # noqa: N802
        self.transport.setTcpNoDelay(True)

    def lineReceived(self, line: bytes) -> None:  # noqa: N802
        self.sendLine(line)


if __name__ == "__main__":
    factory = protocol.Factory.forProtocol(Lines)
    factory.noisy = False
    reactor.listenTCP(int(sys.argv[1]), factory, backlog=4096, interface="127.0.0.1")
    reactor.run()

"""Echo over twisted:  echo_twisted.py PORT [SECONDS]   SECONDS: a timeout that data puts off."""

import sys

from twisted.internet import epollreactor

epollreactor.install()

from twisted.internet import protocol, reactor  # noqa: E402  (the reactor is chosen above)
from twisted.protocols.policies import TimeoutMixin  # noqa: E402


class Echo(protocol.Protocol):
    def connectionMade(self) -> None:  # noqa: N802
        self.transport.setTcpNoDelay(True)

    def dataReceived(self, data: bytes) -> None:  # noqa: N802
        self.transport.write(data)


class EchoWithTimeout(Echo, TimeoutMixin):
    def connectionMade(self) -> None:  # noqa: N802
        super().connectionMade()
        self.setTimeout(SECONDS)

    def dataReceived(self, data: bytes) -> None:  # noqa: N802
        self.resetTimeout()
        super().dataReceived(data)

    def connectionLost(self, reason: object) -> None:  # noqa: N802
        self.setTimeout(None)


SECONDS = float(sys.argv[2]) if len(sys.argv) > 2 else None
if __name__ == "__main__":
    factory = protocol.Factory.forProtocol(EchoWithTimeout if SECONDS else Echo)
    factory.noisy = False
    reactor.listenTCP(int(sys.argv[1]), factory, backlog=4096, interface="127.0.0.1")
    reactor.run()

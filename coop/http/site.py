"""The site: what the conversations of one server share.

What lives here: Site.  What it must not know: how many servers there are, and where they listen.
Stands on: conversation, headroom, limits, quota.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

from coop.address import unmapped
from coop.conversations import Handler
from coop.http.conversation import App, Conversation
from coop.http.errors import HttpError
from coop.http.exchange import phase_seconds
from coop.http.forwarded import Forwarding, as_forwarding
from coop.http.headroom import Headroom
from coop.http.limits import Deadlines, Limits
from coop.http.messages import DateLine
from coop.http.quota import Quota
from coop.http.record import AccessLog
from coop.listener import Listener
from coop.stream import Connection
from coop.traps import Coop


class Site:
    """What the conversations of one server share: the handler and the rules."""

    __slots__ = (
        "access_log", "app", "date", "deadlines", "forwarding", "headroom", "limits",
        "phase_seconds", "quota",
    )  # fmt: skip

    def __init__(
        self,
        app: App,
        *,
        limits: Limits,
        deadlines: Deadlines,
        server_name: str = "coop",
        access_log: AccessLog | None = None,
        forwarded_by: Iterable[str] | Forwarding | None = None,
    ) -> None:
        self.app = app
        self.limits = limits
        self.deadlines = deadlines
        self.phase_seconds = phase_seconds(deadlines)
        #: The Server and Date lines.
        self.date = DateLine(server=server_name)
        self.access_log = access_log
        #: Whom to believe about where requests come from; None for nobody.
        self.forwarding = as_forwarding(forwarded_by)
        #: Who may have more unsent than others.
        self.headroom = Headroom(limits.unsent_bytes)
        most = limits.connections_per_address
        #: Who is there, where an address may have so many connections only.
        self.quota = None if most is None else Quota(most)

    def date_lines(self, now: float) -> bytes:
        """Return the Server and Date lines; ``now`` by the scheduler's clock."""
        return self.date.lines if now < self.date.fresh_until else self.date.renew(now)

    def prepare(self, listeners: Iterable[Listener]) -> None:
        """Tell the system of the limits that are its to keep, before anything is accepted."""
        for each in listeners:
            set_unsent_bytes = getattr(each.socket, "set_unsent_bytes", None)
            if set_unsent_bytes is not None:
                set_unsent_bytes(self.limits.unsent_bytes)

    @property
    def converse(self) -> Handler:
        """What answers the requests that come over a connection: the handler for ``coop.serve``."""
        return partial(Conversation.hold if self.quota is None else _hold_within, self)


def _hold_within(site: Site, connection: Connection) -> Coop[None]:
    """Converse with a client whose address has not too many connections; tell the others so."""
    assert site.quota is not None
    address = unmapped(connection.peer_address)
    if not site.quota.enter(address):
        error = HttpError(503, f"too many connections from {address}")
        yield from Conversation(site, connection).turn_away(error)
        return
    try:
        yield from Conversation.hold(site, connection)
    finally:
        site.quota.leave(address)

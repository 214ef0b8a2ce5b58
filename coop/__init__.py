"""coop: thousands of network conversations in one thread, each a plain generator."""

from coop.address import Address, parse_address
from coop.channel import CLOSED, Channel, PriorityQueue, Queue
from coop.choice import Alternative, Chosen, LineAlternative, after, first, readable, writable
from coop.conversations import first_word
from coop.datagram import DatagramSocket, open_datagram
from coop.dial import connect
from coop.executors import run_in_executor
from coop.groups import Group, gather, group, map, race  # noqa: A004
from coop.inherited import listen_inherited, listeners_from_environment
from coop.listener import Listener, listen
from coop.network import SystemNetwork
from coop.notify import notify_manager
from coop.observe import Tree, tree
from coop.outcomes import (
    WOULDBLOCK,
    BusyError,
    Cancelled,
    ClosedError,
    CoopError,
    Deadlock,
    IncompleteError,
    LimitError,
    MisuseError,
    ResolveError,
    TaskCancelled,
)
from coop.parking import ParkingLot
from coop.proxies import TrustedPeers, receive_proxy_header
from coop.proxy_protocol import ProxyHeader, ProxyProtocolError
from coop.runtime import run
from coop.scopes import Scope, convenient, move_on_after, shield, timeout
from coop.server import Server, serve
from coop.signals import Signals
from coop.stopwatch import Clock, Countdown, Stopwatch
from coop.stream import Connection
from coop.sync import Barrier, CapacityLimiter, Condition, Event, Lock, Semaphore
from coop.task import Task
from coop.tls import TlsConnection, start_tls
from coop.tls_context import renew_certificate, tls_client_context, tls_server_context
from coop.tls_socket import TlsError, TruncatedError
from coop.traps import Coop, Operation, Waiter, current_scheduler, current_task, operation
from coop.waits import sleep, sleep_until, spawn, wait_readable, wait_writable

__all__ = [
    "CLOSED",
    "WOULDBLOCK",
    "Address",
    "Alternative",
    "Barrier",
    "BusyError",
    "Cancelled",
    "CapacityLimiter",
    "Channel",
    "Chosen",
    "Clock",
    "ClosedError",
    "Condition",
    "Connection",
    "Coop",
    "CoopError",
    "Countdown",
    "DatagramSocket",
    "Deadlock",
    "Event",
    "Group",
    "IncompleteError",
    "LimitError",
    "LineAlternative",
    "Listener",
    "Lock",
    "MisuseError",
    "Operation",
    "ParkingLot",
    "PriorityQueue",
    "ProxyHeader",
    "ProxyProtocolError",
    "Queue",
    "ResolveError",
    "Scope",
    "Semaphore",
    "Server",
    "Signals",
    "Stopwatch",
    "SystemNetwork",
    "Task",
    "TaskCancelled",
    "TlsConnection",
    "TlsError",
    "Tree",
    "TruncatedError",
    "TrustedPeers",
    "Waiter",
    "after",
    "connect",
    "convenient",
    "current_scheduler",
    "current_task",
    "first",
    "first_word",
    "gather",
    "group",
    "listen",
    "listen_inherited",
    "listeners_from_environment",
    "map",
    "move_on_after",
    "notify_manager",
    "open_datagram",
    "operation",
    "parse_address",
    "race",
    "readable",
    "receive_proxy_header",
    "renew_certificate",
    "run",
    "run_in_executor",
    "serve",
    "shield",
    "sleep",
    "sleep_until",
    "spawn",
    "start_tls",
    "timeout",
    "tls_client_context",
    "tls_server_context",
    "tree",
    "wait_readable",
    "wait_writable",
    "writable",
]

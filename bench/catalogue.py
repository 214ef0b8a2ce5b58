"""The catalogue: every work by the name it has on the command line, in the order of `all`."""

from types import ModuleType

from bench.works import (
    accept,
    echo,
    echo_timeout,
    flood,
    http,
    idle,
    line,
    scale,
    scheduler,
    timers,
    websocket,
)

WORKS: dict[str, ModuleType] = {
    "echo": echo,
    "echo-timeout": echo_timeout,
    "line": line,
    "http": http,
    "websocket": websocket,
    "scheduler": scheduler,
    "idle": idle,
    "scale": scale,
    "accept": accept,
    "flood": flood,
    "timers": timers,
}

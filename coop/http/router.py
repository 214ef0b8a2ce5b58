"""The router: which handler answers a path.

What lives here: Router, its patterns, and the tree in which they are looked up.
What it must not know: connections, bodies.  Stands on: messages, replies, errors.

A path is cut at its slashes before it is percent-decoded, so an encoded slash never cuts.  Of
several patterns that match, the most specific that has the method answers: at each segment a
literal comes before ``{x:int}`` and ``{x:uuid}``, these before ``{x}``, and that before
``{x:path}`` or a mount.  A path without parameters is found by one look into a dictionary.
"""

from __future__ import annotations

import inspect
import re
import uuid
from collections.abc import Callable, Iterable
from typing import Any, Final, NamedTuple, TypeVar
from urllib.parse import quote, unquote

from coop.arguments import without_call
from coop.http.errors import HttpError
from coop.http.messages import Request, Response
from coop.http.replies import redirect

F = TypeVar("F", bound=Callable[..., Any])
Convert = Callable[[str], Any]

_is_integer: Final = re.compile(r"-?[0-9]{1,18}", re.ASCII).fullmatch
_is_uuid: Final = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}").fullmatch
_split_parameter: Final = re.compile(r"\{([^{}:]*)(?::([^{}:]*))?\}").fullmatch
_is_method: Final = re.compile(r"[A-Z-]+").fullmatch


def _to_integer(segment: str) -> int | None:
    return int(segment) if _is_integer(segment) else None


def _to_uuid(segment: str) -> uuid.UUID | None:
    return uuid.UUID(segment) if _is_uuid(segment) else None


def _to_text(segment: str) -> str | None:
    return segment or None


#: What a parameter may be, the more specific first; each gives None for what does not match.
_CONVERTERS: Final[dict[str, Convert]] = {"int": _to_integer, "uuid": _to_uuid, "str": _to_text}


class _Route(NamedTuple):
    handler: Callable[..., Any]
    names: tuple[str, ...]


class _Resource:
    """What stands at a path: a handler for each method, or a mounted one for all."""

    __slots__ = ("mounted", "prefix", "routes")

    def __init__(self) -> None:
        self.routes: dict[str, _Route] = {}
        self.mounted: Callable[[Request], Any] | None = None
        #: Where it is mounted, percent-encoded.
        self.prefix = ""


class _Found(NamedTuple):
    """What answers a request."""

    resource: _Resource
    #: None for a mounted handler.
    route: _Route | None
    values: tuple[Any, ...]


class _Search:
    """A path and method that are looked for, and what was seen on the way."""

    __slots__ = ("allowed", "method", "segments")

    def __init__(self, path: str, method: str) -> None:
        self.method = method
        #: Each decoded by itself; the first is what stands before the first slash.
        self.segments = path.split("/")
        #: The methods of resources that the path matches, without the one looked for.
        self.allowed: set[str] = set()
        if "%" in path:
            try:
                self.segments = [unquote(segment, errors="strict") for segment in self.segments]
            except UnicodeDecodeError:
                raise HttpError(400, "path is not UTF-8") from None

    def look(self, resource: _Resource, values: tuple[Any, ...]) -> _Found | None:
        """Take a resource that the path matches, if it has the method."""
        if resource.mounted is not None:
            return _Found(resource, None, values)
        route = resource.routes.get(self.method)
        if route is None and self.method == "HEAD":
            route = resource.routes.get("GET")  # RFC 9110 section 9.3.2
        if route is None:
            self.allowed.update(resource.routes)
            return None
        return _Found(resource, route, values)


class _Node:
    """A place in the tree of segments."""

    __slots__ = ("literals", "parameters", "resource", "rest")

    def __init__(self) -> None:
        self.literals: dict[str, _Node] = {}
        #: By the name of their converter.
        self.parameters: dict[str, _Node] = {}
        #: What is here when the path ends here.
        self.resource: _Resource | None = None
        #: What takes all that is left of the path.
        self.rest: _Resource | None = None

    def find(self, search: _Search, at: int, values: tuple[Any, ...]) -> _Found | None:
        """Return the best resource behind the segments from ``at`` on that has the method.

        Those that match but do not have it leave their methods in ``search.allowed``.
        """
        segments, node = search.segments, self
        while at < len(segments):
            segment = segments[at]
            if node.parameters or node.rest is not None:
                return node._choose(search, at, values)
            if segment not in node.literals:
                return None
            node = node.literals[segment]
            at += 1
        return None if node.resource is None else search.look(node.resource, values)

    def _choose(self, search: _Search, at: int, values: tuple[Any, ...]) -> _Found | None:
        segment, found = search.segments[at], None
        if segment in self.literals:
            found = self.literals[segment].find(search, at + 1, values)
        for kind, node in self.parameters.items():
            if found is None and (value := _CONVERTERS[kind](segment)) is not None:
                found = node.find(search, at + 1, (*values, value))
        if found is None and self.rest is not None:
            found = search.look(self.rest, (*values, "/".join(search.segments[at:])))
        return found

    def parameter(self, kind: str) -> _Node:
        """Return the node behind a parameter, made if need be; the specific ones stay first."""
        if kind not in self.parameters:
            self.parameters[kind] = _Node()
            order = list(_CONVERTERS)
            self.parameters = dict(sorted(self.parameters.items(), key=lambda x: order.index(x[0])))
        return self.parameters[kind]


class Router:
    """A handler that passes each request on, by its path and method::

        router = coop.http.Router()

        @router.get("/users/{id:int}")
        def show(request, id): ...

    Parameters come as keyword arguments: ``{name}`` is one segment that is not empty, ``{n:int}``
    and ``{u:uuid}`` one that reads as such, ``{rest:path}`` all that is left, slashes included.
    What they hold is percent-decoded and may be anything, ``..`` too.

    GET serves HEAD.  OPTIONS is answered with Allow where it has no handler.  A path that differs
    from a pattern in its last slash alone is redirected there (308).
    Errors of a request: HttpError 404 and 405; 400 for a path that is not UTF-8.
    Errors of a pattern, as soon as it is added: ValueError; TypeError for what is no text.
    """

    def __init__(self) -> None:
        self._root = _Node()
        #: The resources without parameters, by their raw path.
        self._fixed: dict[str, _Resource] = {}
        self._methods: set[str] = set()

    # -- adding -----------------------------------------------------------------------------------

    def route(self, pattern: str, methods: Iterable[str] = ("GET",)) -> Callable[[F], F]:
        """Decorate a handler of these methods: ``@router.route("/x", ["GET", "POST"])``."""
        _check_pattern(pattern)  # or ``@router.get`` alone would register nothing, silently

        def decorate(handler: F) -> F:
            self.add(pattern, handler, methods)
            return handler

        return decorate

    def get(self, pattern: str) -> Callable[[F], F]:
        """Decorate a handler of GET, and so of HEAD."""
        return self.route(pattern, ("GET",))

    def post(self, pattern: str) -> Callable[[F], F]:
        """Decorate a handler of POST."""
        return self.route(pattern, ("POST",))

    def put(self, pattern: str) -> Callable[[F], F]:
        """Decorate a handler of PUT."""
        return self.route(pattern, ("PUT",))

    def patch(self, pattern: str) -> Callable[[F], F]:
        """Decorate a handler of PATCH."""
        return self.route(pattern, ("PATCH",))

    def delete(self, pattern: str) -> Callable[[F], F]:
        """Decorate a handler of DELETE."""
        return self.route(pattern, ("DELETE",))

    def add(
        self, pattern: str, handler: Callable[..., Any], methods: Iterable[str] = ("GET",)
    ) -> None:
        """Have a handler answer these methods at the paths of a pattern.

        Errors: ValueError for a pattern that is malformed, taken, or names parameters which the
        handler does not have.
        """
        names = {methods} if isinstance(methods, str) else set(methods)
        if not names or not all(map(_is_method, names)):
            raise ValueError(f"methods are names in capitals, such as GET, not {methods!r}")
        resource, parameters = self._place(pattern)
        _check_handler(handler, pattern, parameters)
        if resource.mounted is not None:
            raise ValueError(f"{pattern!r}: another handler is mounted there")
        if taken := sorted(names & resource.routes.keys()):
            other = resource.routes[taken[0]].handler
            raise ValueError(f"{taken[0]} {pattern!r} is taken already, by {other!r}")
        for name in names:
            resource.routes[name] = _Route(handler, parameters)
        if not parameters and "{" not in pattern:
            self._fixed[quote(pattern, "/!$&'()*+,;=:@~")] = resource
        self._methods |= names

    def mount(self, prefix: str, handler: Callable[[Request], Any]) -> None:
        """Have a handler answer everything below a path, such as a Directory or another Router.

        What it sees as ``request.path`` is the rest, from the slash behind the prefix on;
        ``request.mount`` is the prefix.  Routes of this router come first.
        Errors: ValueError for a prefix with parameters, or one that is taken.
        """
        _check_pattern(prefix)
        if not callable(handler):
            hint = without_call(handler)
            raise ValueError(f"what is mounted at {prefix!r} cannot be called: {handler!r}{hint}")
        prefix = prefix.rstrip("/")
        if "{" in prefix or "}" in prefix:
            raise ValueError(f"{prefix!r}: a mount has no parameters")
        resource, _ = self._place(prefix + "/{rest:path}")
        if resource.mounted is not None or resource.routes:
            raise ValueError(f"{prefix or '/'!r}: all paths below it are taken already")
        resource.mounted = handler
        resource.prefix = quote(prefix)

    def _place(self, pattern: str) -> tuple[_Resource, tuple[str, ...]]:
        """Return the resource of a pattern, made if need be, and the names of its parameters."""
        _check_pattern(pattern)
        if not pattern.startswith("/"):
            raise ValueError(f"pattern {pattern!r} does not begin with a slash")
        node, names = self._root, []
        segments = pattern[1:].split("/")
        for at, segment in enumerate(segments):
            is_last = at == len(segments) - 1
            if not segment and not is_last:
                raise ValueError(f"pattern {pattern!r} has an empty segment, which no path names")
            if "{" not in segment and "}" not in segment:
                node = node.literals.setdefault(segment, _Node())
                continue
            name, kind = _parse_parameter(pattern, segment)
            if name in names or name == "request":
                raise ValueError(f"pattern {pattern!r} has no room for two parameters {name!r}")
            names.append(name)
            if kind == "path":
                if not is_last:
                    raise ValueError(f"pattern {pattern!r} goes on behind {segment}, which is all")
                node.rest = node.rest or _Resource()
                return node.rest, tuple(names)
            node = node.parameter(kind)
        node.resource = node.resource or _Resource()
        return node.resource, tuple(names)

    # -- answering --------------------------------------------------------------------------------

    def __call__(self, request: Request) -> Any:
        """Answer with what the handler of the request's path and method answers."""
        path = request.raw_path
        resource = self._fixed.get(path)
        if resource is not None:
            route = resource.routes.get(request.method)
            if route is not None:
                return route.handler(request)
        return self._dispatch(request, path)

    def _dispatch(self, request: Request, path: str) -> Any:
        search = _Search(path, request.method)
        found = self._root.find(search, 1, ())
        if found is None:
            return self._answer_without_handler(request, path, search.allowed)
        resource, route, values = found
        if route is not None:
            return route.handler(request, **dict(zip(route.names, values, strict=True)))
        assert resource.mounted is not None
        return resource.mounted(_below(request, resource.prefix, path))

    def _answer_without_handler(self, request: Request, path: str, allowed: set[str]) -> Response:
        if path == "*":
            allowed = self._methods
        elif not allowed:
            return self._redirect(request, path)
        if "GET" in allowed:
            allowed = allowed | {"HEAD"}
        allow = ("Allow", ", ".join(sorted(allowed | {"OPTIONS"})))
        if request.method == "OPTIONS":
            return Response(b"", 204, [allow])
        raise HttpError(405, f"{request.method} has no handler here", (allow,))

    def _redirect(self, request: Request, path: str) -> Response:
        """Lead to the same path with its last slash put or taken, if something is there; or 404."""
        other = path.removesuffix("/") if path.endswith("/") else path + "/"
        search = _Search(other, request.method)
        if self._root.find(search, 1, ()) is None and not search.allowed:
            raise HttpError(404, "no route leads there")
        query = f"?{request.query_string}" if request.query_string else ""
        return redirect(request.mount + other + query, 308)


def _below(request: Request, prefix: str, path: str) -> Request:
    """Return the request as the handler mounted at a prefix sees it, which may be spelt anyhow."""
    depth = prefix.count("/")
    return request.below(prefix, "/" + "/".join(path.split("/")[depth + 1 :]))


def _check_pattern(pattern: object) -> None:
    if not isinstance(pattern, str):
        remedy = ': name the path first, as in @router.get("/users")' if callable(pattern) else ""
        raise TypeError(f"a pattern is a text, such as '/users/{{id}}', not {pattern!r}{remedy}")


def _parse_parameter(pattern: str, segment: str) -> tuple[str, str]:
    """Return the name and the kind of a parameter."""
    parts = _split_parameter(segment)
    if parts is None:
        raise ValueError(f"pattern {pattern!r}: a parameter is a whole segment, {{name}}")
    name, kind = parts[1], parts[2] or "str"
    if not name.isidentifier():
        raise ValueError(f"pattern {pattern!r}: {name!r} is no name of an argument")
    if kind != "path" and kind not in _CONVERTERS:
        kinds = ", ".join([*_CONVERTERS, "path"])
        raise ValueError(f"pattern {pattern!r}: {kind!r} is none of {kinds}")
    return name, kind


def _check_handler(handler: Any, pattern: str, names: tuple[str, ...]) -> None:
    """See that the handler can be called with a request and these arguments."""
    if not callable(handler):
        hint = without_call(handler)
        raise ValueError(f"the handler of {pattern!r} cannot be called: {handler!r}{hint}")
    try:
        signature = inspect.signature(handler)
    except (TypeError, ValueError):
        return  # of a built-in one nothing is known
    try:
        signature.bind(None, **dict.fromkeys(names))
    except TypeError as error:
        wanted = ", ".join(("request", *names))
        raise ValueError(f"the handler of {pattern!r} must take ({wanted}): {error}") from None

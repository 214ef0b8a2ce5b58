"""The router: each path finds its handler, or hears why not; bad patterns are refused at once."""

from __future__ import annotations

import uuid
from typing import Any
from urllib.parse import quote

import http_kit
import pytest
from hypothesis import given
from hypothesis import strategies as st

import coop
import coop.http
from coop.http import HttpError, Request, RequestParser, Response, Router

TEXT = st.text(st.characters(codec="utf-8"), min_size=1)


def request(target: str, method: str = "GET") -> Request:
    parsed = RequestParser().next_request(http_kit.get(target, method=method))
    assert isinstance(parsed, Request)
    return parsed


def naming(name: str) -> Any:
    """Return a handler that tells its name and its arguments."""
    return lambda request, **arguments: (name, arguments)


@pytest.fixture
def router() -> Router:
    router = Router()
    router.add("/", naming("home"))
    router.add("/users", naming("list"))
    router.add("/users", naming("create"), ["POST"])
    router.add("/users/me", naming("me"))
    router.add("/users/{name}", naming("by name"))
    router.add("/users/{id:int}", naming("by id"))
    router.add("/users/{name}", naming("delete"), ["DELETE"])
    router.add("/users/{name}/posts/{key:uuid}", naming("post"))
    router.add("/café/menu", naming("menu"))
    router.add("/docs/", naming("docs"))
    router.add("/docs/{rest:path}", naming("page"))
    router.add("/open", naming("open"), ["GET", "OPTIONS"])
    return router


KEY = "0f8fad5b-d9cb-469f-a165-70867728950e"
PATHS = {
    "/": ("home", {}),
    "/users": ("list", {}),
    "/users?x=/users/me": ("list", {}),
    "http://a/users": ("list", {}),
    "/%75sers": ("list", {}),
    "/users/me": ("me", {}),
    "/users/m%65": ("me", {}),
    "/users/7": ("by id", {"id": 7}),
    "/users/-7": ("by id", {"id": -7}),
    "/users/%37": ("by id", {"id": 7}),
    "/users/7a": ("by name", {"name": "7a"}),
    "/users/1111111111111111111": ("by name", {"name": "1" * 19}),
    "/users/%D9%A7": ("by name", {"name": "\u0667"}),
    "/users/a%2Fb": ("by name", {"name": "a/b"}),
    "/users/a%252Fb": ("by name", {"name": "a%2Fb"}),
    "/users/%2e%2e": ("by name", {"name": ".."}),
    "/users/me%2Fposts": ("by name", {"name": "me/posts"}),
    f"/users/me/posts/{KEY}": ("post", {"name": "me", "key": uuid.UUID(KEY)}),
    "/caf%C3%A9/menu": ("menu", {}),
    "/docs/": ("docs", {}),
    "/docs/a/b%20c/": ("page", {"rest": "a/b c/"}),
    "/docs//": ("page", {"rest": "/"}),
}


@pytest.mark.parametrize(("target", "answer"), PATHS.items())
def test_a_path_finds_its_handler(router: Router, target: str, answer: Any) -> None:
    assert answer == router(request(target))
    if answer[0] != "home":
        assert answer == router(request(target, "HEAD"))


@pytest.mark.parametrize(
    "target",
    ["/missing", "/users/", "/users/me/posts/7", "//users", "/users//posts/" + KEY, "/Users"],
)
def test_what_leads_nowhere_is_not_found(router: Router, target: str) -> None:
    if target == "/users/":
        assert 308 == router(request(target)).status
        return
    with pytest.raises(HttpError) as caught:
        router(request(target))
    assert 404 == caught.value.status


def test_a_path_that_is_not_utf8_is_refused(router: Router) -> None:
    with pytest.raises(HttpError) as caught:
        router(request("/users/%ff"))
    assert 400 == caught.value.status


def test_the_method_picks_among_the_patterns_that_match(router: Router) -> None:
    assert ("create", {}) == router(request("/users", "POST"))
    assert ("delete", {"name": "me"}) == router(request("/users/me", "DELETE"))
    assert ("delete", {"name": "7"}) == router(request("/users/7", "DELETE"))


@pytest.mark.parametrize(
    ("target", "allow"),
    [
        ("/users", "GET, HEAD, OPTIONS, POST"),
        ("/users/me", "DELETE, GET, HEAD, OPTIONS"),
        ("/docs/x", "GET, HEAD, OPTIONS"),
    ],
)
def test_another_method_hears_which_are_allowed(router: Router, target: str, allow: str) -> None:
    with pytest.raises(HttpError) as caught:
        router(request(target, "PUT"))
    assert (405, (("Allow", allow),)) == (caught.value.status, caught.value.headers)
    asked = router(request(target, "OPTIONS"))
    assert (204, allow) == (asked.status, asked.headers["allow"])


def test_options_may_have_a_handler_and_a_star(router: Router) -> None:
    assert ("open", {}) == router(request("/open", "OPTIONS"))
    everything = router(request("*", "OPTIONS"))
    assert "DELETE, GET, HEAD, OPTIONS, POST" == everything.headers["allow"]


@pytest.mark.parametrize(
    ("target", "location"),
    [
        ("/users/?a=b&c", "/users?a=b&c"),
        ("/docs", "/docs/"),
        ("/users/a%2Fb/", "/users/a%2Fb"),
    ],
)
def test_a_slash_too_many_or_too_few_is_redirected(
    router: Router, target: str, location: str
) -> None:
    for method in ("GET", "DELETE"):
        answer = router(request(target, method))
        assert (308, location) == (answer.status, answer.headers["location"])


def test_no_redirect_leads_to_another_host() -> None:
    router = Router()
    router.add("/{a}/{b}", naming("two"))
    router.add("/", naming("home"))
    for target in ("//evil/", "///evil", "//evil/x/", "/%2Fevil/"):
        with pytest.raises(HttpError):
            router(request(target))
    assert "/%5Cevil/x" == router(request("/%5Cevil/x/")).headers["location"]


BAD_PATTERNS = {
    "users": "does not begin with a slash",
    "": "does not begin with a slash",
    "//users": "empty segment",
    "/a//b": "empty segment",
    "/{id": "a whole segment",
    "/x{id}": "a whole segment",
    "/{id}.json": "a whole segment",
    "/{}": "no name of an argument",
    "/{a b}": "no name of an argument",
    "/{id:float}": "none of int, uuid, str, path",
    "/{a}/{a}": "two parameters 'a'",
    "/{request}": "two parameters 'request'",
    "/{rest:path}/x": "goes on behind",
}


@pytest.mark.parametrize(("pattern", "complaint"), BAD_PATTERNS.items())
def test_a_bad_pattern_is_refused_at_once(pattern: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        Router().add(pattern, naming("x"))


def test_a_route_can_be_taken_only_once(router: Router) -> None:
    with pytest.raises(ValueError, match="GET '/users' is taken already, by"):
        router.add("/users", naming("again"), ["PUT", "GET"])
    with pytest.raises(ValueError, match="is taken already"):
        router.add("/users/{other}", naming("again"))
    with pytest.raises(ValueError, match="taken already"):
        router.mount("/docs", naming("again"))
    router.mount("/static", naming("files"))
    for prefix in ("/static", "/static/"):
        with pytest.raises(ValueError, match="taken already"):
            router.mount(prefix, naming("again"))
    with pytest.raises(ValueError, match="mounted there"):
        router.add("/static/{rest:path}", naming("again"))
    with pytest.raises(ValueError, match="no parameters"):
        router.mount("/{tenant}", naming("again"))


def test_a_handler_must_take_the_parameters(router: Router) -> None:
    with pytest.raises(ValueError, match=r"must take \(request, id\)"):
        router.add("/a/{id}", lambda request: None)
    with pytest.raises(ValueError, match=r"must take \(request\)"):
        router.add("/a", lambda request, key: None)
    with pytest.raises(ValueError, match="cannot be called"):
        router.add("/a", "handler")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="cannot be called"):
        router.mount("/a", "handler")  # type: ignore[arg-type]
    for methods in ([], ["get"], "get"):
        with pytest.raises(ValueError, match="methods are names in capitals"):
            router.add("/a", naming("x"), methods)


def test_a_decorator_without_its_path_is_told() -> None:
    """It registered nothing, and nobody was told."""
    router = Router()
    for name in ("get", "post", "put", "patch", "delete", "route"):
        with pytest.raises(TypeError, match=r"not <function .*: name the path first, as in @rou"):
            getattr(router, name)(naming("x"))
    with pytest.raises(TypeError, match="name the path first"):
        router.add(naming("x"), "/x")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"a pattern is a text, such as '/users/\{id\}', not 5$"):
        router.mount(5, naming("x"))  # type: ignore[arg-type]


def test_a_handler_that_was_called_is_told(router: Router) -> None:
    def show(request: Request) -> http_kit.Gen[Response]:
        yield
        return Response()

    for add in (router.add, router.mount):
        with pytest.raises(ValueError, match=r"cannot be called: <.*: did you mean show, without"):
            add("/called", show(request("/called")))  # type: ignore[operator]


def test_a_method_may_stand_alone() -> None:
    """It is no row of letters."""
    router = Router()
    router.route("/x", "PUT")(naming("one"))
    assert ("one", {}) == router(request("/x", "PUT"))


def test_the_decorators_add_and_return_the_handler() -> None:
    router = Router()
    for method in ("get", "post", "put", "patch", "delete"):
        handler = naming(method)
        assert handler is getattr(router, method)("/x")(handler)
        assert (method, {}) == router(request("/x", method.upper()))
    router.route("/y", ["GET", "PUT"])(naming("both"))
    assert ("both", {}) == router(request("/y", "PUT"))


# -- mounts -------------------------------------------------------------------------------------


def where(request: Request) -> tuple[str, str, str]:
    return request.mount, request.raw_path, request.path


def test_a_mounted_handler_sees_the_rest_of_the_path(router: Router) -> None:
    router.mount("/files", where)
    assert ("/files", "/", "/") == router(request("/files/"))
    assert ("/files", "/a%2Fb//c", "/a/b//c") == router(request("/files/a%2Fb//c?x"))
    assert ("/files", "/x", "/x") == router(request("/%66iles/x", "DELETE"))
    assert "/files/" == router(request("/files")).headers["location"]


def test_mounts_nest_and_routes_come_first() -> None:
    inner, outer, top = Router(), Router(), Router()
    inner.mount("/deep", where)
    inner.add("/docs/", naming("docs"))
    outer.mount("/in ner", inner)
    top.mount("/outer", outer)
    top.mount("/", naming("anything else"))
    top.add("/outer/{x}", naming("first"))
    assert ("/outer/in%20ner/deep", "/x", "/x") == top(request("/outer/in%20ner/deep/x"))
    assert "/outer/in%20ner/docs/" == top(request("/outer/in%20ner/docs")).headers["location"]
    assert ("first", {"x": "1"}) == top(request("/outer/1"))
    assert ("anything else", {}) == top(request("/elsewhere/"))


def test_a_mounted_request_is_the_same_but_for_its_path() -> None:
    whole = request("/files/x?a=b")
    part = whole.below("/files", "/x")
    assert ("/files/x?a=b", "b", "GET", "a") == (
        part.target, part.query["a"], part.method, part.host,
    )  # fmt: skip
    assert part.source is None
    with pytest.raises(RuntimeError):
        part.read()


def test_a_mounted_handler_reads_the_body() -> None:
    router = Router()
    router.mount("/echo", http_kit.echo)

    def visitor(hall: Any) -> http_kit.kit.Gen[None]:
        client = yield from hall.enter()
        for body in (b"first", b"second"):
            answer = yield from client.ask(http_kit.post(body, target="/echo/x"))
            assert (200, body) == (answer.status, answer.body)

    http_kit.visit(router, visitor)


# -- all kinds of handlers, over a connection -----------------------------------------------------


def test_handlers_of_every_kind_answer() -> None:
    router = Router()

    @router.get("/plain/{n:int}")
    def plain(request: Request, n: int) -> Response:
        return Response(f"plain {n}")

    @router.get("/generator/{n:int}")
    def generator(request: Request, n: int) -> coop.Coop[Response]:
        yield from coop.sleep(1)
        return Response(f"generator {n}")

    @router.get("/coroutine/{n:int}")
    async def coroutine(request: Request, n: int) -> Response:
        await coop.sleep(1)
        return Response(f"coroutine {n}")

    def visitor(hall: Any) -> http_kit.kit.Gen[None]:
        client = yield from hall.enter()
        for kind in ("plain", "generator", "coroutine"):
            answer = yield from client.ask(http_kit.get(f"/{kind}/7"))
            assert (200, f"{kind} 7".encode()) == (answer.status, answer.body)
        answer = yield from client.ask(http_kit.get("/plain/7", method="HEAD"))
        assert (200, "7") == (answer.status, answer.fields["content-length"])
        answer = yield from client.ask(http_kit.get("/plain/7", method="PUT"))
        assert (405, "GET, HEAD, OPTIONS") == (answer.status, answer.fields["allow"])

    http_kit.visit(router, visitor)


# -- invariants -----------------------------------------------------------------------------------


@given(TEXT, TEXT)
def test_whatever_was_encoded_comes_out_again(first: str, second: str) -> None:
    router = Router()
    router.add("/{a}/x/{b}", lambda request, a, b: (a, b))
    target = f"/{quote(first, safe='')}/x/{quote(second, safe='')}"
    assert (first, second) == router(request(target))


@given(st.lists(st.sampled_from(["a", "b", "{p}", "{n:int}"]), min_size=1, max_size=3), st.data())
def test_every_route_is_found_among_any_others(shape: list[str], data: st.DataObject) -> None:
    """However the tree looks, a path that only one pattern matches leads to it."""
    others = data.draw(
        st.lists(
            st.lists(st.sampled_from(["a", "b", "{p}", "{n:int}"]), min_size=1, max_size=3),
            max_size=5,
        )
    )
    router = Router()
    patterns: dict[tuple[str, ...], str] = {}
    for segments in [shape, *others]:
        key = tuple(segments)
        if key not in patterns:
            pattern = "/" + "/".join(_distinct(segments))
            patterns[key] = pattern
            router.add(pattern, lambda request, _pattern=pattern, **values: _pattern)
    rank = {"a": 0, "b": 0, "{n:int}": 1, "{p}": 2}
    path = data.draw(st.lists(st.sampled_from(["a", "b", "7"]), min_size=1, max_size=3))
    matching = [key for key in patterns if _matches(key, path)]
    if matching:
        best = min(matching, key=lambda key: [rank[each] for each in key])
        assert patterns[best] == router(request("/" + "/".join(path)))
    else:
        with pytest.raises(HttpError):
            router(request("/" + "/".join(path)))


def _distinct(segments: list[str]) -> list[str]:
    return [
        each.replace("{", f"{{x{place}") if each.startswith("{") else each
        for place, each in enumerate(segments)
    ]


def _matches(key: tuple[str, ...], path: list[str]) -> bool:
    return len(key) == len(path) and all(
        each == segment or each == "{p}" or (each == "{n:int}" and segment == "7")
        for each, segment in zip(key, path, strict=True)
    )

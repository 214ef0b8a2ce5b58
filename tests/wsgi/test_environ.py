"""The environ: what an application is told of a request."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import trustme
import wsgi_kit
from http_kit import Client, get, post
from kit import Gen
from wsgi_kit import ask, each_mode

import coop
from coop.address import AF_UNIX
from coop.http import Request
from coop.wsgi.environ import make_environ

CONSTANTS: dict[str, Any] = {}


def environ_of(request: bytes, **options: Any) -> dict[str, Any]:
    """Return the environ that an application is called with."""
    seen: list[dict[str, Any]] = []

    def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        seen.append(environ)
        start_response("200 OK", [])
        return []

    ask(application, request, **options)
    return seen[0]


def test_the_request_line_is_told() -> None:
    environ = environ_of(get("/shop/cart?a=1&b=%20"))
    wanted = {
        "REQUEST_METHOD": "GET",
        "SCRIPT_NAME": "",
        "PATH_INFO": "/shop/cart",
        "QUERY_STRING": "a=1&b=%20",
        "RAW_URI": "/shop/cart?a=1&b=%20",
        "REQUEST_URI": "/shop/cart?a=1&b=%20",
        "SERVER_PROTOCOL": "HTTP/1.1",
    }
    assert wanted == {name: environ[name] for name in wanted}


def test_an_old_client_is_told_of() -> None:
    assert "HTTP/1.0" == environ_of(get(version="1.0"))["SERVER_PROTOCOL"]


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("/a%20b", "/a b"),
        ("/caf%C3%A9", "/caf\xc3\xa9"),  # the octets of UTF-8, one character each
        ("/%ff", "/\xff"),
        ("/%2e%2e/%2F", "/..//"),
        ("http://b.example/x", "/x"),
        ("http://b.example", "/"),
    ],
)
def test_the_path_comes_decoded_octet_by_octet(path: str, told: str) -> None:
    environ = environ_of(get(path))
    assert told == environ["PATH_INFO"]
    assert path == environ["RAW_URI"]


def test_a_request_for_the_server_itself_names_no_path() -> None:
    assert "" == environ_of(get("*", method="OPTIONS"))["PATH_INFO"]


def test_the_ends_of_the_connection_are_told() -> None:
    environ = environ_of(get())
    assert ("127.0.0.1", "127.0.0.1") == (environ["REMOTE_ADDR"], environ["SERVER_NAME"])
    assert 0 < int(environ["REMOTE_PORT"]) != int(environ["SERVER_PORT"]) > 0


def test_what_wsgi_wants_is_told() -> None:
    environ = environ_of(get())
    wanted = {
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.multithread": False,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        "wsgi.input_terminated": True,
    }
    assert wanted == {name: environ[name] for name in wanted}
    assert sys.stderr is environ["wsgi.errors"]
    assert isinstance(environ["coop.request"], Request)
    assert dict is type(environ)  # PEP 3333: not a subclass


@pytest.mark.parametrize(("mode", "told"), [("executor", True), ("greenlet", True)])
def test_where_calls_may_overlap_it_is_told(mode: str, told: bool) -> None:
    environ = environ_of(get(), mode=mode, multiprocess=True)
    assert (told, True) == (environ["wsgi.multithread"], environ["wsgi.multiprocess"])


def test_headers_become_variables() -> None:
    environ = environ_of(post(b"{}", "Content-Type: a/b\r\nX-One: 1\r\nx-one: 2\r\nX.Y: z\r\n"))
    assert ("a/b", "2") == (environ["CONTENT_TYPE"], environ["CONTENT_LENGTH"])
    assert ("1, 2", "a") == (environ["HTTP_X_ONE"], environ["HTTP_HOST"])
    assert not {"HTTP_CONTENT_TYPE", "HTTP_CONTENT_LENGTH"} & set(environ)


def test_several_cookie_headers_are_one() -> None:
    assert "a=1; b=2" == environ_of(get("/", "Cookie: a=1\r\nCookie: b=2\r\n"))["HTTP_COOKIE"]


def test_values_are_told_octet_by_octet() -> None:
    assert "caf\xe9" == environ_of(get("/", "X-Name:  caf\xe9 \r\n"))["HTTP_X_NAME"]


@pytest.mark.parametrize("name", ["X_Forwarded_For", "X_Forwarded-For", "Content_Length"])
def test_a_name_with_an_underscore_cannot_pass_for_another(name: str) -> None:
    environ = environ_of(get("/", f"{name}: 6.6.6.6\r\n"))
    assert not [value for value in environ.values() if value == "6.6.6.6"]


def test_the_proxy_header_is_not_told() -> None:
    assert "HTTP_PROXY" not in environ_of(get("/", "Proxy: http://evil.example\r\n"))


def test_a_target_in_absolute_form_overrules_the_host() -> None:
    assert "b.example:8" == environ_of(get("http://b.example:8/x"))["HTTP_HOST"]


def test_a_request_without_a_body_has_no_length() -> None:
    assert not {"CONTENT_LENGTH", "CONTENT_TYPE"} & set(environ_of(get()))
    assert "0" == environ_of(get("/", "Content-Length: 0\r\n", "POST"))["CONTENT_LENGTH"]


@each_mode
def test_a_body_in_chunks_is_told_by_its_length(mode: str) -> None:
    request = get("/", "Transfer-Encoding: chunked\r\n", "POST") + b"3\r\nabc\r\n0\r\n\r\n"
    environ = environ_of(request, mode=mode)
    assert "3" == environ["CONTENT_LENGTH"]
    assert "HTTP_TRANSFER_ENCODING" not in environ


# -- where it is mounted ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "rest"), [("/shop", ""), ("/shop/", "/"), ("/shop/a/shop", "/a/shop")]
)
def test_below_its_mount_point_the_rest_of_the_path_is_told(path: str, rest: str) -> None:
    environ = environ_of(get(path), script_name="/shop")
    assert ("/shop", rest) == (environ["SCRIPT_NAME"], environ["PATH_INFO"])


@pytest.mark.parametrize("path", ["/", "/sho", "/shopping", "/x/shop"])
def test_elsewhere_there_is_nothing(path: str) -> None:
    (answer,) = ask(wsgi_kit.text(), get(path), script_name="/shop")
    assert 404 == answer.status


@pytest.mark.parametrize("name", ["shop", "/shop/", "/"])
def test_a_bad_mount_point_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="script_name is"):
        coop.wsgi.adapt(wsgi_kit.text(), script_name=name)


def test_a_program_may_amend_the_environ() -> None:
    def amend(request: Request, environ: dict[str, Any]) -> None:
        environ["wsgi.url_scheme"] = request.headers["x-forwarded-proto"]

    environ = environ_of(get("/", "X-Forwarded-Proto: https\r\n"), amend=amend)
    assert "https" == environ["wsgi.url_scheme"]


# -- other kinds of connections -----------------------------------------------------------------


def environ_over(listen: Any, **connecting: Any) -> dict[str, Any]:
    """Return the environ of a request that comes to a listener of this kind."""
    seen: list[dict[str, Any]] = []

    def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        seen.append(environ)
        start_response("200 OK", [])
        return []

    def main() -> Gen[None]:
        with listen() as listener:
            handler = coop.wsgi.adapt(application)
            server = coop.spawn(coop.http.serve(handler, listener=listener, heed_signals=False))
            client = Client((yield from coop.connect(listener.address, **connecting)))
            yield from client.ask(get())
            client.conn.close()
            server.cancel()

    coop.run(main())
    return seen[0]


def test_an_encrypted_connection_is_told(tmp_path: Path) -> None:
    authority, paths = trustme.CA(), [tmp_path / "server.pem", tmp_path / "ca.pem"]
    identity = authority.issue_cert("localhost")
    identity.private_key_and_cert_chain_pem.write_to_path(str(paths[0]))
    authority.cert_pem.write_to_path(str(paths[1]))
    environ = environ_over(
        lambda: coop.listen("127.0.0.1", 0, tls=coop.tls_server_context(paths[0])),
        tls=coop.tls_client_context(paths[1]),
        server_hostname="localhost",
    )
    assert "https" == environ["wsgi.url_scheme"]


@pytest.mark.skipif(AF_UNIX is None, reason="there are no unix sockets here")
def test_a_unix_socket_has_neither_address_nor_port(tmp_path: Path) -> None:
    environ = environ_over(lambda: coop.listen(f"unix:{tmp_path}/s"))
    assert ("", "a", "80") == tuple(
        environ[name] for name in ("REMOTE_ADDR", "SERVER_NAME", "SERVER_PORT")
    )
    assert "REMOTE_PORT" not in environ


@pytest.mark.parametrize(
    ("host", "name", "port"),
    [
        ("b.example:8000", "b.example", "8000"),
        ("[::1]:80", "[::1]", "80"),
        ("[::1]", "[::1]", "80"),
        ("", "localhost", "80"),
    ],
)
def test_without_an_address_of_its_own_the_client_names_the_server(
    host: str, name: str, port: str
) -> None:
    request = Request("GET", f"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
    environ = make_environ(request, CONSTANTS, "")
    assert (name, port, "") == (
        environ["SERVER_NAME"],
        environ["SERVER_PORT"],
        environ["REMOTE_ADDR"],
    )

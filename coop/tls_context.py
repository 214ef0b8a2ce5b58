"""TLS contexts: who we are, whom we trust, and what we agree to, with secure defaults.

What lives here: the making of an ``ssl.SSLContext`` for a server and for a client.  What it must
not know: sockets.  Stands on: ssl.

A context is ssl's own, so whatever else it can do is done there: ``sni_callback`` chooses another
certificate by the name that the client asks for, ``verify_mode = ssl.CERT_OPTIONAL`` lets clients
without a certificate in.
"""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from functools import cache
from os import PathLike
from typing import Final

Path = str | PathLike[str]

# Renegotiation (TLS 1.2) costs a server more than the client that asks for it.
_OPTIONS: Final = ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION


def tls_server_context(
    certfile: Path,
    keyfile: Path | None = None,
    *,
    password: str | None = None,
    client_ca: Path | None = None,
    alpn: Sequence[str] = (),
) -> ssl.SSLContext:
    """Make the context of a server that shows this certificate.

    ``certfile``: PEM, the certificate first, then those of its issuers.  ``keyfile``: its key, if
    it is not in there too; ``password`` if it is encrypted.  ``client_ca``: who must have issued
    the certificate that each client then has to show.  ``alpn``: protocols on offer, best first.
    TLS 1.2 or later.
    Errors: OSError that names the file; ssl.SSLError when certificate and key do not match.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= _OPTIONS | ssl.OP_CIPHER_SERVER_PREFERENCE
    _load_identity(context, certfile, keyfile, password)
    if client_ca is not None:
        _load_trust(context, client_ca)
        context.verify_mode = ssl.CERT_REQUIRED
    _offer(context, alpn)
    return context


def tls_client_context(
    ca: Path | None = None,
    *,
    certfile: Path | None = None,
    keyfile: Path | None = None,
    password: str | None = None,
    alpn: Sequence[str] = (),
) -> ssl.SSLContext:
    """Make the context of a client that believes only servers that prove their name.

    ``ca``: a PEM file of the issuers to trust, instead of the system's.  ``certfile``, ``keyfile``,
    ``password``: what to show to a server that asks.  ``alpn``: protocols we speak, best first.
    TLS 1.2 or later.
    Errors: as ``tls_server_context``.
    """
    if ca is None:
        context = ssl.create_default_context()
    else:
        with open(ca, "rb"):  # OpenSSL's error does not name the file
            context = ssl.create_default_context(cafile=ca)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= _OPTIONS
    if certfile is not None:
        _load_identity(context, certfile, keyfile, password)
    _offer(context, alpn)
    return context


def renew_certificate(
    context: ssl.SSLContext,
    certfile: Path,
    keyfile: Path | None = None,
    *,
    password: str | None = None,
) -> None:
    """Have a server's context show this certificate to every connection that begins from now on.

    Those that have begun keep the one they know.  Call it when the files have changed: each
    certificate ends some day.  Errors: as ``tls_server_context``; then the old one stays in use.
    """
    # First on a context of its own: a key that does not fit would leave half of each.
    _load_identity(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), certfile, keyfile, password)
    _load_identity(context, certfile, keyfile, password)


@cache
def default_client_context() -> ssl.SSLContext:
    """Return what ``tls=True`` means: the system's issuers, read once, since that takes long."""
    return tls_client_context()


def _load_identity(
    context: ssl.SSLContext, certfile: Path, keyfile: Path | None, password: str | None
) -> None:
    for path in (certfile, keyfile or certfile):
        with open(path, "rb"):  # OpenSSL's error does not name the file
            pass
    try:
        # Without a password OpenSSL would ask the terminal for one, and wait.
        context.load_cert_chain(certfile, keyfile, password=password or "")
    except ssl.SSLError as error:
        source = f"the certificate of {certfile} with the key of {keyfile or certfile}"
        remedy = "are both PEM, do they belong together, is a password needed?"
        error.strerror = f"cannot use {source}: {error.strerror or error}: {remedy}"
        raise


def _load_trust(context: ssl.SSLContext, ca: Path) -> None:
    with open(ca, "rb"):  # OpenSSL's error does not name the file
        context.load_verify_locations(ca)


def _offer(context: ssl.SSLContext, alpn: Sequence[str]) -> None:
    if isinstance(alpn, str):
        raise TypeError(f"alpn is a sequence of names, such as [{alpn!r}]")
    if alpn:
        context.set_alpn_protocols(list(alpn))

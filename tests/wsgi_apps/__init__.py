"""The same small shop in three frameworks: what an application does in real life.

/hello?name=  greets            /form      takes a form             /json    takes and gives JSON
/upload       takes a file      /stream    gives pieces             /file    gives a file
/cookies      sets two          /cookie    tells one                /old     leads to /hello
/count        has a session     /error     fails                    /raw     tells what came in
"""

import zlib
from pathlib import Path
from typing import Any

PIECES = ["one ", "two ", "three"]
FILE = Path(__file__)
SECRET = "not much of a secret"


def describe(name: str, data: bytes) -> dict[str, Any]:
    """Say what an uploaded file was like."""
    return {"name": name, "size": len(data), "crc": zlib.crc32(data)}

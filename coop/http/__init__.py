"""HTTP/1.1 for coop: requests in, responses out.

The front door: public names, nothing else.
"""

from coop.http.codec import NEED_DATA, RequestParser
from coop.http.errors import HttpError
from coop.http.fields import Headers
from coop.http.limits import Deadlines, Limits
from coop.http.messages import FileRegion, Request, Response
from coop.http.record import AccessLog, AccessRecord
from coop.http.server import serve
from coop.http.static import Directory
from coop.http.upgrade import Upgrade

__all__ = [
    "NEED_DATA",
    "AccessLog",
    "AccessRecord",
    "Deadlines",
    "Directory",
    "FileRegion",
    "Headers",
    "HttpError",
    "Limits",
    "Request",
    "RequestParser",
    "Response",
    "Upgrade",
    "serve",
]

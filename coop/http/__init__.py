"""HTTP/1.1 for coop: requests in, responses out.

The front door: public names, nothing else.
"""

from coop.http import access
from coop.http.codec import NEED_DATA, RequestParser
from coop.http.compress import compress
from coop.http.errors import HttpError
from coop.http.events import Event, event_stream, last_event_id
from coop.http.fields import Headers
from coop.http.forms import Form, FormLimits, Upload
from coop.http.forwarded import Forwarding
from coop.http.health import Health
from coop.http.limits import Deadlines, Limits
from coop.http.messages import FileRegion, Request, Response
from coop.http.middleware import answer, error_pages
from coop.http.ranges import Validators
from coop.http.record import AccessLog, AccessRecord
from coop.http.replies import json, redirect, revalidate
from coop.http.router import Router
from coop.http.server import serve
from coop.http.static import Directory, send_file
from coop.http.upgrade import Upgrade

__all__ = [
    "NEED_DATA",
    "AccessLog",
    "AccessRecord",
    "Deadlines",
    "Directory",
    "Event",
    "FileRegion",
    "Form",
    "FormLimits",
    "Forwarding",
    "Headers",
    "Health",
    "HttpError",
    "Limits",
    "Request",
    "RequestParser",
    "Response",
    "Router",
    "Upgrade",
    "Upload",
    "Validators",
    "access",
    "answer",
    "compress",
    "error_pages",
    "event_stream",
    "json",
    "last_event_id",
    "redirect",
    "revalidate",
    "send_file",
    "serve",
]

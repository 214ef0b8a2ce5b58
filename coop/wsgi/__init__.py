"""WSGI for coop: applications written for PEP 3333, served by coop.http.

The front door: public names, nothing else.
"""

from coop.wsgi.adapter import Adapter, adapt
from coop.wsgi.call import ApplicationError
from coop.wsgi.files import FileWrapper
from coop.wsgi.stage import wait

__all__ = ["Adapter", "ApplicationError", "FileWrapper", "adapt", "wait"]

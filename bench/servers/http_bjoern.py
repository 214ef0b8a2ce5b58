"""HTTP by bjoern (C, libev, WSGI):  http_bjoern.py PORT"""

import sys

import bjoern
from http_apps import wsgi

if __name__ == "__main__":
    bjoern.run(wsgi, "127.0.0.1", int(sys.argv[1]))

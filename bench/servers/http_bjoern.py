"""HTTP by bjoern (C, libev, WSGI):  http_bjoern.py PORT APP   (http_hello or http_pages)"""

import sys
from importlib import import_module

import bjoern

if __name__ == "__main__":
    bjoern.run(import_module(sys.argv[2]).wsgi, "127.0.0.1", int(sys.argv[1]))

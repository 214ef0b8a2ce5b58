"""HTTP by fastwsgi (C, libuv, WSGI):  http_fastwsgi.py PORT APP   (http_hello or http_pages)"""

import sys
from importlib import import_module

import fastwsgi

if __name__ == "__main__":
    fastwsgi.run(import_module(sys.argv[2]).wsgi, "127.0.0.1", int(sys.argv[1]), loglevel=0)

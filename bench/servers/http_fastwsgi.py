"""HTTP by fastwsgi (C, libuv, WSGI):  http_fastwsgi.py PORT"""

import sys

import fastwsgi
from http_apps import wsgi

if __name__ == "__main__":
    fastwsgi.run(wsgi, "127.0.0.1", int(sys.argv[1]), loglevel=0)

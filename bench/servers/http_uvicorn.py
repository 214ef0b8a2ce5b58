"""HTTP by uvicorn over uvloop and httptools:  http_uvicorn.py PORT"""

import sys

import uvicorn
from http_apps import asgi

if __name__ == "__main__":
    uvicorn.run(
        asgi,
        host="127.0.0.1",
        port=int(sys.argv[1]),
        loop="uvloop",
        http="httptools",
        lifespan="off",
        access_log=False,
        log_level="warning",
        timeout_keep_alive=3600,
    )

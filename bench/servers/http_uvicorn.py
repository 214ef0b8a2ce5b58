"""HTTP by uvicorn over uvloop and httptools:  http_uvicorn.py PORT http_hello|http_pages"""

import sys
from importlib import import_module

import uvicorn

if __name__ == "__main__":
    uvicorn.run(
        import_module(sys.argv[2]).asgi,
        host="127.0.0.1",
        port=int(sys.argv[1]),
        loop="uvloop",
        http="httptools",
        lifespan="off",
        access_log=False,
        log_level="warning",
        timeout_keep_alive=3600,
    )

"""HTTP by socketify (C++, uWebSockets, its own interface):  http_socketify.py PORT"""

import sys

from http_apps import BODY
from socketify import App, AppListenOptions


def hello(response, request):
    response.write_header("Content-Type", "text/plain")
    response.end(BODY)


if __name__ == "__main__":
    app = App()
    app.get("/", hello)
    app.listen(AppListenOptions(port=int(sys.argv[1]), host="127.0.0.1"), lambda config: None)
    app.run()

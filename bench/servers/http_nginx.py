"""HTTP by nginx, one process, the limit:  http_nginx.py PORT FOLDER   (its files go to FOLDER)

What others compute is written into its configuration. A body it reads and forgets.
"""

import os
import sys
from pathlib import Path

from http_pages import FOLDER, answer

CONFIGURATION = """
daemon off;
master_process off;
pid nginx.pid;
error_log error.log crit;
events { worker_connections 19000; }
http {
    access_log off;
    sendfile on;
    tcp_nopush on;
    default_type application/octet-stream;
    keepalive_timeout 3600;
    keepalive_requests 1000000000;
    client_body_temp_path client; proxy_temp_path proxy; fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi; scgi_temp_path scgi;
    server {
        listen 127.0.0.1:PORT backlog=4096;
        root FILES;
        location = / {
            default_type text/plain;
            if ($request_method = POST) { return 200 "$content_length"; }
            return 200 "Hello, world!";
        }
        location = /json { default_type application/json; return 200 'RECORDS'; }
        location / { }
    }
}
"""

if __name__ == "__main__":
    port, folder = sys.argv[1:]
    blanks = {"PORT": port, "FILES": FOLDER, "RECORDS": answer(None)[1].decode()}
    text = CONFIGURATION
    for name, value in blanks.items():
        text = text.replace(name, value)
    Path(folder, "nginx.conf").write_text(text)
    os.execvp("nginx", ["nginx", "-p", folder, "-c", "nginx.conf", "-e", "error.log"])

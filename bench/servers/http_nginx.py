"""HTTP by nginx, one process, the limit:  http_nginx.py PORT FOLDER   (its files go to FOLDER)"""

import os
import sys
from pathlib import Path

CONFIGURATION = """
daemon off;
master_process off;
pid nginx.pid;
error_log error.log crit;
events { worker_connections 19000; }
http {
    access_log off;
    keepalive_timeout 3600;
    keepalive_requests 1000000000;
    client_body_temp_path client; proxy_temp_path proxy; fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi; scgi_temp_path scgi;
    server {
        listen 127.0.0.1:PORT backlog=4096;
        location / { default_type text/plain; return 200 "Hello, world!"; }
    }
}
"""

if __name__ == "__main__":
    port, folder = sys.argv[1:]
    Path(folder, "nginx.conf").write_text(CONFIGURATION.replace("PORT", port))
    os.execvp("nginx", ["nginx", "-p", folder, "-c", "nginx.conf", "-e", "error.log"])

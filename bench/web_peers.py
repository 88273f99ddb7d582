# SPDX-License-Identifier: MIT
"""What an HTTP server of ours is compared with: a bare epoll responder, and nginx."""
import os

import processes
from serving import SERVER_CORE, on_core
from service import Service


def start_responder(directory, programs, answer):
    """The bare epoll responder with one answer, (head, body), for whatever it is asked."""
    answer_file = os.path.join(directory, "answer")
    with open(answer_file, "wb") as out:
        out.write(b"\r\n\r\n".join(answer))
    port = processes.free_ports(1)[0]
    program = os.path.join(programs, "..", "bench", "epoll_responder")
    return Service("epoll responder", on_core(SERVER_CORE, [program, str(port), answer_file]), port,
                   cwd=directory, env=dict(os.environ),
                   log_path=directory + "/responder.log").start()


def start_nginx(directory, location, extra=""):
    """nginx with one worker, a configuration and directories of its own.

    `location` is what its only location holds, `extra` what its http block has besides.
    """
    port = processes.free_ports(1)[0]
    own = os.path.join(directory, "nginx")
    os.makedirs(own)
    temporary = "\n".join(f"    {kind}_temp_path {own}/{kind};" for kind in
                          ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    config = os.path.join(own, "nginx.conf")
    with open(config, "w", encoding="ascii") as out:
        out.write(f"""daemon off;
master_process off;
worker_processes 1;
pid {own}/pid;
error_log {own}/error.log;
events {{ worker_connections 1024; }}
http {{
{temporary}
    access_log off;
    keepalive_requests 1000000000;
    default_type application/json;
    {extra}
    server {{
        listen 127.0.0.1:{port};
        location / {{ {location} }}
    }}
}}
""")
    command = on_core(SERVER_CORE, ["/usr/sbin/nginx", "-p", own, "-c", config,
                                    "-e", own + "/error.log"])
    return Service("nginx", command, port, cwd=own, env=dict(os.environ),
                   log_path=directory + "/nginx.log").start()

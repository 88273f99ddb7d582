# SPDX-License-Identifier: MIT
"""healthchecker: what a container's HEALTHCHECK runs."""
import os
import re
import socket
import subprocess
import threading
import time

import pytest

import processes
from world import HOST


def check(programs, *arguments):
    """Run it: (status, what it printed, seconds)."""
    start = time.monotonic()
    done = subprocess.run([os.path.join(programs, "healthchecker"), *arguments], timeout=20,
                          capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr, time.monotonic() - start


@pytest.fixture
def answering():
    """A server that answers each connection with the bytes given; returns its port."""
    sockets = []

    def start(data, keep_open=False):
        server = socket.create_server((HOST, 0))
        sockets.append(server)

        def serve():
            try:
                while True:
                    conn, _ = server.accept()
                    sockets.append(conn)
                    if data is not None:
                        conn.recv(4096)
                        conn.sendall(data)
                        if not keep_open:
                            conn.close()
            except OSError:
                pass

        threading.Thread(target=serve, daemon=True).start()
        return server.getsockname()[1]

    yield start
    for sock in sockets:
        sock.close()


def test_healthy_services(running, programs):
    for service in (running.config, running.account, *running.vips):
        code, _, seconds = check(programs, "-port", str(service.port))
        assert code == 0 and seconds < 1
    url = f"http://{HOST}:{running.account_port}/accounts/10001"
    assert check(programs, f"-url={url}")[0] == 0
    assert check(programs, "--url", url.replace("10001", "nobody"))[0] == 1


def test_nobody_listens(programs):
    port, = processes.free_ports(1)
    code, output, seconds = check(programs, f"-port={port}")
    assert code == 1 and seconds < 2
    assert str(port) in output and "refused" in output.lower()


def test_a_service_that_is_not_ready(answering, programs):
    port = answering(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 21\r\n\r\n"
                     b"broker: not connected")
    code, output, _ = check(programs, "-port", str(port))
    assert code == 1 and "503" in output


def test_a_service_that_hangs(answering, programs):
    port = answering(None)
    code, output, seconds = check(programs, "-port", str(port), "-timeout", "1")
    assert code == 1 and 0.9 < seconds < 3
    assert "no answer within 1" in output


def test_three_seconds_is_the_default(answering, programs):
    code, _, seconds = check(programs, "-port", str(answering(None)))
    assert code == 1 and 2.5 < seconds < 5


def test_an_answer_that_drips_is_no_way_around_the_timeout(answering, programs):
    port = answering(b"HTTP/1.1 ", keep_open=True)
    code, _, seconds = check(programs, "-port", str(port), "-timeout", "1")
    assert code == 1 and seconds < 3


@pytest.mark.parametrize("data", [b"", b"rubbish\r\n\r\n", b"HTTP/1.1 abc\r\n\r\n",
                                  b"HTTP/1.1 200" * 100000, b"\x00" * 4096],
                         ids=["nothing", "rubbish", "no number", "endless", "NULs"])
def test_answers_that_are_none(answering, programs, data):
    code, output, _ = check(programs, "-port", str(answering(data)), "-timeout", "2")
    assert code == 1 and output.strip()


def test_it_is_small_and_needs_libc_alone(programs):
    path = os.path.join(programs, "healthchecker")
    if "asan" in programs or "tsan" in programs or "debug" in programs:
        path = os.path.join(os.path.dirname(os.path.dirname(programs)), "release", "bin",
                            "healthchecker")
    assert os.path.getsize(path) < 100 * 1024
    needed = subprocess.run(["readelf", "-d", path], capture_output=True, text=True,
                            check=True).stdout
    assert re.findall(r"NEEDED.*\[(.*)\]", needed) in (["libc.so.6"], [])

# SPDX-License-Identifier: MIT
"""Requests that no proper client sends, over plain sockets. The program answers or hangs up, and
goes on serving everybody else."""
import json
import socket

import pytest

from world import HOST, eventually


def raw(port, data, timeout_s=3):
    """Send bytes; returns all that comes until the other side closes or is silent for a while.

    A connection that could be used again may be kept for its idle time, although we closed half.
    """
    with socket.create_connection((HOST, port), timeout=timeout_s) as sock:
        try:
            sock.sendall(data)
            sock.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # it may hang up at the first bad byte
        answer = b""
        try:
            while chunk := sock.recv(65536):
                answer += chunk
        except (ConnectionResetError, TimeoutError):
            pass
        return answer


def status_of(answer):
    """The status of the first answer, or None when it hung up without one."""
    return int(answer.split(b" ", 2)[1]) if answer.startswith(b"HTTP/1.") else None


def get(port, target, *headers):
    """A GET with the target exactly as given."""
    lines = [b"GET " + target + b" HTTP/1.1", b"Host: x", b"Connection: close", *headers]
    return raw(port, b"\r\n".join(lines) + b"\r\n\r\n")


def problem(answer):
    """The parsed application/problem+json body."""
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"application/problem+json" in head, answer[:500]
    parsed = json.loads(body)
    assert parsed["status"] == status_of(answer) and parsed["title"]
    return parsed


@pytest.fixture
def account(world):
    """accountservice alone; the broker is there, nobody consumes."""
    world.start_config()
    world.start_account()
    world.wait_healthy()
    return world


TARGETS = {
    "10 kB": (b"/accounts/" + b"1" * 10240, (400, 414)),
    "1 MB": (b"/accounts/" + b"1" * 1000000, (400, 414, 431, None)),
    "dot dot": (b"/accounts/../accounts/10000", (400, 404)),
    "dot dot encoded": (b"/accounts/..%2f..%2fetc%2fpasswd", (400, 404)),
    "NUL": (b"/accounts/10000%00", (400,)),
    "NUL inside": (b"/accounts/100%0000", (400,)),
    "double encoded": (b"/accounts/%252e%252e", (400, 404)),
    "quotes": (b"/accounts/%22%27%60", (400, 404)),
    "raw quotes": (b"/accounts/\"'`", (400, 404)),
    "script": (b"/accounts/%3Cscript%3Ealert(1)%3C/script%3E", (400, 404)),
    "line breaks": (b"/accounts/10000%0d%0aX-Injected:%20yes", (400,)),
    "escape": (b"/accounts/%1b[31mred", (400,)),
    "bare control": (b"/accounts/\x01\x02", (400,)),
    "high bytes": (b"/accounts/\xff\xfe", (400, 404)),
    "overlong UTF-8": (b"/accounts/%c0%ae%c0%ae", (400, 404)),
    "bad escape": (b"/accounts/%zz", (400,)),
    "cut escape": (b"/accounts/1%", (400,)),
    "blank": (b"/accounts/%20", (400, 404)),
    "empty": (b"/accounts/", (301, 308, 400, 404)),
    "two segments": (b"/accounts/10000/x", (404,)),
    "asterisk": (b"*", (400, 404)),
    "no slash": (b"accounts/10000", (400, 404)),
    "absolute": (b"http://evil.example/accounts/10001", (200, 400, 404)),
}


@pytest.mark.parametrize("name", TARGETS)
def test_account_ids_that_are_none(account, name):
    target, expected = TARGETS[name]
    answer = get(account.account_port, target)
    assert status_of(answer) in expected, answer[:300]
    assert b"X-Injected" not in answer.partition(b"\r\n\r\n")[0]
    if status_of(answer) in (400, 404) or name == "10 kB":
        parsed = problem(answer)
        assert len(parsed.get("detail", "")) <= 1024
        assert not any(ord(c) < 0x20 for c in parsed.get("detail", "")), parsed
    assert account.read("10001")["id"] == "10001"
    assert not account.queue_length("vip_queue")  # nobody was notified of anything
    # Nor does it reach the log as it is.
    assert not any(ord(c) < 0x20 or ord(c) == 0x7f for c in account.account.output()
                   if c not in "\n\t")


REQUESTS = {
    "rubbish": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(256)),
    "no method": b" / HTTP/1.1\r\nHost: x\r\n\r\n",
    "no version": b"GET /accounts/10000\r\n\r\n",
    "wrong version": b"GET /accounts/10000 HTTP/9.9\r\nHost: x\r\n\r\n",
    "no colon": b"GET /accounts/10000 HTTP/1.1\r\nHost: x\r\nrubbish\r\n\r\n",
    "folded": b"GET /accounts/10000 HTTP/1.1\r\nHost: x\r\n folded: y\r\n\r\n",
    "NUL in a header": b"GET /accounts/10001 HTTP/1.1\r\nHost: x\r\nA: b\x00c\r\n\r\n",
    "negative length": b"POST /accounts/10001 HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
    "endless length": b"POST /accounts/10001 HTTP/1.1\r\nHost: x\r\n"
                      b"Content-Length: 99999999999999999999999\r\n\r\n",
    "large length": b"POST /accounts/10001 HTTP/1.1\r\nHost: x\r\nContent-Length: 9999999999\r\n"
                    b"\r\n" + b"x" * 4096,
    "two lengths": b"POST /accounts/10001 HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n"
                   b"Content-Length: 2\r\n\r\nxy",
    "bad chunk": b"POST /accounts/10001 HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
                 b"zz\r\nabc\r\n",
    "huge chunk": b"POST /accounts/10001 HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
                  b"ffffffffffffffffff\r\nabc\r\n",
    "huge header": b"GET /accounts/10001 HTTP/1.1\r\nHost: x\r\nA: " + b"b" * 200000 + b"\r\n\r\n",
    "many headers": b"GET /accounts/10001 HTTP/1.1\r\nHost: x\r\n" + b"A: b\r\n" * 20000 + b"\r\n",
    "long method": b"G" * 100000 + b" / HTTP/1.1\r\nHost: x\r\n\r\n",
    "endless first line": b"GET /" + b"a" * 2000000,
}


@pytest.mark.parametrize("name", REQUESTS)
@pytest.mark.parametrize("program", ["account", "config"])
def test_requests_that_are_none(account, program, name):
    service = getattr(account, program)
    answer = raw(service.port, REQUESTS[name])
    assert status_of(answer) is None or status_of(answer) >= 400 or name in (
        "folded", "NUL in a header"), answer[:300]
    assert account.get("/health", service.port).status_code == 200
    assert service.exit_code is None


def test_half_a_request_holds_up_nobody(account):
    """Slow clients keep their connections; others are served meanwhile."""
    slow = []
    try:
        for _ in range(200):
            sock = socket.create_connection((HOST, account.account_port), timeout=10)
            sock.sendall(b"GET /accounts/10001 HTTP/1.1\r\nHost: x\r\nX-Slow: ")
            slow.append(sock)
        for _ in range(20):
            assert account.read("10001")["id"] == "10001"
    finally:
        for sock in slow:
            sock.close()


def test_more_connections_than_allowed(account):
    """New ones are refused or wait; the service recovers when they go."""
    held = []
    try:
        for _ in range(1100):
            held.append(socket.create_connection((HOST, account.account_port), timeout=10))
    except OSError:
        pass
    finally:
        for sock in held:
            sock.close()
    eventually(lambda: account.get("/accounts/10001").status_code == 200, 15)


def test_pipelined_requests_are_answered_in_order(account):
    port = account.account_port
    request = b"GET /accounts/%d HTTP/1.1\r\nHost: x\r\n\r\n"
    data = b"".join(request % number for number in range(10001, 10011))
    data += b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    answer = raw(port, data)
    assert answer.count(b"HTTP/1.1 200") == 11
    places = [answer.index(b'"id":"%d"' % number) for number in range(10001, 10011)]
    assert places == sorted(places)


def test_methods(account):
    port = account.account_port
    for method in (b"POST", b"PUT", b"DELETE", b"PATCH"):
        answer = raw(port, method + b" /accounts/10000 HTTP/1.1\r\nHost: x\r\n"
                     b"Content-Length: 2\r\nConnection: close\r\n\r\n{}")
        assert status_of(answer) == 405, answer
        allow = [line for line in answer.split(b"\r\n") if line.lower().startswith(b"allow:")]
        assert b"GET" in allow[0]
    head = raw(port, b"HEAD /accounts/10001 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert status_of(head) == 200 and head.endswith(b"\r\n\r\n")
    assert status_of(raw(port, b"OPTIONS /accounts/10001 HTTP/1.1\r\nHost: x\r\n"
                               b"Connection: close\r\n\r\n")) == 204
    assert not account.queue_length("vip_queue")


def test_a_slash_too_many_is_redirected(account):
    answer = get(account.account_port, b"/accounts/10001/")
    assert status_of(answer) in (301, 308)
    assert b"/accounts/10001\r\n" in answer


@pytest.mark.parametrize("target", [
    b"/accountservice/test/..%2f..%2fetc", b"/accountservice/test/main/../../x",
    b"/..%2faccountservice/test", b"/accountservice/te%23st", b"/accountservice/%2e%2e/main",
    b"/accountservice/test/-rf", b"/accountservice/test/main%00", b"/a%0ab/test/main",
    b"/" + b"a" * 5000 + b"/test/main", b"/accountservice/" + b"a," * 3000 + b"a/main",
], ids=lambda target: target[:40].decode())
def test_names_that_leave_the_repository(account, target):
    answer = get(account.config_port, target)
    assert status_of(answer) in (400, 404, 414), answer[:300]
    problem(answer)
    assert account.get("/accountservice/test/main", account.config_port).status_code == 200

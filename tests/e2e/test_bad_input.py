# SPDX-License-Identifier: MIT
"""Bad input gets a clear error and nothing else happens.

Each test reads the message a person would read.
"""
import http.server
import json
import os
import re
import subprocess
import threading
import time

import pytest

from world import HOST, ON_BOTH, eventually

FILE = "accountservice-test.yml"


def fault(code, output):
    """The one line that says why a program did not start. Its status is 1."""
    lines = [line for line in output.splitlines() if "cannot start" in line]
    assert code == 1 and len(lines) == 1, (code, output)
    assert "ERROR" in lines[0]
    return lines[0]


# ---- at start ----------------------------------------------------------------------------------

@pytest.mark.parametrize("program", ["accountservice", "vipservice"])
def test_no_config_server(world, program):
    """Tried for a while, then one clear line and status 1."""
    service = world.client(program, world.account_port).start()
    line = fault(*world.expect_failure(service))
    assert f"{HOST}:{world.config_port}" in line
    assert re.search("(?i)connect", line)


def test_a_config_server_that_comes_later_is_waited_for(world):
    account = world.start_account()
    time.sleep(0.5)  # it tries in vain meanwhile; no event tells of that
    assert account.exit_code is None
    world.start_config()
    account.wait_healthy()


class FakeConfigServer(http.server.BaseHTTPRequestHandler):
    """Answers everything with the server's `body`."""

    def do_GET(self):
        """Any path."""
        body = self.server.body
        self.send_response(self.server.status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_args):
        """Nothing is printed."""


@pytest.fixture
def fake_config(world):
    """Start a config server with the answer given."""
    servers = []

    def start(body, status=200):
        server = http.server.ThreadingHTTPServer((HOST, world.config_port), FakeConfigServer)
        server.body, server.status = body, status
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize("body", [
    b'{"name": "accountservice", "propertySources": [',
    b"<html>welcome</html>",
    b"[]",
    b'{"name": "accountservice"}',
    b'{"propertySources": {"a": 1}}',
    b'{"propertySources": [{"name": "x", "source": [1]}]}',
    b"",
], ids=["cut", "html", "array", "no sources", "object", "source is an array", "empty"])
def test_wrong_json_from_the_config_server(world, fake_config, body):
    fake_config(body)
    assert f"{HOST}:{world.config_port}" in fault(*world.expect_failure(world.start_account()))


def test_unknown_label(world):
    world.start_config()
    account = world.program("accountservice", world.account_port, "-configServerUrl",
                            f"http://{HOST}:{world.config_port}", "-configBranch", "nosuch",
                            server_port=world.account_port).start()
    assert "nosuch" in fault(*world.expect_failure(account))


def test_no_amqp_server_url(world):
    world.write_config("application.yml", "config_event_bus: springCloudBus\n")
    world.start_config()
    for name in ("accountservice", "vipservice"):
        service = world.client(name, world.account_port, amqp_server_url=None).start()
        line = fault(*world.expect_failure(service))
        assert "there is no 'amqp_server_url' in the configuration" in line


@pytest.mark.parametrize("url, reason", [
    ("amqps://guest:hidden@127.0.0.1/", "amqps"),
    ("http://guest:hidden@127.0.0.1/", "http"),
    ("amqp://guest:hidden@127.0.0.1:99999/", "port"),
    ("nonsense", "amqp_server_url"),
])
def test_a_bad_amqp_server_url(world, url, reason):
    world.start_config()
    code, output = world.expect_failure(world.start_account(amqp_server_url=url))
    line = fault(code, output)
    assert "amqp_server_url" in line and reason in line
    assert "hidden" not in output


@pytest.mark.parametrize("text, reason", [
    ("server_port: ninety\n", "server_port.*ninety.*accountservice-test.yml.*number from"),
    ("server_port: 70000\n", "server_port.*70000.*accountservice-test.yml.*65535"),
    ("vip_accounts:\n  - id: 10000\n", "vip_accounts"),
])
def test_a_value_of_the_wrong_kind(world, text, reason):
    world.write_config(FILE, text)
    world.start_config()
    line = fault(*world.expect_failure(world.start_account(server_port=None)))
    assert re.search(reason, line), line


@pytest.mark.parametrize("program", ["accountservice", "vipservice", "configserver",
                                     "healthchecker"])
def test_wrong_flags(world, program):
    for arguments in (["-nosuch"], ["-port"], ["surplus"]):
        service = world.program(program, 0, *arguments).start()
        code, output = world.expect_failure(service)
        # healthchecker knows two answers only: that is what a container's HEALTHCHECK wants.
        assert code == (1 if program == "healthchecker" else 2)
        assert arguments[0].lstrip("-") in output


def test_the_port_is_taken(world):
    world.start_config()
    taken = world.client("accountservice", world.config_port).start()
    line = fault(*world.expect_failure(taken))
    assert f"port {world.config_port}: another process has it" in line, line


@pytest.mark.parametrize("make, reason", [
    (lambda path: None, "not a readable git repository"),
    (os.mkdir, "not a readable git repository"),
], ids=["nothing there", "no git in it"])
def test_configserver_without_a_repository(world, make, reason):
    path = os.path.join(world.directory, "nowhere")
    make(path)
    server = world.program("configserver", world.config_port, "-repo", path,
                           "-port", str(world.config_port)).start()
    line = fault(*world.expect_failure(server))
    assert path in line and reason in line, line


# ---- the broker ------------------------------------------------------------------------------

def test_a_wrong_broker_password_does_not_hammer(world):
    """Not ready, with the reason; the next try comes after 5 s at the earliest."""
    world.start_config()
    log = os.path.join(world.broker.directory, "log", "rabbitmq.log")

    def refusals():
        with open(log, encoding="utf-8", errors="replace") as lines:
            return sum("PLAIN login refused: user 'guest'" in line for line in lines)

    before = refusals()
    account = world.start_account(amqp_server_url=world.url_for("wr0ng-secret"))
    eventually(lambda: refusals() > before, 10, "a refused login")
    first = time.monotonic()
    eventually(lambda: world.get("/health").status_code == 503
               and "refused" in world.get("/health").text.lower(), 5, "the reason in /health")
    assert "wr0ng-secret" not in world.get("/health/ready").text
    # One a connection, of which there are two; then silence. That nothing comes is only seen by
    # waiting.
    while time.monotonic() < first + 4.5:
        assert refusals() - before <= 2
        time.sleep(0.1)
    assert account.exit_code is None
    assert "wr0ng-secret" not in account.output()


def test_the_broker_is_absent_at_start(tmp_path, world, own_broker):
    """The services start, say that they are not ready, and work as soon as it is there."""
    world.broker = own_broker
    world.vhost = "/"
    world.start_config(wait=False)
    world.start_account()
    world.start_vips(2)

    def not_ready(port):
        try:
            return world.get("/health", port).status_code == 503
        except OSError:
            return False

    for service in (world.account, *world.vips):
        eventually(lambda s=service: not_ready(s.port), 10, f"{service.name} answers 503")
        text = world.get("/health", service.port).text
        assert "broker" in text and re.search("(?i)refused", text), text
        ready = world.get("/health/ready", service.port).json()
        assert ready["components"]["broker"]["status"] == "DOWN"
        assert ready["components"]["broker"]["since"]
        assert world.get("/health/live", service.port).status_code == 200

    # Accepted meanwhile, delivered as soon as the broker is there.
    world.read("10000")
    own_broker.start(die_with_parent=True)
    for service in (world.account, *world.vips, world.config):
        service.wait_healthy(40)
    world.read("10000")
    world.wait_reads("10000", 2)


@ON_BOTH
@pytest.mark.parametrize("body, reason", [
    (b"\xff\x00\x01 no JSON", "not JSON"),
    (b"", "not JSON"),
    (b'{"accountId": "10000", "readAt":', "not JSON"),
    (b"[1, 2]", "not a JSON object"),
    (b'{"readAt": "2026-01-01T00:00:00Z"}', 'no "accountId"'),
    (b'{"accountId": "10000"}', 'no "readAt"'),
    (b'{"accountId": 10000, "readAt": "2026-01-01T00:00:00Z"}', '"accountId" is not a string'),
    (b'{"accountId": "../10000", "readAt": "2026-01-01T00:00:00Z"}', '"accountId" is not valid'),
    (b'{"accountId": "' + b"9" * 70000 + b'", "readAt": "x"}', "not a notification"),
    (b"[" * 100000, "not"),
], ids=["bytes", "empty", "cut", "array", "no account", "no time", "number", "path", "huge",
        "deep"])
def test_a_wrong_message_goes_to_the_dead_letters(running, body, reason):
    """With the reason; the next message is handled."""
    running.send(body, message_id="bad-1", content_type="application/json",
                 headers={"origin": "elsewhere"})
    running.send('{"accountId": "10000", "readAt": "2026-01-01T00:00:00Z"}')
    properties, dead = running.take("vip_queue.dead")
    assert dead == body
    assert properties.message_id == "bad-1"
    assert properties.headers["origin"] == "elsewhere"
    assert reason in properties.headers["x-godwit-reason"]
    assert properties.headers["x-godwit-queue"] == "vip_queue"
    assert [m["accountId"] for m in running.wait_messages(1)] == ["10000"]
    # Logged once, by the one that got it.
    told = [line for vip in running.vips for line in vip.matching("vip_queue.dead")]
    assert len(told) == 1 and reason in told[0], told
    assert running.queue_length("vip_queue") == 0


@ON_BOTH
@pytest.mark.parametrize("body", [b"refresh!", b"[]", b"{}", b'{"type": 7}', b"\x00" * 64],
                         ids=["text", "array", "no type", "number", "NULs"])
def test_a_refresh_event_that_is_no_event(running, body):
    """Said in the log; the service goes on and follows the next event."""
    running.send(body, queue="springCloudBus", exchange="springCloudBus")
    line = running.account.wait_lines("springCloudBus.*(not JSON|event)|(not JSON|event).*bus")[0]
    assert re.search("WARN|ERROR|warn|error", line), line
    running.set_vip_accounts("10001")
    running.post_monitor(FILE)

    def is_vip():
        running.read("10001")
        return running.messages()

    assert eventually(is_vip)[0]["accountId"] == "10001"


# ---- the configuration repository ------------------------------------------------------------

def test_broken_yaml_in_the_repository_at_start(world):
    world.write_config(FILE, 'server_port: 6767\nvip_accounts: ["10000"\nx: y\n')
    world.start_config()
    answer = world.get("/accountservice/test/main", world.config_port)
    assert answer.status_code == 500
    assert FILE in answer.json()["detail"] and re.search(r"line \d", answer.json()["detail"])
    line = fault(*world.expect_failure(world.start_account()))
    assert FILE in line and re.search(r"line \d", line), line


@ON_BOTH
def test_broken_yaml_while_running_keeps_the_old_configuration(running):
    old = running.read_config(FILE)
    running.write_config(FILE, "vip_accounts: [\n\t:::\n")
    running.post_monitor(FILE)
    line = running.account.wait_lines(FILE)[0]
    assert re.search("WARN|ERROR|warn|error", line), line
    running.read("10000")
    running.wait_reads("10000", 1)
    running.write_config(FILE, old.replace("10000", "10001"))
    running.post_monitor(FILE)
    eventually(lambda: running.read("10001") and running.vips_of("10001"), 15)


@pytest.mark.parametrize("body, headers", [
    (b"{", {"Content-Type": "application/json"}),
    (b"path=%zz", {"Content-Type": "application/x-www-form-urlencoded"}),
    (b"\xff\xfe", {"Content-Type": "application/json"}),
], ids=["cut", "escape", "bytes"])
def test_a_bad_webhook_is_refused(running, body, headers):
    import requests
    answer = requests.post(f"http://{HOST}:{running.config_port}/monitor", data=body,
                           headers=headers, timeout=10)
    assert answer.status_code == 400
    assert answer.json()["detail"]


# ---- a full disk -----------------------------------------------------------------------------

def test_a_full_disk_under_the_counts(world):
    """A limit on the size of files stands for the full disk; lifting it, for freed space.

    The message is kept and tried again, the service is not ready and says why, and nothing is
    counted twice or lost.
    """
    world.start_config()
    vip, = world.start_vips(1, prefix=["env", "--ignore-signal=XFSZ", "prlimit",
                                       "--fsize=131072:unlimited"],
                            outbox_level="memory")  # whose file would be larger than that
    vip.wait_healthy()
    sent = 0

    def is_full():
        nonlocal sent
        for _ in range(100):
            world.send(json.dumps({"accountId": f"a{sent}", "readAt": "2026-01-01T00:00:00Z"}),
                       message_id=f"message-{sent:06}-{'x' * 100}")
            sent += 1
        return world.get("/health", vip.port).status_code == 503

    eventually(is_full, 60, "the store is full")
    health = world.get("/health", vip.port).text
    assert re.search("the disk under .* is full", health), health
    line = vip.wait_lines("is full")[0]
    assert "vipservice" in line and re.search("WARN|ERROR|warn|error", line), line
    subprocess.run(["prlimit", "--fsize=unlimited", "--pid", str(vip.pid)], check=True)
    eventually(lambda: len(world.get("/vips?limit=1000", vip.port).json()) == min(sent, 1000), 90,
               "all messages are counted")
    vip.wait_healthy()
    assert all(world.vips_of(f"a{n}")["reads"] == 1 for n in (0, sent // 2, sent - 1))


def test_a_full_disk_under_the_accounts(world):
    world.start_config()
    account = world.start_account(prefix=["env", "--ignore-signal=XFSZ", "prlimit",
                                          "--fsize=4096:unlimited"])
    line = fault(*world.expect_failure(account))
    assert "data/accountservice" in line and "full" in line, line


def test_a_store_that_is_no_directory(world):
    world.start_config()
    os.makedirs(os.path.join(world.directory, "data"))
    with open(os.path.join(world.directory, "data", "vipservice"), "w", encoding="ascii"):
        pass
    vip, = world.start_vips(1)
    assert "data/vipservice" in fault(*world.expect_failure(vip))

# SPDX-License-Identifier: MIT
"""The programs as clients of config servers that are several, away, guarded, or cannot notify."""
import http.server
import json
import os
import re
import threading

import pytest
import requests

import processes
from world import HOST, ON_BUS, eventually

FILE = "accountservice-test.yml"
# "mysecret" with the key "foo": the example of Spring's documentation.
CIPHER = "{cipher}682bc583f4641835fa2db009355293665d2647dade3375c0ee201de2a49f7bda"

pytestmark = ON_BUS


class ScriptedServer(http.server.ThreadingHTTPServer):
    """A config server that answers with these properties, and notes who asked for what."""
    daemon_threads = True

    def __init__(self, properties, version="abc"):
        super().__init__((HOST, 0), Handler)
        self.properties = properties
        self.version = version
        self.token = None
        self.in_order = True  # otherwise its answers are no configuration
        self.asked = []  # (path, headers)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self):
        return f"http://{HOST}:{self.server_port}"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.shutdown()
        self.server_close()


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.asked.append((self.path, dict(self.headers)))
        if self.server.token and self.headers["X-Config-Token"] != self.server.token:
            self.answer(401, {"status": 401, "error": "Unauthorized"})
            return
        if not self.server.in_order:
            self.answer(200, "out of order")
            return
        source = {key: {"value": value, "origin": f"{line}:1"}
                  for line, (key, value) in enumerate(self.server.properties.items(), 1)}
        self.answer(200, {"name": "accountservice", "version": self.server.version, "propertySources": [
            {"name": "https://git/c/accountservice-test.yml", "source": source}]})

    def answer(self, status, document):
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def account(world, url, *flags, **settings):
    """An accountservice of the server at the URL, not started."""
    values = {"server_port": world.account_port, "amqp_server_url": world.broker_url, **settings}
    world.account = world.program("accountservice", world.account_port, "-configServerUrl", url,
                                  "-profile", "test", *flags, **values)
    return world.account


def config_url(world):
    return f"http://{HOST}:{world.config_port}"


def gauge(world):
    found = re.search(r"^godwit_config_from_cache (\d)$", world.get("/metrics").text, re.M)
    return found and int(found[1])


def is_vip(world, account_id):
    """Whether the account is in the list of VIPs, as the program sees it now."""
    settings = world.get("/config").json()["settings"]
    return any(account_id in it["value"] for it in settings if it["key"] == "vip_accounts")


def test_the_second_server_is_asked(world):
    world.start_config()
    dead = f"http://{HOST}:{processes.free_ports(1)[0]}"
    account(world, f"{dead},{config_url(world)}").start().wait_healthy()
    assert is_vip(world, "10000")


def test_the_first_label_that_is_there(world):
    world.start_config()
    account(world, config_url(world), "-configBranch", "nosuch,main").start().wait_healthy()
    assert is_vip(world, "10000")


def test_what_is_wrong_is_named_with_file_and_line(world):
    world.write_config(FILE, "# a comment\nserver_port: abc\n")
    world.start_config()
    service = account(world, config_url(world), server_port=None).start()
    code, output = world.expect_failure(service)
    assert code == 1
    assert re.search(rf"'server_port' = 'abc' from \S*{FILE}:2 is not a number", output), output


def test_a_start_without_the_server(world):
    """From the cache file, told loudly; and back to the server when it is there again."""
    cache = os.path.join(world.directory, "account.cache")
    flags = ("-configCache", cache)
    world.set_vip_accounts("10001")
    world.start_config()
    account(world, config_url(world), *flags).start().wait_healthy()
    assert gauge(world) == 0
    assert os.stat(cache).st_mode & 0o777 == 0o600
    assert world.account.stop() == 0
    assert world.config.stop() == 0

    account(world, config_url(world), *flags).start().wait_healthy(30)
    assert world.account.matching("ERROR.*NO CONFIG SERVER")
    assert gauge(world) == 1
    assert world.get("/health").json()["status"] == "UP"
    component = world.get("/health/ready").json()["components"]["config"]
    assert component["status"] == "DOWN" and component["required"] is False
    assert is_vip(world, "10001")
    assert world.get("/config").json()["fromCache"] is True

    world.set_vip_accounts("10002")
    world.start_config()
    eventually(lambda: gauge(world) == 0, 40, "the server's own configuration")
    assert is_vip(world, "10002")
    assert world.get("/health/ready").json()["components"]["config"]["status"] == "UP"


def test_the_cache_of_another_program_is_refused(world):
    cache = os.path.join(world.directory, "cache")
    world.start_config()
    account(world, config_url(world), "-configCache", cache).start().wait_healthy()
    assert world.account.stop() == 0
    with ScriptedServer({}) as server:
        server.in_order = False  # so that it is not tried again, for 10 seconds
        service = account(world, server.url, "-configCache", cache, "-configBranch", "other").start()
        code, output = world.expect_failure(service)
    assert code == 1
    assert "is of another program, profile or label" in output


def n_waiting(world):
    """How many clients wait at configserver for a change."""
    text = requests.get(f"{config_url(world)}/metrics", timeout=10).text
    return int(re.search(r"^godwit_http_waiting (\d+)$", text, re.M)[1])


def test_a_change_arrives_without_events(world):
    """configserver has no broker to tell by; the program waits at the server instead."""
    world.start_config(amqp=None)
    account(world, config_url(world), "-configWatch", "1h").start().wait_healthy()
    assert is_vip(world, "10000")
    eventually(lambda: n_waiting(world) == 1, 10, "a client that waits")
    for vip in ("10003", "10004"):
        world.set_vip_accounts(vip)
        eventually(lambda v=vip: is_vip(world, v), 20, f"{vip} is VIP")
    eventually(lambda: n_waiting(world) == 1, 10, "the next wait")
    assert world.account.stop() == 0  # at once, not when the server answers


def test_a_plain_server_is_polled(world):
    with ScriptedServer({"vip_accounts[0]": "10000"}) as server:
        account(world, server.url, "-configWatch", "1s").start().wait_healthy()
        server.properties = {"vip_accounts[0]": "10004"}
        eventually(lambda: is_vip(world, "10004"), 20, "10004 is VIP")
        assert server.asked[0][0] == "/accountservice/test/main"
        assert server.asked[0][1]["Accept"].startswith("application/vnd.spring-cloud.config-server.v2+json")
        assert world.account.stop() == 0


def test_a_broker_that_works_is_enough(world):
    """In the automatic mode nobody looks while events would come; but what changed between the load and
    the subscription to them is not missed."""
    with ScriptedServer({"vip_accounts[0]": "10000"}) as server:
        account(world, server.url).start()
        eventually(lambda: server.asked, 20, "the load")
        server.properties = {"vip_accounts[0]": "10004"}
        world.account.wait_healthy()
        eventually(lambda: is_vip(world, "10004"), 20, "10004 is VIP")
        assert world.account.stop() == 0
        assert len(server.asked) <= 3  # the load, and one when there are events, or when there may be


def test_a_token_in_a_file(world):
    path = os.path.join(world.directory, "token")
    with open(path, "w", encoding="utf-8") as file:
        file.write("geheim-1\n")
    os.chmod(path, 0o600)
    with ScriptedServer({"vip_accounts[0]": "10000"}) as server:
        server.token = "geheim-1"
        account(world, server.url, config_token_file=path).start().wait_healthy()
        assert server.asked[0][1]["Authorization"] == "Bearer geheim-1"
        assert world.account.stop() == 0
        assert "geheim-1" not in world.account.output()

        code, output = world.expect_failure(account(world, server.url, config_token="geheim-2").start())
        assert code == 1
        assert "the server answers 401" in output
        assert "geheim-2" not in output


def test_a_secret_is_opened_here_and_shown_nowhere(world):
    with ScriptedServer({"vip_accounts[0]": CIPHER}) as server:
        account(world, server.url, encrypt_key="foo").start().wait_healthy()
        shown = world.get("/config")
        assert shown.status_code == 200, shown.text
        assert "mysecret" not in shown.text and "***" in shown.text
        assert world.account.stop() == 0
        assert "mysecret" not in world.account.output()


def test_a_secret_that_cannot_be_opened_ends_the_start(world):
    with ScriptedServer({"fine": 1, "db_password": CIPHER}) as server:
        for settings in ({}, {"encrypt_key": "bar"}):
            code, output = world.expect_failure(account(world, server.url, **settings).start())
            assert code == 1
            assert "key 'db_password' from https://git/c/accountservice-test.yml:2 " in output, output
            assert "682bc5" not in output


def test_metrics_and_health_do_not_show_passwords_of_the_url(world):
    with ScriptedServer({"vip_accounts[0]": "10000"}) as server:
        url = server.url.replace("http://", "http://me:hunter2@")
        account(world, url).start().wait_healthy()
        for path in ("/metrics", "/health/ready", "/config"):
            answer = requests.get(f"http://{HOST}:{world.account_port}{path}", timeout=10)
            assert "hunter2" not in answer.text
        assert world.account.stop() == 0
        assert "hunter2" not in world.account.output()

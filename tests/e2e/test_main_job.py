# SPDX-License-Identifier: MIT
"""The main job: a VIP account is read, one of the vipservices learns of it."""
import json
import os
import re
import subprocess
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from world import ON_BOTH, RABBITMQ, eventually

RFC3339_NS = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{1,9}Z"


@ON_BOTH
def test_a_read_of_the_vip_account_is_printed_and_counted(running):
    account = running.read("10000")
    assert {key: account[key] for key in ("id", "name")} == {"id": "10000", "name": "Person_0"}
    assert account["servedBy"]

    message, = running.wait_messages(1)
    assert message["accountId"] == "10000"
    assert re.fullmatch(RFC3339_NS, message["readAt"])

    counted = running.vips_of("10000")
    assert counted["reads"] == 1
    assert counted["lastReadAt"] == message["readAt"]
    assert uuid.UUID(counted["lastMessageId"]).version == 7


@ON_BOTH
def test_four_reads_are_shared(running, carrier):
    for _ in range(4):
        running.read("10000")
    running.wait_messages(4)
    if carrier == RABBITMQ:  # in turn; from the bus, the one that is awake first takes more
        assert [len(running.messages(vip)) for vip in running.vips] == [2, 2]
    # One store: each vipservice answers for all of them.
    assert [running.vips_of("10000", vip)["reads"] for vip in running.vips] == [4, 4]


@ON_BOTH
def test_an_ordinary_and_an_unknown_account_notify_nobody(running):
    assert running.read("10001")["name"] == "Person_1"
    assert running.read("10099")["name"] == "Person_99"
    unknown = running.get("/accounts/10100")
    assert unknown.status_code == 404
    assert unknown.headers["Content-Type"].startswith("application/problem+json")
    assert unknown.json()["status"] == 404
    assert "10100" in unknown.json()["detail"]
    # What was sent for them would have come before this one.
    running.read("10000")
    assert [m["accountId"] for m in running.wait_messages(1)] == ["10000"]


def test_what_an_independent_consumer_gets(world):
    """The notification as any AMQP client sees it."""
    world.start_config()
    world.start_account()
    world.wait_healthy()
    world.read("10000")
    properties, body = world.take("vip_queue")
    assert properties.content_type == "application/json"
    assert properties.delivery_mode == 2
    assert uuid.UUID(properties.message_id).version == 7
    assert list(json.loads(body)) == ["accountId", "readAt"]
    assert json.loads(body)["accountId"] == "10000"


def test_what_an_independent_publisher_can_send(running):
    """No content type, no id, blanks and line breaks between the tokens: all of that is JSON."""
    running.send('{\n "accountId": "10007",\r\n "readAt": "2026-11-22 10:42:13 +0000 UTC"\n}')
    message, = running.wait_messages(1)
    assert message == {"accountId": "10007", "readAt": "2026-11-22 10:42:13 +0000 UTC"}
    assert running.vips_of("10007")["reads"] == 1


@ON_BOTH
def test_many_reads_at_once_are_all_counted(running):
    """The original lost most of these and crashed."""
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda _: running.read("10000"), range(800)))
    running.wait_reads("10000", 800, 30)
    shares = [len(running.messages(vip)) for vip in running.vips]
    assert sum(shares) == 800 and min(shares) > 0


def test_the_counts_are_listed_and_paged(running):
    for number in range(10000, 10025):
        running.send(json.dumps({"accountId": str(number), "readAt": "2026-01-01T00:00:00Z"}))
    running.wait_messages(25)
    port = running.vips[0].port
    ids = [entry["accountId"] for entry in running.get("/vips", port).json()]
    assert ids == [str(number) for number in range(10000, 10025)]
    page = running.get("/vips?limit=10", port).json()
    assert [entry["accountId"] for entry in page] == ids[:10]
    page = running.get(f"/vips?limit=10&after={page[-1]['accountId']}", port).json()
    assert [entry["accountId"] for entry in page] == ids[10:20]
    assert set(page[0]) == {"accountId", "reads", "lastReadAt", "lastMessageId"}


@pytest.mark.parametrize("query", ["limit=0", "limit=x", "limit=-1", "limit=99999999999999999999",
                                   "after=" + "a" * 500],
                         ids=["none", "letter", "negative", "huge", "long"])
def test_a_bad_page_is_refused(running, query):
    answer = running.get(f"/vips?{query}", running.vips[0].port)
    assert answer.status_code == 400, answer.text
    assert answer.headers["Content-Type"].startswith("application/problem+json")


@ON_BOTH
def test_health_and_metrics(running):
    health = running.get("/health").json()
    assert health["status"] == "UP" and set(health) == {"status", "version", "commit"}
    vip_health = running.get("/health", running.vips[0].port)
    assert vip_health.text == "OK"
    assert vip_health.headers["Content-Type"].startswith("text/plain")
    running.read("10001")
    for service in running.vips + [running.account, running.config]:
        answer = running.get("/metrics", service.port)
        assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
        assert "# TYPE godwit_http_requests_total counter" in answer.text
    assert re.search(r'godwit_http_requests_total{.*route="GetAccount".*} 1\b',
                     running.get("/metrics").text)


def test_every_program_tells_its_version_and_commit(running, programs):
    told = {}
    for name in ("accountservice", "vipservice", "configserver", "healthchecker", "godwit"):
        line = subprocess.run([os.path.join(programs, name), "--version"], check=True,
                              capture_output=True, text=True, timeout=20).stdout
        told[name] = re.fullmatch(rf"{name} (\d+\.\d+\.\d+) \(commit (\S+)\)\n", line).groups()
    assert len(set(told.values())) == 1, told
    version, commit = told["godwit"]
    for name, service in (("accountservice", running.account), ("vipservice", running.vips[0]),
                          ("configserver", running.config)):
        for path in ("/health", "/health/ready"):
            answer = running.get(path, service.port, headers={"Accept": "application/json"})
            assert answer.json()["version"] == version and answer.json()["commit"] == commit
        answer = running.get("/health", service.port)
        assert answer.headers["Server"] == f"{name}/{version} (commit {commit})"


def test_an_operator_recognises_connections_and_queues(running):
    api = running.broker.management_url + "/api/"

    def names():
        found = requests.get(f"{api}vhosts/{running.vhost}/connections", timeout=10,
                             auth=("guest", "guest")).json()
        shown = " ".join(c.get("client_properties", {}).get("connection_name", "") for c in found)
        return all(name in shown for name in ("accountservice", "vipservice", "configserver"))

    eventually(names, 15, "connections named after their services")
    queues = {q["name"] for q in requests.get(f"{api}queues/{running.vhost}", timeout=10,
                                              auth=("guest", "guest")).json()}
    assert "vip_queue" in queues
    running.read("10000")
    running.wait_messages(1)
    # Nothing is declared a message: the original leaked a queue for each.
    after = {q["name"] for q in requests.get(f"{api}queues/{running.vhost}", timeout=10,
                                             auth=("guest", "guest")).json()}
    assert after == queues

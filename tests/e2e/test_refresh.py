# SPDX-License-Identifier: MIT
"""A change of the configuration repository reaches the programs while they run."""
import json
import os
import signal

import pytest
import requests

from world import HOST, ON_BOTH, eventually

FILE = "accountservice-test.yml"


def becomes_vip(world, account_id):
    """Wait until reads of the account are announced."""
    def announced():
        world.read(account_id)
        return any(m["accountId"] == account_id for m in world.messages())

    eventually(announced, 10, f"{account_id} is VIP")


def bus_queue(channel):
    """A queue of pika's own that gets every event on the bus."""
    channel.exchange_declare("springCloudBus", "topic", durable=True)
    queue = channel.queue_declare("", exclusive=True).method.queue
    channel.queue_bind(queue, "springCloudBus", "#")
    return queue


@ON_BOTH
def test_a_commit_and_monitor_make_another_account_vip(running):
    pid = running.account.pid
    running.set_vip_accounts("10001", "10002")
    assert "accountservice" in running.post_monitor(FILE)
    becomes_vip(running, "10001")
    becomes_vip(running, "10002")
    before = len(running.messages())
    running.read("10000")  # no more
    running.read("10002")
    running.wait_messages(before + 1)
    assert "10000" not in {m["accountId"] for m in running.messages()}
    assert running.account.pid == pid and running.account.exit_code is None


def test_a_commit_alone_reaches_the_services(running):
    """Nobody posts to /monitor: configserver sees the change of its local repository and tells of it."""
    running.set_vip_accounts("10003")
    becomes_vip(running, "10003")


def test_the_event_is_what_spring_sends(running):
    with running.channel() as channel:
        queue = bus_queue(channel)
        names = running.post_monitor(FILE)
        events = []

        def all_came():
            method, properties, body = channel.basic_get(queue, auto_ack=True)
            if method:
                events.append((method, properties, json.loads(body)))
            return len(events) == len(names)

        eventually(all_came, 10, "an event for each name")
    assert [e["destinationService"] for _, _, e in events] == [f"{name}:**" for name in names]
    for method, properties, event in events:
        assert method.routing_key == "springCloudBus"
        assert properties.content_type.startswith("application/json")
        assert set(event) == {"type", "timestamp", "originService", "destinationService", "id"}
        assert event["type"] == "RefreshRemoteApplicationEvent"
        assert all(event.values())


@ON_BOTH
@pytest.mark.parametrize("destination", ["accountservice:**", "**", "*:**", "accountservice"])
def test_an_event_that_another_server_sent_is_followed(running, destination):
    """configserver is not asked to notify: the event comes from elsewhere, as from a Java server."""
    running.set_vip_accounts("10003")
    running.send(json.dumps({
        "type": "RefreshRemoteApplicationEvent", "timestamp": 1494514362123,
        "originService": "config-server:docker:8888", "destinationService": destination,
        "id": "53e61c71-cbae-4b6d-84bb-d0dcc0aeb4dc"}),
        queue="springCloudBus", exchange="springCloudBus")
    becomes_vip(running, "10003")


@ON_BOTH
def test_busrefresh_reaches_everybody(running):
    running.set_vip_accounts("10004")
    answer = requests.post(f"http://{HOST}:{running.config_port}/actuator/busrefresh", timeout=10)
    assert answer.status_code == 204
    becomes_vip(running, "10004")


def test_sighup_loads_the_configuration_again(running):
    running.set_vip_accounts("10005")
    os.kill(running.account.pid, signal.SIGHUP)
    becomes_vip(running, "10005")


def loads(world, service):
    """How often a service has loaded its configuration."""
    text = world.get("/metrics", port=service.port).text
    return sum(int(line.rsplit(" ", 1)[1]) for line in text.splitlines()
               if line.startswith('godwit_config_loads_total{result="ok"}'))


@ON_BOTH
def test_an_event_for_another_service_changes_nothing(world):
    world.start_config(events_on_change="false")  # so only what is posted is told
    account = world.start_account()
    vips = world.start_vips(2)
    world.wait_healthy()
    # Each loads once more when it hears events, in case it missed one.
    eventually(lambda: all(loads(world, service) == 2 for service in [account, *vips]))
    world.set_vip_accounts("10006")
    world.post_monitor("billing.yml")
    world.post_monitor("vipservice-test.yml")  # the vipservices take it; before it the first came
    eventually(lambda: all(loads(world, vip) == 3 for vip in vips))
    assert loads(world, account) == 2
    world.read("10006")
    world.read("10000")
    assert {m["accountId"] for m in world.wait_messages(1)} == {"10000"}


def test_all_property_sources_are_merged(world):
    """The original read the first source only."""
    world.write_config("accountservice.yml", 'vip_accounts: ["10008"]\n')
    text = "".join(line for line in world.read_config(FILE).splitlines(True)
                   if not line.startswith("vip_accounts"))
    world.write_config(FILE, text)
    world.start_config()
    world.start_account()
    world.start_vips(1)
    world.wait_healthy()
    world.read("10008")
    assert world.wait_messages(1)[0]["accountId"] == "10008"


def test_labels_and_what_configserver_answers(world):
    import system
    world.start_config()
    url = f"http://{HOST}:{world.config_port}"
    first = requests.get(f"{url}/accountservice/test/main", timeout=10).json()
    assert first["name"] == "accountservice" and first["profiles"] == ["test"]
    names = [source["name"].rsplit("/", 1)[1] for source in first["propertySources"]]
    assert names == [FILE, "application.yml"]
    assert first["propertySources"][0]["source"]["vip_accounts[0]"] == "10000"
    system.git(world.repository, "tag", "v1")
    world.set_vip_accounts("10009")

    def vip_at(label):
        answer = requests.get(f"{url}/accountservice/test/{label}", timeout=10)
        return answer.json()["propertySources"][0]["source"]["vip_accounts[0]"]

    assert vip_at("main") == "10009"
    assert vip_at("master") == "10009"  # one for the other
    assert vip_at("v1") == "10000"
    assert vip_at(first["version"]) == "10000"
    unknown = requests.get(f"{url}/accountservice/test/nosuch", timeout=10)
    assert unknown.status_code == 404 and "nosuch" in unknown.json()["detail"]
    assert requests.get(f"{url}/billing/prod", timeout=10).status_code == 200

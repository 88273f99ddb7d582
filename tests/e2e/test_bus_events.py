# SPDX-License-Identifier: MIT
"""Spring Cloud Bus with peers that nobody here wrote: pika plays a Spring service, and one of goblog."""
import base64
import json
import os
import uuid

import pika
import pytest
import requests

from world import HOST, ON_BOTH, eventually

BUS = "springCloudBus"
FILE = "accountservice-test.yml"


def publish(world, event, **properties):
    """As Spring's binder does: routing key, JSON, persistent, and headers that mean nothing here."""
    values = {"content_type": "application/json", "delivery_mode": 2,
              "headers": {"target-protocol": "kafka", "b3": "80f198ee56343ba864fe8b2a57d3eff7-1"}}
    with world.channel() as channel:
        channel.confirm_delivery()
        channel.exchange_declare(BUS, "topic", durable=True)  # a 406 if it were another
        channel.basic_publish(BUS, BUS, json.dumps(event), pika.BasicProperties(**{**values, **properties}),
                              mandatory=True)


def event(kind, destination="accountservice:**", **fields):
    """An event, with the fields that Spring sends."""
    return {"type": f"{kind}RemoteApplicationEvent", "timestamp": 1494514362123,
            "originService": "config-server:docker:8888", "destinationService": destination,
            "id": str(uuid.uuid4()), **fields}


def spring_queue(channel):
    """The queue of a Spring service."""
    name = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
    queue = f"{BUS}.anonymous.{name}"
    assert len(name) == 22
    channel.exchange_declare(BUS, "topic", durable=True)
    channel.queue_declare(queue, exclusive=True, auto_delete=True)
    channel.queue_bind(queue, BUS, "#")
    return queue


def goblog_queue(channel):
    """The queue of a goblog service: the routing key decides what it gets."""
    channel.exchange_declare(BUS, "topic", durable=True)
    queue = channel.queue_declare("", auto_delete=True).method.queue
    channel.queue_bind(queue, BUS, BUS)
    return queue


def wait_for(channel, queue, count, wanted=lambda e: True):
    """Wait for so many events; returns them with their properties."""
    found = []

    def came():
        method, properties, body = channel.basic_get(queue, auto_ack=True)
        if method and wanted(json.loads(body)):
            found.append((method, properties, json.loads(body)))
        return len(found) >= count

    eventually(came, 10, f"{count} events")
    return found


def is_ack(found):
    return found["type"] == "AckRemoteApplicationEvent"


def becomes_vip(world, account_id):
    """Wait until reads of the account are announced."""
    def announced():
        world.read(account_id)
        return any(m["accountId"] == account_id for m in world.messages())

    eventually(announced, 10, f"{account_id} is VIP")


def origin_of(world, key):
    config = world.get("/config").json()
    return next(e for e in config["settings"] + config["others"] if e["key"] == key)["origin"]


def test_spring_and_goblog_consumers_get_what_configserver_sends(running):
    with running.channel() as channel:
        queues = [spring_queue(channel), goblog_queue(channel)]
        names = running.post_monitor(FILE)
        for queue in queues:
            events = wait_for(channel, queue, len(names))
            assert [e["destinationService"] for _, _, e in events] == [f"{n}:**" for n in names]
            for method, properties, found in events:
                assert method.routing_key == BUS and properties.delivery_mode == 2
                assert properties.content_type == "application/json"
                assert all(isinstance(found[key], str) for key in
                           ("type", "originService", "destinationService", "id"))
        # goblog refreshes when the destination contains its name
        assert any("accountservice" in e for e in names)


@pytest.mark.parametrize("properties", [
    {}, {"content_type": "application/json;charset=UTF-8"}, {"content_type": None, "delivery_mode": 1}])
def test_a_spring_publisher_is_followed(running, properties):
    running.set_vip_accounts("10003")
    publish(running, event("Refresh"), **properties)
    becomes_vip(running, "10003")


def test_an_event_without_id_and_origin_is_followed(running):
    running.set_vip_accounts("10003")
    publish(running, {"type": "RefreshRemoteApplicationEvent", "timestamp": 1})
    becomes_vip(running, "10003")


@ON_BOTH
def test_values_of_an_event_are_in_force_until_the_restart(running):
    body = json.dumps(event("EnvironmentChange", "accountservice:**", values={"vip_accounts": "10007,10008"}))
    running.send(body, queue=BUS, exchange=BUS)
    becomes_vip(running, "10007")
    assert origin_of(running, "vip_accounts") == "bus event"
    running.set_vip_accounts("10009")  # the server's is below it
    requests.post(f"http://{HOST}:{running.account_port}/actuator/refresh", timeout=10)
    running.read("10009")
    becomes_vip(running, "10008")
    assert "10009" not in {m["accountId"] for m in running.messages()}
    assert running.account.stop() == 0
    running.start_account()
    running.wait_healthy()
    becomes_vip(running, "10009")
    assert FILE in origin_of(running, "vip_accounts")


def test_acknowledgements_only_if_they_are_wanted(world):
    world.start_config()
    world.start_account(config_ack="true")
    world.start_vips(1)  # without
    world.wait_healthy()
    with world.channel() as channel:
        queue = spring_queue(channel)
        sent = event("Refresh", "**")
        publish(world, sent)
        publish(world, event("Refresh", "vipservice:**"))  # for others: none
        shutdown = event("Shutdown", "**")
        publish(world, shutdown)  # not followed, but it came
        acks = wait_for(channel, queue, 2, is_ack)
        last = event("Refresh", "accountservice:**")
        publish(world, last)
        acks += wait_for(channel, queue, 1, is_ack)  # no other came before it, nor an ack of an ack
    assert [a["ackId"] for _, _, a in acks] == [sent["id"], shutdown["id"], last["id"]]
    for method, properties, ack in acks:
        assert method.routing_key == BUS and properties.delivery_mode == 2
        assert properties.content_type == "application/json"
        assert set(ack) == {"type", "timestamp", "originService", "destinationService", "id", "ackId",
                            "ackDestinationService", "event"}
        assert ack["destinationService"] == "**" and isinstance(ack["timestamp"], int)
        assert ack["originService"].startswith("accountservice:test:")
    assert acks[0][2]["event"] == "org.springframework.cloud.bus.event.RefreshRemoteApplicationEvent"
    assert acks[2][2]["ackDestinationService"] == "accountservice:**"
    assert world.account.exit_code is None


def test_an_event_that_is_none_harms_nobody(running):
    for body in (b"", b"refresh", b"[]", b'{"type":1}', b'{"type":"EnvironmentChangeRemoteApplicationEvent",'
                 b'"values":{"vip_accounts":{"a":1}}}', os.urandom(64)):
        running.send(body, queue=BUS, exchange=BUS)
    running.set_vip_accounts("10003")
    publish(running, event("Refresh"))
    becomes_vip(running, "10003")
    assert running.account.exit_code is None


def test_our_queue_ends_with_its_service(running):
    """It is named and bound as Spring's is, and does not outlive the service for long."""
    def queues():
        answer = requests.get(f"{running.broker.management_url}/api/queues/{running.vhost}",
                              auth=("guest", "guest"), timeout=10).json()
        return [q for q in answer if q["name"].startswith(f"{BUS}.accountservice.")]

    found = eventually(queues, 20, "the queue in the management's view")
    assert len(found) == 1
    queue = found[0]
    assert queue["durable"] is False and "x-expires" in queue["arguments"]
    answer = requests.get(f"{running.broker.management_url}/api/queues/{running.vhost}/{queue['name']}/bindings",
                          auth=("guest", "guest"), timeout=10).json()
    assert [b["routing_key"] for b in answer if b["source"] == BUS] == ["#"]

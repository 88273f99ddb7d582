# SPDX-License-Identifier: MIT
"""From the embedded bus to RabbitMQ and back, with messages waiting: only the URL changes.

accountservice and vipservice are the same binaries before and after, with the same stores.
"""
import json

from world import BUS, ON_BUS, RABBITMQ, eventually

QUEUE = "vip_queue"


def start_all(world):
    """Everything on what carries the messages now, healthy."""
    world.start_config()
    world.start_account()
    world.start_vips(2)
    world.wait_healthy()


def stop_all(world):
    """Everything that runs stops as it is asked to."""
    world.stop_vips()
    for service in (world.account, world.config):
        assert service.stop() == 0, service.output()


def read_many(world, count):
    """Reads of the VIP account that were answered with 200."""
    for _ in range(count):
        world.read("10000")


def move(world):
    """All that waits on the bus, into the broker; how much that was."""
    url = world.amqp_url.replace("guest:guest@", "")  # a command line is no place for a password
    return json.loads(world.bus.run("move", "--to", url, "--json"))["moved"]


@ON_BUS
def test_from_the_bus_to_rabbitmq(world, broker):
    """What waits on the bus is moved into the broker, and counted there, each exactly once."""
    start_all(world)
    read_many(world, 3)
    world.wait_reads("10000", 3)
    world.stop_vips()
    read_many(world, 50)
    stop_all(world)

    world.make_vhost(broker)
    world.carrier = RABBITMQ
    assert move(world) == 50
    assert world.queue_length(QUEUE) == 50
    assert move(world) == 0  # nothing was left

    start_all(world)
    read_many(world, 2)
    world.wait_reads("10000", 55)
    assert world.queue_length(f"{QUEUE}.dead") in (None, 0)


@ON_BUS
def test_from_the_bus_to_rabbitmq_one_service_after_the_other(world, broker):
    """Nobody has to stop reading: what comes to the bus meanwhile is moved as well."""
    start_all(world)
    world.make_vhost(broker)
    world.stop_vips()
    read_many(world, 20)
    move(world)
    world.carrier = RABBITMQ
    for vip in world.start_vips(2):
        vip.wait_healthy()
    world.wait_reads("10000", 20)
    read_many(world, 20)  # accountservice is still on the bus
    assert world.account.stop() == 0, world.account.output()
    world.start_account().wait_healthy()
    move(world)
    read_many(world, 20)
    world.wait_reads("10000", 60)


def test_from_rabbitmq_to_the_bus(world, own_broker):
    """The broker is gone. What waits for it in accountservice's outbox arrives over the bus."""
    own_broker.start(die_with_parent=True)
    world.make_vhost(own_broker)
    start_all(world)
    read_many(world, 3)
    world.wait_reads("10000", 3)
    own_broker.stop()
    read_many(world, 50)
    for service in (world.account, world.config, *world.vips):  # it cannot be emptied
        world.kill(service)
    world.vips = []

    world.carrier = BUS
    start_all(world)
    read_many(world, 2)
    world.wait_reads("10000", 55)
    assert world.get("/health").json()["status"] == "UP"


def test_from_rabbitmq_to_the_bus_after_a_stop(world, own_broker):
    """The same when accountservice was asked to stop, which keeps what it could not send."""
    own_broker.start(die_with_parent=True)
    world.make_vhost(own_broker)
    world.start_config()
    world.start_account(shutdown_timeout="1s")
    world.wait_healthy()
    own_broker.stop()
    eventually(lambda: world.get("/health").status_code == 503, 30)
    read_many(world, 10)
    assert world.account.stop() == 0, world.account.output()

    world.carrier = BUS
    world.start_account()
    world.start_vips(1)
    world.wait_healthy()
    world.wait_reads("10000", 10)

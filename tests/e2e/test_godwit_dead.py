# SPDX-License-Identifier: MIT
"""godwit dead: what an operator does with messages that a service gave up; pika is the other peer."""
import json
import os
import subprocess

import pika
import pytest

import processes
from world import HOST, eventually

QUEUE, DEAD = "vip_queue", "vip_queue.dead"
NOTIFICATION = {"accountId": "10000", "readAt": "2026-11-22T10:42:13.667108584Z"}


class Godwit:
    """The program, run to its end."""

    def __init__(self, world):
        self.world = world
        self.url = world.broker and world.amqp_url

    def run(self, *arguments, url=True, text=True):
        """(status, standard output, standard error)"""
        env = self.world.environment(amqp_server_url=self.url if url is True else url)
        done = subprocess.run([os.path.join(self.world.programs, "godwit"), "dead", *arguments],
                              env=env, cwd=self.world.directory, capture_output=True, text=text,
                              timeout=60, check=False)
        return done.returncode, done.stdout, done.stderr

    def good(self, *arguments, **options):
        """The standard output of a run that must succeed and complain of nothing."""
        code, out, err = self.run(*arguments, **options)
        assert code == 0 and not err, (code, out, err)
        return out

    def ids(self):
        """Message ids in the order of the list."""
        return [json.loads(line)["id"] for line in self.good("list", QUEUE, "--json").splitlines()]


@pytest.fixture
def godwit(world):
    """The program with this test's broker in its environment."""
    return Godwit(world)


@pytest.fixture
def letters(world):
    """Five dead letters, id-1 to id-5, and their work queue, without a service."""
    with world.channel() as channel:
        for queue in (QUEUE, DEAD):
            channel.queue_declare(queue, durable=True)
        channel.confirm_delivery()
        for number in range(1, 6):
            headers = {"x-godwit-reason": f"reason {number}", "x-godwit-attempts": number,
                       "x-godwit-time": NOTIFICATION["readAt"], "x-godwit-queue": QUEUE, "mine": "kept"}
            channel.basic_publish("", DEAD, json.dumps(NOTIFICATION), pika.BasicProperties(
                message_id=f"id-{number}", headers=headers, delivery_mode=2,
                content_type="application/json"), mandatory=True)
    return world


def test_a_rejected_message(world, godwit):
    """From the service that gives it up to the hands of the next who takes it."""
    world.start_config()
    vip, = world.start_vips(1)
    world.wait_healthy()
    world.send("hello\x1b[2J", message_id="bad-1", headers={"mine": 7}, type="greeting")
    eventually(lambda: world.queue_length(DEAD) == 1, what="the dead letter")
    head, line = godwit.good("list", QUEUE).splitlines()
    assert head.split() == ["NUMBER", "MESSAGE", "ID", "TIME", "ATTEMPTS", "SIZE", "REASON"]
    assert line.split()[:2] == ["1", "bad-1"] and "not JSON" in line and "\x1b" not in line
    page = godwit.good("show", QUEUE, "bad-1")
    assert "hello\\x1b[2J" in page and "\x1b" not in page
    for part in ("not JSON", "x-godwit-time", f"x-godwit-queue     {QUEUE}", "greeting"):
        assert part in page
    assert godwit.good("show", QUEUE, "1", "-body") == "hello\x1b[2J"
    assert world.queue_length(DEAD) == 1
    vip.ask_to_stop()
    assert vip.wait_end() == 0
    assert "put back 1 message, 0 left" in godwit.good("putback", QUEUE, "bad-1")
    properties, body = world.take(QUEUE)
    assert body == b"hello\x1b[2J" and properties.message_id == "bad-1"
    assert properties.headers == {"mine": 7} and properties.type == "greeting"
    assert world.queue_length(DEAD) == 0


def test_put_back_and_handled(letters, godwit):
    letters.start_config()
    letters.start_vips(1)
    letters.wait_healthy()
    assert "put back 5 messages, 0 left" in godwit.good("putback", QUEUE, "--all")
    letters.wait_reads("10000", 5)
    assert letters.queue_length(DEAD) == 0


def test_list_leaves_the_order(letters, godwit):
    wanted = [f"id-{number}" for number in range(1, 6)]
    assert godwit.ids() == wanted
    assert godwit.ids() == wanted
    assert letters.queue_length(DEAD) == 5
    code, out, err = godwit.run("list", QUEUE, "--limit", "2")
    assert code == 0 and out.count("id-") == 2 and "first 2 of 5" in err


def test_drop_one(letters, godwit):
    assert "dropped 1 message, 4 left" in godwit.good("drop", QUEUE, "id-3")
    assert godwit.ids() == ["id-1", "id-2", "id-4", "id-5"]
    code, out, err = godwit.run("drop", QUEUE, "id-3", "id-1")
    assert code == 1 and "dropped 1 message, 3 left" in out and "'id-3'" in err
    assert [letters.take(DEAD)[0].message_id for _ in range(3)] == ["id-2", "id-4", "id-5"]


def test_put_back_some(letters, godwit):
    godwit.good("putback", QUEUE, "id-4", "id-2", "--json")
    taken = [letters.take(QUEUE)[0] for _ in range(2)]
    assert [properties.message_id for properties in taken] == ["id-2", "id-4"]
    assert all(properties.headers == {"mine": "kept"} for properties in taken)
    assert godwit.ids() == ["id-1", "id-3", "id-5"]


def test_export_is_json_on_each_line(letters, godwit):
    letters.send(b"\x00\xff", DEAD, message_id="binary")
    letters.send("two\nlines \u202e", DEAD, headers={"deep": {"list": [1, None, {"a": True}]}})
    lines = godwit.good("export", QUEUE).splitlines()
    found = [json.loads(line) for line in lines]
    assert len(found) == 7 and "\u202e" not in "".join(lines)
    assert json.loads(found[0]["body"]) == NOTIFICATION
    assert found[0]["properties"]["message_id"] == "id-1"
    assert found[0]["headers"]["x-godwit-attempts"] == 1
    assert found[5]["body_base64"] == "AP8=" and found[5]["size"] == 2
    assert found[6]["body"] == "two\nlines \u202e"
    assert found[6]["headers"] == {"deep": {"list": [1, None, {"a": True}]}}
    assert letters.queue_length(DEAD) == 7
    code, out, _ = godwit.run("show", QUEUE, "binary", "--body", text=False)
    assert code == 0 and out == b"\x00\xff"


def test_dead_letters_of_the_broker(world, godwit):
    """A queue whose dead letters RabbitMQ itself moves."""
    with world.channel() as channel:
        channel.queue_declare(DEAD, durable=True)
        channel.queue_declare(QUEUE, durable=True, arguments={
            "x-dead-letter-exchange": "", "x-dead-letter-routing-key": DEAD})
        channel.confirm_delivery()
        channel.basic_publish("", QUEUE, b"late", pika.BasicProperties(message_id="late"))
        method, _, _ = channel.basic_get(QUEUE)
        channel.basic_reject(method.delivery_tag, requeue=False)
    eventually(lambda: world.queue_length(DEAD) == 1, what="the dead letter")
    assert godwit.good("list", QUEUE).split()[-1] == "rejected"
    godwit.good("putback", QUEUE, "late")
    properties, body = world.take(QUEUE)
    assert body == b"late" and properties.message_id == "late" and not properties.headers


def test_many(world, godwit):
    """More than fit into a round of looking, and twice through the same queue."""
    count = 3000
    with world.channel() as channel:
        for queue in (QUEUE, DEAD):
            channel.queue_declare(queue, durable=True)
        for number in range(count):
            channel.basic_publish("", DEAD, str(number), pika.BasicProperties(message_id=str(number)))
    eventually(lambda: world.queue_length(DEAD) == count, what="all messages")
    lines = godwit.good("list", QUEUE, "--limit", "3000", "--json").splitlines()
    assert [int(json.loads(line)["id"]) for line in lines] == list(range(count))
    assert json.loads(godwit.good("putback", QUEUE, "--all", "--json")) == {"put_back": count, "left": 0}
    assert world.queue_length(QUEUE) == count
    with world.channel() as channel:
        assert [int(channel.basic_get(QUEUE, auto_ack=True)[2]) for _ in range(count)] == list(range(count))


def test_killed_while_it_puts_back(world, godwit):
    """Nothing is lost: each message is in one of the queues, or in both with the same id."""
    count = 5000
    with world.channel() as channel:
        for queue in (QUEUE, DEAD):
            channel.queue_declare(queue, durable=True)
        for number in range(count):
            channel.basic_publish("", DEAD, b"x", pika.BasicProperties(message_id=str(number)))
    eventually(lambda: world.queue_length(DEAD) == count, what="all messages")
    process = subprocess.Popen(
        [os.path.join(world.programs, "godwit"), "dead", "putback", QUEUE, "--all"],
        env=world.environment(amqp_server_url=world.amqp_url), stdout=subprocess.DEVNULL)
    eventually(lambda: world.queue_length(QUEUE) > 0, what="the first one")
    process.kill()
    process.wait(30)
    eventually(lambda: world.queue_length(QUEUE) + world.queue_length(DEAD) >= count,
               what="all messages back")
    eventually(lambda: godwit.good("putback", QUEUE, "--all") and world.queue_length(DEAD) == 0,
               what="an empty queue")
    with world.channel() as channel:
        taken = [properties.message_id for _, properties, _ in
                 iter(lambda: channel.basic_get(QUEUE, auto_ack=True), (None, None, None))]
    assert len(taken) >= count and set(taken) == {str(number) for number in range(count)}


def test_quorum_queues(world, godwit):
    """The same on quorum queues, which count and return in their own way."""
    count = 200
    with world.channel() as channel:
        for queue in (QUEUE, DEAD):
            channel.queue_declare(queue, durable=True, arguments={"x-queue-type": "quorum"})
        channel.confirm_delivery()
        for number in range(count):
            channel.basic_publish("", DEAD, str(number), pika.BasicProperties(message_id=str(number)))
    wanted = [str(number) for number in range(count)]
    assert godwit.ids() == wanted
    godwit.good("drop", QUEUE, "7")
    wanted.remove("7")
    assert godwit.ids() == wanted
    assert json.loads(godwit.good("putback", QUEUE, "--all", "--json")) == {"put_back": count - 1, "left": 0}
    with world.channel() as channel:
        taken = [channel.basic_get(QUEUE, auto_ack=True) for _ in range(count - 1)]
    assert [properties.message_id for _, properties, _ in taken] == wanted
    assert all((properties.headers or {}) in ({}, {"x-delivery-count": 0}) for _, properties, _ in taken)


def test_a_queue_that_is_not_there(world, godwit):
    for command in ("list", "export", "show", "putback", "drop"):
        words = ["x"] if command not in ("list", "export") else []
        code, out, err = godwit.run(command, "nosuch", *words)
        assert code == 1 and not out
        assert "there is no queue 'nosuch.dead'" in err and err.count("\n") == 1
    assert world.queue_length("nosuch.dead") is None and world.queue_length("nosuch") is None


def test_no_broker(world, godwit):
    port, = processes.free_ports(1)
    godwit.url = f"amqp://guest:hidden@{HOST}:{port}/"
    code, out, err = godwit.run("list", QUEUE, "--timeout", "200ms")
    assert code == 1 and not out and err.count("\n") == 1
    assert f"{HOST}:{port}" in err and "refused" in err and "hidden" not in err


def test_a_wrong_password(world, godwit):
    godwit.url = world.url_for("hidden")
    code, _, err = godwit.run("list", QUEUE, "--timeout", "2s")
    assert code == 1 and "login refused for user 'guest'" in err and "hidden" not in err


def test_a_password_in_the_command_line(world, godwit):
    code, _, err = godwit.run("list", QUEUE, "--url", world.url_for("hidden"), url=None)
    assert code == 2 and "GODWIT_AMQP_SERVER_URL" in err and "hidden" not in err
    url = world.amqp_url.replace("guest:guest@", "")
    code, _, err = godwit.run("list", "--url", url, QUEUE, url=None)
    assert code == 1 and "there is no queue" in err


def test_no_url(godwit):
    code, _, err = godwit.run("list", QUEUE, url=None)
    assert code == 2 and "GODWIT_AMQP_SERVER_URL" in err


def test_a_consumer_that_has_the_queue_for_itself(letters, godwit):
    with letters.channel() as channel:
        channel.basic_consume(DEAD, lambda *_: None)
        eventually(lambda: letters.queue_length(DEAD) == 0, what="all messages at the consumer")
        code, out, err = godwit.run("list", QUEUE)
        assert code == 0 and not out and "is empty" in err
    eventually(lambda: letters.queue_length(DEAD) == 5, what="all messages back")
    with letters.channel() as channel:
        channel.basic_qos(prefetch_count=1)
        channel.basic_consume(DEAD, lambda *_: None, exclusive=True)
        eventually(lambda: letters.queue_length(DEAD) == 4, what="one message at the consumer")
        code, out, err = godwit.run("list", QUEUE)
        assert code == 1 and not out and "exclusive" in err and err.count("\n") == 1


def test_a_consumer_that_is_the_active_one(world, godwit):
    """A queue with a single active consumer: we wait in its row, and are given nothing."""
    with world.channel() as channel:
        channel.queue_declare(DEAD, durable=True, arguments={"x-single-active-consumer": True})
        channel.basic_qos(prefetch_count=1)
        channel.basic_consume(DEAD, lambda *_: None)
        for _ in range(3):
            channel.basic_publish("", DEAD, b"x")
        eventually(lambda: world.queue_length(DEAD) == 2, what="one message at the consumer")
        code, out, err = godwit.run("list", QUEUE, "--timeout", "500ms")
        assert code == 1 and not out and "2 messages wait in queue" in err and "gives us none" in err


def test_a_full_disk(letters, godwit):
    with open("/dev/full", "w", encoding="utf-8") as full:
        env = letters.environment(amqp_server_url=letters.amqp_url)
        done = subprocess.run([os.path.join(letters.programs, "godwit"), "dead", "export", QUEUE],
                              env=env, stdout=full, stderr=subprocess.PIPE, text=True, timeout=60,
                              check=False)
    assert done.returncode == 1 and "standard output cannot be written" in done.stderr
    assert letters.queue_length(DEAD) == 5

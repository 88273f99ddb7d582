# SPDX-License-Identifier: MIT
"""What the programs log: its form, its level, and what must not be in it."""
import json
import os
import re
import signal
import time

import processes
from world import HOST, MESSAGE, eventually

SECRET = "wr0ng-s3cret"


def log_lines(service):
    """What it wrote to its log; a vipservice's messages are not logged, but printed."""
    return [line for line in service.output().splitlines() if not line.startswith(MESSAGE)]


def test_json_logs_are_an_object_a_line(world):
    """From the first line to the last, also with text in it that needs escapes."""
    world.start_config(log_format="json")
    world.start_account(log_format="json", log_level="debug", access_log="true",
                        server_name='quoted "name" \\ and \ttab, \u00e4')
    world.start_vips(1, log_format="json")
    world.wait_healthy()
    world.read("10000")
    world.send(b'no "JSON"\n\x1b[1m \xff', message_id='id "with" \\ quotes')
    world.take("vip_queue.dead")
    world.wait_messages(1)
    services = [world.account, *world.vips, world.config]
    for service in services:
        assert service.stop() == 0, service.output()
    for service in services:
        lines = log_lines(service)
        entries = [json.loads(line) for line in lines]
        assert entries and all(isinstance(entry, dict) for entry in entries)
        keys = {frozenset(entry) for entry in entries}
        assert len(keys) == 1, keys
        assert "stopped" in lines[-1]
    name = [entry for entry in map(json.loads, log_lines(world.account))
            if any('quoted "name" \\ and' in str(value) for value in entry.values())]
    assert len(name) == 1


def test_no_log_shows_a_password(world):
    """The broker refuses it: that is said, with all a debug log has, and without the password."""
    url = world.url_for(SECRET)
    world.write_config("application.yml", world.read_config("application.yml").replace(
        '"bus:bus"', url))
    world.start_config(amqp=url, log_level="debug")
    world.start_account(amqp_server_url=None, log_level="debug")
    world.start_vips(1, amqp_server_url=None, log_level="debug", log_format="json")
    services = [world.config, world.account, *world.vips]
    for service in services:
        service.wait_lines("(?i)refused.*guest|guest.*refused", timeout_s=30)
        service.wait_lines("serving HTTP")
    shown = [service.output() for service in services]
    for service in services[1:]:
        shown += [world.get(path, service.port).text for path in ("/health", "/health/ready")]
    shown.append(world.get("/metrics").text)
    for pid in processes.marked(world.directory):
        with open(f"/proc/{pid}/cmdline", encoding="utf-8", errors="replace") as words:
            shown.append(words.read())
    assert not [text for text in shown if SECRET in text]
    # A change of the URL is told as well.
    world.write_config("application.yml", world.read_config("application.yml").replace(
        url, f"amqp://guest:{SECRET}@{HOST}:99999/"))
    world.post_monitor("application.yml")
    os.kill(world.account.pid, signal.SIGHUP)  # the refresh event cannot come over this broker
    world.account.wait_lines("'amqp_server_url' has changed")
    for service in services:
        service.stop()
        world.expect_failure(service)
        assert SECRET not in service.output()


def test_the_log_level_follows_the_configuration(world):
    """To debug, then to warn, by commits and /monitor; the process stays the same."""
    world.start_config()
    vip, = world.start_vips(1)
    world.wait_healthy()
    note = json.dumps({"accountId": "10000", "readAt": "2026-01-01T00:00:00Z"})
    plain = world.read_config("application.yml")

    def send_twice(name):
        """The second one is worth a debug line to a vipservice, and no other."""
        for _ in range(2):
            world.send(note, message_id=name)

    def sent_and_told():
        send_twice("again")
        return vip.matching("DEBUG.*again was counted before")

    send_twice("first")
    send_twice("last")  # handled in order: by its count the first ones have been
    world.wait_reads("10000", 2)
    assert not vip.matching("DEBUG")

    world.write_config("application.yml", plain + "log_level: debug\n")
    world.post_monitor("application.yml")
    eventually(sent_and_told, 15, "a debug line")

    world.write_config("application.yml", plain + "log_level: warn\n")
    world.post_monitor("application.yml")

    def silent():
        """No line of two duplicates, the second of which shows that the first is done with."""
        before = len(log_lines(vip))
        name = f"silent-{before}-{time.monotonic_ns()}"
        send_twice(name)
        world.send(b"no JSON", message_id=name)  # a warning, in any case: what came before is out
        eventually(lambda: [line for line in log_lines(vip)[before:] if "vip_queue.dead" in line])
        return not [line for line in log_lines(vip)[before:] if "DEBUG" in line]

    eventually(silent, 15, "no debug line")
    assert not [line for line in log_lines(vip)[-1:] if re.search("DEBUG|INFO", line)]
    assert vip.exit_code is None

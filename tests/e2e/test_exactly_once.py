# SPDX-License-Identifier: MIT
"""The same message twice counts once, whichever instance gets it."""
import json
import re

from world import ON_BOTH, RABBITMQ, eventually

NOTE = json.dumps({"accountId": "10000", "readAt": "2026-01-01T00:00:00Z"})


def duplicates(world, vip):
    """How many notifications this instance was given that had been counted before."""
    text = world.get("/metrics", vip.port).text
    return int(re.search(r"^godwit_vip_duplicates_total (\d+)", text, re.M)[1])


@ON_BOTH
def test_the_same_message_to_both_instances_counts_once(running, carrier):
    for _ in range(6):  # from RabbitMQ in turn: each instance gets it three times
        running.send(NOTE, message_id="the-one")
    running.send(NOTE, message_id="another")
    running.wait_reads("10000", 2)
    assert len(running.messages()) == 2
    # Five were known already; each instance met some of them.
    eventually(lambda: sum(duplicates(running, vip) for vip in running.vips) == 5)
    if carrier == RABBITMQ:
        assert min(duplicates(running, vip) for vip in running.vips) >= 2


@ON_BOTH
def test_it_is_remembered_across_restarts(running):
    running.send(NOTE, message_id="the-one")
    running.wait_messages(1)
    running.stop_vips()
    vip, = running.start_vips(1)
    vip.wait_healthy()
    running.send(NOTE, message_id="the-one")
    eventually(lambda: duplicates(running, vip) == 1)
    assert running.vips_of("10000")["reads"] == 1


def test_without_an_id_the_content_tells(running):
    """As from a client that sets none, such as the original. On the bus every message has one."""
    for _ in range(4):
        running.send(NOTE)
    running.send(NOTE.replace("00Z", "01Z"))
    running.wait_reads("10000", 2)


@ON_BOTH
def test_an_id_that_is_no_good_is_dealt_with(running):
    """Ids of 255 bytes, with quotes and other bytes: whatever a peer may set."""
    ids = ["x" * 255, '"}\\', "\x01\x7f\n", "ümlaut"]
    for name in ids:
        running.send(NOTE, message_id=name)
        running.send(NOTE, message_id=name)
    running.wait_reads("10000", len(ids))
    assert running.vips_of("10000")["lastMessageId"] in ids

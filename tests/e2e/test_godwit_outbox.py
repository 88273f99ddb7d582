# SPDX-License-Identifier: MIT
"""godwit outbox: what a service has not delivered, seen and changed while it runs and after."""
import json
import os
import subprocess

import pytest

import processes
from world import HOST, eventually

QUEUE = "vip_queue"


@pytest.fixture
def godwit(world):
    """Run a command on accountservice's outbox: (status, standard output, standard error)."""
    directory = os.path.join(world.directory, "outbox")

    def run(command, *arguments):
        done = subprocess.run(
            [os.path.join(world.programs, "godwit"), "outbox", command, directory, *arguments],
            env=world.environment(), cwd=world.directory, capture_output=True, text=True, timeout=60,
            check=False)
        return done.returncode, done.stdout, done.stderr

    run.directory = directory
    return run


def good(result):
    """The standard output of a run that must succeed and complain of nothing."""
    code, out, err = result
    assert code == 0 and not err, result
    return out


def ids(godwit):
    """Ids of what waits, in order."""
    return [json.loads(line)["id"] for line in good(godwit("list", "--json")).splitlines()]


@pytest.fixture
def stranded(world, godwit):
    """accountservice with three notifications and no broker."""
    port, = processes.free_ports(1)
    world.start_config()
    world.start_account(amqp_server_url=f"amqp://guest:guest@{HOST}:{port}/",
                        outbox_dir=godwit.directory)
    eventually(lambda: world.account.matching("serving HTTP"), what="the start")
    for _ in range(3):
        world.read("10000")
    return world


def test_beside_a_service_that_runs(stranded, godwit):
    head, titles, *lines = good(godwit("list")).splitlines()
    assert head == f"3 waiting, 0 dead, 0 damaged; process {stranded.account.pid} uses it"
    assert titles.split()[0] == "NUMBER" and len(lines) == 3
    assert all(line.split()[1] == "waiting" and line.split()[3] == QUEUE for line in lines)
    first, second, third = ids(godwit)
    page = good(godwit("show", second))
    assert '"accountId":"10000"' in page and f"queue              {QUEUE}" in page
    assert json.loads(good(godwit("show", second, "--body")))["accountId"] == "10000"
    assert good(godwit("drop", second)) == "dropped 1 message\n"
    assert ids(godwit) == [first, third]
    exported = [json.loads(line) for line in good(godwit("export")).splitlines()]
    assert [entry["properties"]["message_id"] for entry in exported] == [first, third]
    assert all(entry["part"] == "waiting" and entry["queue"] == QUEUE for entry in exported)
    code, out, err = godwit("drop", second)
    assert code == 1 and out == "dropped 0 messages\n" and second in err
    assert stranded.get("/health/live").status_code == 200


def test_after_a_service_that_was_killed(stranded, godwit):
    first, second, third = ids(godwit)
    stranded.kill(stranded.account)
    assert good(godwit("list")).startswith("3 waiting, 0 dead, 0 damaged; no process uses it\n")
    assert good(godwit("drop", first)) == "dropped 1 message\n"
    assert ids(godwit) == [second, third]
    stranded.start_account(outbox_dir=godwit.directory)
    stranded.account.wait_healthy()
    assert [stranded.take(QUEUE)[0].message_id for _ in range(2)] == [second, third]
    eventually(lambda: good(godwit("list")).startswith("0 waiting, 0 dead"), what="an empty outbox")


def test_no_outbox(world, godwit):
    code, out, err = godwit("list")
    assert code == 1 and not out and f"there is no outbox in {godwit.directory}" in err

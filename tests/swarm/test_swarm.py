# SPDX-License-Identifier: MIT
"""What the original shows on a swarm, and more: it is broken and changed while readers read."""
import collections
import os

import requests

from estate_of_swarm import REPLICAS, VIP
from swarm_stack import STACK_FILE
from world import eventually

DEPLOYED = os.path.dirname(STACK_FILE)
CONFIGURED = "config/accountservice-test.yml"
NEW_VIP = "10002"
GROUP = 8  # reads that are looked at together


def test_every_container_is_healthy(estate):
    """Each image's own HEALTHCHECK, as the engine tells it; none runs as root."""
    for service, (running, wanted) in estate.deployment.replicas().items():
        containers = estate.containers(service)
        assert len(containers) == running == wanted == REPLICAS.get(service, 1)
        for container in containers:
            assert estate.health(container) == "healthy", service
            user = estate.docker("inspect", "--format", "{{.Config.User}}", container).strip()
            assert user.split(":")[0] not in ("", "0", "root"), service


def test_an_account_is_read_and_its_notification_printed(estate):
    """The original's walk: read through the swarm, then look into vipservice's log."""
    assert estate.account("10001")["name"] == "Person_1"
    before = sum(len(found) for found in estate.printed().values())
    found = estate.account()
    assert (found["id"], found["name"]) == (VIP, "Person_0")
    printed = eventually(lambda: sum(len(f) for f in estate.printed().values()) > before, 30,
                         "a notification in the log of vipservice")
    assert printed
    estate.check()


def test_two_vipservices_share_four_messages(estate):
    """docker service scale vipservice=2: two and two."""
    estate.scale("vipservice", 1)
    estate.account()
    estate.check()
    estate.scale("vipservice", 2)
    before = estate.printed()
    for _ in range(4):
        estate.account()
    estate.check()

    def more():
        return sorted(len(found) - len(before.get(task, []))
                      for task, found in estate.printed().items()
                      if len(found) > len(before.get(task, [])))

    eventually(lambda: sum(more()) == 4, 30, "four notifications in the log")
    assert more() == [2, 2]


def test_three_accountservices_share_the_load(estate):
    """docker service scale accountservice=3: readers are served by three, and by all alike."""
    estate.scale("accountservice", 3)
    served = collections.Counter()

    def spread():
        served.clear()
        served.update(estate.account("10001")["servedBy"] for _ in range(GROUP * 3))
        return len(served) == 3

    eventually(spread, 30, "three that serve")
    assert min(served.values()) >= GROUP // 2, served


def kill_one(estate, service):
    """SIGKILL to a container; returns when another one is healthy in its place."""
    victim = estate.containers(service)[0]
    estate.docker("kill", "--signal", "KILL", victim)
    eventually(lambda: victim not in estate.containers(service), 30, "the container being gone")
    eventually(lambda: len(estate.containers(service)) == REPLICAS[service], 60,
               f"another container of {service}")
    estate.wait_whole()


def test_an_accountservice_is_killed(estate):
    """Readers see no error: the gateway asks another one. Its outbox waits for the next."""
    before = estate.retried()
    with estate.readers() as readers:
        readers.wait_answered(200)
        kill_one(estate, "accountservice")
        readers.wait_answered(200)
    estate.check(readers, retried_before=before)


def test_a_vipservice_is_killed(estate):
    """What it had not acknowledged goes to the other one, and counts once."""
    with estate.readers() as readers:
        readers.wait_answered(200)
        kill_one(estate, "vipservice")
        readers.wait_answered(200)
    estate.check(readers)


def test_both_are_updated(estate):
    """A rolling update of all replicas of one, and then of the other."""
    before = estate.retried()
    with estate.readers() as readers:
        readers.wait_answered(100)
        for service in ("accountservice", "vipservice"):
            old = set(estate.containers(service))
            assert estate.update(service, "--force") == "completed"
            assert not old & set(estate.containers(service)), f"{service} was not replaced"
            readers.wait_answered(100)
    estate.check(readers, retried_before=before)


def test_a_bad_update_is_rolled_back(estate):
    """A flag that no program knows: the first replica fails, and the old state comes back by itself."""
    before = estate.retried()
    spec = estate.spec("accountservice")
    with estate.readers() as readers:
        readers.wait_answered(100)
        ended = estate.update("accountservice", "--args", "-noSuchFlag")
        assert ended == "rollback_completed"
        estate.wait_whole()
        readers.wait_answered(100)
    assert estate.spec("accountservice") == spec
    estate.check(readers, retried_before=before)


def test_an_update_that_is_never_healthy_is_rolled_back(estate):
    """A container that runs and does not serve is as bad as one that ends."""
    before = estate.retried()
    with estate.readers() as readers:
        readers.wait_answered(100)
        ended = estate.update("accountservice", "--env-add", "GODWIT_SERVER_PORT=6999",
                              "--health-retries", "1", "--health-start-period", "1ms")
        assert ended == "rollback_completed"
        estate.wait_whole()
        readers.wait_answered(100)
    estate.check(readers, retried_before=before)


def encrypted(estate, text):
    """{cipher} of the text, with the stack's configuration key, which only the swarm knows.

    In a service of its own, since nothing but a service is given a secret.
    """
    return estate.in_service("godwit", ["config_key"], "config", "encrypt", "--key-file",
                             "/run/secrets/config_key", text)


def test_a_changed_configuration_reaches_all_replicas(estate, tmp_path):
    """Another VIP, encrypted: deployed with the stack's files, then all are told over the bus."""
    with open(os.path.join(DEPLOYED, CONFIGURED), encoding="utf-8") as file:
        text = file.read()
    old_line = 'vip_accounts: ["10000"]'
    assert old_line in text
    line = f'vip_accounts: "{encrypted(estate, NEW_VIP)}"'
    before = {service: set(estate.containers(service)) for service in REPLICAS}
    estate.deployment.deploy_changed(tmp_path, {CONFIGURED: text.replace(old_line, line)})
    eventually(lambda: estate.update_status("configserver").get("State") == "completed", 90,
               "the update of configserver")
    estate.wait_whole()
    answer = requests.post(f"{estate.config_url}/actuator/busrefresh", timeout=30)
    assert answer.status_code == 204, answer.text

    def all_know():
        """Of as many reads in turn as there are replicas, and more, each is counted."""
        counted = estate.counted(NEW_VIP)
        for _ in range(GROUP):
            estate.account(NEW_VIP)
        try:
            return eventually(lambda: estate.counted(NEW_VIP) == counted + GROUP, 3)
        except AssertionError:
            return False

    eventually(all_know, 60, "all replicas notifying of the new VIP")
    counted = estate.counted()
    for _ in range(GROUP):
        estate.account(count=False)
    assert all_know()
    assert estate.counted() == counted, "the old VIP is still one"
    assert {service: set(estate.containers(service)) for service in REPLICAS} == before, \
        "a replica was restarted for it"


def test_what_is_not_for_everybody_is_not_published(estate):
    """The gateway passes events on to configserver, and gives nobody the configuration."""
    for path in ("/accountservice/test", "/metrics", "/encrypt/status", "/health"):
        assert requests.get(f"{estate.config_url}{path}", timeout=30).status_code == 404, path
    answer = requests.post(f"{estate.config_url}/decrypt", data="x", timeout=30)
    assert answer.status_code == 404


def test_the_books_are_right(estate):
    """At the end: no read that was answered is missing, and none came later."""
    estate.check()

# SPDX-License-Identifier: MIT
"""What the original shows on a swarm, and more: it is broken and changed while readers read."""
import collections

import requests

from estate_of_swarm import REPLICAS, VIP
from world import eventually

CONFIGURED = "config/accountservice-test.yml"
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
    estate.check(readers, retried=estate.retried() - before)


def test_a_vipservice_is_killed(estate):
    """What it had not acknowledged goes to the other one, and counts once."""
    with estate.readers() as readers:
        readers.wait_answered(200)
        kill_one(estate, "vipservice")
        readers.wait_answered(200)
    estate.check(readers)


def test_both_are_updated(estate):
    """A rolling update, with a changed environment, of one and then of the other."""
    before = estate.retried()
    with estate.readers() as readers:
        readers.wait_answered(100)
        for service in ("accountservice", "vipservice"):
            old = set(estate.containers(service))
            estate.update(service, "--env-add", "GODWIT_LOG_FORMAT=text")
            assert estate.update_state(service) == "completed"
            assert not old & set(estate.containers(service)), f"{service} was not replaced"
            readers.wait_answered(100)
    estate.check(readers, retried=estate.retried() - before)


def test_a_bad_update_is_rolled_back(estate):
    """A flag that no program knows: the first replica fails, and the old state comes back by itself."""
    before = estate.retried()
    spec = estate.spec("accountservice")
    with estate.readers() as readers:
        readers.wait_answered(100)
        estate.update("accountservice", "--args", "-noSuchFlag")
        assert estate.update_state("accountservice") == "rollback_completed"
        estate.wait_whole()
        readers.wait_answered(100)
    assert estate.spec("accountservice") == spec
    estate.check(readers, retried=estate.retried() - before)


def test_an_update_that_is_never_healthy_is_rolled_back(estate):
    """A container that runs and does not serve is as bad as one that ends."""
    before = estate.retried()
    with estate.readers() as readers:
        readers.wait_answered(100)
        estate.update("accountservice", "--env-add", "GODWIT_SERVER_PORT=6999",
                      "--health-retries", "1", "--health-start-period", "0s")
        assert estate.update_state("accountservice") == "rollback_completed"
        estate.wait_whole()
        readers.wait_answered(100)
    estate.check(readers, retried=estate.retried() - before)


def encrypted(estate, text):
    """{cipher} with the stack's configuration key, which is in configserver's secret alone."""
    return text


def test_a_changed_configuration_reaches_all_replicas(estate, tmp_path):
    """Another VIP: deployed with the stack's files, then every replica is told over the bus."""
    estate.scale("accountservice", 2)
    text = open(f"deploy/swarm/{CONFIGURED}", encoding="utf-8").read()
    assert 'vip_accounts: ["10000"]' in text
    old = {service: set(estate.containers(service)) for service in REPLICAS}
    estate.deployment.deploy_changed(tmp_path, {
        CONFIGURED: text.replace('vip_accounts: ["10000"]', 'vip_accounts: ["10002"]')})
    config = estate.deployment.service("configserver")
    eventually(lambda: estate.update_state("configserver") == "completed", 90,
               f"the update of {config}")
    estate.wait_whole()
    answer = requests.post(f"{estate.config_url}/actuator/busrefresh", timeout=30)
    assert answer.status_code == 204, answer.text

    def all_know():
        """In a row longer than there are replicas, each read of the new VIP is counted."""
        before = estate.counted("10002")
        for _ in range(GROUP):
            estate.account("10002")
        eventually(lambda: estate.counted("10002") >= before, 10)
        return True

    eventually(all_know, 30)
    before = estate.counted("10002")
    for _ in range(GROUP):
        estate.account("10002")
    eventually(lambda: estate.counted("10002") == before + GROUP, 30, "all replicas notifying")
    assert {service: set(estate.containers(service)) for service in REPLICAS} == old, \
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

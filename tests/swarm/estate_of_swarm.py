# SPDX-License-Identifier: MIT
"""The stack as its users and its operator see it: published ports, and the docker command."""
import collections
import json
import re

import requests

from readers import Readers
from swarm_stack import TASK_LABEL
from world import MESSAGE, eventually

VIP = "10000"
REPLICAS = {"accountservice": 2, "vipservice": 2}
HEALED_S = 90
UPDATED_S = 240
UNDER_WAY = ("updating", "rollback_started")


class SwarmEstate:
    """A Deployment, and the books over all that was read from it."""

    def __init__(self, deployment):
        self.deployment = deployment
        self.docker = deployment.docker
        self.account_url = f"http://127.0.0.1:{deployment.ports['ACCOUNT_PORT']}"
        self.vip_url = f"http://127.0.0.1:{deployment.ports['VIP_PORT']}"
        self.config_url = f"http://127.0.0.1:{deployment.ports['CONFIG_PORT']}"
        self._answered = 0  # reads of the VIP, of all tests
        self._unchecked = None  # the readers of a test that has not checked the books yet

    # ---- the users' side ----

    def account(self, number=VIP, count=True):
        """An account, read once. `count`: if it is the VIP, this is to be counted."""
        answer = requests.get(f"{self.account_url}/accounts/{number}", timeout=30)
        assert answer.status_code == 200, answer.text
        if number == VIP and count:
            self._answered += 1
        return answer.json()

    def readers(self, count=4, rate=200):
        """Readers of the VIP through the gateway."""
        self._unchecked = Readers([self.deployment.ports["ACCOUNT_PORT"]], count=count, rate=rate)
        return self._unchecked

    def counted(self, number=VIP):
        """How often vipservice says that the account was read."""
        answer = requests.get(f"{self.vip_url}/vips/{number}", timeout=30)
        assert answer.status_code in (200, 404), answer.text
        return answer.json()["reads"] if answer.status_code == 200 else 0

    def counted_in_list(self):
        """The same from the list of all."""
        answer = requests.get(f"{self.vip_url}/vips", timeout=30)
        assert answer.status_code == 200, answer.text
        return {row["accountId"]: row["reads"] for row in answer.json()}.get(VIP, 0)

    # ---- the operator's side ----

    def replicas(self, service):
        """(running, wanted)."""
        return self.deployment.replicas()[service]

    def containers(self, service):
        """The ids of the containers that run for a service."""
        return self.docker("ps", "-q", "--no-trunc", "--filter", "status=running", "--filter",
                           f"label={TASK_LABEL}={self.deployment.service(service)}").split()

    def health(self, container):
        """What the engine says of the container's health check."""
        return self.docker("inspect", "--format", "{{.State.Health.Status}}", container).strip()

    def wait_whole(self, timeout_s=HEALED_S):
        """Every service has all its replicas, and they are healthy."""
        self.deployment.wait_healthy(timeout_s)

    def make_whole(self):
        """As deployed, whatever the test before did or left."""
        found = self.deployment.replicas()
        for service, wanted in REPLICAS.items():
            if found[service][1] != wanted:
                self.scale(service, wanted)
        self.wait_whole()
        if self._unchecked:  # of a test that has failed: its reads are no fault of the next one's
            self._unchecked = None
            self._answered = self.counted()

    def scale(self, service, count):
        """docker service scale; returns when all are healthy, and those that are too many gone."""
        self.docker("service", "scale", "--detach", f"{self.deployment.service(service)}={count}")
        self.wait_whole()
        eventually(lambda: len(self.containers(service)) == count, HEALED_S,
                   f"{count} containers of {service}")

    def update(self, service, *options):
        """docker service update; returns how it ended, when it or its rollback has converged."""
        before = self.update_status(service).get("StartedAt")
        self.docker("service", "update", "--detach", "--no-resolve-image", *options,
                    self.deployment.service(service))

        def ended():
            status = self.update_status(service)
            return status.get("StartedAt") != before and status["State"] not in UNDER_WAY

        eventually(ended, UPDATED_S, f"the end of the update of {service}")
        return self.update_status(service)["State"]

    def in_service(self, image, secrets, *arguments):
        """What a program prints that runs once, in a service of its own that has these secrets."""
        name = self.deployment.service("once")
        given = [part for secret in secrets for part in
                 ("--secret", f"source={self.deployment.prefix}_{secret},target={secret}")]
        self.docker("service", "create", "--name", name, "--mode", "replicated-job",
                    "--no-resolve-image", *given, f"godwit/{image}:{self.deployment.tag}",
                    *arguments)
        try:
            return self.docker("service", "logs", "--raw", name).strip()
        finally:
            self.docker("service", "rm", name)

    def update_status(self, service):
        """Of the last update: when it began, and how far it is."""
        text = self.docker("service", "inspect", "--format", "{{json .UpdateStatus}}",
                           self.deployment.service(service))
        return json.loads(text) or {}

    def spec(self, service):
        """What the service is to be."""
        return json.loads(self.docker("service", "inspect", "--format", "{{json .Spec}}",
                                      self.deployment.service(service)))

    def printed(self):
        """Of the notifications that vipservices printed: {task: [account ids]}."""
        found = collections.defaultdict(list)
        for line in self.docker("service", "logs", "--no-trunc", "--raw=false",
                                self.deployment.service("vipservice"), both=True).splitlines():
            task, _, text = line.partition("|")
            if MESSAGE in text:
                body = json.loads(text.partition(MESSAGE)[2])
                found[task.strip()].append(body["accountId"])
        return found

    def retried(self):
        """How many reads the gateway has tried more than once, so that one may be counted twice."""
        log = self.docker("service", "logs", "--raw", self.deployment.service("gateway"), both=True)
        found = re.findall(r" accounts/\S+ \S+ \d+ \d+ .* \d+/\d+/\d+/\d+/\+?(\d+) ", log)
        return sum(int(times) for times in found)

    # ---- the books ----

    def check(self, readers=None, retried_before=None):
        """Nothing lost and nothing doubled, of this and of all tests before.

        A read that the gateway tried again may have been accepted by the replica that died, whose
        answer never came: at most so many more may be counted. `retried_before` is retried() at the
        start, of a test in which that may be.
        """
        self._unchecked = None
        answered = self._answered + (readers.answered if readers else 0)
        try:
            eventually(lambda: self.counted() >= answered, HEALED_S, f"{answered} being counted")
        finally:
            counted = self._answered = self.counted()  # from here on to the very number
            books = f"{answered} answered, {counted} counted; {readers}"
            print(books)
        if retried_before is None:
            assert counted == answered, books
        else:
            eventually(lambda: counted <= answered + self.retried() - retried_before, 10,
                       f"a reason for what was counted twice in the gateway's log ({books})")
        assert self.counted_in_list() == counted
        if readers:
            assert not readers.errors, readers.errors[:3]
            bad = readers.undecided, readers.absent, readers.refused, readers.unserved
            assert not any(bad), f"a reader saw an error: {readers}"

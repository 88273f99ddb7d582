# SPDX-License-Identifier: MIT
"""script/up --once: the main job without a person, each step shown and checked."""
import json
import time

from service import http_request
from system import change_vip_accounts

MESSAGE = "Got a message: "
VIP, ORDINARY, UNKNOWN = "10000", "10001", "99999"
REFRESH_TIMEOUT_S = 10


class WalkError(Exception):
    """A step did not happen; the text says which and what happened instead."""


def read_account(system, account_id, status=200):
    """GET one account; WalkError unless it answers with the status."""
    got, body = http_request(system.layout.account, "GET", f"/accounts/{account_id}")
    if got != status:
        raise WalkError(f"GET /accounts/{account_id} answered {got}, not {status}: {body}")
    return body.strip()


def messages(system):
    """{vipservice: [notification]} of what they have printed so far."""
    found = {}
    for vip in system.vips:
        lines = vip.matching(MESSAGE)
        found[vip.name] = [json.loads(line.partition(MESSAGE)[2]) for line in lines]
    return found


def count_of(system):
    """How many notifications all vipservices have printed."""
    return sum(len(found) for found in messages(system).values())


def wait_messages(system, count, timeout_s=10.0):
    """Wait until so many were printed; returns whether that happened."""
    deadline = time.monotonic() + timeout_s
    while count_of(system) < count:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def read_the_vip_account(system, progress):
    """Twice as many reads as vipservices: each must print two of them, from RabbitMQ, which deals
    in turn. From the bus, the one that is awake first takes more."""
    reads = 2 * len(system.vips)
    for _ in range(reads):
        body = read_account(system, VIP)
    progress(f"read the VIP account {VIP} {reads} times: {body}")
    wait_messages(system, reads)
    for name, found in messages(system).items():
        for notification in found:
            progress(f"  {name} printed {json.dumps(notification)}")
        if system.rabbit and len(found) != 2:
            raise WalkError(f"{name} printed {len(found)} messages instead of two")
    ids = [n["accountId"] for found in messages(system).values() for n in found]
    if ids != [VIP] * reads:
        raise WalkError(f"the messages printed are of {ids} instead of {reads} times {VIP}")
    return reads


def read_the_others(system, progress):
    """Accounts nobody is told of."""
    progress(f"read an ordinary account: {read_account(system, ORDINARY)}")
    progress(f"read an unknown account: {read_account(system, UNKNOWN, 404)}")


def make_another_vip(system, progress, before):
    """Change the configuration; the running accountservice must follow. Returns the messages."""
    pid = system.account.pid
    name = change_vip_accounts(system.path("config"), [ORDINARY])
    progress(f"committed vip_accounts: [\"{ORDINARY}\"] in {name}")
    status, body = http_request(system.layout.config, "POST", "/monitor",
                                json.dumps({"path": [name]}),
                                {"Content-Type": "application/json"})
    if status != 200 or "accountservice" not in body:
        raise WalkError(f"POST /monitor answered {status}: {body}")
    progress(f"posted to /monitor, which notifies {body.strip()}")

    # A read is announced from the moment the new configuration is in use; until then it is not.
    deadline = time.monotonic() + REFRESH_TIMEOUT_S
    while True:
        read_account(system, ORDINARY)
        if wait_messages(system, before + 1, 0.1):
            break
        if time.monotonic() > deadline:
            raise WalkError(f"{REFRESH_TIMEOUT_S} s after the change, reading {ORDINARY} is not "
                            "announced")
    if system.account.exit_code is not None or system.account.pid != pid:
        raise WalkError("accountservice was restarted")
    progress(f"account {ORDINARY} is VIP now; accountservice still runs as process {pid}")


def check_the_old_vip(system, progress, before):
    """The account that was VIP is none any more. Shown by the order of what arrives."""
    read_account(system, VIP)
    read_account(system, ORDINARY)
    if not wait_messages(system, before + 1):
        raise WalkError(f"reading {ORDINARY} was not announced a second time")
    ids = [n["accountId"] for found in messages(system).values() for n in found]
    if ids.count(VIP) != 2 * len(system.vips):
        raise WalkError(f"reading {VIP} is still announced")
    progress(f"account {VIP} is VIP no more")


def show_the_counts(system, progress):
    """What the vipservices' store says, asked of each of them."""
    answers = set()
    for vip in system.vips:
        status, body = http_request(vip.port, "GET", f"/vips/{VIP}")
        if status != 200 or json.loads(body)["reads"] != 2 * len(system.vips):
            raise WalkError(f"{vip.name} answers {status} {body} for /vips/{VIP}")
        answers.add(body.strip())
    if len(answers) != 1:
        raise WalkError(f"the vipservices disagree: {answers}")
    progress(f"every vipservice answers {answers.pop()}")


def walk(system, progress):
    """The whole of it; WalkError at the first thing that did not happen."""
    before = read_the_vip_account(system, progress)
    read_the_others(system, progress)
    make_another_vip(system, progress, before)
    check_the_old_vip(system, progress, count_of(system))
    show_the_counts(system, progress)

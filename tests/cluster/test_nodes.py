# SPDX-License-Identifier: MIT
"""Nodes of the cluster are killed, paused, stopped and cut off in turn, under load.

After each fault both accountservices publish again within 10 s, a vipservice counts it soon after,
and a change of the configuration reaches everybody; in the end each read is counted once, and no
reader noticed.
"""
from figures import LIMIT_S
from swarm import RATE

RETRY_MAX_S = 30  # between two tries to connect, when nobody answered for long


def in_turn(swarm, rng, is_long):
    """The nodes, first the one that leads the queue; three rounds of them in the long form."""
    nodes = list(swarm.members.nodes)
    for _ in range(3 if is_long else 1):
        rng.shuffle(nodes)
        nodes.sort(key=lambda node: node is not swarm.leader)
        yield from nodes


def number(swarm, node):
    """Of the node, for the table."""
    return swarm.members.nodes.index(node) + 1


def test_killed(swarm, rng, is_long):
    """SIGKILL; each is started again when all goes on without it."""
    for node in in_turn(swarm, rng, is_long):
        lead = ", the leader," if node is swarm.leader else ""
        with swarm.fault(f"node {number(swarm, node)}{lead} is killed"):
            node.kill()
        swarm.members.start(node)
        swarm.members.wait_whole()
    swarm.finish()


def test_paused(swarm, rng, is_long):
    """SIGSTOP until the others have given it up: the kernel takes connections for it all the time.

    Awake, it finds itself alone and restarts by itself, sooner or later; it is restarted here, so
    that it does not do so during the next fault.
    """
    nodes = list(in_turn(swarm, rng, is_long))
    for node in nodes if is_long else nodes[:2]:
        lead = ", the leader," if node is swarm.leader else ""
        with swarm.fault(f"node {number(swarm, node)}{lead} hangs", hung=node):
            node.pause()
        swarm.members.wait_given_up(node)
        with swarm.fault(f"node {number(swarm, node)} goes on"):
            node.resume()
        node.kill()
        swarm.members.start(node)
        swarm.members.wait_whole()
    swarm.finish()


def test_restarted_in_order(swarm, rng, is_long):
    """As for an upgrade: one after the other is stopped and started."""
    for node in in_turn(swarm, rng, is_long):
        lead = ", the leader," if node is swarm.leader else ""
        with swarm.fault(f"node {number(swarm, node)}{lead} is stopped"):
            node.stop()
        swarm.members.start(node)
        swarm.members.wait_whole()
    swarm.finish()


def test_leader_moves(swarm, is_long):
    """As when queues are balanced anew."""
    for _ in range(5 if is_long else 1):
        for node in swarm.members.others(swarm.leader):
            with swarm.fault(f"node {number(swarm, node)} becomes the leader"):
                swarm.members.transfer(swarm.world.vhost, "vip_queue", node)
    swarm.finish()


def test_cut_off(swarm, rng, is_long):
    """One node sees none of the others, and clients see all: those at it move, until it is back."""
    nodes = list(in_turn(swarm, rng, is_long))
    for node in nodes if is_long else nodes[:1]:
        lead = ", the leader," if node is swarm.leader else ""
        with swarm.fault(f"node {number(swarm, node)}{lead} is cut off"):
            swarm.members.cut_off(node)
        swarm.members.wait_given_up(node)
        with swarm.fault(f"node {number(swarm, node)} is back"):
            swarm.members.rejoin(node)
        swarm.members.wait_whole()
    swarm.finish()


def test_one_stays_away_and_then_the_majority(swarm, rng):
    """With two nodes of three all goes on. With one nothing can be published: the outboxes take it,
    until there are two again."""
    first, second, _ = in_turn(swarm, rng, False)
    with swarm.fault(f"node {number(swarm, first)} stays away"):
        first.kill()
    for reader in swarm.readers:
        reader.wait_answered(5 * RATE)
    second.kill()
    for reader in swarm.readers:
        reader.wait_answered(5 * RATE)
    swarm.members.start(second)
    with swarm.fault("two of three run again", limit_s=LIMIT_S + RETRY_MAX_S):
        pass
    swarm.members.start(first)
    swarm.members.wait_whole()
    swarm.finish()

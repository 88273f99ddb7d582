# SPDX-License-Identifier: MIT
"""The nodes of a cluster from outside: which runs, which leads a queue, which sees which."""
import re

from world import eventually

JOIN_S = 20
NOTICED_S = 30


class Members:
    """The nodes by number, and what may be done to them beside kill(), stop() and pause()."""

    def __init__(self, cluster):
        self.nodes = cluster.nodes
        self._cut_off = []

    @property
    def running(self):
        """A node to ask: one that runs and is not paused or cut off."""
        return next(node for node in self.nodes if self.sees(node))

    def sees(self, node):
        """The names of the nodes that a node sees running, itself among them; none when it does not
        answer."""
        if node.exit_code is not None or node.is_paused:
            return []
        try:
            answer = node.erlang("rabbit_nodes:all_running().", timeout_s=10)
        except Exception:  # it ends, or stops for want of the others: asked again
            return []
        return re.findall(r"'([^']+)'", answer) if answer.startswith("{ok") else []

    def others(self, node):
        """All but this one."""
        return [other for other in self.nodes if other is not node]

    def by_name(self, name):
        """A node."""
        return next(node for node in self.nodes if node.name == name)

    def wait_given_up(self, node):
        """Wait until the other nodes that run have noticed that this one is away."""
        for other in self.others(node):
            eventually(lambda o=other: (seen := self.sees(o)) and node.name not in seen, NOTICED_S,
                       f"{other.name} gives {node.name} up")

    def wait_whole(self):
        """Wait until each node sees all. RabbitMQ 3.10 was seen to hang when it stops by itself as a
        minority: such a node is killed and started, as its operator would."""
        for node in self.nodes:
            try:
                self._wait_seeing_all(node)
            except AssertionError:
                lonely = min(self.nodes, key=lambda n: len(self.sees(n)))
                print(f"{lonely.name} does not come back by itself")
                lonely.kill()
                self.start(lonely)
                self._wait_seeing_all(node)

    def _wait_seeing_all(self, node):
        eventually(lambda: len(self.sees(node)) == len(self.nodes), JOIN_S,
                   f"{node.name} sees all others")

    # ---- faults ----

    def start(self, node):
        """Start one that was stopped or killed."""
        node.start(die_with_parent=True)

    def cut_off(self, node):
        """No Erlang distribution between this node and the others, both ways; clients still get to
        it. Made with a wrong cookie for each of them, which nobody can connect with."""
        self._cut_off.append(node)
        names = ", ".join(f"'{other.name}'" for other in self.others(node))
        node.erlang(f"[begin erlang:set_cookie(N, wrong), erlang:disconnect_node(N) end "
                    f"|| N <- [{names}]].")

    def rejoin(self, node):
        """The end of cut_off(). It runs while the node waits for the others, too."""
        self._cut_off.remove(node)
        names = ", ".join(f"'{other.name}'" for other in self.others(node))
        node.erlang(f"[erlang:set_cookie(N, erlang:get_cookie()) || N <- [{names}]].")

    def mend(self):
        """All run, and see each other."""
        for node in self.nodes:
            node.resume()
        for node in list(self._cut_off):
            self.rejoin(node)
        away = [node for node in self.nodes if node.exit_code is not None]
        for node in away:
            node.launch(die_with_parent=True)
        self.wait_whole()
        for node in self.nodes:
            node.wait_ready()

    # ---- a quorum queue ----

    def leader(self, vhost, queue):
        """The node that leads a queue now."""
        name = eventually(lambda: self._info(vhost, queue, "leader"), 30, f"a leader of {queue}")
        return self.by_name(name[0])

    def online(self, vhost, queue):
        """The names of the nodes on which the queue's members run."""
        return self._info(vhost, queue, "online")

    def _info(self, vhost, queue, what):
        answer = self.running.erlang(
            f"{{ok, Q}} = {self._lookup(vhost, queue)}, rabbit_amqqueue:info(Q, [{what}]).")
        return re.findall(r"'([^']+)'", answer.partition(what)[2])

    def transfer(self, vhost, queue, node):
        """Make another node the queue's leader."""
        answer = self.running.erlang(
            f"{{ok, Q}} = {self._lookup(vhost, queue)}, "
            f"rabbit_quorum_queue:transfer_leadership(Q, '{node.name}').")
        assert "migrated" in answer and "not_migrated" not in answer, answer
        eventually(lambda: self.leader(vhost, queue) is node, 30, f"{node.name} leads {queue}")

    @staticmethod
    def _lookup(vhost, queue):
        return f'rabbit_amqqueue:lookup(rabbit_misc:r(<<"{vhost}">>, queue, <<"{queue}">>))'

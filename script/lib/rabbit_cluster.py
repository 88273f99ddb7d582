# SPDX-License-Identifier: MIT
"""A private RabbitMQ cluster: nodes in one directory that know each other, with one epmd."""
import os
import secrets

import processes
from rabbit_node import Membership, Ports, RabbitNode, node_name, start_epmd

NET_TICKTIME_S = 3  # RabbitMQ's own is 60; a node that hangs is to be given up within a test


class RabbitCluster:
    """Its nodes are RabbitNodes, which may be stopped, killed and started again one by one."""

    def __init__(self, directory, count=3):
        self.directory = os.path.abspath(directory)
        epmd, *numbers = processes.free_ports(1 + 3 * count)
        ports = [Ports(*numbers[3 * i:3 * i + 3], epmd) for i in range(count)]
        membership = Membership(tuple(node_name(each) for each in ports), secrets.token_hex(16),
                                NET_TICKTIME_S)
        self.nodes = [RabbitNode(os.path.join(self.directory, f"node-{number}"), each, membership)
                      for number, each in enumerate(ports, 1)]
        self._epmd_port = epmd
        self._epmd = None

    def start(self, die_with_parent=False):
        """Start all nodes side by side and wait until they serve, as one cluster."""
        prefix = processes.DIE_WITH_PARENT if die_with_parent else []
        home = os.path.join(self.directory, "epmd")
        os.makedirs(home, exist_ok=True)
        env = {"PATH": os.environ["PATH"], "HOME": home, processes.MARK: home,
               "ERL_EPMD_ADDRESS": "127.0.0.1"}
        try:
            self._epmd = start_epmd(self._epmd_port, os.path.join(home, "log"), env, home, prefix)
            for node in self.nodes:
                node.launch(die_with_parent)
            for node in self.nodes:
                node.wait_ready()
        except BaseException:
            self.stop()
            raise

    def stop(self):
        """Stop all nodes and wait until nothing of them runs. Harmless when they do not."""
        for node in self.nodes:
            node.resume()
            node.kill()
        if self._epmd:
            processes.end_marked(os.path.join(self.directory, "epmd"))
            self._epmd.wait()
            self._epmd = None

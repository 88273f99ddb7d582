# SPDX-License-Identifier: MIT
"""A private RabbitMQ node: everything it has is in one directory, everything it opens is loopback.

It has its own epmd (Erlang's port mapper), its own cookie and home, the management plugin, and the
user guest, whom RabbitMQ lets in from this machine only. It needs no rights and no service.
"""
import base64
import dataclasses
import glob
import http.client
import os
import shutil
import signal
import socket
import subprocess
import time

import processes

SERVER = "/usr/lib/rabbitmq/bin/rabbitmq-server"
CONTROL = "/usr/lib/rabbitmq/bin/rabbitmqctl"
LOOPBACK_ERL_ARGS = "-kernel inet_dist_use_interface {127,0,0,1}"
START_TIMEOUT_S = 60
STOP_TIMEOUT_S = 20

# Erlang terms rather than rabbitmq.conf: those are read as they are, the other is translated
# through a schema of all plugins first, which costs part of a second. Alarms: a small or full
# machine should run this node as well, and statistics of a second make the pages lively.
CONFIG = """[
 {{rabbit, [
   {{tcp_listeners, [{{"127.0.0.1", {amqp}}}]}},
   {{disk_free_limit, 50000000}},
   {{vm_memory_high_watermark, 0.7}},
   {{collect_statistics_interval, 1000}}{cluster}]}},
 {{rabbitmq_management, [{{tcp_config, [{{ip, "127.0.0.1"}}, {{port, {management}}}]}}]}}
].
"""


# The nodes find each other by name when they start for the first time, in any order. A node that
# sees less than half of them stops by itself until it does, so that nothing is confirmed twice over.
CLUSTER_CONFIG = """,
   {{cluster_nodes, {{[{names}], disc}}}},
   {{cluster_formation, [{{randomized_startup_delay_range, {{0, 1}}}}]}},
   {{cluster_partition_handling, pause_minority}}"""


class NodeError(Exception):
    """The node did not start; the text is for a person."""


@dataclasses.dataclass(frozen=True)
class Ports:
    """The four ports of a node."""

    amqp: int
    management: int
    distribution: int
    epmd: int

    @staticmethod
    def free():
        """Four that nobody uses."""
        return Ports(*processes.free_ports(4))


@dataclasses.dataclass(frozen=True)
class Membership:
    """What the nodes of a cluster have in common; their epmd too, which somebody else runs."""

    names: tuple
    cookie: str
    net_ticktime_s: int  # one that is silent for so long, give or take a quarter, is given up


def node_name(ports):
    """In Erlang, of the node with these ports."""
    return f"godwit-{ports.amqp}@localhost"


def start_epmd(port, log, env, directory, prefix=()):
    """Start Erlang's port mapper and wait until it listens; returns its process."""
    command = [*prefix, shutil.which("epmd") or "epmd", "-port", str(port)]
    with open(log, "wb") as out:
        epmd = subprocess.Popen(command, cwd=directory, env=env, stdin=subprocess.DEVNULL,
                                stdout=out, stderr=out, start_new_session=True)
    while True:  # it says nothing when it cannot have its port, and RabbitMQ says it at length
        try:
            socket.create_connection(("127.0.0.1", port), timeout=5).close()
            return epmd
        except OSError:
            pass
        if epmd.poll() is not None:
            raise NodeError(f"epmd, Erlang's port mapper, ended with status {epmd.poll()}: "
                            f"port {port} is probably in use")
        time.sleep(0.002)


class RabbitNode:
    """One node in one directory, alone or of a cluster. start() and stop() may come from different
    processes."""

    def __init__(self, directory, ports, membership=None):
        self.directory = os.path.abspath(directory)
        self.ports = ports
        self.name = node_name(ports)
        self._membership = membership
        self._children = []
        self._server = None
        self.is_paused = False
        self._n_asked = 0

    @property
    def exit_code(self):
        """Of the node that start() started here; None while it runs."""
        return self._server.poll() if self._server else None

    @property
    def amqp_url(self):
        """What clients connect to."""
        return f"amqp://guest:guest@127.0.0.1:{self.ports.amqp}/"

    @property
    def management_url(self):
        """The management pages and API; guest, guest."""
        return f"http://127.0.0.1:{self.ports.management}"

    def path(self, *parts):
        """A path inside the node's directory."""
        return os.path.join(self.directory, *parts)

    def start(self, die_with_parent=False):
        """Start the node and wait until it serves. Ends what a killed node left here first."""
        self.launch(die_with_parent)
        self.wait_ready()

    def launch(self, die_with_parent=False):
        """Start the node without waiting for it."""
        if not os.path.exists(SERVER):
            raise NodeError(f"RabbitMQ is not installed ({SERVER} is missing): "
                            "run script/setup rabbitmq")
        processes.end_marked(self.directory)
        self._write_files()
        prefix = processes.DIE_WITH_PARENT if die_with_parent else []
        try:
            if not self._membership:
                self._children.append(start_epmd(self.ports.epmd, self.path("log", "epmd.log"),
                                                 self._environment(), self.directory, prefix))
            self._server = self._launch(prefix + [SERVER], "startup.log")
        except BaseException:  # an interrupt too must leave nothing behind
            self.stop()
            raise

    def wait_ready(self):
        """Wait until the node that was launched serves."""
        try:
            self._wait_ready(self._server)
        except BaseException:
            self.stop()
            raise

    def stop(self):
        """Stop the node and wait until nothing of it runs. Harmless when it does not run."""
        self._ease_stop()
        beams = self._beams()
        for pid in beams:
            os.kill(pid, signal.SIGTERM)
        processes.wait_gone(beams, STOP_TIMEOUT_S)
        processes.end_marked(self.directory, timeout_s=5.0)  # epmd, and what was left
        for child in self._children:
            child.wait()
        self._children = []

    def kill(self):
        """End the node as a crash would: nothing is closed or flushed. Returns what was ended."""
        names = processes.kill_marked(self.directory)
        for child in self._children:
            child.wait()
        self._children = []
        return names

    def control(self, *arguments):
        """The command line and environment of rabbitmqctl for this node."""
        return [CONTROL, "-n", self.name, *arguments], self._environment()

    @property
    def beam(self):
        """The pid of the Erlang machine."""
        pid, = self._beams()
        return pid

    def pause(self):
        """Stop it as it stands: the kernel goes on taking connections for it."""
        os.kill(self.beam, signal.SIGSTOP)
        self.is_paused = True

    def resume(self):
        """Let it go on after pause(). Harmless when it does."""
        self.is_paused = False
        for pid in self._beams():
            os.kill(pid, signal.SIGCONT)

    def erlang(self, expression, timeout_s=60):
        """What the node's Erlang machine says to an expression: much quicker than rabbitmqctl."""
        self._n_asked += 1  # a name used again is refused while the node still knows the last one
        return subprocess.run(
            [_erl_call(), "-sname", self.name, "-e", "-h", f"ask{os.getpid()}n{self._n_asked}"],
            env=self._environment(), cwd=self.directory, timeout=timeout_s, check=True,
            input=f"{expression}\n".encode(), stdout=subprocess.PIPE).stdout.decode().strip()

    def _beams(self):
        return [pid for pid in processes.marked(self.directory)
                if (processes.process_name(pid) or "").startswith("beam")]

    def _write_files(self):
        for name in ("home", "data", "log"):
            os.makedirs(self.path(name), exist_ok=True)
        cluster = ""
        if self._membership:
            self._write_cookie()
            names = ", ".join(f"'{name}'" for name in self._membership.names)
            cluster = CLUSTER_CONFIG.format(names=names)
        with open(self.path("advanced.config"), "w", encoding="ascii") as config:
            config.write(CONFIG.format(amqp=self.ports.amqp, management=self.ports.management,
                                       cluster=cluster))
        with open(self.path("enabled_plugins"), "w", encoding="ascii") as plugins:
            plugins.write("[rabbitmq_management].\n")
        with open(self.path("ports"), "w", encoding="ascii") as ports:
            ports.write(" ".join(str(p) for p in dataclasses.astuple(self.ports)) + "\n")

    def _write_cookie(self):
        path = self.path("home", ".erlang.cookie")
        if not os.path.exists(path):
            with open(os.open(path, os.O_WRONLY | os.O_CREAT, 0o400), "w",
                      encoding="ascii") as cookie:
                cookie.write(self._membership.cookie)

    def _environment(self):
        # Nothing is inherited but where programs are: no RABBITMQ_* of the caller changes the node.
        return {
            "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "LANG": "C.UTF-8",
            "HOME": self.path("home"),
            processes.MARK: self.directory,
            "ERL_EPMD_PORT": str(self.ports.epmd),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "ERL_CRASH_DUMP": self.path("log", "erl_crash.dump"),
            "RABBITMQ_NODENAME": self.name,
            "RABBITMQ_BASE": self.directory,
            "RABBITMQ_MNESIA_BASE": self.path("data"),
            "RABBITMQ_LOG_BASE": self.path("log"),
            "RABBITMQ_LOGS": self.path("log", "rabbitmq.log"),
            "RABBITMQ_CONFIG_FILE": self.path("rabbitmq"),
            "RABBITMQ_ADVANCED_CONFIG_FILE": self.path("advanced.config"),
            "RABBITMQ_CONF_ENV_FILE": self.path("rabbitmq-env.conf"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": self.path("enabled_plugins"),
            "RABBITMQ_GENERATED_CONFIG_DIR": self.path("data"),
            "RABBITMQ_DIST_PORT": str(self.ports.distribution),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS":
                f"{LOOPBACK_ERL_ARGS} -start_epmd false{self._patience()}",
            "RABBITMQ_CTL_ERL_ARGS": f"{LOOPBACK_ERL_ARGS} -start_epmd false",
            "RABBITMQ_CTL_DIST_PORT_MIN": "0",
            "RABBITMQ_CTL_DIST_PORT_MAX": "0",
            # The start script then becomes the Erlang machine instead of waiting beside it.
            "RUNNING_UNDER_SYSTEMD": "true",
        }

    def _patience(self):
        member = self._membership
        return f" -kernel net_ticktime {member.net_ticktime_s}" if member else ""

    def _launch(self, command, log):
        with open(self.path("log", log), "wb") as out:
            child = subprocess.Popen(command, cwd=self.directory, env=self._environment(),
                                     stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                                     start_new_session=True)
        self._children.append(child)
        return child

    def _wait_ready(self, server):
        deadline = time.monotonic() + START_TIMEOUT_S
        while not self._serves():
            if server.poll() is not None:
                raise NodeError(f"RabbitMQ ended while starting:\n{self._startup_log()}")
            if time.monotonic() > deadline:
                raise NodeError(f"RabbitMQ did not start in {START_TIMEOUT_S} s:\n"
                                f"{self._startup_log()}")
            time.sleep(0.02)

    def _serves(self):
        """Whether the management API, the last to come up, says that AMQP is listened on."""
        login = base64.b64encode(b"guest:guest").decode()
        conn = http.client.HTTPConnection("127.0.0.1", self.ports.management, timeout=5)
        try:
            conn.request("GET", f"/api/health/checks/port-listener/{self.ports.amqp}",
                         headers={"Authorization": f"Basic {login}"})
            return conn.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            conn.close()

    def _startup_log(self):
        with open(self.path("log", "startup.log"), encoding="utf-8", errors="replace") as log:
            return "".join(f"    {line}" for line in log.readlines()[-25:]) + \
                f"    (the node's logs: {self.path('log')})"

    def _ease_stop(self):
        """Take the management plugin's statistics away before stopping.

        RabbitMQ 3.10 otherwise waits 5 s: while the applications stop, that event handler asks the
        application controller, which is waiting for it. A failure here only costs these seconds.
        """
        if not _erl_call() or not processes.marked(self.directory):
            return
        subprocess.run([_erl_call(), "-sname", self.name, "-a",
                        "gen_event delete_handler [rabbit_event, rabbit_mgmt_db_handler, []]"],
                       env=self._environment(), cwd=self.directory, timeout=10, check=False,
                       stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL)


def _erl_call():
    """The program that asks a node, or None."""
    found = sorted(glob.glob("/usr/lib/erlang/erts-*/bin/erl_call"))
    return found[-1] if found else None


def load(directory):
    """The node that was started in the directory, or None."""
    try:
        with open(os.path.join(directory, "ports"), encoding="ascii") as ports:
            return RabbitNode(directory, Ports(*(int(p) for p in ports.read().split())))
    except FileNotFoundError:
        return None

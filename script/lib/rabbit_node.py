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
   {{collect_statistics_interval, 1000}}]}},
 {{rabbitmq_management, [{{tcp_config, [{{ip, "127.0.0.1"}}, {{port, {management}}}]}}]}}
].
"""


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


class RabbitNode:
    """One node in one directory. start() and stop() may come from different processes."""

    def __init__(self, directory, ports):
        self.directory = os.path.abspath(directory)
        self.ports = ports
        self.name = f"godwit-{ports.amqp}@localhost"
        self._children = []
        self._server = None

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
        if not os.path.exists(SERVER):
            raise NodeError(f"RabbitMQ is not installed ({SERVER} is missing): "
                            "run script/setup rabbitmq")
        processes.end_marked(self.directory)
        self._write_files()
        prefix = processes.DIE_WITH_PARENT if die_with_parent else []
        epmd = [shutil.which("epmd") or "epmd", "-port", str(self.ports.epmd)]
        try:
            self._wait_epmd(self._launch(prefix + epmd, "epmd.log"))
            self._server = self._launch(prefix + [SERVER], "startup.log")
            self._wait_ready(self._server)
        except BaseException:  # an interrupt too must leave nothing behind
            self.stop()
            raise

    def stop(self):
        """Stop the node and wait until nothing of it runs. Harmless when it does not run."""
        self._ease_stop()
        beams = [p for p in processes.marked(self.directory)
                 if (processes.process_name(p) or "").startswith("beam")]
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

    def _write_files(self):
        for name in ("home", "data", "log"):
            os.makedirs(self.path(name), exist_ok=True)
        with open(self.path("advanced.config"), "w", encoding="ascii") as config:
            config.write(CONFIG.format(amqp=self.ports.amqp, management=self.ports.management))
        with open(self.path("enabled_plugins"), "w", encoding="ascii") as plugins:
            plugins.write("[rabbitmq_management].\n")
        with open(self.path("ports"), "w", encoding="ascii") as ports:
            ports.write(" ".join(str(p) for p in dataclasses.astuple(self.ports)) + "\n")

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
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": f"{LOOPBACK_ERL_ARGS} -start_epmd false",
            "RABBITMQ_CTL_ERL_ARGS": f"{LOOPBACK_ERL_ARGS} -start_epmd false",
            "RABBITMQ_CTL_DIST_PORT_MIN": "0",
            "RABBITMQ_CTL_DIST_PORT_MAX": "0",
            # The start script then becomes the Erlang machine instead of waiting beside it.
            "RUNNING_UNDER_SYSTEMD": "true",
        }

    def _launch(self, command, log):
        with open(self.path("log", log), "wb") as out:
            child = subprocess.Popen(command, cwd=self.directory, env=self._environment(),
                                     stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                                     start_new_session=True)
        self._children.append(child)
        return child

    def _wait_epmd(self, epmd):
        """It says nothing when it cannot have its port, and RabbitMQ says it at length."""
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.ports.epmd), timeout=5).close()
                return
            except OSError:
                pass
            if epmd.poll() is not None:
                raise NodeError(f"epmd, Erlang's port mapper, ended with status {epmd.poll()}: "
                                f"port {self.ports.epmd} is probably in use")
            time.sleep(0.002)

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
        erl_call = glob.glob("/usr/lib/erlang/erts-*/bin/erl_call")
        if not erl_call or not processes.marked(self.directory):
            return
        subprocess.run([erl_call[-1], "-sname", self.name, "-a",
                        "gen_event delete_handler [rabbit_event, rabbit_mgmt_db_handler, []]"],
                       env=self._environment(), cwd=self.directory, timeout=10, check=False,
                       stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL)


def load(directory):
    """The node that was started in the directory, or None."""
    try:
        with open(os.path.join(directory, "ports"), encoding="ascii") as ports:
            return RabbitNode(directory, Ports(*(int(p) for p in ports.read().split())))
    except FileNotFoundError:
        return None

# SPDX-License-Identifier: MIT
"""The whole system in one directory: configserver, accountservice, vipservices, and what carries
their messages: the embedded bus, or a RabbitMQ."""
import dataclasses
import json
import os
import shutil
import subprocess
import time

import processes
from rabbit_node import Ports, RabbitNode
from service import Service, ServiceError, http_request

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
# What is built to run it; godwit_tool makes the program godwit.
PROGRAMS = ("accountservice", "vipservice", "configserver", "healthchecker", "godwit_tool")
BROKERS = ("bus", "rabbitmq")
BRANCH = "main"
ACCOUNT_FILE = "accountservice-test.yml"
VIP_KEY = "vip_accounts"
VIP_MAX = 50


@dataclasses.dataclass(frozen=True)
class Layout:
    """Which port is whose. The defaults stand in deploy/config-repo/ as well."""

    account: int
    config: int
    vips: tuple
    rabbit: Ports | None  # None: the embedded bus, which needs none
    is_default: bool

    @staticmethod
    def at(base, n_vips, broker="bus"):
        """The ports as script/up --help lists them."""
        is_default = base is None
        if is_default:
            layout = Layout(6767, 8888, tuple(range(6868, 6868 + n_vips)),
                            Ports(5672, 15672, 25672, 24369), True)
        else:
            layout = Layout(base, base + 1, tuple(range(base + 10, base + 10 + n_vips)),
                            Ports(base + 2, base + 3, base + 4, base + 5), False)
        return layout if broker == "rabbitmq" else dataclasses.replace(layout, rabbit=None)

    def purposes(self):
        """[(port, what it is for)], in the order of starting."""
        rabbit = self.rabbit
        return [*([] if rabbit is None else [
                    (rabbit.amqp, "RabbitMQ"),
                    (rabbit.management, "RabbitMQ's management pages"),
                    (rabbit.distribution, "RabbitMQ's Erlang distribution"),
                    (rabbit.epmd, "RabbitMQ's Erlang port mapper")]),
                (self.config, "configserver"),
                (self.account, "accountservice"),
                *((port, f"vipservice {i}") for i, port in enumerate(self.vips, 1))]


def git(directory, *arguments):
    """Run git there, whoever owns the directory."""
    subprocess.run(["git", "-C", directory, "-c", f"safe.directory={directory}", *arguments],
                   check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)


def make_config_repository(directory):
    """A git repository with the files of deploy/config-repo, unless there is one."""
    if os.path.isdir(os.path.join(directory, ".git")):
        return
    shutil.rmtree(directory, ignore_errors=True)  # a killed run's half of one
    shutil.copytree(os.path.join(ROOT, "deploy", "config-repo"), directory)
    git(directory, "init", "-q", "-b", BRANCH)
    # A commit must not depend on who is at the machine.
    git(directory, "config", "user.name", "Godwit")
    git(directory, "config", "user.email", "godwit@localhost")
    git(directory, "config", "commit.gpgsign", "false")
    git(directory, "add", "-A")
    git(directory, "commit", "-q", "-m", "The configuration Godwit starts with")


class System:
    """Starts the parts in order and stops them in the reverse one."""

    def __init__(self, directory, programs_dir, layout, on_line=None):
        self.directory = os.path.abspath(directory)
        self.layout = layout
        self.rabbit = RabbitNode(self.path("rabbitmq"), layout.rabbit) if layout.rabbit else None
        # The bus is relative to the directory that all of them are started in.
        self.broker_url = self.rabbit.amqp_url if self.rabbit else "bus:bus"
        self._programs_dir = programs_dir
        self._on_line = on_line
        url = f"http://127.0.0.1:{layout.config}"
        client = ["-configServerUrl", url, "-profile", "test", "-configBranch", BRANCH]
        self.config = self._service("configserver", layout.config, [
            "-repo", self.path("config"), "-port", str(layout.config)],
            {"GODWIT_AMQP": self.broker_url})  # every user sees a command line
        self.account = self._service("accountservice", layout.account, client, {
            "GODWIT_SERVER_PORT": None if layout.is_default else str(layout.account)})
        self.vips = [
            self._service("vipservice", port, client, {
                "GODWIT_SERVER_PORT": None if layout.is_default and i == 1 else str(port)}, f"-{i}")
            for i, port in enumerate(layout.vips, 1)]

    @property
    def services(self):
        """All programs, in the order of starting."""
        return [self.config, self.account, *self.vips]

    def path(self, *parts):
        """A path under the system's directory."""
        return os.path.join(self.directory, *parts)

    def _service(self, program, port, arguments, settings=None, suffix=""):
        # The configuration repository holds the default ports; the environment moves them. It also
        # says which broker: the repository stays from run to run, the choice need not.
        env = dict(os.environ)
        env[processes.MARK] = self.directory
        env["GODWIT_SERVER_ADDRESS"] = "127.0.0.1"
        env["GODWIT_AMQP_SERVER_URL"] = self.broker_url
        env.update({key: value for key, value in (settings or {}).items() if value})
        name = program + suffix
        return Service(name, [os.path.join(self._programs_dir, program), *arguments], port,
                       cwd=self.directory, env=env, on_line=self._on_line,
                       log_path=self.path("logs", f"{name}.log"))

    def end_leftovers(self):
        """End what a killed run left running here; returns the names of these processes.

        At once: the kernel has asked them to stop when that run was killed, and nothing of ours
        needs more than that. Above all RabbitMQ, which then takes 5 s (see RabbitNode.stop), and
        cannot be told to hurry, since its epmd has gone already. That run may have had one also if
        this one has none.
        """
        names = processes.kill_marked(self.directory)
        if processes.kill_marked(self.path("rabbitmq")):
            names.append("RabbitMQ")
        return names

    def make_files(self, fresh=False):
        """Make the directories and the configuration repository; fresh removes old ones first."""
        if fresh:
            for name in ("bus", "rabbitmq", "data", "config", "logs"):
                shutil.rmtree(self.path(name), ignore_errors=True)
        for name in ("logs", "data/accountservice", "data/vipservice"):
            os.makedirs(self.path(name), exist_ok=True)
        make_config_repository(self.path("config"))

    def start(self, progress=lambda text: None):
        """Start everything and wait until it is healthy. Reports each step as text."""
        if self.rabbit:
            self.rabbit.start(die_with_parent=True)
            progress(f"RabbitMQ serves on {self.layout.rabbit.amqp}")
        self.config.start().wait_healthy()
        progress(f"configserver is healthy on {self.layout.config}")
        for service in [self.account, *self.vips]:
            service.start()
        for service in [self.account, *self.vips]:
            service.wait_healthy()
            progress(f"{service.name} is healthy on {service.port}")

    def stop(self, progress=lambda text: None):
        """Stop in order. Returns the exit codes that are not 0, by name."""
        bad = {}
        for group in ([self.account], self.vips, [self.config]):
            for service in group:
                service.ask_to_stop()
            for service in group:
                code = service.wait_end()
                if code is not None:
                    progress(f"{service.name} stopped" + (f" with status {code}" if code else ""))
                if code:
                    bad[service.name] = code
        if self.rabbit:
            self.rabbit.stop()
            progress("RabbitMQ stopped")
        return bad

    def kill(self):
        """End everything at once."""
        for service in self.services:
            service.kill()
        if self.rabbit:
            self.rabbit.kill()


def vip_accounts(system):
    """The VIP accounts as configserver gives them to accountservice."""
    status, body = http_request(system.layout.config, "GET", f"/accountservice/test/{BRANCH}")
    if status != 200:
        raise ServiceError(f"configserver answered {status}: {body.strip()}")
    for source in json.loads(body)["propertySources"]:
        found = [str(value) for key, value in source["source"].items()
                 if key == VIP_KEY or key.startswith(f"{VIP_KEY}[")]
        if found:  # the first source that has it counts; one value may be a list in text
            return [word.strip() for value in found for word in value.split(",") if word.strip()]
    return []


def change_vip_accounts(directory, accounts):
    """Write and commit another list of VIP accounts; returns the file's name."""
    name = ACCOUNT_FILE
    path = os.path.join(directory, name)
    with open(path, encoding="utf-8") as old:
        lines = old.readlines()
    wanted = "vip_accounts: [" + ", ".join(f'"{a}"' for a in accounts) + "]\n"
    changed = [wanted if line.startswith("vip_accounts:") else line for line in lines]
    if wanted not in changed:
        raise ServiceError(f"{path} has no line that begins with vip_accounts:")
    with open(path, "w", encoding="utf-8") as new:
        new.writelines(changed)
    git(directory, "commit", "-q", "-a", "-m", f"VIP is now {', '.join(accounts)}")
    return name


class Clock:
    """Seconds since a start, for progress lines."""

    def __init__(self):
        self._start = time.monotonic()

    def __str__(self):
        return f"{time.monotonic() - self._start:6.1f} s"

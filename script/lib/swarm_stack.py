# SPDX-License-Identifier: MIT
"""deploy/swarm/ on an engine: the docker command, and a stack with a name of its own."""
import json
import os
import secrets
import shutil
import subprocess
import tempfile
import time

import processes
from system import ROOT

STACK_FILE = os.path.join(ROOT, "deploy", "swarm", "stack.yml")
SECRETS = ("amqp_password", "store_password", "config_key")
PORTS = ("ACCOUNT_PORT", "VIP_PORT", "CONFIG_PORT")
NODE_LABEL = "godwit.data"
TASK_LABEL = "com.docker.swarm.service.name"
TIMEOUT_S = 120
POLL_S = 0.1
LOG_LINES = "300"  # of each task: with tens of thousands the engine's answer may not end
LOGS_S = 20
BRIDGE = "docker_gwbridge"  # a swarm makes it, and leaves it behind
BASE = "debian:bookworm-slim"  # of script/images
# What only the stages of deploy/images/ have in their history.
STAGES = ("/src/script/setup", "sbom.py", "dpkg.cfg.d/small")
STACK, PREFIX, TAG = "GODWIT_SWARM_STACK", "GODWIT_SWARM_PREFIX", "GODWIT_SWARM_TAG"


class DockerError(Exception):
    """A docker command failed; the text says which, and what it said."""


class Docker:
    """The command. Debian's where it is installed: it fits Debian's engine."""

    def __init__(self, program, version=""):
        self.program = program
        self.version = version

    @classmethod
    def found(cls):
        """The program that is installed."""
        debian = "/usr/bin/docker"
        return cls(debian if os.access(debian, os.X_OK) else shutil.which("docker") or debian)

    @classmethod
    def usable(cls):
        """One whose engine runs on this machine and can make or manage a swarm, or None."""
        docker = cls.found()
        try:
            info = json.loads(docker("info", "--format", "{{json .}}", timeout_s=20))
            host = docker("context", "inspect", "--format", "{{.Endpoints.docker.Host}}").strip()
        except (DockerError, ValueError, OSError):
            return None
        swarm = info.get("Swarm") or {}
        is_manager = bool(swarm.get("ControlAvailable"))
        is_ours = info.get("OSType") == "linux" and host.startswith("unix://")
        if info.get("ServerErrors") or not is_ours:
            return None
        if swarm.get("LocalNodeState") == "inactive" or (is_manager and swarm.get("Nodes") == 1):
            docker.version = info["ServerVersion"]
            return docker
        return None  # a part of somebody's cluster: its tasks would run elsewhere

    def __call__(self, *arguments, stdin=None, env=None, timeout_s=TIMEOUT_S, both=False):
        """Run it; returns what it printed, `both`: on standard error as well."""
        try:
            done = subprocess.run([self.program, *arguments], input=stdin, timeout=timeout_s,
                                  env={**os.environ, **(env or {})}, check=False,
                                  stdin=None if stdin is not None else subprocess.DEVNULL,
                                  stdout=subprocess.PIPE,
                                  stderr=subprocess.STDOUT if both else subprocess.PIPE)
        except subprocess.TimeoutExpired:
            raise DockerError(f"docker {' '.join(arguments[:3])}: no end within "
                              f"{timeout_s:g} s") from None
        if done.returncode:
            said = (done.stdout if both else done.stderr).decode("utf-8", errors="replace").strip()
            raise DockerError(f"docker {' '.join(arguments)}: {said}")
        return done.stdout.decode("utf-8", errors="replace")


def _as_list(text):
    return [word for word in text.split() if word]


class Deployment:
    """A stack, its secrets and its images, all with names that nobody else uses."""

    def __init__(self, docker, name, tag=None, prefix=None, ports=None):
        self.docker = docker
        self.name = name
        self.tag = tag or name
        self.prefix = prefix or name
        self.ports = ports or dict(zip(PORTS, processes.free_ports(len(PORTS))))
        self.config = 1
        self._made_swarm = self._made_bridge = self._labelled = False
        self._images_before = set(_as_list(docker("image", "ls", "-aq", "--no-trunc")))

    @classmethod
    def from_environment(cls):
        """The one that environment() tells of."""
        return cls(Docker.found(), os.environ[STACK], os.environ[TAG], os.environ[PREFIX],
                   {name: int(os.environ[f"GODWIT_SWARM_{name}"]) for name in PORTS})

    def environment(self):
        """For a process that uses the stack."""
        return {STACK: self.name, TAG: self.tag, PREFIX: self.prefix,
                **{f"GODWIT_SWARM_{name}": str(port) for name, port in self.ports.items()}}

    def service(self, name):
        """The full name of one of the stack's services."""
        return f"{self.name}_{name}"

    # ---- coming and going ----

    def init_swarm(self):
        """A swarm of this node alone, unless it is in one; and the label that the stack asks for."""
        if self.docker("info", "--format", "{{.Swarm.LocalNodeState}}").strip() != "active":
            has_bridge = BRIDGE in _as_list(self.docker("network", "ls", "--format", "{{.Name}}"))
            self.docker("swarm", "init", "--advertise-addr", "127.0.0.1", "--listen-addr",
                        f"127.0.0.1:{processes.free_ports(1)[0]}")
            self._made_swarm = True
            self._made_bridge = not has_bridge
        label = self.docker("node", "inspect", "self", "--format",
                            f'{{{{index .Spec.Labels "{NODE_LABEL}"}}}}').strip()
        if label != "true":
            self._labelled = True
            self._label("--label-add", f"{NODE_LABEL}=true")

    def _label(self, *change):
        node = self.docker("info", "--format", "{{.Swarm.NodeID}}").strip()
        self.docker("node", "update", *change, node)

    def make_secrets(self):
        """A random text for each."""
        for name in SECRETS:
            self.docker("secret", "create", f"{self.prefix}_{name}", "-",
                        stdin=secrets.token_hex(24).encode())

    def deploy(self, stack_file=STACK_FILE):
        """As docs/swarm.md says it; again after a change of files, with another stack file."""
        self.docker("stack", "deploy", "--resolve-image", "never", "-c", stack_file, self.name,
                    env={"TAG": self.tag, "PREFIX": self.prefix, "CONFIG": str(self.config),
                         **{name: str(port) for name, port in self.ports.items()}})

    def deploy_changed(self, directory, changes):
        """Deploy a copy of deploy/swarm/ in which files have other contents: {name: text}."""
        copy = os.path.join(directory, "swarm")
        shutil.copytree(os.path.dirname(STACK_FILE), copy)
        for name, text in changes.items():
            with open(os.path.join(copy, name), "w", encoding="utf-8") as file:
                file.write(text)
        self.config += 1
        self.deploy(os.path.join(copy, os.path.basename(STACK_FILE)))

    def wait_healthy(self, timeout_s=120):
        """Wait until every service has all its replicas, running and healthy."""
        deadline = time.monotonic() + timeout_s
        while True:
            missing = self.missing()
            if not missing:
                return
            if time.monotonic() > deadline:
                raise DockerError(f"not healthy after {timeout_s:g} s: {missing}\n{self.states()}")
            time.sleep(POLL_S)

    def replicas(self):
        """{service: (running, wanted)}; a task with a health check runs when it is healthy."""
        rows = self.docker("service", "ls", "--filter",
                           f"label=com.docker.stack.namespace={self.name}",
                           "--format", "{{.Name}} {{.Replicas}}").splitlines()
        found = {}
        for row in rows:
            name, numbers = row.split()[:2]
            running, _, wanted = numbers.partition("/")
            found[name.removeprefix(f"{self.name}_")] = (int(running), int(wanted))
        return found

    def missing(self):
        """The services that do not have what they should."""
        found = self.replicas()
        return {name: f"{running} of {wanted}" for name, (running, wanted) in found.items()
                if running != wanted} or ({} if found else {"stack": "no services"})

    def states(self):
        """All tasks and why they ended, for a person."""
        return self.docker("stack", "ps", "--no-trunc", "--format",
                           "{{.Name}} {{.CurrentState}} {{.Error}}", self.name)

    def write_logs(self, path):
        """The states of the tasks, and the end of what each wrote."""
        def said(*arguments):
            try:
                return self.docker(*arguments, both=True, timeout_s=LOGS_S)
            except DockerError as error:
                return f"{error}\n"

        with open(path, "w", encoding="utf-8") as file:
            file.write(said("stack", "ps", "--no-trunc", "--format",
                            "{{.Name}} {{.CurrentState}} {{.Error}}", self.name))
            for name in said("stack", "services", "--format", "{{.Name}}", self.name).split():
                file.write(f"\n---- {name} ----\n")
                file.write(said("service", "logs", "--timestamps", "--tail", LOG_LINES, name))

    def remove(self):
        """The stack, its containers, volumes, secrets and images; the swarm, if we made it."""
        def try_to(*arguments):
            try:
                return self.docker(*arguments)
            except DockerError as error:
                if "o such" not in str(error) and "not found" not in str(error):
                    problems.append(str(error))
                return ""

        problems = []
        try_to("stack", "rm", self.name)
        mine = ("--filter", f"label=com.docker.stack.namespace={self.name}")
        deadline = time.monotonic() + TIMEOUT_S
        while try_to("ps", "-aq", *mine) or try_to("network", "ls", "-q", *mine):
            if time.monotonic() > deadline:
                problems.append("containers or networks of the stack are still there")
                break
            time.sleep(POLL_S)
        for volume in _as_list(try_to("volume", "ls", "-q")):
            if volume.startswith(f"{self.name}_"):
                try_to("volume", "rm", volume)
        for name in SECRETS:
            try_to("secret", "rm", f"{self.prefix}_{name}")
        for config in _as_list(try_to("config", "ls", "--format", "{{.Name}}")):
            if config.startswith(f"{self.prefix}_"):
                try_to("config", "rm", config)
        if self._labelled and not self._made_swarm:
            self._label("--label-rm", NODE_LABEL)
        if self._made_swarm:
            try_to("swarm", "leave", "--force")
            if self._made_bridge:
                try_to("network", "rm", BRIDGE)
        self._remove_images()
        if problems:
            raise DockerError("not all is removed: " + "; ".join(problems))

    def _remove_images(self):
        """Ours by their tag; the base and the stages in between if they were not there before."""
        def rm(image):
            try:
                self.docker("image", "rm", image)
            except DockerError:
                pass  # it went with another one, or somebody uses it

        for name in _as_list(self.docker("image", "ls", "--format", "{{.Repository}}:{{.Tag}}")):
            if name.startswith("godwit/") and name.endswith(f":{self.tag}"):
                rm(name)
        for image in _as_list(self.docker("image", "ls", "-q", "--no-trunc", "-f", "dangling=true")):
            history = self.docker("image", "history", "--no-trunc", "--format", "{{.CreatedBy}}",
                                  image) if image not in self._images_before else ""
            if any(mark in history for mark in STAGES):
                rm(image)
        base = _as_list(self.docker("image", "ls", "-q", "--no-trunc", BASE))
        if base and base[0] not in self._images_before:
            rm(BASE)

# SPDX-License-Identifier: MIT
"""An engine for one run of script/test-swarm, in namespaces of its own, and nothing of it left.

The engine and all that it starts are in network, mount and process namespaces that end with their
first process, and that ends with this one. What is left then, a directory and control groups, is
removed here: at the end, or by the next run if this one was killed. A directory belongs to a run
that lives as long as somebody holds the lock on the file `lock` in it.
"""
import contextlib
import fcntl
import glob
import os
import re
import select
import shutil
import subprocess
import tempfile
import time

import processes
from system import ROOT

PREFIX = "godwit-swarm."
NAMESPACES = ["unshare", "--net", "--mount", "--pid", "--ipc", "--uts", "--fork", "--kill-child",
              "--mount-proc", "--propagation", "private"]
# The whole session of an engine dies with us, also after kill -9: unshare would wait out a TERM.
DIE_AT_ONCE = ["setpriv", "--pdeathsig", "KILL", "--"]
CGROUPS = "/sys/fs/cgroup"
SLIRP_CIDR = "198.18.127.0/24"  # a range for tests, which no overlay network gets
GONE_S = 20.0


class EngineError(Exception):
    """There is no engine; the text says why."""


def cgroup_name(directory):
    """The control group above all containers of a run."""
    return os.path.basename(directory).replace(".", "-")


def _remove_cgroups(name):
    """Remove the groups of a run, those inside first; they are empty when its processes are gone."""
    tops = [os.path.join(CGROUPS, name), *glob.glob(os.path.join(CGROUPS, "*", name))]
    for top in tops:
        for folder, _, _ in os.walk(top, topdown=False):
            deadline = time.monotonic() + GONE_S
            while os.path.isdir(folder):
                try:
                    os.rmdir(folder)
                except OSError:  # the kernel is still at its last process' end
                    if time.monotonic() > deadline:
                        raise
                    time.sleep(0.02)


def _remove(directory):
    """All that a run whose processes have ended has left."""
    _remove_cgroups(cgroup_name(directory))
    shutil.rmtree(directory, ignore_errors=True)
    if os.path.exists(directory):
        raise EngineError(f"{directory} cannot be removed")


def remove_leftovers():
    """What killed runs left; returns their directories."""
    found = []
    for directory in glob.glob(os.path.join(tempfile.gettempdir(), f"{PREFIX}*")):
        with contextlib.suppress(OSError), \
                open(os.path.join(directory, "lock"), "wb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # OSError: its run is at work
            processes.kill_marked(directory)
            _remove(directory)
            found.append(directory)
    return found


def _output(*command):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False)
    return done.stdout.decode("utf-8", errors="replace")


def _read(path):
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def machine_state(directory):
    """What an engine could change of the machine, by subject; of what others change all the time
    (mounts, groups, processes) only what belongs to the run of this directory."""
    group = cgroup_name(directory)
    rules = {tool: [line for line in _output(tool).splitlines() if not line.startswith("#")]
             for tool in ("iptables-save", "ip6tables-save")}
    return {
        **rules,
        "interfaces": sorted(re.findall(r"^\d+: (\S+?)[:@]", _output("ip", "-o", "link"), re.M)),
        "routes": sorted(_output("ip", "route").splitlines()),
        "ip_forward": _read("/proc/sys/net/ipv4/ip_forward").strip(),
        "forwarding of IPv6": _read("/proc/sys/net/ipv6/conf/all/forwarding").strip(),
        "mounts": [line for line in _read("/proc/self/mountinfo").splitlines()
                   if directory in line or "godwit-docker" in line],
        "control groups": [path for pattern in (group, f"*/{group}")
                           for path in glob.glob(os.path.join(CGROUPS, pattern))],
        "processes": sorted(processes.process_name(pid) or "?"
                            for pid in processes.marked(directory)),
        "files": [path for path in (directory, "/run/godwit-docker.sock") if os.path.exists(path)],
    }


def differences(before, after):
    """Lines for a person, none when the machine is as it was."""
    return [f"{subject}: was {was}, is {after[subject]}"
            for subject, was in before.items() if after[subject] != was]


class OwnEngine:
    """Runs a command beside an engine of its own. Use it in a `with`."""

    def __init__(self, log_path):
        self.directory = tempfile.mkdtemp(prefix=PREFIX)
        self._log_path = log_path
        self._lock = open(os.path.join(self.directory, "lock"), "wb")
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        self._child = self._slirp = None

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        for child in (self._child, self._slirp):
            if child and child.poll() is None:
                child.kill()  # unshare's child, the first process in there, goes with it
            if child:
                child.wait()
        left = processes.wait_gone(processes.marked(self.directory), GONE_S)
        if left:
            processes.kill_marked(self.directory)
        _remove(self.directory)
        self._lock.close()

    def run(self, command, with_network):
        """Start the engine and run the command; returns its status.

        With a network the images' packages can be fetched; the engine's ports are its own in any
        case, nobody else can reach them.
        """
        ready, ready_end = os.pipe()
        env = {**os.environ, processes.MARK: self.directory, "GODWIT_READY_FD": str(ready_end)}
        self._child = subprocess.Popen(
            [*DIE_AT_ONCE, *NAMESPACES, os.path.join(ROOT, "script", "lib", "own_engine.sh"),
             self.directory, f"/{cgroup_name(self.directory)}", self._log_path, *command],
            env=env, pass_fds=[ready_end], stdin=subprocess.PIPE, start_new_session=True)
        os.close(ready_end)
        with open(ready, "rb") as pipe:
            is_ready = pipe.readline() == b"ready\n"  # otherwise it has ended, and said why
        if is_ready:
            if with_network:
                self._attach_network(env)
            self._child.stdin.write(b"go on\n")
            self._child.stdin.flush()
        return self._child.wait()

    def _attach_network(self, env):
        """A way out without an interface or a rule on the machine: slirp4netns, a user's process."""
        ready, ready_end = os.pipe()
        with open(self._log_path, "ab") as log:
            self._slirp = subprocess.Popen(
                [*DIE_AT_ONCE, "slirp4netns", "--configure", "--mtu=1500", f"--cidr={SLIRP_CIDR}",
                 "--disable-host-loopback", f"--ready-fd={ready_end}", str(self._child.pid),
                 "tap0"], env=env, pass_fds=[ready_end], stdin=subprocess.DEVNULL, stdout=log,
                stderr=log, start_new_session=True)
        os.close(ready_end)
        with open(ready, "rb", buffering=0) as pipe:
            is_ready = select.select([pipe], [], [], 20)[0] and pipe.read(1)
        if not is_ready:
            raise EngineError("slirp4netns, the network of the image builds, did not start (is there "
                              f"/dev/net/tun?); see {self._log_path}")

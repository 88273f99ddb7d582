# SPDX-License-Identifier: MIT
"""A Debian system in a directory, for script/test-packages: made, entered, booted, looked at."""
import glob
import os
import shutil
import subprocess
import time

CLEAN_ENV = ["/usr/bin/env", "-i", "HOME=/root", "LANG=C.UTF-8", "DEBIAN_FRONTEND=noninteractive",
             "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]
SUITE = "bookworm"
BOOT_S = 60


class MachineError(Exception):
    """What was done did not work; the text says why."""


def run(command, log, timeout_s=300, **options):
    """Its output, which is in the log too; MachineError with the end of it when it fails."""
    with open(log, "a", encoding="utf-8") as out:
        out.write(f"\n$ {' '.join(command)}\n")
        out.flush()
        ended = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, text=True, errors="replace",
                               timeout=timeout_s, check=False, **options)
        out.write(ended.stdout)
    if ended.returncode:
        end = "\n".join(ended.stdout.splitlines()[-25:])
        raise MachineError(f"'{' '.join(command[-3:])}' ended with {ended.returncode}:\n{end}")
    return ended.stdout


class Machine:
    """The root directory, and when it is booted the first process in it.

    It is in our own mount namespace and PID namespace: nothing of it outlives this process.
    """

    def __init__(self, root, log_dir):
        self.root = root
        self.log = os.path.join(log_dir, "machine.log")
        self.console = os.path.join(log_dir, "console.log")
        self._mounts = []
        self._container = None
        self._pid = None  # of its init, as we see it

    # ---- making and entering -------------------------------------------------------------

    def make(self):
        """Debian's smallest, with what this machine says about its package mirror."""
        run(["mmdebstrap", "--quiet", "--mode=root", "--variant=minbase", SUITE, self.root],
            self.log)
        # Debian's own only: whose keys are there.
        mirrors = [path for path in ("/etc/apt/sources.list", "/etc/apt/sources.list.d/debian.sources")
                   if os.path.exists(path)]
        if mirrors:
            os.unlink(self.path("/etc/apt/sources.list"))
        for path in [*mirrors, *glob.glob("/etc/apt/apt.conf.d/*")]:
            if not os.path.basename(path).startswith("docker-"):
                shutil.copy(path, self.path(path))
        for name in ("resolv.conf", "hosts"):
            shutil.copy(os.path.join("/etc", name), self.path("/etc", name))

    def open(self):
        """Mount what programs in it expect."""
        for command in (["mount", "-t", "proc", "proc", self.path("/proc")],
                        ["mount", "--rbind", "/dev", self.path("/dev")]):
            run(command, self.log)
            self._mounts.insert(0, command[-1])

    def _unmount(self):
        for place in self._mounts:
            run(["umount", "--recursive", "--lazy", place], self.log)
        self._mounts = []

    def path(self, *parts):
        """A path of it as we see it."""
        return os.path.join(self.root, *(part.lstrip("/") for part in parts))

    def read(self, path):
        """A file's text."""
        with open(self.path(path), encoding="utf-8") as text:
            return text.read()

    def write(self, path, text, mode="w", permissions=None):
        """Write or, with the mode "a", append."""
        os.makedirs(os.path.dirname(self.path(path)), exist_ok=True)
        with open(self.path(path), mode, encoding="utf-8") as out:
            out.write(text)
        if permissions is not None:
            os.chmod(self.path(path), permissions)

    def enter(self, *command):
        """The command line that runs a command in it, as root."""
        if self._pid:
            return ["nsenter", "--target", str(self._pid), "--all", "--root", "--wd",
                    "--", *CLEAN_ENV, *command]
        return ["chroot", self.root, *CLEAN_ENV, *command]

    def run(self, *command, **options):
        """Run it in there; returns its output."""
        return run(self.enter(*command), self.log, **options)

    def shell(self, text, **options):
        """The same with a line for the shell."""
        return self.run("sh", "-ec", text, **options)

    # ---- packages and files --------------------------------------------------------------

    def apt(self, *words):
        """apt-get, without recommended packages."""
        return self.run("apt-get", "-q", "-y", "--no-install-recommends", "-o", "Dpkg::Use-Pty=0",
                        "-o", "Dpkg::Options::=--force-unsafe-io", *words)

    def files(self):
        """All paths in it that stay, but for what the system itself keeps of its doings."""
        passed_over = ("/proc", "/sys", "/dev", "/run", "/tmp", "/var/tmp", "/var/log", "/root",
                       "/var/cache", "/var/lib/apt", "/var/lib/dpkg", "/packages")
        found = set()
        for folder, names, files in os.walk(self.root):
            inside = "/" + os.path.relpath(folder, self.root) if folder != self.root else ""
            names[:] = [name for name in names if f"{inside}/{name}" not in passed_over]
            found.update(f"{inside}/{name}" for name in names + files)
        return found

    # ---- systemd -------------------------------------------------------------------------

    def boot(self):
        """Start systemd in it, as a container with a network of its own; MachineError when it
        does not come up."""
        self._unmount()
        # The plain hierarchy, whatever this machine has: seen by us alone.
        if not os.path.exists("/sys/fs/cgroup/cgroup.controllers"):
            run(["mount", "-t", "cgroup2", "cgroup2", "/sys/fs/cgroup"], self.log)
        run(["mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", "/run"], self.log)  # it writes there
        with open(self.console, "wb") as out:
            self._container = subprocess.Popen(
                ["systemd-nspawn", "--quiet", "--register=no", "--keep-unit", "--private-network",
                 "--console=pipe", f"--directory={self.root}", "--boot", "--",
                 "systemd.mask=timers.target"],  # none of its errands comes in between
                stdin=subprocess.DEVNULL, stdout=out, stderr=out)
        deadline = time.monotonic() + BOOT_S
        while self._container.poll() is None and time.monotonic() < deadline:
            if self._find_init() and self._is_up():
                return
            time.sleep(0.1)
        with open(self.console, encoding="utf-8", errors="replace") as text:
            said = text.read()[-800:].strip()
        self.shut_down()
        raise MachineError(said or f"it did not come up within {BOOT_S} s")

    def _find_init(self):
        pid = self._container.pid
        with open(f"/proc/{pid}/task/{pid}/children", encoding="utf-8") as children:
            found = children.read().split()
        self._pid = int(found[0]) if found else None
        return self._pid

    def _is_up(self):
        said = subprocess.run(self.enter("systemctl", "is-system-running"), check=False,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL, text=True, timeout=BOOT_S).stdout.strip()
        if said == "degraded":
            raise MachineError("a unit of the system failed:\n"
                               + self.run("systemctl", "--no-pager", "--failed"))
        return said == "running"

    def status(self, pid):
        """/proc/PID/status of a process in it, whose number is the one in there."""
        return dict(line.split(":\t", 1) for line in
                    self.run("cat", f"/proc/{pid}/status").splitlines() if ":\t" in line)

    def curl(self, url):
        """What a GET in its network says."""
        return run(["nsenter", "--target", str(self._pid), "--net", "--", "curl", "-sS",
                    "--max-time", "10", "--noproxy", "*", url], self.log)

    def shut_down(self):
        """End all that runs in it; what is left of the container here goes with it."""
        if self._container:
            self._container.kill()
            self._container.wait()
            if self._pid:  # the first process of a PID namespace takes all others with it
                try:
                    os.kill(self._pid, 9)
                except ProcessLookupError:
                    pass
        self._container = self._pid = None

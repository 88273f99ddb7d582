# SPDX-License-Identifier: MIT
"""A private PostgreSQL server: everything it has is in one directory, it listens on loopback only.

It has one user, godwit, with a password of its own (scram), and one database, godwit. It does not
write through to the disk: what is tested with it are crashes of programs, not of machines.
PostgreSQL refuses to run as root, so root runs it as another user, who may enter any directory.
"""
import glob
import os
import pwd
import secrets
import shutil
import signal
import subprocess
import time

import processes

PROGRAMS = "/usr/lib/postgresql/*/bin"
START_TIMEOUT_S = 60
STOP_TIMEOUT_S = 20
USER = "godwit"
SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "fsync": "off",
    "full_page_writes": "off",
    "max_connections": "60",
    "shared_buffers": "32MB",
    "autovacuum_naptime": "10s",
    "deadlock_timeout": "100ms",
    "log_line_prefix": "%m [%p] %a ",
}


class ServerError(Exception):
    """The server did not start; the text is for a person."""


def programs():
    """The directory of the newest installed server's programs."""
    found = [path for path in glob.glob(PROGRAMS) if os.path.exists(os.path.join(path, "postgres"))]
    if not found:
        raise ServerError(f"PostgreSQL is not installed (no {PROGRAMS}/postgres): "
                          "run script/setup test")
    return max(found, key=lambda path: float(path.split("/")[-2]))


def owner():
    """Who runs it: nobody else than who asks, unless that is root."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            pass
    raise ServerError("there is no user to run PostgreSQL as: neither postgres nor nobody")


def children(parent):
    """The pids of a process' children."""
    try:
        with open(f"/proc/{parent}/task/{parent}/children", encoding="ascii") as file:
            return [int(pid) for pid in file.read().split()]
    except OSError:
        return []


class PostgresServer:
    """One server in one directory, with settings beside those above. start() and stop() may come
    from different processes."""

    def __init__(self, directory, port, **settings):
        self.directory = os.path.abspath(directory)
        self.port = port
        self.settings = {**SETTINGS, **settings, "port": port}
        self._child = None

    def path(self, *parts):
        """A path inside the server's directory."""
        return os.path.join(self.directory, *parts)

    @property
    def password(self):
        """Of the user godwit; made with the directory."""
        with open(self.path("password"), encoding="ascii") as file:
            return file.read().strip()

    @property
    def url(self):
        """What clients connect to."""
        return f"postgresql://{USER}:{self.password}@127.0.0.1:{self.port}/{USER}"

    @property
    def pids(self):
        """Of all its processes; the server's own is the first.

        Its children have no mark: they show what they do in the place of their environment.
        """
        marked = processes.marked(self.directory)
        return marked + [pid for parent in marked for pid in children(parent)]

    def start(self, die_with_parent=False):
        """Start it and wait until it serves. Ends what a killed one left here first."""
        folder = programs()
        self.kill()
        self._write_files()
        if not os.path.exists(self.path("data", "PG_VERSION")):
            self._make_cluster(folder)
        settings = [part for key, value in self.settings.items()
                    for part in ("-c", f"{key}={value}")]
        with open(self.path("log"), "ab") as log:
            self._child = subprocess.Popen(
                [*self._as_owner(die_with_parent), f"{folder}/postgres", "-D", self.path("data"),
                 *settings],
                cwd="/", env=self._environment(), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True)
        try:
            self._wait_ready()
        except BaseException:  # an interrupt too must leave nothing behind
            self.stop()
            raise

    def stop(self):
        """Stop it and wait until nothing of it runs. Harmless when it does not run."""
        pids = self.pids
        if pids:
            os.kill(pids[0], signal.SIGINT)  # disconnects everybody
            processes.wait_gone(pids, STOP_TIMEOUT_S)
        processes.end_marked(self.directory, timeout_s=5.0)
        self._reap()

    def kill(self):
        """End it as a crash would."""
        pids = self.pids
        self.signal(signal.SIGKILL)
        processes.wait_gone(pids, STOP_TIMEOUT_S)
        self._reap()
        # It names a pid that may be somebody else's by now, or that of a process nobody has reaped.
        if os.path.exists(self.path("data", "postmaster.pid")):
            os.unlink(self.path("data", "postmaster.pid"))

    def signal(self, number):
        """Send a signal to all its processes, such as SIGSTOP and SIGCONT: a server that hangs."""
        for pid in self.pids:
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                pass

    def query(self, sql, database=USER):
        """Run SQL with psql; what it prints, without decoration."""
        environment = dict(self._environment(), PGPASSWORD=self.password, PGCONNECT_TIMEOUT="10")
        done = subprocess.run(
            [f"{programs()}/psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1",
             "-p", str(self.port), "-U", USER, "-d", database, "-c", sql],
            env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60,
            check=False)
        if done.returncode != 0:
            raise ServerError(f"psql: {done.stderr.strip()}")
        return done.stdout.strip()

    def _reap(self):
        if self._child:
            self._child.wait()
        self._child = None

    def _write_files(self):
        os.makedirs(self.directory, exist_ok=True)
        if not os.path.exists(self.path("password")):
            fd = os.open(self.path("password"), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(fd, "w", encoding="ascii") as file:
                file.write(secrets.token_hex(16) + "\n")
        with open(self.path("port"), "w", encoding="ascii") as file:
            file.write(f"{self.port}\n")

    def _make_cluster(self, folder):
        user = owner()
        shutil.rmtree(self.path("data"), ignore_errors=True)
        os.mkdir(self.path("data"), 0o700)
        if user:
            os.chown(self.path("data"), user.pw_uid, user.pw_gid)
        done = subprocess.run(
            self._as_owner() + [f"{folder}/initdb", "-D", self.path("data"), "-U", USER,
                                "--encoding=UTF8", "--locale=C.UTF-8", "--auth=scram-sha-256",
                                f"--pwfile={self.path('password')}", "--no-sync",
                                "--no-instructions"],
            cwd="/", env=self._environment(), stdin=subprocess.DEVNULL, capture_output=True,
            text=True, check=False)
        if done.returncode != 0:
            shutil.rmtree(self.path("data"), ignore_errors=True)
            raise ServerError(f"initdb failed:\n{done.stdout}{done.stderr}")
        # A database is made by a server, but one that serves nobody will do.
        subprocess.run(
            self._as_owner() + [f"{folder}/postgres", "--single", "-D", self.path("data"),
                                "-c", "fsync=off", "template1"],
            cwd="/", env=self._environment(), input=f"CREATE DATABASE {USER};\n", text=True,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)

    def _environment(self):
        # Nothing is inherited but where programs are: no PG* of the caller changes the server.
        return {"PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8",
                processes.MARK: self.directory}

    @staticmethod
    def _as_owner(die_with_parent=False):
        """What comes before a command. The order to die is lost when the user changes after it."""
        user = owner()
        options = ["--pdeathsig=INT"] if die_with_parent else []
        if user:
            options += [f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups",
                        "--inh-caps=+dac_override", "--ambient-caps=+dac_override"]
        return ["setpriv", *options, "--"]

    def _wait_ready(self):
        deadline = time.monotonic() + START_TIMEOUT_S
        while not self._serves():
            if self._child.poll() is not None:
                raise ServerError(f"PostgreSQL ended while starting:\n{self._log_tail()}")
            if time.monotonic() > deadline:
                raise ServerError(f"PostgreSQL did not start in {START_TIMEOUT_S} s:\n"
                                  f"{self._log_tail()}")
            time.sleep(0.02)

    def _serves(self):
        """Its lock file says so, in the eighth line."""
        try:
            with open(self.path("data", "postmaster.pid"), encoding="utf-8") as file:
                lines = file.read().splitlines()
        except FileNotFoundError:
            return False
        return len(lines) >= 8 and lines[7].strip() == "ready" and \
            processes.is_running(int(lines[0]))

    def _log_tail(self):
        with open(self.path("log"), encoding="utf-8", errors="replace") as log:
            return "".join(f"    {line}" for line in log.readlines()[-25:])


def load(directory):
    """The server that was started in the directory, or None."""
    try:
        with open(os.path.join(directory, "port"), encoding="ascii") as port:
            return PostgresServer(directory, int(port.read()))
    except FileNotFoundError:
        return None

# SPDX-License-Identifier: MIT
"""Processes and ports as /proc shows them: who listens where, what of ours still runs, ending it.

Everything the scripts start carries MARK=<directory> in its environment, and so does whatever it
starts itself. That identifies what an earlier, killed run left behind better than a pid in a file,
which may belong to somebody else by now: only a process with our mark is ever signalled.
"""
import os
import random
import select
import signal
import socket
import time

MARK = "GODWIT_RUN_MARK"

# Put before a command: the kernel ends it when its parent is killed.
DIE_WITH_PARENT = ["setpriv", "--pdeathsig", "TERM", "--"]


def process_name(pid):
    """The program's name, such as "beam.smp", or None when the process is gone."""
    try:
        with open(f"/proc/{pid}/comm", encoding="utf-8", errors="replace") as comm:
            return comm.read().strip()
    except OSError:
        return None


def is_running(pid):
    """Whether the process exists and is more than an exit status waiting for its parent."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as stat:
            fields = stat.read().rpartition(b")")[2].split()
        # A first thread that has ended is a zombie as well, while others still hold the ports.
        return fields[0] not in (b"Z", b"X") or int(fields[17]) > 1
    except OSError:
        return False


def marked(directory):
    """The pids of all running processes that were started for this directory."""
    wanted = f"{MARK}={directory}".encode()
    found = []
    for entry in os.listdir("/proc"):
        if not entry.isdigit() or int(entry) == os.getpid():
            continue
        try:
            with open(f"/proc/{entry}/environ", "rb") as environ:
                if wanted in environ.read().split(b"\0") and is_running(int(entry)):
                    found.append(int(entry))
        except OSError:
            continue  # ended meanwhile, or another user's
    return found


def wait_gone(pids, timeout_s):
    """Wait until the processes are gone; returns those that are not after the time."""
    deadline = time.monotonic() + timeout_s
    left = [pid for pid in pids if is_running(pid)]
    while left and time.monotonic() < deadline:
        fds = []
        for pid in left:
            try:
                fds.append(os.pidfd_open(pid))
            except OSError:
                pass
        if fds:  # readable as soon as one ends; the limit covers one that was not ours to open
            select.select(fds, [], [], min(0.5, max(0.0, deadline - time.monotonic())))
        for fd in fds:
            os.close(fd)
        left = [pid for pid in left if is_running(pid)]
    return left


def _signal(pids, number):
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            pass


def _names(pids):
    return sorted({process_name(pid) or "?" for pid in pids})


def kill_marked(directory):
    """End every process marked with the directory at once. Returns the names of what was ended."""
    names = set()
    for _ in range(5):  # one may have started another between the look and the signal
        pids = marked(directory)
        if not pids:
            break
        names.update(_names(pids))
        _signal(pids, signal.SIGKILL)
        wait_gone(pids, 5.0)
    return sorted(names)


def end_marked(directory, timeout_s=10.0):
    """End every process marked with the directory: asked first, killed after the time.

    Returns the names of what was ended.
    """
    pids = marked(directory)
    names = _names(pids)
    _signal(pids, signal.SIGTERM)
    wait_gone(pids, timeout_s)
    return sorted({*names, *kill_marked(directory)})


def _listening():
    """[(address, port, socket inode)] of every listening TCP socket; the address as in /proc."""
    found = []
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            with open(table, encoding="ascii") as rows:
                next(rows)
                for row in rows:
                    fields = row.split()
                    if fields[3] == "0A":
                        address, _, port = fields[1].rpartition(":")
                        found.append((address, int(port, 16), fields[9]))
        except OSError:
            continue  # a machine without IPv6
    return found


def _sockets_of(pid):
    """The inodes of a process' sockets; none when it is gone or another user's."""
    inodes = set()
    try:
        for fd in os.scandir(f"/proc/{pid}/fd"):
            try:
                target = os.readlink(fd.path)
            except OSError:
                continue  # closed meanwhile
            if target.startswith("socket:["):
                inodes.add(target[8:-1])
    except OSError:
        pass
    return inodes


def port_owner(port):
    """Who listens on the TCP port, as text for a person, or None when nobody does."""
    wanted = {inode for _, number, inode in _listening() if number == port}
    if not wanted:
        return None
    for entry in os.listdir("/proc"):
        if entry.isdigit() and wanted & _sockets_of(entry):
            return f"{process_name(entry)} (pid {entry})"
    return "a process of another user"


def ports_beyond_loopback(pids):
    """The ports that the processes listen on at other addresses than the machine's own."""
    loopback = ("0100007F", "00000000000000000000000001000000", "0000000000000000FFFF00000100007F")
    own = set().union(*(_sockets_of(pid) for pid in pids))
    return [port for address, port, inode in _listening()
            if inode in own and address not in loopback]


def _ports_given_out():
    """The first of the ports that the kernel gives to outgoing connections."""
    try:
        with open("/proc/sys/net/ipv4/ip_local_port_range", encoding="ascii") as limits:
            return int(limits.read().split()[0])
    except OSError:
        return 32768


def free_ports(count):
    """Ports nobody uses, all different.

    Of those that no outgoing connection gets: a port found free otherwise may be somebody's end of
    a connection by the time a program listens on it.
    """
    held = []
    try:
        while len(held) < count:
            sock = socket.socket()
            try:
                sock.bind(("", random.randrange(10000, max(10100, _ports_given_out()))))
                held.append(sock)
            except OSError:
                sock.close()
        return [sock.getsockname()[1] for sock in held]
    finally:
        for sock in held:
            sock.close()

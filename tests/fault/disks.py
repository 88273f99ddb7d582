# SPDX-License-Identifier: MIT
"""Small disks for programs: a tmpfs in a mount namespace, seen from here through /proc."""
import contextlib
import os
import subprocess


def own_namespace(script, *arguments):
    """What to put before a command: it runs in a mount namespace of its own, in which the shell
    script was run before, with the arguments as $0, ..."""
    user = ["--user", "--map-root-user"] if os.geteuid() else []
    return ["unshare", *user, "--mount", "sh", "-c", f'{script} && exec "$@"', *arguments]


def fill(path, leave=0):
    """Take a disk's space, but for so many bytes, with a file."""
    with open(path, "wb") as file:
        free = os.statvfs(path)
        os.posix_fallocate(file.fileno(), 0, free.f_bavail * free.f_frsize - leave)


class LastingDisk:
    """A small disk that outlives its users. `prefix` is what to put before their commands."""

    def __init__(self, mount, size_mib):
        self.mount = mount
        os.makedirs(mount)
        own = ["--user", "--map-root-user"] if os.geteuid() else []
        script = f'mount -t tmpfs -o size={size_mib}m,mode=700 none "$0" && echo ready && exec cat'
        self._holder = subprocess.Popen(["unshare", *own, "--mount", "sh", "-c", script, mount],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        user = ["--user", "--preserve-credentials"] if own else []
        self.prefix = ["nsenter", "--target", str(self._holder.pid), *user, "--mount"]

    def __enter__(self):
        assert self._holder.stdout.readline() == b"ready\n"
        return self

    def __exit__(self, *exc):
        with contextlib.suppress(BrokenPipeError):
            self._holder.stdin.close()
        self._holder.wait()

    def seen(self, name):
        """The path from here of one of its files."""
        return f"/proc/{self._holder.pid}/root{self.mount}/{name}"

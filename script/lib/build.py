# SPDX-License-Identifier: MIT
"""Building a preset of CMakePresets.json, with the output in a file."""
import os
import re
import subprocess

from system import ROOT


class BuildError(Exception):
    """The build failed; the text holds the end of its output."""


def log_tail(path, count=40):
    """The last lines of a log, without those that only say that something is done, indented, and
    where it is."""
    with open(path, encoding="utf-8", errors="replace") as log:
        lines = [line for line in log.read().splitlines()
                 if not re.match(r"\[\d+/\d+\] |-- ", line)][-count:]
    return "\n".join(f"    {line}" for line in lines) + f"\n    (all of it: {path})"


def run_logged(command, log_path, **options):
    """Run a command from the repository's root with its output appended to a file."""
    with open(log_path, "ab") as log:
        return subprocess.run(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                              check=False, **options).returncode


def build(preset, log_path, targets=()):
    """Configure and build; BuildError when it fails."""
    open(log_path, "wb").close()
    chosen = ["--target", *targets] if targets else []
    for command in (["cmake", "--preset", preset],
                    ["cmake", "--build", "--preset", preset, *chosen]):
        if run_logged(command, log_path):
            raise BuildError(f"building the preset {preset} failed:\n{log_tail(log_path)}")


def programs_dir():
    """Where the programs are, or will be when the preset release is built."""
    return os.path.abspath(os.environ.get("GODWIT_BIN")
                           or os.path.join(ROOT, "build", "release", "bin"))

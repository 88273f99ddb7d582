# SPDX-License-Identifier: MIT
"""The systemd units: sound, well shut, and with what the programs need. script/test-packages runs them."""
import re
import subprocess

import pytest

import manifests

UNITS = sorted((manifests.DEPLOY / "systemd").glob("*.service"))
EXPOSURE_MAX = 25  # tenths, of 100: less is safer
# Of systemd's: a chassis' program adds these two, to have as many open files as connections.
ALLOWED_AGAIN = {"prlimit64", "setrlimit"}


def settings(path):
    """[(section, key, value)] of a unit."""
    section, found = None, []
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("["):
            section = line.strip("[]")
        elif line and line[0] not in "#;":
            key, value = line.split("=", 1)
            found.append((section, key, value))
    return found


def values(path, key):
    """All values of a key."""
    return [value for _, found, value in settings(path) if found == key]


def analyze(*arguments):
    """systemd-analyze's status and output."""
    ended = subprocess.run(["systemd-analyze", *arguments], stdin=subprocess.DEVNULL, text=True, check=False,
                           stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    return ended.returncode, ended.stdout


def test_all_are_there():
    """One for each service."""
    assert [path.stem for path in UNITS] == ["accountservice", "configserver", "vipservice"]


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.name)
def test_exposure(path):
    """systemd's own judgement is under 2.5."""
    status, said = analyze("security", "--offline=true", f"--threshold={EXPOSURE_MAX}", "--no-pager", str(path))
    assert status == 0, said


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.name)
def test_systemd_understands_it(path, tmp_path):
    """Every line. The program is in place of the installed one, which need not be there."""
    program = tmp_path / path.stem
    program.write_text("#!/bin/sh\n", encoding="utf-8")
    program.chmod(0o755)
    for unit in UNITS:  # they name each other
        text = unit.read_text(encoding="utf-8")
        (tmp_path / unit.name).write_text(re.sub(r"(?m)^ExecStart=\S+", f"ExecStart={program}", text),
                                          encoding="utf-8")
    status, said = analyze("verify", "--man=no", str(tmp_path / path.name))
    ours = [line for line in said.splitlines() if path.stem in line]
    assert not ours and status == 0, said


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.name)
def test_time_to_stop(path):
    """Longer than the chassis takes as it is configured by default: it ends itself, with a word in the log."""
    source = (manifests.ROOT / "src/service/service.c").read_text(encoding="utf-8")
    limits = [int(re.search(rf"#define {name}\s+(\d+)", source)[1]) for name in ("SHUTDOWN_TIMEOUT_MS", "GRACE_MS")]
    assert values(path, "KillSignal") == ["SIGTERM"]
    assert int(values(path, "TimeoutStopSec")[0].rstrip("s")) * 1000 > sum(limits)


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.name)
def test_secrets_are_named_alike(path):
    """What the example settings read from /run/credentials is loaded by the unit."""
    loaded = set(values(path, "LoadCredential"))
    folder = manifests.DEPLOY / "systemd" / "etc"
    named = set()
    for example in folder.glob(f"{path.stem}.*"):
        text = example.read_text(encoding="utf-8")
        named |= set(re.findall(rf"/run/credentials/{path.name}/(\S+)", text))
        assert set(re.findall(r"/run/credentials/(\S+?)/", text)) <= {path.name}
    assert named and named <= loaded, f"{named} of {loaded}"


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.name)
def test_system_calls(path):
    """A service's usual ones, without what only a privileged one would need."""
    allowed = " ".join(values(path, "SystemCallFilter"))
    assert allowed == "@system-service ~@privileged @resources " + " ".join(sorted(ALLOWED_AGAIN))

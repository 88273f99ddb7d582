# SPDX-License-Identifier: MIT
"""debian/ agrees with the rest of the repository. script/test-packages builds and tries the packages."""
import re
import subprocess

import manifests

ROOT = manifests.ROOT


def text(name):
    """A file's."""
    return (ROOT / name).read_text(encoding="utf-8")


def setup_group(name):
    """The packages of a group of script/setup."""
    listed = re.search(rf"(?m)^{name}=\(([^)]*)\)", text("script/setup"))[1]
    return set(re.sub(r"#.*", "", listed).split())


def test_versions_agree():
    """Of the packages, without their revision, and of the program."""
    packages = re.match(r"godwit \(([^)]+)\)", text("debian/changelog"))[1]
    program = re.search(r"project\(godwit VERSION (\S+)", text("CMakeLists.txt"))[1]
    assert packages.rpartition("-")[0] == program


def test_soversions_agree():
    """libgodwit0 is the package of libgodwit.so.0."""
    number = re.search(r"set\(godwit_soversion (\d+)\)", text("CMakeLists.txt"))[1]
    assert f"\nPackage: libgodwit{number}\n" in text("debian/control")
    assert text(f"debian/libgodwit{number}.symbols").startswith(f"libgodwit.so.{number} libgodwit{number} ")


def test_symbols_cover_every_node():
    """Each node of the linker's map is in the symbols file."""
    nodes = re.findall(r"(?m)^(GODWIT_\S+) \{", text("src/godwit.map"))
    named = re.findall(r"\(symver\)(\S+) ", text("debian/libgodwit0.symbols"))
    assert nodes and sorted(nodes) == sorted(named)


def test_what_is_needed_to_build():
    """script/setup installs it."""
    listed = re.search(r"Build-Depends:\n((?: .*\n)+)", text("debian/control"))[1]
    needed = {line.split()[0].strip(",") for line in listed.splitlines()}
    virtual = {"debhelper-compat", "dh-sequence-installsysusers"}  # of debhelper
    assert virtual <= needed
    assert needed - virtual <= setup_group("build")


def test_a_version_that_differs_is_refused(tmp_path):
    """script/package compares them before it builds."""
    copy = tmp_path / "repository"
    for command in (["git", "init", "-q", copy],
                    ["cp", "-r", ROOT / "script", ROOT / "debian", ROOT / "CMakeLists.txt", copy],
                    ["sed", "-i", "1s/(.*)/(9.9.9-1)/", copy / "debian/changelog"],
                    ["git", "-C", copy, "add", "-A"],
                    ["git", "-C", copy, "-c", "user.name=x", "-c", "user.email=x@localhost", "commit", "-qm", "x"]):
        subprocess.run(command, check=True)
    ended = subprocess.run([copy / "script/package"], stdin=subprocess.DEVNULL, text=True, check=False,
                           stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert ended.returncode == 1
    assert re.search(r"debian/changelog has version 9\.9\.9-1, CMakeLists.txt \S+: they must agree", ended.stdout)

#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Install a build, and use what was installed as another project would.

  tests/install/test_install.py BUILD VERSION

The examples are built from the installed copy, with pkg-config and with find_package(), against the shared and
the static library, and run. All is done in a directory of its own.
"""
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

SOURCE = pathlib.Path(__file__).resolve().parents[2]
COMPONENTS = ("runtime", "library", "development")
PROGRAMS = {"accountservice", "configserver", "godwit", "healthchecker", "vipservice"}
EXAMPLES = {"greeter", "hello", "publish", "settings", "subscribe", "watch_config"}


def check(what, expected, got):
    if expected != got:
        raise AssertionError(f"{what}: expected {expected!r}, got {got!r}")


def run(*command, env=None, cwd=None, status=0):
    """Its output; an AssertionError with it when it ends with another status."""
    ended = subprocess.run([str(word) for word in command], env=dict(os.environ, **(env or {})), cwd=cwd, check=False,
                           stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=100)
    if ended.returncode != status:
        raise AssertionError(f"{' '.join(map(str, command))}: status {ended.returncode}:\n{ended.stdout}")
    return ended.stdout


def files_of(prefix):
    return {path.relative_to(prefix).as_posix() for path in prefix.rglob("*") if path.is_file() or path.is_symlink()}


def dynamic(path, tag):
    """The values of a tag of a program or library, such as NEEDED."""
    return re.findall(rf"\({tag}\).*\[(.*)\]", run("readelf", "-d", path))


def only(paths):
    found = list(paths)
    check("one of it", 1, len(found))
    return found[0]


class Installed:
    """A prefix that a build was installed into."""

    def __init__(self, build, version, place):
        self.build, self.version, self.place = build, version, place
        self.prefix = place / "prefix"
        run("cmake", "--install", build, "--prefix", self.prefix)
        self.find_dirs()

    def find_dirs(self):
        self.libdir = only(self.prefix.rglob("libgodwit.a")).parent
        self.examples = only(self.prefix.glob("share/doc/*/examples"))

    def move(self):
        """To where nobody said that it would be."""
        elsewhere = self.place / "elsewhere"
        self.prefix.rename(elsewhere)
        self.prefix = elsewhere
        self.find_dirs()

    def configure(self, name, text, status=0, env=None):
        """Of a project with this CMakeLists.txt."""
        folder = self.place / name
        folder.mkdir()
        (folder / "CMakeLists.txt").write_text(
            f"cmake_minimum_required(VERSION 3.25)\nproject(p C)\n{text}", encoding="utf-8")
        return run("cmake", "-S", folder, "-B", folder / "build", "-G", "Ninja",
                   f"-DCMAKE_PREFIX_PATH={self.prefix}", env=env, status=status)


def test_files(it):
    check("programs", PROGRAMS, {path.name for path in (it.prefix / "bin").iterdir()})
    headers = {path.name for path in (SOURCE / "include/godwit").glob("*.h")} | {"version.h"}
    check("headers", headers, {path.name for path in (it.prefix / "include/godwit").iterdir()})
    shared = it.libdir / f"libgodwit.so.{it.version}"
    check("SONAME", ["libgodwit.so.0"], dynamic(shared, "SONAME"))
    check("links", {shared.name}, {os.path.realpath(it.libdir / name).rsplit("/", 1)[1]
                                   for name in ("libgodwit.so", "libgodwit.so.0")})
    for path in (shared, *(it.prefix / "bin").iterdir()):
        check(f"paths in {path.name}", [], dynamic(path, "RUNPATH") + dynamic(path, "RPATH"))
        if path != shared:
            version = run(path, "--version", env={"LD_LIBRARY_PATH": str(it.libdir)})
            check("--version", f"{path.name} {it.version} (commit ", version[:version.index("commit ") + 7])
    pages = {path.name for path in it.prefix.glob("share/man/man*/*")}
    check("manual pages", {f"{name}.1" for name in PROGRAMS} | {"godwit.3"}, pages)


def test_components(it):
    """Each file belongs to one of them, and to the right one."""
    parts = {}
    for name in COMPONENTS:
        prefix = it.place / name
        run("cmake", "--install", it.build, "--prefix", prefix, "--component", name)
        parts[name] = files_of(prefix)
    check("in no component, or only in one", set(), files_of(it.prefix) ^ set.union(*parts.values()))
    check("their sum", len(files_of(it.prefix)), sum(map(len, parts.values())))
    check("library", {"libgodwit.so.0", f"libgodwit.so.{it.version}"}, {os.path.basename(f) for f in parts["library"]})
    check("runtime", PROGRAMS | {f"{name}.1" for name in PROGRAMS}, {os.path.basename(f) for f in parts["runtime"]})


def test_destdir(it):
    """The package's file names the place where it will be, not where it was put."""
    root = it.place / "root"
    run("cmake", "--install", it.build, "--prefix", "/opt/godwit", "--component", "development",
        env={"DESTDIR": str(root)})
    text = only((root / "opt/godwit").rglob("godwit.pc")).read_text(encoding="utf-8")
    check("prefix", "/opt/godwit", re.search("^prefix=(.*)$", text, re.M)[1])
    check("DESTDIR in godwit.pc", -1, text.find(str(root)))


def test_versions(it):
    text = "find_package(godwit %s CONFIG REQUIRED)\nmessage(STATUS \"got ${godwit_VERSION}\")\n"
    major, minor, _ = it.version.split(".")
    found = it.configure("same", text % f"{major}.{minor}")
    check("the version", f"got {it.version}", re.search("got .*", found)[0])
    refused = it.configure("next", text % f"{major}.{int(minor) + 1}", 1)
    check("the next minor version is not this one", True, f"version: {it.version}" in refused)
    refused = it.configure("component", "find_package(godwit CONFIG REQUIRED COMPONENTS sauce)\n", 1)
    check("the component", True, "none that is called 'sauce'" in refused)


def test_missing_dependency(it):
    """Who links the static library and lacks a part is told which."""
    text = "set(godwit_USE_STATIC_LIBS ON)\nfind_package(godwit 0.1 CONFIG REQUIRED)\n"
    refused = it.configure("lacking", text, 1, {"PKG_CONFIG_LIBDIR": "/nowhere"})
    check("what it lacks", True, "needs what is not installed: librabbitmq" in " ".join(refused.split()))
    it.configure("needless", text.replace(" ON)", " OFF)"), 0, {"PKG_CONFIG_LIBDIR": "/nowhere"})


def try_examples(it, folder, is_static):
    env = {"LD_LIBRARY_PATH": str(it.libdir)}
    for name in sorted(EXAMPLES):
        needed = [part for part in dynamic(folder / name, "NEEDED") if "godwit" in part]
        check(f"{folder / name} needs", [] if is_static else ["libgodwit.so.0"], needed)
    check("greeter", f"greeter (godwit {it.version})\n", run(folder / "greeter", "--version", env=env))
    check("hello", "hello 1.0.0\n", run(folder / "hello", "--version", env=env))
    said = run(folder / "publish", f"bus:{folder}/bus", "greetings", "Ada", env=env)
    check("publish", True, "\naccepted as " in f"\n{said}")
    listed = run(it.prefix / "bin/godwit", "bus", "list", folder / "bus", env=env)
    check("the message is there", True, "greetings" in listed)


def test_pkg_config(it):
    for is_static in (False, True):
        folder = it.place / f"make-{'static' if is_static else 'shared'}"
        shutil.copytree(it.examples, folder)
        installed = folder / "installed"
        run("make", "-j2", *(["STATIC=yes"] if is_static else []), cwd=installed,
            env={"PKG_CONFIG_PATH": str(it.libdir / "pkgconfig"), "MAKEFLAGS": "", "CFLAGS": "-Wall -Wextra -Werror"})
        try_examples(it, installed, is_static)


def test_find_package(it):
    it.move()
    for is_static in (False, True):
        folder = it.place / f"cmake-{'static' if is_static else 'shared'}"
        run("cmake", "-S", it.examples / "installed", "-B", folder, "-G", "Ninja", f"-DCMAKE_PREFIX_PATH={it.prefix}",
            "-DCMAKE_C_FLAGS=-Wall -Wextra -Werror", f"-Dgodwit_USE_STATIC_LIBS={'ON' if is_static else 'OFF'}")
        run("cmake", "--build", folder)
        try_examples(it, folder, is_static)


def main():
    with tempfile.TemporaryDirectory(prefix="godwit-install-") as place:
        it = Installed(pathlib.Path(sys.argv[1]), sys.argv[2], pathlib.Path(place))
        tests = (test_files, test_components, test_destdir, test_versions, test_missing_dependency, test_pkg_config,
                 test_find_package)
        for test in tests:
            test(it)
            print(f"ok: {test.__name__}", flush=True)


main()

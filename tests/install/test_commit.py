#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Which commit a build says that it is of, and what a new commit costs to build.

A small project stands for Godwit's: it uses cmake/GodwitCommit.cmake in a git repository of its own.
"""
import os
import pathlib
import shutil
import subprocess
import tempfile

SOURCE = pathlib.Path(__file__).resolve().parents[2]
FILES = {
    "CMakeLists.txt": f"""cmake_minimum_required(VERSION 3.25)
project(p C)
list(APPEND CMAKE_MODULE_PATH {SOURCE}/cmake)
include(GodwitTargets)
include(GodwitCommit)
add_executable(tell tell.c)
target_link_libraries(tell PRIVATE program_commit)
""",
    "tell.c": '#include <stdio.h>\n#include "commit/commit.h"\nint main(void) { return puts(program_commit) < 0; }\n',
    ".gitignore": "build/\n",
}


def run(*command, status=0):
    env = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    ended = subprocess.run([str(word) for word in command], env=env, check=False, stdout=subprocess.PIPE,
                           stderr=subprocess.STDOUT, text=True, timeout=60)
    if ended.returncode != status:
        raise AssertionError(f"{' '.join(map(str, command))}: status {ended.returncode}:\n{ended.stdout}")
    return ended.stdout


def check(what, expected, got):
    if expected != got:
        raise AssertionError(f"{what}: expected {expected!r}, got {got!r}")


class Project:
    def __init__(self, folder):
        self.folder, self.build = folder, folder / "build"
        for name, text in FILES.items():
            (folder / name).write_text(text, encoding="utf-8")
        shutil.copytree(SOURCE / "services/commit", folder / "services/commit")

    def git(self, *words):
        return run("git", "-C", self.folder, "-c", "user.name=x", "-c", "user.email=x@localhost",
                   "-c", "commit.gpgsign=false", *words).strip()

    def commit(self, message):
        self.git("add", ".")
        self.git("commit", "-q", "--allow-empty", "-m", message)
        return self.git("rev-parse", "--short=12", "HEAD")

    def tells(self, *flags):
        """(what the program says, what was compiled)."""
        run("cmake", "-S", self.folder, "-B", self.build, "-G", "Ninja", *flags)
        built = run("cmake", "--build", self.build)
        return run(self.build / "tell").strip(), built.count("Building C object")


def main():
    with tempfile.TemporaryDirectory(prefix="godwit-commit-") as place:
        it = Project(pathlib.Path(place))
        check("outside of git", ("unknown", 2), it.tells())
        it.git("init", "-q")
        first = it.commit("one")
        check("the commit", (first, 1), it.tells())
        check("again", (first, 0), it.tells())
        it.git("tag", "9.9.9")
        second = it.commit("two")
        check("the next one, which compiles one file", (second, 1), it.tells())
        (it.folder / "tell.c").write_text(FILES["tell.c"] + "\n", encoding="utf-8")
        check("with changes", (f"{second}-dirty", 2), it.tells())
        check("what was given", ("v1.2-rc+3", 1), it.tells("-DGODWIT_COMMIT=v1.2-rc+3"))
        refused = run("cmake", "-S", it.folder, "-B", it.build, '-DGODWIT_COMMIT=a"; b', status=1)
        check("what would be code", True, "letters, digits" in refused)
    print("ok")


main()

# SPDX-License-Identifier: MIT
"""script/bench stores: the services' stores in LMDB and in PostgreSQL, called without the services.

Reads of accounts by one thread and by eight; counts of VIP reads by one thread, one by one and in
batches of 64, as vipservice makes them; for what survives the process and for what survives power
loss. Then a million accounts are imported and exported (files.py). The database, a private one, is
on the same machine, and reached through loopback.
"""
import argparse
import os
import shutil
import statistics
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
sys.path[:0] = [os.path.join(ROOT, "script", "lib"), os.path.join(ROOT, "bench")]

import build  # noqa: E402
import command  # noqa: E402
import files  # noqa: E402
import machine  # noqa: E402
import processes  # noqa: E402
from postgres_server import PostgresServer, ServerError  # noqa: E402

PROGRAM = os.path.join(ROOT, "build", "release", "bench", "store_load")
TOOL = os.path.join(ROOT, "build", "release", "bin", "godwit")
DIRECTORY = os.path.join(ROOT, "build", "bench-stores")
SIZES = {"rounds": (1, 3, "of each figure, of which the median counts"),
         "seconds": (2, 5, "of a round")}
WORK = [("accounts", 1, "account reads/s, 1 thread"), ("accounts", 8, "account reads/s, 8 threads"),
        ("vips", 1, "VIP counts/s, one by one"), ("vips", 64, "VIP counts/s, batches of 64")]


def parse(arguments):
    """The options, as script/bench lists the main ones."""
    parser = argparse.ArgumentParser(prog="script/bench stores")
    command.add_sizes(parser, SIZES)
    args = parser.parse_args(arguments)
    command.settle_sizes(args, SIZES)
    return args


def measure(args, where, **environment):
    """The figures of one store."""
    figures = []
    for what, number, _ in WORK:
        place = where if "://" in where else os.path.join(where, what)
        rates = [int(subprocess.run([PROGRAM, what, place, str(number), str(args.seconds)],
                                    env=dict(os.environ, **environment), check=True,
                                    stdout=subprocess.PIPE).stdout)
                 for _ in range(args.rounds)]
        figures.append(int(statistics.median(rates)))
    return figures


def with_database(work, **settings):
    """What `work` gives with a new server that has these settings."""
    server = PostgresServer(os.path.join(DIRECTORY, "postgres-" + "-".join(settings.values())),
                            processes.free_ports(1)[0], shared_buffers="128MB", **settings)
    server.start(die_with_parent=True)
    try:
        return work(server)
    finally:
        server.stop()


def in_database(args, **settings):
    """The figures of such a server."""
    return with_database(lambda server: measure(args, server.url), **settings)


def measure_files():
    """A million accounts in each kind of store, as it is by default."""
    shutil.rmtree(DIRECTORY, ignore_errors=True)
    os.makedirs(DIRECTORY)
    return {
        "LMDB": files.measure(TOOL, DIRECTORY,
                              GODWIT_STORE_DIR=os.path.join(DIRECTORY, "accounts")),
        "PostgreSQL": with_database(
            lambda server: files.measure(TOOL, DIRECTORY, GODWIT_ACCOUNT_STORE=server.url),
            fsync="on", full_page_writes="on"),
    }


def main(arguments):
    """Measure, print the table, write the results."""
    args = parse(arguments)
    load_before = machine.load_now()
    os.makedirs(os.path.join(ROOT, "build"), exist_ok=True)
    build.build("release", os.path.join(ROOT, "build", "bench-build.log"),
                ["store_load", "godwit_tool"])
    shutil.rmtree(DIRECTORY, ignore_errors=True)
    os.makedirs(DIRECTORY)
    try:
        rows = {
            "LMDB, survives the process": measure(args, os.path.join(DIRECTORY, "process")),
            "PostgreSQL, the same": in_database(args, fsync="off", full_page_writes="off"),
            "LMDB, survives power loss": measure(args, os.path.join(DIRECTORY, "disk"),
                                                 STORE_LOAD_SYNC="1"),
            "PostgreSQL, the same: as it is by default": in_database(args, fsync="on",
                                                                     full_page_writes="on"),
        }
        of_files = measure_files()
    finally:
        shutil.rmtree(DIRECTORY, ignore_errors=True)
    print("| | " + " | ".join(title for _, _, title in WORK) + " |\n" + "|---" * 5 + "|")
    for name, figures in rows.items():
        print(f"| {name} | " + " | ".join(f"{figure:,}" for figure in figures) + " |")
    files.print_table(of_files)
    machine.write_results("stores", {**machine.about("script/bench stores", load_before), "rows": rows,
                                     "files": of_files})


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except (ServerError, build.BuildError) as problem:
        sys.exit(f"script/bench: {problem}")

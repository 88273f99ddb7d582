# SPDX-License-Identifier: MIT
"""script/bench config: configserver with a repository of 500 applications x 4 profiles.

Sections: all environments in turn at keep-alive, beside nginx with the same bodies as files and a
bare epoll responder (speed); the same while fetches run (fetch: fetching.py); from exec to the
first answer (start); resident memory when all were served (memory); from a push to the last of 100
clients (spread: spread.py). Server on core 0, wrk, git and its host on core 1.
"""
import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
sys.path[:0] = [os.path.join(ROOT, "script", "lib"), os.path.join(ROOT, "bench")]

import build  # noqa: E402
import command  # noqa: E402
import machine  # noqa: E402
import serving  # noqa: E402
import web_peers  # noqa: E402
from service import ServiceError  # noqa: E402
from serving import LOAD_CORE, SERVER_CORE, Contender, Failure  # noqa: E402

import estate as estates  # noqa: E402
import fetching  # noqa: E402
import spread  # noqa: E402

SECTIONS = ("speed", "fetch", "start", "memory", "spread")
OWN_PROGRAMS = os.path.join(ROOT, "build", "release", "bin")
BOTH = f"{SERVER_CORE},{LOAD_CORE}"
# What --quick changes; each can be given by itself as well.
SIZES = {  # option: (quick, full, help)
    "apps": (500, 500, "applications, with 4 profiles each"),
    "commits": (1000, 1000, "of the repository"),
    "rounds": (2, 7, "of speed and fetch"),
    "seconds": (2, 5, "of a round"),
    "connections": (64, 64, "of the load"),
    "push_every": (500, 500, "ms from one push to the next while fetches run"),
    "starts": (3, 15, "from exec to the first answer"),
    "clients": (100, 100, "that wait for a new value"),
    "pushes": (3, 15, "they wait for"),
}


def parse(arguments):
    """The options, as script/bench lists the main ones."""
    parser = argparse.ArgumentParser(prog="script/bench config")
    command.add_sizes(parser, SIZES)
    parser.add_argument("--only", type=command.choice(SECTIONS), default=list(SECTIONS))
    args = parser.parse_args(arguments)
    command.settle_sizes(args, SIZES)
    args.lua = os.path.join(os.path.dirname(os.path.realpath(__file__)), "all_paths.lua")
    args.clients_program = os.path.join(ROOT, "build", "release", "bench", "config_clients")
    return args


def write_site(directory, paths, bodies):
    """The bodies as files for nginx."""
    for path, body in zip(paths, bodies):
        file = directory + path
        os.makedirs(os.path.dirname(file), exist_ok=True)
        with open(file, "wb") as out:
            out.write(body)
    return directory


def start_peers(estate, server):
    """nginx with the same bodies, and the responder with one of them."""
    bodies = estates.read_all(server.port, estate.paths)
    site = write_site(estate.fresh_dir("site"), estate.paths, bodies)
    nginx = estate.keep(web_peers.start_nginx(
        estate.directory, f"root {site};", "sendfile on; open_file_cache max=10000 inactive=1h; "
        "open_file_cache_valid 1h;"))
    typical = estate.paths[len(estate.paths) // 2]
    answer = serving.raw_answer(server.port, typical)
    if len(answer[0]) + len(answer[1]) + 4 > 4096:
        raise Failure("an answer is too large for the epoll responder")
    responder = estate.keep(web_peers.start_responder(estate.directory, OWN_PROGRAMS, answer))
    for service in (nginx, responder):
        if serving.wait_port(service, typical)[1] != answer[1]:
            raise Failure(f"{service.name} answers another body")
    print(f"bodies: {len(bodies)}, {statistics.mean(map(len, bodies)):,.0f} bytes on average")
    return [Contender("nginx", nginx), Contender("epoll responder", responder)]


def run_speed(estate, args):
    """Full speed, round by round; ({name: medians}, figures)."""
    server = estate.configserver("configserver", estate.local)
    serving.start_time(server, estate.paths[0])
    contenders = [Contender("configserver", server), *start_peers(estate, server)]
    script = [args.lua, estate.paths_file]
    for contender in contenders:
        serving.load(contender.service.port, 1, args.connections, script=script)
    for number in range(args.rounds):
        for contender in contenders:
            serving.measure(contender, args.seconds, args.connections, script=script)
        serving.print_rounds(contenders, number, args.rounds)
    result = {c.name: c.medians() for c in contenders}
    serving.print_results(result)
    for contender in contenders:
        contender.service.stop()
    own = result["configserver"]
    return result, [
        ("environment requests/s on one core", own["requests_per_s"], "/s", ">=", 30000),
        ("CPU time an environment request", own["cpu_us"], "us", "<=", 35)]


def run_start(estate, args):
    """From exec to the first good answer, on all cores; ({way: times}, figures)."""
    result = {}
    path = estate.paths[len(estate.paths) // 2]
    ways = {"local": (estate.local, None), "mirror that is kept": (estate.remote, "kept"),
            "mirror to be made": (estate.remote, None)}
    for name, (repo, basedir) in ways.items():
        kept = estate.fresh_dir(basedir) if basedir else None
        times = []
        if kept:
            serving.start_times(estate.configserver(name, repo, basedir=kept, cores=BOTH), path, 1)
        for _ in range(args.starts):
            own = kept or (estate.fresh_dir("mirror") if repo == estate.remote else None)
            server = estate.configserver(name, repo, basedir=own, cores=BOTH)
            times += serving.start_times(server, path, 1)
        result[name] = {"median_ms": statistics.median(times), "each_ms": times}
        print(f"{name:<22}{result[name]['median_ms']:>9.1f} ms from exec to the first answer, "
              f"{min(times):.1f} to {max(times):.1f}", flush=True)
    return result, [
        (f"start to the first answer, {name}", result[name]["median_ms"], "ms", "<", 100)
        for name in ("local", "mirror that is kept")]


def run_memory(estate, args):
    """Resident memory when every environment was served, on all cores; ({way: KiB}, figures)."""
    result = {}
    script = [args.lua, estate.paths_file]
    for name, repo in (("local", estate.local), ("mirror", estate.remote)):
        server = estate.configserver(name, repo, cores=BOTH)
        serving.start_time(server, estate.paths[0])
        first = machine.memory_kib(server.pid)
        estates.read_all(server.port, estate.paths)
        served = machine.memory_kib(server.pid)
        _, loaded = serving.load(server.port, args.seconds, args.connections, server.pid,
                                 script=script)
        result[name] = {"first_kib": first, "served_kib": served, "under_load_kib": loaded,
                        "anonymous_kib": machine.memory_kib(server.pid, "RssAnon"),
                        "peak_kib": machine.memory_kib(server.pid, "VmHWM")}
        print(f"{name:<8}" + ", ".join(f"{key.removesuffix('_kib').replace('_', ' ')} "
                                       f"{kib / 1024:.1f} MiB" for key, kib in
                                       result[name].items()), flush=True)
        server.stop()
    return result, [(f"resident memory after all were served, {name}",
                     max(row["served_kib"], row["under_load_kib"]) / 1024, "MiB", "<", 30)
                    for name, row in result.items()]


def run_sections(args, estate, result):
    """Measure section by section into `result`."""
    sections = {"speed": run_speed, "fetch": fetching.run, "start": run_start,
                "memory": run_memory, "spread": spread.run}
    figures = []
    for name in (section for section in SECTIONS if section in args.only):
        print(f"\n{name}", flush=True)
        result[name], found = sections[name](estate, args)
        command.print_figures(found)
        figures.extend(found)
    result["figures"] = command.as_results(figures)
    if len(args.only) > 1:
        print("\nall figures:")
        command.print_figures(figures)


def main(arguments):
    """Build, measure, report."""
    args = parse(arguments)
    if len(os.sched_getaffinity(0)) < 2:
        raise Failure("it takes two cores: one for the server, one for the load")
    os.makedirs(os.path.join(ROOT, "build"), exist_ok=True)
    busy = machine.load_now()
    print("building the preset release", flush=True)
    given = os.environ.get("GODWIT_BIN")  # a configserver that is built already
    build.build("release", os.path.join(ROOT, "build", "bench-build.log"),
                [*([] if given else ["configserver"]), "epoll_responder", "config_clients"])
    os.sched_setaffinity(0, {LOAD_CORE})
    directory = tempfile.mkdtemp(prefix="bench-", dir=os.path.join(ROOT, "build"))
    result = {**machine.about("script/bench config", busy), "options": vars(args)}
    estate = None
    try:
        print(f"making a repository of {args.apps} applications and {args.commits} commits")
        estate = estates.Estate(directory, build.programs_dir(), args.apps, args.commits)
        run_sections(args, estate, result)
    finally:
        if estate:
            estate.stop()
        shutil.rmtree(directory, ignore_errors=True)
    machine.write_results("config", result)


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except (Failure, ServiceError, build.BuildError, subprocess.CalledProcessError) as error:
        sys.exit(f"script/bench config: {error}")

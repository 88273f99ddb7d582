# SPDX-License-Identifier: MIT
"""What the benchmarks say about the machine, and where their results go."""
import datetime
import json
import os
import platform
import re

ROOT = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))


def cpu_model():
    """The processor's name."""
    with open("/proc/cpuinfo", encoding="utf-8") as info:
        found = re.search(r"model name\s*: (.*)", info.read())
    return found.group(1) if found else platform.machine()


def about(command, load_before):
    """When and where something was measured, for the top of a file of results."""
    return {
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "command": command,
        "machine": {"load_before": load_before, "kernel": platform.release(), "cpu": cpu_model(),
                    "cores": os.cpu_count()},
    }


def load_now():
    """The load before a measurement; says so when the machine does other things."""
    busy = os.getloadavg()[0]
    if busy > 0.5:
        print(f"the machine does other things (load {busy:.1f}): what follows is worth little",
              flush=True)
    return busy


def memory_kib(pid, what="VmRSS"):
    """Resident memory of a process; of the kind RssAnon, that no file stands behind."""
    with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as status:
        return int(re.search(what + r":\s+(\d+) kB", status.read()).group(1))


def write_results(name, result):
    """Write bench/results/NAME-DATE.json and say so."""
    results = os.path.join(ROOT, "bench", "results")
    os.makedirs(results, exist_ok=True)
    path = os.path.join(results, f"{name}-{result['date'][:10]}.json")
    with open(path, "w", encoding="ascii") as out:
        json.dump(result, out, indent=2)
        out.write("\n")
    print(f"\nwritten to {os.path.relpath(path, ROOT)}")

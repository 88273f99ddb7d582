# SPDX-License-Identifier: MIT
"""accountservices behind HAProxy: what a read costs there and here, and how reads are spread.

HAProxy and all instances are on core 0, wrk on core 1: that is no rate to be proud of, but each
process' CPU time a request is the same on a machine of its own.
"""
import os
import re

import processes
import serving
from serving import SERVER_CORE, LOAD_CORE, on_core
from service import Service, http_request

PATH = "/accounts/10001"
REQUESTS = re.compile(r'(?m)^godwit_http_requests_total\{route="GetAccount"[^}]*\} (\d+)')
CONFIG = """global
    nbthread 1
    maxconn 4000
defaults
    mode http
    balance {balance}
    timeout connect 2s
    timeout client 30s
    timeout server 30s
    option httpchk GET /health/live
    default-server check inter 500ms fall 2 rise 1
frontend accounts
    bind 127.0.0.1:{port}
    default_backend instances
backend instances
{servers}
"""


def _requests(port):
    _, text = http_request(port, "GET", "/metrics")
    return sum(int(count) for count in REQUESTS.findall(text))


def _instances(system, count):
    """More accountservices beside the system's, on core 0."""
    for number, port in enumerate(processes.free_ports(count), 1):
        environment = {**os.environ, processes.MARK: system.directory,
                       "GODWIT_SERVER_ADDRESS": "127.0.0.1", "GODWIT_SERVER_PORT": str(port),
                       "GODWIT_AMQP_SERVER_URL": system.broker_url,
                       "GODWIT_STORE_DIR": system.path("data", f"accounts-{number}")}
        os.makedirs(environment["GODWIT_STORE_DIR"], exist_ok=True)
        name = f"accountservice-{number}"
        yield Service(name, on_core(SERVER_CORE, system.account.command), port,
                      cwd=system.directory, env=environment,
                      log_path=system.path("logs", f"{name}.log")).start().wait_healthy()


def _start_haproxy(system, instances):
    port = processes.free_ports(1)[0]
    path = system.path("haproxy.cfg")
    servers = "\n".join(f"    server s{i} 127.0.0.1:{one.port}" for i, one in enumerate(instances))
    with open(path, "w", encoding="ascii") as out:
        out.write(CONFIG.format(port=port, servers=servers, balance="roundrobin"))
    proxy = Service("haproxy", on_core(SERVER_CORE, ["/usr/sbin/haproxy", "-db", "-f", path]), port,
                    cwd=system.directory, env=dict(os.environ),
                    log_path=system.path("logs", "haproxy.log")).start()
    serving.wait_port(proxy, PATH)
    return proxy


def _measure(port, watched, seconds, connections):
    """wrk against a port: requests/s, and the CPU us a request of each group of processes."""
    before = {name: sum(map(serving.cpu_seconds, pids)) for name, pids in watched.items()}
    report, _ = serving.load(port, seconds, connections, path=PATH)
    count = int(re.search(r"(\d+) requests in", report).group(1))
    return {"rate": float(re.search(r"Requests/sec:\s+([\d.]+)", report).group(1)),
            **{name: (sum(map(serving.cpu_seconds, pids)) - before[name]) / count * 1e6
               for name, pids in watched.items()}}


def run(system, args):
    """Measure and print."""
    os.sched_setaffinity(0, {LOAD_CORE})
    system.make_files(fresh=True)
    system.config.start().wait_healthy()
    print(f"\nbalancing: GET {PATH}, {args.connections} connections, {args.seconds} s each\n"
          f"{'':<26}{'requests/s':>11}{'HAProxy us':>12}{'instance us':>13}{'least':>8}{'most':>8}",
          flush=True)
    result, started = [], []
    try:
        instances = list(_instances(system, max(args.instances)))
        started += instances
        for count in (0, *args.instances):  # 0: without HAProxy
            own = instances[:count or 1]
            watched = {"instance_us": [one.pid for one in own]}
            if count:
                proxy = _start_haproxy(system, own)
                started.append(proxy)
                watched["haproxy_us"] = [proxy.pid]
            before = [_requests(one.port) for one in own]
            row = _measure(proxy.port if count else own[0].port, watched, args.seconds,
                           args.connections)
            served = [_requests(one.port) - n for one, n in zip(own, before)]
            row |= {"instances": count, "least": min(served) * len(own) / sum(served),
                    "most": max(served) * len(own) / sum(served)}
            result.append(row)
            name = f"HAProxy and {count}" if count else "one, without HAProxy"
            print(f"{name:<26}{row['rate']:>11,.0f}{row.get('haproxy_us', 0):>12.2f}"
                  f"{row['instance_us']:>13.2f}{row['least']:>8.2f}{row['most']:>8.2f}", flush=True)
            if count:
                proxy.kill()
    finally:
        for service in started:
            service.kill()
        system.stop()
        os.sched_setaffinity(0, {SERVER_CORE, LOAD_CORE})
    return result

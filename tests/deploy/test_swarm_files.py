# SPDX-License-Identifier: MIT
"""deploy/swarm/: what the stack promises on paper. script/test-swarm tries it on an engine."""
import re

import manifests

SWARM = manifests.DEPLOY / "swarm"
PROGRAMS = ("accountservice", "vipservice")
WITH_OUTBOX = {"accountservice": "account-data", "vipservice": "vip-data"}


def stack():
    """The file, with its anchors resolved."""
    return manifests.yaml.safe_load((SWARM / "stack.yml").read_text("utf-8"))


def seconds(text):
    """Of "20s"."""
    return int(text.removesuffix("s"))


def test_every_service_is_confined():
    for name, service in stack()["services"].items():
        assert service["read_only"] is True and service["cap_drop"] == ["ALL"], name
        resources = service["deploy"]["resources"]
        assert resources["limits"]["memory"] and resources["limits"]["cpus"], name
        assert resources["reservations"]["memory"] and resources["reservations"]["cpus"], name
        assert not any("PASSWORD" in key and not key.endswith("_FILE")
                       for key in service.get("environment", {})), name


def test_addresses_are_those_of_tasks():
    """No virtual IP, which needs IPVS, and sends to the dead."""
    for name, service in stack()["services"].items():
        assert service["deploy"]["endpoint_mode"] == "dnsrr", name


def test_the_gateway_alone_is_published():
    made = stack()
    for name, service in made["services"].items():
        if name == "gateway":
            assert all(port["mode"] == "host" for port in service["ports"])
        else:
            assert "ports" not in service and service["networks"] == ["backend"], name
    assert made["networks"]["backend"]["internal"] is True


def test_what_is_named_is_there():
    made = stack()
    for name, service in made["services"].items():
        assert set(service.get("secrets", [])) <= set(made["secrets"]), name
        assert {use["source"] for use in service.get("configs", [])} <= set(made["configs"]), name
        assert {use.split(":")[0] for use in service.get("volumes", [])} <= set(made["volumes"]), name
    for name, config in made["configs"].items():
        assert (SWARM / config["file"]).is_file(), name
    gateway = (SWARM / "haproxy.cfg").read_text("utf-8")
    for service, port in re.findall(r"tasks\.(\w+):(\d+)", gateway):
        assert service in made["services"]
        assert f"bind :{port}" in gateway


def test_an_outbox_has_one_process_at_a_time():
    """A volume for each slot, and the old task ends before the new one starts."""
    made = stack()
    for name, volume in WITH_OUTBOX.items():
        service = made["services"][name]
        assert service["volumes"] == [f"{volume}:/var/lib/godwit"]
        assert made["volumes"][volume]["name"] == "{{.Service.Name}}-{{.Task.Slot}}"
        for kind in ("update_config", "rollback_config"):
            assert service["deploy"][kind]["order"] == "stop-first"
            assert service["deploy"][kind]["parallelism"] == 1
        assert service["deploy"]["update_config"]["failure_action"] == "rollback"
        assert service["deploy"]["replicas"] >= 2  # one serves meanwhile


def test_a_stop_takes_no_longer_than_it_may():
    """shutdown_timeout, and 3 s more, after which a service ends itself."""
    shared = manifests.yaml.safe_load((SWARM / "config" / "application.yml").read_text("utf-8"))
    for name in (*PROGRAMS, "configserver"):
        grace = seconds(stack()["services"][name]["stop_grace_period"])
        assert grace > seconds(shared["shutdown_timeout"]) + 3, name


def test_only_events_reach_the_config_server():
    """What the gateway lets through on its port: two paths, and no GET."""
    gateway = (SWARM / "haproxy.cfg").read_text("utf-8")
    section = gateway.split("frontend config-events\n")[1].split("\n\n")[0]
    assert "deny deny_status 404 unless METH_POST { path /monitor } or METH_POST { path_beg " \
           "/actuator/busrefresh }" in section

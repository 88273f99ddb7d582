# SPDX-License-Identifier: MIT
"""deploy/kubernetes: what manifests name is there, and fits; and they are as strict as they say.

Nothing is sent to a cluster: these are the mistakes that `kubectl apply` accepts, and that show
only when a pod does not start, or is not protected.
"""
import re

import pytest

import manifests
from manifests import (ELSEWHERE, KUBERNETES, OPERATORS_PODS, PROGRAMS, SECRETS, STACKS, bytes_of,
                       container_of, environment_of, kustomization, labels_of, name_of, pod_of,
                       ports_of, selects)

URL = re.compile(r"\b(?:https?|amqp|postgresql)://(?:[^@/\s\"]*@)?([\w-]+):(\d+)")
OUTBOX_MAX = 2 << 30  # outbox_max_bytes, unless it is set


@pytest.fixture(params=STACKS)
def stack(request):
    """Each of them in turn."""
    return manifests.load(request.param)


@pytest.fixture(params=sorted(PROGRAMS))
def workload(request):
    """What runs a program of ours."""
    stack = manifests.load("trial")
    return next(one for one in stack.workloads() if one["metadata"]["name"] == request.param)


# ---- what is named is there --------------------------------------------------------------------

def test_every_file_is_part_of_a_kustomization():
    """None is forgotten, and none that is named is missing."""
    for folder in ("base", *STACKS):
        resources = kustomization(KUBERNETES / folder)["resources"]
        named = {one for one in resources if one.endswith(".yaml")}
        there = {path.name for path in (KUBERNETES / folder).glob("*.yaml")}
        assert named | {"kustomization.yaml"} == there, folder
        for one in set(resources) - named:
            assert (KUBERNETES / folder / one / "kustomization.yaml").is_file(), one


def test_no_two_objects_have_one_name(stack):
    """The second would take the place of the first."""
    names = [name_of(one) for one in stack.objects]
    assert sorted(names) == sorted(set(names))


def test_secrets_and_configmaps_that_are_mounted(stack):
    """They are there, with the keys that are asked for."""
    keys = {("configMap", one["metadata"]["name"]): set(one["data"])
            for one in stack.of("ConfigMap")}
    keys |= {("secret", name): known for name, known in SECRETS.items()}
    for one in stack.workloads():
        for volume in pod_of(one).get("volumes", []):
            for source in volume.get("projected", {}).get("sources", [volume]):
                for kind in {"configMap", "secret"} & set(source):
                    said = source[kind]
                    name = said.get("secretName") or said["name"]
                    assert (kind, name) in keys, f"{name_of(one)}: there is no {kind} {name}"
                    missing = {item["key"] for item in said.get("items", [])} - keys[kind, name]
                    assert not missing, f"{name_of(one)}: {kind} {name} has no {missing}"


def test_volumes_and_mounts_agree(stack):
    """Each mount has its volume, and each volume is mounted."""
    for one in stack.workloads():
        volumes = [volume["name"] for volume in pod_of(one).get("volumes", [])]
        volumes += [claim["metadata"]["name"]
                    for claim in one["spec"].get("volumeClaimTemplates", [])]
        mounted = [mount["name"] for mount in container_of(one).get("volumeMounts", [])]
        assert sorted(volumes) == sorted(mounted), name_of(one)


def test_addresses_lead_to_a_service_and_its_port(stack):
    """In variables and in the configuration."""
    found = 0
    for one in [*stack.workloads(), *stack.of("ConfigMap")]:
        for path, text in manifests.texts(one):
            for host, port in URL.findall(text):
                found += 1
                assert int(port) in stack.services().get(host, ()), f"{name_of(one)} {path} {text}"
    assert found >= 7


def test_services_lead_to_pods_that_listen(stack):
    """By label, and by the port's name."""
    for service in stack.of("Service"):
        pods = [one for one in stack.workloads()
                if selects({"matchLabels": service["spec"]["selector"]}, labels_of(one))]
        assert len(pods) == 1, name_of(service)
        for port in service["spec"]["ports"]:
            assert ports_of(pods[0]).get(port["targetPort"]) == port["port"], name_of(service)


def test_a_stateful_set_has_its_service(stack):
    """Its pods get their names from it."""
    for one in stack.of("StatefulSet"):
        assert one["spec"]["serviceName"] in stack.services(), name_of(one)


def test_probes_ask_at_a_port_of_the_container(stack):
    """All three, everywhere."""
    for one in stack.workloads():
        for kind in ("startupProbe", "readinessProbe", "livenessProbe"):
            probe = container_of(one)[kind]
            for how in {"httpGet", "tcpSocket"} & set(probe):
                assert probe[how]["port"] in ports_of(one), f"{name_of(one)} {kind}"


def test_ports_are_those_of_the_programs(workload):
    """As designed, and as they listen without being told otherwise."""
    name = workload["metadata"]["name"]
    assert ports_of(workload) == {"http": PROGRAMS[name]}
    assert not {"GODWIT_SERVER_PORT", "GODWIT_PORT"} & set(environment_of(workload))


# ---- selectors ---------------------------------------------------------------------------------

def test_selectors_take_their_own_pods_and_no_others(stack):
    """Of workloads, of what spreads them, and of disruption budgets."""
    for one in stack.workloads():
        selectors = [one["spec"]["selector"]]
        selectors += [rule["labelSelector"]
                      for rule in pod_of(one).get("topologySpreadConstraints", [])]
        for selector in selectors:
            taken = [name_of(other) for other in stack.workloads()
                     if selects(selector, labels_of(other))]
            assert taken == [name_of(one)], selector


def test_disruption_budgets_leave_room(stack):
    """A node can be drained, and never takes the last pod of a kind."""
    guarded = set()
    for budget in stack.of("PodDisruptionBudget"):
        assert budget["spec"]["maxUnavailable"] == 1, name_of(budget)
        for one in stack.workloads():
            if selects(budget["spec"]["selector"], labels_of(one)):
                guarded.add(one["metadata"]["name"])
                assert one["spec"]["replicas"] >= 2, name_of(one)
    assert guarded == set(PROGRAMS)


def test_network_policies_name_pods_and_ports_that_are_there(stack):
    """A policy for a label that nobody has protects nobody."""
    # Those of both stacks: the base has the policies of either.
    pods = [labels_of(one) for name in STACKS for one in manifests.load(name).workloads()]
    pods += OPERATORS_PODS + ELSEWHERE
    ports = {5672, 5432, 53, *PROGRAMS.values(), "http"}
    for policy in stack.of("NetworkPolicy"):
        spec = policy["spec"]
        selectors = [spec["podSelector"]]
        for rule in [*spec.get("ingress", []), *spec.get("egress", [])]:
            peers = [*rule.get("from", []), *rule.get("to", [])]
            selectors += [peer["podSelector"] for peer in peers if "podSelector" in peer]
            assert {port["port"] for port in rule["ports"]} <= ports, name_of(policy)
        for selector in selectors:
            assert any(selects(selector, labels) for labels in pods), (name_of(policy), selector)


def test_nothing_is_let_through_that_no_policy_names(stack):
    """Into and out of our programs, and into what keeps their messages and data."""
    for one in stack.workloads():
        ways = {way for policy in stack.of("NetworkPolicy") for way in policy["spec"]["policyTypes"]
                if selects(policy["spec"]["podSelector"], labels_of(one))}
        wanted = {"Ingress", "Egress"} if one["metadata"]["name"] in PROGRAMS else {"Ingress"}
        assert wanted <= ways, name_of(one)
    deny = stack.named("NetworkPolicy", "deny-all")["spec"]
    assert not deny.get("ingress") and not deny.get("egress")


# ---- as strict as can be -----------------------------------------------------------------------

def test_pods_have_no_rights(stack):
    """The standard "restricted", a read-only root file system, and no token of the cluster."""
    assert stack.named("Namespace", "godwit")["metadata"]["labels"][
        "pod-security.kubernetes.io/enforce"] == "restricted"
    for one in stack.workloads():
        pod, container = pod_of(one), container_of(one)
        said = pod["securityContext"]
        assert said["runAsNonRoot"] is True and said["runAsUser"] >= 100, name_of(one)
        assert said["seccompProfile"] == {"type": "RuntimeDefault"}, name_of(one)
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]}}, name_of(one)
        assert pod["automountServiceAccountToken"] is False, name_of(one)
        assert not {"hostNetwork", "hostPID", "hostIPC"} & set(pod), name_of(one)
        assert not any("hostPath" in volume for volume in pod["volumes"]), name_of(one)


def test_what_pods_may_take_is_limited(stack):
    """Memory by a limit; what they need is asked for; no volume in a pod without an end."""
    for one in stack.workloads():
        resources = container_of(one)["resources"]
        assert set(resources["requests"]) == {"cpu", "memory"}, name_of(one)
        assert bytes_of(resources["limits"]["memory"][:-1] + "i") >= 1 << 27, name_of(one)
        for volume in pod_of(one)["volumes"]:
            assert "emptyDir" not in volume or volume["emptyDir"].get("sizeLimit"), name_of(one)


def test_images_have_a_version(stack):
    """Ours by the kustomization, which a person edits once; others in their place."""
    for one in stack.workloads():
        name, _, tag = container_of(one)["image"].rpartition("/")[2].partition(":")
        tag = tag or stack.images.get(container_of(one)["image"])
        assert tag and tag != "latest", f"{name_of(one)}: {name}"


def test_no_secret_is_written_down(stack):
    """Passwords are in Secrets, which are files to programs."""
    assert not stack.of("Secret")
    for one in stack.workloads():
        for variable in container_of(one).get("env", []):
            ref = variable.get("valueFrom", {}).get("secretKeyRef")
            assert ref is None or ref["key"] == "username", f"{name_of(one)} {variable['name']}"
        for volume in pod_of(one)["volumes"]:
            assert volume.get("secret", {}).get("defaultMode", 0o440) == 0o440, name_of(one)
    for one in stack.objects:
        for path, text in manifests.texts(one):
            assert not re.search(r"://[^/\s@]*:[^/\s@]*@", text), f"{name_of(one)} {path}"
            assert not re.search(r"(?i)\b(password|secret|token)\s*[:=]\s*\S", text), \
                f"{name_of(one)} {path}"


# ---- stopping, updating, what must last ----------------------------------------------------------

def test_a_stop_has_the_time_it_needs(workload):
    """What comes before SIGTERM, shutdown_timeout (10 s), and 3 s until a program ends itself."""
    wait_s = container_of(workload)["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert wait_s >= 3
    assert pod_of(workload)["terminationGracePeriodSeconds"] >= wait_s + 10 + 3


def test_an_update_takes_none_away_before_the_next_is_there(stack):
    """Of Deployments; a StatefulSet's go one by one."""
    for one in stack.of("Deployment"):
        assert one["spec"]["strategy"]["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": 1}
    for one in stack.of("StatefulSet"):
        assert one["spec"].get("updateStrategy", {}).get("type", "RollingUpdate") == "RollingUpdate"


def test_the_outbox_outlives_its_pod():
    """It is on a claim that has room for it, which stays when a pod is scaled away."""
    one = manifests.load("trial").named("StatefulSet", "accountservice")
    outbox = environment_of(one)["GODWIT_OUTBOX_DIR"]
    mount = next(m for m in container_of(one)["volumeMounts"]
                 if outbox.startswith(m["mountPath"] + "/"))
    claim = next(c for c in one["spec"]["volumeClaimTemplates"]
                 if c["metadata"]["name"] == mount["name"])
    assert bytes_of(claim["spec"]["resources"]["requests"]["storage"]) > OUTBOX_MAX * 1.5
    assert one["spec"]["persistentVolumeClaimRetentionPolicy"] == {
        "whenDeleted": "Retain", "whenScaled": "Retain"}


# ---- the images --------------------------------------------------------------------------------

def stage_of(image):
    """What the file of images says about one, godwit/NAME, that script/images builds."""
    name = image.removeprefix("godwit/")
    for path in sorted((manifests.DEPLOY / "images").glob("*Dockerfile")):
        found = re.search(rf"(?ms)^FROM \S+ AS {name}$(.*?)(?=^FROM |\Z)",
                          path.read_text(encoding="utf-8"))
        if found:
            return found.group(1)
    raise AssertionError(f"{image} is built by no file of deploy/images")


def test_images_are_those_that_are_built():
    """By name, user, port, and the directory that is theirs to write."""
    built = re.search(r"(?m)^programs=\((.*)\)\nothers=\((.*)\)$",
                      (manifests.ROOT / "script" / "images").read_text(encoding="utf-8"))
    for one in manifests.load("trial").workloads():
        image = container_of(one)["image"]
        assert image in {f"godwit/{name}" for name in " ".join(built.groups()).split()}
        stage = stage_of(image)
        said = pod_of(one)["securityContext"]
        assert f"USER {said['runAsUser']}:{said['runAsGroup']}\n" in stage, image
        assert said["fsGroup"] == said["runAsGroup"], image
        for port in ports_of(one).values():
            assert re.search(rf"(?m)^EXPOSE .*\b{port}\b", stage), image
        for mount in container_of(one)["volumeMounts"]:
            path = mount["mountPath"]
            if not mount.get("readOnly") and path != "/tmp":
                assert re.search(rf'(?m)^VOLUME .*"{path}"', stage), f"{image} {path}"


@pytest.mark.parametrize("name", ["rabbitmq", "postgresql"])
def test_variables_of_the_trial_are_known(name):
    """A misspelt one would do nothing."""
    one = next(one for one in manifests.load("trial").workloads()
               if one["metadata"]["name"] == name)
    stage = stage_of(container_of(one)["image"])
    for variable in environment_of(one):
        assert re.search(rf"\b{variable}=", stage), f"{name}: {variable}"

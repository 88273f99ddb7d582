# SPDX-License-Identifier: MIT
"""Kubernetes' manifests as their checks look at them: what `kubectl apply -k` would send."""
import dataclasses
import pathlib
import re

import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
KUBERNETES = DEPLOY / "kubernetes"
STACKS = ("trial", "operators")  # each is all that a cluster gets
PROGRAMS = {"configserver": 8888, "accountservice": 6767, "vipservice": 6868}  # as designed

# What a stack has besides, made by hand (trial, as README.md says) or by an operator: the keys of
# Secrets, the ports of Services, and labels of pods.
SECRETS = {"rabbitmq-default-user": {"username", "password"},
           "godwit-db-app": {"username", "password"}}
OPERATORS_SERVICES = {"rabbitmq": {5672}, "godwit-db-rw": {5432}}
OPERATORS_PODS = [{"app.kubernetes.io/name": "rabbitmq"}, {"cnpg.io/cluster": "godwit-db"}]
ELSEWHERE = [{"k8s-app": "kube-dns"}]


def yaml_files(folder):
    """All of them below."""
    return sorted(path for path in folder.rglob("*") if path.suffix in (".yml", ".yaml"))


def documents(path):
    """The documents of a file; those that hold nothing are left out."""
    return [found for found in yaml.safe_load_all(path.read_text(encoding="utf-8")) if found]


def kustomization(folder):
    """The one document of kustomization.yaml."""
    return documents(folder / "kustomization.yaml")[0]


@dataclasses.dataclass
class Stack:
    """All objects of one folder, and what its kustomizations say about them."""

    name: str
    objects: list
    images: dict  # name: tag

    def of(self, *kinds):
        """The objects of some kinds."""
        return [one for one in self.objects if one["kind"] in kinds]

    def named(self, kind, name):
        """The one object."""
        found = [one for one in self.of(kind) if one["metadata"]["name"] == name]
        assert len(found) == 1, f"{self.name} has {len(found)} of {kind} {name}"
        return found[0]

    def workloads(self):
        """What makes pods."""
        return self.of("Deployment", "StatefulSet", "DaemonSet", "Job", "CronJob")

    def services(self):
        """{name: the ports they are reached at}."""
        ours = {one["metadata"]["name"]: {port["port"] for port in one["spec"]["ports"]}
                for one in self.of("Service")}
        return ours if self.name == "trial" else {**OPERATORS_SERVICES, **ours}


def load(name):
    """A stack, its bases included."""
    stack = Stack(name, [], {})
    _add(stack, KUBERNETES / name)
    return stack


def _add(stack, folder):
    said = kustomization(folder)
    for image in said.get("images", []):
        stack.images[image["name"]] = image["newTag"]
    for resource in said["resources"]:
        path = (folder / resource).resolve()
        if path.is_dir():
            _add(stack, path)
        else:
            stack.objects += documents(path)


def pod_of(workload):
    """Its pods' spec."""
    return workload["spec"]["template"]["spec"]


def labels_of(workload):
    """Its pods' labels."""
    return workload["spec"]["template"]["metadata"]["labels"]


def container_of(workload):
    """Its one container."""
    containers = pod_of(workload)["containers"]
    assert len(containers) == 1, workload["metadata"]["name"]
    return containers[0]


def ports_of(workload):
    """{name: number}."""
    return {port["name"]: port["containerPort"] for port in container_of(workload)["ports"]}


def environment_of(workload):
    """{name: value}; None where a Secret has it."""
    return {one["name"]: one.get("value") for one in container_of(workload).get("env", [])}


def name_of(one):
    """For messages of failed tests."""
    return f"{one['kind']} {one['metadata']['name']}"


def selects(selector, labels):
    """Whether a label selector takes pods with these labels."""
    for key, value in selector.get("matchLabels", {}).items():
        if labels.get(key) != value:
            return False
    for rule in selector.get("matchExpressions", []):
        assert rule["operator"] == "In", f"not understood here: {rule}"
        if labels.get(rule["key"]) not in rule["values"]:
            return False
    return True


def bytes_of(quantity):
    """Kubernetes' "4Gi" as a number."""
    number, unit = re.fullmatch(r"(\d+)([KMGT]i)?", str(quantity)).groups()
    return int(number) * 1024 ** ("KMGT".index(unit[0]) + 1 if unit else 0)


def texts(value):
    """Every text in a document, with the path to it."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from ((f"{key}.{path}", text) for path, text in texts(inner))
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from ((f"{number}.{path}", text) for path, text in texts(inner))
    elif value is not None:
        yield "", str(value)

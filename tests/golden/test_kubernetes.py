"""The manifests of samples/kubernetes: rendered by kubectl, and held against what they must be.

RINGFENCE_KUBECTL may list several kubectl programs, separated by ':': all must render the same.
"""

import json
import os
import pathlib
import re
import subprocess
import sys

import pytest
import yaml

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "double"))
import manifests  # noqa: E402
import rf  # noqa: E402

pytestmark = pytest.mark.skipif(manifests.kubectl() is None, reason="there is no kubectl")
PROGRAMS = [p for p in os.environ.get("RINGFENCE_KUBECTL", "").split(":") if p]
FULL = "monitored"


@pytest.fixture(scope="module")
def overlays():
    return {name: manifests.render(f"overlays/{name}") for name in manifests.OVERLAYS}


def of_kind(objects, *kinds):
    return [item for (kind, _), item in objects.items() if kind in kinds]


def templates(objects):
    """(name of the workload, pod template's spec)"""
    return [(item["metadata"]["name"], item["spec"]["template"]["spec"])
            for item in of_kind(objects, "DaemonSet", "Deployment")]


def containers(objects):
    for name, spec in templates(objects):
        for container in spec.get("initContainers", []) + spec["containers"]:
            yield f"{name}/{container['name']}", spec, container


def every(overlays):
    """Each object of every overlay, once."""
    found = {}
    for objects in overlays.values():
        found.update(objects)
    return found


def test_there_are_overlays(overlays):
    assert set(overlays) == {"node", "node-gate", "monitored", "uninstall"}
    assert set(overlays["node"]) < set(overlays["node-gate"]) < set(overlays["monitored"])


@pytest.mark.parametrize("program", PROGRAMS)
def test_every_kubectl_renders_the_same(overlays, program):
    for name, objects in overlays.items():
        done = subprocess.run([program, "kustomize", manifests.SAMPLES / "overlays" / name],
                              capture_output=True, text=True, timeout=120, check=True)
        assert manifests.index(done.stdout) == objects


def test_all_is_in_one_namespace(overlays):
    from kubeapi import resources  # which kinds have one

    for objects in overlays.values():
        for (kind, name), item in objects.items():
            known = resources.find_kind(item["apiVersion"], kind)
            namespaced = known.namespaced if known else True
            assert item["metadata"].get("namespace") == ("ringfence" if namespaced else None), (
                kind, name)


def test_containers_have_least_privilege(overlays):
    for objects in overlays.values():
        for name, spec, container in containers(objects):
            context = container["securityContext"]
            assert context["readOnlyRootFilesystem"] is True, name
            assert context["allowPrivilegeEscalation"] is False, name
            assert context["capabilities"]["drop"] == ["ALL"], name
            assert "privileged" not in context, name
            assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, name
            assert not spec.get("hostPID") and not spec.get("hostIPC"), name
            given = set(context["capabilities"].get("add", []))
            assert not given & {"SYS_ADMIN", "SYS_MODULE", "SYS_PTRACE", "DAC_OVERRIDE", "BPF"}, name
            assert bool(given) == (name.split("/")[1] in ("enforcer", "table")), name
    gate = dict(templates(overlays["node-gate"]))["ringfence-gate"]
    assert gate["securityContext"]["runAsNonRoot"] and gate["securityContext"]["runAsUser"] > 0
    assert gate["automountServiceAccountToken"] is False


def test_containers_name_what_is_in_their_image(overlays):
    assemble = (manifests.IMAGE / "assemble").read_text()
    programs = {kind: re.search(rf'^{kind}\) programs="([^"]*)"', assemble, re.MULTILINE)[1].split()
                for kind in ("enforcer", "gate")}
    version = re.search(r"VERSION ([\d.]+)", (rf.ROOT / "CMakeLists.txt").read_text()
                        .split("project(")[1])[1]
    for name, _, container in containers(every(overlays)):
        image, _, tag = container["image"].partition(":")
        assert tag == version, name
        assert container["command"][0].lstrip("/") in programs[image.removeprefix("ringfence-")]
        probe = container.get("readinessProbe", {}).get("exec")
        if probe:
            assert probe["command"][0] == container["command"][0]


def test_volumes_and_mounts_fit(overlays):
    for _, spec in [t for o in overlays.values() for t in templates(o)]:
        volumes = {volume["name"] for volume in spec["volumes"]}
        mounted = {mount["name"] for container in spec.get("initContainers", []) +
                   spec["containers"] for mount in container.get("volumeMounts", [])}
        assert mounted == volumes
        host = {volume["hostPath"]["path"] for volume in spec["volumes"] if "hostPath" in volume}
        assert host <= {"/run/ringfence", "/opt/cni/bin", "/etc/cni/net.d"}


def test_what_is_referred_to_is_there(overlays):
    for objects in overlays.values():
        for workload, spec in templates(objects):
            for volume in spec["volumes"]:
                if "configMap" in volume:
                    assert ("ConfigMap", volume["configMap"]["name"]) in objects, workload
            if "serviceAccountName" in spec:
                assert ("ServiceAccount", spec["serviceAccountName"]) in objects
        for item in of_kind(objects, "ClusterRoleBinding", "RoleBinding"):
            assert (item["roleRef"]["kind"], item["roleRef"]["name"]) in objects
            for subject in item["subjects"]:
                assert (subject["kind"], subject["name"]) in objects
        labels = [item["spec"]["template"]["metadata"]["labels"]
                  for item in of_kind(objects, "DaemonSet", "Deployment")]
        selectors = [item["spec"]["selector"] for item in of_kind(objects, "Service")]
        selectors += [item["spec"]["selector"]["matchLabels"] for item in
                      of_kind(objects, "DaemonSet", "Deployment", "PodDisruptionBudget")]
        for selector in selectors:
            assert any(selector.items() <= have.items() for have in labels), selector
        for item in of_kind(objects, "Service"):
            for port in item["spec"]["ports"]:
                assert port.get("targetPort", port["port"]) in served_ports(objects), port


def served_ports(objects):
    """Numbers and names of ports that containers listen on, by their own configuration."""
    ports = set()
    for _, _, container in containers(objects):
        for port in container.get("ports", []):
            ports |= {port["name"], port["containerPort"]}
    for name in ("ringfence-enforcer", "ringfence-gate"):
        if ("ConfigMap", name) in objects:
            text = next(iter(objects["ConfigMap", name]["data"].values()))
            ports.add(int(str(yaml.safe_load(text)["metrics"]).rpartition(":")[2]))
    return ports


def test_gate_survives_what_happens_to_nodes(overlays):
    objects = overlays["node-gate"]
    gate = objects["Deployment", "ringfence-gate"]["spec"]
    budget = objects["PodDisruptionBudget", "ringfence-gate"]["spec"]
    assert gate["replicas"] > budget["maxUnavailable"] >= 1
    assert gate["strategy"]["rollingUpdate"]["maxUnavailable"] == 0
    spread = gate["template"]["spec"]["topologySpreadConstraints"]
    assert {c["topologyKey"] for c in spread} == {"kubernetes.io/hostname",
                                                  "topology.kubernetes.io/zone"}
    assert all(c["labelSelector"] == gate["selector"] for c in spread)
    container = gate["template"]["spec"]["containers"][0]
    assert container["readinessProbe"]["httpGet"]["path"] == "/readyz"


def test_enforcer_comes_before_everything(overlays):
    spec = overlays["node"]["DaemonSet", "ringfence-enforcer"]["spec"]
    pod = spec["template"]["spec"]
    assert spec["updateStrategy"]["type"] == "RollingUpdate"
    assert pod["tolerations"] == [{"operator": "Exists"}]
    assert pod["priorityClassName"] == "system-node-critical"
    assert pod["hostNetwork"] and pod["dnsPolicy"] == "ClusterFirstWithHostNet"
    quota = overlays["node"]["ResourceQuota", "ringfence-critical"]["spec"]
    classes = quota["scopeSelector"]["matchExpressions"][0]["values"]
    for _, one in templates(overlays["monitored"]):
        assert one["priorityClassName"] in classes


def test_configurations_are_taken(overlays, tmp_path):
    """By the programs themselves, with names of their own for what is a Secret's."""
    for name in ("node", FULL):
        text = overlays[name]["ConfigMap", "ringfence-enforcer"]["data"]["enforcer.yaml"]
        path = tmp_path / "enforcer.yaml"
        path.write_text(text)
        done = subprocess.run([rf.program("ringfence-enforcer"), "--config", path, "--check"],
                              capture_output=True, text=True, check=False,
                              env=dict(os.environ, RINGFENCE_NODE="worker-1"))
        assert (done.returncode, done.stderr) == (0, ""), done.stderr
        done = subprocess.run([rf.program("ringfence-enforcer"), "--config", path, "--check"],
                              capture_output=True, text=True, check=False)
        assert done.returncode == 2 and "RINGFENCE_NODE" in done.stderr
    access = overlays[FULL]["ConfigMap", "ringfence-gate-policy"]["data"]["access.yaml"]
    (tmp_path / "access.yaml").write_text(access)
    done = rf.run("check", tmp_path / "access.yaml")
    assert done.returncode == 0, done.stderr


# --- monitoring ---


def test_monitors_find_services(overlays):
    objects = overlays[FULL]
    services = of_kind(objects, "Service")
    for monitor in of_kind(objects, "ServiceMonitor"):
        (condition,) = monitor["spec"]["selector"]["matchExpressions"]
        assert condition["operator"] == "In"
        for name in condition["values"]:
            found = [s for s in services
                     if s["metadata"]["labels"].get(condition["key"]) == name]
            ports = {port["name"] for s in found for port in s["spec"]["ports"]}
            assert {e["port"] for e in monitor["spec"]["endpoints"]} <= ports
    jobs = set(re.findall(r'job="([^"]*)"', json.dumps(
        of_kind(objects, "PrometheusRule")).replace('\\"', '"')))
    assert jobs and jobs <= {service["metadata"]["name"] for service in services}


def test_rules_are_whole(overlays):
    (rules,) = of_kind(overlays[FULL], "PrometheusRule")
    names = [rule["alert"] for group in rules["spec"]["groups"] for rule in group["rules"]]
    assert len(names) == len(set(names)) > 8
    for group in rules["spec"]["groups"]:
        for rule in group["rules"]:
            assert rule["labels"]["severity"] in ("warning", "critical")
            assert rule["annotations"]["summary"].endswith(".")
            assert rule["expr"].count("(") == rule["expr"].count(")")


def test_dashboard_is_a_config_map(overlays):
    item = overlays[FULL]["ConfigMap", "ringfence-dashboards"]
    assert item["metadata"]["labels"]["grafana_dashboard"] == "1"
    sample = rf.ROOT / "samples" / "grafana" / "ringfence-node.json"
    assert json.loads(item["data"]["ringfence-node.json"]) == json.loads(sample.read_text())

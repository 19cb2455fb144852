"""The manifests of samples/kubernetes: rendered by kubectl, and held against what they must be.

RINGFENCE_KUBECTL may list several kubectl programs, separated by ':': all must render the same.
"""

import itertools
import json
import os
import pathlib
import re
import shlex
import subprocess
import sys
import tempfile

import pytest
import yaml

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "double"))
import kubectls  # noqa: E402
import manifests  # noqa: E402
import rf  # noqa: E402

pytestmark = pytest.mark.skipif(manifests.kubectl() is None, reason="there is no kubectl")
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
    assert set(overlays) == {"node", "node-hold", "node-gate", "webhook", "monitored", "uninstall"}
    assert set(overlays["node"]) == set(overlays["node-hold"])
    assert set(overlays["node"]) < set(overlays["node-gate"]) < set(overlays["monitored"])


@pytest.mark.parametrize("program", kubectls.NAMED)
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
                # Users are whom the gate says that it is.
                assert subject["kind"] == "User" or (subject["kind"], subject["name"]) in objects
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


def gate_config(objects):
    return yaml.safe_load(objects["ConfigMap", "ringfence-gate"]["data"]["gate.yaml"])


def allowed(objects, kind, name):
    """{(group, resource, resource name, verb)} that roles give somebody."""
    found = set()
    for binding in of_kind(objects, "ClusterRoleBinding", "RoleBinding"):
        if not any((s["kind"], s["name"]) == (kind, name) for s in binding["subjects"]):
            continue
        for rule in objects[binding["roleRef"]["kind"], binding["roleRef"]["name"]]["rules"]:
            found |= set(itertools.product(rule["apiGroups"], rule["resources"],
                                           rule.get("resourceNames", [""]), rule["verbs"]))
    return found


def enforcer_config(objects):
    return yaml.safe_load(objects["ConfigMap", "ringfence-enforcer"]["data"]["enforcer.yaml"])


def test_nodes_that_answer_dns_are_otherwise_as_the_others(overlays):
    """Its file takes the place of the other as a whole."""
    config = enforcer_config(overlays["node-hold"])
    assert config.pop("dns")["mode"] == "hold"
    assert config == enforcer_config(overlays["node"])


def webhooks(overlays):
    assert set(overlays["webhook"]) == {("ValidatingWebhookConfiguration", "ringfence-policy")}
    return overlays["webhook"]["ValidatingWebhookConfiguration", "ringfence-policy"]["webhooks"]


def test_policy_is_judged_by_the_gate(overlays):
    """The webhook leads to the gate's listener, asks about every kind that is policy, and fails closed."""
    objects = overlays["node-gate"]
    config = gate_config(objects)["admission"]
    (hook,) = webhooks(overlays)
    client = hook["clientConfig"]["service"]
    assert config["policy"] is True and client["path"] == "/policy"
    (port,) = objects["Service", client["name"]]["spec"]["ports"]
    gate = objects["Deployment", "ringfence-gate"]["spec"]["template"]["spec"]["containers"][0]
    listens = {p["name"]: p["containerPort"] for p in gate["ports"]}[port["targetPort"]]
    assert config["listen"] == f"0.0.0.0:{listens}" and port["port"] == 443
    mounts = {m["mountPath"] for m in gate["volumeMounts"]}
    assert {os.path.dirname(config[k]) for k in ("certificate", "key", "clientCA")} <= mounts
    assert hook["failurePolicy"] == "Fail" and hook["matchPolicy"] == "Equivalent"
    asked = {(group, resource) for rule in hook["rules"] for group in rule["apiGroups"]
             for resource in rule["resources"]}
    assert all(set(rule["operations"]) == {"CREATE", "UPDATE", "DELETE"} for rule in hook["rules"])
    native = {("ringfence.dev", crd["spec"]["names"]["plural"])
              for crd in of_kind(objects, "CustomResourceDefinition")} - {("ringfence.dev", "nodereports")}
    admin = {("policy.networking.k8s.io", kind) for kind in (
        "adminnetworkpolicies", "baselineadminnetworkpolicies", "clusternetworkpolicies")}
    assert len(native) == 8 and asked == native | admin | {("networking.k8s.io", "networkpolicies")}


def test_roles_of_the_gate_are_what_it_asks_for(overlays):
    """As whom it lists it may list and watch, and nothing else; as whom it writes status, that alone."""
    objects = overlays["node-gate"]
    config = gate_config(objects)["admission"]
    (hook,) = webhooks(overlays)
    judged = {(group, resource) for rule in hook["rules"] for group in rule["apiGroups"]
              for resource in rule["resources"]}
    lists = judged | {("", "namespaces"), ("ringfence.dev", "nodereports")}
    assert allowed(objects, "User", config["listsAs"]) == {
        (group, resource, "", verb) for group, resource in lists for verb in ("list", "watch")}
    lease = ("coordination.k8s.io", "leases")
    assert allowed(objects, "User", config["statusAs"]) == {
        ("ringfence.dev", f"{plural}/status", "", "patch")
        for group, plural in judged if group == "ringfence.dev"} | {
        (*lease, "", "create"), (*lease, "ringfence-status", "get"), (*lease, "ringfence-status", "update")}
    assert objects["Role", "ringfence-status"]["metadata"]["namespace"] == config["leaseNamespace"]


def test_nodes_report_and_each_its_own(overlays):
    """The enforcer may write reports; a policy of admission holds each node to its own."""
    objects = overlays["node"]
    config = enforcer_config(objects)
    assert config["sources"][0]["kubernetes"]["reportSeconds"] > 0
    may = allowed(objects, "ServiceAccount", "ringfence-enforcer")
    writes = {entry for entry in may if entry[3] not in ("list", "watch")}
    assert writes == {("ringfence.dev", "nodereports", "", verb) for verb in ("create", "patch")}
    assert not any(resource == "secrets" for _, resource, _, _ in may)
    policy = objects["ValidatingAdmissionPolicy", "ringfence-own-report"]["spec"]
    assert policy["failurePolicy"] == "Fail"
    (rule,) = policy["matchConstraints"]["resourceRules"]
    assert (rule["apiGroups"], rule["resources"]) == (["ringfence.dev"], ["nodereports"])
    # `patch` of what is not there is a creation, of what is there an update.
    assert set(rule["operations"]) == {"CREATE", "UPDATE"}
    binding = objects["ValidatingAdmissionPolicyBinding", "ringfence-own-report"]["spec"]
    assert binding == {"policyName": "ringfence-own-report", "validationActions": ["Deny"]}


NODE_NAME = "authentication.kubernetes.io/node-name"


@pytest.mark.parametrize("extra, denied", [
    ({NODE_NAME: ["worker-1"]}, None),
    ({NODE_NAME: ["worker-2"]}, "a NodeReport is written by its node alone; this is worker-2"),
    ({NODE_NAME: []}, "expression resulted in error: no item 0"),
    ({"authentication.kubernetes.io/pod-name": ["worker-1"]},
     "a NodeReport is written by its node alone; this is "),
    (None, "a NodeReport is written by its node alone; this is ")])
def test_policy_of_reports_holds_each_node_to_its_own(overlays, extra, denied):
    from kubeapi import policies

    spec = overlays["node"]["ValidatingAdmissionPolicy", "ringfence-own-report"]["spec"]
    who = {"username": "system:serviceaccount:ringfence:ringfence-enforcer"}
    report = {"metadata": {"name": "worker-1"}, "spec": {}}
    request = {"object": report, "oldObject": None, "operation": "CREATE",
               "userInfo": who if extra is None else who | {"extra": extra}}
    assert policies.denied(spec, request) == (denied and ("Invalid", denied))


def test_what_uninstalling_takes_away_is_all_of_it(overlays):
    """What is in no namespace does not go with that: the README names each."""
    text = (manifests.SAMPLES / "README.md").read_text().split("## Uninstall")[1].split("\n## ")[0]
    commands = " ".join(line for line in text.replace("\\\n", " ").splitlines() if line.startswith("    "))
    for (kind, name), item in every(overlays).items():
        if "namespace" in item["metadata"] or kind == "CustomResourceDefinition":
            continue
        assert kind.lower() in commands and name in commands, (kind, name)
    assert "kubectl get crd" in commands


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


# --- schemas ---

# What the API has of these kinds, as far as the manifests have it: any other field is misspelt.
FIELDS = {
    "Namespace": {"metadata": {}},
    "ServiceAccount": {"metadata": {}, "automountServiceAccountToken": bool},
    "ConfigMap": {"metadata": {}, "data": {str: str}},
    "ClusterRole": {"metadata": {}, "rules": [
        {"apiGroups": [str], "resources": [str], "verbs": [str], "resourceNames": [str]}]},
    "ClusterRoleBinding": {
        "metadata": {}, "roleRef": {"apiGroup": str, "kind": str, "name": str},
        "subjects": [{"kind": str, "name": str, "namespace": str, "apiGroup": str}]},
    "Role": {"metadata": {}, "rules": [
        {"apiGroups": [str], "resources": [str], "verbs": [str], "resourceNames": [str]}]},
    "RoleBinding": {
        "metadata": {}, "roleRef": {"apiGroup": str, "kind": str, "name": str},
        "subjects": [{"kind": str, "name": str, "namespace": str, "apiGroup": str}]},
    "ValidatingWebhookConfiguration": {"webhooks": [{
        "name": str, "admissionReviewVersions": [str], "failurePolicy": str, "sideEffects": str,
        "matchPolicy": str, "timeoutSeconds": int,
        "clientConfig": {"caBundle": str,
                         "service": {"name": str, "namespace": str, "path": str, "port": int}},
        "rules": [{"apiGroups": [str], "apiVersions": [str], "operations": [str],
                   "resources": [str], "scope": str}]}]},
    "ValidatingAdmissionPolicy": {"spec": {
        "failurePolicy": str,
        "matchConstraints": {"resourceRules": [
            {"apiGroups": [str], "apiVersions": [str], "operations": [str], "resources": [str]}]},
        "variables": [{"name": str, "expression": str}],
        "validations": [{"expression": str, "message": str, "messageExpression": str,
                         "reason": str}]}},
    "ValidatingAdmissionPolicyBinding": {"spec": {"policyName": str, "validationActions": [str]}},
    "ResourceQuota": {"metadata": {}, "spec": {
        "hard": {str: str}, "scopeSelector": {"matchExpressions": [
            {"scopeName": str, "operator": str, "values": [str]}]}}},
    "Service": {"metadata": {}, "spec": {
        "clusterIP": str, "selector": {str: str},
        "ports": [{"name": str, "port": int, "targetPort": (int, str), "protocol": str}]}},
    "PodDisruptionBudget": {"metadata": {}, "spec": {
        "maxUnavailable": (int, str), "selector": {"matchLabels": {str: str}}}},
    "ServiceMonitor": {"metadata": {}, "spec": {
        "selector": {"matchExpressions": [{"key": str, "operator": str, "values": [str]}]},
        "endpoints": [{"port": str, "interval": str, "relabelings": [
            {"sourceLabels": [str], "targetLabel": str}]}]}},
    "PrometheusRule": {"metadata": {}, "spec": {"groups": [{"name": str, "rules": [
        {"alert": str, "expr": str, "for": str, "labels": {str: str},
         "annotations": {str: str}}]}]}},
}
METADATA = {"name": str, "namespace": str, "labels": {str: str}, "annotations": {str: str}}
VERSIONS = {"Namespace": "v1", "ServiceAccount": "v1", "ConfigMap": "v1", "ResourceQuota": "v1",
            "Service": "v1", "ClusterRole": "rbac.authorization.k8s.io/v1",
            "ClusterRoleBinding": "rbac.authorization.k8s.io/v1",
            "PodDisruptionBudget": "policy/v1", "DaemonSet": "apps/v1", "Deployment": "apps/v1",
            "Role": "rbac.authorization.k8s.io/v1", "RoleBinding": "rbac.authorization.k8s.io/v1",
            "ValidatingWebhookConfiguration": "admissionregistration.k8s.io/v1",
            "ValidatingAdmissionPolicy": "admissionregistration.k8s.io/v1",
            "ValidatingAdmissionPolicyBinding": "admissionregistration.k8s.io/v1",
            "CustomResourceDefinition": "apiextensions.k8s.io/v1",
            "ServiceMonitor": "monitoring.coreos.com/v1",
            "PrometheusRule": "monitoring.coreos.com/v1"}


def misfit(value, shape, place):
    """Where a value does not fit; None if it does."""
    if isinstance(shape, list):
        if not isinstance(value, list):
            return place
        found = (misfit(item, shape[0], f"{place}[{i}]") for i, item in enumerate(value))
        return next((f for f in found if f), None)
    if isinstance(shape, dict):
        if not isinstance(value, dict):
            return place
        for key, item in value.items():
            if str not in shape and key not in shape:
                return f"{place}.{key}"
            found = misfit(item, shape.get(key, shape.get(str)), f"{place}.{key}")
            if found:
                return found
        return None
    fits = isinstance(value, shape) and (shape is bool or not isinstance(value, bool))
    return None if fits else place


def test_fields_are_those_of_the_api(overlays):
    for (kind, name), item in every(overlays).items():
        assert item["apiVersion"] == VERSIONS[kind]
        assert not misfit(item["metadata"], METADATA, f"{kind} {name} metadata")
        if kind in FIELDS:
            body = {k: v for k, v in item.items() if k not in ("apiVersion", "kind", "metadata")}
            assert not misfit(body, FIELDS[kind], f"{kind} {name}")


def test_misspelt_fields_are_found():
    role = {"rules": [{"apiGroups": [""], "resource": ["pods"]}]}
    assert misfit(role, FIELDS["ClusterRole"], "it") == "it.rules[0].resource"
    assert misfit({"spec": {"clusterIP": None}}, FIELDS["Service"], "it") == "it.spec.clusterIP"


def typed(item):
    """A workload as kubectl's own types have it, which forget every field that they do not
    know."""
    done = subprocess.run(
        [manifests.kubectl(), "set", "env", "--local", "-o", "json", "-f", "-", "RF_TEST=1"],
        input=json.dumps(item), capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def lost(before, after, place=""):
    """The first field that is not there any more."""
    if isinstance(before, dict):
        for key, value in before.items():
            if key not in (after or {}):
                # What is empty is left out; so are defaults of old versions.
                if value in ({}, [], "", 0, False, None):
                    continue
                return f"{place}.{key}"
            found = lost(value, after[key], f"{place}.{key}")
            if found:
                return found
        return None
    if isinstance(before, list):
        if len(after) < len(before):
            return place
        found = (lost(b, a, f"{place}[{i}]") for i, (b, a) in enumerate(zip(before, after)))
        return next((f for f in found if f), None)
    return None if before == after or str(before) == str(after) else place


def test_workloads_fit_kubectls_types(overlays):
    for (kind, _), item in every(overlays).items():
        if kind in ("DaemonSet", "Deployment"):
            assert not lost(without_quantities(item), typed(item))


def without_quantities(item):
    """"8Mi" may come back as another text of the same quantity."""
    if isinstance(item, dict):
        return {k: without_quantities(v) for k, v in item.items() if k not in ("requests",
                                                                               "sizeLimit")}
    if isinstance(item, list):
        return [without_quantities(i) for i in item]
    return item


def test_kubectl_forgets_what_is_misspelt(overlays):
    item = json.loads(json.dumps(overlays["node"]["DaemonSet", "ringfence-enforcer"]))
    pod = item["spec"]["template"]["spec"]
    pod["containers"][0]["securityContext"]["readOnlyRootFileSystem"] = True
    assert lost(without_quantities(item), typed(item)).endswith(".readOnlyRootFileSystem")


def test_api_server_takes_all_of_it(overlays, tmp_path_factory):
    """kubectl apply, first without doing it, then for good, and again; then kubectl delete."""
    import pki
    from apiserver import ApiServer

    directory = tmp_path_factory.mktemp("api")
    certificates = pki.make_standard(str(directory))
    with ApiServer(str(directory), certificates) as api:
        base = [manifests.kubectl(), "--server", api.url]
        for flag, name in (("certificate-authority", "cluster-ca.crt"),
                           ("client-certificate", "admin.crt"), ("client-key", "admin.key")):
            base += [f"--{flag}", os.path.join(certificates, name)]

        def kubectl(*words, text=None, fails=False):
            # What the server serves has changed since the last time.
            cache = ["--cache-dir", tempfile.mkdtemp(dir=directory)]
            done = subprocess.run([*base, *cache, *words], input=text, capture_output=True, text=True,
                                  timeout=120, check=False,
                                  env={"HOME": str(directory), "PATH": os.environ["PATH"]})
            assert (done.returncode != 0) == fails, done.stderr
            return done.stderr if fails else done.stdout

        kubectl("apply", "-f", "-", text=yaml.safe_dump_all(
            [prometheus_definition("ServiceMonitor"), prometheus_definition("PrometheusRule")]))
        # Newer kubectls ask for an aggregate, in which the double has no custom kinds.
        custom = "servicemonitors.monitoring.coreos.com" in kubectl("api-resources", "-o", "name")
        for name in (FULL, "uninstall"):
            objects = [item for (kind, _), item in overlays[name].items()
                       if custom or not VERSIONS[kind].startswith("monitoring")]
            text = yaml.safe_dump_all(objects)
            said = kubectl("apply", "--dry-run=client", "-f", "-", text=text)
            assert said.count("(dry run)") == len(objects)
            kubectl("apply", "-f", "-", text=text)
            # kubectl always has something to change in a PodDisruptionBudget's selector.
            again = [line for line in kubectl("apply", "-f", "-", text=text).splitlines()
                     if not line.endswith(" unchanged")]
            assert all(line.startswith("poddisruptionbudget") for line in again), again
        # Nobody is locked out by a webhook of which nobody said whom to believe.
        text = yaml.safe_dump_all(overlays["webhook"].values())
        assert "illegal base64 data" in kubectl("apply", "-f", "-", text=text, fails=True)
        kubectl("apply", "-f", "-", text=text.replace("(set this)", "QUJD"))
        uninstall(directory, base)
        kinds = ("daemonsets,deployments,configmaps,serviceaccounts,services,roles,clusterroles,"
                 "clusterrolebindings,crd,namespaces,validatingwebhookconfigurations,"
                 "validatingadmissionpolicies,validatingadmissionpolicybindings")
        found = json.loads(kubectl("get", kinds, "-A", "-o", "json"))["items"]
        left = [item["metadata"]["name"] for item in found]
        assert "kube-system" in left
        # But for monitoring's, which are the operator's to define.
        assert not [name for name in left if "ringfence" in name], left


def uninstall(directory, base):
    """Runs what the README says, as it stands but for waiting on what no controller here does."""
    text = (manifests.SAMPLES / "README.md").read_text().split("## Uninstall")[1].split("\n## ")[0]
    script = "\n".join(line[4:] for line in text.splitlines()
                       if line.startswith("    ") and "rollout status" not in line)
    wrapper = directory / "bin" / "kubectl"
    wrapper.parent.mkdir()
    cache = tempfile.mkdtemp(dir=directory)
    wrapper.write_text("#!/bin/sh\nexec " + shlex.join([*base, "--cache-dir", cache]) + ' "$@"\n')
    wrapper.chmod(0o755)
    environment = {"HOME": str(directory), "PATH": f"{wrapper.parent}:{os.environ['PATH']}"}
    done = subprocess.run(["sh", "-euc", script], cwd=rf.ROOT, env=environment, capture_output=True, text=True,
                          timeout=300, check=False)  # fmt: skip
    assert done.returncode == 0 and "namespace \"ringfence\" deleted" in done.stdout, done.stderr


def prometheus_definition(kind):
    plural = kind.lower() + "s"
    return {"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
            "metadata": {"name": f"{plural}.monitoring.coreos.com"},
            "spec": {"group": "monitoring.coreos.com", "scope": "Namespaced",
                     "names": {"plural": plural, "kind": kind},
                     "versions": [{"name": "v1", "served": True, "storage": True}]}}

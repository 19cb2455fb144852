"""The Helm chart makes what kustomize makes.

Debian has no helm. The chart keeps to what Go's own text/template has (no function of Helm's or
Sprig's), so that kubectl, which prints objects by templates of the same package, can render it: a
stand-in for helm in everything around the templates (values, .Files, .Release), the real engine in
them. Where there is a helm, it is asked as well.
"""

import functools
import json
import pathlib
import re
import shutil
import subprocess
import sys

import pytest
import yaml

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
import manifests  # noqa: E402
import rf  # noqa: E402

pytestmark = pytest.mark.skipif(manifests.kubectl() is None, reason="there is no kubectl")
CHART = rf.ROOT / "samples" / "helm" / "ringfence"
HOLD = {"enforcer": {"hold": {"listen": ["169.254.20.10:53"], "resolvers": ["10.96.0.10"]}}}
MONITORED = {"gate": {"enabled": True}, "monitoring": {"enabled": True},
             "enforcer": {"metrics": "0.0.0.0:9477"}}


def merged(values, changes):
    """As helm merges: maps by their keys, everything else whole."""
    result = dict(values)
    for key, value in changes.items():
        both = isinstance(value, dict) and isinstance(result.get(key), dict)
        result[key] = merged(result[key], value) if both else value
    return result


def render(changes=None):
    """The objects of the chart's templates with its default values, but for `changes`."""
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    values = merged(yaml.safe_load((CHART / "values.yaml").read_text()), changes or {})
    data = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "values"},
            "Values": values, "Release": {"Name": "ringfence", "Namespace": "default"},
            "Chart": {"Name": chart["name"], "Version": chart["version"]},
            "Files": {str(path.relative_to(CHART)): path.read_text()
                      for path in (CHART / "files").iterdir()}}
    template = "\n---\n".join(path.read_text() for path in sorted((CHART / "templates").iterdir()))
    done = subprocess.run(
        [manifests.kubectl(), "label", "--local", "-f", "-", "rendered=yes", "-o",
         f"go-template={template}"], input=json.dumps(data), capture_output=True,
        text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert "<no value>" not in done.stdout
    return manifests.index(done.stdout)


def plain(objects):
    """Files in ConfigMaps by what they say, not by how they are laid out."""
    result = json.loads(json.dumps({"/".join(key): value for key, value in objects.items()}))
    for item in result.values():
        if item["kind"] == "ConfigMap":
            item["data"] = {name: yaml.safe_load(text) for name, text in item["data"].items()}
    return result


@functools.cache
def definitions():
    """What helm applies before the templates, as it stands."""
    return manifests.index("\n---\n".join(path.read_text() for path in (CHART / "crds").iterdir()))


WEBHOOK = {"gate": {"enabled": True, "webhook": {"caBundle": "(set this)"}}}


@pytest.mark.parametrize("overlays, changes", [
    (["node"], {}), (["node-hold"], HOLD), (["node-gate"], {"gate": {"enabled": True}}),
    (["node-gate", "webhook"], WEBHOOK), (["monitored"], MONITORED)])
def test_chart_is_the_overlay(overlays, changes):
    wanted = {}
    for overlay in overlays:
        wanted |= plain(manifests.render(f"overlays/{overlay}"))
    made = plain(definitions() | render(changes))
    assert set(made) == set(wanted)
    for name, item in made.items():
        assert item == wanted[name], name


def test_values_come_through():
    objects = render({
        "namespace": {"name": "fence", "create": False},
        "images": {"enforcer": "registry.example/ringfence:1"},
        "imagePullSecrets": ["pull"],
        "enforcer": {"podNetworks": ["10.0.0.0/8", "fd00::/16"], "nodeSelector": {"a": "true"},
                     "extraLines": ["denied: reject"], "tolerations": [
                         {"key": "k", "operator": "Exists", "tolerationSeconds": 5}]},
        "cni": {"options": ["--file=10-calico.conflist"], "binDirectory": "/usr/lib/cni"}})
    assert not any(kind == "Namespace" for kind, _ in objects)
    daemon = objects["DaemonSet", "ringfence-enforcer"]
    spec = daemon["spec"]["template"]["spec"]
    assert daemon["metadata"]["namespace"] == "fence"
    assert spec["imagePullSecrets"] == [{"name": "pull"}]
    assert spec["nodeSelector"] == {"a": "true", "kubernetes.io/os": "linux"}
    assert spec["tolerations"] == [{"key": "k", "operator": "Exists", "tolerationSeconds": 5}]
    every = spec["initContainers"] + spec["containers"]
    assert {container["image"] for container in every} == {"registry.example/ringfence:1"}
    told = [c for c in every if "--file=10-calico.conflist" in c["command"]]
    assert [c["name"] for c in told] == ["cni-install", "cni"]
    config = yaml.safe_load(objects["ConfigMap", "ringfence-enforcer"]["data"]["enforcer.yaml"])
    assert config["workloadNetworks"] == ["10.0.0.0/8", "fd00::/16"]
    assert config["denied"] == "reject"
    for name in ("ringfence-enforcer", "ringfence-report"):
        (subject,) = objects["ClusterRoleBinding", name]["subjects"]
        assert subject["namespace"] == "fence"


def test_values_of_the_webhook_come_through():
    note = "cert-manager.io/inject-ca-from-secret"
    objects = render({"namespace": {"name": "fence"}, "enforcer": {"reportSeconds": 0},
                      "gate": {"enabled": True, "webhook": {
                          "caBundle": "QUJD", "annotations": {note: "fence/one"}}}})
    hook = objects["ValidatingWebhookConfiguration", "ringfence-policy"]
    client = hook["webhooks"][0]["clientConfig"]
    assert client["caBundle"] == "QUJD" and client["service"]["namespace"] == "fence"
    assert hook["metadata"]["annotations"] == {note: "fence/one"}
    assert objects["Role", "ringfence-status"]["metadata"]["namespace"] == "fence"
    config = yaml.safe_load(objects["ConfigMap", "ringfence-gate"]["data"]["gate.yaml"])
    assert config["admission"]["leaseNamespace"] == "fence"
    # Who reports nothing may write nothing.
    assert ("ClusterRole", "ringfence-report") not in objects


def test_without_admission_the_configuration_is_ones_own():
    hook = {"caBundle": "", "annotations": {}}
    objects = render({"gate": {"enabled": True, "admission": False, "webhook": hook}})
    assert "admission" not in yaml.safe_load(objects["ConfigMap", "ringfence-gate"]["data"]["gate.yaml"])
    assert not any(kind.startswith("ValidatingWebhook") for kind, _ in objects)
    # cert-manager writes the bundle: then there is a webhook without one.
    objects = render({"gate": {"enabled": True, "webhook": {"annotations": {"a/b": "c"}}}})
    (hook,) = objects["ValidatingWebhookConfiguration", "ringfence-policy"]["webhooks"]
    assert hook["clientConfig"]["caBundle"] == ""


def functions_of(template):
    """Names that its actions use in the place of a function, or before an argument."""
    found = set()
    for action in re.findall(r"\{\{-?(.*?)-?\}\}", template, re.DOTALL):
        plain_text = re.sub(r'"(?:\\.|[^"\\])*"|`[^`]*`', " ", action)
        found |= set(re.findall(r"(?<![\w.$])[a-zA-Z]\w*", plain_text))
    return found


def test_templates_use_nothing_of_helms_own():
    """Which the stand-in does not have, and helm would give a meaning that nobody here has seen."""
    words = {"if", "else", "end", "range", "with", "printf", "eq", "or", "and", "not", "index", "true", "false"}
    for template in (CHART / "templates").iterdir():
        assert functions_of(template.read_text()) <= words, template.name
    assert functions_of('{{ .Values.a | quote }}{{ include "x" . }}') - words == {"quote", "include"}


def test_without_the_plugin_nothing_of_it_is_left():
    objects = render({"cni": {"enabled": False}})
    spec = objects["DaemonSet", "ringfence-enforcer"]["spec"]["template"]["spec"]
    assert "initContainers" not in spec
    assert [container["name"] for container in spec["containers"]] == ["enforcer"]
    assert "cni" not in json.dumps(spec["volumes"])


def test_chart_has_the_version_of_the_programs():
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert f"VERSION {chart['appVersion']} " in (rf.ROOT / "CMakeLists.txt").read_text()


@pytest.mark.skipif(shutil.which("helm") is None, reason="there is no helm")
def test_helm_makes_the_same():
    done = subprocess.run(["helm", "template", "--include-crds", "ringfence", CHART, "--set", "gate.enabled=true"],
                          capture_output=True, text=True, timeout=120, check=True)
    assert plain(manifests.index(done.stdout)) == plain(
        definitions() | render({"gate": {"enabled": True}}))

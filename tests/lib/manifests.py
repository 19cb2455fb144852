"""The Kubernetes manifests of samples/, rendered, and one of their containers as container.py runs
it.

    objects = manifests.render("overlays/node")
    pod = manifests.Pod(objects, "DaemonSet", "ringfence-enforcer", directory)
    pod.host("/run/ringfence")          # what stands for a directory of the node
    spec = pod.spec("enforcer", image)  # for container.py
"""

import functools
import json
import os
import pathlib
import shutil
import subprocess
import sys

import yaml

import rf

SAMPLES = rf.ROOT / "samples" / "kubernetes"
OVERLAYS = sorted(path.parent.name for path in SAMPLES.glob("overlays/*/kustomization.yaml"))
IMAGE = rf.ROOT / "samples" / "image"
ACCOUNT_PLACE = "/var/run/secrets/kubernetes.io/serviceaccount"


def kubectl():
    return shutil.which("kubectl")


@functools.cache
def rendered(place):
    """What kubectl prints for a kustomization."""
    done = subprocess.run([kubectl(), "kustomize", SAMPLES / place], capture_output=True,
                          text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def render(place):
    """What kubectl makes of a kustomization: {(kind, name): object}."""
    return index(rendered(place))


def index(text):
    found = {}
    for item in yaml.load_all(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
        if item is None:
            continue
        key = item["kind"], item["metadata"]["name"]
        assert key not in found, f"{key} is there twice"
        for empty in ("labels", "annotations"):  # old ones write them
            if item["metadata"].get(empty) == {}:
                del item["metadata"][empty]
        found[key] = item
    return found


def make_image(kind, directory):
    """The file system of an image, of the programs under test, as the recipe makes it."""
    stage, root = directory / "stage", directory / kind
    environment = dict(os.environ, DESTDIR=str(stage), SOURCE_DATE_EPOCH="1700000000")
    if not stage.exists():
        subprocess.run(["cmake", "--install", rf.build_dir(), "--prefix", "/usr", "--strip"],
                       env=environment, stdout=subprocess.DEVNULL, check=True)
    subprocess.run([IMAGE / "assemble", stage, root, kind], env=environment, check=True)
    return root


class Pod:
    """A pod of a DaemonSet or Deployment on a node that a directory stands for."""

    def __init__(self, objects, kind, name, directory, node="node-1", secrets=None, account=None):
        self.objects, self.node = objects, node
        self.directory = pathlib.Path(directory)
        self.template = objects[kind, name]["spec"]["template"]["spec"]
        self.secrets, self.account = secrets or {}, account
        self.directory.mkdir(exist_ok=True)
        self.volumes = {volume["name"]: volume for volume in self.template.get("volumes", [])}

    def host(self, path):
        """What stands for a directory of the node."""
        place = self.directory / "node" / path.lstrip("/")
        place.mkdir(parents=True, exist_ok=True)
        return place

    def container(self, name):
        every = self.template.get("initContainers", []) + self.template["containers"]
        return next(c for c in every if c["name"] == name)

    def _user(self, container):
        both = self.template.get("securityContext", {}) | container.get("securityContext", {})
        return both.get("runAsUser", 0), both.get("runAsGroup", 0), both.get("fsGroup", 0)

    def _files(self, name, files, mode, group):
        """As kubelets write them: behind a link that is replaced as one."""
        place = self.directory / "volumes" / name
        data = place / "..2026_01_01"
        if place.exists():
            shutil.rmtree(place)
        data.mkdir(parents=True)
        for file, content in files.items():
            (data / file).write_bytes(content if isinstance(content, bytes)
                                      else content.encode())
            (data / file).chmod(mode | 0o040 if group else mode)
            os.chown(data / file, 0, group)
            (place / file).symlink_to(f"..data/{file}")
        (place / "..data").symlink_to(data.name)
        return place

    def _source(self, name, container):
        """The directory that a volume is; None: an empty one."""
        volume = self.volumes[name]
        group = self._user(container)[2]
        if "configMap" in volume:
            data = self.objects["ConfigMap", volume["configMap"]["name"]]["data"]
            return self._files(name, data, 0o644, 0)
        if "secret" in volume:
            data = self.secrets[volume["secret"]["secretName"]]
            return self._files(name, data, volume["secret"].get("defaultMode", 0o644), group)
        if "hostPath" in volume:
            return self.host(volume["hostPath"]["path"])
        assert "emptyDir" in volume, volume
        return None

    def spec(self, name, image, environment=None):
        """For container.py; what a container may is taken from the manifest alone."""
        container = self.container(name)
        context = container["securityContext"]
        mounts = []
        for mount in container.get("volumeMounts", []):
            source = self._source(mount["name"], container)
            mounts.append({"target": mount["mountPath"], "readOnly": mount.get("readOnly", False),
                           "source": None if source is None else str(source)})
        if self.account and self.template.get("automountServiceAccountToken"):
            mounts.append({"target": ACCOUNT_PLACE, "readOnly": True,
                           "source": str(self._files("account", self.account, 0o644, 0))})
        values = dict(environment or {}, PATH="/usr/bin:/usr/sbin")
        for variable in container.get("env", []):
            field = variable.get("valueFrom", {}).get("fieldRef", {}).get("fieldPath")
            values[variable["name"]] = (self.node if field == "spec.nodeName"
                                        else variable["value"])
        assert context["allowPrivilegeEscalation"] is False
        assert context["capabilities"]["drop"] == ["ALL"]
        uid, gid, _ = self._user(container)
        return {"root": str(image), "env": values, "uid": uid, "gid": gid, "mounts": mounts,
                "command": container["command"] + container.get("args", []),
                "readOnly": context["readOnlyRootFilesystem"],
                "capabilities": list(context["capabilities"].get("add", []))}

    def argv(self, spec, name="spec"):
        """What runs it."""
        path = self.directory / f"{name}.json"
        path.write_text(json.dumps(spec))
        return [sys.executable, str(rf.ROOT / "tests" / "lib" / "container.py"), str(path)]

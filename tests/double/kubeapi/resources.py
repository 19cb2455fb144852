"""The resources that the double knows, as Kubernetes 1.32 serves them.

One line each: name, kind, N(amespaced) or C(luster), short names, categories, subresources.
All of them are stored alike (store.py); the columns of `kubectl get` are in tables.py.
"""

import base64
import hashlib

ALL_VERBS = (
    "create delete deletecollection get list patch update watch".split()
)  # in discovery's order
_SUB_VERBS = ["get", "patch", "update"]

# Order of groups and versions is discovery's.
_TABLE = """
/v1
bindings                   Binding                    N -        -    create=
componentstatuses          ComponentStatus            C cs       -    read=
configmaps                 ConfigMap                  N cm       -
endpoints                  Endpoints                  N ep       -
events                     Event                      N ev       -
limitranges                LimitRange                 N limits   -
namespaces                 Namespace                  C ns       -    finalize,status
nodes                      Node                       C no       -    proxy,status
persistentvolumeclaims     PersistentVolumeClaim      N pvc      -    status
persistentvolumes          PersistentVolume           C pv       -    status
pods                       Pod                        N po       all  \
attach,binding,ephemeralcontainers,eviction,exec,log,portforward,proxy,status
podtemplates               PodTemplate                N -        -
replicationcontrollers     ReplicationController      N rc       all  scale,status
resourcequotas             ResourceQuota              N quota    -    status
secrets                    Secret                     N -        -
serviceaccounts            ServiceAccount             N sa       -    token
services                   Service                    N svc      all  proxy,status
apiregistration.k8s.io/v1
apiservices                APIService                 C -        api-extensions status
apps/v1
controllerrevisions        ControllerRevision         N -        -
daemonsets                 DaemonSet                  N ds       all  status
deployments                Deployment                 N deploy   all  scale,status
replicasets                ReplicaSet                 N rs       all  scale,status
statefulsets               StatefulSet                N sts      all  scale,status
events.k8s.io/v1
events                     Event                      N ev       -
authentication.k8s.io/v1
selfsubjectreviews         SelfSubjectReview          C -        -    create=
tokenreviews               TokenReview                C -        -    create=
authorization.k8s.io/v1
localsubjectaccessreviews  LocalSubjectAccessReview   N -        -    create=
selfsubjectaccessreviews   SelfSubjectAccessReview    C -        -    create=
selfsubjectrulesreviews    SelfSubjectRulesReview     C -        -    create=
subjectaccessreviews       SubjectAccessReview        C -        -    create=
autoscaling/v2
horizontalpodautoscalers   HorizontalPodAutoscaler    N hpa      all  status
autoscaling/v1
horizontalpodautoscalers   HorizontalPodAutoscaler    N hpa      all  status
batch/v1
cronjobs                   CronJob                    N cj       all  status
jobs                       Job                        N -        all  status
certificates.k8s.io/v1
certificatesigningrequests CertificateSigningRequest  C csr      -    approval,status
networking.k8s.io/v1
ingressclasses             IngressClass               C -        -
ingresses                  Ingress                    N ing      -    status
networkpolicies            NetworkPolicy              N netpol   -
policy/v1
poddisruptionbudgets       PodDisruptionBudget        N pdb      -    status
rbac.authorization.k8s.io/v1
clusterrolebindings        ClusterRoleBinding         C -        -
clusterroles               ClusterRole                C -        -
rolebindings               RoleBinding                N -        -
roles                      Role                       N -        -
storage.k8s.io/v1
csidrivers                 CSIDriver                  C -        -
csinodes                   CSINode                    C -        -
csistoragecapacities       CSIStorageCapacity         N -        -
storageclasses             StorageClass               C sc       -
volumeattachments          VolumeAttachment           C -        -    status
admissionregistration.k8s.io/v1
mutatingwebhookconfigurations     MutatingWebhookConfiguration     C - api-extensions
validatingadmissionpolicies       ValidatingAdmissionPolicy        C - api-extensions status
validatingadmissionpolicybindings ValidatingAdmissionPolicyBinding C - api-extensions
validatingwebhookconfigurations   ValidatingWebhookConfiguration   C - api-extensions
apiextensions.k8s.io/v1
customresourcedefinitions  CustomResourceDefinition   C crd,crds api-extensions status
scheduling.k8s.io/v1
priorityclasses            PriorityClass              C pc       -
coordination.k8s.io/v1
leases                     Lease                      N -        -
node.k8s.io/v1
runtimeclasses             RuntimeClass               C -        -
discovery.k8s.io/v1
endpointslices             EndpointSlice              N -        -
flowcontrol.apiserver.k8s.io/v1
flowschemas                FlowSchema                 C -        -    status
prioritylevelconfigurations PriorityLevelConfiguration C -       -    status
"""

# What an empty object of the kind looks like beside its metadata: bookmarks carry it.
_EMPTY_TEMPLATE = {
    "metadata": {"creationTimestamp": None},
    "spec": {"containers": None},
}
EMPTY = {
    "Pod": {"spec": {"containers": None}, "status": {}},
    "Namespace": {"spec": {}, "status": {}},
    "Service": {"spec": {}, "status": {"loadBalancer": {}}},
    "NetworkPolicy": {"spec": {"podSelector": {}}},
    "Node": {
        "spec": {},
        "status": {"daemonEndpoints": {"kubeletEndpoint": {"Port": 0}}},
    },
    "Deployment": {
        "spec": {"selector": None, "template": _EMPTY_TEMPLATE, "strategy": {}},
        "status": {},
    },
}

# Kinds whose metadata.generation counts changes of the spec.
_GENERATION = frozenset(
    "NetworkPolicy Deployment DaemonSet StatefulSet ReplicaSet Ingress CronJob Job "
    "PodDisruptionBudget ReplicationController FlowSchema".split()
)
# Kinds of which DELETE returns the object; the others return a Status.
_RETURNS_DELETED = frozenset(
    "Pod Service Namespace PersistentVolumeClaim PersistentVolume PodTemplate "
    "ServiceAccount ResourceQuota StorageClass PodSecurityPolicy".split()
)

_SUB_KINDS = {
    "scale": ("autoscaling", "v1", "Scale", None),
    "eviction": ("policy", "v1", "Eviction", ["create"]),
    "binding": ("", "", "Binding", ["create"]),
    "token": ("authentication.k8s.io", "v1", "TokenRequest", ["create"]),
    "exec": ("", "", "PodExecOptions", ["create", "get"]),
    "attach": ("", "", "PodAttachOptions", ["create", "get"]),
    "portforward": ("", "", "PodPortForwardOptions", ["create", "get"]),
    "log": ("", "", "Pod", ["get"]),
    "finalize": ("", "", "Namespace", ["update"]),
}
_PROXY_VERBS = ["create", "delete", "get", "patch", "update"]


class Resource:
    """One resource of one group and version."""

    def __init__(
        self, group, version, name, kind, namespaced, short, categories, subs, verbs
    ):
        self.group, self.version, self.name, self.kind = group, version, name, kind
        self.namespaced, self.short_names, self.categories = (
            namespaced,
            short,
            categories,
        )
        self.subresources, self.verbs = subs, verbs
        self.is_namespace = kind == "Namespace" and not group  # others may be called so
        self.singular = kind.lower()
        self.stored = "watch" in verbs
        self.has_status = "status" in subs
        self.counts_generation = kind in _GENERATION
        self.returns_deleted = kind in _RETURNS_DELETED

    @property
    def api_version(self):
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def store_key(self):
        """Groups and versions of the same objects share them: (group, name)."""
        if self.group == "events.k8s.io":
            return ("", "events")
        return (self.group, self.name)

    @property
    def gvr_text(self):
        return f"{self.group}/{self.version}, Resource={self.name}"

    @property
    def storage_hash(self):
        """discovery's storageVersionHash: eight bytes of SHA-256 over group/version/kind."""
        group, version = self.group, self.version
        if self.store_key == ("", "events"):
            group, version = "", "v1"
        if group == "autoscaling":
            version = "v2"
        text = f"{group}/{version}/{self.kind}"
        return base64.b64encode(hashlib.sha256(text.encode()).digest()[:8]).decode()

    def sub_kind(self, sub):
        """(group, version, kind, verbs) of a subresource; group and version may be empty."""
        if sub == "proxy":
            return (
                "",
                "",
                {"pods": "Pod", "nodes": "Node", "services": "Service"}[self.name]
                + "ProxyOptions",
                _PROXY_VERBS,
            )
        group, version, kind, verbs = _SUB_KINDS.get(sub, ("", "", self.kind, None))
        return group, version, kind, verbs or _SUB_VERBS


def _split(text):
    return [] if text == "-" else text.split(",")


def _parse(table):
    resources, group, version = [], "", ""
    for line in table.strip().splitlines():
        words = line.split()
        if len(words) == 1:
            group, version = words[0].rsplit("/", 1)
            continue
        name, kind, scope, short, categories = words[:5]
        subs = words[5] if len(words) > 5 else "-"
        verbs = ALL_VERBS
        if subs == "create=":
            verbs, subs = ["create"], "-"
        elif subs == "read=":
            verbs, subs = ["get", "list"], "-"
        resources.append(
            Resource(
                group, version, name, kind, scope == "N", _split(short), _split(categories),
                _split(subs), list(verbs),
            )
        )  # fmt: skip
    return resources


# All of them change in place when custom resources come and go.
RESOURCES = _parse(_TABLE)
_BY_PATH, _BY_KIND, GROUP_VERSIONS = {}, {}, []


def _index():
    for by, key in ((_BY_PATH, "name"), (_BY_KIND, "kind")):
        by.clear()
        by.update({(r.group, r.version, getattr(r, key)): r for r in RESOURCES})
    GROUP_VERSIONS[:] = dict.fromkeys((r.group, r.version) for r in RESOURCES)


_index()


def define(crd):
    """Serve what a CustomResourceDefinition describes."""
    undefine(crd)
    spec = crd["spec"]
    names = spec["names"]
    for version in spec["versions"]:
        if version.get("served", True):
            made = (
                Resource(
                    spec["group"], version["name"], names["plural"], names["kind"],
                    spec["scope"] == "Namespaced", names.get("shortNames", []),
                    names.get("categories", []),
                    ["status"] if "status" in version.get("subresources", {}) else [],
                    list(ALL_VERBS),
                )
            )  # fmt: skip
            made.counts_generation = True
            RESOURCES.append(made)
    _index()


def undefine(crd):
    """Serve it no longer; returns the resources that were."""
    spec = crd["spec"]
    gone = [
        r for r in RESOURCES if (r.group, r.name) == (spec["group"], spec["names"]["plural"])
    ]
    RESOURCES[:] = [r for r in RESOURCES if r not in gone]
    _index()
    return gone


def find(group, version, name):
    return _BY_PATH.get((group, version, name))


def find_kind(api_version, kind):
    group, _, version = api_version.rpartition("/")
    return _BY_KIND.get((group, version, kind))


def of_group_version(group, version):
    return [r for r in RESOURCES if (r.group, r.version) == (group, version)]

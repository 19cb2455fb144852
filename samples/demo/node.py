"""The node's half: workloads of three tenants behind one enforcer, judged by real packets."""
import json
import os
import pathlib
import shutil
import subprocess

from lab import Lab, wait_until
from screen import table

# name, addresses, ports that it listens on, how policy names it
WORKLOADS = {
    "web": (["10.1.0.11", "fd00:1::11"], [8080, 9100], "/acme/shop/prod/web"),
    "db": (["10.1.0.12", "fd00:1::12"], [5432, 9100], "/acme/shop/prod/db"),
    "web-dev": (["10.1.0.13", "fd00:1::13"], [8080, 9100], "/acme/shop/dev/web-dev"),
    "etl": (["10.1.0.21", "fd00:1::21"], [8080, 9100], "bi/etl"),
    "report": (["10.1.0.22", "fd00:1::22"], [8080, 9100], "bi/report"),
    "ledger": (["10.1.0.31", "fd00:1::31"], [8080, 9100], "/initech/erp/core/ledger"),
    "prometheus": (["10.1.0.41", "fd00:1::41"], [], "/ops/monitoring/prometheus"),
}
# Outside: acme's card processor, by two of the addresses that ExternalNetwork gives it.
PROCESSOR = ["203.0.113.9", "2001:db8:203::9"]
HERE = pathlib.Path(__file__).resolve().parent
PYTHON = "/usr/bin/python3"

# After the first look: production opens its database to the reports of globex.
EDIT = """\
apiVersion: ringfence.dev/v1alpha1
kind: Policy
metadata: { name: reports, namespace: /acme/shop/prod }
spec:
  workloads: { matchLabels: { app: db } }
  allow:
    ingress:
      - { name: for-globex, from: [{ namespace: /globex }], ports: [pg] }
"""


class Node:
    def __init__(self, screen, build, work):
        self.screen = screen
        self.ringfence = build / "policy-lang" / "ringfence"
        self.daemon = build / "enforcer" / "ringfence-enforcer"
        self.work = work
        self.policies = work / "policy.d"
        self.flows = work / "flows.jsonl"
        self.control = work / "enforcer.sock"
        self.config = work / "enforcer.yaml"
        self.lab = None
        self.enforcer = None
        self.servers = []

    # ---- setting up ----

    def start_workloads(self):
        self.lab = Lab(node_name="worker-1")
        self.lab.__enter__()  # left in stop()
        self.lab.add_workloads({name: spec[0] for name, spec in WORKLOADS.items()})
        for name, (_, ports, _) in WORKLOADS.items():
            if ports:
                self.listen(name, ports)

    def listen(self, name, ports):
        server = self.lab.host(name).popen(
            [PYTHON, str(HERE / "workload.py"), name, *map(str, ports)],
            stdout=subprocess.PIPE, text=True)
        self.servers.append(server)
        server.stdout.readline()

    def start_enforcer(self):
        shutil.copytree(HERE.parent / "policies", self.policies)
        self.config.write_text(json.dumps({
            "node": "worker-1",
            "sources": [{"directory": str(self.policies)}],
            "boot": "closed",
            "workloadNetworks": ["10.1.0.0/16", "fd00:1::/32"],
            "routeAddresses": [{"network": network, "namespace": "/acme"}
                               for network in ("198.51.100.0/24", "2001:db8:100::/64")],
            "flows": {"file": str(self.flows), "group": 100},
            "control": str(self.control),
        }, indent=2))
        read, write = os.pipe()
        with open(self.work / "enforcer.log", "w", encoding="utf-8") as log:
            self.enforcer = self.lab.node.popen(
                [str(self.daemon), "--config", str(self.config), "--ready-fd", str(write)],
                pass_fds=[write], stderr=log)
        os.close(write)
        with os.fdopen(read) as ready:
            return ready.read().strip() == "READY"

    def status(self):
        out = self.lab.node.exec([str(self.daemon), "status", "--config", str(self.config)])
        return out.stdout

    def stop(self):
        if self.enforcer is not None:
            self.enforcer.terminate()
            try:
                self.enforcer.wait(10)
            except subprocess.TimeoutExpired:
                self.enforcer.kill()
        if self.lab is not None:
            self.lab.close()

    # ---- asking ----

    def ask(self, src, address, port):
        """What it is told there; "" if nothing."""
        out = self.lab.host(src).exec([PYTHON, str(HERE / "workload.py"), "--ask", address,
                                       str(port)], check=False)
        return out.stdout.strip()

    def questions(self):
        return [(src, dst, address, port)
                for src in WORKLOADS
                for dst, (addresses, ports, _) in WORKLOADS.items() if dst != src
                for port in ports
                for address in addresses]

    def judge(self):
        """What policy says, by the evaluator: {(src, address, port): allowed}."""
        questions = self.questions()
        lines = [f"{WORKLOADS[src][2]} {address} {port}/tcp"
                 for src, _, address, port in questions]
        out = subprocess.run([self.ringfence, "can", self.policies, "--batch", "-"],
                             input="\n".join(lines) + "\n", text=True, check=True,
                             capture_output=True).stdout.split()
        return {(src, address, port): verdict == "allow"
                for (src, _, address, port), verdict in zip(questions, out, strict=True)}

    def probe(self):
        """What really happens: the same keys, by a TCP connection each."""
        questions = self.questions()
        results = self.lab.probe_many(
            [(src, address, "tcp", port) for src, _, address, port in questions],
            timeout_ms=400, answered=False, confirm=True)
        return {(src, address, port): result.state == "open"
                for (src, _, address, port), result in zip(questions, results, strict=True)}

    def matrix(self, verdicts):
        """Rows are sources; a cell names the ports that are open, v4 and v6 alike or each."""
        names = [name for name, spec in WORKLOADS.items() if spec[1]]
        rows = [["from \\ to", *names]]
        for src in WORKLOADS:
            rows.append([src] + [self._cell(verdicts, src, dst) for dst in names])
        return table(rows)

    @staticmethod
    def _cell(verdicts, src, dst):
        if src == dst:
            return "-"
        words = []
        for port in WORKLOADS[dst][1]:
            v4, v6 = (verdicts[src, address, port] for address in WORKLOADS[dst][0])
            if v4 or v6:
                words.append(f"{port}" if v4 == v6 else f"{port}({'v4' if v4 else 'v6'})")
        return " ".join(words) or "."

    def differences(self, left, right):
        return sorted(key for key in left if left[key] != right[key])

    def flow_records(self, **fields):
        if not self.flows.exists():
            return []
        records = [json.loads(line) for line in self.flows.read_text().splitlines()]
        return [r for r in records if all(r.get(k) == v for k, v in fields.items())]


def show(node):
    screen = node.screen
    screen.step("Seven workloads of three tenants, and no policy yet",
                "Each workload is a process in a network namespace of its own, joined to the "
                "node as a pod is. Without an enforcer everybody reaches everybody, over IPv4 "
                "and IPv6.")
    node.start_workloads()
    before = node.probe()
    screen.say(node.matrix(before))
    screen.check(all(before.values()), f"all {len(before)} connections open")

    screen.step("The policies of samples/policies, in the kernel",
                "The enforcer compiles the tree for this node into one nftables table and "
                "applies it as one transaction. The same connections are tried again, and "
                "compared with what `ringfence can` says of each.")
    screen.check(node.start_enforcer(), "the enforcer says READY")
    expected, found = node.judge(), node.probe()
    screen.say(node.matrix(found))
    screen.say()
    wrong = node.differences(expected, found)
    screen.check(not wrong, f"policy and kernel agree on all {len(found)} connections",
                 str(wrong[:5]))
    screen.check(0 < sum(found.values()) < len(found),
                 f"{sum(found.values())} are open, {len(found) - sum(found.values())} closed")
    listing = node.lab.node.exec(["nft", "list", "table", "inet", "ringfence"]).stdout
    screen.command("nft list table inet ringfence | grep -A2 rule_ | head")
    chains = [line for line in listing.splitlines() if "log prefix" in line][:3]
    screen.say("\n".join(line.strip()[:100] for line in chains))
    screen.check(bool(chains), "every rule in the table names its policy, file and line")

    screen.step("A policy is edited while it runs",
                "acme opens its database to the reports of globex: a new file appears in the "
                "directory, and the node follows at once. One matrix cell changes; nothing else "
                "does.")
    screen.command("cat > policy.d/50-reports.yaml")
    screen.say(EDIT)
    (node.policies / "50-reports.yaml").write_text(EDIT)
    expected = node.judge()
    wait_until(lambda: node.lab.probe("report", "10.1.0.12", "tcp", 5432, 400,
                                      answered=False).state == "open", 10,
               "the edit to reach the kernel")
    changed = node.probe()
    screen.say(node.matrix(changed))
    screen.say()
    screen.check(not node.differences(expected, changed), "policy and kernel agree again",
                 str(node.differences(expected, changed)[:5]))
    moved = node.differences(found, changed)
    screen.check(moved == sorted((src, address, 5432) for src in ("etl", "report")
                                 for address in WORKLOADS["db"][0]),
                 "exactly etl and report to db:5432 changed", str(moved))

    screen.step("A directory that turns bad",
                "A typing mistake must neither open nor close anything: the last good program "
                "stays in force, and the status says what is wrong, with file, line and column.")
    bad = node.policies / "50-reports.yaml"
    bad.write_text(EDIT.replace("ports: [pg]", "portz: [pg]"))
    wait_until(lambda: "50-reports.yaml:8" in node.status(), 10, "the status to tell")
    screen.command("ringfence-enforcer status")
    told = [line.strip() for line in node.status().splitlines() if "50-reports" in line]
    screen.say("\n".join(told).replace(str(node.policies) + os.sep, "policy.d/"))
    screen.check(not node.differences(changed, node.probe()), "nothing changed in the kernel")
    bad.unlink()
    wait_until(lambda: not node.lab.probe("report", "10.1.0.12", "tcp", 5432, 400,
                                          answered=False).state == "open", 10,
               "the edit to be taken back")
    screen.check(True, "the file is gone, and with it the opening")

    screen.step("Who was denied, by which rule",
                "Denied packets come back from the kernel with the number of the rule; the "
                "enforcer joins them to workloads, tenants and the line of the policy.")
    node.lab.probe("etl", "10.1.0.12", "tcp", 5432, 400, answered=False)

    def denied():
        return [r for r in node.flow_records()
                if r["src"].get("workload") == "etl" and r["dst"].get("workload") == "db"
                and r["dst"].get("port") == 5432]
    wait_until(lambda: bool(denied()), 10, "the flow log to tell")
    record = denied()[-1]
    screen.command("tail -1 flows.jsonl")
    screen.say(json.dumps(record, indent=2).replace(str(node.policies) + os.sep, "policy.d/"))
    screen.check(record["policy"]["name"] == "database" and
                 record["policy"]["file"].endswith("30-acme.yaml"),
                 "the record names policy /acme/shop/prod/database and its file and line")
    screen.command("ringfence explain policy.d -- bi/etl /acme/shop/prod/db 5432/tcp")
    out = subprocess.run([node.ringfence, "explain", "--family", "4", node.policies, "--",
                          "bi/etl", "/acme/shop/prod/db", "5432/tcp"],
                         capture_output=True, text=True, check=False).stdout
    screen.say(out.replace(str(node.policies) + os.sep, "policy.d/"))
    show_outside(node)


def show_outside(node):
    screen = node.screen
    screen.step("The outside: which address a tenant leaves with, and what of it is published",
                "Routes stand in the same tree as policy. The card processor knows acme by one "
                "address of each family; the shop's front has a public one. Policy judges the "
                "client and the workload that are really there, and the log names the rule.")
    node.lab.add_outside("processor", PROCESSOR)
    node.listen("processor", [25, 443])
    for address, own in zip(PROCESSOR, ["198.51.100.7", "2001:db8:100::7"], strict=True):
        told = node.ask("web", address, 443)
        screen.check(told == f"processor, asked by {own}",
                     f"acme's web leaves for {address} as {own}", told)
    told = node.ask("report", PROCESSOR[0], 443)
    screen.check(told == "processor, asked by 10.1.0.22", "globex leaves as it is", told)
    for address, public in zip(PROCESSOR, ["198.51.100.80", "2001:db8:100::80"], strict=True):
        told = node.ask("processor", public, 80)
        screen.check(told == f"web, asked by {address}",
                     f"{public} port 80 leads to acme's web, which sees the client {address}", told)
    screen.check(not node.lab.probe("web-dev", PROCESSOR[0], "tcp", 25, 400,
                                    answered=False).open, "nobody of acme sends mail")

    def denied():
        return [r for r in node.flow_records()
                if r["src"].get("workload") == "web-dev" and r["dst"].get("port") == 25]
    wait_until(lambda: bool(denied()), 10, "the flow log to tell")
    record = denied()[-1]["policy"]
    screen.command("tail -1 flows.jsonl")
    screen.say(json.dumps(record).replace(str(node.policies) + os.sep, "policy.d/"))
    screen.check(record["name"] == "leaving" and record["file"].endswith("80-routes.yaml"),
                 "the record names Route /acme/leaving and its file and line")
    screen.command("ringfence-enforcer rules | grep Route")
    rules = node.lab.node.exec([str(node.daemon), "rules", "--config", str(node.config)]).stdout
    lines = [line for line in rules.splitlines() if "Route" in line]
    screen.say("\n".join(line.strip() for line in lines)
               .replace(str(node.policies) + os.sep, "policy.d/"))
    screen.check(any("as-acme" in line for line in lines), "so do the counters")

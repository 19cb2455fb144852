"""Who reaches whom, as a table for people."""

import sys

from netlab.ports import parse_port, port_text


class Matrix:
    """The outcome of matrix(): str() is the table, `states` has the details.

    states[source][destination][(protocol, port)] is {4: state, 6: state}, with the IP
    versions that both sides have.
    """

    def __init__(self, sources, destinations, ports):
        self.sources = sources
        self.destinations = destinations
        self.ports = ports
        self.states = {src: {dst: {port: {} for port in ports} for dst in destinations}
                       for src in sources}

    def reachable(self, src, dst, port):
        """Whether `src` reaches `dst` at (protocol, port) over every IP version."""
        states = self.states[src][dst][port].values()
        return bool(states) and all(state == "open" for state in states)

    def cell(self, src, dst):
        if src == dst:
            return "."
        words = [self._word(src, dst, port) for port in self.ports]
        return " ".join(word for word in words if word) or "-"

    def _word(self, src, dst, port):
        """The port if it is open; with the IP version where only one is."""
        by_version = self.states[src][dst][port]
        opened = [version for version, state in by_version.items() if state == "open"]
        if not opened:
            return ""
        short = "yes" if len(self.ports) == 1 else port_text(port)
        return short if len(opened) == len(by_version) else f"{short}(v{opened[0]})"

    def __str__(self):
        head = ["from \\ to"] + list(self.destinations)
        rows = [[src] + [self.cell(src, dst) for dst in self.destinations]
                for src in self.sources]
        widths = [max(len(row[i]) for row in [head] + rows) for i in range(len(head))]
        lines = ["  ".join(map(str.ljust, row, widths)).rstrip()
                 for row in [head] + rows]
        lines.insert(1, "  ".join("-" * width for width in widths))
        return "\n".join(lines)


def matrix(lab, ports, sources=None, destinations=None, *, show=True, out=None,
           confirm=True, **options):
    """Try every source, destination and port; print the table and return the Matrix.

    `ports` as parse_port() takes them. Sources and destinations are names of hosts; by
    default every host but the nodes. Only the first address of each IP version is
    tried. Options are those of probe_many().
    """
    everyone = [host.name for host in lab.hosts if host.kind != "node"]
    table = Matrix(sources or everyone, destinations or everyone,
                   [parse_port(port) for port in ports])
    keys, probes = [], []
    for src in map(lab.host, table.sources):
        for dst in map(lab.host, table.destinations):
            for version in (4, 6):
                if src is dst or not (src.address(version) and dst.address(version)):
                    continue
                for port in table.ports:
                    keys.append((src.name, dst.name, port, version))
                    probes.append((src, dst.address(version), *port))
    results = lab.probe_many(probes, confirm=confirm, **options)
    for (src, dst, port, version), result in zip(keys, results):
        table.states[src][dst][port][version] = result.state
    if show:
        what = ", ".join(port_text(port) for port in table.ports)
        print(f"who reaches whom at {what}\n\n{table}\n", file=out or sys.stdout)
    return table

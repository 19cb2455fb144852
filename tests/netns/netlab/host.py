"""A host of a lab, and running commands in it."""

import ipaddress
import os
import subprocess
import time

from netlab import kernel
from netlab.exits import exits

COMMAND_TIMEOUT_S = 60
PATIENCE_S = 30.0  # the machine may be busy with other things
_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"


class LabError(Exception):
    """The lab could not be built, or a command in it failed."""


def wait_until(condition, timeout_s=PATIENCE_S, what="condition"):
    """Wait until condition() is true and return its value; else raise LabError, after
    timeout_s or PATIENCE_S, whichever is longer."""
    timeout_s = max(timeout_s, PATIENCE_S)
    deadline = time.monotonic() + timeout_s
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() >= deadline:
            raise LabError(f"waited {timeout_s} s in vain: {what}")
        time.sleep(0.005)


def search_path():
    """The PATH, with the places where ip and nft are: not everybody's has them."""
    return f"{os.environ.get('PATH', '')}:{_PATH}"


class Host:
    """One namespace of a lab: a node, a workload or an outside host.

    kind is "node", "workload" or "outside"; addresses and networks are lists of
    ipaddress objects; node is the node it hangs on (itself, for a node), and
    interface its veth there; netns and fd are the namespace.
    """

    def __init__(self, lab, name, kind, addresses, networks, node):
        self.lab = lab
        self.name = name
        self.kind = kind
        self.addresses = addresses
        self.networks = networks
        self.node = node or self
        self.number = 0
        self.interface = ""
        self.netns = ""
        self.fd = -1
        self.control = None
        self.links = {}  # of a node: other node -> interface towards it

    def address(self, version):
        """Its first address of an IP version as text, or None."""
        return next((str(a) for a in self.addresses if a.version == version), None)

    @property
    def v4(self):
        return [str(a) for a in self.addresses if a.version == 4]

    @property
    def v6(self):
        return [str(a) for a in self.addresses if a.version == 6]

    def enter_and(self, function):
        """Run `function` in a thread within this namespace."""
        def body():
            kernel.enter(self.fd)
            return function()
        return kernel.in_thread(body)

    def popen(self, argv, **options):
        """subprocess.Popen in this namespace. It ends with the lab at the latest."""
        options.setdefault("env", dict(os.environ, PATH=search_path()))
        options.setdefault("start_new_session", True)
        with exits.step():
            process = self.enter_and(lambda: subprocess.Popen(argv, **options))
            self.lab.children.append(process)
        return process

    def exec(self, argv, *, input=None, check=True, timeout=COMMAND_TIMEOUT_S,
             **options):
        """Run a command in this namespace; a subprocess.CompletedProcess with text.

        With check (the default) a failure is a LabError that says what it printed.
        """
        options = {"stdin": subprocess.PIPE if input is not None
                   else subprocess.DEVNULL, "stdout": subprocess.PIPE,
                   "stderr": subprocess.PIPE, "text": True} | options
        process = self.popen(argv, **options)
        try:
            out, err = process.communicate(input, timeout)
        except BaseException:
            process.kill()
            process.communicate()
            raise
        finally:
            self.lab.children.remove(process)
        if check and process.returncode != 0:
            raise LabError(f"{self.name}: {' '.join(argv)} ended with "
                           f"{process.returncode}: {err or out}")
        return subprocess.CompletedProcess(argv, process.returncode, out, err)

    def nft(self, text):
        """Load nftables text into this namespace; returns what nft printed."""
        return self.exec(["nft", "-f", "-"], input=text).stdout

    def add_address(self, address):
        """Give it one more address, with the routes to it, while the lab lives."""
        self.lab.change_addresses(self, ipaddress.ip_address(address), add=True)

    def remove_address(self, address):
        self.lab.change_addresses(self, ipaddress.ip_address(address), add=False)

    def __repr__(self):
        return f"<{self.kind} {self.name} {' '.join(self.v4 + self.v6)}>"

"""Child processes that end with their parent, and the READY handshake.

Every program in this directory prints one line `READY HOST:PORT ...` on standard output as
soon as it answers, and ends on SIGTERM.  `Child` starts such a program, waits for the line,
and leaves nothing behind.
"""

import ctypes
import os
import select
import signal
import socket
import subprocess
import sys
import time

PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)


def die_with_parent():
    """Ask the kernel to kill this process when its parent (the thread that forked) ends.

    Usable as preexec_fn.  A parent that is gone already is noticed by the caller, who
    compares os.getppid() before and after; see `Child`.
    """
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def _preexec(parent_pid):
    def run():
        die_with_parent()
        if os.getppid() != parent_pid:
            os._exit(125)

    return run


def popen(argv, **kwargs):
    """subprocess.Popen whose child dies with this process."""
    return subprocess.Popen(argv, preexec_fn=_preexec(os.getpid()), **kwargs)


def free_port(host="127.0.0.1", avoid=()):
    """A TCP port that was free a moment ago.

    For servers that cannot report a port of the kernel's choosing; the caller retries when
    somebody else was quicker.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    while True:
        with socket.socket(family, socket.SOCK_STREAM) as s:
            s.bind((host, 0))
            port = s.getsockname()[1]
        if port not in avoid:
            return port


PATIENCE = 30.0  # seconds: the machine may be busy with other things


def wait_until(condition, timeout=PATIENCE, what="condition"):
    """Poll `condition` until it is true; its value is returned.  TimeoutError after
    `timeout` seconds, or PATIENCE if that is longer."""
    timeout = max(timeout, PATIENCE)
    end = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() >= end:
            raise TimeoutError(f"{what} not reached within {timeout} s")
        time.sleep(0.01)


def stop_threads(pid):
    """SIGSTOP; returns once every thread of the process has stopped."""
    os.kill(pid, signal.SIGSTOP)

    def stopped():
        for task in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{task}/stat") as f:
                if f.read().rsplit(")", 1)[1].split()[0] not in "TtZ":
                    return False
        return True

    wait_until(stopped, 10, "the stop of all threads")


class Child:
    """A program of this directory in a process of its own.

    `ready` is the list of words after READY.  Standard error goes to `stderr` (a path) so
    that a failure can be shown; use as a context manager.
    """

    def __init__(self, argv, stderr, timeout=60.0, cwd=None, env=None):
        self.argv = argv
        self.stderr_path = stderr
        with open(stderr, "ab") as err:
            self.process = popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=err,
                cwd=cwd,
                env=env,
            )
        try:
            self.ready = self._wait_ready(timeout)
        except BaseException:
            self.kill()
            raise

    def _wait_ready(self, timeout):
        end = time.monotonic() + timeout
        line = b""
        fd = self.process.stdout.fileno()
        while not line.endswith(b"\n"):
            left = end - time.monotonic()
            if left <= 0 or not select.select([fd], [], [], left)[0]:
                raise TimeoutError(f"{self.argv[1]}: not ready after {timeout} s")
            byte = os.read(fd, 1)
            if not byte:
                self.process.wait()
                with open(self.stderr_path, errors="replace") as err:
                    tail = err.read()[-2000:]
                raise RuntimeError(
                    f"{self.argv[1]}: ended with {self.process.returncode}: {tail}"
                )
            line += byte
        words = line.decode().split()
        if not words or words[0] != "READY":
            raise RuntimeError(f"{self.argv[1]}: said {line!r} instead of READY")
        return words[1:]

    @property
    def pid(self):
        return self.process.pid

    def pause(self):
        """SIGSTOP: the peer that accepts (the kernel does) and never answers."""
        stop_threads(self.process.pid)

    def resume(self):
        self.process.send_signal(signal.SIGCONT)

    def stop(self, timeout=PATIENCE):
        """SIGTERM, then SIGKILL after `timeout` seconds; returns the exit status."""
        if self.process.poll() is None:
            self.process.terminate()
            self.process.send_signal(signal.SIGCONT)
            try:
                self.process.wait(timeout)
            except subprocess.TimeoutExpired:
                self.process.kill()
        return self._reap()

    def kill(self):
        """SIGKILL at once."""
        if self.process.poll() is None:
            self.process.kill()
        return self._reap()

    def _reap(self):
        code = self.process.wait()
        if self.process.stdout:
            self.process.stdout.close()
        return code

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.stop()


def say_ready(*words):
    """Print the READY line of a program of this directory."""
    print("READY", *words, flush=True)


def program(name):
    """argv prefix that runs a program of this directory with Debian's Python."""
    here = os.path.dirname(os.path.abspath(__file__))
    python = (
        "/usr/bin/python3" if os.path.exists("/usr/bin/python3") else sys.executable
    )
    return [python, os.path.join(here, name)]

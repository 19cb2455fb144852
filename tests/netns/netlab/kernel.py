"""Network namespaces as the kernel offers them, without a process per step.

The standard library of Python 3.11 has no setns, unshare or mount, so they come
from libc here. Nothing in this file knows what a lab looks like: it creates, enters
and removes named namespaces under /run/netns, where `ip netns` finds them too, and it
ends the processes that live in them.
"""

import contextlib
import ctypes
import errno
import fcntl
import os
import select
import signal
import threading
import time

RUN_DIR = "/run/netns"

_CLONE_NEWNET = 0x40000000
_MS_BIND = 4096
_MS_REC = 16384
_MS_SHARED = 1 << 20
_MNT_DETACH = 2

_PATIENCE_S = 60

_libc = ctypes.CDLL(None, use_errno=True)
_libc.mount.argtypes = [
    ctypes.c_char_p, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_ulong, ctypes.c_void_p]


def _check(result, what):
    if result != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{what}: {os.strerror(code)}")


def _mount(source, target, flags):
    _check(_libc.mount(source.encode(), target.encode(), b"none", flags, None),
           f"mount {target}")


def enter(fd):
    """Move the calling thread, and it alone, into the namespace behind `fd`."""
    _check(_libc.setns(fd, _CLONE_NEWNET), "setns")


def in_thread(function):
    """Run `function` in a thread of its own and return what it returns.

    The thread may enter() namespaces as it likes: sockets and processes that it makes
    belong there for good, and the caller's own namespace is never left.
    """
    box = {}

    def body():
        try:
            box["value"] = function()
        except BaseException as error:  # handed to the caller, whatever it is
            box["error"] = error

    thread = threading.Thread(target=body, daemon=True)
    thread.start()
    try:
        thread.join()
    except BaseException:  # an interrupt: leave nothing half done behind one's back
        thread.join(_PATIENCE_S)
        raise
    if "error" in box:
        raise box["error"]
    return box["value"]


def _prepare_run_dir():
    """Make RUN_DIR a shared mount point, as `ip netns add` does.

    Without it a mount namespace made later would keep our namespaces alive after
    their names are gone. The lock keeps two labs from stacking two mounts.
    """
    os.makedirs(RUN_DIR, mode=0o755, exist_ok=True)
    lock = os.open(RUN_DIR, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            _mount("", RUN_DIR, _MS_SHARED | _MS_REC)
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
            _mount(RUN_DIR, RUN_DIR, _MS_BIND | _MS_REC)
            _mount("", RUN_DIR, _MS_SHARED | _MS_REC)
    finally:
        os.close(lock)


def create(names, configure):
    """Create the namespaces `names`; return {name: file descriptor}.

    configure(name) runs inside each new namespace, before anything is in it. If one
    step fails, the names made so far stay for the caller to remove().
    """
    def body():
        fds = {}
        try:
            for name in names:
                _check(_libc.unshare(_CLONE_NEWNET), "unshare")
                path = f"{RUN_DIR}/{name}"
                os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o444))
                _mount("/proc/thread-self/ns/net", path, _MS_BIND)
                fds[name] = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
                configure(name)
        except BaseException:
            for fd in fds.values():
                os.close(fd)
            raise
        return fds

    _prepare_run_dir()
    return in_thread(body)


def names():
    """The names of all named namespaces of this machine."""
    try:
        return sorted(os.listdir(RUN_DIR))
    except FileNotFoundError:
        return []


def remove(name):
    """Remove a name, if it is there; the namespace goes once nothing uses it."""
    path = f"{RUN_DIR}/{name}"
    # umount fails on a plain file, such as a reboot leaves where /run is on disk
    _libc.umount2(path.encode(), _MNT_DETACH)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)


def set_sysctl(key, value, must_exist=True):
    """Write /proc/sys/net/KEY of the calling thread's namespace."""
    try:
        with open(f"/proc/sys/net/{key}", "w", encoding="ascii") as file:
            file.write(f"{value}\n")
    except FileNotFoundError:
        if must_exist:
            raise


def _identity(path):
    """What tells a namespace, or the plain file left of one, from all others."""
    status = os.stat(path)
    return status.st_dev, status.st_ino


def _namespace_of(pid):
    try:
        return _identity(f"/proc/{pid}/ns/net")
    except OSError:  # it ended meanwhile
        return None


def _identities(netns):
    found = set()
    for name in netns:
        with contextlib.suppress(FileNotFoundError):
            found.add(_identity(f"{RUN_DIR}/{name}"))
    return found


def processes(netns):
    """The process numbers, but for our own, that live in the named namespaces."""
    wanted = _identities(netns)
    pids = (int(entry) for entry in os.listdir("/proc") if entry.isdigit())
    return [pid for pid in pids
            if pid != os.getpid() and _namespace_of(pid) in wanted]


def kill_processes(netns, timeout_s=5.0):
    """Kill every process in the named namespaces, and wait until they have ended.

    A process may fork while it is looked at, hence the rounds; their number is bounded.
    """
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        pidfds = []
        wanted = _identities(netns)
        for pid in processes(netns):
            try:
                fd = os.pidfd_open(pid)
            except ProcessLookupError:
                continue
            # the number may have been given to another process before the open
            if _namespace_of(pid) in wanted:
                with contextlib.suppress(ProcessLookupError):
                    signal.pidfd_send_signal(fd, signal.SIGKILL)
            pidfds.append(fd)
        if not pidfds:
            return
        for fd in pidfds:
            left_ms = max(0.0, deadline - time.monotonic()) * 1000
            poller = select.poll()
            poller.register(fd, select.POLLIN)
            poller.poll(left_ms)
            os.close(fd)


def start_time(pid):
    """When a process started, in clock ticks since boot; None if there is none.

    With the number it names a process for good, although numbers are reused.
    """
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
            text = file.read()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return int(text.rpartition(")")[2].split()[19])

#!/usr/bin/python3
"""Runs a program as a container runtime would: with the file system, the mounts, the user, the
capabilities and the system calls that a pod's manifest says, in the network namespace of the caller.

    container.py SPEC.json

SPEC: {"root": DIR, "command": [...], "env": {...}, "uid": 0, "gid": 0, "capabilities": ["NET_ADMIN"],
"readOnly": true, "mounts": [{"target": "/x", "source": DIR or null (a tmpfs), "readOnly": true}]}.

A stand-in: no image, no cgroups, no Linux security module. Of system calls it refuses those that
containerd's and Docker's default profiles refuse (RuntimeDefault) to somebody with these
capabilities; that list is Docker's documentation of what its profile blocks, with the calls for
mounts, namespaces and io_uring that came later. The program is process 1 of its own, as in a pod.
Signals are passed on; the exit status is the program's.
"""

import ctypes
import ctypes.util
import errno
import json
import os
import signal
import sys

CAPABILITIES = {
    name: number for number, name in enumerate(
        "CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP "
        "LINUX_IMMUTABLE NET_BIND_SERVICE NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER "
        "SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN SYS_BOOT SYS_NICE "
        "SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP "
        "MAC_OVERRIDE MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF "
        "CHECKPOINT_RESTORE".split())}
REFUSED = """acct add_key bpf clock_adjtime clock_settime create_module delete_module finit_module
    get_kernel_syms get_mempolicy init_module ioperm iopl kcmp kexec_file_load kexec_load keyctl
    lookup_dcookie mbind mount move_pages nfsservctl open_by_handle_at perf_event_open personality
    pivot_root process_vm_readv process_vm_writev ptrace query_module quotactl reboot request_key
    set_mempolicy setns settimeofday stime swapon swapoff sysfs _sysctl umount umount2 unshare uselib
    userfaultfd ustat vm86 vm86old fsopen fsconfig fsmount fspick open_tree move_mount mount_setattr
    io_uring_setup io_uring_enter io_uring_register""".split()
NEED = {"chroot": "SYS_CHROOT"}  # beside NET_ADMIN, all that is asked for here
NAMESPACES = 0x7E020000  # the flags of clone(2) that make any
AF_VSOCK = 40
CLONE_NEWNS, CLONE_NEWUTS, CLONE_NEWIPC, CLONE_NEWPID = 0x20000, 0x4000000, 0x8000000, 0x20000000
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE = (
    1, 2, 4, 8, 32, 4096, 16384, 1 << 18)
PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS, PR_CAP_AMBIENT, PR_SET_PDEATHSIG = 24, 38, 47, 1
ALLOW, ERRNO = 0x7FFF0000, 0x00050000

libc = ctypes.CDLL(None, use_errno=True)
seccomp = ctypes.CDLL("libseccomp.so.2", use_errno=True)
seccomp.seccomp_init.restype = ctypes.c_void_p


class Compare(ctypes.Structure):
    """struct scmp_arg_cmp."""
    _fields_ = [("arg", ctypes.c_uint), ("op", ctypes.c_int), ("a", ctypes.c_uint64),
                ("b", ctypes.c_uint64)]


EQ, MASKED_EQ = 4, 7


def check(result):
    if result != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


def prctl(*arguments):
    values = [*arguments, 0, 0, 0, 0][:5]
    check(libc.prctl(*(ctypes.c_ulong(value) for value in values)))


# --- the file system ---


def mount(source, target, kind=None, flags=0, data=None):
    def text(value):
        return None if value is None else os.fsencode(str(value))

    check(libc.mount(text(source), text(target), text(kind), ctypes.c_ulong(flags), text(data)))


def bind(source, target, read_only):
    mount(source, target, None, MS_BIND | MS_REC)
    if read_only:
        mount(None, target, None, MS_BIND | MS_REMOUNT | MS_RDONLY | MS_NOSUID)


def make_devices(root):
    mount("tmpfs", root + "/dev", "tmpfs", MS_NOSUID, "mode=755,size=64k")
    for name in ("null", "zero", "full", "random", "urandom", "tty"):
        open(f"{root}/dev/{name}", "w", encoding="ascii").close()
        mount(f"/dev/{name}", f"{root}/dev/{name}", None, MS_BIND)
    os.mkdir(root + "/dev/shm")
    mount("shm", root + "/dev/shm", "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "size=64m")


def make_root(spec):
    root = spec["root"]
    mount(None, "/", None, MS_REC | MS_PRIVATE)
    mount(root, root, None, MS_BIND | MS_REC)
    mount("proc", root + "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC)
    make_devices(root)
    for item in sorted(spec["mounts"], key=lambda item: item["target"]):
        target = root + item["target"]
        os.makedirs(target, exist_ok=True)
        if item.get("source") is None:
            mount("tmpfs", target, "tmpfs", MS_NOSUID | MS_NODEV,
                  f"mode=777,uid={spec['uid']},gid={spec['gid']}")
        else:
            bind(item["source"], target, item.get("readOnly", False))
    if spec["readOnly"]:
        mount(None, root, None, MS_BIND | MS_REMOUNT | MS_RDONLY)
    os.chroot(root)
    os.chdir("/")


# --- what it may ---


def refuse_system_calls(capabilities):
    names = REFUSED + [name for name, need in NEED.items() if need not in capabilities]
    context = ctypes.c_void_p(seccomp.seccomp_init(ALLOW))

    def rule(action, name, *compares):
        number = seccomp.seccomp_syscall_resolve_name(name.encode())
        if number == -1:  # not of this machine
            return
        array = (Compare * max(1, len(compares)))(*compares)
        check(seccomp.seccomp_rule_add_array(context, action, number, len(compares), array))

    for name in names:
        rule(ERRNO | errno.EPERM, name)
    rule(ERRNO | errno.ENOSYS, "clone3")  # its flags cannot be seen
    for bit in (1 << n for n in range(32) if NAMESPACES >> n & 1):
        rule(ERRNO | errno.EPERM, "clone", Compare(0, MASKED_EQ, bit, bit))
    rule(ERRNO | errno.EPERM, "socket", Compare(0, EQ, AF_VSOCK, 0))
    check(seccomp.seccomp_load(context))


class CapHeader(ctypes.Structure):
    _fields_ = [("version", ctypes.c_uint32), ("pid", ctypes.c_int)]


class CapData(ctypes.Structure):
    _fields_ = [("effective", ctypes.c_uint32), ("permitted", ctypes.c_uint32),
                ("inheritable", ctypes.c_uint32)]


def become(spec):
    kept = [CAPABILITIES[name] for name in spec["capabilities"]]
    for number in CAPABILITIES.values():
        if number not in kept:
            try:
                prctl(PR_CAPBSET_DROP, number)
            except OSError as error:
                if error.errno != errno.EINVAL:  # one that the kernel does not know
                    raise
    prctl(PR_CAP_AMBIENT, 4)
    os.setgroups([spec["gid"]] if spec["uid"] else [])
    os.setgid(spec["gid"])
    os.setuid(spec["uid"])
    bits = sum(1 << number for number in kept) if spec["uid"] == 0 else 0
    data = (CapData * 2)(CapData(bits & 0xFFFFFFFF, bits & 0xFFFFFFFF, 0),
                         CapData(bits >> 32, bits >> 32, 0))
    check(libc.capset(ctypes.byref(CapHeader(0x20080522, 0)), data))
    prctl(PR_SET_NO_NEW_PRIVS, 1)
    refuse_system_calls(spec["capabilities"])


# --- all of it ---


def run_inside(spec):
    os.setsid()
    make_root(spec)
    become(spec)
    os.execve(spec["command"][0], spec["command"], spec["env"])


def main():
    with open(sys.argv[1], encoding="utf-8") as f:
        spec = json.load(f)
    check(libc.unshare(CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWPID))
    signals = [signal.SIGTERM, signal.SIGINT, signal.SIGHUP]
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    child = os.fork()
    if child == 0:
        try:
            prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, signals)
            run_inside(spec)
        except BaseException as error:  # the program never began
            print(f"container: {error}", file=sys.stderr, flush=True)
        os._exit(125)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    for number in signals:
        signal.signal(number, lambda n, _: os.kill(child, n))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, signals)
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    sys.exit(code if code >= 0 else 128 - code)


if __name__ == "__main__":
    main()

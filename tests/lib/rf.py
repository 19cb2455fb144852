"""What every Python suite needs: where the programs are, and how to run them.

The build directory comes from RINGFENCE_BUILD; without it the newest of build/* that has
the tool is taken.
"""

import os
import pathlib
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]


def sample_directories():
    """Those of samples that hold documents, once each: not templates, nor overlays."""
    return sorted(d for d in (ROOT / "samples").iterdir()
                  if d.is_dir() and d.name not in ("helm", "kubernetes"))


def build_dir():
    """The build directory under test."""
    named = os.environ.get("RINGFENCE_BUILD")
    if named:
        return pathlib.Path(named).resolve()
    built = sorted(
        ROOT.glob("build/*/policy-lang/ringfence"), key=lambda path: path.stat().st_mtime
    )
    if not built:
        raise RuntimeError("no build: set RINGFENCE_BUILD")
    return built[-1].parents[1]


def sanitized():
    """True if the programs under test carry the sanitizers."""
    return "asan" in build_dir().name


ROOMS = {
    "ringfence": "policy-lang",
    "ringfence-enforcer": "enforcer",
    "ringfence-gate": "authn",
    "ringfence-login": "authn",
    "ringfence-audit": "authn",
    "ringfence-can-i": "authn",
    "ringfence-cni": "enforcer",
    "kubectl-ringfence": "policy-lang",
}


def program(name="ringfence"):
    """The path of one of our programs."""
    return str(build_dir() / ROOMS[name] / name)


def run(*args, stdin="", timeout=120, **kwargs):
    """Runs `ringfence ARGS`; returns the CompletedProcess with text output.

    A sanitizer's report is never an ordinary failure: it ends the test here.
    """
    done = subprocess.run(
        [program(), *map(str, args)],
        input=stdin,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
        **kwargs,
    )
    crashed = done.returncode < 0 or "Sanitizer" in done.stderr
    assert not crashed and "runtime error:" not in done.stderr, done.stderr
    return done

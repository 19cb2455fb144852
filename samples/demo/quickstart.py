"""The quickstart's conductor: sets up, shows each half, and removes everything.

usage: quickstart.py --build DIRECTORY [--no-color] [--pause]
"""
import argparse
import pathlib
import shutil
import signal
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "samples" / "demo"), str(ROOT / "tests" / "netns"),
                str(ROOT / "tests" / "double")]

import gate as gate_half  # noqa: E402
import node as node_half  # noqa: E402
from screen import Failed, Screen  # noqa: E402


def main():
    parser = argparse.ArgumentParser(description="Shows the main job of Ringfence.")
    parser.add_argument("--build", type=pathlib.Path, required=True)
    parser.add_argument("--no-color", action="store_true")
    parser.add_argument("--pause", action="store_true")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    screen = Screen(not arguments.no_color, arguments.pause)
    work = pathlib.Path(tempfile.mkdtemp(prefix="ringfence-quickstart-"))
    work.chmod(0o755)
    (work / "node").mkdir()
    node = node_half.Node(screen, arguments.build, work / "node")
    gate = gate_half.Gate(screen, arguments.build, work / "gate")
    try:
        node_half.show(node)
        gate_half.show(gate)
        print(f"\n   All {screen.checks} announcements held. Everything is cleaned up.\n")
        return 0
    except Failed as failed:
        print(f"\n   Not as announced: {failed}", file=sys.stderr)
        for log in sorted(work.rglob("*.log")):
            print(f"--- {log.name}\n{log.read_text()[-3000:]}", file=sys.stderr)
        return 1
    finally:
        gate.stop()
        node.stop()
        shutil.rmtree(work, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())

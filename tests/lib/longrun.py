"""What commands that prove something at length share: options, one line at the end, exit status.

    args = longrun.arguments(__doc__, probes=100000)      # --probes, --seed, --minutes
    run = longrun.Run("differential", args)
    run.pytest("tests/netns/test_differential.py", "the_daemon_does", RINGFENCE_PROBES=args.probes)
    sys.exit(run.finish())

and, in the tests that are run:

    over = longrun.clock()              # over() once --minutes have passed
    longrun.report(probes=250, edits=3) # what was done, for the line
"""

import argparse
import collections
import json
import os
import pathlib
import random
import signal
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
REPORT = "RINGFENCE_LONG_REPORT"
MINUTES = "RINGFENCE_LONG_MINUTES"
EPILOG = """\
Ends at whatever comes first of the number and the minutes, and says in one line what was done.
Exit status: 0: all was as it should be; 1: something was not, which is told above that line;
2: nothing was tried (wrong options, no build, not root, no network namespaces);
128 and more: a signal ended it.
RINGFENCE_BUILD names the build (default build/release)."""


def positive(text):
    """A number of things: 1 or more."""
    try:
        number = int(text)
    except ValueError:
        number = 0
    if not 0 < number <= 10**12:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of 1 or more")
    return number


def duration(text):
    """Minutes, or parts of them."""
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < 10**6:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of minutes")
    return number


def seed(text):
    """What begins a random series."""
    if not text.isdecimal() or len(text) > 10:
        raise argparse.ArgumentTypeError(f"{text!r} is no seed: a number of up to ten digits")
    return int(text)


def parser(doc, **number):
    """--seed, --minutes, and a number of things with its default; None: as long as it takes."""
    made = argparse.ArgumentParser(
        description=doc, epilog=EPILOG, allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    made.set_defaults(tries=next(iter(number), None))
    for name, default in number.items():
        made.add_argument(f"--{name}", type=positive, default=default, metavar="N",
                          help=f"how many {name}"
                          + (f" (default {default})" if default else ""))
    made.add_argument("--seed", type=seed, metavar="S",
                      help="of all that is random (default: another each time; it is told)")
    made.add_argument("--minutes", type=duration, metavar="M", help="no longer than so long")
    return made


def arguments(doc, **number):
    """The command line read, with a seed in any case."""
    return seeded(parser(doc, **number).parse_args())


def seeded(args):
    """With a seed, if none was given."""
    if args.seed is None:
        args.seed = random.SystemRandom().randrange(10**8)
    return args


class Run:
    """One run of a command: what it starts, and what became of it."""

    def __init__(self, name, args):
        self.name = name
        self.args = args
        self.began = time.monotonic()
        self.failed = False
        self.done = collections.Counter()
        self.ended = False  # by the clock

    def minutes_left(self):
        """None: there is no end."""
        if self.args.minutes is None:
            return None
        return self.args.minutes - (time.monotonic() - self.began) / 60

    def pytest(self, file, select, minutes=None, **environment):
        """Run some tests with these variables; what they report is added up."""
        left = minutes or self.minutes_left()
        with tempfile.NamedTemporaryFile(mode="r", encoding="utf-8") as reports:
            environment |= {REPORT: reports.name, "RINGFENCE_SEED": self.args.seed}
            if left is not None:
                environment[MINUTES] = max(left, 1e-3)
            build = os.environ.get("RINGFENCE_BUILD") or ROOT / "build" / "release"
            variables = {key: str(value) for key, value in environment.items()}
            status = self._wait(subprocess.Popen(
                ["/usr/bin/python3", "-m", "pytest", "-q", "-p", "no:cacheprovider", "-rs",
                 str(file), "-k", select], cwd=ROOT, process_group=0,
                env={**os.environ, "RINGFENCE_BUILD": str(build), **variables}))
            for line in reports:
                self.add(json.loads(line))
        self.failed |= status not in (0, 5)  # 5: no such test
        return status == 0

    def _wait(self, process):
        """Its exit status. What ends us ends it first, once, and it takes down what it has built."""
        got = []

        def pass_on(number, _frame):
            got.append(number)
            process.send_signal(number)

        before = {number: signal.signal(number, pass_on)
                  for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM)
                  if signal.getsignal(number) != signal.SIG_IGN}
        status = process.wait()
        for number, handler in before.items():
            signal.signal(number, handler)
        if got:
            print(f"{self.name}: interrupted: seed {self.args.seed}", file=sys.stderr)
            sys.exit(128 + got[0])
        return status

    def add(self, counts):
        """What was done, by name."""
        self.ended |= counts.pop("ended", False)
        self.done.update(counts)

    def tried(self):
        """Whether there is any of what the command is to do so many of: `probes`, `cases_of_laws`."""
        word = self.args.tries
        return any(count for name, count in self.done.items()
                   if word is None or name == word or name.startswith(f"{word}_of_"))

    def finish(self, file=None):
        """Print the line; the exit status."""
        counts = ", ".join(f"{count} {name.replace('_', ' ')}"
                           for name, count in self.done.items())
        verdict = "FAILED" if self.failed else "ok" if self.tried() else "nothing was tried"
        print(f"{self.name}: {verdict}: " + (f"{counts}, " if counts else "")
              + (f"seed {self.args.seed}, " if self.args.seed is not None else "")
              + f"{time.monotonic() - self.began:.0f} s"
              + (" (the minutes were over)" if self.ended else ""), file=file)
        return 1 if self.failed else 0 if self.tried() else 2


# --- in the tests ---


def clock():
    """A function that is true once the minutes that a command gave are over."""
    minutes = float(os.environ.get(MINUTES) or "inf")
    end = time.monotonic() + 60 * minutes
    return lambda: time.monotonic() >= end


def report(**counts):
    """Tell the command, if there is one, what was done."""
    path = os.environ.get(REPORT)
    if path:
        with open(path, "a", encoding="utf-8") as file:
            file.write(json.dumps(counts) + "\n")

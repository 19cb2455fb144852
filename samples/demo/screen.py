"""What the quickstart prints, and what it checks: every announcement is a check."""
import sys


class Failed(Exception):
    """Something is not as announced."""


class Screen:
    def __init__(self, color=True, pause=False):
        self.color = color and sys.stdout.isatty()
        self.pause = pause and sys.stdin.isatty()
        self.number = 0
        self.checks = 0

    def _paint(self, code, text):
        return f"\x1b[{code}m{text}\x1b[0m" if self.color else text

    def step(self, title, proves):
        if self.number and self.pause:
            input("\n[Enter] goes on ")
        self.number += 1
        print()
        print(self._paint("1;36", f"{self.number}. {title}"))
        for line in wrap(proves):
            print(self._paint("2", f"   {line}"))
        print()

    def say(self, text=""):
        for line in text.splitlines() or [""]:
            print(f"   {line}", flush=True)

    def command(self, text):
        self.say(self._paint("33", f"$ {text}"))

    def check(self, ok, announced, found=""):
        """Prints the announcement with its outcome; ends the demonstration if it is false."""
        self.checks += 1
        mark = self._paint("32", "ok  ") if ok else self._paint("31", "FAIL")
        self.say(f"{mark} {announced}")
        if not ok:
            raise Failed(f"{announced}: {found}" if found else announced)


def wrap(text, width=84):
    lines, line = [], ""
    for word in text.split():
        if line and len(line) + 1 + len(word) > width:
            lines.append(line)
            line = ""
        line = f"{line} {word}".strip()
    return lines + [line]


def table(rows):
    """Rows of strings with aligned columns."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip()
        for row in rows)

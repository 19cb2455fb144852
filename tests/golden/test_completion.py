"""Completion in real shells: a line is typed, TAB is pressed, and the line is read back.

bash and zsh run on a terminal of their own; fish completes a line that it is given. What
must come is read from the help of each command.
"""

import os
import pathlib
import pty
import re
import select
import shutil
import subprocess
import sys
import time

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
import rf  # noqa: E402

ENV = {**os.environ, "TERM": "dumb", "LC_ALL": "C.UTF-8", "HISTFILE": "", "ZDOTDIR": "/nonexistent"}


class Terminal:
    """A shell at a terminal. `line` types and gives what the shell then says."""

    def __init__(self, argv, setup, directory):
        master, slave = pty.openpty()
        path = f"{pathlib.Path(rf.program()).parent}:{os.environ['PATH']}"
        self.process = subprocess.Popen(
            argv,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            cwd=directory,
            env={**ENV, "PATH": path, "HOME": str(directory)},
            start_new_session=True,
        )
        os.close(slave)
        self.master = master
        self.wait(setup, r"READY\r?\n[^\n]*> ")

    def read_until(self, pattern, timeout=120):
        seen, end = "", time.monotonic() + timeout
        while not re.search(pattern, seen):
            left = end - time.monotonic()
            assert left > 0, f"no {pattern!r} in {seen!r}"
            if select.select([self.master], [], [], left)[0]:
                seen += os.read(self.master, 65536).decode(errors="replace")
        return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b[=>]|\x07", "", seen)

    def wait(self, text, pattern):
        os.write(self.master, text.encode())
        return self.read_until(pattern)

    def close(self):
        self.process.kill()
        self.process.wait()
        os.close(self.master)


@pytest.fixture
def place(tmp_path):
    (tmp_path / "policy-one.yaml").write_text("{}")
    (tmp_path / "questions.txt").write_text("")
    return tmp_path


class Shell:
    """Completes a line: the words that come, or the line completed if one did."""

    def __init__(self, directory):
        self.directory = directory

    def close(self):
        pass


class Bash(Shell):
    def __init__(self, directory):
        super().__init__(directory)
        # The answer is what readline puts in the line, or offers: a key of our own prints both.
        self.terminal = Terminal(
            ["bash", "--norc", "--noprofile", "-i"],
            "PS1='> '; bind 'set enable-bracketed-paste off' 'set bell-style none' "
            "'set show-all-if-ambiguous on' 'set completion-query-items -1' 'set page-completions off';"
            "source <(ringfence completion bash); echo REA''DY\n",
            directory,
        )

    def complete(self, line):
        terminal = self.terminal
        os.write(terminal.master, f"{line}\t".encode())
        os.write(terminal.master, b"\x01: \x05 ENDED\n")  # home, ": ", end: the line does nothing
        seen = terminal.read_until(r": ringfence[^\n]* ENDED\r?\n(.*)> ")
        return set(re.findall(r"[^\s>]+", seen.replace("ENDED", "")))

    def close(self):
        self.terminal.close()


class Zsh(Shell):
    def __init__(self, directory):
        super().__init__(directory)
        self.terminal = Terminal(
            ["zsh", "-f", "-i"],
            "PS1='> '; unsetopt zle_bracketed_paste prompt_sp; setopt list_ambiguous no_beep; "
            "LISTMAX=1000; autoload -U compinit; compinit -u -D; zstyle ':completion:*' verbose no; "
            "source <(ringfence completion zsh); bindkey '^A' beginning-of-line; "
            "bindkey '^E' end-of-line; unset zle_bracketed_paste; echo REA''DY\n",
            directory,
        )

    def complete(self, line):
        terminal = self.terminal
        os.write(terminal.master, f"{line}\t".encode())
        os.write(terminal.master, b"\t")  # lists where the first only completed
        os.write(terminal.master, b"\x01: \x05 ENDED\n")
        seen = terminal.read_until(r"ENDED\s*\r?\n(.*)> $")
        return set(re.findall(r"[^\s>]+", seen.replace("ENDED", "")))

    def close(self):
        self.terminal.close()


class Fish(Shell):
    def complete(self, line):
        path = f"{pathlib.Path(rf.program()).parent}:{os.environ['PATH']}"
        done = subprocess.run(
            ["fish", "--no-config", "-c", "ringfence completion fish | source; complete -C $argv[1]", line],
            capture_output=True,
            text=True,
            cwd=self.directory,
            env={**ENV, "PATH": path, "HOME": str(self.directory)},
            check=True,
        )
        assert done.stderr == ""
        return {row.split("\t")[0] for row in done.stdout.splitlines()}


SHELLS = {"bash": Bash, "zsh": Zsh, "fish": Fish}


@pytest.fixture(params=SHELLS)
def shell(request, place):
    assert shutil.which(request.param)
    one = SHELLS[request.param](place)
    yield one
    one.close()


def commands():
    return re.findall(r"^  ([a-z]+) ", rf.run("help").stdout.split("\n\nFor")[0], re.MULTILINE)


def options(command):
    return set(re.findall(r"(--[a-z0-9-]+)", rf.run("help", command).stdout.split("options:")[1]))


def test_commands_options_values_and_files(shell):
    assert shell.complete("ringfence ") >= set(commands())
    assert "check" in shell.complete("ringfence ch")
    assert not shell.complete("ringfence ch") & {"list", "explain"}
    for command in ("check", "fmt", "graph"):
        assert shell.complete(f"ringfence {command} --") >= options(command), command
    got = shell.complete("ringfence list -o ")
    assert got >= {"txt", "json", "csv", "md", "dot"}
    assert "policy-one.yaml" not in got
    assert shell.complete("ringfence can --cluster-default ") >= {"allow", "deny"}
    assert any("allow" in word for word in shell.complete("ringfence can --cluster-default=al"))
    assert any("policy-one.yaml" in word for word in shell.complete("ringfence check pol"))
    assert any("questions.txt" in word for word in shell.complete("ringfence can --batch que"))
    assert shell.complete("ringfence check --select sha") >= {"shadowed-rule", "shared-address"}
    assert shell.complete("ringfence check --severity ") >= {"error", "warning", "note"}
    assert shell.complete("ringfence schema ") >= {"Policy", "Workload", "Quota"}
    assert shell.complete("ringfence completion ") >= {"bash", "zsh", "fish"}
    assert shell.complete("ringfence help ") >= {"check", "list"}
    assert "policy-one.yaml" not in shell.complete("ringfence can x.yaml -- pol")


PROGRAMS = {"login": "login", "token": "login", "can-i": "can-i", "audit": "audit"}


@pytest.mark.parametrize("name", PROGRAMS)
def test_options_of_programs_are_those_that_they_have(name):
    """They are other programs, whose options the table of the tool repeats."""
    script = rf.run("completion", "bash").stdout
    told = set(re.search(rf"^\t{name}\)\n\t\toptions='([^']*)'", script, re.M)[1].split())
    program = rf.program(f"ringfence-{PROGRAMS[name]}")
    shown = subprocess.run([program, "--help"], capture_output=True, text=True, check=True).stdout
    known = set(re.findall(r"--[a-z][a-z-]+", shown)) - {"--version"}
    if name in ("can-i", "audit"):
        assert told >= known
    for option in told:
        done = subprocess.run([program, option, "--help"], capture_output=True, text=True,
                              stdin=subprocess.DEVNULL, check=False, timeout=60)
        assert "unrecognized" not in done.stderr, option


def test_words_of_programs_complete(shell):
    assert shell.complete("ringfence ") >= {"login", "token", "can-i", "audit"}
    assert shell.complete("ringfence token ") >= {"create", "list", "rotate", "revoke"}
    assert shell.complete("ringfence audit ") >= {"verify", "search", "export", "report", "copy"}
    assert shell.complete("ringfence audit search --") >= {"--since", "--tenant", "--no-index"}
    assert any("policy-one" in word for word in shell.complete("ringfence audit search pol"))


@pytest.mark.parametrize("shell", SHELLS)
def test_scripts_are_clean(shell, tmp_path):
    done = rf.run("completion", shell)
    assert done.returncode == 0
    path = tmp_path / "script"
    path.write_text(done.stdout)
    checked = subprocess.run([shell, "-n", path], capture_output=True, text=True, check=False)
    assert (checked.returncode, checked.stderr) == (0, "")


def test_an_unknown_shell_is_refused():
    done = rf.run("completion", "tcsh")
    assert done.returncode == 2
    assert 'no shell "tcsh"; there is bash, zsh, fish' in done.stderr

"""`ringfence help CODE`: every code has a text, whose examples are run.

policy-lang/help/CODE.md says why a code matters; what is indented below "Wrong" triggers the
code and no other, what is indented below "Right" is clean.
"""

import functools
import pathlib
import re
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
import rf  # noqa: E402

HELP = rf.ROOT / "policy-lang" / "help"
ROOM = rf.ROOT / "policy-lang"
SECTION = re.compile(r"^(Wrong|Right)(?:, with `(.*)`)?:\n\n((?:    .*\n|\n)+)", re.MULTILINE)

# What no small file can show: sizes, kernels, other machines; what `check` does not ask.
WITHOUT_EXAMPLE = {
    "file-limit",
    "file-none",
    "file-read",
    "file-skipped",
    "fmt-unsafe",
    "lint-limit",
    "number-collision",
    "program-too-large",
    "unsupported-protocol",
    "yaml-limit",
    "yaml-text",
}


def codes():
    """Every code of both tables: its severity."""
    rows = re.findall(r'X\(CODE_\w+,\s*"([a-z-]+)",\s*DIAG_(\w+),', (ROOM / "model" / "codes.h").read_text())
    rows += re.findall(r'\{"([a-z-]+)", DIAG_(\w+),', (ROOM / "model" / "codes.c").read_text())
    return {code: level.lower() for code, level in rows}


@functools.cache
def help_of(code):
    done = rf.run("help", code)
    assert done.returncode == 0
    return done.stdout


def sections(code):
    """(Wrong or Right, options, YAML) of a code's help, as the tool prints it."""
    return [
        (title, options.split(), re.sub(r"(?m)^    ", "", body).rstrip("\n") + "\n")
        for title, options, body in SECTION.findall(help_of(code))
    ]


def given(options, text):
    """The codes that `check` gives for a text."""
    done = rf.run("check", *options, "-", stdin=text)
    rows = re.findall(
        r": (?:error|warning|note): .* \[([a-z-]+)\]$", done.stderr, re.MULTILINE
    )
    return set(rows), done.stderr


def test_every_code_has_help_and_nothing_else_does():
    assert {path.stem for path in HELP.glob("*.md")} == codes().keys()


@pytest.mark.parametrize("code", sorted(codes()))
def test_help_names_code_and_severity(code):
    text = help_of(code)
    assert text.startswith(f"{code} ({codes()[code]})\n\n")
    silencing = f"# ringfence:ignore {code} REASON" in text
    assert silencing == (codes()[code] != "error")
    for line in text.splitlines()[3:]:
        assert len(line) <= (104 if line.startswith("    ") else 80)


@pytest.mark.parametrize("code", sorted(codes().keys() - WITHOUT_EXAMPLE))
def test_example_triggers_its_code_alone_and_the_corrected_form_nothing(code):
    (wrong, wrong_options, bad), (right, right_options, good) = sections(code)
    assert (wrong, right) == ("Wrong", "Right")
    found, shown = given(wrong_options, bad)
    assert found == {code}, shown
    found, shown = given(right_options, good)
    assert found == set(), shown


@pytest.mark.parametrize("code", sorted(WITHOUT_EXAMPLE))
def test_codes_without_example_have_none(code):
    assert sections(code) == []


def test_codes_are_listed_by_severity_and_topic():
    text = rf.run("help", "codes").stdout
    parts = re.split(r"^(?=errors|warnings|notes)", text, flags=re.MULTILINE)[1:]
    for part, level in zip(parts, ("error", "warning", "note"), strict=True):
        listed = re.findall(r"^    ([a-z-]+) ", part, re.MULTILINE)
        assert sorted(listed) == sorted(c for c, of in codes().items() if of == level)
        topics = re.findall(r"\n\n  (\S.*)\n    \S", part)
        assert len(topics) == len(set(topics)) == len(re.findall(r"^  \S", part, re.MULTILINE))
        assert len(topics) > 1


def test_unknown_topic_suggests():
    done = rf.run("help", "shadowed-rle")
    assert done.returncode == 2 and 'did you mean "shadowed-rule"?' in done.stderr
    assert 'did you mean "check"?' in rf.run("help", "chekc").stderr
    assert 'did you mean "audit"?' in rf.run("help", "adit").stderr

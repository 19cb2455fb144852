"""The manual and the code say the same.

Commands and their options are taken from the help, which is made from the tables that
options are parsed by; codes from their tables; limits from limits.h. ringfence-diagnostics(7)
is made of the codes: RINGFENCE_UPDATE_GOLDEN=1 writes it anew.
"""

import json
import os
import pathlib
import re
import subprocess
import sys

import pytest
import yaml

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
import rf  # noqa: E402

ROOM = rf.ROOT / "policy-lang"
PAGES = {path.stem: path.read_text() for path in sorted(ROOM.glob("ringfence-*.1"))}
OVERVIEW = (ROOM / "ringfence.1").read_text()
POLICY = (ROOM / "ringfence-policy.5").read_text()
DIAGNOSTICS = ROOM / "ringfence-diagnostics.7"
EVERY_PAGE = sorted(rf.ROOT.glob("*/*.[1-8]"))


def commands():
    """Of the tables: what `help` lists, without itself and version."""
    found = re.findall(r"^  ([a-z]+) ", rf.run("help").stdout.split("\n\nFor")[0], re.MULTILINE)
    return [c for c in found if c not in ("help", "version")]


def told_options(command):
    """Long options of a command by its help, and what each takes."""
    text = rf.run("help", command).stdout.split("\noptions:\n")[1]
    rows = re.findall(r"^  (?:-\w, )?--([a-z0-9-]+)(?: (\S+))?", text, re.MULTILINE)
    return {name: arg for name, arg in rows if name != "help"}


def told_outputs(command):
    found = re.search(r"^  -o, --output FORMAT\s+(.*)$", rf.run("help", command).stdout, re.MULTILINE)
    return found[1].split(", ") if found else []


def page_commands(page):
    """The commands that a page's synopsis shows."""
    synopsis = page.split(".Sh SYNOPSIS")[1].split(".Sh ")[0]
    rows = re.findall(r'^\.Nm (?:ringfence\n\.Cm (\w+)|"ringfence (\w+)")$', synopsis, re.MULTILINE)
    return {command for row in rows for command in row if command}


def page_options(page):
    """Options that have an entry, and what stands behind them there."""
    rows = re.findall(r"^\.It Fl (?:\w , )?-([a-z0-9-]+) ?(.*)$", page, re.MULTILINE)
    return dict(rows)


def page_of(command):
    (page,) = [text for text in PAGES.values() if command in page_commands(text)]
    return page


COMMON = page_options(OVERVIEW)


@pytest.mark.parametrize("command", commands())
def test_every_command_has_its_page_and_every_option_its_entry(command):
    page = page_of(command)
    entries = page_options(page)
    for name, arg in told_options(command).items():
        assert name in entries or name in COMMON, f"--{name} is in no page"
        words = arg.split("|") if "|" in arg else []
        said = entries.get(name, COMMON.get(name, ""))
        assert all(word in said for word in words), f"--{name}: {said}"
        assert bool(arg) == bool(said), f"--{name} takes {arg!r}; the page says {said!r}"
    for name in told_outputs(command):
        assert re.search(rf"^\.(?:Li|Cm) .*\b{name}\b", page, re.MULTILINE), f"-o {name}"
    assert re.search(rf"^\.It Cm {command}\b", OVERVIEW, re.MULTILINE)


@pytest.mark.parametrize("name", PAGES)
def test_a_page_tells_of_nothing_that_is_not_there(name):
    page = PAGES[name]
    shown = page_commands(page)
    assert shown, "no command in the synopsis"
    assert shown <= set(commands())
    assert all(f".Nm ringfence-{command}" in page for command in shown)
    known = {option for command in shown for option in told_options(command)}
    assert set(page_options(page)) <= known
    synopsis = page.split(".Sh SYNOPSIS")[1].split(".Sh ")[0]
    assert set(re.findall(r"Fl -([a-z][a-z0-9-]*)", synopsis)) <= known


def test_common_options_are_those_of_every_command_that_reads_policy():
    for command in ("check", "can", "explain", "list", "compile", "graph"):
        assert set(COMMON) <= set(told_options(command)), command


def test_the_overview_lists_every_command_and_page():
    listed = re.findall(r"^\.It Cm (\w+)$", OVERVIEW, re.MULTILINE)
    assert sorted(set(listed) - {"help", "version"}) == sorted(commands())
    for name in PAGES:
        assert f".Xr {name} 1" in OVERVIEW


def test_every_reference_leads_to_a_page():
    pages = {(p.name.rpartition(".")[0], p.name[-1]) for p in EVERY_PAGE}
    foreign = {("nft", "8"), ("kubectl", "1"), ("conntrack", "8"), ("ip-rule", "8"), ("systemd", "1"), ("systemd-analyze", "1"),
               ("systemd-journald", "8"), ("inotify", "7"), ("chroot", "2")}
    for path in EVERY_PAGE:
        for name, section in re.findall(r"\bXr (\S+) (\d)", path.read_text()):
            assert (name, section) in pages | foreign, f"{path.name}: {name}({section})"
    samples = [path for path in (rf.ROOT / "samples").rglob("*") if path.is_file()]
    for path in [rf.ROOT / "README.md", *samples]:
        for name, section in re.findall(r"\b([a-z][a-zA-Z.-]+)\(([1-8])\)", path.read_text(errors="replace")):
            assert (name, section) in pages | foreign, f"{path}: {name}({section})"


def test_pages_are_well_formed():
    done = subprocess.run(
        ["mandoc", "-T", "lint", "-W", "warning", *EVERY_PAGE], capture_output=True, text=True, check=False
    )
    assert done.stdout == ""


def test_every_page_says_what_else_to_read():
    for path in EVERY_PAGE:
        assert re.search(r"^\.Sh SEE ALSO\n(?:\..*\n)*?\.Xr ", path.read_text(), re.MULTILINE), path.name


# ---- other programs ----

PROGRAMS = {
    "ringfence-gate.8": [["ringfence-gate"]],
    "ringfence-enforcer.8": [["ringfence-enforcer"]],
    "ringfence-cni.8": [["ringfence-cni", "install"], ["ringfence-cni", "uninstall"]],
    "ringfence-login.1": [["ringfence-login"]],
    "ringfence-audit.1": [["ringfence-audit"]],
    "ringfence-can-i.1": [["ringfence-can-i"]],
    "kubectl-ringfence.1": [["kubectl-ringfence"]],
}
ALWAYS = {"--help", "--version"}


def shown_options(text):
    """Of a manual page's text."""
    found = re.findall(r"\bFl (Fl |-)?([a-z][a-z-]*)|(?<= , )-([a-z][a-z-]*)", text)
    return {("--" if dashes or more else "-") + name + more for dashes, name, more in found}


@pytest.mark.parametrize("page", PROGRAMS)
def test_help_and_page_of_a_program_know_the_same_options(page):
    """Help in all of its text; the page in its synopsis and its lists, or anywhere."""
    (path,) = [p for p in EVERY_PAGE if p.name == page]
    text = path.read_text()
    told = set()
    for words in PROGRAMS[page]:
        done = subprocess.run([rf.program(words[0]), *words[1:], "--help"],
                              capture_output=True, text=True, check=True)
        told |= set(re.findall(r"(?<![\w-])(--?[a-z](?:[a-z-]*[a-z])?)\b", done.stdout))
    synopsis = text.split(".Sh SYNOPSIS")[1].split(".Sh ")[0]
    entries = "\n".join(re.findall(r"^\.It Fl .*$", text, re.MULTILINE))
    assert told - ALWAYS <= shown_options(text)
    assert shown_options(synopsis + entries) - ALWAYS <= told


# ---- diagnostics ----

ROW = re.compile(r'"([a-z]+(?:-[a-z0-9]+)+)",\s*DIAG_(ERROR|WARNING|NOTE),((?:\s*\\?\s*"(?:[^"\\]|\\.)*")+)')


def codes():
    rows = {}
    for path in (ROOM / "model" / "codes.h", ROOM / "model" / "codes.c"):
        for code, severity, text in ROW.findall(path.read_text()):
            parts = re.findall(r'"((?:[^"\\]|\\.)*)"', text)
            rows[code] = (severity.lower(), "".join(parts).replace('\\"', '"'))
    return rows


def roff(text):
    """Text for a page: sentences on lines of their own, nothing taken for a request."""
    text = text.replace("\\", "\\e")
    lines = re.sub(r"(?<=[.?!]) (?=[A-Z])", "\n", text).split("\n")
    return "\n".join("\\&" + line if line[:1] in (".", "'") else line for line in lines)


def diagnostics_page():
    out = [
        ".Dd November 26, 2026",
        ".Dt RINGFENCE-DIAGNOSTICS 7",
        ".Os",
        ".Sh NAME",
        ".Nm ringfence-diagnostics",
        ".Nd what Ringfence finds wrong in policy, by code",
        ".Sh DESCRIPTION",
        "Every diagnostic of",
        ".Xr ringfence 1",
        "and of the daemons ends with its code in brackets.",
        "A code is never renamed and never used again for something else: scripts and",
        "editors may rely on it.",
    ]
    titles = {"error": "Errors", "warning": "Warnings", "note": "Notes"}
    for severity, title in titles.items():
        out += [f".Ss {title}", ".Bl -tag -width Ds"]
        for code, (level, text) in sorted(codes().items()):
            if level == severity:
                out += [f".It Li {code}", roff(text)]
        out.append(".El")
    out += [".Sh SEE ALSO", ".Xr ringfence-check 1 ,", ".Xr ringfence-policy 5"]
    return "\n".join(out) + "\n"


def test_every_code_is_in_its_page():
    assert len(codes()) > 50
    if os.environ.get("RINGFENCE_UPDATE_GOLDEN"):
        DIAGNOSTICS.write_text(diagnostics_page())
    assert DIAGNOSTICS.read_text() == diagnostics_page()


def test_codes_are_read_whole():
    """Against the tool: what a golden case shows has a row."""
    for path in sorted((pathlib.Path(__file__).parent / "check").glob("*.txt")):
        for severity, code in re.findall(r": (error|warning|note): .* \[([a-z0-9-]+)\]$", path.read_text(), re.M):
            if code in codes():
                assert codes()[code][0] == severity


# ---- the specification ----


def examples():
    blocks = re.findall(r"^\.Bd -literal\n(apiVersion:.*?)^\.Ed$", POLICY, re.MULTILINE | re.DOTALL)
    return [block.replace("\\&", "") for block in blocks]


@pytest.mark.parametrize("number", range(len(examples())))
def test_an_example_of_the_specification_is_right_and_in_canonical_form(number, tmp_path):
    path = tmp_path / "example.yaml"
    path.write_text(examples()[number])
    done = rf.run("check", "--strict", "-o", "json", path)
    assert done.returncode in (0, 1), done.stdout
    assert ': "error"' not in done.stdout
    assert rf.run("fmt", path).stdout == examples()[number]


def test_examples_show_every_kind():
    shown = {doc["kind"] for block in examples() for doc in yaml.safe_load_all(block)}
    kinds = set(rf.run("completion", "fish").stdout.split("is schema' -a '")[1].split("'")[0].split())
    assert shown == kinds
    schema_page = PAGES["ringfence-schema"]
    assert all(kind in schema_page for kind in kinds)


def test_every_field_of_the_language_is_in_the_specification():
    def fields(schema):
        for name, value in schema.get("properties", {}).items():
            yield name
            yield from fields(value)
        for key in ("items", "then"):
            if key in schema:
                yield from fields(schema[key])

    whole = json.loads(rf.run("schema").stdout)
    for kind, schema in whole["$defs"].items():
        for name in set(fields(schema["properties"]["spec"])) - {"key", "operator", "values"}:
            assert re.search(rf"\b{name}\b", POLICY), f"{kind}: {name}"


def test_the_walk_of_the_specification_is_that_of_the_evaluator(tmp_path):
    """Its two examples of laws, asked."""
    blocks = examples()
    laws = next(b for b in blocks if "closed-unless-opened" in b)
    world = "---\n".join(
        f"apiVersion: ringfence.dev/v1alpha1\nkind: Workload\n"
        f"metadata: {{ name: {name}, namespace: {ns} }}\nspec: {{ ips: [10.0.0.{i}] }}\n"
        for i, (name, ns) in enumerate([("a", "/acme/x"), ("b", "/acme/y"), ("c", "/other")], 1)
    )
    (tmp_path / "p.yaml").write_text(laws + "---\n" + world)
    asked = {("/acme/x/a", "/acme/y/b"): 0, ("/other/c", "/acme/y/b"): 1, ("/acme/x/a", "/other/c"): 1}
    for (src, dst), expected in asked.items():
        assert rf.run("can", tmp_path, "--", src, dst, "80/tcp").returncode == expected


LIMITS = [
    ("LIMIT_FILE_BYTES", "256 MiB\none file"),
    ("LIMIT_BUNDLE_BYTES", "1 GiB and"),
    ("LIMIT_BUNDLE_FILES", "100,000 files"),
    ("LIMIT_DOC_DEPTH", "64\nnesting"),
    ("LIMIT_DOC_ALIAS_NODES", "100,000\nnodes that the aliases"),
    ("LIMIT_PATH_DEPTH", "16\nlevels"),
    ("LIMIT_PATH_BYTES", "1024\nbytes of a path"),
    ("LIMIT_NAME_BYTES", "253\nbytes of a name"),
    ("LIMIT_DIAGS", "1000\ndiagnostics"),
    ("LIMIT_DNS_CHAIN", "16 one after another"),
    ("LIMIT_DNS_TTL_FLOOR_S", "60 seconds at least"),
    ("LIMIT_DNS_TTL_CAP_S", "86,400 at most"),
    ("LIMIT_DNS_LEARNT", "8,192 names of addresses"),
]


@pytest.mark.parametrize(("name", "text"), LIMITS)
def test_limits_are_those_of_the_code(name, text):
    source = (rf.ROOT / "common" / "limits.h").read_text()
    expression = re.search(rf"^#define {name}\s+\(?([0-9u* ]+)\)?", source, re.MULTILINE)[1]
    value = 1
    for factor in expression.replace("u", "").split("*"):
        value *= int(factor)
    amount, unit = re.match(r"([\d,]+) ?(MiB|GiB)?", text).groups()
    expected = int(amount.replace(",", "")) * {None: 1, "MiB": 2**20, "GiB": 2**30}[unit]
    assert value == expected
    assert text in POLICY

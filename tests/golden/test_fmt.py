"""`ringfence fmt`: canonical form keeps what a file says, and its comments.

Every YAML file here and in the corpus is formatted: the result reads the same (by
PyYAML, which is not the reader that the tool checks itself with), formatting it again
changes nothing, and its comments are all there. Random documents know where each of
their comments belongs, and find it there again (the seed is printed).
"""

import os
import pathlib
import random
import re
import stat
import sys

import pytest
import yaml

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
import rf  # noqa: E402

HERE = pathlib.Path(__file__).resolve().parent
CORPUS = os.environ.get("RINGFENCE_CORPUS")
CASES = int(os.environ.get("RINGFENCE_FMT_CASES", "150"))


class Loader(yaml.SafeLoader):
    """Scalars stay texts with their style's meaning: plain or not."""


def scalar(loader, node):
    return (node.tag if node.style is None else "str", loader.construct_scalar(node))


def constructor(loader, _suffix, node):
    if isinstance(node, yaml.ScalarNode):
        return scalar(loader, node)
    if isinstance(node, yaml.SequenceNode):
        return [constructor(loader, "", item) for item in node.value]
    return {constructor(loader, "", key): constructor(loader, "", value) for key, value in node.value}


Loader.yaml_constructors = {}
Loader.add_multi_constructor("", constructor)


def meaning(text):
    """What a text says: scalars by tag and value, maps without order, no empty documents."""
    docs = [constructor(Loader(""), "", node) for node in yaml.compose_all(text, Loader) if node]
    return [d for d in docs if d != ("tag:yaml.org,2002:null", "")]


def fmt(text):
    return rf.run("fmt", "-", stdin=text)


def formatted(text):
    done = fmt(text)
    assert done.returncode == 0, done.stderr
    return done.stdout


def comments(text):
    """Comments as PyYAML's scanner sees them: what lies between its tokens."""
    found, at = [], 0
    for token in yaml.scan(text):
        gap = text[at : token.start_mark.index]
        found += re.findall(r"#[^\n]*", gap)
        at = token.end_mark.index
        if getattr(token, "style", None) in ("|", ">"):
            found += re.findall(r"^[|>][-+0-9]*[ \t]+(#[^\n]*)", text[token.start_mark.index : at])
    return sorted(c.rstrip() for c in found)


def yaml_files():
    """Each text once, however many files hold it."""
    roots = [rf.ROOT / "samples", rf.ROOT / "tests"]
    if CORPUS:
        roots.append(pathlib.Path(CORPUS))
    paths = [p for root in roots for p in sorted(root.rglob("*.y*ml")) if p.is_file()]
    texts = {p.read_bytes(): p for p in paths if "build" not in p.parts}
    return list(texts.values())


def test_every_file_keeps_its_meaning_and_comments_and_is_stable():
    done = {"formatted": 0, "refused": 0}
    # Sanitizers take ten times as long, and see the same code in most.
    for path in yaml_files()[:: 4 if rf.sanitized() else 1]:
        raw = path.read_bytes()
        try:
            text = raw.decode("utf-8-sig")
        except UnicodeDecodeError:
            continue
        first = rf.run("fmt", path)
        if first.returncode == 2:
            assert ": error: " in first.stderr, path
            done["refused"] += 1
            continue
        assert first.returncode == 0
        done["formatted"] += 1
        once = first.stdout
        if once == text:
            continue  # it is what it was, and so it would stay
        assert formatted(once) == once, path
        if rf.sanitized():
            continue  # what follows takes PyYAML a minute, and tells no more than without
        try:
            before = meaning(text)
        except yaml.YAMLError:
            continue  # libyaml and PyYAML differ on a few of the fuzzers' seeds
        assert meaning(once) == before, path
        assert comments(once) == comments(text), path
    assert done["formatted"] > (20 if rf.sanitized() else 80)
    assert done["formatted"] > done["refused"]


def test_samples_are_in_canonical_form():
    done = rf.run("fmt", "--check", *rf.sample_directories(),
                  rf.ROOT / "samples" / "kubernetes")
    assert (done.returncode, done.stdout) == (0, ""), done.stdout + done.stderr


# ---- random documents that know where their comments belong ----


class Writer:
    """Writes a random document; every key, value and comment has a number."""

    def __init__(self, rnd):
        self.rnd = rnd
        self.lines = []
        self.count = 0
        self.owners = {}  # comment -> ("head" | "line" | "foot", what must stand there)

    def number(self):
        self.count += 1
        return self.count

    def comment(self, kind, owner):
        name = f"c{self.number()}e"
        self.owners[name] = (kind, owner)
        return f"# {name}"

    def heads(self, indent, owner, chance=0.25):
        while self.rnd.random() < chance:
            if self.rnd.random() < 0.3:
                self.lines.append("")
            self.lines.append(" " * indent + self.comment("head", owner))
        if self.rnd.random() < 0.1:
            self.lines.append("")

    def line(self, owner):
        return "  " + self.comment("line", owner) if self.rnd.random() < 0.25 else ""

    def scalar(self):
        name = f"v{self.number()}e"
        text = self.rnd.choice(
            [name, f'"{name}"', f"'{name}'", f'"{name} \\" x"', f"'{name}: ''y'", f"{name}#x", f"-{name}"]
        )
        return name, text

    def flow(self, depth):
        if depth == 0 or self.rnd.random() < 0.4:
            return self.scalar()[1]
        items = [self.flow(depth - 1) for _ in range(self.rnd.randrange(4))]
        gap = self.rnd.choice(["", " ", "  "])
        if self.rnd.random() < 0.5:
            return "[" + gap + f",{gap or ' '}".join(items) + gap + "]"
        return "{" + gap + f",{gap or ' '}".join(f"k{self.number()}e: {i}" for i in items) + gap + "}"

    def block_text(self, indent, lead):
        owner = re.search(r"k\d+e", lead)[0]
        style = self.rnd.choice("|>") + self.rnd.choice(["", "-", "+"])
        self.lines.append(lead + " " + style + self.line(owner))
        for i in range(self.rnd.randrange(1, 4)):
            more = " " * self.rnd.randrange(3) if i else ""
            self.lines.append(" " * indent + more + f"text {self.number()} # not a comment")
            if self.rnd.random() < 0.2:
                self.lines.append("")

    def flow_lines(self, indent, lead):
        """A list in brackets over several lines, with comments inside."""
        self.lines.append(lead + " [")
        for _ in range(self.rnd.randrange(1, 4)):
            name, text = self.scalar()
            self.heads(indent, name)
            self.lines.append(" " * indent + text + "," + self.line(name))
        self.lines.append(" " * indent + "]")

    def value(self, indent, lead, depth, owner):
        """The value behind `lead`, which is "key:" with its indentation."""
        choice = self.rnd.randrange(7)
        step = self.rnd.choice([2, 3, 4])
        if choice == 0 and depth:
            self.lines.append(lead + self.line(owner))
            self.mapping(indent + step, depth - 1)
        elif choice == 1 and depth:
            self.lines.append(lead + self.line(owner))
            self.sequence(indent + self.rnd.choice([0, step]), depth - 1)
        elif choice == 2:
            self.block_text(indent + step, lead)
        elif choice == 3:
            self.flow_lines(indent + step, lead)
        elif choice == 4:
            self.lines.append(lead + " " + self.flow(3) + self.line(owner))
        elif choice == 5:
            self.lines.append(lead + self.line(owner))
        else:
            self.lines.append(lead + " " + self.scalar()[1] + self.line(owner))

    def mapping(self, indent, depth, first=""):
        last = None
        for i in range(self.rnd.randrange(1, 4)):
            key = f"k{self.number()}e"
            if i or not first:
                self.heads(indent, key)
            lead = first if i == 0 and first else " " * indent
            self.value(indent, f"{lead}{key}:", depth, key)
            last = key
        return last

    def sequence(self, indent, depth):
        for _ in range(self.rnd.randrange(1, 4)):
            mark = self.number()
            if self.rnd.random() < 0.5:
                at = len(self.lines)
                key = f"k{self.count + 1}e"
                self.mapping(indent + 2, depth, " " * indent + "- ")
                extra = Writer(self.rnd)
                extra.count = 10000 + mark * 100
                extra.heads(indent, key)
                self.owners.update(extra.owners)
                self.lines[at:at] = extra.lines
            else:
                name, text = self.scalar()
                self.heads(indent, name)
                self.lines.append(" " * indent + "- " + text + self.line(name))

    def document(self):
        if self.rnd.random() < 0.8:
            self.mapping(0, 4)
        else:
            self.sequence(0, 4)
        if self.rnd.random() < 0.3:
            self.lines.append(self.comment("foot", None))
        return "\n".join(self.lines) + "\n"


def bare(line):
    return line.split("#")[0] if line.lstrip().startswith("#") else line


def check_owner(lines, comment, kind, owner):
    (at,) = [i for i, line in enumerate(lines) if re.search(rf"# {comment}\b", line)]
    own_line = lines[at].lstrip().startswith("#")
    if kind == "line" and not own_line:
        assert owner in lines[at].split("# c")[0], f"{comment} is not beside {owner}"
        return
    if kind == "foot":
        return
    rest = [line for line in lines[at + 1 :] if line.strip() and not line.lstrip().startswith("#")]
    assert rest and owner in rest[0], f"{comment} is not above {owner}"
    indent = len(lines[at]) - len(lines[at].lstrip())
    assert indent == len(rest[0]) - len(rest[0].lstrip())


def test_random_documents_keep_every_comment_at_its_node():
    seed = int(os.environ.get("RINGFENCE_SEED", random.SystemRandom().randrange(2**32)))
    print(f"RINGFENCE_SEED={seed}")
    rnd = random.Random(seed)
    for _ in range(CASES):
        writer = Writer(rnd)
        text = writer.document()
        done = fmt(text)
        assert done.returncode == 0, f"{done.stderr}\n{text}"
        once = done.stdout
        assert meaning(once) == meaning(text), text
        assert fmt(once).stdout == once, text
        lines = once.split("\n")
        for comment, (kind, owner) in writer.owners.items():
            try:
                check_owner(lines, comment, kind, owner)
            except (AssertionError, ValueError) as e:
                raise AssertionError(f"{e}\n--- in\n{text}\n--- out\n{once}") from e


# ---- cases ----

CANONICAL = [
    # order of keys
    (
        "kind: Policy\nspec: {allow: {egress: [], ingress: []}, workloads: {}}\n"
        "metadata: {namespace: /a, name: x}\napiVersion: ringfence.dev/v1alpha1\n",
        "apiVersion: ringfence.dev/v1alpha1\nkind: Policy\nmetadata: { name: x, namespace: /a }\n"
        "spec: { workloads: {}, allow: { ingress: [], egress: [] } }\n",
    ),
    # other objects: the four first; what is no object stays as it is
    (
        "data: {b: 1, a: 2}\nkind: ConfigMap\nmetadata: {name: x}\napiVersion: v1\n",
        "apiVersion: v1\nkind: ConfigMap\nmetadata: { name: x }\ndata: { b: 1, a: 2 }\n",
    ),
    ("zebra: 1\napple: 2\n", "zebra: 1\napple: 2\n"),
    # indentation, lists under their key, quotes
    ("a:\n- 'x'\n-   b:  1\n    c: \"2\"\n", 'a:\n  - "x"\n  - b: 1\n    c: "2"\n'),
    ("a: 'it''s'\nb: 'say \"x\"'\n", "a: \"it's\"\nb: 'say \"x\"'\n"),
    # meaning of quotes stays
    ('a: "64"\nb: 64\nc: "yes"\nd: yes\n', 'a: "64"\nb: 64\nc: "yes"\nd: yes\n'),
    # what does not fit its line leaves the brackets
    (
        "a: [" + ", ".join(["abcdefghij"] * 12) + "]\n",
        "a:\n" + "  - abcdefghij\n" * 12,
    ),
    # empty lines: one at most, none in front
    ("\n\na: 1\n\n\n\nb:\n\n  c: 2\n", "a: 1\n\nb:\n  c: 2\n"),
    ("# about\n\na: 1\n", "# about\n\na: 1\n"),
    # documents
    ("---\na: 1\n---\n---\n# alone\n---\nb: 2\n...\n", "a: 1\n---\n# alone\n---\nb: 2\n"),
    ("# first\n---\na: 1\n# last\n", "# first\na: 1\n# last\n"),
    # block texts
    ("a: |2\n   x\n  y\nb: >-\n     f\n     g\n", "a: |2\n   x\n  y\nb: >-\n  f\n  g\n"),
    ("a: |+\n    x\n\n\nb: 1\n", "a: |+\n  x\n\n\nb: 1\n"),
    # anchors are kept, and such documents are not reordered
    (
        "kind: X\napiVersion: v1\nmetadata: &m {name: a}\nother: *m\n",
        "kind: X\napiVersion: v1\nmetadata: &m { name: a }\nother: *m\n",
    ),
    # line ends and byte order marks
    ("\ufeffa: 1\r\nb: 2\r\n", "a: 1\nb: 2\n"),
    ("", ""),
    ("# only\n", "# only\n"),
]


@pytest.mark.parametrize(("text", "expected"), CANONICAL)
def test_canonical_form(text, expected):
    assert formatted(text) == expected
    assert formatted(expected) == expected


REFUSED = [
    ("? a\n: b\n", "a key written with"),
    ("%YAML 1.1\n---\na: 1\n", "a directive"),
    ("--- !!map\n# c\na: 1\n", "an anchor or tag of the whole document"),
    ("a: 1\na: 2\n", "duplicate-key"),
    ("a: [\n", "yaml-syntax"),
    ("a: x\u2028b: 1\n", "this line end"),
]


@pytest.mark.parametrize(("text", "reason"), REFUSED)
def test_what_cannot_be_kept_is_refused(text, reason):
    done = fmt(text)
    assert done.returncode == 2
    assert done.stdout == ""
    assert re.search(r"^-:\d+:\d+: error: ", done.stderr)
    assert reason in done.stderr


UGLY = "kind: X\napiVersion:   v1\n"
PRETTY = "apiVersion: v1\nkind: X\n"


def test_check_names_what_would_change(tmp_path):
    (tmp_path / "ugly.yaml").write_text(UGLY)
    (tmp_path / "pretty.yaml").write_text(PRETTY)
    done = rf.run("fmt", "--check", tmp_path)
    assert (done.returncode, done.stdout) == (1, f"{tmp_path}/ugly.yaml\n")
    assert (tmp_path / "ugly.yaml").read_text() == UGLY
    assert rf.run("fmt", "--check", tmp_path / "pretty.yaml").returncode == 0


def test_write_keeps_the_mode_and_symbolic_links_and_leaves_the_broken_alone(tmp_path):
    real = tmp_path / "elsewhere" / "real.yaml"
    real.parent.mkdir()
    real.write_text(UGLY)
    real.chmod(0o640)
    there = tmp_path / "there"
    there.mkdir()
    (there / "a-link.yaml").symlink_to(real)
    (there / "broken.yaml").write_text("a: [\n")
    (there / "data.json").write_text('{"b":1,"apiVersion":"v1"}')
    (there / "good.yaml").write_text(PRETTY)
    inode = (there / "good.yaml").stat().st_ino
    done = rf.run("fmt", "--write", there)
    assert done.returncode == 2
    assert done.stdout == f"{there}/a-link.yaml\n"
    assert real.read_text() == PRETTY
    assert (there / "a-link.yaml").is_symlink()
    assert stat.S_IMODE(real.stat().st_mode) == 0o640
    assert (there / "broken.yaml").read_text() == "a: [\n"
    assert (there / "data.json").read_text() == '{"b":1,"apiVersion":"v1"}'
    assert (there / "good.yaml").stat().st_ino == inode
    assert sorted(p.name for p in real.parent.iterdir()) == ["real.yaml"]
    assert rf.run("fmt", "--write", real).stdout == ""


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--check", "--write", "x"], "exclude each other"),
        (["--write", "-"], "standard input cannot be written"),
        (["one.json"], "JSON is not formatted here"),
        (["one.yaml", "two.yaml"], "say --check or --write"),
    ],
)
def test_mistakes_of_use(tmp_path, arguments, message):
    for name in ("one.yaml", "two.yaml", "one.json", "x"):
        (tmp_path / name).write_text("{}")
    done = rf.run("fmt", *arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert message in done.stderr

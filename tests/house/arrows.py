#!/usr/bin/python3
"""The dependency arrows: policy-lang -> common; enforcer, authn -> policy-lang, common.

Checks the includes of every source file and what each room may link. Prints each
broken arrow with file and line; exits 1 if there is any.
"""
import pathlib
import re
import sys

MAY_INCLUDE = {
    "common": {"common"},
    "policy-lang": {"common", "policy-lang"},
    "enforcer": {"common", "policy-lang", "enforcer"},
    "authn": {"common", "policy-lang", "authn"},
}
# Folders of the language, each of which may include those before it.
LAYERS = ("model", "load", "evaluate", "table", "compile", "lint", "live", "connectivity",
          "explain", "diff", "flows", "format")
# Headers of libraries that only one room may use.
ONLY_IN = {
    r"libnftnl/|libmnl/|linux/netfilter": {"enforcer"},
    r"nghttp2/|ldap\.h|lber\.h|sqlite3\.h|llhttp\.h|openssl/ssl": {"authn"},
    r"yaml\.h": {"common"},
    r"roaring/": {"policy-lang"},
}
# What would make the language impure: sockets, clocks, the environment.
IMPURE = re.compile(
    r"\b(socket|clock_gettime|time|getenv|secure_getenv|gettimeofday|walltime_now|"
    r"monotime_now|secret_random|getrandom)\s*\(")
LINKS = {"common": r"nftnl|mnl|LDAP|NGHTTP2|SQLITE|::SSL|rf-(policy|enforcer|authn)",
         "policy-lang": r"NFTNL|MNL|LDAP|NGHTTP2|SQLITE|::SSL|UV|rf-(enforcer|authn)",
         "enforcer": r"LDAP|NGHTTP2|SQLITE|::SSL|rf-authn",
         "authn": r"NFTNL|MNL|rf-enforcer"}


def without_comments(text):
    blank = lambda match: re.sub(r"[^\n]", " ", match.group(0))
    return re.sub(r'/\*.*?\*/|"(?:\\.|[^"\\\n])*"', lambda m: blank(m)
                  if m.group(0).startswith("/*") else m.group(0), text, flags=re.S)


def above(folder, target):
    """Whether a header of the language belongs to a layer above the folder, or to a tool."""
    layer = target.split("/")[1]
    if folder not in LAYERS:
        return False
    return layer not in LAYERS[:LAYERS.index(folder) + 1]


def check_file(root, path, room, problems):
    name = path.relative_to(root)
    for number, line in enumerate(without_comments(path.read_text()).splitlines(), 1):
        include = re.match(r'\s*#\s*include\s+([<"])([^>"]+)[>"]', line)
        if include:
            kind, target = include.groups()
            head = target.split("/")[0]
            if kind == '"' and head not in MAY_INCLUDE[room]:
                problems.append(f"{name}:{number}: {room} must not include {target}")
            if room == "policy-lang" and head == room and above(path.parent.name, target):
                problems.append(f"{name}:{number}: {path.parent.name} must not include {target}")
            for pattern, rooms in ONLY_IN.items():
                if re.match(pattern, target) and room not in rooms:
                    problems.append(f"{name}:{number}: <{target}> belongs to {', '.join(rooms)}")
        elif room == "policy-lang" and IMPURE.search(re.sub(r'"[^"]*"', "", line)):
            if path.parent.name != "cli":
                problems.append(f"{name}:{number}: the language is pure: {line.strip()}")


def main():
    root = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else __file__).resolve()
    root = root if root.is_dir() else root.parents[2]
    problems = []
    seen = 0
    for room in MAY_INCLUDE:
        for path in sorted((root / room).rglob("*.[ch]")):
            seen += 1
            check_file(root, path, room, problems)
        cmake = (root / room / "CMakeLists.txt").read_text()
        for match in re.finditer(LINKS[room], re.sub(r"#.*", "", cmake)):
            problems.append(f"{room}/CMakeLists.txt: {room} must not link {match.group(0)}")
    for problem in problems:
        print(problem)
    if seen == 0:
        print("no source files found")
    return 1 if problems or seen == 0 else 0


if __name__ == "__main__":
    sys.exit(main())

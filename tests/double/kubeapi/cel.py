"""The Common Expression Language, as much of it as definitions and policies of admission here need.

    program = Program("has(self.a) && self.a.matches('^x')", {"self"})
    program.evaluate({"self": {"a": "xy"}})        # True, or Failed

Written from the language's definition: the grammar of expressions but macros over lists (`all`, `map`,
...) and bytes; operators take values of the same type only; `||` and `&&` have an answer where
either side alone gives it, whatever the other fails with. Of Kubernetes' own functions those about
addresses, and `split`. Names and functions that are not known fail before anything is evaluated,
as in an API server that is given the rule. Programs know what they cost: see `cost`.
"""

import ipaddress
import math
import re

TOKEN = re.compile(r"""
    (?P<space>\s+|//[^\n]*)
  | (?P<number>\d+\.\d+(?:[eE][-+]?\d+)?|0[xX][0-9a-fA-F]+|\d+)
  | (?P<text>r?(?:'''.*?'''|\"\"\".*?\"\"\"|'(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*"))
  | (?P<name>[A-Za-z_]\w*)
  | (?P<sign>\|\||&&|[<>=!]=|[-+*/%<>!?:.,()\[\]{}])
""", re.VERBOSE | re.DOTALL)  # fmt: skip
ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "\\": "\\", "'": "'", '"': '"', "?": "?", "`": "`"}
LEVELS = [["||"], ["&&"], ["<", "<=", ">", ">=", "==", "!=", "in"], ["+", "-"], ["*", "/", "%"]]
RESERVED = {"true": True, "false": False, "null": None}


class Malformed(Exception):
    """It is no expression, or names what there is not."""


class Failed(Exception):
    """It has no value."""


# ---- reading: ("kind", ...) tuples


def tokens(text):
    found, at = [], 0
    while at < len(text):
        token = TOKEN.match(text, at)
        if not token:
            raise Malformed(f"at {at}: {text[at:at + 10]!r}")
        if token.lastgroup != "space":
            found.append((token.lastgroup, token[0]))
        at = token.end()
    return [*found, ("end", "")]


def unquoted(text):
    raw = text.startswith("r")
    text = text[1:] if raw else text
    edge = 3 if text[:3] in ("'''", '"""') else 1
    inner = text[edge:-edge]
    if raw:
        return inner

    def escape(found):
        if found[1] not in ESCAPES:
            raise Malformed(f"escape \\{found[1]}")
        return ESCAPES[found[1]]

    return re.sub(r"\\(.)", escape, inner, flags=re.DOTALL)


class Reader:
    def __init__(self, text):
        self.tokens, self.at = tokens(text), 0

    def next(self, *signs):
        """Takes it if it is one of these; "" if not."""
        kind, text = self.tokens[self.at]
        if kind in ("sign", "name") and text in signs:
            self.at += 1
            return text
        return ""

    def expect(self, sign):
        if not self.next(sign):
            raise Malformed(f"{sign!r} expected, not {self.tokens[self.at][1]!r}")

    def whole(self):
        node = self.expression()
        if self.tokens[self.at][0] != "end":
            raise Malformed(f"what is {self.tokens[self.at][1]!r}?")
        return node

    def expression(self):
        condition = self.level(0)
        if not self.next("?"):
            return condition
        first = self.level(0)
        self.expect(":")
        return "if", condition, first, self.expression()

    def level(self, n):
        if n == len(LEVELS):
            return self.unary()
        node = self.level(n + 1)
        while sign := self.next(*LEVELS[n]):
            node = "call", sign, [node, self.level(n + 1)]
        return node

    def unary(self):
        sign = self.next("!", "-")
        return ("call", sign + "_", [self.unary()]) if sign else self.member()

    def member(self):
        node = self.primary()
        while sign := self.next(".", "["):
            if sign == "[":
                node = "call", "[]", [node, self.expression()]
                self.expect("]")
                continue
            name = self.name()
            node = ("call", "." + name, [node, *self.items(")")]) if self.next("(") else ("field", node, name)
        return node

    def name(self):
        kind, text = self.tokens[self.at]
        if kind != "name":
            raise Malformed(f"a name expected, not {text!r}")
        self.at += 1
        return text

    def items(self, end):
        found = []
        while not self.next(end):
            if found:
                self.expect(",")
            found.append(self.expression())
        return found

    def primary(self):
        if self.next("("):
            node = self.expression()
            self.expect(")")
            return node
        if self.next("["):
            return "list", self.items("]")
        kind, text = self.tokens[self.at]
        self.at += 1
        if kind == "text":
            return "value", unquoted(text)
        if kind == "number":
            return "value", float(text) if "." in text else int(text, 0)
        if kind != "name":
            raise Malformed(f"what is {text!r}?")
        if text in RESERVED:
            return "value", RESERVED[text]
        if not self.next("("):
            return "name", text
        arguments = self.items(")")
        if text != "has":
            return "call", text, arguments
        if len(arguments) != 1 or arguments[0][0] != "field":
            raise Malformed("has() takes a field")
        return "has", arguments[0][1], arguments[0][2]


# ---- functions: name -> (types, function); `object` takes any


def is_ip(text):
    """No zone, no IPv4 within IPv6."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    return "%" not in text and getattr(address, "ipv4_mapped", None) is None


def is_cidr(text):
    address, slash, length = text.partition("/")
    if not slash or not re.fullmatch("0|[1-9][0-9]*", length) or not is_ip(address):
        return False
    return int(length) <= ipaddress.ip_address(address).max_prefixlen


def to_int(text):
    if not re.fullmatch(r"[-+]?\d+", text, re.ASCII) or not -(2**63) <= int(text) < 2**63:
        raise Failed(f"int({text!r})")
    return int(text)


def in_int64(value):
    if not -(2**63) <= value < 2**63:
        raise Failed("overflow")
    return value


def item_of(where, key):
    if isinstance(where, list):
        if type(key) is not int or not 0 <= key < len(where):
            raise Failed(f"no item {key!r}")
        return where[key]
    if key not in where:
        raise Failed(f"no key {key!r}")
    return where[key]


def same(a, b):
    """Equal, and of one type; so is all that is in them."""
    if type(a) is not type(b):
        return False
    if isinstance(a, list):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    return a == b


def matches(text, pattern):
    """RE2's syntax is Python's in what rules here use, but for `$`: that is the very end."""
    pattern = re.sub(
        r"\\.|\[\^?\]?(?:\\.|[^]\\])*\]|\$",
        lambda found: r"\Z" if found[0] == "$" else found[0],
        pattern,
        flags=re.DOTALL,
    )
    return re.search(pattern, text, re.ASCII) is not None


NUMBERS = [(int, int), (float, float)]
ORDERED = [*NUMBERS, (str, str)]
FUNCTIONS = {
    "!_": ([(bool,)], lambda a: not a),
    "-_": ([(int,), (float,)], lambda a: in_int64(-a) if isinstance(a, int) else -a),
    "<": (ORDERED, lambda a, b: a < b),
    "<=": (ORDERED, lambda a, b: a <= b),
    ">": (ORDERED, lambda a, b: a > b),
    ">=": (ORDERED, lambda a, b: a >= b),
    "+": ([*ORDERED, (list, list)], lambda a, b: in_int64(a + b) if isinstance(a, int) else a + b),
    "-": (NUMBERS, lambda a, b: in_int64(a - b) if isinstance(a, int) else a - b),
    "==": ([(object, object)], same),
    "!=": ([(object, object)], lambda a, b: not same(a, b)),
    "in": ([(object, list), (str, dict)], lambda a, b: any(same(a, each) for each in b)),
    "[]": ([(list, int), (dict, str)], item_of),
    "size": ([(str,), (list,), (dict,)], len),
    "int": ([(int,), (str,)], lambda a: to_int(a) if isinstance(a, str) else a),
    "string": ([(str,), (int,)], str),
    "isIP": ([(str,)], is_ip),
    "isCIDR": ([(str,)], is_cidr),
    ".size": ([(str,), (list,), (dict,)], len),
    ".matches": ([(str, str)], matches),
    ".startsWith": ([(str, str)], str.startswith),
    ".endsWith": ([(str, str)], str.endswith),
    ".contains": ([(str, str)], lambda a, b: b in a),
    ".split": ([(str, str)], str.split),
}
READS_TEXT = {"isIP", "isCIDR", ".matches", ".startsWith", ".endsWith", ".contains", ".split", "int", "==",
              "!=", "<", "<=", ">", ">=", "+", "in", "string"}  # fmt: skip


class Program:
    def __init__(self, text, names):
        self.tree = Reader(text).whole()
        self._check(self.tree, set(names))

    def _check(self, node, names):
        kind = node[0]
        if kind == "name" and node[1] not in names:
            raise Malformed(f"there is no {node[1]}")
        if kind == "call" and node[1] not in ("||", "&&"):
            signatures = FUNCTIONS.get(node[1], ([], None))[0]
            if not any(len(types) == len(node[2]) for types in signatures):
                raise Malformed(f"there is no {node[1]} of {len(node[2])}")
        for child in _children(node):
            self._check(child, names)

    def evaluate(self, names):
        """Its value; Failed if it has none."""
        return _value(self.tree, names)

    def cost(self, most):
        """What one evaluation costs at most, in the units of API servers: one for each operation, a
        tenth for each byte of a text that it reads, and patterns by their length. `most` bytes is
        the longest text that there is."""
        return _cost(self.tree, most)


def _children(node):
    kind = node[0]
    if kind in ("call", "list"):
        return node[-1]
    return [child for child in node[1:] if isinstance(child, tuple)]


def _value(node, names):
    kind = node[0]
    if kind == "value":
        return node[1]
    if kind == "name":
        return names[node[1]]
    if kind == "list":
        return [_value(item, names) for item in node[1]]
    if kind == "if":
        return _value(node[2] if _boolean(node[1], names) else node[3], names)
    if kind in ("has", "field"):
        where = _value(node[1], names)
        if not isinstance(where, dict):
            raise Failed(f"nothing has a field {node[2]}")
        return node[2] in where if kind == "has" else item_of(where, node[2])
    if node[1] in ("||", "&&"):
        return _either(node[2], names, node[1] == "||")
    arguments = [_value(item, names) for item in node[2]]
    signatures, function = FUNCTIONS[node[1]]
    for types in signatures:
        if len(types) == len(arguments) and all(
            t is object or type(a) is t for t, a in zip(types, arguments)
        ):
            return function(*arguments)
    raise Failed(f"no {node[1]} of {arguments!r}")


def _boolean(node, names):
    value = _value(node, names)
    if not isinstance(value, bool):
        raise Failed(f"{value!r} is no boolean")
    return value


def _either(sides, names, wanted):
    failed = None
    for side in sides:
        try:
            if _boolean(side, names) == wanted:
                return wanted
        except Failed as e:
            failed = e
    if failed:
        raise failed
    return not wanted


def _cost(node, most):
    total = 1 + sum(_cost(child, most) for child in _children(node))
    if node[0] != "call" or node[1] not in READS_TEXT:
        return total
    walk = math.ceil(most / 10)
    if node[1] == ".matches":
        kind, pattern = node[2][1]
        assert kind == "value", "a pattern is written out"
        return total + walk * math.ceil(len(pattern) / 4)
    return total + walk

"""The interpreter of CEL, held against the language's definition; what it answers here an implementation
of others answered too, but for the rows about `$` and about what lists hold."""

import pytest

from kubeapi import cel

SELF = {"m": {"k": ["v"]}, "s": "80-81/tcp", "b": True, "n": None}

VALUES = {
    "1+2-4": -1, "5-3-1": 1, "-(-5)": 5, "0x1f": 31, "1.5+1.5": 3.0, "'a'+'b'": "ab", "[1]+[2]": [1, 2],
    "true ? 1 : false ? 2 : 3": 1, "1 == 1 == true": True, "(1 < 2) ? 'y' : 'n'": "y", "!self.b": False,
    "'k' in self.m": True, "2 in [1, 3]": False, "self.m['k'][0]": "v", "[1,2,3][1]": 2, "size(self.m)": 1,
    # A type is no other's equal, and not ordered beside it.
    "1 == '1'": False, "1 != 1.0": True, "null == self.n": True, "true == 1": False,
    "1 in [true]": False, "[1] == [true]": False, "[[1]] != [[true]]": True, "[self.m] == [self.m]": True,
    # Either side of these may fail, where the other alone decides.
    "false && self.nope": False, "self.nope && false": False, "self.nope || true": True, "self.b || 1": True,
    # What is not asked for is not evaluated.
    "self.b ? 1 : self.nope": 1,
    "has(self.m)": True, "has(self.q)": False, "has(self.m.k)": True,
    "'a\\n' == '''a\n'''": True, "r'\\n'": "\\n", "\"x'y\"": "x'y", "'''a'''": "a",
    "self.s.split('-')[1].split('/')[0]": "81", "self.s.matches('^[0-9]+-')": True, "self.s.matches('tc$')": False,
    "int('-5')": -5, "string(5)": "5", "'é'.size()": 1, "self.s.startsWith('80')": True,
    "'a$'.matches('[$]')": True, "'a$'.matches('a\\\\$')": True, "'a'.matches('a[^$]*$')": True,
    "'a\\n'.matches('a$')": False, "'a]$'.matches('[]$]$')": True, "'a$b'.matches('a$')": False,
    "isIP('::ffff:1.2.3.4')": False, "isIP('fe80::1%eth0')": False, "isCIDR('10.0.0.1/8')": True,
    "isCIDR('10.0.0.0/08')": False, "isIP('1.2.3.04')": False,
    "1 // a remark": 1,
}  # fmt: skip
FAIL = ["self.nope", "self.m['z']", "self.m['k'][1]", "self.m['k'][-1]", "self.s[0]", "int('x')", "1 < 'a'",
        "int('9223372036854775808')", "9223372036854775807 + 1", "!self.s", "1 ? 2 : 3", "true && 1",
        "false || self.nope", "self.s.size() + 'a'", "has(self.s.q)", "-self.s", "isIP(1)",
        "self.m[[1]]"]  # fmt: skip
MALFORMED = ["1 +", "a.b", "nope(1)", "isIP('a', 'b')", "has(self)", "self.", "'a", "1 2", "(1", "self.s.nope()",
             "true || nope", "true ? false ? 1 : 2 : 3", "'a\n'", "'\\q'", "@", ""]  # fmt: skip


@pytest.mark.parametrize("text", VALUES)
def test_value(text):
    value = cel.Program(text, {"self"}).evaluate({"self": SELF})
    assert (type(value), value) == (type(VALUES[text]), VALUES[text])


@pytest.mark.parametrize("text", FAIL)
def test_no_value(text):
    with pytest.raises(cel.Failed):
        cel.Program(text, {"self"}).evaluate({"self": SELF})


@pytest.mark.parametrize("text", MALFORMED)
def test_no_expression(text):
    with pytest.raises(cel.Malformed):
        cel.Program(text, {"self"})


def test_cost_grows_with_what_is_read():
    def cost(text, most):
        return cel.Program(text, {"self"}).cost(most)

    assert cost("1 == 1", 0) == 3
    assert cost("isIP(self)", 1000) == 2 + 100
    assert cost("self.matches('^[0-9]+$')", 1000) == 3 + 100 * 2

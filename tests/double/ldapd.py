"""A small LDAP server for what slapd does not do: Active Directory's way with ranges of
values, its matching rule for nested groups and its tokenGroups; and for every kind of lie.

Encodes and reads BER as RFC 4511 has it (definite lengths only). Runs in threads of the test's
own process:

    with Ldapd(entries, passwords) as server:   # entries: {dn: {attribute: [value, ...]}}
        server.url

Subclasses lie by overriding `on_bind`, `on_search` or `on_connect`.
"""

import socket
import threading

PAGED = b"1.2.840.113556.1.4.319"
IN_CHAIN = b"1.2.840.113556.1.4.1941"
START_TLS = b"1.3.6.1.4.1.1466.20037"
SUCCESS, SIZE_LIMIT, NO_SUCH_OBJECT, INVALID_CREDENTIALS = 0, 4, 32, 49


# ---- BER ----


def encode(tag, content):
    size = len(content)
    if size < 0x80:
        return bytes([tag, size]) + content
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(length)]) + length + content


def sequence(*parts, tag=0x30):
    return encode(tag, b"".join(parts))


def octets(value, tag=0x04):
    return encode(tag, value if isinstance(value, bytes) else value.encode())


def integer(value, tag=0x02):
    size = value.bit_length() // 8 + 1
    return encode(tag, value.to_bytes(size, "big", signed=True))


def decode(data):
    """[(tag, content), ...] of the elements in `data`."""
    out, at = [], 0
    while at < len(data):
        tag, size = data[at], data[at + 1]
        at += 2
        if size & 0x80:
            count = size & 0x7F
            size = int.from_bytes(data[at : at + count], "big")
            at += count
        if at + size > len(data):
            raise ValueError("an element longer than what holds it")
        out.append((tag, data[at : at + size]))
        at += size
    return out


def number(content):
    return int.from_bytes(content, "big", signed=True)


# ---- messages ----


def result(tag, code, text="", more=b""):
    return sequence(integer(code, 0x0A), octets(""), octets(text), more, tag=tag)


def message(message_id, operation, controls=()):
    parts = [integer(message_id), operation]
    if controls:
        parts.append(sequence(*controls, tag=0xA0))
    return sequence(*parts)


def entry(dn, attributes):
    """SearchResultEntry of [(name, [value, ...]), ...]."""
    pairs = [
        sequence(octets(name), sequence(*map(octets, values), tag=0x31))
        for name, values in attributes
    ]
    return sequence(octets(dn), sequence(*pairs), tag=0x64)


class Search:
    """A SearchRequest with its paging."""

    def __init__(self, content, controls):
        parts = decode(content)
        self.base = parts[0][1].decode()
        self.scope = number(parts[1][1])
        self.size_limit = number(parts[3][1])
        self.filter = parts[6]
        self.attributes = [v.decode() for _, v in decode(parts[7][1])]
        self.page_size, self.cookie = None, b""
        for oid, value in controls:
            if oid == PAGED:
                size, cookie = decode(decode(value)[0][1])
                self.page_size, self.cookie = number(size[1]), cookie[1]


def page_control(cookie):
    value = sequence(integer(0), octets(cookie))
    return sequence(octets(PAGED), octets(value))


def lower(value):
    text = value if isinstance(value, bytes) else value.encode()
    return text.lower()


class Ldapd:
    """An honest server with Active Directory's habits.

    `range_size`: values given at once (MaxValRange); `page_limit`: entries of a search
    without paging (MaxPageSize).
    """

    def __init__(self, entries=(), passwords=(), range_size=1500, page_limit=1000):
        self.entries = dict(entries)
        self.passwords = dict(passwords)
        self.range_size, self.page_limit = range_size, page_limit
        self.binds, self.searches = [], []
        self.connections = 0
        self.open = []

    def __enter__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.url = f"ldap://127.0.0.1:{self.port}"
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *exc):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for connection in self.open:
            connection.close()

    def _accept(self):
        while True:
            try:
                connection = self.listener.accept()[0]
            except OSError:
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.connections += 1
            self.open.append(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        try:
            with connection, connection.makefile("rb") as stream:
                self.on_connect(connection)
                while self._one(connection, stream):
                    pass
        except (OSError, ValueError, IndexError):
            pass

    def _one(self, connection, stream):
        head = stream.read(2)
        if len(head) < 2:
            return False
        size = head[1]
        if size & 0x80:
            size = int.from_bytes(stream.read(size & 0x7F), "big")
        parts = decode(stream.read(size))
        message_id, (tag, content) = number(parts[0][1]), parts[1]
        controls = []
        for _, control in decode(parts[2][1]) if len(parts) > 2 else ():
            fields = decode(control)
            controls.append((fields[0][1], fields[-1][1]))
        if tag == 0x42:  # UnbindRequest
            return False
        if tag == 0x60:
            fields = decode(content)
            self.on_bind(connection, message_id, fields[1][1].decode(), fields[2][1])
        elif tag == 0x63:
            search = Search(content, controls)
            self.searches.append(search)
            self.on_search(connection, message_id, search)
        elif tag == 0x77:
            self.on_extended(connection, message_id, decode(content)[0][1])
        return True

    # What an honest server does.

    def on_connect(self, connection):
        pass

    def on_bind(self, connection, message_id, dn, password):
        self.binds.append(dn)
        right = dn in self.passwords and self.passwords[dn].encode() == password
        code = SUCCESS if right or (not dn and not password) else INVALID_CREDENTIALS
        self.send(connection, message(message_id, result(0x61, code)))

    def on_extended(self, connection, message_id, oid):
        self.send(connection, message(message_id, result(0x78, 2, "not here")))

    def on_search(self, connection, message_id, search):
        found = self.matches(search)
        if found is None:
            self.done(connection, message_id, NO_SUCH_OBJECT)
            return
        start = int(search.cookie or b"0")
        limit = search.page_size or self.page_limit
        if search.size_limit:
            limit = min(limit, search.size_limit)
        for dn in found[start : start + limit]:
            self.send(
                connection, message(message_id, entry(dn, self.shown(dn, search)))
            )
        over = len(found) > start + limit
        if search.page_size:
            cookie = str(start + limit).encode() if over else b""
            self.done(connection, message_id, SUCCESS, [page_control(cookie)])
        else:
            self.done(connection, message_id, SIZE_LIMIT if over else SUCCESS)

    def send(self, connection, data):
        connection.sendall(data)

    def done(self, connection, message_id, code, controls=()):
        self.send(connection, message(message_id, result(0x65, code), controls))

    # Reading the data.

    def matches(self, search):
        base = search.base.lower()
        if search.scope == 0:
            dns = [dn for dn in self.entries if dn.lower() == base]
        else:
            dns = [dn for dn in self.entries if dn.lower().endswith(base)]
        if not dns:
            return None
        return [dn for dn in dns if self.holds(dn, *search.filter)]

    def values(self, dn, name):
        name = name if isinstance(name, str) else name.decode()
        for key, values in self.entries[dn].items():
            if key.lower() == name.lower():
                return values
        return []

    def holds(self, dn, tag, content):
        if tag == 0xA0:
            return all(self.holds(dn, *f) for f in decode(content))
        if tag == 0xA1:
            return any(self.holds(dn, *f) for f in decode(content))
        if tag == 0xA2:
            return not self.holds(dn, *decode(content)[0])
        if tag == 0x87:
            return content.lower() == b"objectclass" or bool(self.values(dn, content))
        fields = decode(content)
        if tag == 0xA3:
            values = self.values(dn, fields[0][1])
            return lower(fields[1][1]) in [lower(v) for v in values]
        if tag == 0xA9:
            parts = dict(fields)
            assert parts[0x81] == IN_CHAIN, "only that matching rule is known here"
            return lower(parts[0x83]) in self.members(dn, parts[0x82], set())
        raise ValueError(f"a filter of kind {tag:#x}")

    def members(self, dn, attribute, seen):
        """Everybody in a group, through groups."""
        for member in self.values(dn, attribute):
            if lower(member) in seen:
                continue
            seen.add(lower(member))
            for group in self.entries:
                if group.lower() == member.lower():
                    self.members(group, attribute, seen)
        return seen

    def groups_of(self, dn):
        return [
            group
            for group in self.entries
            if lower(dn) in self.members(group, b"member", set())
        ]

    def shown(self, dn, search):
        out = []
        for asked in search.attributes:
            name, _, option = asked.partition(";range=")
            if name.lower() == "tokengroups":
                values = [v for g in self.groups_of(dn) for v in self.values(g, "objectSid")]
                values = values if search.scope == 0 else []
            else:
                values = self.values(dn, name)
            if not values:
                continue
            low = int(option.split("-")[0]) if option else 0
            piece = values[low : low + self.range_size]
            if not option and len(values) <= self.range_size:
                out.append((name, values))
                continue
            last = low + len(piece) >= len(values)
            high = "*" if last else str(low + len(piece) - 1)
            out.append((name, []))  # as Active Directory does
            out.append((f"{name};range={low}-{high}", piece))
        return out

"""Tables that ours is measured beside, as nft(8) takes them: each lets the client's packets to
the server's port of any policy through, and nobody's else. A layout is told the two addresses
and the addresses of each policy's other peers.
"""

FIRST_PORT = 2000  # the policies' ports, one after the other

#: What any of them begins with.
HOOK = """\
  chain forward {
    type filter hook forward priority -10
    ct state established,related accept
"""
ESTABLISHED = f"table inet bench {{\n{HOOK}  }}\n}}\n"


def words(family):
    """The protocol and the type of an address."""
    return {4: ("ip", "ipv4_addr"), 6: ("ip6", "ipv6_addr")}[family]


def number(n):
    """A 32-bit number, as the type classid is written."""
    return f"{n >> 16:x}:{n & 0xffff:x}"


def elements(found):
    """A set's, if it has any."""
    return f"elements = {{ {', '.join(found)} }}" if found else ""


def set_per_policy(server, client, policies, family=4):
    """The layout of others: policies of a workload one after the other."""
    ip, key = words(family)
    lines = [f"table {ip} bench {{"]
    for i, addresses in enumerate(policies):
        lines += [f"set s{i} {{", f"type {key}", elements([*addresses, client]), "}",
                  f"chain p{i} {{", f"{ip} saddr @s{i} udp dport {FIRST_PORT + i} "
                  "meta mark set meta mark or 0x10000", "}"]
    lines.append("chain server {")
    for i in range(len(policies)):
        lines += [f"jump p{i}", "meta mark & 0x10000 == 0x10000 accept"]
    lines += ["drop", "}", "chain forward {", "type filter hook forward priority -10",
              "ct state established,related accept",
              "meta mark set meta mark & 0xfffeffff",
              f"{ip} daddr {server} goto server", "}", "}"]
    return "\n".join(lines) + "\n"


def classes(server, client, policies):
    """What peers and cells are of ours: elements of address to class, and of class, server's
    address, protocol and port to rule. A policy's other peers are a class, the client is one."""
    own = len(policies) + 1
    peers = [f"{address} : {number(i + 1)}" for i, addresses in enumerate(policies)
             for address in addresses] + [f"{client} : {number(own)}"]
    cells = [f"{number(who)} . {server} . udp . {FIRST_PORT + i} : {number(i + 1)}"
             for i in range(len(policies)) for who in (i + 1, own)]
    return peers, cells


def look_ups(server, client, policies, family=4):
    """What a layout of classes cannot go below: address to class, class and port to rule, rule
    to verdict, and nothing else. (nft(8) has no way to look up what was looked up but through
    a field of the packet.)"""
    ip, key = words(family)
    peers, cells = classes(server, client, policies)
    rules = [f"{number(i + 1)} : accept" for i in range(len(policies))]
    return f"""\
table inet bench {{
  map peers {{ type {key} : classid; {elements(peers)}; }}
  map cells {{ type classid . {key} . inet_proto . inet_service : classid; {elements(cells)}; }}
  map rules {{ type classid : verdict; {elements(rules)}; }}
{HOOK}
    meta priority set {ip} saddr map @peers meta priority set meta priority . {ip} daddr . meta l4proto . th dport map @cells meta priority vmap @rules
    drop
  }}
}}
"""


def prototype_stage(direction, local, peer, ip, key, governed, peers, cells):
    """The sets and chains of one direction."""
    cell = f"classid . {key} . inet_proto . inet_service"
    port = f"meta priority . {ip} {local} . meta l4proto . th dport"
    return f"""\
  set local_{direction} {{ type {key}; {elements(governed)}; }}
  map peer_{direction} {{ type {key} : classid; {elements(peers)}; }}
  map peer_{direction}_net {{ type {key} : classid; flags interval; }}
  map cell_{direction} {{ type {cell} : classid; {elements(cells)}; }}
  map cell_{direction}_range {{ type {cell} : classid; flags interval; }}
  map cell_{direction}_any {{ type classid . {key} : classid; }}
  chain {direction}_cells {{
    meta priority set {port} map @cell_{direction} goto decide
    meta priority set {port} map @cell_{direction}_range goto decide
    meta priority set meta priority . {ip} {local} map @cell_{direction}_any goto decide
    drop
  }}
  chain {direction} {{
    meta priority set {ip} {peer} map @peer_{direction} goto {direction}_cells
    meta priority set {ip} {peer} map @peer_{direction}_net goto {direction}_cells
    meta priority set none goto {direction}_cells
  }}
"""


def prototype(server, client, policies, family=4):
    """The layout of which the figures were taken that ours is held to: classes of peers and
    nothing besides: no gate, no connections that come back to where they began, no TCP in the
    midst of a connection, one family."""
    ip, key = words(family)
    peers, cells = classes(server, client, policies)
    rules = [f"{number(i + 1)} : goto rule_{i + 1}" for i in range(len(policies))]
    chains = "".join(f"  chain rule_{i + 1} {{\n    counter return\n  }}\n"
                     for i in range(len(policies)))
    return f"""\
table inet bench {{
{chains}
  map rules {{ type classid : verdict; {elements(rules)}; }}
  chain decide {{
    meta priority vmap @rules
    drop
  }}
{prototype_stage("out", "saddr", "daddr", ip, key, [], [], [])}
{prototype_stage("in", "daddr", "saddr", ip, key, [server], peers, cells)}
{HOOK}
    {ip} saddr @local_out jump out
    {ip} daddr @local_in jump in
    meta priority set none
  }}
}}
"""

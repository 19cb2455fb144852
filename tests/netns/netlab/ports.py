"""How protocols and ports are written."""

PROTOCOLS = ("tcp", "udp", "sctp", "icmp")


def parse_port(spec):
    """80, "80", "80/tcp", "53/udp", "icmp", ("udp", 53) -> (protocol, port)."""
    if isinstance(spec, int):
        spec = ("tcp", spec)
    elif isinstance(spec, str):
        port, _, proto = spec.partition("/")
        spec = ("icmp", 0) if port == "icmp" else (proto or "tcp", port)
    proto, port = spec[0].lower(), int(spec[1])
    if proto not in PROTOCOLS or not (proto == "icmp" or 0 < port < 65536):
        raise ValueError(f"not a port: {spec!r}")
    return proto, port


def port_text(port):
    """(protocol, port) -> "53/udp"."""
    return "icmp" if port[0] == "icmp" else f"{port[1]}/{port[0]}"

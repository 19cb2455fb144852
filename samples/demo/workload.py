"""A workload: a process that listens on TCP ports, over IPv4 and IPv6, and says its name.

usage: workload.py NAME PORT...
"""
import socketserver
import sys
import threading
import socket


class Server(socketserver.ThreadingTCPServer):
    address_family = socket.AF_INET6
    allow_reuse_address = True
    daemon_threads = True

    def server_bind(self):
        self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        super().server_bind()


def main(name, ports):
    class Answer(socketserver.BaseRequestHandler):
        def handle(self):
            try:
                self.request.sendall(f"{name}\n".encode())
            except OSError:
                pass  # whoever only tried the door is gone already

    servers = [Server(("::", port), Answer) for port in ports]
    for server in servers:
        threading.Thread(target=server.serve_forever, daemon=True).start()
    print("READY", flush=True)
    threading.Event().wait()


if __name__ == "__main__":
    main(sys.argv[1], [int(port) for port in sys.argv[2:]])

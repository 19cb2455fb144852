"""A workload: a process that listens on TCP ports, over IPv4 and IPv6, and says its name and
whom it sees.

usage: workload.py NAME PORT...       listens
       workload.py --ask ADDRESS PORT  prints what another one says
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
            client = self.client_address[0].removeprefix("::ffff:")
            try:
                self.request.sendall(f"{name}, asked by {client}\n".encode())
            except OSError:
                pass  # whoever only tried the door is gone already

    servers = [Server(("::", port), Answer) for port in ports]
    for server in servers:
        threading.Thread(target=server.serve_forever, daemon=True).start()
    print("READY", flush=True)
    threading.Event().wait()


def ask(address, port):
    with socket.create_connection((address, port), 5) as connection:
        print(connection.makefile().readline().strip())


if __name__ == "__main__" and sys.argv[1] == "--ask":
    ask(sys.argv[2], int(sys.argv[3]))
elif __name__ == "__main__":
    main(sys.argv[1], [int(port) for port in sys.argv[2:]])

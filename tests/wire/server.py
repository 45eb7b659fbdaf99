"""server.py -- a live `slm serve` for tests: started on a free port, spoken to in bytes."""
import json
import os
import re
import socket
import subprocess
import threading


class Server:
    def __init__(self, slm, *args, env=None, listen="127.0.0.1:0"):
        environment = {**os.environ, "SLM_CPU": "ref", "SLM_CACHE": "off", **(env or {})}
        environment.pop("LISTEN_FDS", None)
        self.process = subprocess.Popen([slm, "serve", "--listen", listen, *args], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, env=environment)
        self.log = []
        self.port = None
        for line in self.process.stderr:
            self.log.append(line)
            found = re.match(r"listening on https?://[^:]+:(\d+)", line)
            if found:
                self.port = int(found.group(1))
                break
            if line.startswith("listening"):
                break
        self.reader = threading.Thread(target=lambda: self.log.extend(self.process.stderr), daemon=True)
        self.reader.start()

    def connect(self, timeout=20):
        s = socket.create_connection(("127.0.0.1", self.port), timeout=timeout)
        return s

    def stop(self, signal=15, wait=30):
        if self.process.poll() is None:
            self.process.send_signal(signal)
        code = self.process.wait(wait)
        self.reader.join(5)
        return code

    def __enter__(self):
        return self

    def __exit__(self, *what):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


def request_bytes(method, path, body=None, headers=()):
    lines = [f"{method} {path} HTTP/1.1", "host: localhost"]
    data = b""
    if body is not None:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        lines.append(f"content-length: {len(data)}")
    lines += list(headers)
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + data


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    def json(self):
        return json.loads(self.body)

    def header(self, name):
        return dict((k.lower(), v) for k, v in self.headers).get(name)


class Reader:
    """Answers off one socket, one after the other; raises EOFError when the connection ends early."""

    def __init__(self, s):
        self.s, self.held = s, b""

    def more(self):
        piece = self.s.recv(65536)
        if not piece:
            raise EOFError(f"the connection ended; held {self.held!r}")
        self.held += piece

    def line(self):
        while b"\r\n" not in self.held:
            self.more()
        line, self.held = self.held.split(b"\r\n", 1)
        return line.decode()

    def take(self, n):
        while len(self.held) < n:
            self.more()
        data, self.held = self.held[:n], self.held[n:]
        return data

    def head(self):
        status = int(self.line().split()[1])
        headers = []
        while line := self.line():
            name, value = line.split(":", 1)
            headers.append((name, value.strip()))
        return Answer(status, headers, b"")

    def answer(self, is_head=False):
        a = self.head()
        if a.status == 100:
            return self.answer(is_head)
        if is_head or a.status in (204, 304):
            return a
        if a.header("transfer-encoding") == "chunked":
            while n := int(self.line(), 16):
                a.body += self.take(n)
                self.line()
            self.line()
        else:
            a.body = self.take(int(a.header("content-length")))
        return a


def ask(server, method, path, body=None, headers=()):
    with server.connect() as s:
        s.sendall(request_bytes(method, path, body, headers))
        return Reader(s).answer(method == "HEAD")

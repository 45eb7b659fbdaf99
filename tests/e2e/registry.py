"""A registry as Ollama has it and a hub as Hugging Face has it, on loopback, with faults: what slm pull is tested against.

Server(files).start() serves; files: {name: bytes}. Faults are set by name: server.fault = "cut" etc.; what was sent is counted in server.sent.
"""
import hashlib
import http.server
import json
import random
import threading
import time


def digest(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, blobs, manifests=None, repos=None):
        super().__init__(("127.0.0.1", 0), Handler)
        self.blobs = {digest(b): b for b in blobs}
        self.manifests = manifests or {}   # "space/model/tag": dict or bytes
        self.repos = repos or {}           # "owner/repo": {file: bytes}
        self.fault, self.fault_left, self.other = "", 0, None
        self.fault_size, self.cut_at = 0, 0  # faults are for files of this size (0: of any); where "cut_at" cuts
        self.sent, self.lock, self.seen_auth, self.rng = {}, threading.Lock(), [], random.Random(1)
        self.n_requests, self.delay = 0, 0.0
        self.upload_to, self.refuse_upload = "", 0  # another host for uploads; a status instead of them

    @property
    def host(self):
        return f"127.0.0.1:{self.server_address[1]}"

    def start(self):
        threading.Thread(target=self.serve_forever, daemon=True).start()
        return self

    def handle_error(self, *_):
        pass

    def takes_fault(self, size):
        """Whether the next blob request goes wrong: fault_left times, or always (-1)."""
        with self.lock:
            if not self.fault or self.fault_left == 0 or (self.fault_size and size != self.fault_size):
                return ""
            self.fault_left -= self.fault_left > 0
            return self.fault


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, status, body=b"", **headers):
        self.send_response(status)
        for k, v in headers.items():
            self.send_header(k.replace("_", "-"), v)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def take_body(self):
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def do_POST(self):
        s, parts = self.server, self.path.strip("/").split("/")
        self.take_body()
        if s.refuse_upload:
            return self.answer(s.refuse_upload)
        if parts[0] == "v2" and parts[-2:] == ["blobs", "uploads"]:
            return self.answer(202, Location=f"{s.upload_to}{self.path}1?state=x")
        self.answer(404)

    def do_PUT(self):
        s, (path, _, query) = self.server, self.path.partition("?")
        parts, body = path.strip("/").split("/"), self.take_body()
        if "uploads" in parts:
            want = query.rpartition("digest=")[2]
            if digest(body) != want:
                return self.answer(400)
            s.blobs[want] = body
            return self.answer(201)
        if "manifests" in parts:
            m = json.loads(body)
            if any(x["digest"] not in s.blobs for x in m["layers"] + [m["config"]]):
                return self.answer(400)
            s.manifests["/".join(parts[1:3] + parts[4:])] = body
            return self.answer(201)
        self.answer(404)

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        s, path = self.server, self.path.split("?")[0]
        with s.lock:
            s.n_requests += 1
            s.seen_auth.append(self.headers.get("Authorization"))
        parts = path.strip("/").split("/")
        if parts[0] == "v2" and "manifests" in parts:
            key = "/".join(parts[1:3] + parts[4:])
            m = s.manifests.get(key)
            return self.answer(404) if m is None else self.answer(200, m if isinstance(m, bytes) else json.dumps(m).encode())
        if parts[0] == "v2" and "blobs" in parts:
            return self.blob(s.blobs.get(parts[-1]), parts[-1])
        if parts[:2] == ["api", "models"]:
            files = s.repos.get("/".join(parts[2:4]))
            if files is None:
                return self.answer(404)
            rows = [{"rfilename": n, "size": len(b), **({"lfs": {"sha256": digest(b)[7:], "size": len(b)}} if len(b) > 1000 else {})} for n, b in files.items()]
            return self.answer(200, json.dumps({"id": "/".join(parts[2:4]), "siblings": rows, "cardData": {"license": "mit"}}).encode())
        if "resolve" in parts:
            data = s.repos.get("/".join(parts[:2]), {}).get("/".join(parts[4:]))
            if data is not None and s.other and not path.endswith(".json"):
                return self.answer(302, Location=f"http://{s.other.host}/v2/x/y/blobs/{digest(data)}")
            return self.blob(data, path)
        self.answer(404)

    def blob(self, data, name):
        s = self.server
        if data is None:
            return self.answer(404)
        fault, tag = s.takes_fault(len(data)), '"one"'
        if fault == "429":
            return self.answer(429, b"later", Retry_After="1")
        if fault == "500":
            return self.answer(500, b"<html>sorry</html>")
        if fault == "403":
            return self.answer(403, b"no")
        if fault == "gzip":
            return self.answer(200, data, Content_Encoding="gzip", ETag=tag)
        if fault == "page":
            return self.answer(200, b"<html>log in, please</html>")
        if fault == "wrong_hash":
            data = bytes([data[0] ^ 1]) + data[1:]
        if fault == "etag":
            tag = f'"{s.n_requests}"'
        if fault == "longer":
            data = data + b"x"
        begin, end, status = 0, len(data), 200
        wanted = self.headers.get("Range")
        if wanted and fault != "no_ranges":
            a, b = wanted.removeprefix("bytes=").split("-")
            begin, end, status = int(a), min(int(b) + 1, len(data)), 206
        if fault == "other_range" and status == 206 and begin > 0:
            begin -= 1
        self.send_response(status)
        self.send_header("ETag", tag)
        if status == 206:
            self.send_header("Content-Range", f"bytes {begin}-{end - 1}/{len(data)}")
        body = data[begin:end]
        if fault == "endless":
            body = body + bytes(1 << 20)
            self.close_connection = True
        else:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "HEAD":
            return
        n = s.rng.randrange(len(body) + 1) if fault == "cut" else min(s.cut_at, len(body)) if fault == "cut_at" else 3 << 16 if fault == "stall" else len(body)
        for at in range(0, n, 1 << 16):
            piece = body[at:min(at + (1 << 16), n)]
            if s.delay or fault == "trickle":
                time.sleep(s.delay or 0.02)
            self.wfile.write(piece)
            with s.lock:
                s.sent[name] = s.sent.get(name, 0) + len(piece)
        if fault == "stall":
            time.sleep(60)
        if n < len(body):
            self.close_connection = True
            self.wfile.flush()
            self.connection.close()

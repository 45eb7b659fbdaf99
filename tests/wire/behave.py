"""behave.py SLM ROOT -- how the server behaves when clients do not: leaving, reading slowly, flooding, pipelining; who may come in; the end."""
import json
import os
import pathlib
import re
import signal
import socket
import ssl
import struct
import subprocess
import sys
import tempfile
import threading
import time

from server import Reader, Server, ask, request_bytes

slm, root = sys.argv[1], pathlib.Path(sys.argv[2])
here, model = root / "tests/wire", root / "tests/golden/models/llama-linear.gguf"
BASE = ["-m", f"tiny={model}", "--template", str(here / "chat.jinja"), "-t", "1"]
LONG = {"prompt": "Hi", "max_tokens": 100000, "ignore_eos": True, "stream": True, "temperature": 0}


def check(holds, what):
    if not holds:
        raise AssertionError(what)


def metric(server, name):
    text = ask(server, "GET", "/metrics").body.decode()
    return float(re.search(rf"^{re.escape(name)} ([-0-9.e+]+)$", text, re.M).group(1))


def until(fn, what, seconds=10):
    end = time.time() + seconds
    while time.time() < end:
        if fn():
            return
        time.sleep(0.02)
    raise AssertionError(f"not within {seconds} s: {what}")


def is_quiet(server):
    return metric(server, "slm_requests_running") == 0 and metric(server, 'slm_model_running{model="tiny"}') == 0


def test_cancel():
    """A client that leaves in the middle of a stream stops the work, and so does one that leaves before the first token."""
    with Server(slm, *BASE) as s:
        for n_read in (1, 0):
            c = s.connect()
            c.sendall(request_bytes("POST", "/v1/completions", LONG))
            if n_read:
                c.recv(1000)
            c.close()
        until(lambda: metric(s, "slm_requests_cancelled_total") == 2 and is_quiet(s), "both are cancelled")
        check(metric(s, "slm_generated_tokens_total") < 90000, "the work went on")
        check(s.stop() == 0, "exit code")


def test_drain():
    """SIGTERM: a running answer ends as it would have, new connections are refused, the exit code is 0."""
    with Server(slm, *BASE) as s:
        c = s.connect()
        c.sendall(request_bytes("POST", "/v1/completions", dict(LONG, max_tokens=3000)))
        r = Reader(c)
        check(r.head().status == 200, "the stream begins")
        r.more()
        s.process.send_signal(signal.SIGTERM)
        time.sleep(0.05)
        body = r.held
        try:
            while True:
                r.more()
        except EOFError:
            body = r.held
        check(b"data: [DONE]" in body and body.endswith(b"0\r\n\r\n"), "the answer was cut off")
        check(s.stop() == 0, "exit code")


def test_second_signal():
    with Server(slm, *BASE) as s:
        c = s.connect()
        c.sendall(request_bytes("POST", "/v1/completions", dict(LONG, ignore_eos=True)))
        Reader(c).head()
        s.process.send_signal(signal.SIGTERM)
        time.sleep(0.1)
        check(s.stop(signal.SIGTERM, wait=10) == 0, "exit code")


def test_slow_reader():
    """A client that does not read makes its own request wait, not the memory grow; in the end it counts as gone. Others are served meanwhile."""
    with Server(slm, *BASE, "--limit", "out-bytes=4096", "--limit", "stall-s=2") as s:
        c = socket.socket()
        c.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        c.connect(("127.0.0.1", s.port))
        c.sendall(request_bytes("POST", "/v1/completions", dict(LONG, n=16, max_tokens=4000)))
        time.sleep(0.5)
        check(ask(s, "POST", "/v1/completions", {"prompt": "Hi", "max_tokens": 1}).status == 200, "others are served")
        until(lambda: is_quiet(s), "the slow reader is given up", 20)
        c.close()


def test_slow_writer():
    """Headers drop by drop: 408 or the end after head-s, however fast the drops."""
    with Server(slm, *BASE, "--limit", "head-s=1") as s:
        c = s.connect()
        t0 = time.time()
        try:
            for byte in b"GET /health HTTP/1.1\r\nhost: localhost\r\nx: " + b"a" * 100:
                c.sendall(bytes([byte]))
                time.sleep(0.05)
            c.recv(1)
        except OSError:
            pass
        check(time.time() - t0 < 4, "a slow writer holds a connection")


def test_bodies():
    """Bodies that never end share one budget: the one too many is turned away, the rest of the server works."""
    with Server(slm, *BASE, "--limit", "bodies-bytes=100000", "--log", "off") as s:
        held = []
        for i in range(4):
            c = s.connect()
            c.sendall(b"POST /tokenize HTTP/1.1\r\nhost: localhost\r\ncontent-length: 60000\r\n\r\n" + b" " * 40000)
            time.sleep(0.1)
            held.append(c)
        check(Reader(held[2]).answer().status == 503, "the third is turned away")
        check(ask(s, "POST", "/tokenize", {"content": "Hi"}).status == 200, "a small one is answered")
        for c in held[:2]:
            c.close()
        until(lambda: ask(s, "POST", "/tokenize", {"content": "x" * 50000}).status == 200, "room again")


def test_flood():
    """Connections past the limit push out idle ones; the server stays alive, and keeps no connection."""
    n = int(os.environ.get("SLM_FLOOD", "2000"))
    with Server(slm, *BASE, "--log", "off", "--limit", "connections=200") as s:
        held = [s.connect() for _ in range(400)]
        check(ask(s, "GET", "/health").status == 200, "alive beside 400 idle connections")
        for c in held:
            c.close()
        for i in range(n):
            c = s.connect()
            c.sendall(request_bytes("POST", "/v1/completions", dict(LONG, max_tokens=200)) if i % 2 else b"GET /hea")
            c.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            c.close()
        until(lambda: is_quiet(s), "all dropped streams end", 30)
        until(lambda: metric(s, "slm_connections") <= 2, "all connections are gone")
        check(ask(s, "POST", "/v1/completions", {"prompt": "Hi", "max_tokens": 1}).status == 200, "it still answers")
        check(s.stop() == 0, "exit code")


def test_pipelining():
    """Requests behind each other on one connection: answered in order, each when the one before is done."""
    with Server(slm, *BASE) as s:
        c = s.connect()
        c.sendall(request_bytes("POST", "/v1/completions", {"prompt": "Hi", "max_tokens": 50, "ignore_eos": True, "stream": True}) + request_bytes("GET", "/health") +
                  request_bytes("POST", "/tokenize", {"content": "Hi"}) + b"GET")
        r = Reader(c)
        check(b"[DONE]" in r.answer().body and r.answer().json() == {"status": "ok"} and "tokens" in r.answer().json(), "three answers in order")


def test_busy():
    """Past the limit of requests: 429 with Retry-After; health and metrics answer all the same."""
    with Server(slm, *BASE, "--limit", "requests=2") as s:
        held = []
        for _ in range(2):
            c = s.connect()
            c.sendall(request_bytes("POST", "/v1/completions", LONG))
            Reader(c).head()
            held.append(c)
        a = ask(s, "POST", "/v1/messages", {"model": "tiny", "max_tokens": 1, "messages": [{"role": "user", "content": "x"}]})
        check(a.status == 429 and int(a.header("retry-after")) >= 1 and a.json()["error"]["type"] == "rate_limit_error", "429 in Anthropic's shape")
        t0 = time.time()
        check(ask(s, "GET", "/health").status == 200 and metric(s, "slm_requests_running") == 2 and time.time() - t0 < 1, "health and metrics under load")
        for c in held:
            c.close()
        until(lambda: is_quiet(s), "quiet again")


def test_keys():
    """Keys: demanded, in either header, with limits; not for health."""
    with tempfile.NamedTemporaryFile("w", suffix=".keys") as f:
        f.write("# keys\nsecret-one name=alice per-minute=2\nsecret-two parallel=1\n")
        f.flush()
        with Server(slm, *BASE, "--key-file", f.name, env={"SLM_KEY": "from-the-environment"}) as s:
            check(ask(s, "GET", "/v1/models").status == 401 and ask(s, "GET", "/metrics").status == 401, "no key")
            check(ask(s, "GET", "/v1/models", headers=["authorization: Bearer wrong-one"]).status == 401, "a wrong key")
            check(ask(s, "GET", "/health").status == 200, "health is open")
            check(ask(s, "GET", "/v1/models", headers=["x-api-key: from-the-environment"]).status == 200, "x-api-key")
            statuses = [ask(s, "GET", "/v1/models", headers=["authorization: Bearer secret-one"]).status for _ in range(3)]
            check(statuses == [200, 200, 429], f"two a minute, not {statuses}")
            c = s.connect()
            c.sendall(request_bytes("POST", "/v1/completions", LONG, ["authorization: Bearer secret-two"]))
            Reader(c).head()
            check(ask(s, "GET", "/v1/models", headers=["authorization: Bearer secret-two"]).status == 429, "one at a time")
            c.close()
    refused = subprocess.run([slm, "serve", *BASE, "--listen", "0.0.0.0:0"], stderr=subprocess.PIPE, text=True, timeout=20)
    check(refused.returncode == 2 and "no key is demanded" in refused.stderr, "an open address without a key")


def test_page():
    """The page and every module it names are in the program, and it may talk to no other host."""
    with Server(slm, *BASE) as s:
        page = ask(s, "GET", "/")
        names = re.findall(r'"/web/([a-z.]+)"', page.body.decode())
        check(page.status == 200 and len(names) == 2 and "default-src 'self'" in page.header("content-security-policy"), "the page")
        seen = set()
        while names:
            name = names.pop()
            if name in seen:
                continue
            seen.add(name)
            a = ask(s, "GET", f"/web/{name}")
            check(a.status == 200 and a.body == (root / "src/serve/web" / name).read_bytes(), name)
            names += re.findall(r"from '\./([a-z.]+)'", a.body.decode())
        check(len(seen) == 7, f"seven files, not {seen}")


def test_sandbox():
    """Threads are confined where the kernel can; links to models elsewhere are followed; without it nothing is."""
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as elsewhere:
        pathlib.Path(f"{elsewhere}/kept.gguf").write_bytes(model.read_bytes())
        os.symlink(f"{elsewhere}/kept.gguf", f"{folder}/linked.gguf")
        with Server(slm, "--models", folder, "-t", "1", "-c", "512", "--kv-memory", "1M", env={"SLM_CACHE": f"{folder}/cache"}) as s:
            check(ask(s, "POST", "/v1/completions", {"model": "linked", "prompt": "Hi", "max_tokens": 1}).status == 200, "a link in the folder")
            said = [line for line in s.log if line.startswith("sandbox: ")]
            check(len(said) == 1, "what is in force is said")
            if "seccomp" in said[0]:
                for task in pathlib.Path(f"/proc/{s.process.pid}/task").iterdir():
                    check(re.search(r"Seccomp:\t2", (task / "status").read_text()), "every thread is confined")
            if "landlock" in said[0]:
                pathlib.Path(f"{elsewhere}/new.gguf").write_bytes(model.read_bytes())
                os.symlink(f"{elsewhere}/new.gguf", f"{folder}/later.gguf")
                check(ask(s, "POST", "/v1/completions", {"model": "later", "prompt": "Hi", "max_tokens": 1}).status >= 400, "a link made later leads outside")
            check(s.stop() == 0, "exit code")
    with Server(slm, *BASE, "--no-sandbox") as s:
        check(not any(line.startswith("sandbox: ") for line in s.log), "--no-sandbox")
        check(re.search(r"Seccomp:\t", pathlib.Path(f"/proc/{s.process.pid}/status").read_text()), "it runs")


def test_cors():
    with Server(slm, *BASE, "--cors", "https://app.example") as s:
        a = ask(s, "OPTIONS", "/v1/chat/completions", headers=["origin: https://app.example", "access-control-request-method: POST", "access-control-request-headers: content-type"])
        check(a.status == 204 and a.header("access-control-allow-origin") == "https://app.example", "a preflight")
        a = ask(s, "GET", "/v1/models", headers=["origin: https://app.example"])
        check([v for k, v in a.headers if k == "access-control-allow-origin"] == ["https://app.example"], "an allowed origin, told once")
        check(ask(s, "GET", "/v1/models", headers=["origin: https://other.example"]).status == 403, "another origin")


def test_tls():
    with tempfile.TemporaryDirectory() as folder:
        cert, key = f"{folder}/c.pem", f"{folder}/k.pem"
        made = subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", cert, "-days", "2", "-subj", "/CN=localhost"], capture_output=True)
        if made.returncode != 0:
            print("tls: openssl's program is not there, left out")
            return
        with Server(slm, *BASE, "--tls-cert", cert, "--tls-key", key) as s:
            context = ssl.create_default_context(cafile=cert)
            with context.wrap_socket(s.connect(), server_hostname="localhost") as c:
                c.sendall(request_bytes("POST", "/v1/completions", dict(LONG, max_tokens=30)))
                check(b"[DONE]" in Reader(c).answer().body, "a stream over TLS")
            check(s.stop() == 0, "exit code")


def test_unix_and_systemd():
    """A Unix socket; and READY, STOPPING to the socket that systemd names."""
    with tempfile.TemporaryDirectory() as folder:
        notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        notify.bind(f"{folder}/notify")
        notify.settimeout(10)
        with Server(slm, *BASE, listen=f"unix:{folder}/slm.sock", env={"NOTIFY_SOCKET": f"{folder}/notify"}) as s:
            check(notify.recv(100) == b"READY=1", "ready")
            c = socket.socket(socket.AF_UNIX)
            c.settimeout(20)
            c.connect(f"{folder}/slm.sock")
            c.sendall(request_bytes("GET", "/v1/models"))
            check(Reader(c).answer().status == 200, "an answer")
            check(s.stop() == 0 and notify.recv(100) == b"STOPPING=1", "stopping")
        check(not os.path.exists(f"{folder}/slm.sock"), "the socket's file is removed")
        # a socket that is handed over: descriptor 3
        handed = socket.create_server(("127.0.0.1", 0))
        script = f'exec 3<&{handed.fileno()}; export LISTEN_FDS=1 LISTEN_PID=$$; exec "$0" "$@"'
        p = subprocess.Popen(["bash", "-c", script, slm, "serve", *BASE, "--log", "off"], pass_fds=[handed.fileno()], stderr=subprocess.PIPE, text=True)
        line = p.stderr.readline()
        check(f":{handed.getsockname()[1]}" in line, f"the handed socket, not {line}")
        p.terminate()
        check(p.wait(20) == 0, "exit code")


def test_same_alone_and_among_others():
    """Greedy text is byte-equal alone and among 15 others, with and without remembered prefixes; seeds are kept."""
    prompts = [f"Story number {i}: once upon a time " * (1 + i % 5) for i in range(16)]
    def body(p, **more):
        return {"prompt": p, "max_tokens": 40, "ignore_eos": True, "temperature": 0, **more}
    with Server(slm, *BASE, "--log", "off") as s:
        alone = [ask(s, "POST", "/v1/completions", body(p)).json()["choices"][0]["text"] for p in prompts]
        together = [None] * 16
        def run(i):
            together[i] = ask(s, "POST", "/v1/completions", body(prompts[i])).json()
        threads = [threading.Thread(target=run, args=[i]) for i in range(16)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        check([t["choices"][0]["text"] for t in together] == alone, "texts differ among others")
        check(sum(t["usage"]["prompt_tokens_details"]["cached_tokens"] for t in together) > 0, "no prefix was remembered")
        sampled = [ask(s, "POST", "/v1/completions", body(prompts[3], temperature=1.0, seed=7, n=2)).json()["choices"] for _ in range(2)]
        check(sampled[0] == sampled[1] and sampled[0][0]["text"] != sampled[0][1]["text"], "a seed repeats, answers of one request differ")


JOB = {"input": "The cat sat on the mat. " * 60, "words": 20}  # seconds, in a hundred steps


class Job(threading.Thread):
    def __init__(self, s, path="/slm/v1/summarize", body=JOB):
        super().__init__(daemon=True)
        self.s, self.path, self.body, self.status = s, path, body, 0
        self.start()

    def run(self):
        with self.s.connect(timeout=100) as c:
            c.sendall(request_bytes("POST", self.path, self.body))
            self.status = Reader(c).answer().status


def test_jobs():
    """A narrow job takes its turns beside answers: a stream and an embedding end long before a long job does, and get what they get alone; when its client
    leaves it ends at the next step, and so does one that only waits for its turn."""
    with Server(slm, *BASE, "-c", "32768") as s:
        want = ask(s, "POST", "/v1/completions", dict(LONG, stream=False, max_tokens=200)).json()["choices"][0]["text"]
        job = Job(s)
        until(lambda: metric(s, "slm_requests_running") == 1, "the job runs")
        check(ask(s, "POST", "/v1/completions", dict(LONG, stream=False, max_tokens=200)).json()["choices"][0]["text"] == want, "the same text")
        check(ask(s, "POST", "/v1/embeddings", {"input": "Hi there"}).status == 200, "an embedding")
        check(job.is_alive() and job.status == 0, "they waited for the whole job")
        c, waiting = s.connect(), s.connect()
        c.sendall(request_bytes("POST", "/slm/v1/summarize", dict(JOB, input="A dog sat on a log. " * 60)))
        waiting.sendall(request_bytes("POST", "/slm/v1/classify", {"input": "x", "labels": ["a", "b"]}))
        until(lambda: metric(s, "slm_requests_running") == 3, "two wait for their turn")
        waiting.close()
        until(lambda: metric(s, "slm_requests_running") == 2, "one of them left")
        job.join(100)
        check(job.status == 200, "the job ends as ever")
        time.sleep(0.1)
        c.close()
        begin = time.time()
        until(lambda: is_quiet(s), "the second stops", 5)
        took = time.time() - begin
        check(took < 1 and metric(s, "slm_requests_cancelled_total") == 2, f"within a step, not {took:.2f} s")
        check(ask(s, "POST", "/slm/v1/classify", {"input": "x", "labels": ["a", "b"]}).status == 200, "the session is as good as new")
        check(s.stop() == 0, "exit code")


def test_models():
    """A folder: loaded on demand, evicted by bytes, pinned, copied, deleted; what does not fit is refused with the numbers."""
    with tempfile.TemporaryDirectory() as folder:
        for name in ("a", "b"):
            os.link(model, f"{folder}/{name}.gguf") if os.stat(folder).st_dev == os.stat(model).st_dev else open(f"{folder}/{name}.gguf", "wb").write(model.read_bytes())
        with Server(slm, "--models", folder, "--memory", "40M", "--kv-memory", "1M", "-t", "1", "-c", "512", "--log", "off", listen="127.0.0.1:0") as s:
            def complete(name):
                return ask(s, "POST", "/v1/completions", {"model": name, "prompt": "Hi", "max_tokens": 1})
            check(complete("a").status == 200 and len(ask(s, "GET", "/api/ps").json()["models"]) == 1, "loaded on demand")
            need = ask(s, "GET", "/api/ps").json()["models"][0]["size"]
            check(ask(s, "POST", "/api/copy", {"source": "a", "destination": "c"}).status == 200, "copy")
            check("c" in [m["id"] for m in ask(s, "GET", "/v1/models").json()["data"]] and complete("c").status == 200, "the copy answers")
            check(ask(s, "POST", "/api/copy", {"source": "a", "destination": "../x"}).status == 400, "a name with a path")
            check(ask(s, "POST", "/api/generate", {"model": "a", "keep_alive": 0}).json()["done_reason"] == "unload", "keep_alive 0")
            until(lambda: "a:latest" not in [m["name"] for m in ask(s, "GET", "/api/ps").json()["models"]], "unloaded")
            c = s.connect()
            c.sendall(request_bytes("POST", "/v1/completions", dict(LONG, model="c", max_tokens=400)))
            begin = c.recv(64)
            check(begin.startswith(b"HTTP/1.1 200"), "a stream of the copy")
            check(ask(s, "DELETE", "/api/delete", {"model": "c"}).status == 200 and not os.path.exists(f"{folder}/c.gguf") and complete("c").status == 404, "deleted while in use")
            while not begin.endswith(b"0\r\n\r\n"):
                more = c.recv(65536)
                check(more, "the stream was cut")
                begin += more
            check(b"data: [DONE]" in begin, "the stream of the deleted one ends whole")
            until(lambda: ask(s, "GET", "/api/ps").json()["models"] == [], "the last to leave unloads it")
        mib = need // (1 << 20) + 1
        with Server(slm, "--models", folder, "--memory", f"{mib}M", "--kv-memory", "1M", "-t", "1", "-c", "512", "--log", "off") as s:
            check(ask(s, "POST", "/v1/completions", {"model": "a", "prompt": "Hi", "max_tokens": 1}).status == 200, "one fits")
            check(ask(s, "POST", "/v1/completions", {"model": "b", "prompt": "Hi", "max_tokens": 1}).status == 200, "the other takes its place")
            check([m["name"] for m in ask(s, "GET", "/api/ps").json()["models"]] == ["b:latest"], "evicted by bytes")
        with Server(slm, "--models", folder, "--memory", "1M", "--kv-memory", "1M", "-t", "1", "-c", "512", "--log", "off") as s:
            a = ask(s, "POST", "/v1/completions", {"model": "a", "prompt": "Hi", "max_tokens": 1})
            check(a.status == 503 and re.search(r"needs \d+ MiB, \d+ MiB", a.json()["error"]["message"]), f"refused with numbers, not {a.body}")


def main():
    faults = 0
    for name, fn in sorted(globals().items()):
        if not name.startswith("test_") or (len(sys.argv) > 3 and sys.argv[3] not in name):
            continue
        t0 = time.time()
        try:
            fn()
            print(f"ok      {name} ({time.time() - t0:.1f} s)")
        except Exception as e:
            faults += 1
            print(f"FAILED  {name}: {type(e).__name__}: {e}")
    return 1 if faults else 0


sys.exit(main())

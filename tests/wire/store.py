"""store.py SLM ROOT [--record] -- create, blobs, copy, delete, pull, push of Ollama's API. transcripts/store/*.txt are played in order against one server; then
what no transcript can say: who may pull, bodies that are too large or end early, a client that leaves a pull, the official client."""
import hashlib
import json
import os
import pathlib
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "e2e"))
from play import request_of, shown  # noqa: E402
from registry import Server as Registry, digest  # noqa: E402
from server import Reader, Server, ask, request_bytes  # noqa: E402

SLM, ROOT = sys.argv[1], pathlib.Path(sys.argv[2]).resolve()
HERE, TINY = ROOT / "tests/wire", (ROOT / "tests/golden/logits/llama.gguf").read_bytes()
TEMPLATE = (HERE / "chat.jinja").read_text()
home = pathlib.Path(tempfile.mkdtemp())
N_FAULTS = 0


def check(holds, what):
    global N_FAULTS
    if not holds:
        N_FAULTS += 1
        print(f"FAILED: {what}", flush=True)


def layer(data, kind="model"):
    return {"mediaType": f"application/vnd.ollama.image.{kind}", "digest": digest(data), "size": len(data)}


def manifest(*layers):
    return {"schemaVersion": 2, "config": {"mediaType": "application/vnd.docker.container.image.v1+json", "digest": digest(b"{}"), "size": 2}, "layers": list(layers)}


def serve(*args, store="store", log="off"):
    return Server(SLM, "--log", log, "-t", "1", "--kv-memory", "4M", *args, env={"SLM_STORE": str(home / store), "HOME": str(home)})


def registry():
    texts = [TEMPLATE.encode(), b"be brief", b'{"temperature":0,"num_predict":2}']
    big = os.urandom(20 << 20)
    r = Registry([TINY, b"{}", big, *texts], {"library/tiny/1b": manifest(layer(TINY), layer(texts[0], "template"), layer(texts[1], "system"), layer(texts[2], "params")),
                                             "library/big/latest": manifest(layer(big)), "other/tiny/latest": manifest(layer(TINY))}).start()
    return r


def lines(answer):
    return [json.loads(x) for x in answer.body.decode().splitlines()]


def test_transcripts():
    r = registry()
    known = {r.host: "REGISTRY", digest(TINY): "sha256:TINY", digest(TINY)[7:]: "TINY", str(home): "HOME"}
    with serve("--pull-from", f"{r.host}/library", "--push-to", f"{r.host}/mine") as s:
        check(ask(s, "POST", "/api/blobs/" + digest(TINY), TINY).status == 201, "a blob is taken")
        for path in sorted((HERE / "transcripts/store").glob("*.txt")):
            request, _, want = path.read_text().partition("----\n")
            with s.connect() as c:
                text = request
                for real, name in known.items():
                    text = text.replace(name, real) if name != "TINY" else text
                c.sendall(request_of(text))
                answer = Reader(c).answer(request.startswith("HEAD"))
            body = answer.body.decode()
            for real, name in known.items():
                body = body.replace(real, name)
            body = re.sub(r'[0-9a-f]{64}', "DIGEST", re.sub(r'sha256-[0-9a-f]{64}', "sha256-DIGEST", body))
            body = "\n".join(x for x in body.split("\n") if not re.search(r'"completed":[1-9]', x) or '"completed":2}' in x)
            answer.body = body.encode()
            got = shown(answer)
            if "--record" in sys.argv:
                path.write_text(request + "----\n" + got)
            else:
                check(got == want, f"{path.name}\n--- want\n{want}\n--- got\n{got}")
        check(digest(TINY) in r.blobs and "mine/copy/latest" in r.manifests, "what was pushed is there")
        check(s.stop() == 0, "the server's exit")


def test_allowed():
    r = registry()
    for args, name, status in ((["--store"], f"{r.host}/library/tiny:1b", 403), (["--pull-from", f"{r.host}/library/tiny"], f"{r.host}/library/big", 403),
                               (["--pull-from", "ollama.com"], f"{r.host}/library/tiny:1b", 403), (["--pull-from", "*/*/big"], f"{r.host}/library/tiny:1b", 403),
                               (["--pull-from", f"{r.host}/other"], f"{r.host}/other/tiny", 200), (["--pull-from", "*"], "../etc", 400), (["--pull-from", "*"], f"http://{r.host}/x.gguf", 403)):
        with serve(*args, store="allowed") as s:
            a = ask(s, "POST", "/api/pull", {"model": name, "stream": False})
            check(a.status == status, f"{args} {name}: {a.status} {a.body}")
            check(ask(s, "POST", "/api/push", {"model": f"{r.host}/other/tiny"}).status == 403, "nothing is pushed")
    with Server(SLM, "-m", str(ROOT / "tests/golden/models/llama-linear.gguf"), "--log", "off", "-t", "1") as s:
        check(ask(s, "POST", "/api/pull", {"model": "x"}).status == 400 and ask(s, "HEAD", "/api/blobs/" + digest(b"")).status == 400, "no store")
        check(ask(s, "POST", "/api/blobs/" + digest(b"x"), b"x").status == 400, "no store, no blobs")
    one = str(ROOT / "tests/golden/logits/llama.gguf")
    with serve("-m", f"one={one}", "--pull-from", f"{r.host}/library", store="allowed") as s:
        partial = home / "allowed/partial"
        for method, path, body in (("POST", "/api/blobs/" + digest(b"x"), b"x"), ("POST", "/api/create", {"model": "new", "from": "one", "system": "be"}), ("POST", "/api/create", {"model": "new", "from": "one"}),
                                   ("POST", "/api/copy", {"source": "one", "destination": "two"})):
            a = ask(s, method, path, body)
            want = 400 if "system" in (body if isinstance(body, dict) else {}) else 403
            check(a.status == want, f"{path} {body}: fetching is allowed, changing is not: {a.status} {a.body}")
        check(ask(s, "POST", "/api/create", {"model": "new", "from": f"{r.host}/library/tiny:1b"}).status == 403, "creating from what may be fetched")
        check(not list(partial.glob("upload-*")) if partial.exists() else True, "nothing was written")


def test_bodies():
    blob = os.urandom(24 << 20)  # more than a body in memory may have
    name = digest(blob)
    with serve("--store", "--limit", "blob-bytes=30000000", "--limit", "body-s=2", store="bodies") as s:
        check(ask(s, "HEAD", "/api/blobs/" + name).status == 404, "not there yet")
        for i in range(20):  # of a server that was killed, with the same number as ours
            (home / "bodies/partial").mkdir(parents=True, exist_ok=True)
            (home / f"bodies/partial/upload-{s.process.pid}-{i}").write_bytes(b"")
        check(ask(s, "POST", "/api/blobs/" + name, blob[:-1]).status == 400, "another digest")
        check(ask(s, "POST", "/api/blobs/" + name, blob).status == 201, "a large blob")
        check(ask(s, "HEAD", "/api/blobs/" + name).status == 200, "is there")
        for path in (home / "bodies/partial").glob(f"upload-{s.process.pid}-*"):
            path.unlink()
        with s.connect() as c:
            head = request_bytes("POST", "/api/blobs/" + digest(b"ab" * 70000), None, ["transfer-encoding: chunked"])
            c.sendall(head + b"".join(b"%x\r\n" % len(p) + p + b"\r\n" for p in (b"ab" * 35000, b"ab" * 35000)) + b"0\r\n\r\n")
            check(Reader(c).answer().status == 201, "in chunks")
        check(ask(s, "POST", "/api/blobs/" + name, b"", ["content-length: 40000000"]).status in (400, 413), "two lengths, or too large")
        with s.connect() as c:
            c.sendall(request_bytes("POST", "/api/blobs/" + name, None, ["content-length: 40000000", "expect: 100-continue"]))
            check(Reader(c).answer().status == 413, "too large is said before it is sent")
        with s.connect() as c:
            c.sendall(request_bytes("POST", "/api/blobs/" + digest(b"z"), None, ["content-length: 1000"]) + b"half")
            time.sleep(0.3)
            check([p for p in (home / "bodies/partial").iterdir()] != [], "under way")
        with s.connect() as c: # one that never ends
            c.sendall(request_bytes("POST", "/api/blobs/" + digest(b"z"), None, ["content-length: 1000"]) + b"half")
            c.settimeout(10)
            check(c.recv(1000) == b"", "is cut off")
        time.sleep(0.2)
        check([p for p in (home / "bodies/partial").iterdir()] == [], "and leaves nothing")
        for path in ("sha256:../../x", "sha256:" + "0" * 63, "x", "", digest(b"")[:-1] + "G"):
            check(ask(s, "POST", "/api/blobs/" + path, b"x").status in (400, 404), f"digest {path!r}")
        check(ask(s, "POST", "/api/create", {"model": "g", "files": {"g.gguf": name}}).status == 200, "noise begins a create")
        check(ask(s, "POST", "/api/create", {"model": "g", "files": {"g.gguf": name}, "stream": False}).status // 100 == 4, "noise makes no model")
        for files in ({"../g.gguf": name}, {"g.gguf": 1}, {"g.gguf": "sha256:x"}, {"/etc/g": name}):
            check(ask(s, "POST", "/api/create", {"model": "g", "files": files, "stream": False}).status == 400, f"files {files}")
        check(ask(s, "GET", "/api/tags").json()["models"] == [], "nothing came of it")


def test_full():
    """A disk that takes no more is said, others are served meanwhile and after, and nothing is left of the body; so it is when the client leaves a large one."""
    limited = home / "limited.sh"
    limited.write_text(f"#!/bin/sh\ntrap '' XFSZ\nulimit -f 8192\nexec {SLM if SLM[0] == '/' else os.path.abspath(SLM)} \"$@\"\n")  # 4 MiB, as a full disk fails
    limited.chmod(0o755)
    env = {"SLM_STORE": str(home / "brim"), "HOME": str(home)}
    with Server(str(limited), "--store", "--log", "off", env=env) as s:
        partial = home / "brim/partial"
        with s.connect() as c:
            c.sendall(request_bytes("POST", "/api/blobs/" + digest(b"z"), None, ["content-length: 30000000"]))
            sent, block = 0, b"z" * 65536
            try:
                while sent < 30000000:
                    sent += c.send(block)
                    if sent % (1 << 20) < 65536:
                        check(ask(s, "GET", "/health").status == 200, "others are served")
            except OSError:
                pass
            try:
                status = Reader(c).answer().status
            except (EOFError, OSError):
                status = 507  # the reset overtook the answer
            check(status == 507, f"the disk is full: {status} after {sent}")
        check(ask(s, "POST", "/api/blobs/" + digest(b"y" * 100000), b"y" * 100000).status == 201, "a smaller one fits")
        for _ in range(20):
            c = s.connect()
            c.sendall(request_bytes("POST", "/api/blobs/" + digest(b"z"), None, ["content-length: 30000000"]) + b"z" * 200000)
            c.close()
        end = time.time() + 5
        while list(partial.iterdir()) and time.time() < end:
            time.sleep(0.05)
        check(not list(partial.iterdir()), "nothing is left of those that left")
        check(s.stop() == 0, "exit code")


def test_leave():
    """A client that leaves ends its pull; the next one goes on where it stopped."""
    r = registry()
    r.delay = 0.01
    with serve("--pull-from", "*", store="leave") as s:
        with s.connect() as c:
            c.sendall(request_bytes("POST", "/api/pull", {"model": f"{r.host}/library/big"}))
            while b"completed" not in c.recv(4096):
                pass
        time.sleep(0.5)
        sent = sum(r.sent.values())
        time.sleep(0.5)
        check(sum(r.sent.values()) == sent, "the pull ends with its client")
        r.delay = 0
        last = lines(ask(s, "POST", "/api/pull", {"model": f"{r.host}/library/big"}))[-1]
        check(last == {"status": "success"} and sum(r.sent.values()) < (21 << 20) + 4096, f"{last} {sum(r.sent.values())}")


def test_settings():
    """Parameters, system prompt, template and messages of a manifest hold in every API, where the request says nothing."""
    r = registry()
    with serve("--pull-from", "*", store="settings") as s:
        ask(s, "POST", "/api/pull", {"model": f"{r.host}/library/tiny:1b", "stream": False})
        model = f"{r.host}/library/tiny:1b"
        talk = [{"role": "user", "content": "Hi"}]
        a = ask(s, "POST", "/api/chat", {"model": model, "messages": talk, "stream": False}).json()
        b = ask(s, "POST", "/api/chat", {"model": model, "messages": [{"role": "system", "content": "be brief"}, *talk], "stream": False, "options": {"num_predict": 2, "temperature": 0}}).json()
        check(a["message"] == b["message"] and a["eval_count"] == b["eval_count"] == 2 and a["prompt_eval_count"] == b["prompt_eval_count"], f"{a} {b}")
        o = ask(s, "POST", "/v1/chat/completions", {"model": model, "messages": talk}).json()
        check(o["usage"]["completion_tokens"] == 2 and o["usage"]["prompt_tokens"] == a["prompt_eval_count"], o)
        o = ask(s, "POST", "/v1/chat/completions", {"model": model, "messages": [{"role": "system", "content": ""}, *talk], "max_tokens": 1}).json()
        check(o["usage"]["completion_tokens"] == 1 and o["usage"]["prompt_tokens"] < a["prompt_eval_count"], o)
        ask(s, "POST", "/api/create", {"model": "told", "from": model, "messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}], "parameters": {"num_predict": 1}, "stream": False})
        t = ask(s, "POST", "/api/chat", {"model": "told", "messages": talk, "stream": False}).json()
        check(t["prompt_eval_count"] > a["prompt_eval_count"] and t["eval_count"] == 1, t)
        go = "{{ if .System }}[{{ .System }}]{{ end }}[U] {{ .Prompt }}"
        made = lines(ask(s, "POST", "/api/create", {"model": "gone", "from": model, "template": go}))
        check(made[-1] == {"status": "success"} and not any("warning" in x["status"] for x in made), made)
        same = {"stream": False, "options": {"temperature": 0, "num_predict": 3}}
        g = ask(s, "POST", "/api/generate", {"model": "gone", "prompt": "Hi", **same}).json()
        by_hand = ask(s, "POST", "/api/generate", {"model": "gone", "prompt": "[be brief][U] Hi", "raw": True, **same}).json()
        check(g["response"] == by_hand["response"].lstrip() and g["prompt_eval_count"] == by_hand["prompt_eval_count"], f"a template in Go's language makes the prompt: {g} {by_hand}")
        shown = ask(s, "POST", "/api/show", {"model": "gone"}).json()
        check(shown["template"] == go and "tools" not in shown["capabilities"], shown["capabilities"])
        ask(s, "POST", "/api/create", {"model": "able", "from": model, "template": "{{ range .Messages }}{{ .Thinking }}{{ .Content }}{{ end }}{{ .Tools }}", "stream": False})
        shown = ask(s, "POST", "/api/show", {"model": "able"}).json()
        check({"tools", "thinking"} <= set(shown["capabilities"]), shown["capabilities"])
        made = lines(ask(s, "POST", "/api/create", {"model": "bad", "from": model, "template": "{{ if .System }}[U] {{ .Prompt }}"}))
        check(any("cannot be used" in x["status"] and "without its end" in x["status"] for x in made), made)
        g = ask(s, "POST", "/api/generate", {"model": "bad", "prompt": "Hi", "stream": False})
        check(g.status == 400 and "Go's language" in g.body.decode(), f"a template that cannot be read is not left out in silence: {g.status} {g.body}")
        g = ask(s, "POST", "/api/generate", {"model": "bad", "prompt": "Hi", "raw": True, "stream": False})
        check(g.status == 200, f"{g.status} {g.body}")
        subprocess.run([SLM, "rm", "told"], env={"SLM_STORE": str(home / "settings")}, check=True, capture_output=True)
        time.sleep(1.2)
        check(ask(s, "POST", "/api/chat", {"model": "told", "messages": talk}).status == 404, "what another process removes is gone")


def test_client():
    modules = os.environ.get("SLM_NODE_MODULES", str(HERE / "clients/node_modules"))
    if not shutil.which("node") or not os.path.isdir(os.path.join(modules, "ollama")):
        print("skipped: the package ollama of npm is not there", flush=True)
        return
    r = registry()
    shutil.copy(HERE / "clients/store.mjs", home / "store.mjs")
    os.symlink(modules, home / "node_modules")
    with serve("--pull-from", r.host, "--push-to", r.host, store="client") as s:
        p = subprocess.run(["node", str(home / "store.mjs"), f"http://127.0.0.1:{s.port}", r.host, digest(TINY)], capture_output=True, text=True, timeout=60)
        check(p.returncode == 0, p.stdout + p.stderr)
        print(p.stdout, end="", flush=True)


def test_ps_stop():
    """slm ps, stop and push against a live server and a registry."""
    r = registry()
    def slm(*args, want=0, **env):
        p = subprocess.run([SLM, *args], capture_output=True, text=True, env={"SLM_STORE": str(home / "ps"), "HOME": str(home), **env}, timeout=60)
        check(p.returncode == want, f"slm {args}: {p.returncode} {p.stderr}")
        return p.stdout + p.stderr
    slm("create", "one", "--from", str(ROOT / "tests/golden/logits/llama.gguf"))
    with serve("--store", "--listen", f"unix:{home}/sock", store="ps") as s:
        at, sock = f"127.0.0.1:{s.port}", f"unix:{home}/sock"
        check(slm("ps", "--server", at) == "", "nothing is loaded")
        ask(s, "POST", "/api/generate", {"model": "one"})
        check("one:latest" in slm("ps", "--server", at) and "context" in slm("ps", "--server", sock), "it is listed, on any address")
        check(json.loads(slm("ps", "--json", "--server", f"http://{at}/"))["models"][0]["name"] == "one:latest", "as JSON")
        slm("stop", "one", "--server", at)
        for _ in range(50):
            if slm("ps", "--server", at) == "":
                break
            time.sleep(0.1)
        check(slm("ps", "--server", at) == "", "it is unloaded")
        check("nobody" in slm("stop", "nobody", "--server", at, want=1), "an unknown model")
    check("slm serve" in slm("ps", "--server", "127.0.0.1:1", want=6), "no server")
    with Server(SLM, "-m", str(ROOT / "tests/golden/models/llama-linear.gguf"), "--log", "off", "-t", "1", env={"SLM_KEY": "a-long-secret-key"}) as s:
        check("SLM_KEY" in slm("ps", "--server", f"127.0.0.1:{s.port}", want=1), "a key is needed")
        check("llama-linear" in slm("ps", "--server", f"127.0.0.1:{s.port}", SLM_KEY="a-long-secret-key"), "and sent")
    slm("cp", "one", f"{r.host}/mine/one:v1")
    slm("push", f"{r.host}/mine/one:v1")
    check("mine/one/v1" in r.manifests, "pushed")
    slm("push", "one:none", want=1)
    r.blobs.clear()
    r.upload_to = "http://localhost:1"
    check("another host" in slm("push", f"{r.host}/mine/one:v1", want=6), "uploads go to nobody else")
    r.upload_to, r.refuse_upload = "", 401
    check("login" in slm("push", f"{r.host}/mine/one:v1", want=6), "a login")


def test_replaced():
    """A model that is created again and again takes no place of its own each time; where there is none left, it stays what it was by its name."""
    folder = home / "full"
    folder.mkdir()
    for i in range(4094):  # with one of the store: one place is left of 4096
        (folder / f"m{i}.gguf").touch()
    with serve("--store", "--models", str(folder), store="replaced") as s:
        check(ask(s, "POST", "/api/blobs/" + digest(TINY), TINY).status == 201, "a blob")
        seen = set()
        for i in range(5):
            a = ask(s, "POST", "/api/create", {"model": "again", "files": {"t.gguf": digest(TINY)}, "system": f"be {i}", "template": TEMPLATE, "stream": False})
            check(a.status == 200, f"create {i}: {a.body}")
            a = ask(s, "POST", "/api/chat", {"model": "again", "messages": [{"role": "user", "content": "x"}], "options": {"num_predict": 1}, "stream": False, "keep_alive": 0 if i % 2 else 60})
            check(a.status == 200, f"chat {i}: {a.body}")
            tags = [m for m in ask(s, "GET", "/api/tags").json()["models"] if m["name"] == "again:latest"]
            check(len(tags) == 1 and tags[0]["digest"] not in seen, f"replacement {i}: {tags}")
            seen.add(tags[0]["digest"] if tags else "")
        names = [m["id"] for m in ask(s, "GET", "/v1/models").json()["data"]]
        check(len(names) == 4095 and names.count("again") == 1, f"{len(names)} names")
        (folder / "last.gguf").touch()
        check(ask(s, "GET", "/v1/models").json()["data"][4095:], "every place is taken")
        a = ask(s, "POST", "/api/create", {"model": "again", "files": {"t.gguf": digest(TINY)}, "system": "be last", "template": TEMPLATE, "stream": False})
        check(a.status == 200, f"the last: {a.body}")
        a = ask(s, "POST", "/api/show", {"model": "again"})
        check(a.status == 200 and a.json()["system"] == "be last", f"{a.status}")


for test in (test_transcripts, test_allowed, test_bodies, test_full, test_leave, test_settings, test_replaced, test_ps_stop, test_client):
    t0 = time.time()
    test()
    print("done", test.__name__, f"{time.time() - t0:.1f} s", flush=True)
shutil.rmtree(home)
sys.exit(1 if N_FAULTS else 0)

"""lora.py SLM ROOT -- adapters of a server: as models of their own, by a request's field, in one batch; and of the program: --lora against slm merge."""
import array
import json
import os
import pathlib
import random
import struct
import subprocess
import sys
import tempfile
import threading

from server import Server, ask

slm, root = sys.argv[1], pathlib.Path(sys.argv[2])
here, model = root / "tests/wire", root / "tests/golden/models/llama-linear.gguf"
work = pathlib.Path(tempfile.mkdtemp(prefix="slm-lora-"))
SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}


def check(holds, what):
    if not holds:
        raise AssertionError(what)


def tensors_of(path):
    """Names and shapes (fastest first) of a GGUF file, and its architecture."""
    f = open(path, "rb")
    take = lambda form: struct.unpack("<" + form, f.read(struct.calcsize("<" + form)))
    text = lambda: f.read(take("Q")[0]).decode()

    def value(kind):
        if kind == 8:
            return text()
        if kind == 9:
            inner, n = take("IQ")
            return [value(inner) for _ in range(n)]
        return take(SCALARS[kind])[0]

    f.read(8)
    n_tensor, n_key = take("QQ")
    keys = {}
    for _ in range(n_key):
        name = text()
        keys[name] = value(take("I")[0])
    tensors = []
    for _ in range(n_tensor):
        name = text()
        shape = take("%dQ" % take("I")[0])
        take("IQ")
        tensors.append((name, shape))
    return keys["general.architecture"], tensors


def write_adapter(path, rank, seed, size=0.15):
    """Random halves for every matrix of attention and feed-forward."""
    arch, tensors = tensors_of(model)
    draw = random.Random(seed)
    halves = []
    for name, shape in tensors:
        if len(shape) == 2 and (".attn_" in name or ".ffn_" in name):
            halves += [(name + ".lora_a", shape[0], rank), (name + ".lora_b", rank, shape[1])]
    text = lambda s: struct.pack("<Q", len(s)) + s.encode()
    keys = [("general.type", "adapter"), ("general.architecture", arch), ("adapter.type", "lora")]
    out = b"GGUF" + struct.pack("<IQQ", 3, len(halves), len(keys) + 1)
    out += b"".join(text(k) + struct.pack("<I", 8) + text(v) for k, v in keys) + text("adapter.lora.alpha") + struct.pack("<If", 6, 2.0 * rank)
    data = b""
    for name, cols, rows in halves:
        out += text(name) + struct.pack("<IQQIQ", 2, cols, rows, 0, len(data))
        data += array.array("f", (draw.gauss(0, size) for _ in range(rows * cols))).tobytes()
        data += bytes(-len(data) % 32)
    path.write_bytes(out + bytes(-len(out) % 32) + data)
    return path


one, two = write_adapter(work / "one.gguf", 4, 1), write_adapter(work / "two.gguf", 7, 2)
ARGS = ["-m", f"tiny={model}", "--template", str(here / "chat.jinja"), "--ctx", "256", "--lora", f"one={one}", "--lora", f"two={two}", "--lora", f"half={one}=0.5"]
PROMPT = "A prompt that is long enough to fill a page of the cache, and then some more of it, so that it is remembered for whoever asks again. "


def complete(s, name, lora=None, prompt=PROMPT):
    body = {"model": name, "prompt": prompt, "max_tokens": 24, "temperature": 0, "ignore_eos": True, "logprobs": 1}
    if lora is not None:
        body["lora"] = lora
    a = ask(s, "POST", "/v1/completions", body)
    check(a.status == 200, a.body)
    v = a.json()
    return json.dumps(v["choices"][0], sort_keys=True), v["usage"]["prompt_tokens_details"]["cached_tokens"]


def run_text(*args):
    return subprocess.run([slm, "run", "--raw", "--temp", "0", "-n", "24", "--ignore-eos", "-t", "1", "-p", PROMPT, *map(str, args)], capture_output=True, text=True, check=True).stdout


def mix(*scales):
    return [{"id": i, "scale": x} for i, x in enumerate(scales) if x]


def test_names_and_fields():
    with Server(slm, *ARGS, "-t", "1") as s:
        listed = {m["id"]: m.get("parent") for m in ask(s, "GET", "/v1/models").json()["data"]}
        check(listed == {"tiny": None, "one": "tiny", "two": "tiny", "half": "tiny"}, listed)
        rows = ask(s, "GET", "/lora-adapters").json()
        check([(r["id"], r["name"], r["path"], r["scale"]) for r in rows] == [(0, "one", "one.gguf", 0), (1, "two", "two.gguf", 0), (2, "half", "one.gguf", 0)], rows)
        check([r["scale"] for r in ask(s, "GET", "/lora-adapters?model=half").json()] == [0, 0, 0.5], "the scales of a name")
        base, n = complete(s, "tiny")
        check(n == 0, "nothing is remembered yet")
        answers = {name: complete(s, name) for name in ("one", "two", "half")}
        check(all(n == 0 for _, n in answers.values()), "a prefix of other adapters was met")
        check(len({base, *(a for a, _ in answers.values())}) == 4, "adapters change the answer")
        for name in ("tiny", "one", "two", "half"):
            again, n = complete(s, name)
            check(n > 0 and again == (base if name == "tiny" else answers[name][0]), f"{name} again")
        check(complete(s, None)[0] == base, "no name is the base")
        check(complete(s, "tiny", mix(1))[0] == answers["one"][0], "the field is the name")
        check(complete(s, "two", mix(0.5))[0] == answers["half"][0], "the field stands above the name")
        check(complete(s, "one", [])[0] == base, "an empty field")
        check(complete(s, "tiny", mix(1, 0.3))[0] not in (base, answers["one"][0]), "two together")
        for lora in ([{"id": 3, "scale": 1}], [{"id": -1, "scale": 1}], [{"id": 0}], [{"id": "0", "scale": 1}], [7], [{"id": 0, "scale": 1e9}]):
            a = ask(s, "POST", "/v1/completions", {"model": "tiny", "prompt": "x", "lora": lora})
            check(a.status == 400 and b'field \\"lora\\"' in a.body, a.body)
        check(ask(s, "POST", "/completion", {"prompt": "x", "n_predict": 1, "lora": mix(1)}).status == 200, "llama.cpp's path")
        a = ask(s, "POST", "/v1/chat/completions", {"model": "one", "messages": [{"role": "user", "content": "x"}], "max_tokens": 4})
        check(a.status == 200 and a.json()["model"] == "one", a.body)
        vectors = [ask(s, "POST", "/v1/embeddings", {"model": name, "input": "x y z"}).json()["data"][0]["embedding"] for name in ("tiny", "one", "tiny")]
        check(vectors[0] == vectors[2] != vectors[1], "embeddings")
        check(ask(s, "POST", "/api/copy", {"source": "one", "destination": "three"}).status == 400, "an adapter gets no other name")
        check(ask(s, "DELETE", "/api/delete", {"model": "one"}).status == 400, "an adapter is not deleted")
        check(b'slm_model_loads_total 1\n' in ask(s, "GET", "/metrics").body, "one copy of the model")
        check(s.stop() == 0, "exit code")


def test_together():
    """Sixteen at once with six mixes, against each alone."""
    mixes = [[], mix(1), mix(0, 1), mix(0, 0, 1), mix(1, 1), mix(-0.5, 0.25)]
    work_of = [(mixes[i % 6], f"Text {i} " * (1 + i)) for i in range(16)]
    with Server(slm, *ARGS, "-t", "1", "--parallel", "1") as s:
        alone = [complete(s, "tiny", m, p)[0] for m, p in work_of]
    with Server(slm, *ARGS, "-t", "2", "--batch", "48") as s:
        got = [None] * 16

        def client(i):
            got[i] = complete(s, "tiny", *work_of[i])[0]

        threads = [threading.Thread(target=client, args=(i,)) for i in range(16)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        check(got == alone, [i for i in range(16) if got[i] != alone[i]])
        check(s.stop() == 0, "exit code")


def test_default_and_keep():
    """Without a name every answer takes it; an adapter that nobody asked for lately lets go of its base."""
    with Server(slm, "-m", f"tiny={model}", "--lora", one, "--lora", f"two={two}", "-t", "1", "--keep-alive", "0") as s:
        merged = complete(s, "tiny", mix(1))[0]
        check(complete(s, "tiny")[0] == merged != complete(s, "tiny", [])[0], "every answer takes it")
        check(complete(s, "two")[0] == complete(s, "tiny", mix(0, 1))[0], "a name takes its own alone")
        for _ in range(3):
            complete(s, "two")
        check(s.stop() == 0, "exit code")


def test_program():
    subprocess.run([slm, "merge", "-m", model, "--adapter", one, work / "merged.gguf", "--type", "F32"], check=True, capture_output=True)
    base, beside, merged = run_text("-m", model), run_text("-m", model, "--lora", one), run_text("-m", work / "merged.gguf")
    check(beside == merged != base, "--lora is the merged model")
    check(run_text("-m", model, "--lora", f"{one}=0") == base, "scale 0")
    check(run_text("-m", model, "--lora", f"{one}=0.25") == run_text("-m", model, "--lora-scaled", f"{one}:0.25") != beside, "both ways to say a scale")
    odd = work / "a=0.5"
    odd.write_bytes(one.read_bytes())
    check(run_text("-m", model, "--lora", odd) == beside, "a file whose name looks like a scale")
    plan = json.loads(subprocess.run([slm, "inspect", "-m", model, "--plan", "--json", "--lora", one], check=True, capture_output=True, text=True).stdout)["plan"]
    check(any(r["name"] == "adapters" and r["bytes"] > 0 for r in plan["buffers" if "buffers" in plan else "rows"]), plan)


def test_stored():
    """ADAPTER of a stored model, served: beside its base, and a name of --lora on top of it."""
    env = {**os.environ, "SLM_STORE": str(work / "store"), "SLM_CACHE": "off", "SLM_CPU": "ref"}
    subprocess.run([slm, "create", "tuned", "-f", "-"], input=f"FROM {model}\nADAPTER {one}\n", text=True, check=True, capture_output=True, env=env)
    with Server(slm, "-m", "tuned", "--template", str(here / "chat.jinja"), "--lora", f"two={two}", "-t", "1", "--ctx", "256", env=env) as s:
        rows = ask(s, "GET", "/lora-adapters?model=tuned").json()
        check([(r.get("name"), r["scale"]) for r in rows] == [("two", 0), (None, 1)], rows)
        tuned, both = complete(s, "tuned")[0], complete(s, "two")[0]
        check(complete(s, "tuned", mix(0, 1))[0] == tuned != both, "its own adapter")
        check(complete(s, "tuned", mix(1, 1))[0] == both, "both")
        check(s.stop() == 0, "exit code")
    with Server(slm, *ARGS, "-t", "1") as s:
        check(complete(s, "one")[0] == tuned, "the same adapter by --lora")
        check(s.stop() == 0, "exit code")


def test_refused():
    def said(code, words, *args):
        r = subprocess.run([slm, *map(str, args)], capture_output=True, text=True, timeout=60)
        check(r.returncode == code and words in r.stderr, (args, r.returncode, r.stderr))

    (work / "cut.gguf").write_bytes(one.read_bytes()[:-100])
    other = root / "tests/golden/models/qwen2-7-heads.gguf"
    said(3, "architecture", "run", "-m", other, "--lora", one, "-p", "x")
    said(3, "cut.gguf", "run", "-m", model, "--lora", work / "cut.gguf", "-p", "x")
    said(3, "is no adapter", "run", "-m", model, "--lora", model, "-p", "x")
    said(2, "its scale", "run", "-m", model, "--lora", f"{one}=1e9", "-p", "x")
    said(1, "none.gguf", "run", "-m", model, "--lora", "none.gguf", "-p", "x")
    serve = ["serve", "--listen", "127.0.0.1:0", "-m", f"tiny={model}"]
    said(2, "belongs to one model", *serve, "-m", f"other={other}", "--lora", f"one={one}")
    said(2, "there is a model of this name", *serve, "--lora", f"tiny={one}")
    said(2, "there is a model of this name", *serve, "--lora", f"a={one}", "--lora", f"a={two}")
    said(3, "is no adapter", *serve, "--lora", f"one={model}")
    said(1, "none.gguf", *serve, "--lora", "one=none.gguf")


for test in (test_names_and_fields, test_together, test_default_and_keep, test_program, test_stored, test_refused):
    test()
    print("ok", test.__name__)

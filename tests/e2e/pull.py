"""pull.py SLM TINY_GGUF -- slm pull, list, show, cp, rm and run by name against loopback servers with faults. SLM_TEST_KILLS: how many kills (20)."""
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.dirname(__file__))
from registry import Server, digest  # noqa: E402

SLM, TINY = sys.argv[1:3]
CHUNK = 8 << 20
rng = random.Random(7)
BIG = rng.randbytes(3 * CHUNK + 12345)
PARAMS = json.dumps({"temperature": 0, "num_predict": 4, "stop": ["zzzz"], "mirostat": 1, "num_gpu": 9}).encode()
BAD_PARAMS = json.dumps({"temperature": {"x": 1}}).encode()
tiny = open(TINY, "rb").read()
pad = tiny + bytes(8 << 20)  # the same model, and more than its head
home = tempfile.mkdtemp()


def layer(data, kind="model"):
    return {"mediaType": f"application/vnd.ollama.image.{kind}", "digest": digest(data), "size": len(data)}


def manifest(*layers):
    return {"schemaVersion": 2, "config": {"mediaType": "application/vnd.docker.container.image.v1+json", "digest": digest(b"{}"), "size": 2}, "layers": list(layers)}


def env(**more):
    return {"PATH": os.environ["PATH"], "HOME": home, "SLM_STORE": os.path.join(home, "store"), "SLM_MODELS": os.path.join(home, "none"), "SLM_CACHE": "off", **more}


def slm(*args, want=0, **more):
    p = subprocess.run([SLM, *args], capture_output=True, text=True, env=env(**more), timeout=120)
    if p.returncode != want:
        raise SystemExit(f"slm {' '.join(args)}: exit {p.returncode}, not {want}\n{p.stdout}{p.stderr}")
    return p


def expect(cond, what):
    if not cond:
        raise SystemExit(f"FAILED: {what}")


def fresh():
    shutil.rmtree(os.path.join(home, "store"), ignore_errors=True)


def store_files(folder):
    path = os.path.join(home, "store", folder)
    return sorted(os.listdir(path)) if os.path.isdir(path) else []


def blob(data):
    with open(os.path.join(home, "store", "blobs", digest(data).replace(":", "-")), "rb") as f:
        return f.read()


def registry():
    return Server([BIG, tiny, b"{}", b"be brief", PARAMS, BAD_PARAMS], {
        "library/big/latest": manifest(layer(BIG)),
        "library/tiny/1b": manifest(layer(tiny), layer(b"be brief", "system")),
        "library/set/latest": manifest(layer(tiny), layer(PARAMS, "params")),
        "library/badset/latest": manifest(layer(tiny), layer(BAD_PARAMS, "params")),
        "library/adapted/latest": manifest(layer(tiny), layer(b"{}", "adapter")),
    }).start()


def test_pull_list_run_remove():
    fresh()
    s = registry()
    name = f"{s.host}/library/tiny:1b"
    slm("run", "-m", f"{s.host}/library/none:1b", "--raw", "-p", "x", want=1)
    slm("pull", name)
    expect(name in slm("list").stdout, "the name is listed")
    models = json.loads(slm("list", "--json").stdout)["models"]
    expect(len(models) == 1 and models[0]["bytes"] == len(tiny) + 10, models)
    expect("be brief" in slm("show", name).stdout, "the system prompt is shown")
    same = [slm("run", "-m", m, "--raw", "--temp", "0", "-n", "8", "--ids", "-p", "a").stdout for m in (TINY, name)]
    expect(same[0] == same[1], same)
    slm("cp", name, "mine")
    slm("rm", name)
    expect(slm("run", "-m", "mine", "--raw", "--temp", "0", "-n", "8", "--ids", "-p", "a").stdout == same[0], "the copy runs")
    kept = store_files("kept")
    for path, days in (("kept/" + "a" * 64, 2), ("kept/" + "b" * 64, 0), ("partial/making-1-0.gguf", 2), ("partial/upload-1-1", 2), ("partial/peek-7/x.gguf", 2)):  # of work that never ended
        path = os.path.join(home, "store", path)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        open(path, "w").close()
        for p in (path, os.path.dirname(path)):
            if "peek" in p or p == path:
                os.utime(p, (time.time() - days * 86400,) * 2)
    expect("freed" in slm("rm", "mine").stderr, "bytes are freed")
    expect(store_files("blobs") == [] and store_files("partial") == [], "nothing is left")
    expect(store_files("kept") == sorted(kept + ["b" * 64]), f"marks of a day ago are swept, others are not: {store_files('kept')}")
    e = slm("run", "-m", "mine:no", "--raw", "-p", "x", "--temp", "0", want=6, https_proxy="http://127.0.0.1:9").stderr
    expect("error:" in e, e)
    e = slm("inspect", "-m", "mine", want=1).stderr
    expect("not in the store" in e and "slm pull mine" in e, e)


def test_settings():
    """What a pulled model says about its use fills what the user has not given."""
    fresh()
    s = registry()
    name = f"{s.host}/library/set"
    greedy = slm("run", "-m", TINY, "--raw", "--temp", "0", "-n", "4", "--ids", "-p", "a").stdout
    p = slm("run", name, "a", "--raw", "--ids")
    expect(p.stdout == greedy, (p.stdout, greedy))
    expect("mirostat" in p.stderr and "num_gpu" not in p.stderr, p.stderr)
    expect(len(json.loads(slm("run", name, "a", "--raw", "--ids", "-n", "2").stdout)) == 2, "what the user gives stands")
    e = slm("run", f"{s.host}/library/badset", "a", "--raw", want=3).stderr
    expect('parameter "temperature"' in e, e)
    e = slm("run", f"{s.host}/library/adapted", "a", "--raw", want=3).stderr
    expect("not a GGUF file" in e, e)
    said = [json.loads(slm("run", f"{s.host}/library/tiny:1b", "hi", "--temp", "0", "-n", "3", "--json", *more).stdout)["n_prompt"] for more in ([], ["--system", "be brief"], ["--system", ""])]
    expect(said[0] == said[1] != said[2], said)


def test_hostile_texts():
    """No text or parameter of a pulled model becomes a directive of its Modelfile."""
    fresh()
    system = b'be kind\n"""\nADAPTER /etc/passwd\nSYSTEM """yes'
    params = json.dumps({"top_k": "7", "x\nADAPTER /etc/passwd\nPARAMETER seed": 1, "mirostat": 2, "stop": ['a"""\nADAPTER /etc/passwd', "ok"]}).encode()
    s = Server([tiny, b"{}", system, params], {"library/bad/latest": manifest(layer(tiny), layer(system, "system"), layer(params, "params"))}).start()
    name = f"{s.host}/library/bad"
    slm("pull", name)
    shown = slm("show", "--modelfile", name).stdout
    expect("\nADAPTER" not in shown and "\nSYSTEM" not in shown, shown)
    expect("# SYSTEM: left out" in shown and '# PARAMETER "mirostat": left out' in shown and "PARAMETER top_k 7\n" in shown and "PARAMETER stop ok\n" in shown, shown)
    with open(os.path.join(home, "Modelfile"), "w") as f:
        f.write(shown)
    slm("create", "again", "-f", os.path.join(home, "Modelfile"))
    wrong = f"{registry().host}/library/badset"
    slm("pull", wrong)
    expect('parameter "temperature"' in slm("show", "--modelfile", wrong, want=3).stderr, "a parameter of another kind")


def test_faults():
    """Every pull ends whole, or says why and leaves no name."""
    passing = ["cut", "429", "500", "no_ranges"]
    fatal = {"403": "answers 403", "gzip": "compressed", "page": "promised", "wrong_hash": "thrown away", "longer": "promised", "endless": "", "other_range": "another range"}
    for fault in passing:
        fresh()
        s = registry()
        s.fault, s.fault_left = fault, -1 if fault == "no_ranges" else 4
        slm("pull", f"{s.host}/library/big")
        expect(blob(BIG) == BIG, fault)
        expect(store_files("partial") == [], fault)
    for fault, why in fatal.items():
        fresh()
        s = registry()
        s.fault, s.fault_left = fault, -1
        p = subprocess.run([SLM, "pull", f"{s.host}/library/big"], capture_output=True, text=True, env=env(), timeout=120)
        if p.returncode == 0:
            expect(fault in ("endless",) and blob(BIG) == BIG, f"{fault} passed")
            continue
        expect(p.returncode in (3, 6) and p.stderr.startswith("error:") and why in p.stderr, f"{fault}: {p.returncode} {p.stderr}")
        expect(slm("list").stdout == "" and store_files("blobs") in ([], [digest(b"{}").replace(":", "-")]), f"{fault} left a model")
        s.fault = ""
        slm("pull", f"{s.host}/library/big")
        expect(blob(BIG) == BIG, fault)
    fresh()
    s = registry()
    s.fault, s.fault_left = "etag", 1
    slm("pull", "--connections", "1", f"{s.host}/library/big")
    expect(blob(BIG) == BIG, "a tag that changed once")
    print(f"   {len(passing) + len(fatal) + 1} kinds of faults: {len(passing) + 1} end whole, the others are named, leave no model, and the next pull is whole")


def test_cut_at_any_byte():
    """A small file cut at every byte, in turn; SLM_TEST_CUTS: how many places (12)."""
    small = rng.randbytes(400)
    n = int(os.environ.get("SLM_TEST_CUTS", "12"))
    for at in sorted(rng.sample(range(len(small)), min(n, len(small)))):
        fresh()
        s = Server([small, b"{}"], {"library/small/latest": manifest(layer(small))}).start()
        s.fault, s.fault_left, s.cut_at = "cut_at", 1, at
        s.fault_size = len(small)
        slm("pull", f"{s.host}/library/small")
        expect(blob(small) == small and s.sent[digest(small)] == len(small), f"cut at {at}: {s.sent}")
    print(f"   cut at {min(n, len(small))} places: every file whole, no byte fetched twice")


def test_slow():
    """Bytes that trickle are waited for; a server that stands still is left, and asked again."""
    fresh()
    s = registry()
    s.fault, s.fault_left, s.fault_size = "trickle", 1, len(BIG)
    slm("pull", f"{s.host}/library/big")
    expect(blob(BIG) == BIG, "trickled")
    if os.environ.get("SLM_TEST_SLOW"):
        fresh()
        s = registry()
        s.fault, s.fault_left, s.fault_size = "stall", 1, len(BIG)
        t0 = time.time()
        slm("pull", "--connections", "1", f"{s.host}/library/big")
        expect(blob(BIG) == BIG and 25 < time.time() - t0 < 90, f"stood still for {time.time() - t0:.0f} s")
        print(f"   a server that stands still is left and asked again after {time.time() - t0:.0f} s")


def test_kills():
    """Killed at random, then again: the same file, and no more than a chunk fetched twice for each kill."""
    fresh()
    s = registry()
    s.delay = 0.002
    n_pulls, n_at_work = 1, 0
    kills = int(os.environ.get("SLM_TEST_KILLS", "20"))
    for _ in range(kills):
        p = subprocess.Popen([SLM, "pull", "--connections", "2", f"{s.host}/library/big"], env=env(), stderr=subprocess.PIPE, stdout=subprocess.DEVNULL)
        began, until = sum(s.sent.values()), time.time() + 3
        while sum(s.sent.values()) == began and p.poll() is None and time.time() < until:  # it is at work: the start does not count
            time.sleep(0.001)
        time.sleep(rng.uniform(0.0, 0.12))
        n_at_work += sum(s.sent.values()) > began
        p.send_signal(signal.SIGKILL)
        p.wait()
        expect(slm("list").stdout == "" or blob(BIG) == BIG, "a name before its blob")
        if slm("list").stdout:
            slm("rm", f"{s.host}/library/big")
            n_pulls += 1
    s.delay = 0
    slm("pull", f"{s.host}/library/big")
    expect(blob(BIG) == BIG, "the file after kills")
    twice = s.sent[digest(BIG)] - len(BIG) * n_pulls
    expect(twice <= kills * CHUNK, f"{twice} bytes fetched twice")
    print(f"   {kills} kills, {n_at_work} of them while bytes came, {n_pulls} whole pulls, {twice} bytes fetched twice")


def test_two_processes():
    fresh()
    s = registry()
    s.delay = 0.002
    two = [subprocess.Popen([SLM, "pull", f"{s.host}/library/big"], env=env(), stderr=subprocess.PIPE) for _ in range(2)]
    for p in two:
        expect(p.wait(60) == 0, p.stderr.read())
    expect(blob(BIG) == BIG and s.sent[digest(BIG)] == len(BIG), f"fetched {s.sent[digest(BIG)]} of {len(BIG)} bytes")
    print(f"   two processes, {len(BIG)} bytes: {s.sent[digest(BIG)]} bytes were sent")


def test_remove_while_in_use():
    fresh()
    s = registry()
    name = f"{s.host}/library/tiny:1b"
    slm("pull", name)
    p = subprocess.Popen([SLM, "run", "-m", name, "--raw", "-p", "Once", "-n", "-1", "-c", "100000", "--ignore-eos", "-t", "1"], env=env(), stdout=subprocess.PIPE)
    p.stdout.read(20)
    slm("rm", name)
    expect(digest(tiny).replace(":", "-") in store_files("blobs"), "a blob in use stays")
    p.send_signal(signal.SIGINT)
    p.communicate(timeout=60)
    slm("pull", f"{s.host}/library/big")
    slm("rm", f"{s.host}/library/big")
    expect(store_files("blobs") == [], "it goes when its user is gone")


def test_hub():
    fresh()
    q4, q8, shards = rng.randbytes(30000), rng.randbytes(60000), [rng.randbytes(2000), rng.randbytes(3000)]
    other = Server([q4, q8, tiny, *shards]).start()
    s = Server([], repos={"who/model-GGUF": {"README.md": b"hi", "m-Q4_K_M.gguf": q4, "m-Q8_0.gguf": q8, "mmproj-F16.gguf": b"x" * 2000,
                                            "m-F16-00001-of-00002.gguf": shards[0], "m-F16-00002-of-00002.gguf": shards[1]},
                          "who/tiny": {"tiny.gguf": tiny}, "who/none": {"README.md": b""},
                          "who/evil": {"../../x-Q4_0.gguf": q4, "/etc/x-Q4_1.gguf": q4}}).start()
    s.other = other
    hub = {"HF_ENDPOINT": f"http://{s.host}", "HF_TOKEN": "secret"}
    e = slm("pull", "who/model-GGUF", **hub).stderr
    expect("Q4_K_M of 3 quants" in e and "secret" not in e, e)
    expect(blob(q4) == q4 and "hf.co/who/model-GGUF:Q4_K_M" in slm("list").stdout, "the chosen quant")
    slm("pull", "hf.co/who/model-GGUF:q8_0", **hub)
    expect(blob(q8) == q8, "the quant that was asked for")
    slm("pull", "who/model-GGUF:F16", **hub)
    expect(blob(shards[0]) == shards[0] and blob(shards[1]) == shards[1], "both shards")
    plan = json.loads(slm("pull", "--dry-run", "--json", "who/model-GGUF:Q8_0", **hub).stdout)
    expect(plan["bytes"] == len(q8) and plan["license"] == "mit", plan)
    expect("several quants" in slm("inspect", "-m", "who/model-GGUF", want=2).stderr, "several quants are told apart")
    e = slm("pull", "who/model-GGUF:Q3_K", want=2, **hub).stderr
    expect("Q4_K_M" in e and "F16" in e, e)
    slm("pull", "who/none", want=3, **hub)
    slm("pull", "who/nobody", want=1, **hub)
    slm("pull", "who/evil", want=3, **hub)
    expect("Bearer secret" in s.seen_auth and all(a is None for a in other.seen_auth), "the token stays with its host")
    before = slm("run", "-m", "who/tiny", "--raw", "--temp", "0", "-n", "5", "--ids", "-p", "a", **hub).stdout
    expect(before.startswith("["), "run fetches first")
    slm("pull", f"http://{other.host}/v2/a/b/blobs/{digest(tiny)}")


def test_dry_run():
    """Size, memory and licence from the head of the file; no weights are fetched and nothing stays."""
    fresh()
    s = Server([tiny, BIG, b"{}", b"MIT\nsecond line"], {"library/tiny/1b": manifest(layer(tiny), layer(b"MIT\nsecond line", "license")), "library/noise/1b": manifest(layer(BIG))},
               repos={"who/tiny": {"tiny-F32.gguf": tiny}, "who/folder": {"config.json": b"{}", "model.safetensors": b"x" * 2000}}).start()
    s.blobs[digest(pad)] = pad
    s.manifests["library/pad/1b"] = manifest(layer(pad))
    plan = json.loads(slm("pull", "--dry-run", "--json", f"{s.host}/library/pad:1b").stdout)
    inspected = json.loads(slm("inspect", "-m", TINY, "--plan", "--json").stdout)["plan"]
    expect(abs(plan["memory"]["bytes"] - inspected["bytes"]) < 8 << 20 and plan["memory"]["n_ctx"] == inspected["n_ctx"], (plan, {k: v for k, v in inspected.items() if k != "rows"}))
    expect(plan["bytes"] == len(pad) + 2 and plan["looked_at_bytes"] <= 1 << 20 and s.sent[digest(pad)] <= 1 << 20, plan)
    expect(plan["model"]["architecture"] == "llama", plan)
    print(f"   {len(pad)} bytes at the registry: {plan['looked_at_bytes']} are asked for")
    text = slm("pull", "--dry-run", f"{s.host}/library/tiny:1b").stdout
    expect("license   MIT" in text and "second" not in text and "memory    " in text and "about" not in text, text)
    hub = {"HF_ENDPOINT": f"http://{s.host}", "HF_TOKEN": "secret"}
    plan = json.loads(slm("pull", "--dry-run", "--json", "who/tiny", **hub).stdout)
    expect(abs(plan["memory"]["bytes"] - inspected["bytes"]) < 8 << 20 and plan["license"] == "mit" and "F32" in plan["why"], plan)
    expect("says what it needs only when" in slm("pull", "--dry-run", "who/folder", **hub).stdout, "a folder")
    text = slm("pull", "--dry-run", f"{s.host}/library/noise:1b").stdout
    expect("GGUF" in text, text)
    s.fault, s.fault_left = "no_ranges", -1
    expect("no ranges" in slm("pull", "--dry-run", f"{s.host}/library/pad:1b").stdout, "a server without ranges")
    expect(store_files("blobs") == [] and store_files("partial") == [] and slm("list").stdout == "", "nothing stays")


def test_other_caches():
    """What Ollama, Hugging Face's tools and llama.cpp have on this machine is used: nothing is fetched, nothing is copied, and nothing of theirs goes."""
    big = digest(BIG)
    s = registry()
    hub = Server([BIG], repos={"who/model-GGUF": {"m-Q4_K_M.gguf": BIG}}).start()
    hf = {"HF_ENDPOINT": f"http://{hub.host}"}
    for place, name, more in ((f".ollama/models/blobs/{big.replace(':', '-')}", f"{s.host}/library/big", {}),
                              (f"elsewhere/blobs/{big.replace(':', '-')}", f"{s.host}/library/big", {"OLLAMA_MODELS": os.path.join(home, "elsewhere")}),
                              (f".cache/huggingface/hub/models--who--model-GGUF/blobs/{big[7:]}", "who/model-GGUF", hf),
                              (f"hf/hub/models--who--model-GGUF/blobs/{big[7:]}", "who/model-GGUF", {**hf, "HF_HOME": os.path.join(home, "hf")}),
                              (".cache/llama.cpp/who_model-GGUF_m-Q4_K_M.gguf", "who/model-GGUF", hf)):
        fresh()
        path = os.path.join(home, place)
        os.makedirs(os.path.dirname(path))
        with open(path, "wb") as f:
            f.write(BIG)
        sent = [dict(x.sent) for x in (s, hub)]
        slm("pull", name, **more)
        expect(big not in s.sent and s.sent.get(big, 0) == sent[0].get(big, 0) and hub.sent == sent[1], f"{place}: is used")
        expect(os.stat(path).st_nlink == 2 and blob(BIG) == BIG, f"{place}: without a copy")
        slm("rm", name, **more)
        expect(os.stat(path).st_nlink == 1 and store_files("blobs") == [], f"{place}: stays when the name goes")
        with open(path, "r+b") as f:  # of the right name and size, and damaged
            f.write(bytes([BIG[0] ^ 1]))
        slm("pull", name, **more)
        expect(blob(BIG) == BIG and os.stat(path).st_nlink == 1, f"{place}: what is damaged is not used")
        os.remove(path)
        s.sent.clear()
    print("   5 places of 3 programs: 0 bytes fetched, 0 copied, nothing of theirs changed; what is damaged is fetched instead")
    for folder in (".ollama", ".cache", "elsewhere", "hf"):
        shutil.rmtree(os.path.join(home, folder))


def test_hostile():
    fresh()
    bad = {"a/digest/latest": manifest({"mediaType": "application/vnd.ollama.image.model", "digest": "sha256:../../../../etc/passwd", "size": 5}),
           "a/size/latest": manifest({**layer(b"x"), "size": -1}), "a/big/latest": manifest({**layer(b"x"), "size": 1 << 62}),
           "a/list/latest": {"manifests": []}, "a/text/latest": b"no json", "a/huge/latest": b"[" * (2 << 20), "a/deep/latest": b"[" * 100000,
           "a/many/latest": manifest(*[layer(b"x")] * 600), "a/empty/latest": manifest(layer(b"x", "system"))}
    s = Server([b"x", b"{}"], bad).start()
    for key in bad:
        p = subprocess.run([SLM, "pull", f"{s.host}/{key.rsplit('/', 1)[0]}"], capture_output=True, text=True, env=env(), timeout=60)
        expect(p.returncode in (3, 4) and p.stderr.startswith("error:") and p.stderr.count("\n") <= 2, f"{key}: {p.returncode} {p.stderr}")
    for name in ("../x", "a/../b:c", "a/..", "library/x:..", "x:", ":x", "a//b", "a/b/c/d/e", "x" * 300, "a b", "a\\b", "h:1/../b:c", "hf.co/a", "-x/y", "http://"):
        p = subprocess.run([SLM, "pull", "--", name], capture_output=True, text=True, env=env(), timeout=60)
        expect(p.returncode in (1, 2, 6) and p.stderr.startswith("error:"), f"{name}: {p.returncode} {p.stderr}")
    expect(slm("list").stdout == "", "nothing came of it")


if __name__ == "__main__":
    chosen = sys.argv[3:]
    for test in (test_pull_list_run_remove, test_settings, test_hostile_texts, test_faults, test_cut_at_any_byte, test_slow, test_kills, test_two_processes, test_remove_while_in_use, test_hub, test_dry_run, test_other_caches, test_hostile):
        if chosen and test.__name__ not in chosen:
            continue
        t0 = time.time()
        test()
        print("ok", test.__name__, f"{time.time() - t0:.1f} s", flush=True)
    shutil.rmtree(home)

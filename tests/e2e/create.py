"""create.py SLM TINY_GGUF ROOT -- slm create from Modelfiles, files, folders, adapters and other models, and what the results do."""
import json
import os
import pathlib
import shutil
import struct
import subprocess
import sys
import tempfile

SLM, TINY, ROOT = sys.argv[1], sys.argv[2], pathlib.Path(sys.argv[3])
home = pathlib.Path(tempfile.mkdtemp())
store = home / "store"
TEMPLATE = "{% for m in messages %}[{{ m.role }}] {{ m.content }}\n{% endfor %}"


def run(*args, want=0, stdin=None):
    p = subprocess.run([SLM, *map(str, args)], capture_output=True, text=True, input=stdin, timeout=120,
                       env={"PATH": os.environ["PATH"], "HOME": str(home), "SLM_STORE": str(store), "SLM_MODELS": str(home / "none"), "SLM_CACHE": "off", "https_proxy": "http://127.0.0.1:9"})
    if p.returncode != want:
        raise SystemExit(f"slm {' '.join(map(str, args))}: exit {p.returncode}, not {want}\n{p.stdout}{p.stderr}")
    return p


def expect(cond, what):
    if not cond:
        raise SystemExit(f"FAILED: {what}")


def answer(*args):
    v = json.loads(run("run", *args, "--json").stdout)
    return v["ids"], v["n_prompt"]


def test_modelfile():
    (home / "m.gguf").write_bytes(pathlib.Path(TINY).read_bytes())
    (home / "Modelfile").write_text(f'''# made here
from ./m.gguf
PARAMETER temperature 0
parameter num_predict 5
PARAMETER stop "zz zz"
PARAMETER stop yy
SYSTEM """be
brief"""
MESSAGE user hi
MESSAGE assistant hello there
LICENSE MIT
TEMPLATE """{TEMPLATE}"""
''')
    run("create", "mario", "-f", home / "Modelfile")
    expect((home / "m.gguf").stat().st_nlink == 2, "the file is linked, not copied")
    (home / "t.jinja").write_text(TEMPLATE)
    (home / "before.json").write_text(json.dumps([{"role": "user", "content": "hi"}, {"role": "assistant", "content": "hello there"}]))
    by_hand = answer("-m", home / "m.gguf", "-p", "x", "--temp", "0", "-n", "5", "--system", "be\nbrief", "--template", home / "t.jinja", "--messages", home / "before.json")
    expect(answer("mario", "x") == by_hand, "template, system, messages and parameters hold")
    expect(answer("mario", "x", "--system", "", "-n", "2")[1] < by_hand[1], "what the user says stands")
    expect(answer("mario", "x", "--raw", "--temp", "0") == answer("-m", TINY, "-p", "x", "--raw", "--temp", "0", "-n", "5"), "--raw is the model alone")
    shown = run("show", "--modelfile", "mario").stdout
    (home / "again").write_text(shown)
    run("create", "again", "-f", home / "again")
    layers = [[(x["kind"], x["digest"]) for x in json.loads(run("show", "--json", n).stdout)["layers"]] for n in ("mario", "again")]
    expect(layers[0] == layers[1], "a shown Modelfile makes the same model")
    run("create", "luigi", "-f", "-", stdin="FROM mario\nSYSTEM other\nPARAMETER num_predict 3\nLICENSE second\n")
    shown = run("show", "luigi").stdout
    expect("other" in shown and "second" in shown and "MIT" in shown and '"temperature":0' in shown.replace(" ", "").replace("0.0", "0"), shown)
    expect(len(answer("luigi", "x")[0]) == 3, "parameters lie over the base's")


def test_refused():
    for text, why in {
        "FROM ./m.gguf\n\nPARAMTER a b": "line 3: directive \"PARAMTER\"", "FROM ./m.gguf\nREQUIRES 0.1": "line 2: directive \"REQUIRES\"", "PARAMETER temperature 0": "no FROM", "": "no FROM",
        "FROM ./m.gguf\nPARAMETER mirostat 1": "line 2: parameter \"mirostat\"", "FROM ./m.gguf\nPARAMETER top_k x": "a whole number", "FROM ./m.gguf\nPARAMETER top_k": "a whole number",
        "FROM ./m.gguf\nPARAMETER": "followed by a word", "FROM ./m.gguf\nPARAMETER temperature nan": "a number", "FROM ./m.gguf\nMESSAGE robot hi": "line 2: role", "FROM a\nFROM b": "line 2: FROM is given twice",
        "FROM ./m.gguf\nSYSTEM \"\"\"never\nends": "line 2: SYSTEM: quotes", "FROM ./none.gguf": "no such file", "FROM ./m.gguf\nADAPTER ./none": "no such file",
        "FROM ./m.gguf\nADAPTER ./m.gguf": "no adapter", "FROM ./m.gguf\nSYSTEM a\0b": "byte 22 is no text", "FROM ./Modelfile": "Modelfile", "FROM ../../../../etc/passwd": "passwd",
    }.items():
        (home / "bad").write_text(text)
        p = subprocess.run([SLM, "create", "bad", "-f", str(home / "bad")], capture_output=True, text=True, env={"HOME": str(home), "SLM_STORE": str(store)}, timeout=60)
        expect(p.returncode in (1, 2, 3) and p.stderr.startswith("error:") and why in p.stderr, f"{text!r}: {p.returncode} {p.stderr}")
    run("create", "../x", "--from", TINY, want=2)
    run("create", "bad", "--from", TINY, "-f", home / "Modelfile", want=2)
    run("create", "bad", "--from", TINY, "-q", "Q9_Z", want=2)
    expect("bad" not in run("list").stdout, "nothing came of it")


def test_convert():
    run("create", "small", "--from", TINY, "-q", "Q8_0")
    run("create", "small2", "--from", "mario", "-q", "Q8_0")
    a, b = (json.loads(run("show", "--json", n).stdout) for n in ("small", "small2"))
    digest = [next(x["digest"] for x in v["layers"] if x["kind"] == "model") for v in (a, b)]
    expect(digest[0] == digest[1] and a["bytes"] < os.path.getsize(TINY), "quantized once")
    config = next(x["digest"] for x in a["layers"] if x["kind"] == "config")
    c = json.loads((store / "blobs" / config.replace(":", "-")).read_text())
    expect(c["model_family"] == "llama" and c["file_type"] == "Q8_0" and c["rootfs"]["diff_ids"][0] == digest[0], c)
    expect(answer("small2", "x")[1] == answer("mario", "x")[1], "the texts come along")


def test_folder():
    folder = home / "hf"
    subprocess.run([sys.executable, str(ROOT / "tests/golden/make_hf.py"), TINY, str(folder)], check=True, capture_output=True)
    run("create", "folder", "--from", folder)
    ids = run("run", "folder", "--raw", "--temp", "0", "-n", "4", "--ids", "-p", "a").stdout
    expect(ids == run("run", "-m", folder, "--raw", "--temp", "0", "-n", "4", "--ids", "-p", "a").stdout, "a folder converted is the folder")


def test_adapter():
    (home / "d.jsonl").write_text("".join(json.dumps({"text": f"the small w{i} sees w{i + 1}"}) + "\n" for i in range(40)))
    run("finetune", "-m", TINY, "--data", home / "d.jsonl", "--ctx", "32", "--batch-tokens", "128", "--steps", "4", "--lr", "1e-1", "--lora-r", "2", "--out", home / "tuned")
    run("create", "tuned", "-f", "-", stdin=f"FROM {TINY}\nADAPTER {home}/tuned/adapter.gguf\n")
    run("merge", "-m", TINY, "--adapter", home / "tuned/adapter.gguf", home / "merged.gguf", "--type", "F32")
    args = ("--raw", "--temp", "0", "-n", "8", "--ids", "-p", "the small")
    merged = run("run", "-m", home / "merged.gguf", *args).stdout
    expect(run("run", "tuned", *args).stdout == merged, "the adapter runs beside the model")
    expect(not (store / "adapted").exists() or not list((store / "adapted").iterdir()), "and nothing is merged")
    run("inspect", "-m", "tuned")
    expect(len(list((store / "adapted").iterdir())) == 1, "a command that needs one file has them merged, once, and kept")
    expect(run("run", "-m", next((store / "adapted").iterdir()), *args).stdout == merged, "which says the same")
    run("rm", "tuned")
    expect(not list((store / "adapted").iterdir()), "and goes with its name")


SIZES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}


def split_gguf(source, prefix):
    """A GGUF file as two: all keys and the first half of the tensors, then the rest."""
    b, at = pathlib.Path(source).read_bytes(), 24
    _, n_tensor, n_kv = struct.unpack_from("<IQQ", b, 4)

    def text(at):
        n = struct.unpack_from("<Q", b, at)[0]
        return at + 8 + n

    def value(kind, at):
        if kind == 8:
            return text(at)
        if kind != 9:
            return at + SIZES[kind]
        kind, n = struct.unpack_from("<IQ", b, at)
        at += 12
        for _ in range(n):
            at = value(kind, at)
        return at

    def pair(key, code, v):
        return struct.pack("<Q", len(key)) + key.encode() + struct.pack("<I" + code, {"H": 2, "i": 5}[code], v)

    for _ in range(n_kv):
        at = text(at)
        at = value(struct.unpack_from("<I", b, at)[0], at + 4)
    keys, tensors = b[24:at], []
    for _ in range(n_tensor):
        begin, at = at, text(at)
        at += 4 + 8 * struct.unpack_from("<I", b, at)[0] + 4
        tensors.append((b[begin:at], struct.unpack_from("<Q", b, at)[0]))
        at += 8
    data = b[-(-at // 32) * 32:]
    ends = sorted(t[1] for t in tensors)[1:] + [len(data)]
    end_of = dict(zip(sorted(t[1] for t in tensors), ends))
    half = len(tensors) // 2
    for i, part in enumerate((tensors[:half], tensors[half:])):
        split = pair("split.no", "H", i) + pair("split.count", "H", 2) + pair("split.tensors.count", "i", n_tensor)
        rows, body = b"", b""
        for row, offset in part:
            rows += row + struct.pack("<Q", len(body))
            body += data[offset:end_of[offset]]
            body += bytes(-len(body) % 32)
        head = b"GGUF" + struct.pack("<IQQ", 3, len(part), 3 + (n_kv if i == 0 else 0)) + (keys if i == 0 else b"") + split + rows
        pathlib.Path(f"{prefix}-{i + 1:05d}-of-00002.gguf").write_bytes(head + bytes(-len(head) % 32) + body)


def test_go_template():
    """A template in Go's language: a recipe's replaces the file's own; one that came with a pulled model is used where the file has none."""
    plain, talks = home / "plain.gguf", home / "talks.gguf"
    shutil.copyfile(TINY, plain)
    subprocess.run([sys.executable, ROOT / "tests/cli/add_template.py", str(plain), str(talks), TEMPLATE], check=True)
    go = '{{ if .System }}[S] {{ .System }}{{ end }}[U] {{ .Prompt }} [A] {{ .Response }}[E]'
    args = ("--temp", "0", "-n", "4", "--ids", "-p", "hi")
    for name, base, template in (("gone", plain, go), ("bare", plain, "{{- .Prompt }}\n"), ("both", talks, go), ("bad", plain, "{{ if .System }}")):
        (home / "go").write_text(f'FROM {base}\nTEMPLATE """{template}"""\n')
        e = run("create", name, "-f", home / "go").stderr
        expect(("cannot be used" in e and "line 1" in e) == (name == "bad"), e)
    by_hand = run("run", "-m", plain, "--raw", "--temp", "0", "-n", "4", "--ids", "-p", "[U] hi [A] ").stdout
    expect(run("run", "gone", *args).stdout == by_hand, "the template makes the prompt, up to where the answer goes")
    expect(run("run", "gone", "--raw", *args).stdout == run("run", "-m", plain, "--raw", *args).stdout, "raw prompts are the user's choice")
    (home / "t.jinja").write_text(TEMPLATE)
    expect(run("run", "gone", "--template", home / "t.jinja", *args).stdout == run("run", "-m", talks, *args).stdout, "and so is another template")
    (home / "t.go").write_text(go)
    expect(run("run", "-m", talks, "--template", home / "t.go", *args).stdout == by_hand, "which may be in Go's language")
    for job in (("classify", "-l", "a,b"), ("extract", "--schema", '{"type":"boolean"}'), ("summarize",)):
        run(*job, "-m", "gone", "hi")
    told, raw = (run("classify", "-l", "a,b", *more, "-m", "gone", "--json", "hi").stdout for more in ((), ("--raw",)))
    expect(told != raw, "jobs make turns by it too")
    (home / "in.json").write_text(json.dumps({"messages": [{"role": "system", "content": "be"}, {"role": "user", "content": "hi"}], "add_generation_prompt": True}))
    expect(run("template", "-m", "gone", "--input", home / "in.json").stdout == "[S] be[U] hi [A] ", "slm template shows it")
    expect(run("run", "bare", *args).stdout == run("run", "-m", plain, *args).stdout, "the prompt alone is no template")
    expect(run("run", "both", *args).stdout == by_hand, "a recipe's template replaces the file's own")
    run("create", "derived", "--from", "both")
    expect(run("run", "derived", *args).stdout == by_hand, "and does so in what is made from it")
    manifest = next(p for p in (store / "manifests").rglob("*") if p.is_file() and "both" in str(p))
    v = json.loads(manifest.read_text())
    for layer in v["layers"]:
        layer.pop("annotations", None)
    manifest.write_text(json.dumps(v))
    expect(run("run", "both", *args).stdout == run("run", "-m", talks, *args).stdout, "what came with a pulled model says in Go's language what the file says itself")
    e = run("run", "bad", *args, want=3).stderr
    expect("if without its end" in e and "--raw" in e, e)
    run("rm", "gone", "bare", "both", "derived", "bad")


def test_shards():
    split_gguf(TINY, home / "my #1 model")
    run("create", "split", "--from", home / "my #1 model-00001-of-00002.gguf")
    args = ("--raw", "--temp", "0", "-n", "4", "--ids", "-p", "a")
    expect(run("run", "split", *args).stdout == run("run", "-m", TINY, *args).stdout, "shards under any name of the user's")
    titles = [x.get("file") for x in json.loads(run("show", "--json", "split").stdout)["layers"] if x["kind"] == "model"]
    view = next((store / "views").iterdir())
    expect(sorted(x.name for x in view.iterdir()) == titles, "they are seen under their titles")
    link = view / titles[1]
    link.unlink()
    link.symlink_to(home / "gone")
    expect(run("run", "split", *args).stdout == run("run", "-m", TINY, *args).stdout, "a stale link of a view is made anew")
    manifest = next(p for p in (store / "manifests").rglob("*") if p.is_file() and "split" in str(p))
    old = manifest.read_text()
    manifest.write_text(old.replace("model-00001", "x").replace("model-00002", "model-00001").replace('"x', '"model-00002'))
    run("run", "split", *args, want=3)  # the first shard is not the second
    seen = [{x.name: os.path.realpath(x) for x in v.iterdir()} for v in (store / "views").iterdir()]
    expect(len(seen) == 2 and seen[0][titles[0]] == seen[1][titles[1]], "the same blobs under exchanged titles are another view")
    manifest.write_text(old)
    expect(titles == ["model-00001-of-00002.gguf", "model-00002-of-00002.gguf"], titles)


if __name__ == "__main__":
    for test in (test_modelfile, test_refused, test_convert, test_folder, test_adapter, test_go_template, test_shards):
        test()
        print("ok", test.__name__, flush=True)
    run("rm", *[line.split()[0] for line in run("list").stdout.splitlines()])
    expect(not list((store / "blobs").iterdir()) and os.path.getsize(home / "m.gguf") > 0, "nothing is left, and nothing of the user's is gone")
    shutil.rmtree(home)

#!/usr/bin/env python3
"""tier_data.py SHARED OUT -- labelled rows for slm classify and slm extract, outcomes for slm calibrate --replay, as JSON lines."""
import csv
import json
import pathlib
import random
import sys
import tarfile

shared, out = pathlib.Path(sys.argv[1]) / "data/tasks", pathlib.Path(sys.argv[2])
out.mkdir(parents=True, exist_ok=True)
csv.field_size_limit(10**9)


def write(name, rows):
    with open(out / f"{name}.jsonl", "w") as f:
        for row in rows:
            f.write(json.dumps(row) + "\n")


def labelled(pairs):
    return [{"text": t, "label": l} for t, l in pairs]


def few(name, rows):
    """1, 5 and 10 rows of each label."""
    rows = list(rows)
    random.Random(1).shuffle(rows)
    for k in (1, 5, 10):
        seen, kept = {}, []
        for r in rows:
            seen[r["label"]] = seen.get(r["label"], 0) + 1
            if seen[r["label"]] <= k:
                kept.append(r)
        write(f"{name}.few{k}", kept)


def task(name, parts):
    for part, rows in parts.items():
        write(f"{name}.{part}", rows)
    few(name, parts["train"])


d = json.load(open(shared / "clinc150/data_full.json"))
task("clinc150", {p: labelled(d[p]) for p in ("train", "val", "test")})
write("clinc150.oos", labelled(d["oos_test"]))

rows = {p: labelled((r["text"], r["category"]) for r in csv.DictReader(open(shared / f"banking77/{p}.csv"))) for p in ("train", "test")}
task("banking77", rows)

# SNIPS: the intent, and the slots as JSON. A slot that comes twice is a list.
snips, slots = {"train": [], "test": []}, {"train": [], "test": []}
for path in sorted((shared / "snips").glob("*.json")):
    part, intent = path.stem.split("_")[:2]
    part = "train" if part == "train" else "test"
    for u in json.loads(path.read_bytes().decode("utf-8", "replace"))[intent]:
        text = "".join(x["text"] for x in u["data"]).strip()
        found = {}
        for x in u["data"]:
            if "entity" in x:
                found.setdefault(x["entity"], []).append(x["text"].strip())
        snips[part].append({"text": text, "label": intent})
        slots[part].append({"text": text, "label": json.dumps(found), "intent": intent})
task("snips", snips)
write("snips.slots.test", slots["test"])
for intent in sorted({r["intent"] for r in slots["test"]}):
    names = sorted({n for r in slots["train"] if r["intent"] == intent for n in json.loads(r["label"])})
    schema = {"type": "object", "properties": {n: {"type": "array", "items": {"type": "string"}, "minItems": 1, "maxItems": 3} for n in names}, "additionalProperties": False}
    (out / f"snips.{intent}.schema.json").write_text(json.dumps(schema))
    write(f"snips.{intent}.slots", [r for r in slots["test"] if r["intent"] == intent])

polarity = []
for end, label in (("pos", "positive"), ("neg", "negative")):
    polarity += [{"text": line.strip(), "label": label} for line in open(shared / f"sentence_polarity/rt-polarity.{end}", encoding="latin-1")]
random.Random(1).shuffle(polarity)
task("polarity", {"test": polarity[:2000], "val": polarity[2000:4000], "train": polarity[4000:]})

# WNUT17: names of each kind in a text.
kinds = ["corporation", "creative-work", "group", "location", "person", "product"]
texts, words, tags = [], [], []
for line in (shared / "wnut17/emerging.test.annotated").read_text().splitlines() + [""]:
    if line.strip():
        w, t = line.split("\t")[:2]
        words.append(w)
        tags.append(t.strip())
        continue
    if words:
        found, i = {}, 0
        while i < len(words):
            if tags[i].startswith("B-"):
                j = i + 1
                while j < len(words) and tags[j].startswith("I-"):
                    j += 1
                found.setdefault(tags[i][2:], []).append(" ".join(words[i:j]))
                i = j
            else:
                i += 1
        texts.append({"text": " ".join(words), "label": json.dumps(found)})
    words, tags = [], []
write("wnut17.test", texts)
schema = {"type": "object", "properties": {k: {"type": "array", "items": {"type": "string"}, "minItems": 1, "maxItems": 4} for k in kinds}, "additionalProperties": False}
(out / "wnut17.schema.json").write_text(json.dumps(schema))

with tarfile.open(shared / "routellm.tar.gz") as tar:
    for name, wanted in (("mmlu", "/mmlu/responses/"), ("gsm8k", "/gsm8k/gsm8k_responses.csv")):
        outcomes = []
        for member in sorted((m for m in tar.getmembers() if wanted in m.name and m.name.endswith(".csv")), key=lambda m: m.name):
            table = list(csv.reader(tar.extractfile(member).read().decode().splitlines(keepends=True)))
            outcomes += [{"local_ok": r[1] == "True", "frontier_ok": r[2] == "True"} for r in table[1:]]
        write(f"routellm.{name}", outcomes)

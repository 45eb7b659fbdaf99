#!/usr/bin/env python3
"""prepare.py SHARED OUT -- turn the data sets of ../shared/data/tasks into files that slm reads. Nothing of it is committed.

banking77/  seed-N/{a.csv, few.csv, pool.csv}: protocol H (docs/distilling.md): half of the training texts has labels for the teacher, ten for
            each label of these are the student's, the other half is a pool that nobody has labels of. all.csv, test.csv, labels.txt
clinc150/   the same; out of scope is the label "oos"
desk/       train.jsonl, val.jsonl: chats "text" -> {"intent": ..., "slots": {...}} of all three sets; test-<set>.jsonl of each, test-<set>-bare.jsonl
            without the system turn that names the desk, which a fifth of the training rows lack too"""
import collections
import csv
import json
import pathlib
import random
import sys

SEEDS = (1, 2, 3)
FEW = 10  # labels for each class
DESKS = {"banking77": "bank", "clinc150": "assistant", "snips": "media"}  # the system turn: some intents of two sets mean the same
BARE_EVERY = 5


def read_banking(shared):
    read = lambda name: [(r["text"].strip(), r["category"]) for r in csv.DictReader(open(shared / "banking77" / name, newline="", encoding="utf-8"))]
    return {"train": read("train.csv"), "test": read("test.csv")}


def read_clinc(shared):
    d = json.load(open(shared / "clinc150" / "data_full.json", encoding="utf-8"))
    return {part: [(t, l) for t, l in d[part] + d["oos_" + part]] for part in ("train", "val", "test")}


def read_snips(shared):
    """(text, intent, [(slot, value), ...]); the authors' validation part is the test, a twentieth of their training part is for validation."""
    out = {"train": [], "val": [], "test": []}
    for path in sorted((shared / "snips").glob("*.json")):
        for intent, rows in json.loads(path.read_bytes().decode("utf-8", "replace")).items():
            for i, row in enumerate(rows):
                text = "".join(p["text"] for p in row["data"]).strip()
                slots = [(p["entity"], p["text"].strip()) for p in row["data"] if "entity" in p]
                part = "test" if path.name.startswith("validate") else "val" if i % 20 == 7 else "train"
                if text:
                    out[part].append((text, intent, slots))
    return out


def write_csv(path, rows, header=("text", "label")):
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w", newline="", encoding="utf-8") as f:
        w = csv.writer(f, lineterminator="\n")
        w.writerow(header)
        w.writerows(rows)


def protocol_h(out, parts, name):
    test_texts = {t for t, _ in parts["test"]}
    train = [r for r in dict.fromkeys(parts["train"]) if r[0] not in test_texts]
    labels = sorted({l for _, l in train})
    (out / name).mkdir(parents=True, exist_ok=True)
    (out / name / "labels.txt").write_text("\n".join(labels) + "\n", encoding="utf-8")
    write_csv(out / name / "all.csv", train)
    write_csv(out / name / "test.csv", parts["test"])
    for seed in SEEDS:
        rows = train[:]
        random.Random(seed).shuffle(rows)
        half, few, count = rows[:len(rows) // 2], [], collections.Counter()
        for text, label in half:
            if count[label] < FEW:
                count[label] += 1
                few.append((text, label))
        folder = out / name / f"seed-{seed}"
        write_csv(folder / "a.csv", half)
        write_csv(folder / "few.csv", few)
        write_csv(folder / "pool.csv", [(t,) for t, _ in rows[len(rows) // 2:]], ("text",))


def answer(intent, slots=()):
    values = {}
    for name, value in slots:  # a slot that occurs twice is a list
        values[name] = value if name not in values else (values[name] if isinstance(values[name], list) else [values[name]]) + [value]
    return json.dumps({"intent": intent, "slots": values}, ensure_ascii=False, separators=(",", ":"))


def chat(desk, text, intent, slots=()):
    system = [{"role": "system", "content": desk}] if desk else []
    return json.dumps({"messages": system + [{"role": "user", "content": text}, {"role": "assistant", "content": answer(intent, slots)}]}, ensure_ascii=False)


def desk(out, banking, clinc, snips):
    parts = {part: [] for part in ("train", "val", "test")}  # (set, text, intent, slots)
    train = banking["train"][:]
    random.Random(7).shuffle(train)
    for part, pairs in (("val", train[:500]), ("train", train[500:]), ("test", banking["test"])):
        parts[part] += [("banking77", t, l, ()) for t, l in pairs]
    for part, rows in parts.items():
        rows += [("clinc150", t, "out_of_scope" if l == "oos" else l, ()) for t, l in clinc[part]]
        rows += [("snips", t, i, tuple(s)) for t, i, s in snips[part]]
    held = {r[1] for part in ("val", "test") for r in parts[part]}
    parts["train"] = [r for r in parts["train"] if r[1] not in held]
    folder = out / "desk"
    folder.mkdir(parents=True, exist_ok=True)
    write = lambda name, lines: (folder / name).write_text("".join(l + "\n" for l in lines), encoding="utf-8")
    for part, rows in parts.items():
        rows = list(dict.fromkeys(rows))
        random.Random(11).shuffle(rows)
        if part != "test":
            write(f"{part}.jsonl", [chat("" if i % BARE_EVERY == 0 else DESKS[s], t, l, v) for i, (s, t, l, v) in enumerate(rows)])
            continue
        for name in DESKS:
            write(f"test-{name}.jsonl", [chat(DESKS[s], t, l, v) for s, t, l, v in rows if s == name])
            write(f"test-{name}-bare.jsonl", [chat("", t, l, v) for s, t, l, v in rows if s == name])


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    shared, out = pathlib.Path(sys.argv[1]) / "data" / "tasks", pathlib.Path(sys.argv[2])
    banking, clinc, snips = read_banking(shared), read_clinc(shared), read_snips(shared)
    protocol_h(out, banking, "banking77")
    protocol_h(out, {"train": clinc["train"], "test": clinc["test"]}, "clinc150")
    desk(out, banking, clinc, snips)
    for path in sorted(out.rglob("*.[cj]s*")):
        print(f"{sum(1 for _ in open(path, encoding='utf-8')):7d} lines  {path.relative_to(out)}")


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""score.py SLM MODEL DATA [SET...] -- a desk model on the test texts that prepare.py wrote: intents right, out of scope, slots. One line a set.

accuracy: intents in scope, of 95 % Wilson intervals; oos: recall of out_of_scope (clinc150 alone has such texts); slot F1: pairs of slot and value,
over all texts; whole: intent and all slots right; json: answers that parse."""
import json
import math
import pathlib
import subprocess
import sys
import tempfile


def wilson(k, n):
    z, p = 1.96, k / n
    mid, half = (p + z * z / (2 * n)) / (1 + z * z / n), z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    return f"{100 * p:.2f} ({100 * (mid - half):.2f}-{100 * (mid + half):.2f})"


def pairs(slots):
    return [(k, v) for k, values in slots.items() for v in (values if isinstance(values, list) else [values])] if isinstance(slots, dict) else []


def answers(slm, model, task):
    with tempfile.NamedTemporaryFile() as rows:
        subprocess.run([slm, "eval", "-m", model, "--task", task, "--predict", "128", "--rows", rows.name, "--json"], check=True, stdout=subprocess.DEVNULL)
        return [json.loads(line)["got"] for line in open(rows.name, encoding="utf-8")]


def score(slm, model, path):
    want = [json.loads(json.loads(line)["messages"][-1]["content"]) for line in open(path, encoding="utf-8")]
    n = dict.fromkeys(("scope", "right", "oos", "oos_right", "want", "got", "common", "whole", "json"), 0)
    for w, text in zip(want, answers(slm, model, path), strict=True):
        try:
            g = json.loads(text)
            n["json"] += 1
        except ValueError:
            g = {}
        g = g if isinstance(g, dict) else {}
        kind = "oos" if w["intent"] == "out_of_scope" else "scope"
        n[kind] += 1
        n["right" if kind == "scope" else "oos_right"] += g.get("intent") == w["intent"]
        ws, gs = pairs(w["slots"]), pairs(g.get("slots"))
        n["want"], n["got"] = n["want"] + len(ws), n["got"] + len(gs)
        n["whole"] += g == w
        for p in gs:
            if p in ws:
                ws.remove(p)
                n["common"] += 1
    oos = wilson(n["oos_right"], n["oos"]) if n["oos"] else "-"
    f1 = f"{200 * n['common'] / (n['want'] + n['got']):.2f}" if n["want"] else "-"
    return (f"{wilson(n['right'], n['scope'])}", oos, f1, f"{100 * n['whole'] / len(want):.2f}", f"{100 * n['json'] / len(want):.2f}")


def main():
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    slm, model, data = sys.argv[1:4]
    print("set\taccuracy\toos\tslot_f1\twhole\tjson")
    for name in sys.argv[4:] or ("banking77", "clinc150", "snips", "banking77-bare", "clinc150-bare", "snips-bare"):
        print("\t".join((name, *score(slm, model, str(pathlib.Path(data) / "desk" / f"test-{name}.jsonl")))))


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""tier_slots.py ROWS.jsonl ANSWERS.jsonl ... -- pairs of files: F1 over (slot, value), share of valid answers, strings that are not in their text. One line of JSON."""
import json
import sys


def pairs_of(o):
    return [(k, v) for k, vs in (o or {}).items() for v in (vs if isinstance(vs, list) else [vs])]


n = valid = ungrounded = want_n = got_n = hit = 0
for rows, answers in zip(sys.argv[1::2], sys.argv[2::2]):
    for row, answer in zip(map(json.loads, open(rows)), map(json.loads, open(answers))):
        want, got = pairs_of(json.loads(row["label"])), pairs_of(answer["output"])
        n += 1
        valid += bool(answer["schema"] and answer["schema"]["valid"])
        ungrounded += sum(v not in row["text"] for _, v in got)
        want_n += len(want)
        got_n += len(got)
        for p in got:
            if p in want:
                want.remove(p)
                hit += 1
print(json.dumps({"n": n, "valid": valid, "ungrounded": ungrounded, "f1": 2 * hit / (want_n + got_n) if want_n + got_n else 0}))

#!/usr/bin/env python3
"""serve.py WHAT SLM MODEL [N] [-t THREADS] -- how a server answers many at once; a JSON object of figures to standard output.

together  N streams (8) beside one: tokens/s while all of them generate, by the server's own count
beside    four streams while a prompt of N tokens (4096) is read: their time per token before and meanwhile
prefix    two requests one after the other that begin with the same N tokens (2048): seconds to the first token of each
gone      a client that leaves in the middle of a stream: tokens made after it left; needs a model that is not too fast

Prompts are ids drawn with a seed, answers greedy and of a fixed length, so that any model of the shape will do."""
import argparse
import json
import os
import pathlib
import random
import re
import statistics
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "tests/wire"))
from server import Reader, Server, ask, request_bytes  # noqa: E402


def tokens(seed, n):
    return [random.Random(seed * 1000003 + i).randrange(*VOCABULARY) for i in range(n)]


GENERATED = 'slm_model_generated_tokens_total{model="m"}'


def metric(server, name):
    return float(re.search(rf"^{re.escape(name)} ([-0-9.e+]+)$", ask(server, "GET", "/metrics").body.decode(), re.M).group(1))


class Stream(threading.Thread):
    """One streamed completion; times of what came, from the start of the request."""

    def __init__(self, server, prompt, n):
        super().__init__(daemon=True)
        self.server, self.prompt, self.n = server, prompt, n
        self.times, self.begun, self.done, self.t0 = [], threading.Event(), threading.Event(), time.perf_counter()
        self.start()

    def run(self):
        body = {"prompt": self.prompt, "max_tokens": self.n, "ignore_eos": True, "temperature": 0, "stream": True}
        with self.server.connect(timeout=600) as self.s:
            self.s.sendall(request_bytes("POST", "/v1/completions", body))
            r = Reader(self.s)
            answer = r.head()
            if answer.status != 200:
                print(f"error: status {answer.status}: {r.take(int(answer.header('content-length')))}", file=sys.stderr)
                os._exit(1)
            try:
                while n := int(r.line(), 16):
                    r.take(n + 2)
                    self.times.append(time.perf_counter() - self.t0)
                    self.begun.set()
            except (OSError, EOFError):
                pass  # hung up on from outside
        self.done.set()


def rate(server, streams):
    """Tokens/s of all from the moment that the last one has begun to the end of the first."""
    for s in streams:
        s.begun.wait(300)
    n0, t0 = metric(server, GENERATED), time.perf_counter()
    while not any(s.done.is_set() for s in streams):
        time.sleep(0.005)
    n1, t1 = metric(server, GENERATED), time.perf_counter()
    for s in streams:
        s.join()
    return (n1 - n0) / (t1 - t0)


def together(server, n):
    rate(server, [Stream(server, tokens(99, 16), 8)])  # pages in
    one = rate(server, [Stream(server, tokens(1, 64), 64)])
    many = rate(server, [Stream(server, tokens(2 + i, 64), 64) for i in range(n or 8)])
    return {"one_tps": one, "many_tps": many, "ratio": many / one}


def beside(server, n):
    streams = [Stream(server, tokens(i, 32), 4000) for i in range(4)]
    for s in streams:
        s.begun.wait(300)
    time.sleep(1)

    def window(seconds, until=None):
        n0, t0 = metric(server, GENERATED), time.perf_counter()
        while time.perf_counter() - t0 < seconds and not (until and until.is_set()):
            time.sleep(0.01)
        n1, t1 = metric(server, GENERATED), time.perf_counter()
        gaps = [b - a for s in streams for a, b in zip(s.times, s.times[1:]) if t0 <= s.t0 + a and s.t0 + b <= t1]
        return len(streams) * (t1 - t0) / (n1 - n0), statistics.median(gaps), max(gaps)

    before = window(6)
    arriving = Stream(server, tokens(50, n or 4096), 1)
    meanwhile = window(240, arriving.begun)
    first = arriving.times[0] if arriving.times else None
    for s in streams:
        s.s.shutdown(2)
    return {"token_ms": 1000 * before[0], "token_beside_ms": 1000 * meanwhile[0], "ratio": meanwhile[0] / before[0], "worst_gap_ms": 1000 * meanwhile[2], "prompt_s": first}


def prefix(server, n):
    rate(server, [Stream(server, tokens(99, 16), 8)])
    common, times = tokens(7, n or 2048), []
    for i in range(2):
        s = Stream(server, common + tokens(60 + i, 16), 2)
        s.join()
        times.append(s.times[0])
    return {"first_s": times[0], "second_s": times[1], "share": times[1] / times[0]}


def gone(server, n):
    s = Stream(server, tokens(3, 16), 4000)
    s.begun.wait(300)
    time.sleep(0.5)
    s.s.shutdown(2)
    s.s.close()
    n0, t0 = metric(server, GENERATED), time.perf_counter()
    while metric(server, 'slm_model_running{model="m"}') > 0:
        time.sleep(0.001)
    return {"tokens_after": metric(server, GENERATED) - n0, "seconds": time.perf_counter() - t0}


a = argparse.ArgumentParser()
a.add_argument("what", choices=["together", "beside", "prefix", "gone"])
a.add_argument("slm")
a.add_argument("model")
a.add_argument("n", nargs="?", type=int)
a.add_argument("-t", default="2")
a = a.parse_args()
VOCABULARY = (3, 250) if pathlib.Path(a.model).stat().st_size < 1 << 24 else (300, 30000)
machine = {name: os.environ.get(name, "") for name in ("SLM_CPU", "SLM_CACHE")}  # as the caller has it, not as tests do
with Server(a.slm, "-m", f"m={a.model}", "-t", a.t, "-c", "8192", "--kv-memory", "2G", "--log", "off", env=machine) as server:
    print(json.dumps(globals()[a.what](server, a.n)))

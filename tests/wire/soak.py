#!/usr/bin/env python3
"""soak.py SLM MODEL [--drops N] [--seconds S] [--clients N] [--gateway] -- a server under load for a while, or clients that hang up by the thousand; a JSON object.

--drops N: N streams, each hung up on (RST) in the middle of its answer. --seconds S: so many clients send requests of every kind without a pause, some of
which hang up. At the end nothing may run, no connection or descriptor may be left, resident memory must have stopped growing after the first third, and
every request that was not hung up on must have got its answer; else the exit code is 1. Memory still grows while pages of the cache are touched for the
first time, so the cache is small (--kv-memory 8M) and has been filled by then. --gateway: conversations also ask for the tiers, before a mock frontier that fails
now and then, and narrow jobs, verdicts and reports run beside them; at the end no attempt is open, and the ledger has every request that the mock saw."""
import argparse
import json
import os
import pathlib
import random
import re
import socket
import sqlite3
import struct
import subprocess
import sys
import tempfile
import threading
import time

from server import Reader, Server, ask, request_bytes

GROWTH_MAX = 4 << 20  # bytes: the allocator's own wandering
CACHES_MAX = 5 << 20  # of the ledger's two connections, which fill as it grows
WORDS = "once upon a time there was a small model that answered every question it was asked and stopped when nobody listened".split()


def metric(server, name):
    return float(re.search(rf"^{re.escape(name)} ([-0-9.e+]+)$", ask(server, "GET", "/metrics").body.decode(), re.M).group(1))


def memory(server, row):
    return int(re.search(rf"{row}:\s+(\d+)", pathlib.Path(f"/proc/{server.process.pid}/status").read_text()).group(1)) * 1024


def rss(server):
    return memory(server, "VmRSS")


def descriptors(server):
    return len(os.listdir(f"/proc/{server.process.pid}/fd"))


def hang_up(s):
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    s.close()


def text(r):
    return " ".join(r.choice(WORDS) for _ in range(r.randrange(1, 60)))


def bodies(r):
    """One request of each kind."""
    chat = {"messages": [{"role": "user", "content": text(r)}], "max_tokens": 24}
    tool = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {"a": {"enum": ["x", "y"]}}, "required": ["a"]}}}
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"], "additionalProperties": False}
    return [("/v1/chat/completions", chat), ("/v1/chat/completions", {**chat, "stream": True, "n": 2}), ("/v1/chat/completions", {**chat, "max_tokens": 100, "tools": [tool], "tool_choice": "required"}),
            ("/v1/chat/completions", {**chat, "tools": [tool], "stream": True}),
            ("/v1/chat/completions", {**chat, "max_tokens": 60, "response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}}),
            ("/v1/completions", {"prompt": text(r), "max_tokens": 24, "logprobs": 2}), ("/v1/responses", {"input": text(r), "max_output_tokens": 24, "stream": True}),
            ("/v1/messages", {**chat, "stream": True}), ("/api/chat", {**chat, "options": {"num_predict": 24}}), ("/api/generate", {"prompt": text(r), "options": {"num_predict": 24}}),
            ("/completion", {"prompt": text(r), "n_predict": 24}), ("/tokenize", {"content": text(r)}), ("/v1/chat/completions", {"messages": "none"}), ("/v1/chat/completions", {**chat, "guided_regex": "["})]


def gateway_bodies(r):
    """What a gateway has besides."""
    return [("/slm/v1/classify", {"input": text(r), "labels": ["good", "bad"]}), ("/slm/v1/complete", {"prefix": text(r), "max_tokens": 24}), ("/slm/v1/feedback", {"request_id": f"soak-{r.randrange(500)}", "correct": r.random() < 0.5}),
            ("/v1/embeddings", {"input": [text(r), text(r)]}), ("/slm/v1/report?hours=1", None), ("/slm/v1/answers", None), ("/metrics", None)]


class Load:
    def __init__(self, server, seconds, has_gateway):
        self.server, self.end, self.lock, self.has_gateway = server, time.time() + seconds, threading.Lock(), has_gateway
        self.answers = self.lost = self.hung_up = 0
        self.why = ""

    def client(self, seed):
        r, s = random.Random(seed), None
        while time.time() < self.end:
            path, body = r.choice(bodies(r) + (gateway_bodies(r) if self.has_gateway else []))
            talks = body and ("messages" in body or path.endswith("responses"))
            model = r.choice(["tiny", "slm-auto", "slm-frontier", "slm-local"]) if self.has_gateway and talks else "tiny"
            try:
                s = s or self.server.connect(timeout=120)
                s.sendall(request_bytes("POST" if body else "GET", path, {"model": model, **body} if body else None, [f"x-slm-request-id: soak-{r.randrange(500)}"]))
                if r.random() < 0.1:
                    hang_up(s)
                    s, kind = None, "hung_up"
                else:
                    status = Reader(s).answer().status
                    kind = "answers" if status in (200, 400, 429) or (self.has_gateway and status in (404, 502, 504)) else "lost"
                    if kind == "lost":
                        self.why = f"{path}: status {status}"
            except (OSError, EOFError, ValueError) as e:
                s, kind = None, "lost"
                self.why = f"{path}: {type(e).__name__}: {e}"
            with self.lock:
                setattr(self, kind, getattr(self, kind) + 1)


def until_quiet(server):
    end = time.time() + 60
    while time.time() < end and (metric(server, "slm_requests_running") or metric(server, 'slm_model_running{model="tiny"}') or metric(server, "slm_connections") > 1):
        time.sleep(0.05)


def soak(server, seconds, n_clients, has_gateway):
    load = Load(server, seconds, has_gateway)
    clients = [threading.Thread(target=load.client, args=[i]) for i in range(n_clients)]
    for c in clients:
        c.start()
    time.sleep(seconds / 3)
    first = rss(server)
    for c in clients:
        c.join()
    return {"answers": load.answers, "hung_up": load.hung_up, "lost": load.lost, "why": load.why, "rss_first": first}


def drops(server, n):
    body = {"model": "tiny", "prompt": "Hi", "max_tokens": 200, "ignore_eos": True, "stream": True}
    first = 0
    for i in range(n):
        s = server.connect()
        s.sendall(request_bytes("POST", "/v1/completions", {**body, "prompt": WORDS[i % len(WORDS)]}))
        if i % 4:
            s.recv(600)  # headers and the first words have come
        hang_up(s)
        if i == n // 5:
            until_quiet(server)
            first = rss(server)
    return {"drops": n, "rss_first": first}


class Frontier:
    """A mock that fails now and then, and the gateway's file for it."""

    def __init__(self, slm):
        self.dir = tempfile.TemporaryDirectory()
        self.log, self.ledger, self.file = (os.path.join(self.dir.name, name) for name in ("requests.jsonl", "ledger.sqlite", "tiers.yaml"))
        self.process = subprocess.Popen([slm, "mock-frontier", "--listen", "127.0.0.1:0", "--requests", self.log, "--fault", "500=0.05", "--fault", "cut=0.05", "--fault", "429=0.05"], stderr=subprocess.PIPE, text=True)
        port = int(re.match(r"listening on http://[^:]+:(\d+)", self.process.stderr.readline()).group(1))
        pathlib.Path(self.file).write_text(f"ledger: {self.ledger}\nlocal: tiny\ndeadline_ms: 20000\nupstreams:\n  - {{name: up, kind: openai, base_url: \"http://127.0.0.1:{port}/v1\", model: big, price_in: 1, price_out: 1, "
                                           "breaker: {fails: 60, window_s: 1}}\nauto: {accept: \"q10_logprob > -6\"}\nshadow: {sample: 0.2, max_usd_per_day: 1}\nprivacy: {detectors: [email, secret], action: redact}\ncache: {entries: 50}\n")

    def result(self):
        """Attempts that are open, and requests that the mock saw and the ledger did not."""
        self.process.terminate()
        self.process.wait()
        with sqlite3.connect(self.ledger) as db:
            n_open, n_all = db.execute("SELECT COALESCE(SUM(state = 'open'), 0), COUNT(*) FROM attempts").fetchone()
            known = {a for a, in db.execute("SELECT attempt FROM attempts")}
        seen = {json.loads(line)["request_id"] for line in pathlib.Path(self.log).read_text().splitlines()}
        self.dir.cleanup()
        return {"attempts": n_all, "open": n_open, "unknown": len(seen - known)}


a = argparse.ArgumentParser()
a.add_argument("slm")
a.add_argument("model")
a.add_argument("--drops", type=int, default=0)
a.add_argument("--seconds", type=float, default=10)
a.add_argument("--clients", type=int, default=24)
a.add_argument("--gateway", action="store_true")
a = a.parse_args()
frontier = Frontier(a.slm) if a.gateway else None
more = ["--gateway", frontier.file] if frontier else []
template = pathlib.Path(__file__).resolve().parent / "chat.jinja"
with Server(a.slm, "-m", f"tiny={a.model}", "--template", str(template), "-t", "1", "--kv-memory", "8M", "-c", "1024", "--log", "off", *more, env={"SLM_CPU": os.environ.get("SLM_CPU", "")}) as server:
    ask(server, "GET", "/metrics")
    time.sleep(0.2)  # until its connection is gone
    n_fd = descriptors(server)
    is_sanitized = memory(server, "VmSize") > 1 << 40  # a sanitizer's shadow; its allocator keeps what was freed, so that resident memory tells nothing
    result = drops(server, a.drops) if a.drops else soak(server, a.seconds, a.clients, a.gateway)
    until_quiet(server)
    result.update(requests=int(metric(server, "slm_requests_running")), connections=int(metric(server, "slm_connections")) - 1, rss=rss(server))
    time.sleep(0.2)
    result["descriptors"] = descriptors(server) - n_fd
    result["exit"] = server.stop()
if frontier:
    result.update(frontier.result())
print(json.dumps(result))
idle_max = 3 * 64 + 3 if frontier else 0  # warm connections to the upstream, each with its client library's own, and the ledger's files
flat = result["rss"] - result["rss_first"] <= GROWTH_MAX + (CACHES_MAX if frontier else 0)
sys.exit(0 if (flat or is_sanitized) and not (result.get("lost") or result["requests"] or result["connections"] or result["descriptors"] > idle_max or result["exit"] or result.get("open") or result.get("unknown")) else 1)

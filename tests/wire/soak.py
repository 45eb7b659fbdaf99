#!/usr/bin/env python3
"""soak.py SLM MODEL [--drops N] [--seconds S] [--clients N] -- a server under load for a while, or clients that hang up by the thousand; a JSON object.

--drops N: N streams, each hung up on (RST) in the middle of its answer. --seconds S: so many clients send requests of every kind without a pause, some of
which hang up. At the end nothing may run, no connection or descriptor may be left, resident memory must have stopped growing after the first third, and
every request that was not hung up on must have got its answer; else the exit code is 1. Memory still grows while pages of the cache are touched for the
first time, so the cache is small (--kv-memory 8M) and has been filled by then."""
import argparse
import json
import os
import pathlib
import random
import re
import socket
import struct
import sys
import threading
import time

from server import Reader, Server, ask, request_bytes

GROWTH_MAX = 4 << 20  # bytes: the allocator's own wandering
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


class Load:
    def __init__(self, server, seconds):
        self.server, self.end, self.lock = server, time.time() + seconds, threading.Lock()
        self.answers = self.lost = self.hung_up = 0
        self.why = ""

    def client(self, seed):
        r, s = random.Random(seed), None
        while time.time() < self.end:
            path, body = r.choice(bodies(r))
            try:
                s = s or self.server.connect(timeout=120)
                s.sendall(request_bytes("POST", path, {"model": "tiny", **body}))
                if r.random() < 0.1:
                    hang_up(s)
                    s, kind = None, "hung_up"
                else:
                    status = Reader(s).answer().status
                    kind = "answers" if status in (200, 400, 429) else "lost"
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


def soak(server, seconds, n_clients):
    load = Load(server, seconds)
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


a = argparse.ArgumentParser()
a.add_argument("slm")
a.add_argument("model")
a.add_argument("--drops", type=int, default=0)
a.add_argument("--seconds", type=float, default=10)
a.add_argument("--clients", type=int, default=24)
a = a.parse_args()
template = pathlib.Path(__file__).resolve().parent / "chat.jinja"
with Server(a.slm, "-m", f"tiny={a.model}", "--template", str(template), "-t", "1", "--kv-memory", "8M", "-c", "1024", "--log", "off", env={"SLM_CPU": os.environ.get("SLM_CPU", "")}) as server:
    ask(server, "GET", "/metrics")
    time.sleep(0.2)  # until its connection is gone
    n_fd = descriptors(server)
    is_sanitized = memory(server, "VmSize") > 1 << 40  # a sanitizer's shadow; its allocator keeps what was freed, so that resident memory tells nothing
    result = drops(server, a.drops) if a.drops else soak(server, a.seconds, a.clients)
    until_quiet(server)
    result.update(requests=int(metric(server, "slm_requests_running")), connections=int(metric(server, "slm_connections")) - 1, rss=rss(server))
    time.sleep(0.2)
    result["descriptors"] = descriptors(server) - n_fd
    result["exit"] = server.stop()
print(json.dumps(result))
flat = result["rss"] - result["rss_first"] <= GROWTH_MAX
sys.exit(0 if (flat or is_sanitized) and not (result.get("lost") or result["requests"] or result["connections"] or result["descriptors"] > 0 or result["exit"]) else 1)

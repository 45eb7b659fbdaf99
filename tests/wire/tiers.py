"""tiers.py SLM ROOT [NAME] -- the gateway against the mock: what clients are told, what the mock was asked, what the ledger says."""
import json
import os
import pathlib
import random
import re
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time

from server import Reader, Server, ask, request_bytes

slm, root = os.path.abspath(sys.argv[1]), pathlib.Path(sys.argv[2]).resolve()
model = root / "tests/golden/models/llama-linear.gguf"
APIS = {  # path, body of a question, streamed by default
    "openai": ("/v1/chat/completions", lambda m, q: {"model": m, "messages": [{"role": "user", "content": q}], "max_tokens": 40}),
    "responses": ("/v1/responses", lambda m, q: {"model": m, "input": q, "max_output_tokens": 40}),
    "anthropic": ("/v1/messages", lambda m, q: {"model": m, "messages": [{"role": "user", "content": q}], "max_tokens": 40}),
    "ollama": ("/api/chat", lambda m, q: {"model": m, "messages": [{"role": "user", "content": q}], "options": {"num_predict": 40}}),
    "generate": ("/api/generate", lambda m, q: {"model": m, "prompt": q, "options": {"num_predict": 40}}),
}
KINDS = {"openai": "/v1", "anthropic": "", "gemini": ""}


def check(holds, what):
    if not holds:
        raise AssertionError(what)


class Mock:
    def __init__(self, *args, gold=()):
        self.dir = tempfile.TemporaryDirectory()
        self.log = pathlib.Path(self.dir.name) / "requests.jsonl"
        table = pathlib.Path(self.dir.name) / "gold.jsonl"
        table.write_text("".join(json.dumps(g) + "\n" for g in gold))
        self.process = subprocess.Popen([slm, "mock-frontier", "--listen", "127.0.0.1:0", "--gold", str(table), "--requests", str(self.log), *args], stderr=subprocess.PIPE, text=True)
        self.port = int(re.match(r"listening on http://[^:]+:(\d+)", self.process.stderr.readline()).group(1))

    def counts(self):
        return ask(self, "GET", "/mock").json()

    def fault(self, name, n=1):
        check(ask(self, "POST", "/mock", {"fault": name, "n": n}).status == 200, f"the mock knows {name}")

    def requests(self):
        return [json.loads(line) for line in self.log.read_text().splitlines()] if self.log.exists() else []

    def connect(self, timeout=20):
        return Server.connect(self, timeout)

    def __enter__(self):
        return self

    def __exit__(self, *what):
        self.process.terminate()
        self.process.wait()
        self.dir.cleanup()


def settings(mock, where, kinds=("openai",), more="", upstream=""):
    text = f"ledger: {where}/ledger.sqlite\nlocal: tiny\nupstreams:\n"
    for kind in kinds:
        text += f"  - {{name: {kind}, kind: {kind}, base_url: \"http://127.0.0.1:{mock.port}{KINDS[kind]}\", model: big, price_in: 2.5, price_out: 10{upstream}}}\n"
    path = pathlib.Path(where) / "tiers.yaml"
    path.write_text(text + more)
    return path


def serve(path, *args, **kw):
    return Server(slm, "-m", f"tiny={model}", "--template", str(root / "tests/wire/chat.jinja"), "-t", "1", "--log", "off", "--gateway", str(path), *args, **kw)


def rows(where, sql):
    with sqlite3.connect(f"{where}/ledger.sqlite") as db:
        return db.execute(sql).fetchall()


def text_of(api, streams, answer):
    """The answer's text, and an error's message, whatever the API."""
    body = answer.body.decode()
    if not streams or answer.status != 200:
        v = json.loads(body)
        if "error" in v and v["error"]:
            return "", v["error"] if isinstance(v["error"], str) else v["error"]["message"]
        if api == "openai":
            return v["choices"][0]["message"]["content"] or "", ""
        if api == "responses":
            return "".join(p["text"] for o in v["output"] if o["type"] == "message" for p in o["content"]), ""
        if api == "anthropic":
            return "".join(b.get("text", "") for b in v["content"]), ""
        return (v["message"]["content"] if api == "ollama" else v["response"]), ""
    text, error = "", ""
    lines = body.splitlines() if api in ("ollama", "generate") else [l[6:] for l in body.splitlines() if l.startswith("data: ") and l != "data: [DONE]"]
    for v in map(json.loads, lines):
        if v.get("error"):
            error = v["error"] if isinstance(v["error"], str) else v["error"]["message"]
        elif api == "openai":
            text += "".join(c["delta"].get("content") or "" for c in v["choices"])
        elif api == "responses":
            text += v["delta"] if v["type"] == "response.output_text.delta" else ""
        elif api == "anthropic":
            text += v["delta"].get("text", "") if v["type"] == "content_block_delta" else ""
        else:
            text += v["message"]["content"] if api == "ollama" else v["response"]
    return text, error


def question(server, api, q, model="slm-frontier", streams=False, headers=(), **more):
    path, body = APIS[api]
    answer = ask(server, "POST", path, dict(body(model, q), stream=streams, **more), headers)
    return (*text_of(api, streams, answer), answer)


def same_counts(mock, where):
    """Every request that the mock billed is in the ledger, once, with the same tokens."""
    billed = {r["request_id"]: (r["in"], r["out"]) for r in mock.requests() if r["in"]}
    written = {a: (i, o) for a, i, o in rows(where, "SELECT attempt, n_in, n_out FROM attempts WHERE n_in > 0")}
    check(billed == written, f"the mock billed {billed}, the ledger has {written}")
    return len(billed)


def test_formats():
    """Five APIs here times three there, streamed and whole: the same text, counted the same."""
    for kind in KINDS:
        with tempfile.TemporaryDirectory() as where, Mock(gold=[{"input": "capital?", "gold": "It is Zürich, of course."}]) as mock, serve(settings(mock, where, (kind,))) as s:
            for api in APIS:
                for streams in (False, True):
                    text, error, answer = question(s, api, "capital?", streams=streams)
                    check((text, error) == ("It is Zürich, of course.", ""), f"{kind} {api} {streams}: {text!r} {error!r}")
                    check(answer.header("x-slm-tier") == "frontier" and answer.header("x-slm-model") == "big", f"{kind} {api}: headers")
            check(same_counts(mock, where) == 10, "ten requests")


def test_tools():
    """A call comes through every API's form, and its result goes back."""
    tools = [{"type": "function", "function": {"name": "look", "description": "d", "parameters": {"type": "object", "properties": {"text": {"type": "string"}}}}}]
    for kind in KINDS:
        with tempfile.TemporaryDirectory() as where, Mock() as mock, serve(settings(mock, where, (kind,))) as s:
            for streams in (False, True):
                a = question(s, "openai", "the weather", streams=streams, tools=tools, tool_choice="required")[2]
                if streams:
                    parts = [json.loads(l[6:])["choices"] for l in a.body.decode().splitlines() if l.startswith("data: {")]
                    calls = [c for p in parts if p for c in p[0]["delta"].get("tool_calls", [])]
                    name, arguments = calls[0]["function"]["name"], "".join(c["function"].get("arguments", "") for c in calls)
                else:
                    call = a.json()["choices"][0]["message"]["tool_calls"][0]
                    name, arguments = call["function"]["name"], call["function"]["arguments"]
                check(name == "look" and json.loads(arguments) == {"text": "the weather"}, f"{kind}: {name} {arguments}")
            messages = [{"role": "user", "content": "w"}, {"role": "assistant", "content": None, "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "look", "arguments": "{\"text\":\"w\"}"}}]},
                        {"role": "tool", "tool_call_id": "c1", "content": "rain"}, {"role": "user", "content": "so?"}]
            a = ask(s, "POST", "/v1/chat/completions", {"model": "slm-frontier", "messages": messages})
            check(a.json()["choices"][0]["message"]["content"].endswith("so?"), f"{kind}: {a.body}")
        # the way back: the call and its result, as this API has them
        for path, body in (("/v1/chat/completions", {"messages": messages}),
                           ("/v1/messages", {"max_tokens": 9, "messages": [{"role": "user", "content": "w"}, {"role": "assistant", "content": [{"type": "tool_use", "id": "c1", "name": "look", "input": {"text": "w"}}]},
                                                                           {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c1", "content": "rain"}, {"type": "text", "text": "so?"}]}]})):
            got = sent_bytes(lambda s: ask(s, "POST", path, {"model": "slm-frontier", "tools": tools if path.endswith("s") and "chat" in path else [
                {"name": "look", "description": "d", "input_schema": tools[0]["function"]["parameters"]}], **body}), "", kind)
            check_returned(kind, json.loads(got[got.index(b"{"):]))


def check_returned(kind, sent):
    """A call with its arguments, then its result under the call's own id or name, then the question; nothing else."""
    if kind == "openai":
        call, result, last = sent["messages"][1]["tool_calls"][0], sent["messages"][2], sent["messages"][3]
        check((call["id"], call["function"]["name"], json.loads(call["function"]["arguments"])) == ("c1", "look", {"text": "w"}), f"{sent}")
        check((result["role"], result["tool_call_id"], result["content"]) == ("tool", "c1", "rain") and last == {"role": "user", "content": "so?"} and len(sent["messages"]) == 4, f"{sent}")
    elif kind == "anthropic":
        parts = [p for m in sent["messages"] for p in ([{"type": "text", "text": m["content"]}] if isinstance(m["content"], str) else m["content"])]
        call, result = next(p for p in parts if p["type"] == "tool_use"), next(p for p in parts if p["type"] == "tool_result")
        text = result["content"] if isinstance(result["content"], str) else "".join(p["text"] for p in result["content"])
        check((call["id"], call["name"], call["input"], result["tool_use_id"], text) == ("c1", "look", {"text": "w"}, "c1", "rain"), f"{sent}")
        check([p["type"] for p in parts] == ["text", "tool_use", "tool_result", "text"] and parts[-1]["text"] == "so?", f"{sent}")
        check([m["role"] for m in sent["messages"]][:3] == ["user", "assistant", "user"], f"{sent}")
    else:
        parts = [(c["role"], p) for c in sent["contents"] for p in c["parts"]]
        call, result = next(p["functionCall"] for _, p in parts if "functionCall" in p), next(p["functionResponse"] for _, p in parts if "functionResponse" in p)
        check((call["name"], call["args"], result["name"]) == ("look", {"text": "w"}, "look") and "rain" in json.dumps(result["response"]), f"{sent}")
        check([r for r, _ in parts] == ["user", "model", "user", "user"] and parts[-1][1]["text"] == "so?", f"{sent}")


RETRIED = ["429", "500", "529", "close", "error-200"]


def test_faults():
    """Every fault, three upstream APIs, streamed and whole: an answer, or an error that says so; nothing is lost or counted twice."""
    for kind in KINDS:
        with tempfile.TemporaryDirectory() as where, Mock() as mock, \
                serve(settings(mock, where, (kind,), "deadline_ms: 2000\n", ", first_byte_ms: 300, idle_ms: 300, breaker: {fails: 50}")) as s:
            for streams in (False, True):
                for name in [*RETRIED, "no-usage", "400", "cut", "malformed", "hang", "hang-after"]:
                    q = f"words that are enough for {name}"
                    n = mock.counts()["requests"]
                    mock.fault(name)
                    text, error, answer = question(s, "openai", q, streams=streams)
                    n = mock.counts()["requests"] - n
                    where_ = f"{kind} {name} {'stream' if streams else 'whole'}: {text!r} {error!r} {n}"
                    if name == "400":
                        check(answer.status == 400 and "400" in error and n == 1, where_)
                    elif streams and name in ("cut", "malformed", "hang-after") :
                        check(q.startswith(text) and 0 < len(text) < len(q) and error, where_)
                    elif name == "hang" and not streams:
                        check(answer.status == 504 and error, where_)  # nothing says that a whole answer will not come
                        time.sleep(0.2)  # the mock notices that its client left
                    else:
                        check((text, error) == (q, "") and n == (1 if name == "no-usage" else 2), where_)
            time.sleep(0.2)  # the mock notices that the last one left
            states = dict(rows(where, "SELECT state, COUNT(*) FROM attempts GROUP BY 1"))
            check(states == {"done": 16, "failed": 20}, f"{kind}: {states}")
            # a whole answer that was cut shows no tokens to count: all but those agree
            billed = {r["request_id"]: (r["in"], r["out"]) for r in mock.requests() if r["in"] and r["fault"] not in ("cut", "malformed", "hang-after")}
            written = {a: (i, o) for a, i, o in rows(where, "SELECT attempt, n_in, n_out FROM attempts WHERE state = 'done'")}
            check(billed == written, f"{kind}: {billed} {written}")
            cut = {r["request_id"]: (r["in"], r["out"]) for r in mock.requests() if r["fault"] in ("cut", "malformed", "hang-after")}
            seen = {a: (i, o) for a, i, o in rows(where, "SELECT attempt, n_in, n_out FROM attempts WHERE state = 'failed' AND n_out > 0")}
            check(len(seen) == 3 and all(cut.get(a) == seen[a] for a in seen), f"{kind}: {cut} {seen}")


def test_fallback():
    """The upstreams fail: another is asked; none is left: the local model answers, and says so; slm-frontier says what is wrong."""
    with tempfile.TemporaryDirectory() as where, Mock("--fault", "500=1") as bad, Mock() as good:
        path = settings(good, where, ("anthropic",), upstream=", retries: 0, breaker: {fails: 3, open_s: 1}")
        text = path.read_text()
        path.write_text(text.replace("upstreams:\n", f"upstreams:\n  - {{name: bad, kind: openai, base_url: \"http://127.0.0.1:{bad.port}/v1\", model: b, price_in: 1, price_out: 1, retries: 0, breaker: {{fails: 3, open_s: 1}}}}\n"))
        with serve(path) as s:
            for _ in range(5):
                check(question(s, "openai", "one two")[0] == "one two", "the second answers")
            check(bad.counts()["requests"] == 3, "the first is left alone after three failures")
            time.sleep(1.1)
            question(s, "openai", "one two")
            check(bad.counts()["requests"] == 4, "and tried once again later")
            good.fault("529", 100)
            text, error, a = question(s, "openai", "one two", model="slm-auto", headers=["x-slm-tier: frontier"], temperature=0)
            check(a.status == 200 and a.header("x-slm-tier") == "degraded" and a.header("x-slm-model") == "tiny" and text, f"{a.status} {a.headers}")
            local = question(s, "openai", "one two", model="slm-local", temperature=0)
            check(local[0] == text and local[2].header("x-slm-tier") == "local", "it is the local model's own answer")
            text, error, a = question(s, "openai", "one two")
            check(a.status == 502 and "529" in error, f"{a.status} {error}")
            check(rows(where, "SELECT COUNT(*) FROM requests WHERE degraded") == [(1,)], "the ledger knows")


def test_auto():
    """Doubt escalates, trust stays; held-back text is told whole; rules and headers decide first."""
    rules = "rules:\n  - {when: \"text contains 'HARD'\", then: frontier}\n  - {when: \"text contains 'mine'\", then: local_only}\n  - {when: \"messages > 3\", then: block}\n"
    for accept, tier in (("q10_logprob > 0", "frontier"), ("q10_logprob > -1000", "local"), ("out_tokens == 5", "frontier")):
        at_end = "out_tokens < 0" if accept == "out_tokens == 5" else accept  # an answer may end after five
        with tempfile.TemporaryDirectory() as where, Mock() as mock, serve(settings(mock, where, more=f"auto: {{accept: \"{accept}\", hold_tokens: 5, finish_accept: \"{at_end}\"}}\n{rules}")) as s:
            for api in APIS:
                for streams in (False, True):
                    if accept == "out_tokens == 5" and streams:
                        continue
                    text, error, a = question(s, api, "plain words", "slm-auto", streams)
                    check(not error and a.header("x-slm-tier") == tier and a.header("x-slm-escalated") == ("1" if tier == "frontier" else "0"), f"{accept} {api} {streams}: {a.headers} {error}")
                    check((text == "plain words") == (tier == "frontier"), f"{accept} {api}: {text!r}")
            body = {"temperature": 0, "seed": 3}
            local = question(s, "openai", "plain words", "slm-local", **body)[0]
            if tier == "local":
                check(question(s, "openai", "plain words", "slm-auto", True, **body)[0] == local, "what was held back is told whole")
            check(question(s, "openai", "HARD words", "slm-auto")[2].header("x-slm-reason") == "rule 1", "a rule sends it")
            n = mock.counts()["requests"]
            for headers, q in (((), "mine"), (["x-slm-private: 1"], "x"), (["x-slm-private: true"], "x"), (["x-slm-private:"], "x"), (["x-slm-private: 0", "x-slm-private: yes"], "x"), (["x-slm-tier: local"], "x")):
                a = question(s, "openai", q, "slm-auto", headers=headers)[2]
                check(a.status == 200 and a.header("x-slm-tier") in ("local",), f"{q}: {a.headers}")
            check(question(s, "openai", "mine", "slm-frontier")[2].status == 403, "local only is refused to the frontier")
            check(question(s, "openai", "x", "slm-auto", headers=["x-slm-private: 1", "x-slm-tier: frontier"])[2].header("x-slm-tier") == "local", "private wins")
            check(question(s, "openai", "x", "slm-auto", headers=["x-slm-private: yes", "x-slm-tier: frontier"])[2].header("x-slm-tier") == "local", "whatever the word")
            check(mock.counts()["requests"] == n, "nothing of it left")
            four = {"model": "slm-auto", "messages": [{"role": "user", "content": "x"}] * 4}
            check(ask(s, "POST", "/v1/chat/completions", four).status == 403, "blocked")
            check(question(s, "openai", "x", "slm-auto", logprobs=True, top_logprobs=2)[2].header("x-slm-tier") in ("local",), "what no upstream can be told stays")
            check(question(s, "openai", "x", logit_bias={"1": 1})[2].status == 400, "and is refused to the frontier")
            check(question(s, "openai", "x " * 3000, "slm-auto")[2].header("x-slm-reason") == "the local model cannot", "too long for here")
            names = [m["id"] for m in ask(s, "GET", "/v1/models").json()["data"]]
            check({"slm-auto", "slm-local", "slm-frontier"} <= set(names), f"{names}")
            check(ask(s, "POST", "/v1/completions", {"model": "slm-frontier", "prompt": "x"}).status == 400, "no conversation, no frontier")
            check(ask(s, "POST", "/v1/completions", {"model": "slm-local", "prompt": "x", "max_tokens": 2}).status == 200, "the local name works everywhere")


def test_privacy():
    """What the detectors find goes out as placeholders and comes back exactly, also cut into pieces of four bytes; local only lets nothing out."""
    secret = "Write to jane.doe+x@mail.example.org or +41 44 668 18 00, card 4111 1111 1111 1111, IBAN DE89 3704 0044 0532 0130 00, host 192.168.17.5, key sk-abcdefghijklmnop1234. Keep [EMAIL_1] as it is."
    parts = ["jane.doe", "668 18", "4111 1111", "3704 0044", "192.168", "sk-abc"]
    detect = "privacy: {detectors: [email, phone, card, iban, ip, secret], action: %s}\n"
    for kind in KINDS:
        with tempfile.TemporaryDirectory() as where, Mock() as mock, serve(settings(mock, where, (kind,), detect % "redact")) as s:
            for api in APIS:
                for streams in (False, True):
                    path, body = APIS[api]
                    b = body("slm-frontier", secret)
                    b.pop("max_tokens", 0), b.pop("max_output_tokens", 0), b.pop("options", 0)
                    if api == "anthropic":
                        b["max_tokens"] = 4000
                    text, error = text_of(api, streams, ask(s, "POST", path, dict(b, stream=streams)))
                    check((text, error) == (secret, ""), f"{kind} {api} {streams}: {text!r} {error}")
    with tempfile.TemporaryDirectory() as where, Mock() as mock, serve(settings(mock, where, more=detect % "local_only")) as s:
        for part in secret.split(",")[:1] + ["card 4111 1111 1111 1111", "DE89 3704 0044 0532 0130 00"]:
            a = question(s, "openai", part, "slm-auto", headers=["x-slm-tier: frontier"])[2]
            check(a.header("x-slm-tier") == "local" and question(s, "openai", part)[2].status == 403, f"{part}: {a.headers}")
        check(mock.counts()["requests"] == 0, "0 bytes left")
        check(question(s, "openai", "4111 1111 1111 1112")[0] == "4111 1111 1111 1112", "a number that is no card may leave")
    with tempfile.TemporaryDirectory() as where, Mock() as mock, serve(settings(mock, where, more=detect % "block")) as s:
        check(question(s, "openai", secret, "slm-local")[2].status == 403 and mock.counts()["requests"] == 0, "blocked")
    del parts


class Scripted:
    """An upstream that sends to each request the next of some raw answers, and then holds the connection for a while."""
    def __init__(self, *answers, hold=0.0):
        import socket
        self.listener, self.n_asked, self.hold, self.answers = socket.create_server(("127.0.0.1", 0)), 0, hold, list(answers)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        while True:
            try:
                c, _ = self.listener.accept()
            except OSError:
                return
            r = Reader(c)
            while b"\r\n\r\n" not in r.held:
                r.more()
            head, _, r.held = r.held.partition(b"\r\n\r\n")
            r.take(int(re.search(rb"content-length: (\d+)", head, re.I).group(1)))
            c.sendall(self.answers[min(self.n_asked, len(self.answers) - 1)])
            self.n_asked += 1
            time.sleep(self.hold)
            c.close()

    def __enter__(self):
        return self

    def __exit__(self, *what):
        self.listener.close()


def events(*values):
    """A stream that ends where its connection does."""
    return b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n" + b"".join(b"data: %s\n\n" % (v if isinstance(v, bytes) else json.dumps(v).encode()) for v in values)


def test_nameless_call():
    """A call without a name, and then the end of the connection: a part was told, so nothing is asked again."""
    call = {"choices": [{"index": 0, "delta": {"tool_calls": [{"index": 0, "id": "c", "type": "function", "function": {"arguments": ""}}]}}]}
    with tempfile.TemporaryDirectory() as where, Scripted(events(call)) as up, serve(settings(up, where, upstream=", retries: 2")) as s:
        body = {"model": "slm-frontier", "stream": True, "messages": [{"role": "user", "content": "x"}], "tools": [{"type": "function", "function": {"name": "look"}}]}
        a = ask(s, "POST", "/v1/chat/completions", body)
        check(up.n_asked == 1 and b"error" in a.body, f"{up.n_asked} {a.body}")


def test_answer_ends():
    """After an API's own last event an answer is whole, whatever its connection does then."""
    openai = events({"choices": [{"index": 0, "delta": {"content": "all of it"}, "finish_reason": "stop"}]}, {"choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 3}}, b"[DONE]")
    anthropic = events({"type": "message_start", "message": {"usage": {"input_tokens": 1}}}, {"type": "content_block_start", "content_block": {"type": "text", "text": ""}},
                       {"type": "content_block_delta", "delta": {"type": "text_delta", "text": "all of it"}}, {"type": "content_block_stop"},
                       {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 3}}, {"type": "message_stop"})
    for kind, answer in (("openai", openai), ("anthropic", anthropic)):
        short = answer.replace(b"\r\n\r\n", b"\r\ncontent-length: 100000\r\n\r\n", 1)
        for hold, raw in ((3, answer), (0.1, short)):
            with tempfile.TemporaryDirectory() as where, Scripted(raw, hold=hold) as up, serve(settings(up, where, (kind,), upstream=", retries: 0, idle_ms: 1000")) as s:
                begin = time.time()
                text, error, _ = question(s, "openai", "x", streams=True)
                check((text, error) == ("all of it", "") and time.time() - begin < 0.8, f"{kind} {hold}: {text!r} {error!r} after {time.time() - begin:.2f} s")
                check(rows(where, "SELECT state, n_in, n_out FROM attempts") == [("done", 1, 3)], f"{kind} {hold}: {rows(where, 'SELECT * FROM attempts')}")


def test_no_parameters():
    """A call that Anthropic streams without any parameters has {} for its arguments."""
    answer = events({"type": "message_start", "message": {"usage": {"input_tokens": 1}}}, {"type": "content_block_start", "content_block": {"type": "tool_use", "id": "t", "name": "look", "input": {}}},
                    {"type": "content_block_delta", "delta": {"type": "input_json_delta", "partial_json": ""}}, {"type": "content_block_stop"},
                    {"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 3}}, {"type": "message_stop"})
    with tempfile.TemporaryDirectory() as where, Scripted(answer) as up, serve(settings(up, where, ("anthropic",))) as s:
        for streams in (False, True):
            body = {"model": "slm-frontier", "stream": streams, "messages": [{"role": "user", "content": "x"}], "tools": [{"type": "function", "function": {"name": "look"}}]}
            a = ask(s, "POST", "/v1/chat/completions", body)
            check(a.status == 200 and b'"arguments":"{}"' in a.body, f"{a.body}")


def sent_bytes(send, more, kind="openai", serve=serve):
    """What really crosses to the upstream, byte for byte: a listener instead of the mock, because an echo proves nothing about what was sent."""
    import socket
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(10)

    class Fake:
        port = listener.getsockname()[1]
    with tempfile.TemporaryDirectory() as where, serve(settings(Fake, where, (kind,), more=more, upstream=", retries: 0")) as s:
        got = []

        def take():
            c, _ = listener.accept()
            r = Reader(c)
            while b"\r\n\r\n" not in r.held:
                r.more()
            head, _, r.held = r.held.partition(b"\r\n\r\n")
            n = int(re.search(rb"content-length: (\d+)", head, re.I).group(1))
            got.append(head + r.take(n))
            c.sendall(b"HTTP/1.1 500 no\r\ncontent-length: 0\r\n\r\n")
            c.close()
        t = threading.Thread(target=take)
        t.start()
        send(s)
        t.join(10)
    listener.close()
    return got[0]


def test_own_settings():
    """What a stored model's manifest tells that model (its system prompt, messages, stop strings, lengths) is not told to another, and says nothing about narrow jobs."""
    with tempfile.TemporaryDirectory() as home:
        env = {"SLM_STORE": f"{home}/store", "HOME": home}
        file = pathlib.Path(home) / "Modelfile"
        file.write_text(f'FROM {model}\nSYSTEM be brief\nMESSAGE user earlier\nPARAMETER stop HALT\nPARAMETER num_predict 2\n')
        subprocess.run([slm, "create", "own", "-f", str(file)], env={**os.environ, **env}, check=True, capture_output=True)

        def serve_own(path):
            path.write_text(path.read_text().replace("local: tiny", "local: own"))
            return Server(slm, "-m", "own", "--template", str(root / "tests/wire/chat.jinja"), "-t", "1", "--log", "off", "--gateway", str(path), env=env)
        for api in APIS:
            path, body = APIS[api]
            body = body("slm-auto", "hello")
            for key in ("max_tokens", "max_output_tokens", "options"):
                if api != "anthropic":
                    body.pop(key, 0)
            got = sent_bytes(lambda s: ask(s, "POST", path, body, ["x-slm-tier: frontier"]), "", serve=serve_own)
            sent = json.loads(got.partition(b"\r\n\r\n")[2] if b"\r\n\r\n" in got else got[got.index(b"{"):])
            check([m["content"] for m in sent["messages"]] == ["hello"] and "stop" not in sent and sent["max_tokens"] == (40 if api == "anthropic" else 4096), f"{api}: {sent}")
        with tempfile.TemporaryDirectory() as where, Mock() as mock, serve_own(settings(mock, where)) as s:
            a = question(s, "openai", "hello", "slm-local", max_tokens=None)[2].json()
            check(a["usage"]["completion_tokens"] <= 2 and a["usage"]["prompt_tokens"] > 20, f"the local model has them: {a}")
            a = ask(s, "POST", "/slm/v1/complete", {"prefix": "a"}).json()
            check(a["usage"]["local"]["out"] > 2, f"a job's length is its own: {a}")


def test_error_events():
    """An upstream that fails within its stream, whatever form its error has, is a failure, and asked again while nothing was told."""
    good = events({"choices": [{"index": 0, "delta": {"content": "fine"}, "finish_reason": "stop"}], "error": None}, {"choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 1}}, b"[DONE]")
    for error in ("overloaded", {"message": "overloaded"}, 529, ["overloaded"]):
        with tempfile.TemporaryDirectory() as where, Scripted(events({"error": error}, b"[DONE]"), good) as up, serve(settings(up, where, upstream=", retries: 1")) as s:
            text, why, a = question(s, "openai", "x", streams=True)
            check((text, why) == ("fine", "") and up.n_asked == 2, f"{error!r}: {text!r} {why!r} {a.body}")
            check(rows(where, "SELECT state FROM attempts ORDER BY id") == [("failed",), ("done",)], f"{error!r}")


def test_feedback():
    """A verdict is of who asked: with keys, of requests of the same key; what is said last holds."""
    with tempfile.TemporaryDirectory() as where, Mock() as mock:
        keys = pathlib.Path(where) / "keys"
        keys.write_text("key-of-ann name=ann\nkey-of-bob name=bob\n")
        with serve(settings(mock, where, more="auto: {accept: \"true\"}\n"), "--key-file", str(keys)) as s:
            ann, bob = ["authorization: Bearer key-of-ann"], ["authorization: Bearer key-of-bob"]
            id = question(s, "openai", "hello", "slm-auto", headers=ann)[2].header("x-slm-request-id")

            def say(headers, correct):
                return ask(s, "POST", "/slm/v1/feedback", {"request_id": id, "correct": correct}, headers).status
            check(say(bob, False) == 404 and say([], False) == 401, "another's")
            check(rows(where, "SELECT verdict FROM requests") == [(None,)], "nothing is set")
            check([say(ann, True), say(ann, False)] == [200, 200] and rows(where, "SELECT verdict, key FROM requests") == [(0, "ann")], "the last holds")


def test_shadow_places():
    """Shadows take no client's place, and those under way stay within their budget together."""
    more = "auto: {accept: \"true\"}\nshadow: {sample: 1, max_usd_per_day: %s}\n"
    with tempfile.TemporaryDirectory() as where, Mock("--first-ms", "1500") as mock, serve(settings(mock, where, more=more % 10), "--limit", "requests=1") as s:
        begin = time.time()
        for i in range(8):
            while question(s, "openai", f"question {i}", "slm-auto", max_tokens=2)[2].status != 200:
                check(time.time() - begin < 1.2, "one place is enough for one client after another")
                time.sleep(0.02)  # the place of the answer before is given back a moment after it
        until = time.time() + 5
        while not rows(where, "SELECT COUNT(*) FROM attempts WHERE kind = 'shadow'")[0][0] and time.time() < until:
            time.sleep(0.05)
        check(rows(where, "SELECT COUNT(*) FROM attempts WHERE kind = 'shadow'")[0][0] >= 1, "there are shadows")
    with tempfile.TemporaryDirectory() as where, Mock("--first-ms", "300") as mock, serve(settings(mock, where, more=more % 0.0007)) as s:
        for i in range(4):
            question(s, "openai", f"question {i}", "slm-auto", max_tokens=40)
        time.sleep(0.1)
        caps = rows(where, "SELECT SUM(nano_usd), COUNT(*) FROM attempts WHERE kind = 'shadow'")[0]
        check(caps[1] >= 1 and caps[0] <= 700000, f"{caps} are set aside together")


def test_report_hours():
    with tempfile.TemporaryDirectory() as where, Mock() as mock, serve(settings(mock, where)) as s:
        question(s, "openai", "x")
        for hours, status in (("1", 200), ("0", 200), ("0.5", 200), ("", 400), ("abc", 400), ("-1", 400), ("nan", 400), ("inf", 400), ("1e300", 400), ("1h", 400)):
            a = ask(s, "GET", f"/slm/v1/report?hours={hours}")
            check(a.status == status and (status == 400 or a.json()["requests"] == 1), f"{hours!r}: {a.status} {a.body}")


def test_report_beside_work():
    """While a report reads rows without end, requests begin and end, and /metrics answers at once."""
    with tempfile.TemporaryDirectory() as where, Mock() as mock:
        path = settings(mock, where)
        with serve(path) as s:
            question(s, "openai", "x")
        with sqlite3.connect(f"{where}/ledger.sqlite") as db:
            db.execute("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000000) INSERT INTO requests (request, api, tier, model, reason, cache, escalated, degraded, n_in, n_out,"
                       " nano_usd, saved_nano_usd, http, seconds) SELECT 'r' || i, 'a', 'local', 'm', 'r' || (i % 1000), 'c', 0, 0, 1, 1, 0, 0, 200, 1 FROM n")
        with serve(path) as s:
            done = []

            def report():
                begin = time.time()
                n = ask(s, "GET", "/slm/v1/report").json()["requests"]
                done.append((n, time.time() - begin))
            t = threading.Thread(target=report)
            t.start()
            time.sleep(0.1)
            begin = time.time()
            text = ask(s, "GET", "/metrics").body
            check(b"slm_budget_spent_usd" in text and question(s, "openai", "y")[0] == "y" and not done, "a request and the metrics wait for the report")
            took = time.time() - begin
            t.join()
            check(done[0][0] >= 1000001 and took < done[0][1], f"{done} {took}")


def test_wire_bytes():
    redact = "privacy: {detectors: [email, card], action: redact}\n"
    got = sent_bytes(lambda s: question(s, "openai", "bob@example.com and 4111-1111-1111-1111, bob@example.com"), redact)
    check(b"bob@" not in got and b"4111" not in got and got.count(b"[EMAIL_") == 2, f"{got}")
    # all that leaves is looked at: tools, schema, stop, keys and numbers of arguments, the beginning of an answer
    schema = {"type": "object", "properties": {"bob@example.com": {"type": "string", "enum": ["ann@example.com"]}}}
    tools = [{"type": "function", "function": {"name": "look", "description": "asks carl@example.com", "parameters": {"type": "object", "properties": {"dora@example.com": {"type": "string"}}}}}]
    messages = [{"role": "user", "content": "plain"}, {"role": "assistant", "content": None, "tool_calls": [{"id": "c1", "type": "function", "function": {
        "name": "look", "arguments": json.dumps({"eve@example.com": 4111111111111111})}}]}, {"role": "tool", "tool_call_id": "c1", "content": "rain"}]
    bodies = [("openai", "/v1/chat/completions", {"messages": [{"role": "user", "content": "plain"}], "response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": schema}}}, 2),
              ("openai", "/v1/chat/completions", {"messages": messages, "tools": tools, "stop": ["fred@example.com"]}, 4),
              ("anthropic", "/v1/messages", {"messages": [{"role": "user", "content": "plain"}, {"role": "assistant", "content": "I write to gus@example.com"}], "max_tokens": 5}, 1)]
    for kind, path, body, n in bodies:
        got = sent_bytes(lambda s: ask(s, "POST", path, dict(body, model="slm-frontier")), redact, kind)
        check(b"@example" not in got and b"4111" not in got and got.count(b"[EMAIL_") == n and got.count(b"[CARD_") == (n == 4), f"{got}")
        stays = "privacy: {detectors: [email, card], action: local_only}\n"
        with tempfile.TemporaryDirectory() as where, Mock() as mock, serve(settings(mock, where, (kind,), stays)) as s:
            a = ask(s, "POST", path, dict(body, model="slm-frontier"))
            check(a.status == 403 and mock.counts()["requests"] == 0, f"{kind}: {a.status} {a.body}")


def test_budget():
    """64 at once: the budget is never passed; what is over it is answered here, or refused."""
    for exceeded, tiers in (("local", {"frontier", "degraded"}), ("error", {"frontier", "none"})):
        # an attempt is set aside with about 0.0004 USD and costs about 0.0002
        with tempfile.TemporaryDirectory() as where, Mock("--first-ms", "30") as mock, serve(settings(mock, where, more=f"budget: {{usd_per_day: 0.002, on_exceeded: {exceeded}}}\n"), "--limit", "requests=128") as s:
            results = []

            def one(i):
                a = ask(s, "POST", "/v1/chat/completions", {"model": "slm-auto", "messages": [{"role": "user", "content": f"question {i} " + "word " * 8}], "max_tokens": 20}, ["x-slm-tier: frontier"])
                results.append((a.status, a.header("x-slm-tier")))
            threads = [threading.Thread(target=one, args=(i,)) for i in range(64)]
            for t in threads:
                t.start()
            for t in threads:
                t.join()
            check({t for _, t in results} == tiers, f"{exceeded}: {set(results)}")
            spent = mock.counts()["usd"]
            check(0.0004 < spent <= 0.002, f"{exceeded}: {spent}")
            check(abs(rows(where, "SELECT SUM(nano_usd) FROM attempts")[0][0] * 1e-9 - spent) < 1e-9, "the ledger says the same")
            same_counts(mock, where)
            a = question(s, "openai", "x", headers=["x-slm-max-usd: 0.000001"])[2]
            check(a.status == 429 and a.json()["error"]["code"] == "budget_exceeded", f"{a.body}")
            keys = {"type": "object", "properties": {f"a_property_with_a_long_name_{i}": {"minimum": 1234567} for i in range(100)}}
            tools = [{"type": "function", "function": {"name": "look", "parameters": keys}}]
            a = question(s, "openai", "x", headers=["x-slm-max-usd: 0.004"], tools=tools)[2]
            check(a.status == 429 and b"may cost 0.00" in a.body and b"the request has 0.004" in a.body, f"keys and numbers are sent, so they are set aside: {a.body}")


def test_kill():
    """kill -9 under load: every request that the mock saw is in the ledger; those that ended have its very tokens; a restart counts the rest at their worst."""
    with tempfile.TemporaryDirectory() as where, Mock("--first-ms", "20", "--token-ms", "2", "--jitter", "0.5") as mock:
        path = settings(mock, where, more="budget: {usd_per_day: 100}\n")
        with serve(path) as s:
            is_over = threading.Event()

            def load(k):
                i = 0
                while not is_over.is_set():
                    i += 1
                    try:
                        question(s, "openai", f"client {k} asks question {i} of many", streams=k % 2 == 0)
                    except (OSError, EOFError, ValueError):
                        return
            threads = [threading.Thread(target=load, args=(k,)) for k in range(16)]
            for t in threads:
                t.start()
            time.sleep(1.5)
            s.process.send_signal(signal.SIGKILL)
            s.process.wait()
            is_over.set()
            for t in threads:
                t.join()
        time.sleep(0.5)  # the mock notices that its clients left
        asked = {r["request_id"]: (r["in"], r["out"]) for r in mock.requests()}
        written = {a: (state, i, o) for a, state, i, o in rows(where, "SELECT attempt, state, n_in, n_out FROM attempts")}
        check(len(asked) > 50 and set(asked) <= set(written), f"{len(asked)} asked, {len(set(asked) - set(written))} not written")
        done = {a: (i, o) for a, (state, i, o) in written.items() if state == "done"}
        check(all(asked[a] == done[a] for a in done), "the tokens are the mock's")
        n_open = sum(state == "open" for state, _, _ in written.values())
        check(0 < n_open <= 16 and len(written) - len(asked) <= 16, f"{n_open} open")
        with serve(path) as s:
            report = ask(s, "GET", "/slm/v1/report").json()
            lost = [a for a in report["attempts"] if a["state"] == "lost"]
            check(lost and lost[0]["attempts"] == n_open, f"{report['attempts']}")
            check(report["budget"]["day_usd"] >= mock.counts()["usd"], "what is lost counts at its worst")


def test_deadline():
    """One deadline for everything, kept to 50 ms; a client that leaves ends the attempt."""
    with tempfile.TemporaryDirectory() as where, Mock() as mock, serve(settings(mock, where, more="deadline_ms: 700\n", upstream=", first_byte_ms: 400, breaker: {fails: 50}")) as s:
        for streams in (False, True):
            mock.fault("hang", 20)
            tooks = []
            while not tooks or (tooks[-1] >= 0.75 and len(tooks) < 5):  # a machine with other work may be late, but not each time
                begin = time.time()
                answer = question(s, "openai", "x", streams=streams)[2]
                tooks.append(time.time() - begin)
                check(answer.status in (502, 504) and tooks[-1] >= 0.4, f"{answer.status} after {tooks[-1]:.3f} s")
            check(tooks[-1] < 0.75, f"later than 0.75 s each time: {tooks}")
            mock.fault("none", 0)
        mock.fault("hang", 1)
        with s.connect() as c:
            c.sendall(request_bytes("POST", "/v1/chat/completions", APIS["openai"][1]("slm-frontier", "x")))
            time.sleep(0.15)
        time.sleep(0.25)
        last = rows(where, "SELECT state, n_in > 0, estimated, nano_usd > 0 FROM attempts ORDER BY id DESC LIMIT 1")
        check(last == [("cancelled", 1, 1, 1)], f"the attempt ends with its client, and is counted, since all of it was sent: {last}")
        late = rows(where, "SELECT DISTINCT n_in > 0, estimated, nano_usd > 0 FROM attempts WHERE state = 'failed'")
        check((1, 1, 1) in late and set(late) <= {(1, 1, 1), (0, 0, 0)}, f"so is one that was given up, unless the deadline came before all of it was sent: {late}")


def test_hold_all():
    """hold_all judges whole answers only: a window that accept would refuse decides nothing, nor does it where only the whole can be judged."""
    for hold_all, streams, tier in (("false", True, "frontier"), ("true", True, "local"), ("false", False, "local")):
        auto = f"auto: {{accept: \"out_tokens > 12\", hold_tokens: 5, hold_all: {hold_all}}}\n"
        with tempfile.TemporaryDirectory() as where, Mock() as mock, serve(settings(mock, where, more=auto)) as s:
            a = question(s, "openai", "plain words", "slm-auto", streams, temperature=0)[2]
            check(a.header("x-slm-tier") == tier, f"{hold_all} {streams}: {a.headers}")


def test_first_byte():
    """A provider sends nothing of a whole answer until all of it is there: first_byte_ms is for streams."""
    with tempfile.TemporaryDirectory() as where, Mock("--first-ms", "600") as mock, serve(settings(mock, where, more="deadline_ms: 4000\n", upstream=", first_byte_ms: 200, retries: 0")) as s:
        check(question(s, "openai", "slow words")[0] == "slow words", "a whole answer may take its time")
        a = question(s, "openai", "slow words", streams=True)[2]
        check(a.status == 502 and b"first_byte_ms" in a.body, f"{a.status} {a.body}")


def test_cache():
    """The same request is answered once; another client, another temperature, no-cache: asked again."""
    with tempfile.TemporaryDirectory() as where, Mock() as mock, serve(settings(mock, where, more="cache: {entries: 2, ttl_s: 100}\n")) as s:
        first = question(s, "openai", "alpha beta gamma")
        for api in APIS:
            for streams in (False, True):
                text, error, a = question(s, api, "alpha beta gamma", streams=streams)
                check((text, a.header("x-slm-tier"), a.header("x-slm-cache")) == (first[0], "cache", "hit"), f"{api}: {a.headers}")
        check(mock.counts()["requests"] == 1, "once")
        check(question(s, "openai", "alpha beta gamma", headers=["x-slm-no-cache: 1"])[2].header("x-slm-cache") == "bypass", "bypass")
        check(question(s, "openai", "do not turn it on")[2].header("x-slm-cache") == "miss" and question(s, "openai", "do turn it on")[2].header("x-slm-cache") == "miss", "only the same is the same")
        check(question(s, "openai", "alpha beta gamma")[2].header("x-slm-cache") == "miss", "two entries, the oldest went")
        check(question(s, "openai", "alpha beta gamma", temperature=1)[2].header("x-slm-cache") == "miss", "another temperature")


def test_verdicts():
    """The loop of a promise: answers with signals, the shadow's verdicts, a client's own, slm calibrate, its certificate at work; another model's is refused."""
    ask_one = lambda s, i, m="slm-auto", **kw: question(s, "openai", f"question {i}", m, temperature=0, max_tokens=6, **kw)
    n = 120
    with tempfile.TemporaryDirectory() as where, Mock() as mock, serve(settings(mock, where, more="auto: {accept: \"true\"}\n")) as s:
        got = [ask_one(s, i) for i in range(n)]
        score = [float(re.search(r"q10_logprob=(\S+)", a.header("x-slm-score")).group(1)) for _, _, a in got]
    middle = sorted(score)[n // 2]
    # the frontier agrees where the local model is sure
    right = [score[i] > middle and "\0" not in got[i][0] for i in range(n)]
    gold = [{"input": f"question {i}", "gold": got[i][0]} for i in range(n) if right[i]]
    with tempfile.TemporaryDirectory() as where, Mock(gold=gold) as mock:
        path = settings(mock, where, more="auto: {accept: \"true\"}\nshadow: {sample: 1, compare: exact}\n")
        with serve(path) as s:
            for i in range(n):
                check(ask_one(s, i)[0] == got[i][0], "the same answer")
                wait_for(lambda: mock.counts()["requests"] == i + 1, "its shadow; there are few places, and who finds none is left out")
            time.sleep(0.2)
            report = ask(s, "GET", "/slm/v1/report").json()
            check(report["local_agrees"]["n"] == n and report["share_local"]["value"] == 1, f"{report['local_agrees']}")
            check(ask_one(s, 0, headers=["x-slm-shadow: 0"])[2].status == 200 and mock.counts()["requests"] == n, "no shadow")
            answers = [json.loads(line) for line in ask(s, "GET", "/slm/v1/answers").body.splitlines()]
            check(len(answers) == n + 1 and [a["right"] for a in answers[:n]] == right, "verdicts")
            check(ask(s, "POST", "/slm/v1/feedback", {"request_id": answers[n]["request_id"], "correct": right[0]}).status == 200, "feedback")
            check(ask(s, "POST", "/slm/v1/feedback", {"request_id": "nobody", "correct": True}).status == 404, "no such request")
            lines = ask(s, "GET", "/slm/v1/answers").body
            check(json.loads(lines.splitlines()[n])["right"] is right[0], "a client's verdict")
        file, cal = pathlib.Path(where) / "answers.jsonl", pathlib.Path(where) / "chat.cal"
        file.write_bytes(lines)
        made = subprocess.run([slm, "calibrate", str(file), "--target", "0.6", "-o", str(cal)], capture_output=True, text=True)
        check(made.returncode == 0 and cal.exists(), made.stdout + made.stderr)
        path.write_text(path.read_text().replace("accept: \"true\"", f"calibration: {cal}").replace("sample: 1,", "sample: 0,"))
        with serve(path) as s:
            tiers = []
            for i in range(n):
                a = ask_one(s, i, streams=i % 2 == 1)[2]
                check(a.header("x-slm-calibration") == json.loads(cal.read_text())["id"] and 0 <= float(a.header("x-slm-confidence")) <= 1, f"{a.headers}")
                tiers.append(a.header("x-slm-tier") == "local")
            check(sum(tiers) > n / 10 and sum(k and not r for k, r in zip(tiers, right)) <= 0.4 * sum(tiers), f"{sum(tiers)} kept")
        other = Server(slm, "-m", f"tiny={root}/tests/golden/models/qwen2-yarn.gguf", "--template", str(root / "tests/wire/chat.jinja"), "-t", "1", "--log", "off", "--gateway", str(path))
        with other as s:
            a = ask_one(s, 1)[2]
            check(a.status == 503 and a.json()["error"]["code"] == "calibration_mismatch", f"{a.status} {a.body}")


def test_cpu_price():
    """A price for processor time: what is computed here costs by what it took, whoever answers in the end, and saves so much less."""
    dear, cents = "usd_per_cpu_hour: 36000\n", lambda a, what="cost": float(a.header(f"x-slm-{what}-usd"))
    with tempfile.TemporaryDirectory() as where, Mock() as mock, serve(settings(mock, where, more=dear + "auto: {accept: \"true\"}\n")) as s:
        first = question(s, "openai", "one question", "slm-auto", temperature=0, max_tokens=1)[2]
        more = [question(s, "openai", f"{i} is another question, which is longer " * 20, "slm-auto", temperature=0, max_tokens=40)[2] for i in range(5)]
        check(0 < cents(first) < sum(map(cents, more)) / 5, f"{first.headers} {more[0].headers}")
        usage = first.json()["usage"]
        price = usage["prompt_tokens"] * 2.5e-6 + usage["completion_tokens"] * 1e-5
        check(abs(cents(first) + cents(first, "saved") - price) < 3e-9, f"{first.headers} {price}")
        report = ask(s, "GET", "/slm/v1/report").json()
        check(abs(report["usd"] - cents(first) - sum(map(cents, more))) < 1e-7 and report["budget"]["day_usd"] == 0, f"{report}")
    with tempfile.TemporaryDirectory() as where, Mock() as mock, serve(settings(mock, where, more=dear + "auto: {accept: \"out_tokens > 1000\"}\n")) as s:
        a = question(s, "openai", "plain words", "slm-auto")[2]
        upstream = rows(where, "SELECT SUM(nano_usd) FROM attempts")[0][0] * 1e-9
        check(a.header("x-slm-tier") == "frontier" and cents(a) > upstream > 0, f"what was doubted was computed too: {a.headers} {upstream}")


def test_near():
    """What asks the same in other words has the answer that was paid for; what only looks like it, another system prompt or another temperature has not."""
    semantic = "cache: {entries: 100, ttl_s: 100, semantic: {enabled: true, min: 0.6}}\n"
    with tempfile.TemporaryDirectory() as where, Mock(gold=[{"input": "what is the weather in Boston", "gold": "Rain."}]) as mock, serve(settings(mock, where, more=semantic)) as s:
        check(question(s, "openai", "what is the weather in Boston")[0] == "Rain.", "asked once")
        for api in APIS:
            for streams in (False, True):
                text, error, a = question(s, api, "What's the weather in Boston, please?", streams=streams)
                check((text, error, a.header("x-slm-tier"), a.header("x-slm-cache")) == ("Rain.", "", "cache", "near"), f"{api}: {text!r} {a.headers}")
                check("similarity 0." in a.header("x-slm-reason"), f"{a.headers}")
        for q in ("what is not the weather in Boston", "what is the weather in Austin", "what is the weather in Boston 2", "what was the weather in Boston"):
            check(question(s, "openai", q)[2].header("x-slm-cache") == "miss", q)
        check(question(s, "openai", "what's the weather in Boston", temperature=1)[2].header("x-slm-cache") == "miss", "another temperature")
        check(question(s, "openai", "what's the weather in Boston", headers=["x-slm-no-cache: 1"])[2].header("x-slm-cache") == "bypass", "bypass")
        a = ask(s, "POST", "/v1/chat/completions", {"model": "slm-frontier", "max_tokens": 40, "messages": [{"role": "system", "content": "be kind"}, {"role": "user", "content": "what's the weather in Boston"}]})
        check(a.header("x-slm-cache") == "miss", "another system prompt")


N_CERTIFIED = 120


def ask_short(s, i, model="slm-auto", **more):
    return question(s, "openai", f"question {i}", model, temperature=0, max_tokens=6, **more)


def q10(answer):
    return float(re.search(r"q10_logprob=(\S+)", answer.header("x-slm-score")).group(1))


def certificate(where):
    """One by which the surer half of question 0, 1, ... is right; its file, and the score of each."""
    with tempfile.TemporaryDirectory() as there, Mock() as mock, serve(settings(mock, there, more="auto: {accept: \"true\"}\n")) as s:
        got = [ask_short(s, i)[2] for i in range(N_CERTIFIED)]
        scores = [q10(a) for a in got]
        for a, score in zip(got, scores):
            ask(s, "POST", "/slm/v1/feedback", {"request_id": a.header("x-slm-request-id"), "correct": score > sorted(scores)[N_CERTIFIED // 2]})
        answers, cal = pathlib.Path(where) / "answers.jsonl", pathlib.Path(where) / "chat.cal"
        answers.write_bytes(ask(s, "GET", "/slm/v1/answers").body)
    made = subprocess.run([slm, "calibrate", str(answers), "--target", "0.6", "-o", str(cal)], capture_output=True, text=True)
    check(made.returncode == 0, made.stdout + made.stderr)
    return cal, scores


def calibration(s):
    answer = ask(s, "GET", "/slm/v1/report")
    check(answer.status == 200 and "calibration" in answer.json(), f"{answer.status} {answer.body}")
    return answer.json()["calibration"]


def wait_for(holds, what, seconds=5):
    end = time.time() + seconds
    while not holds():
        check(time.time() < end, what)
        time.sleep(0.02)


def metric(s, name):
    return float(re.search(rf"^{name} (\S+)$", ask(s, "GET", "/metrics").body.decode(), re.M).group(1))


def is_suspended(s, i, tier):
    a = ask_short(s, i)[2]
    check(a.status == 200 and (a.header("x-slm-calibration"), a.header("x-slm-tier")) == ("suspended", tier), f"{a.status} {a.headers}")
    check(a.header("x-slm-audit") is None, "what is not kept is not audited")


def test_audit_errors():
    """Audits that are wrong raise the alarm: the certificate keeps nothing any more, the next run knows it, another certificate begins anew."""
    with tempfile.TemporaryDirectory() as where, Mock() as mock:  # it gives every question back: no kept answer is right
        cal, _ = certificate(where)
        path = settings(mock, where, more=f"auto: {{calibration: {cal}}}\naudit: {{sample: 1, max_usd_per_day: 1}}\n")
        with serve(path) as s:
            n = 0
            for i in range(N_CERTIFIED):
                a = ask_short(s, i)[2]
                is_kept = a.header("x-slm-tier") == "local"
                check((a.header("x-slm-audit") == "1") == is_kept, f"every kept answer is drawn: {a.headers}")
                n += is_kept
                wait_for(lambda: calibration(s)["n_audited"] == n, "an audit's verdict")
                if calibration(s)["suspended"]:
                    break
            check(calibration(s)["watch"] == "errors" and 3 <= n <= 12, f"after {n} errors: {calibration(s)}")
            check(ask(s, "GET", "/slm/v1/report").json()["audit"]["value"] == 1 and metric(s, "slm_calibration_suspended") == 1, "the report and the metrics say so")
            is_suspended(s, 1, "frontier")
            check(rows(where, "SELECT COUNT(*), MIN(nano_usd) > 0 FROM attempts WHERE kind = 'audit' AND state = 'done'") == [(n, 1)], "audits are in the ledger")
        with serve(path) as s:
            is_suspended(s, 2, "frontier")
            check((calibration(s)["n_audited"], calibration(s)["suspended"]) == (n, True), f"{calibration(s)}")
            mock.fault("500", 100)
            is_suspended(s, 3, "degraded")
        other = json.loads(cal.read_text())
        cal.write_text(json.dumps(dict(other, id="other-certificate")))
        with serve(path) as s:
            check(not calibration(s)["suspended"] and calibration(s)["n_audited"] == 0, f"{calibration(s)}")


def test_audit_shift():
    """Requests that are not like those of the certificate raise the other alarm, without a single audit; those that are do not; a restart forgets nothing."""
    with tempfile.TemporaryDirectory() as where, Mock() as mock:
        cal, scores = certificate(where)
        path = settings(mock, where, more=f"auto: {{calibration: {cal}}}\n")
        with serve(path) as s:
            for i in range(N_CERTIFIED):
                ask_short(s, i)
            seen = calibration(s)
            check(not seen["suspended"] and seen["n_seen"] == N_CERTIFIED, f"the same questions: {seen}")
        with serve(path) as s:
            again = calibration(s)
            check(again["n_seen"] == N_CERTIFIED and abs(again["distance"] - seen["distance"]) < 1e-12, f"{seen} {again}")
            worst = sorted(range(N_CERTIFIED), key=lambda i: scores[i])[:6]
            for k in range(400):
                a = ask_short(s, worst[k % 6])[2]
                if a.header("x-slm-calibration") == "suspended":
                    break
            check(calibration(s)["watch"] == "shift" and 10 < k < 350, f"after {k}: {calibration(s)}")
        with serve(path) as s:
            is_suspended(s, 2, "frontier")


def test_audit_feedback():
    """A client's verdict counts as an audit where its request was drawn, once; the day's budget for audits holds; x-slm-shadow: 0 is no audit."""
    with tempfile.TemporaryDirectory() as where, Mock() as mock:
        cal, scores = certificate(where)
        best = max(range(N_CERTIFIED), key=lambda i: scores[i])
        for audit, counts in (("{sample: 1, max_usd_per_day: 0.000001}", 1), ("{sample: 0}", 0)):
            path = settings(mock, where, more=f"auto: {{calibration: {cal}}}\naudit: {audit}\n")
            with serve(path) as s:
                a = ask_short(s, best)[2]
                check(a.header("x-slm-tier") == "local" and (a.header("x-slm-audit") == "1") == counts, f"{a.headers}")
                before = calibration(s)["n_audited"]
                wait_for(lambda: rows(where, "SELECT COUNT(*) FROM audits")[0][0] == 1, "it is written")
                for correct in (True, False):
                    check(ask(s, "POST", "/slm/v1/feedback", {"request_id": a.header("x-slm-request-id"), "correct": correct}).status == 200, "feedback")
                got = calibration(s)
                check((got["n_audited"] - before, got["loss_audited"]) == (counts, 0), f"{got}")
                b = ask_short(s, best, headers=["x-slm-shadow: 0"])[2]
                check(b.header("x-slm-audit") is None, f"{b.headers}")
        check(mock.counts()["requests"] == 0 and rows(where, "SELECT COUNT(*) FROM attempts") == [(0,)], "no money, no audit")


HEDGE = "hedge: {with: %s, samples: 3, least_ms: 150%s}\ndeadline_ms: 5000\n"
TO_FRONTIER = ["x-slm-tier: frontier"]


def warm(s, model="slm-auto", n=3, **more):
    """Three answers each, whole and streamed, from which it is known how long the upstream is usually silent."""
    for streams in (False, True):
        for i in range(n):
            text, error, a = question(s, "openai", f"warm words {i}", model, streams, **more)
            check((text, error, a.header("x-slm-tier")) == (f"warm words {i}", "", "frontier"), f"{a.headers} {error}")


def test_hedge_local():
    """An upstream that is silent for too long: the local model answers, judged as ever; what is not trusted does not; both are in the ledger."""
    for accept, tier in (("true", "degraded"), ("out_tokens > 1000", "failed")):
        with tempfile.TemporaryDirectory() as where, Mock() as mock, \
                serve(settings(mock, where, more=f"auto: {{accept: \"{accept}\", hold_tokens: 4, finish_accept: \"{accept}\"}}\n" + HEDGE % ("local", ", quantile: 0.7"), upstream=", retries: 0, first_byte_ms: 900")) as s:
            body = {"temperature": 0, "headers": TO_FRONTIER}
            mock.fault("hang")
            a = question(s, "openai", "too early", "slm-auto", True, **body)[2]
            check("hedge" not in a.header("x-slm-reason"), "of an upstream that was never asked nothing is known")
            warm(s, headers=TO_FRONTIER)
            local = question(s, "openai", "plain words", "slm-local", temperature=0)[0]
            for streams in (False, True) if tier == "degraded" else (True,):
                mock.fault("hang")
                begin = time.time()
                text, error, a = question(s, "openai", "plain words", "slm-auto", streams, **body)
                took = time.time() - begin
                if tier == "degraded":
                    check((text, error, a.header("x-slm-tier")) == (local, "", "degraded") and a.header("x-slm-reason").startswith("hedge"), f"{text!r} {error!r} {a.headers}")
                    check(took < 0.8 and 0.1 < float(re.search(r"for (\S+) s", a.header("x-slm-reason")).group(1)) < 0.5, f"{took} {a.headers}")
                else:
                    check(a.header("x-slm-reason") == "no upstream answered" and took > 0.85, f"{a.headers} {took}")
                mock.fault("none", 0)
            n = 2 if tier == "degraded" else 1
            done = rows(where, "SELECT upstream, model, state, n_in > 0, n_out > 0, nano_usd FROM attempts WHERE kind = 'hedge'")
            check(done[:n] == [("local", "tiny", "done" if tier == "degraded" else "failed", 1, 1, 0)] * n, f"{tier}: {done}")
            if tier == "degraded":
                lost = rows(where, "SELECT state, n_in > 0, estimated, nano_usd > 0 FROM attempts WHERE kind = 'answer' ORDER BY id DESC LIMIT 2")
                check(lost == [("cancelled", 1, 1, 1)] * 2, f"what was sent is counted: {lost}")
                check((metric(s, "slm_tier_hedges_total"), metric(s, "slm_tier_hedges_won_total")) == (2, 2), "metrics")
                mock.fault("hang")
                begin = time.time()
                a = question(s, "openai", "plain words", "slm-frontier", True)[2]
                check(a.status == 502 and time.time() - begin > 0.85, "slm-frontier is never answered here")
                mock.fault("none", 0)
                a = question(s, "openai", "plain words", "slm-auto", headers=["x-slm-private: 1", *TO_FRONTIER])[2]
                check(a.header("x-slm-tier") == "local", "what is private stays")


def test_hedge_certificate():
    """A certificate of another model, or one that is suspended, judges no hedge either: none is started."""
    with tempfile.TemporaryDirectory() as where, Mock() as mock:
        cal, scores = certificate(where)
        best = max(range(N_CERTIFIED), key=lambda i: scores[i])
        good = json.loads(cal.read_text())
        path = settings(mock, where, more=f"auto: {{calibration: {cal}}}\n" + HEDGE % ("local", ", quantile: 0.7"), upstream=", retries: 0, first_byte_ms: 900")
        for bound, n_hedges in ((good["bound_to"], 1), (dict(good["bound_to"], model="0123456789abcdef"), 0)):
            cal.write_text(json.dumps(dict(good, bound_to=bound)))
            with serve(path) as s:
                warm(s, headers=TO_FRONTIER)
                mock.fault("hang")
                a = ask_short(s, best, streams=True, headers=TO_FRONTIER)[2]
                check(a.status == 200 and a.header("x-slm-reason").startswith("hedge") == (n_hedges > 0), f"{a.status} {a.headers}")
                check((metric(s, "slm_tier_hedges_total"), metric(s, "slm_tier_hedges_won_total")) == (n_hedges, n_hedges), f"{a.headers}")
                mock.fault("none", 0)
                a = ask_short(s, best)[2]
                check(a.status == (200 if n_hedges else 503), f"judged by another model's: {a.status}")


def test_hedge_lost():
    """The upstream answers while the local model is still at it: the local answer is dropped, and nothing of it is told."""
    long = {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "array", "items": {"type": "string", "minLength": 20}, "minItems": 150}}}  # takes seconds here
    with tempfile.TemporaryDirectory() as where, Mock("--first-ms", "250", "--jitter", "0.3") as mock, \
            serve(settings(mock, where, more="auto: {accept: \"true\"}\n" + HEDGE % ("local", ", quantile: 0.01"))) as s:
        warm(s, headers=TO_FRONTIER)
        for i in range(6):
            text, error, a = question(s, "openai", f"plain words {i}", "slm-auto", i % 2 == 0, headers=TO_FRONTIER, response_format=long, max_tokens=4000)
            check((text, error, a.header("x-slm-tier")) == (f"plain words {i}", "", "frontier"), f"{text!r} {error!r} {a.headers}")
        n = rows(where, "SELECT COUNT(*) FROM attempts WHERE kind = 'hedge'")[0][0]
        states = rows(where, "SELECT DISTINCT kind, state FROM attempts ORDER BY 1")
        check(n >= 2 and states == [("answer", "done"), ("hedge", "cancelled")], f"{n} hedges, {states}")
        check(metric(s, "slm_tier_hedges_won_total") == 0, "none won")
        local = question(s, "openai", "plain words", "slm-local", temperature=0, max_tokens=5)
        check(local[2].status == 200 and local[0], "the engine goes on")


def test_hedge_next():
    """Another upstream beside a silent one: its answer is told, the first is left; a request's own budget holds for both together; nobody is asked twice."""
    with tempfile.TemporaryDirectory() as where, Mock() as first, Mock() as second:
        path = settings(first, where, more=HEDGE % ("next", "") + "privacy: {detectors: [email], action: redact}\n", upstream=", retries: 0")
        path.write_text(path.read_text().replace("hedge:", f"  - {{name: other, kind: anthropic, base_url: \"http://127.0.0.1:{second.port}\", model: big2, price_in: 2.5, price_out: 10, retries: 0}}\nhedge:", 1))
        with serve(path) as s:
            warm(s, "slm-frontier")
            check(second.counts()["requests"] == 0, "the first is quick")
            for streams in (False, True):
                first.fault("hang")
                q = "write to jane@example.org"
                text, error, a = question(s, "openai", q, streams=streams)
                check((text, error, a.header("x-slm-model")) == (q, "", "big2") and a.header("x-slm-reason").startswith("hedge"), f"{text!r} {error!r} {a.headers}")
                first.fault("none", 0)
            check([tuple(r) for r in rows(where, "SELECT upstream, kind, state FROM attempts ORDER BY id DESC LIMIT 4")] ==
                  [("other", "hedge", "done"), ("openai", "answer", "cancelled")] * 2, f"{rows(where, 'SELECT upstream, kind, state FROM attempts')}")
            check(b"jane" not in second.log.read_bytes(), "placeholders, there too")
            n = second.counts()["requests"]
            first.fault("hang")
            a = question(s, "openai", "x", streams=True, headers=["x-slm-max-usd: 0.0006"])[2]
            check(second.counts()["requests"] == n and a.status in (429, 502, 504), f"not enough for both: {a.status} {second.counts()}")
            first.fault("500")
            second.fault("500")
            a = question(s, "openai", "x")[2]
            check(a.status == 502 and b"500" in a.body, f"{a.status} {a.body}")


def leave_often(s, seed, mocks, until):
    """A client that leaves most of its answers at any moment, and breaks upstreams now and then."""
    r = random.Random(seed)
    while time.time() < until:
        path, body = APIS[r.choice(list(APIS))]
        q = dict(body(r.choice(("slm-auto", "slm-auto", "slm-frontier", "slm-local")), f"question {r.randrange(30)}{r.choice(('', ' please'))}"), stream=r.random() < 0.6)
        with s.connect() as c:
            c.sendall(request_bytes("POST", path, q, TO_FRONTIER if r.random() < 0.6 else []))
            c.settimeout(2 if r.random() < 0.3 else 0.01 + 0.25 * r.random())
            try:
                while c.recv(1000) and r.random() < 0.9:
                    pass
            except OSError:
                pass
        if r.random() < 0.05:
            r.choice(mocks).fault(r.choice(("hang", "500", "429", "none")), 2)


def test_leave():
    """Clients that leave at any moment (a hedge runs, an audit, an answer is held): everything ends, nothing stays set aside, and day, attempts and requests are of one sum."""
    more = "auto: {accept: \"q10_logprob > -2.6\", hold_tokens: 4}\ndeadline_ms: 1500\naudit: {sample: 0.5}\nshadow: {sample: 0.3}\ncache: {entries: 20, semantic: {enabled: true}}\nbudget: {usd_per_day: 10}\n"
    for hedge in ("local", "next"):
        with tempfile.TemporaryDirectory() as where, Mock("--first-ms", "60", "--jitter", "1") as first, Mock("--first-ms", "40", "--jitter", "1") as second:
            path = settings(first, where, more=more + f"hedge: {{with: {hedge}, samples: 2, least_ms: 20, quantile: 0.1}}\n", upstream=", retries: 0, first_byte_ms: 400")
            other = f"  - {{name: other, kind: anthropic, base_url: \"http://127.0.0.1:{second.port}\", model: big2, price_in: 2.5, price_out: 10, retries: 0, first_byte_ms: 400}}\n"
            path.write_text(path.read_text().replace("auto:", other + "auto:", 1))
            with serve(path) as s:
                clients = [threading.Thread(target=leave_often, args=(s, i, (first, second), time.time() + 4)) for i in range(8)]
                for c in clients:
                    c.start()
                for c in clients:
                    c.join()
                seen = []

                def is_settled():  # a shadow may begin a moment after its request's end
                    budget = ask(s, "GET", "/slm/v1/report").json()["budget"]
                    kinds = dict(rows(where, "SELECT kind, SUM(nano_usd) FROM attempts GROUP BY kind"))
                    asked = rows(where, "SELECT SUM(nano_usd) FROM requests")[0][0] + kinds.get("audit", 0) + kinds.get("shadow", 0)
                    n_open = rows(where, "SELECT COUNT(*) FROM attempts WHERE state = 'open'")[0][0]
                    seen[:] = [metric(s, "slm_requests_running"), n_open, budget["open_usd"], round(budget["day_usd"] * 1e9), asked, kinds]
                    return seen[:3] == [0, 0, 0] and seen[3] == asked == sum(kinds.values())
                wait_for(is_settled, seen, 15)
                check("hedge" in seen[5], f"{seen}")
                check(s.stop() == 0, "exit code")


def test_settings():
    """What is wrong with the file is said with its line; what is not done is refused by name."""
    good = "ledger: l.sqlite\nupstreams:\n  - {name: a, kind: openai, base_url: \"http://127.0.0.1:1/v1\", model: m}\n"
    cases = [("", None), ("hedge: {with: local}\n", None), ("hedge: {}\n", "with"), ("hedge: {with: next}\n", "one upstream only"), ("hedge: {with: local, quantile: 2}\n", "no share"),
             ("hedge: {with: somebody}\n", "tiers.yaml:4"), ("audit: {sample: 1}\n", None), ("usd_per_cpu_hour: 0.04\n", None), ("usd_per_cpu_hour: -1\n", "negative"), ("cache: {semantic: {enabled: true}}\n", "there are no entries"), ("cache: {entries: 5, semantic: {enabled: true, min: 2}}\n", "between 0 and 1"),
             ("cache: {entries: 5, semantic: {enabled: true, min: 0.9, negation_gate: false}}\n", None), ("audit: {sample: 2}\n", "a share past 1"), ("audit: {sample: 0.1, max_usd_per_day: -1}\n", "negative"), ("routes: []\n", '"routes": is not done yet'), ("colour: red\n", 'tiers.yaml:4: key "colour"'),
             ("rules:\n  - {when: \"tokens > 3\", then: local}\n", 'there is no fact "tokens"'), ("rules:\n  - {when: \"text > 3\", then: local}\n", "cannot be compared"),
             ("rules:\n  - {when: \"mean_logprob > 3\", then: local}\n", "there is no fact"), ("privacy: {detectors: [emial]}\n", 'there is no detector "emial"'),
             ("budget: {usd_per_day: 1}\n", "no price"), ("auto: {accept: \"(out_tokens\"}\n", "wanted before"), ("deadline_ms: -1\n", "negative"), ("  - {name: b, kind: openai, base_url: \"http://127.evil.org/v1\", model: m, key_env: PATH}\n", "without encryption"),
             ("  - {name: b, kind: openai, base_url: \"http://127.0.0.1@evil.org/v1\", model: m}\n", "belongs into key_env"), ("  - {name: b, kind: openai, base_url: \"https://\", model: m}\n", "no host"),
             ("  - {name: b, kind: openai, base_url: \"http://[::1]/v1\", model: m, key_env: PATH}\n", None), ("  - {name: b, kind: openai, base_url: \"http://LOCALHOST.:1/v1\", model: m, key_env: PATH}\n", None),
             ("  - {name: b, kind: openai, base_url: \"http://h/v1\", model: m, breaker: {fails: 1000}}\n", "at most"), ("deadline_ms: x\n", "tiers.yaml:4")]
    with tempfile.TemporaryDirectory() as where:
        path = pathlib.Path(where) / "tiers.yaml"
        for more, want in cases:
            path.write_text(good + more)
            got = subprocess.run([slm, "serve", "--gateway", str(path), "--check"], capture_output=True, text=True)
            check((got.returncode == 0) == (want is None) and (want or "") in got.stderr, f"{more!r}: {got.returncode} {got.stderr}")
        path.write_text(good + "local: nobody\n")
        got = subprocess.run([slm, "serve", "--listen", "127.0.0.1:0", "-m", f"tiny={model}", "--gateway", str(path)], capture_output=True, text=True, cwd=where)
        check(got.returncode == 2 and 'there is no model "nobody"' in got.stderr, got.stderr)
        env = dict(os.environ, TIER_TEST_KEY="key-9f2c")
        path.write_text("ledger: l\nupstreams:\n  - {name: a, kind: openai, base_url: \"http://example.org/v1\", model: m, key_env: TIER_TEST_KEY}\n")
        got = subprocess.run([slm, "serve", "--gateway", str(path), "--check"], capture_output=True, text=True, env=env)
        check(got.returncode == 2 and "without encryption" in got.stderr and "key-9f2c" not in got.stderr, got.stderr)


def test_keys():
    """The upstream's key goes there and nowhere else."""
    for kind in KINDS:
        os.environ["SLM_KEY"] = "up-key"
        with tempfile.TemporaryDirectory() as where, Mock() as mock:
            del os.environ["SLM_KEY"]
            path = settings(mock, where, (kind,), upstream=", key_env: UP_KEY, retries: 0")
            with serve(path, env={"UP_KEY": "up-key"}) as s:
                check(question(s, "openai", "x y")[0] == "x y", kind)
            with serve(path, env={"UP_KEY": "wrong"}) as s:
                a = question(s, "openai", "x y")[2]
                check(a.status == 502 and b"401" in a.body and b"wrong" not in a.body, f"{a.body}")
            check("up-key" not in str(rows(where, "SELECT * FROM attempts")) and "up-key" not in str(rows(where, "SELECT * FROM requests")), "no key in the ledger")


def main():
    tests = [(n, f) for n, f in sorted(globals().items()) if n.startswith("test_") and (len(sys.argv) < 4 or sys.argv[3] in n)]
    failed = 0
    for name, fn in tests:
        begin = time.time()
        try:
            fn()
            print(f"ok      {name} ({time.time() - begin:.1f} s)", flush=True)
        except Exception as e:  # noqa: BLE001: the next test still runs
            failed += 1
            print(f"FAILED  {name}: {type(e).__name__}: {e}", flush=True)
    return 1 if failed or not tests else 0


sys.exit(main())

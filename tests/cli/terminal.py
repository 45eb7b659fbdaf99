"""terminal.py SLM MODEL CHAT_MODEL -- slm run at a pseudo-terminal: editing, commands, Ctrl-C, Ctrl-D. Exit 1 with what was seen."""
import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import tempfile
import time

SLM, MODEL, CHAT_MODEL = sys.argv[1:4]
HOME = tempfile.mkdtemp()


class Session:
    def __init__(self, *options, model=MODEL, env=None, command="run"):
        self.seen = b""
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.execve(SLM, [SLM, command, "-m", model, *options], {**os.environ, "TERM": "dumb", "HOME": HOME, "LC_ALL": "C.UTF-8", **(env or {})})

    def wait_for(self, pattern, timeout=60):
        """Reads until pattern is in what came since the last wait; returns it."""
        end = time.time() + timeout
        while not re.search(pattern, self.seen, re.S):
            if time.time() > end:
                fail(f"waited for {pattern!r}, saw {self.seen!r}")
            if select.select([self.fd], [], [], 0.2)[0]:
                try:
                    self.seen += os.read(self.fd, 65536)
                except OSError:
                    if re.search(pattern, self.seen, re.S):
                        break
                    fail(f"ended; waited for {pattern!r}, saw {self.seen!r}")
        seen, self.seen = self.seen, b""
        return seen

    def send(self, text):
        os.write(self.fd, text if isinstance(text, bytes) else text.encode())

    def ask(self, line):
        self.send(line + "\r")
        return self.wait_for(rb"\n>>> $")

    def end(self, want, text=b""):
        self.send(text)
        end = time.time() + 60
        while time.time() < end:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                os.close(self.fd)
                code = os.waitstatus_to_exitcode(status)
                if code != want:
                    fail(f"exit {code}, not {want}; saw {self.seen!r}")
                return
            if select.select([self.fd], [], [], 0.1)[0]:
                try:
                    self.seen += os.read(self.fd, 65536)
                except OSError:
                    pass
        fail(f"does not end; saw {self.seen!r}")


def fail(why):
    print("FAILED:", why, file=sys.stderr)
    sys.exit(1)


def expect(condition, why):
    if not condition:
        fail(why)


def test_talk():
    s = Session("--raw", "-n", "5", "--temp", "0", "--ignore-eos", "-t", "1")
    s.wait_for(rb"/help lists commands.*>>> $")
    s.ask("Once upon a time")
    stats = s.ask("/stats")
    expect(b"2 messages" in stats and b"generated 5 tokens" in stats and b"(0 reused)" in stats, stats)
    s.ask(" and then")
    stats = s.ask("/stats")
    reused = int(re.search(rb"\((\d+) reused\)", stats).group(1))
    expect(b"4 messages" in stats and reused >= 8, f"the first turn is computed again: {stats}")
    expect(b"did you mean /stats" in s.ask("/stast"), "no did-you-mean")
    expect(b"top-k" in s.ask("/set"), "/set lists nothing")
    expect(b"is not a number" in s.ask("/set temp abc"), "/set takes anything")
    expect(b"did you mean" in s.ask("/set tmp 1"), "no did-you-mean in /set")
    expect(b"none of this name" in s.ask("/set model x"), "/set changes the model")
    s.ask("/set predict 3")
    s.ask("/seed 9")
    s.ask("more")
    stats = s.ask("/stats")
    expect(b"generated 3 tokens" in stats and b"seed 9" in stats, stats)
    s.send("one\\\r")
    s.wait_for(rb"\.\.\. $")
    s.ask("two")
    s.send('"""three\r')
    s.wait_for(rb"\.\.\. $")
    s.send("four\r")
    s.wait_for(rb"\.\.\. $")
    s.ask('five"""')
    path = os.path.join(HOME, "talk.json")
    expect(b"messages written" in s.ask("/save " + path), "/save")
    talk = json.load(open(path))
    said = [m["content"] for m in talk if m["role"] == "user"]
    expect(said == ["Once upon a time", " and then", "more", "one\ntwo", "three\nfour\nfive"], said)
    expect([m["role"] for m in talk] == ["user", "assistant"] * 5, "roles")
    s.ask("/clear")
    expect(b"0 messages" in s.ask("/stats"), "/clear")
    s.ask("/system You are a cat.")
    expect(b"1 messages" in s.ask("/stats"), "/system")
    expect(b"/bye" in s.ask("/help"), "/help")
    s.end(0, b"\x04")
    history = open(os.path.join(HOME, ".slm_history")).read()
    expect("more" in history and os.stat(os.path.join(HOME, ".slm_history")).st_mode & 0o077 == 0, "history")


def test_interrupts():
    s = Session("--raw", "-n", "-1", "-c", "60000", "--ignore-eos", "-t", "1", "--seed", "1")
    s.wait_for(rb">>> $")
    s.send("Once\r")
    s.wait_for(rb"Once.{200}")
    s.send(b"\x03")
    s.wait_for(rb"\n>>> $")
    expect(b"ended by cancelled" in s.ask("/stats"), "the answer was not stopped")
    s.send(b"half a li\x03")
    s.wait_for(rb"Ctrl-D or /bye.*>>> $")
    expect(b"2 messages" in s.ask("/stats"), "an interrupted line was sent")
    s.send(b"\x03")
    s.wait_for(rb"Ctrl-D or /bye.*>>> $")
    s.end(130, b"\x03")
    s = Session("--raw", "-t", "1")
    s.wait_for(rb">>> $")
    s.send(b"/by\x1a")  # Ctrl-Z: without a shell to come back to it does nothing, and the half line stays
    s.end(0, b"e\r")


def test_context_fills():
    s = Session("--raw", "-c", "24", "-n", "-1", "--ignore-eos", "-t", "1")
    s.wait_for(rb">>> $")
    expect(b"context is full" in s.ask("Once"), "no word of a full context")
    expect(b"does not fit" in s.ask("upon"), "no refusal")
    expect(b"2 messages" in s.ask("/stats"), "the refused message stayed")
    s.ask("/clear")
    s.ask("Once")
    s.end(0, b"\x04")


def test_talk_through_a_template():
    """The conversation is rendered whole for every answer, and what was computed before is kept."""
    s = Session("-n", "6", "--temp", "0", "-t", "1", model=CHAT_MODEL)
    seen = s.wait_for(rb">>> $")
    expect(b"no chat template" not in seen, seen)
    s.ask("/system be brief")
    s.ask("Hello there")
    stats = s.ask("/stats")
    first = int(re.search(rb"prompt (\d+) tokens", stats).group(1))
    expect(b"3 messages" in stats, stats)
    s.ask("again")
    stats = s.ask("/stats")
    second, reused = map(int, re.search(rb"prompt (\d+) tokens \((\d+) reused", stats).groups())
    expect(second > first and reused >= first - 1, f"the first prompt is computed again: {stats}")
    expect(b"not that" in s.ask("no"), "raise_exception is not told")
    expect(b"5 messages" in s.ask("/stats"), "the refused message stayed")
    s.end(0, b"\x04")


def test_one_shot_interrupt():
    """SIGINT ends a one-shot run with what there is and 130; JSON is still whole."""
    for form in ([], ["--json"]):
        p = subprocess.Popen([SLM, "run", "-m", MODEL, "--raw", "-p", "Once", "-n", "-1", "-c", "200000", "--ignore-eos", "-t", "1", *form],
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        if form:
            time.sleep(1)
        else:
            p.stdout.read(100)
        p.send_signal(signal.SIGINT)
        out, err = p.communicate(timeout=60)
        expect(p.returncode == 130, f"exit {p.returncode}: {err!r}")
        expect(err == b"", err)
        if form:
            expect(json.loads(out)["finish"] == "cancelled", out[:200])
        else:
            expect(out.endswith(b"\n"), out[-20:])


def test_hostile_text_on_a_terminal():
    """Bytes that a model makes reach a terminal as text only: 27 is the escape byte's token here, forced by a bias."""
    escape = 3 + 0x1b  # byte pieces begin at id 3
    s = Session("--raw", "-p", "x", "-n", "3", "--ignore-eos", "--logit-bias", f"{escape}=10000", "-t", "1")
    seen = s.wait_for(rb"tokens/s.*\n")
    expect(b"\\x1b\\x1b\\x1b" in seen and b"\x1b\x1b" not in seen, seen)
    s.end(0)


def test_tokens_on_a_terminal():
    s = Session("a<s>", command="tokenize")
    s.wait_for(rb" +1  \"<s>\"\r\n")
    s.end(0)


if __name__ == "__main__":
    for test in (test_talk, test_interrupts, test_context_fills, test_talk_through_a_template, test_one_shot_interrupt, test_hostile_text_on_a_terminal,
                 test_tokens_on_a_terminal):
        test()
        print("ok", test.__name__)

"""play.py SLM ROOT [--record] -- every transcript: its request's bytes against a live server, the answer compared.

A transcript is the request, a line "----", and the answer. A request without "!raw" in front gets Host and Content-Length. Of the answer
the volatile parts are masked: dates, ids, times, durations; floats keep three digits."""
import pathlib
import re
import sys

from server import Reader, Server

MASKS = [(r'\b(chatcmpl-|cmpl-|resp_|msg_|rs_|fc_|call_|toolu_|slm-)[A-Za-z0-9]{24}', r'\1ID'), (r'req_[0-9a-f]{16}', 'req_ID'), (r'"(created|created_at)":\d+', r'"\1":0'),
         (r'"(\w+_at)":"[^"]*"', r'"\1":"TIME"'), (r'"(\w+_duration|\w+_ms|ms|\w+_per_second)":[-0-9.e+]+', r'"\1":0'), (r'"(size|seed)":\d+', r'"\1":0'), (r'"digest":"[0-9a-f]+"', '"digest":"X"'),
         (r'(-?\d+\.\d{3})\d+(?![eE\d])', r'\1')]
DROPPED = {"date", "x-request-id", "content-length", "cache-control", "x-accel-buffering", "connection"}


def request_of(text):
    if text.startswith("!raw\n"):
        return text[5:].replace("\\r\\n\n", "\r\n").replace("\\r\\n", "\r\n").encode()
    head, _, body = text.partition("\n\n")
    lines = head.split("\n")
    body = body.rstrip("\n").encode()
    lines.insert(1, "Host: localhost")
    if body:
        lines.append(f"Content-Length: {len(body)}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body


def shown(answer):
    body = answer.body.decode()
    for pattern, by in MASKS:
        body = re.sub(pattern, by, body)
    if answer.header("content-type") == "application/json":
        body += "\n"
    headers = "".join(f"{k}: {v}\n" for k, v in answer.headers if k not in DROPPED)
    return f"{answer.status}\n{headers}\n{body}"


def main():
    slm, root = sys.argv[1], pathlib.Path(sys.argv[2])
    here, models = root / "tests/wire", root / "tests/golden/models"
    faults = 0
    files = sorted((here / "transcripts").glob("*.txt"))
    args = ["-m", f"tiny={models}/llama-linear.gguf", "-m", f"bert={models}/bert.gguf", "-m", f"rank={models}/bert-rank.gguf", "--template", str(here / "chat.jinja"), "--log", "off", "-t", "1",
            "--limit", "body-bytes=4096"]
    with Server(slm, *args) as server:
        for path in files:
            request, _, want = path.read_text().partition("----\n")
            with server.connect() as s:
                s.sendall(request_of(request))
                got = shown(Reader(s).answer(request.startswith("HEAD")))
            if "--record" in sys.argv:
                path.write_text(request + "----\n" + got)
            elif got != want:
                faults += 1
                print(f"FAILED: {path.name}\n--- want\n{want}\n--- got\n{got}")
        code = server.stop()
    print(f"{len(files)} transcripts, {faults} differ, server's exit {code}")
    return 1 if faults or code != 0 or not files else 0


if __name__ == "__main__":
    sys.exit(main())

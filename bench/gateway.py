"""gateway.py SLM [N] -- what the gateway adds to a request: slm mock-frontier asked directly and through slm serve, in alternation on warm connections.

Prints p50, p99 of both and of the difference of their medians, whole answers and streams, the processor time of a request, and the
server's resident memory before and after."""
import http.client
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time

slm, n = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 2000
root = pathlib.Path(__file__).resolve().parent.parent


def start(*args):
    p = subprocess.Popen([slm, *args], stderr=subprocess.PIPE, text=True)
    for line in p.stderr:
        found = re.match(r"listening on http://[^:]+:(\d+)", line)
        if found:
            return p, int(found.group(1))
    raise SystemExit("no server")


def rss(p):
    return int(re.search(r"VmRSS:\s+(\d+)", pathlib.Path(f"/proc/{p.pid}/status").read_text()).group(1))


def cpu_us(p):
    fields = pathlib.Path(f"/proc/{p.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) * 1e6 / os.sysconf("SC_CLK_TCK")


def ask(c, model, streams):
    t = time.perf_counter()
    c.request("POST", "/v1/chat/completions", json.dumps({"model": model, "stream": streams, "messages": [{"role": "user", "content": "what is the capital of the canton?"}]}))
    c.getresponse().read()
    return (time.perf_counter() - t) * 1e6


def main():
    with tempfile.TemporaryDirectory() as where:
        mock, mock_port = start("mock-frontier", "--listen", "127.0.0.1:0")
        path = pathlib.Path(where) / "t.yaml"
        path.write_text(f"ledger: {where}/l.sqlite\nupstreams:\n  - {{name: a, kind: openai, base_url: \"http://127.0.0.1:{mock_port}/v1\", model: m, price_in: 1, price_out: 1}}\n")
        server, port = start("serve", "--listen", "127.0.0.1:0", "-m", f"tiny={root}/tests/golden/models/llama-linear.gguf", "--log", "off", "--gateway", str(path))
        for streams in (False, True):
            direct, through = http.client.HTTPConnection("127.0.0.1", mock_port), http.client.HTTPConnection("127.0.0.1", port)
            ask(direct, "m", streams), ask(through, "slm-frontier", streams)
            before, cpu, a, b = rss(server), (cpu_us(server), cpu_us(mock)), [], []
            for _ in range(n):
                a.append(ask(direct, "m", streams))
                b.append(ask(through, "slm-frontier", streams))
            a.sort(), b.sort()
            p = lambda v, q: v[int(q * (len(v) - 1))]
            print(f"{'stream' if streams else 'whole '}: direct p50 {p(a, .5):.0f} us p99 {p(a, .99):.0f}, through p50 {p(b, .5):.0f} p99 {p(b, .99):.0f}, added p50 {p(b, .5) - p(a, .5):.0f} p99 {p(b, .99) - p(a, .99):.0f}; "
                  f"processor time of a request: server {(cpu_us(server) - cpu[0]) / n:.0f} us, mock {(cpu_us(mock) - cpu[1]) / 2 / n:.0f} us; resident {before} -> {rss(server)} KiB")
        for proc in (server, mock):
            proc.terminate()
            proc.wait()


main()

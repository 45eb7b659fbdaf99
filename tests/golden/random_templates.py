#!/usr/bin/env python3
"""random_templates.py SLM [N] [SEED] -- N random templates through `slm template` and through jinja2: text or error must be equal.

With --dump FILE instead of SLM the cases are written as JSON. Exit 77 when jinja2 is not there. What Python computes with
integers beyond 64 bits, or prints as an address, is not compared."""
import json
import os
import random
import re
import subprocess
import sys
import tempfile
import warnings

try:
    import make_templates as suite
except ImportError:
    print("skipped: needs python3-jinja2")
    sys.exit(77)

warnings.simplefilter("ignore")  # CPython warns of subscripts on constants
FILTERS = sorted(set(suite.ENV.filters) - {"random", "pprint"})
TESTS = sorted(set(suite.ENV.tests))
METHODS = ["upper()", "lower()", "title()", "strip()", "split()", "split(',')", "split(' ', 1)", "rsplit('o', 1)", "replace('l', 'L')", "startswith('H')", "endswith('d')",
           "find('o')", "rfind('o')", "count('l')", "index('W')", "join(words)", "join(l)", "keys()", "values()", "items()", "get('a')", "get('zz', 5)", "copy()", "format(1, 'x')",
           "splitlines()", "partition(',')", "capitalize()", "swapcase()", "center(20, '*')", "zfill(8)", "isdigit()", "isalpha()", "removeprefix('He')", "nope()", "lstrip('H')",
           "istitle()", "casefold()", "expandtabs(3)", "rjust(15)", "index(2)", "encode_()", "bit_length()"]
FILTER_ARGS = {"batch": ["2", "2, 'x'", "3"], "slice": ["2", "3, 0"], "replace": ["'l', 'L'", "'o', '0', 1", "1, 2"], "join": ["", "','", "'-', 'name'", "attribute='age'"], "default": ["", "'d'", "1, true"],
               "d": ["'d'"], "round": ["", "1", "0, 'ceil'", "2, 'floor'"], "truncate": ["", "5", "8, true", "9, false, '..'"], "indent": ["", "2", "2, true", "'> '"], "center": ["", "30"], "attr": ["'name'", "'upper'"],
               "map": ["'upper'", "attribute='name'", "'length'", "'default', 3", "", "'nope'", "'string'", "attribute='a.b', default=0"], "select": ["", "'odd'", "'string'", "'gt', 1"], "reject": ["", "'none'", "'odd'"],
               "selectattr": ["'name'", "'age', 'gt', 26", "'tags', 'defined'", ""], "rejectattr": ["'tags'", "'age', 'eq', 30"], "groupby": ["'age'", "attribute='name'", "0"], "sort": ["", "true", "attribute='name'", "case_sensitive=true"],
               "unique": ["", "true"], "sum": ["", "attribute='age'", "start=5"], "min": ["", "attribute='age'"], "max": ["", "true"], "dictsort": ["", "false, 'value'", "reverse=true"], "tojson": ["", "indent=2", "sort_keys=true", "separators=(',', ':')", "ensure_ascii=true"],
               "int": ["", "7", "0, 16"], "float": ["", "1.5"], "format": ["", "1", "'a', 'b'"], "trim": ["", "'Hd'"], "wordwrap": ["", "9", "6, false"], "filesizeformat": ["", "true"], "xmlattr": [""], "urlize": ["", "8"], "escape": [""]}
NAMES = ["s", "u", "empty", "sp", "n", "neg", "f", "t", "no", "l", "words", "mixed", "nested", "d", "deep", "people", "text", "html", "num", "flt", "x", "loop", "item", "a", "b"]
CONSTANTS = ["0", "1", "2", "-3", "2.5", "0.1", "1e3", "true", "false", "none", "''", "'a'", "'Hello'", "'%s'", "'é'", "[]", "[1, 2]", "{}", "{'a': 1}", "(1, 'b')", "'a,b'"]
BINARY = ["+", "-", "*", "/", "//", "%", "**", "~", "==", "!=", "<", "<=", ">", ">=", "in", "not in", "and", "or"]


class Maker:
    def __init__(self, seed):
        self.r = random.Random(seed)

    def call_args(self, name, table):
        return self.r.choice(table.get(name, ["", "", "1", "'a'"]))

    def expression(self, depth=3):
        r = self.r
        if depth == 0 or r.random() < 0.2:
            return r.choice(NAMES) if r.random() < 0.7 else r.choice(CONSTANTS)
        e = lambda: self.expression(depth - 1)
        kind = r.randrange(12)
        if kind <= 2:
            name = r.choice(FILTERS)
            args = self.call_args(name, FILTER_ARGS)
            return f"({e()})|{name}" + (f"({args})" if args or r.random() < 0.2 else "")
        if kind == 3:
            return f"({e()}) {r.choice(BINARY)} ({e()})"
        if kind == 4:
            name = r.choice(TESTS)
            args = f"({e()})" if name in {"divisibleby", "sameas", "in", "eq", "equalto", "==", "ne", "!=", "gt", ">", "lt", "<", "ge", "le", ">=", "<=", "greaterthan", "lessthan"} else ""
            if not name[0].isalpha():
                return f"({e()}) {name} ({e()})"
            return f"({e()}) is {r.choice(['', 'not '])}{name}{args}"
        if kind == 5:
            return f"({e()}).{r.choice(METHODS)}"
        if kind == 6:
            return f"({e()})[{r.choice(['0', '-1', '1:', ':2', '::-1', chr(39) + 'a' + chr(39), chr(39) + 'name' + chr(39), '1:3', '::2', self.expression(0)])}]"
        if kind == 7:
            return f"({e()}).{r.choice(['a', 'name', 'x', 'items', 'y', 'age', 'index', 'first', 'last', 'real'])}"
        if kind == 8:
            return f"({e()} if {e()}" + (f" else {e()})" if r.random() < 0.8 else ")")
        if kind == 9:
            return r.choice(["[%s, %s]", "(%s, %s)", "{'k': %s, 'j': %s}", "[%s] + [%s]"]) % (e(), e())
        if kind == 10:
            return r.choice(["not (%s)", "-(%s)", "(%s)"]) % e()
        return f"({e()})|{r.choice(['string', 'list', 'length', 'first', 'last', 'tojson', 'upper', 'trim', 'join', 'sort'])}"

    def space(self):
        return self.r.choice(["", "", " ", "\n", "\n  ", "  \n", "text ", "\t"])

    def tag(self, inside):
        return "{%" + self.r.choice(["", "", "-", "+"]) + f" {inside} " + self.r.choice(["", "", "-", "+"]) + "%}"

    def output(self):
        return "{{" + self.r.choice(["", "", "-"]) + f" {self.expression(self.r.randrange(1, 4))} " + self.r.choice(["", "", "-"]) + "}}"

    def statement(self, depth):
        r = self.r
        body = lambda: self.block(depth - 1)
        kind = r.randrange(13) if depth > 0 else r.randrange(3)
        if kind <= 1:
            return self.output()
        if kind == 2:
            return self.tag(f"set {r.choice(['a', 'b', 's', 'n'])} = {self.expression(2)}")
        if kind == 3:
            return self.tag(f"if {self.expression(2)}") + body() + (self.tag(f"elif {self.expression(1)}") + body() if r.random() < 0.3 else "") + (self.tag("else") + body() if r.random() < 0.5 else "") + self.tag("endif")
        if kind <= 5:
            head = f"for item in {r.choice(['l', 'words', 'people', 'd', 'nested', 'range(3)', self.expression(2)])}" + (f" if {self.expression(1)}" if r.random() < 0.2 else "")
            inner = self.block(depth - 1) + r.choice(["", "{{ loop.index }}", "{{ loop.last }}{{ loop.length }}", "{{ loop.previtem }}{{ loop.nextitem is defined }}", "{{ loop.cycle('a', 'b') }}", "{% if loop.first %}{% continue %}{% endif %}z", "{% if loop.index > 1 %}{% break %}{% endif %}"])
            return self.tag(head) + inner + (self.tag("else") + body() if r.random() < 0.3 else "") + self.tag("endfor")
        if kind == 6:
            return self.tag(f"set {r.choice(['a', 'b'])}" + r.choice(["", " | upper", " | trim"])) + body() + self.tag("endset")
        if kind == 7:
            return self.tag("macro m(a, b=2)") + body() + self.tag("endmacro") + r.choice(["{{ m(1) }}", "{{ m(b=s) }}", "{{ m(l, d) }}", "{{ m(1, 2, 3) }}", "{{ m() }}"])
        if kind == 8:
            return self.tag(f"with a = {self.expression(1)}, b = {self.expression(1)}") + body() + self.tag("endwith")
        if kind == 9:
            return self.tag("filter " + r.choice(["upper", "trim", "replace('a', 'b')", "indent(2)", "title"])) + body() + self.tag("endfilter")
        if kind == 10:
            return self.tag("set ns = namespace(v=1)") + self.tag("for i in range(3)") + self.tag(f"set ns.v = {r.choice(['ns.v + i', 's', 'ns.v ~ i'])}") + self.tag("endfor") + "{{ ns.v }}"
        if kind == 11:
            return r.choice(["{# comment #}", "{#- c -#}", "{% raw %}{{ x }}{% endraw %}", "{%- raw -%} y {%- endraw -%}", self.tag("generation") + "g" + self.tag("endgeneration")])
        return self.tag("macro w()") + "[{{ caller(1) }}]" + self.tag("endmacro") + self.tag("call(q) w()") + "{{ q }}" + body() + self.tag("endcall")

    def block(self, depth):
        return "".join(self.space() + self.statement(depth) for _ in range(self.r.randrange(1, 4))) + self.space()


HIDDEN = (" at 0x", "<function", "<built-in", "<class", "<bound", "<generator", "recursion", "TemplateReference", "missing", "_reverse", "reversekey", "iterator object", "too many nested", "escape() takes", "soft_str() takes", "object select", "object do_", "object sync")


# Which slices of constants jinja2 folds while it compiles, and so does not fail on, is not followed everywhere.
FOLDED = re.compile("not subscriptable|type: 'slice'|element slice")


def make_cases(n, seed):
    cases = []
    while len(cases) < n:
        maker = Maker(seed * 1000003 + len(cases))
        source = maker.block(2)
        result = suite.render(source, suite.INPUT)
        text = result.get("expected", result.get("error", ""))
        hidden = any(h.lower() in text.lower() for h in HIDDEN) or len(text) > 200000 or any(len(w.strip("-")) > 18 for w in text.replace(".", " ").split() if w.strip("-").isdigit())
        try:
            text.encode()
        except UnicodeEncodeError:
            hidden = True
        cases.append({"case": f"random {seed}/{len(cases)}", "source": source, "hidden": hidden, **result})
    return [c for c in cases if not c.pop("hidden")]


def run(slm, source, folder):
    with open(folder + "/t.jinja", "w", newline="") as out:
        out.write(source)
    p = subprocess.run([slm, "template", "--template", folder + "/t.jinja", "--input", folder + "/in.json"], capture_output=True,
                       env={**os.environ, "SLM_NOW": suite.NOW.isoformat()})
    if p.returncode == 0:
        return {"expected": p.stdout.decode()}
    message = p.stderr.decode().split("\nhint: ")[0].removeprefix("error: ").rstrip("\n")
    return {"error": message.split(": ", 1)[1] if message.startswith("template line") else message}


def main():
    n = int(sys.argv[3 if sys.argv[1] == "--dump" else 2]) if len(sys.argv) > 2 else 300
    seed = int(sys.argv[-1]) if len(sys.argv) > 3 else 1
    cases = make_cases(n, seed)
    if sys.argv[1] == "--dump":
        json.dump({"inputs": suite.INPUT, "cases": cases}, open(sys.argv[2], "w"))
        return 0
    n_wrong = n_refused = 0
    with tempfile.TemporaryDirectory() as folder:
        json.dump(suite.INPUT, open(folder + "/in.json", "w"))
        for c in cases:
            got = run(sys.argv[1], c["source"], folder)
            if got.get("error", "").startswith("UnsupportedError") or FOLDED.search(got.get("error", "") + c.get("error", "")):
                n_refused += 1
            elif "error" in got and "error" in c and got["error"][:300] == c["error"][:300]:
                pass
            elif got.get("expected", 0) != c.get("expected", 1):
                n_wrong += 1
                print(f"{c['case']}: {c['source']!r}\n  jinja2: {c.get('expected', c.get('error'))!r}\n  slm:    {got}", file=sys.stderr)
    print(f"{len(cases)} templates, {n_wrong} differ, {n_refused} refused")
    return 1 if n_wrong or n_refused * 20 > len(cases) or len(cases) < n // 2 else 0


if __name__ == "__main__":
    sys.exit(main())

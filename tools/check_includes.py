#!/usr/bin/env python3
"""check_includes.py ROOT -- the house's rules that a compiler does not know. One line per violation; exit 1 if any.

A file includes its own room's headers and the public headers of lower rooms; a *_int.h header never leaves its room;
every room has a README of at most 40 lines; getenv is called in one file; banned functions are not called."""
import pathlib
import re
import sys

LEVEL = {"base": 0, "format": 1, "text": 1, "compute": 2, "model": 3, "engine": 4, "task": 5, "train": 5, "tier": 6,
         "store": 6, "serve": 7, "cli": 8}
BANNED = re.compile(r"(?<![\w.>])(strcpy|strcat|sprintf|vsprintf|strtok|gets|alloca|atoi|atol|atof|rand|srand|asctime|ctime)\s*\(")
README_LINES_MAX = 40


def strip(text):
    """Source without comments and string literals, line numbers kept."""
    keep_lines = lambda m: "\n" * m.group(0).count("\n") if m.group(0).startswith("/") else '""'
    return re.sub(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"', keep_lines, text, flags=re.S)


def check_file(path, src, complain):
    room = path.relative_to(src).parts[0]
    text = path.read_text()
    for number, line in enumerate(text.splitlines(), 1):
        m = re.match(r'\s*#\s*include\s*"([^"]+)"', line)
        if not m:
            continue
        target = m.group(1).split("/")[0]
        where = f"{path}:{number}"
        if target not in LEVEL:
            complain(f'{where}: include "{m.group(1)}" is not given from src/')
        elif target != room and LEVEL[target] >= LEVEL[room]:
            complain(f'{where}: room "{room}" may not include "{m.group(1)}"')
        elif target != room and m.group(1).endswith("_int.h"):
            complain(f'{where}: "{m.group(1)}" is private to its room')
    code = strip(text)
    for number, line in enumerate(code.splitlines(), 1):
        if "getenv" in line and path.relative_to(src).as_posix() != "base/env.c":
            complain(f"{path}:{number}: getenv outside base/env.c")
        m = BANNED.search(line)
        if m:
            complain(f"{path}:{number}: banned function {m.group(1)}")


def main():
    root = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else ".").resolve()
    src, faults = root / "src", []
    for path in sorted(src.rglob("*.[ch]")):
        check_file(path, src, faults.append)
    for room in sorted(p for p in src.iterdir() if p.is_dir()):
        if room.name not in LEVEL:
            faults.append(f"{room}: a room that the order does not know")
        readme = room / "README.md"
        if not readme.exists():
            faults.append(f"{room}: no README.md")
        elif len(readme.read_text().splitlines()) > README_LINES_MAX:
            faults.append(f"{readme}: longer than {README_LINES_MAX} lines")
    print("\n".join(faults) if faults else "includes: every file keeps to the order of the rooms")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/env python3
"""check_sizes.py ROOT -- files past 1,000 lines and functions past 120 fail; past 600 and 60 are counted.

A file whose first lines hold the word "table:" (a file that is a table) is exempt from the file limit."""
import pathlib
import re
import sys

FILE_MAX, FILE_AIM, FUNCTION_MAX, FUNCTION_AIM = 1000, 600, 120, 60


def functions(lines):
    """(name, first line, length) of top-level blocks that follow a parameter list."""
    start, name = None, ""
    for i, line in enumerate(lines, 1):
        if line.startswith("}") and start:
            yield name, start, i - start + 1
            start = None
        elif start is None and re.match(r"[A-Za-z_].*\)\s*\{\s*$", line):
            start = i
            name = re.search(r"(\w+)\s*\(", line).group(1)


def main():
    root = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else ".").resolve()
    faults, long_files, long_functions, n_files = [], 0, 0, 0
    for path in sorted((root / "src").rglob("*.[ch]")):
        lines = path.read_text().splitlines()
        n_files += 1
        is_table = any("table:" in line for line in lines[:5])
        if len(lines) > FILE_MAX and not is_table:
            faults.append(f"{path}: {len(lines)} lines")
        long_files += len(lines) > FILE_AIM and not is_table
        for name, at, length in functions(lines):
            if length > FUNCTION_MAX:
                faults.append(f"{path}:{at}: function {name} has {length} lines")
            long_functions += length > FUNCTION_AIM
    print("\n".join(faults) if faults else f"sizes: {n_files} files, {long_files} past {FILE_AIM} lines, {long_functions} functions past {FUNCTION_AIM}")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())

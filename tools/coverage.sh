#!/bin/sh
# coverage.sh BUILD_DIR: lines executed per source file, by gcov.
set -eu
find "$1" -name '*.gcda' -path '*libslm.dir*' | while read -r data; do
    gcov -n "$data" 2> /dev/null
done | awk -F "'" '/^File/ {file = $2} /^Lines executed/ && file ~ /\/src\// {sub(/.*\/src\//, "src/", file); sub("Lines executed:", ""); print $0 "  " file; file = ""}' | sort -n

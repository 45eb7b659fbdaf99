#!/bin/sh
# check_symbols.sh LIBRARY: no two files of it define the same name. In a static library the linker takes the first one that it meets and says
# nothing, whatever its parameters are.
set -eu
names=$(nm -g --defined-only "$1" 2> /dev/null | awk 'NF == 3 && $3 !~ /^__/ {print $3}' | sort)
[ -n "$names" ] || { echo "symbols: none in $1" >&2; exit 1; }
twice=$(printf '%s\n' "$names" | uniq -d)
[ -z "$twice" ] || { echo "symbols: defined twice in $1:" $twice >&2; exit 1; }
echo "symbols: $(printf '%s\n' "$names" | wc -l), none twice"

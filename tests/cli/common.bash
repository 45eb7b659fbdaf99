# common.bash -- what the scripts share; sourced with their arguments: the program, the source folder.
set -euo pipefail
slm=$1 root=$2
models=$root/tests/golden/logits
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

fail() {
    echo "FAILED: $*" >&2
    exit 1
}

# expect CODE ARGS...: run slm; standard output in $work/out, standard error in $work/err.
expect() {
    local want=$1 got=0
    shift
    "$slm" "$@" > "$work/out" 2> "$work/err" < /dev/null || got=$?
    [ "$got" = "$want" ] || fail "slm $*: exit $got, not $want: $(cat "$work/err")"
}

said() { grep -q -- "$1" "$work/err" || fail "not said: $1; but: $(cat "$work/err")"; }

same() { [ "$1" = "$2" ] || fail "$3: \"$1\" is not \"$2\""; }

# shared NAME: a file beside the project, or the whole script counts as skipped.
shared() {
    local path=${SLM_SHARED:-$root/../shared}/$1
    [ -r "$path" ] || { echo "skipped: needs shared file $1" >&2; return 77; }
    echo "$path"
}

# json FILE EXPRESSION: evaluate a Python expression with the document as d.
json() { python3 -c 'import json, sys; d = json.load(open(sys.argv[1])); print(eval(sys.argv[2]))' "$1" "$2"; }

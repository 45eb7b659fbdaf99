#!/usr/bin/env bash
# results.sh [SECTION...]: run bench/results/<section>.sh (all of them by default) and put what they print into docs/results.md,
# each between its own marks, with the machine and the day. A section script prints Markdown table rows:
#   | what is claimed | figure | command |
# and fails when a figure cannot be had; its old section then stays and the run ends with an error.
set -euo pipefail
cd "$(dirname "$0")/.."
page=docs/results.md
machine="$(awk -F ': ' '/model name/ {print $2; exit}' /proc/cpuinfo), $(nproc) CPUs, $(awk '/MemTotal/ {printf "%.0f GiB", $2 / 1048576}' /proc/meminfo)"
failed=0

for script in bench/results/*.sh; do
    section=$(basename "$script" .sh)
    [ $# -eq 0 ] || case " $* " in *" $section "*) ;; *) continue ;; esac
    echo "results: $section" >&2
    title=$(sed -n '2s/^# //p' "$script")
    out=$(mktemp)
    {
        printf '## %s\n\n%s, %s; made by `bash bench/results.sh %s`\n\n' "$title" "$machine" "$(date +%F)" "$section"
        printf '| what | figure | command |\n|---|---|---|\n'
    } > "$out"
    if bash "$script" >> "$out"; then
        # Between the section's marks; a section that is new goes to the end.
        grep -q "^<!-- $section -->$" "$page" || printf '\n<!-- %s -->\n<!-- /%s -->\n' "$section" "$section" >> "$page"
        awk -v mark="<!-- $section -->" -v end="<!-- /$section -->" -v text="$out" '
            $0 == mark {print; while ((getline line < text) > 0) print line; skip = 1; next}
            $0 == end {skip = 0}
            !skip' "$page" > "$page.new"
        mv "$page.new" "$page"
    else
        echo "error: section \"$section\": its script failed, its figures in $page are left as they were" >&2
        failed=1
    fi
    rm -f "$out"
done
exit $failed

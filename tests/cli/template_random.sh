#!/usr/bin/env bash
# Random templates: slm template and jinja2 say the same. Counts as skipped without python3-jinja2.
source "$(dirname "$0")/common.bash" "$@"
for python in python3 /usr/bin/python3; do
    "$python" -c 'import jinja2; assert jinja2.__version__ >= "3.1"' 2> /dev/null || continue
    exec "$python" "$root/tests/golden/random_templates.py" "$slm" 150 7
done
echo "skipped: needs python3-jinja2"
exit 77

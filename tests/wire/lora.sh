#!/usr/bin/env bash
# Adapters beside one model: names, a request's own mix, many at once, what is refused.
exec python3 "$(dirname "$0")/lora.py" "$@"

#!/usr/bin/env bash
# Raw requests and the answers they must get.
exec python3 "$(dirname "$0")/play.py" "$@"

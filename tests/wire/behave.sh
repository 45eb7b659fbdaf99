#!/usr/bin/env bash
# Clients that leave, stall, flood and pipeline; keys, origins, TLS, systemd; models that come and go; the end.
exec python3 "$(dirname "$0")/behave.py" "$@"

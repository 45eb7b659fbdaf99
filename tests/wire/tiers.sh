#!/usr/bin/env bash
# slm-auto, slm-local and slm-frontier over slm mock-frontier: formats, faults, budgets, privacy, the ledger after a kill.
exec python3 "$(dirname "$0")/tiers.py" "$@"

#!/usr/bin/env bash
# Ollama's routes that change models, against a store and a registry of our own: store.py says what is tried.
exec python3 "$(dirname "$0")/store.py" "$@"

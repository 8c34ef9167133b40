#!/usr/bin/env bash
# Instructions for each event: traces.sh BENCH-TRACES [MODE…]. Needs valgrind.
set -euo pipefail
program=$1; shift
[ $# -gt 0 ] || set -- none log
scratch=$(mktemp -d); trap 'rm -rf "$scratch"' EXIT

instructions() {
  valgrind --tool=callgrind --callgrind-out-file="$scratch/out" "$program" "$1" "$2" "$3" >"$scratch/log" 2>&1
  sed -n 's/.*Collected : \([0-9]*\).*/\1/p' "$scratch/log"
}

for mode in "$@"; do
  echo "$mode: echo $((($(instructions "$mode" echo 6000) - $(instructions "$mode" echo 1000)) / 5000)) instructions," \
    "broadcast to 100 $((($(instructions "$mode" broadcast 250) - $(instructions "$mode" broadcast 50)) / 200))"
done

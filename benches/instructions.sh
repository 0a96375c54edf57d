#!/usr/bin/env bash
# Runs each benchmark of a divan binary once under callgrind, and prints how many instructions it took: a figure that does not
# depend on how busy the machine is. `make instructions` passes the binary.
set -euo pipefail

command -v valgrind >/dev/null || { echo "instructions: install valgrind (Debian: apt-get install valgrind)" >&2; exit 2; }
binary=$1
for benchmark in transition_of_an_order transition_of_a_fan_out replay encode_messages decode_replies encode_journal \
    decide_into_a_batch; do
    counted=$(valgrind --tool=callgrind --callgrind-out-file=/dev/null --toggle-collect='hot_path::counted*' \
        "$binary" --test "$benchmark" 2>&1 | awk '/Collected/ { print $4 }')
    printf '%-28s %12s\n' "$benchmark" "$counted"
done

#!/usr/bin/env bash
# A new user's first minutes: clone into a new folder, the README's two commands, timed.
set -euo pipefail
project=$(cd "$(dirname "$0")/.." && pwd)
output=$project/benchmarks/results/first_minutes.txt
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
git clone --quiet "$project" "$folder/corarec"
cd "$folder/corarec"
{
    echo "At commit $(git rev-parse HEAD)"
    echo
    for target in quickstart test; do
        started=$SECONDS
        echo "\$ make $target"
        COLUMNS=80 make "$target" >"$folder/said" 2>"$folder/errors" || {
            tail -n 60 "$folder/said" "$folder/errors" >&2
            exit 1
        }
        tr '\r' '\n' <"$folder/said" | sed "s#$folder/##" | tail -n "$([ $target = test ] && echo 1 || echo 60)"
        echo "($((SECONDS - started)) s in all, set-up included where it was needed)"
        echo
    done
} >"$folder/output"
mv "$folder/output" "$output"
cat "$output"

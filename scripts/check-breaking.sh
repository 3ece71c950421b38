#!/bin/sh
# Compares protos/ with those of the last release tag or, before the first, of main's last commit.
# BUF: the program to run (default: buf).
set -eu

cd "$(dirname "$0")/.."

reference=$(git describe --tags --abbrev=0 2>/dev/null ||
    git rev-parse --quiet --verify main 2>/dev/null ||
    git rev-parse --quiet --verify origin/main 2>/dev/null || true)
if [ -z "$reference" ] || ! git cat-file -e "$reference:protos" 2>/dev/null; then
    echo "buf breaking: skipped, there is no earlier version of protos/ to compare with"
    exit 0
fi

earlier=$(mktemp -d)
trap 'rm -rf "$earlier"' EXIT
git archive "$reference" buf.yaml protos | tar -x -C "$earlier"
"${BUF:-buf}" breaking --against "$earlier"
echo "buf breaking: compatible with $reference"

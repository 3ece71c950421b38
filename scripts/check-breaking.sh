#!/bin/sh
# Compares protos/ with those of the last release (the newest tag v… before this commit) or, before the first release,
# of the last commit of main that this branch has. Where there is nothing to compare with, it says so and is content.
# BUF: the program to run (default: buf).
set -eu

cd "$(dirname "$0")/.."

skip() {
    echo "buf breaking: skipped, $1" >&2
    exit 0
}

[ "$(git rev-parse --show-prefix 2>/dev/null || echo none)" = "" ] || skip "this is no git clone"
reference=$(git describe --tags --match 'v[0-9]*' --abbrev=0 2>/dev/null ||
    git merge-base HEAD main 2>/dev/null ||
    git merge-base HEAD origin/main 2>/dev/null || true)
if [ "$(git rev-parse --is-shallow-repository)" = true ] &&
    ! git describe --tags --match 'v[0-9]*' >/dev/null 2>&1; then
    skip "this clone is shallow and has no release tag: run 'git fetch --unshallow --tags'"
fi
[ -n "$reference" ] || skip "there is neither a release tag nor a branch main"
git cat-file -e "$reference:protos" 2>/dev/null || skip "$reference has no protos/"

earlier=$(mktemp -d)
trap 'rm -rf "$earlier"' EXIT
git archive "$reference" buf.yaml protos | tar -x -C "$earlier"
"${BUF:-buf}" breaking --against "$earlier" || {
    echo "buf breaking: protos/ break what $reference promises" >&2
    exit 1
}
echo "buf breaking: compatible with $reference"

#!/bin/sh
# Makes the Python code of the contract, protos/ -> generated/, and the synchronous client out of the asynchronous one,
# src/matching_client/aio/ -> src/matching_client/. With a directory as the argument both are made there.
# The tools live in .venv-codegen/, made with ${PYTHON:-python3} on the first run and whenever their versions change.
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
out=${1:-$root/generated}
client=${1:-$root/src}/matching_client
venv=$root/.venv-codegen
requirements=$root/scripts/codegen-requirements.txt
stamp=$venv/installed-requirements.txt

if ! cmp -s "$requirements" "$stamp"; then
    rm -rf "$venv"
    "${PYTHON:-python3}" -m venv "$venv"
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check -r "$requirements"
    cp "$requirements" "$stamp"
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cd "$root/protos"
"$venv/bin/python" -m grpc_tools.protoc --proto_path=. --python_out="$work" --pyi_out="$work" \
    advisor_matching/v1/*.proto
"$venv/bin/python" -m grpc_tools.protoc --proto_path=. --grpc_python_out="$work" \
    --plugin=protoc-gen-mypy_grpc="$venv/bin/protoc-gen-mypy_grpc" --mypy_grpc_out=quiet:"$work" \
    advisor_matching/v1/*_service.proto

package=$work/advisor_matching
printf '"""Generated from protos/ by scripts/generate.sh; never edited."""\n' >"$package/__init__.py"
printf '"""Messages and stubs of package advisor_matching.v1."""\n' >"$package/v1/__init__.py"
: >"$package/py.typed"

mkdir -p "$out"
rm -rf "$out/advisor_matching"
cp -R "$package" "$out/advisor_matching"

"$venv/bin/python" "$root/scripts/make_sync.py" "$root/src/matching_client" "$client"

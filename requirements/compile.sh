#!/usr/bin/env bash
# Compiles every *.in to a pinned, hashed requirements file that names no package host.
set -euo pipefail
cd "$(dirname "$0")/.."
compile() {
  .tools/uv/bin/uv pip compile --quiet --universal --python-version 3.13 --generate-hashes \
    --no-emit-index-url --no-annotate --custom-compile-command "make requirements" "$@"
}
compile layers/common/requirements.in -o layers/common/requirements.txt
for name in dev ministack msgraph node sam standin template uv; do compile "requirements/$name.in" -o "requirements/$name.txt"; done

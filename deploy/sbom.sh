#!/usr/bin/env bash
# Writes what is installed in a Python environment as CycloneDX JSON: names, versions, licences,
# package URLs, and who needs whom.
#
#   bash deploy/sbom.sh [PYTHON [FILE [OPTION...]]]    left out: the checkout's .venv, and sbom.json;
#                                                      options are those of cyclonedx-py environment
#
# Made by cyclonedx-bom, the CycloneDX project's own tool: it reads the metadata of what is really
# installed, where a list made from `pip inspect` would have to be turned into the format by hand and
# validated by other means. It is used from PYTHON's environment if it is there (extra "test"), else
# from one of its own that is made for the moment, so that the product's environment stays as it is.
#
# Known weaknesses, from the pinned versions:
#
#   pip-audit --requirement deploy/constraints.txt --no-deps --disable-pip
#
# pip-audit has no database of its own: it asks a service about each package. Where there is no internet,
# run a mirror of OSV inside (its data are files to download) and name it with
# `--vulnerability-service osv --osv-url URL`, or carry constraints.txt or sbom.json, which hold nothing about
# the site, to a machine that has internet and check them there.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
python=${1:-$root/.venv/bin/python}
file=${2:-sbom.json}

tool=$python
if ! "$tool" -c 'import cyclonedx_py' 2>/dev/null; then
    folder=$(mktemp -d)
    trap 'rm -rf "$folder"' EXIT
    "$python" -m venv "$folder"
    tool=$folder/bin/python
    "$tool" -m pip install --quiet --constraint "$root/deploy/constraints.txt" cyclonedx-bom
fi
"$tool" -m cyclonedx_py environment --output-reproducible --output-format JSON --spec-version 1.6 \
    --pyproject "$root/pyproject.toml" --mc-type application "${@:3}" --output-file "$file" "$python"
echo "$file: $("$python" -c 'import json, sys; print(len(json.load(open(sys.argv[1]))["components"]))' "$file") components" >&2

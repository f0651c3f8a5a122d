#!/usr/bin/env bash
# Everything that is checked: lint, format, types, import contracts, tests.
#
#   bash tests/run.sh [PYTEST ARGUMENTS]
#
# With CI=true a test that needs a real DICOM peer and cannot run is a failure.
set -uo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=deploy/environment.sh
. "$root/deploy/environment.sh"
prepare_environment "$root" test
cd "$root" || exit 1
PATH=$PATH:/usr/sbin  # where Debian puts Orthanc

missing=()
command -v Orthanc >/dev/null || missing+=(orthanc)
# Orthanc's packages tell its plugins by their folder.
compgen -G '/usr/share/orthanc/plugins/*DicomWeb*' >/dev/null || missing+=(orthanc-dicomweb)
for program in storescu storescp echoscu dcmdump; do
    command -v "$program" >/dev/null || { missing+=(dcmtk); break; }
done
compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || missing+=(postgresql)
compgen -G '/usr/share/orthanc/plugins/*WebViewer*' >/dev/null || missing+=(orthanc-webviewer)
command -v chromium >/dev/null || missing+=(chromium)
command -v promtool >/dev/null || missing+=(prometheus)
command -v ip >/dev/null || missing+=(iproute2)
if [ ${#missing[@]} -gt 0 ]; then
    if ! is_debian_root || ! apt_install "${missing[@]}"; then
        say "Not here: ${missing[*]}. Tests that need them are skipped and listed at the end."
    fi
fi

failed=()
check() {
    local name=$1
    shift
    printf '\n== %s\n' "$name"
    "$@" || failed+=("$name")
}
check lint ruff check .
check format ruff format --check .
check types mypy
check imports lint-imports --no-logo
# Two at a time, a file in one place, in the order of tests/conftest.py: most of the suite waits for
# other programs. Some hundred of them are the node, which is not to be compiled at each start.
unset PYTHONDONTWRITEBYTECODE
check tests python -m pytest -n 2 --dist loadfile --no-loadscope-reorder "$@"

echo
if [ ${#failed[@]} -gt 0 ]; then
    echo "Failed: ${failed[*]}"
    exit 1
fi
echo "All checks passed."

#!/usr/bin/env bash
# From a bare machine to synthesized views: makes .venv, installs what is needed, runs the demo.
#
#   bash deploy/quickstart.sh [--out DIR] [--source FILE] [--views NAME]
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=deploy/environment.sh
. "$here/environment.sh"
prepare_environment "$(dirname "$here")" all
exec "$VENV/bin/dicom-node" demo "$@"

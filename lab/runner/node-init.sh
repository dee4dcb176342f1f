#!/bin/sh
# Process 1 of a node, started by the runner in namespaces of the node's own (mount, net, pid, uts, ipc). Makes the node's
# file system out of the machine's, without touching it, tells the runner on descriptor 3, then becomes what the node runs.
# Usage: node-init.sh WORK-FOLDER PROJECT-ROOT NAME ROLE [SOURCE TARGET ro|rw]...
# /etc is a copy of the machine's; /run, /var/lib, /var/log and /var/tmp start empty; the rest is the machine's own.
set -eu
work=$1 root=$2 name=$3 role=$4
shift 4

# /proc is still the machine's: the number of this process there, by which the runner enters the node.
read -r pid _ </proc/self/stat
echo "$pid" >&3

mount -t proc proc /proc
mount -t sysfs sysfs /sys
echo "$name" >/proc/sys/kernel/hostname

# Everything is put together under WORK-FOLDER first, since it covers folders that binds may come from.
mount -t tmpfs -o mode=755 tmpfs "$work"
mkdir "$work/etc" "$work/run" "$work/lib" "$work/log" "$work/tmp"
cp -a /etc/. "$work/etc/"
# What this machine has configured for routers and an agent of its own is not the node's.
rm -rf "$work/etc/frr/frr.conf" "$work/etc/bird/bird.conf" "$work/etc/ocicat"
echo "$name" >"$work/etc/hostname"

place() { # where a path of the node is while it is being put together
  case $1 in
    /etc/*) echo "$work/etc/${1#/etc/}" ;;
    /run/*) echo "$work/run/${1#/run/}" ;;
    /var/lib/*) echo "$work/lib/${1#/var/lib/}" ;;
    /var/log/*) echo "$work/log/${1#/var/log/}" ;;
    /var/tmp/*) echo "$work/tmp/${1#/var/tmp/}" ;;
  esac
}

while [ "$#" -gt 0 ]; do
  source=$1 target=$(place "$2") mode=$3
  shift 3
  mkdir -p "$(dirname "$target")"
  if [ -d "$source" ]; then mkdir -p "$target"; else : >>"$target"; fi
  mount --bind "$source" "$target"
  [ "$mode" = rw ] || mount -o remount,bind,ro "$target"
done

# The project itself stays in sight, wherever it is.
kept=$(place "$root")
if [ -n "$kept" ]; then
  mkdir -p "$kept"
  mount --bind "$root" "$kept"
fi

mkdir -p "$work/run/ocilab/bin" "$work/run/netns"
ln -s "$root/src/cli/ocicat.sh" "$work/run/ocilab/bin/ocicat"
ln -s "$root/lab/images/$role/start.sh" "$work/run/ocilab/bin/lab-node"

mount --rbind "$work/etc" /etc
mount --rbind "$work/lib" /var/lib
mount --rbind "$work/log" /var/log
chmod 1777 "$work/tmp"
mount --rbind "$work/tmp" /var/tmp
mount --rbind "$work/run" /run

PATH=/run/ocilab/bin:/usr/sbin:/usr/bin:/sbin:/bin
HOME=/root
export PATH HOME
ip link set lo up
cd /
echo ready >&3
exec 3>&-
exec sh "$root/lab/images/$role/start.sh"

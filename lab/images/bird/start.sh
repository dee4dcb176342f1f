#!/bin/sh
# What runs in a router of the BIRD kind: the image's command, and what the runner starts in a node of its own.
#   lab-node          (as process 1) sets the node up, starts the router and lives until it is told to stop
#   lab-node start    starts the router's process, which must not be running
#   lab-node kill     kills the router's process at once, as a crash would
# Configuration: /etc/bird/bird.conf, which takes in /etc/bird/protocol.d/*.conf in each BGP protocol.
set -u
PATH=/usr/sbin:/usr/bin:/sbin:/bin
export PATH

start() {
  mkdir -p /run/bird /etc/bird/protocol.d
  # -R: when the configuration has graceful restart on, the kernel's routes are taken over and not swept.
  bird -R -c /etc/bird/bird.conf -s /run/bird/bird.ctl -P /run/bird/bird.pid
}

crash() {
  if [ -s /run/bird/bird.pid ]; then kill -9 "$(cat /run/bird/bird.pid)" 2>/dev/null; fi
  rm -f /run/bird/bird.pid /run/bird/bird.ctl
}

case ${1-} in
  start) start; exit ;;
  kill) crash; exit ;;
esac

# A router: forwards, uses every equal path by flow, and keeps its IPv6 addresses when a link goes down and up.
echo 1 >/proc/sys/net/ipv4/ip_forward
echo 1 >/proc/sys/net/ipv4/fib_multipath_hash_policy
echo 1 >/proc/sys/net/ipv6/fib_multipath_hash_policy
for scope in all default; do
  echo 1 >/proc/sys/net/ipv6/conf/$scope/forwarding
  echo 1 >/proc/sys/net/ipv6/conf/$scope/keep_addr_on_down
done

trap 'exit 0' TERM INT
start || echo "the router did not start" >&2
# Process 1 must outlive the router's process and collect what it leaves behind.
sleep infinity &
while :; do wait; done

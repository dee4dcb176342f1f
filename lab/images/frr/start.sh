#!/bin/sh
# What runs in a router of the FRR kind: the image's command, and what the runner starts in a node of its own.
#   lab-node          (as process 1) sets the node up, starts the router and lives until it is told to stop
#   lab-node start    starts the router's processes, which must not be running
#   lab-node kill     kills the router's processes at once, as a crash would
# Configuration: /etc/frr/frr.conf, and /etc/frr/extra.conf before it if it is there.
set -u
PATH=/usr/lib/frr:/usr/sbin:/usr/bin:/sbin:/bin
export PATH

start() {
  mkdir -p /run/frr && chown frr:frr /run/frr
  # The processes read nothing themselves: vtysh hands each the lines that are its own, once all are there.
  zebra -d -P 0 -f /dev/null -i /run/frr/zebra.pid --log file:/run/frr/zebra.log || return 1
  bgpd -d -P 0 -f /dev/null -i /run/frr/bgpd.pid --log file:/run/frr/bgpd.log || return 1
  # extra.conf goes first: graceful restart that is turned on after the neighbors are there asks for a reset of them
  # all, and FRR 8.4 was once seen to stay in Active with every neighbor in that order.
  cat /etc/frr/extra.conf /etc/frr/frr.conf >/run/frr/boot.conf 2>/dev/null
  vtysh -f /run/frr/boot.conf || return 1
}

crash() {
  for name in bgpd zebra; do
    if [ -s /run/frr/$name.pid ]; then kill -9 "$(cat /run/frr/$name.pid)" 2>/dev/null; fi
    rm -f /run/frr/$name.pid /run/frr/$name.vty /run/frr/zserv.api
  done
  return 0
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
# Process 1 must outlive the router's processes and collect what they leave behind.
sleep infinity &
while :; do wait; done

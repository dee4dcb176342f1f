#!/bin/sh
# What runs on an Ocicat host: the image's command, and what the runner starts in a node of its own.
#   lab-node          (as process 1) starts the agent and lives until it is told to stop
#   lab-node start    starts the agent, which must not be running
#   lab-node kill     kills the agent at once, as a crash would; packets keep flowing
# Configuration: /etc/ocicat/agent.yaml, if it is there. The agent's log: /var/log/ocicat/agent.log.
set -u

start() {
  mkdir -p /run/ocicat /var/lib/ocicat /var/log/ocicat
  ocicat agent >>/var/log/ocicat/agent.log 2>&1 </dev/null &
  echo $! >/run/ocicat/agent.pid
}

crash() {
  if [ -s /run/ocicat/agent.pid ]; then kill -9 "$(cat /run/ocicat/agent.pid)" 2>/dev/null; fi
  rm -f /run/ocicat/agent.pid
}

case ${1-} in
  start) start; exit ;;
  kill) crash; exit ;;
esac

trap 'exit 0' TERM INT
start
# Process 1 must outlive the agent and collect what it leaves behind.
sleep infinity &
while :; do wait; done

# No network: the container has a loopback of its own and nothing else (docker run --net none).
# hides: everything   costs: nothing
ip -n "$CONTAINER" link set lo up
echo address=none

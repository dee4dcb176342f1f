# macvlan: the container has a MAC and an address of the uplink's own subnet, the switch sees it as a machine of its own.
# hides: nothing on the segment   costs: one MAC a container at every switch, no traffic to its own host, stops at the segment
ip link add mv0 link "$UPLINK" type macvlan mode bridge
ip link set mv0 netns "$CONTAINER" name eth0
ip -n "$CONTAINER" link set lo up
ip -n "$CONTAINER" addr add "10.80.0.1$HOST/24" dev eth0
ip -n "$CONTAINER" link set eth0 up
echo "address=10.80.0.1$HOST"

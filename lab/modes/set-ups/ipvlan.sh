# ipvlan L2: as macvlan, but all containers share the uplink's MAC.
# hides: nothing on the segment   costs: no traffic to its own host, DHCP by client id only, stops at the segment
ip link add iv0 link "$UPLINK" type ipvlan mode l2
ip link set iv0 netns "$CONTAINER" name eth0
ip -n "$CONTAINER" link set lo up
ip -n "$CONTAINER" addr add "10.80.0.2$HOST/24" dev eth0
ip -n "$CONTAINER" link set eth0 up
echo "address=10.80.0.2$HOST"

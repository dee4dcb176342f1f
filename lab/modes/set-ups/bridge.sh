# Bridge with NAT and a published port: what `docker run -p 5201:5201` builds. Containers of different hosts reach each other
# through the other host's port only.
# hides: the container behind its host, the client behind its own   costs: conntrack and address rewriting on both hosts, port conflicts
ip link add br0 type bridge
ip addr add "172.17.$HOST.1/24" dev br0
ip link set br0 up
ip link add vbr type veth peer name eth0 netns "$CONTAINER"
ip link set vbr master br0 up
ip -n "$CONTAINER" link set lo up
ip -n "$CONTAINER" addr add "172.17.$HOST.2/24" dev eth0
ip -n "$CONTAINER" link set eth0 up
ip -n "$CONTAINER" route add default via "172.17.$HOST.1"
echo 1 > /proc/sys/net/ipv4/ip_forward
iptables -w -t nat -A POSTROUTING -s "172.17.$HOST.0/24" ! -o br0 -j MASQUERADE
iptables -w -t nat -A PREROUTING -p tcp --dport 5201 -m addrtype --dst-type LOCAL -j DNAT --to-destination "172.17.$HOST.2:5201"
echo "address=$HOST_ADDRESS"
echo "own=172.17.$HOST.2"

# VXLAN overlay as flannel builds it: each host's containers on a bridge with a subnet of their own, other hosts' subnets through a
# VXLAN device with permanent neighbour and forwarding entries.
# hides: the containers from the network between   costs: 50 octets a packet, encapsulation on both hosts, tools on the path see UDP only
other=$((3 - HOST))
ip link add br0 type bridge
ip addr add "10.244.$HOST.1/24" dev br0
ip link set br0 mtu 1450 up
ip link add vbr mtu 1450 type veth peer name eth0 mtu 1450 netns "$CONTAINER"
ip link set vbr master br0 up
ip -n "$CONTAINER" link set lo up
ip -n "$CONTAINER" addr add "10.244.$HOST.2/24" dev eth0
ip -n "$CONTAINER" link set eth0 up
ip -n "$CONTAINER" route add default via "10.244.$HOST.1"
ip link add vx1 address "02:00:00:00:00:0$HOST" type vxlan id 1 dstport 8472 local "$HOST_ADDRESS" dev "$UPLINK" nolearning
ip addr add "10.244.$HOST.0/32" dev vx1
ip link set vx1 mtu 1450 up
bridge fdb append "02:00:00:00:00:0$other" dev vx1 dst "$OTHER_ADDRESS"
ip neigh replace "10.244.$other.0" lladdr "02:00:00:00:00:0$other" dev vx1 nud permanent
ip route add "10.244.$other.0/24" via "10.244.$other.0" dev vx1 onlink
echo 1 > /proc/sys/net/ipv4/ip_forward
echo "address=10.244.$HOST.2"

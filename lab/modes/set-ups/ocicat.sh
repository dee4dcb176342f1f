# Direct routing by Ocicat: a veth and a routed /32, the way to the other host's block learned by BGP, policy chains in force. The
# two hosts peer with each other here; in a rack each would peer with its router.
# hides: nothing   costs: routes in the fabric, one a block
ocicat agent > "$RUN/agent.log" 2>&1 &
echo $! > "$RUN/agent.pid"
ocicat status --wait 30s > "$RUN/status" 2>&1 || { cat "$RUN/status" "$RUN/agent.log" >&2; exit 1; }
ocicat apply -f - >&2 <<EOF
apiVersion: projectcalico.org/v3
kind: Node
metadata: {name: h$HOST}
spec: {bgp: {ipv4Address: $HOST_ADDRESS/24, asNumber: 6510$HOST}}
---
apiVersion: projectcalico.org/v3
kind: IPPool
metadata: {name: pool}
spec: {cidr: 10.65.$HOST.0/24}
---
apiVersion: projectcalico.org/v3
kind: BGPPeer
metadata: {name: other}
spec: {peerIP: $OTHER_ADDRESS, asNumber: 6510$((3 - HOST))}
---
apiVersion: projectcalico.org/v3
kind: GlobalNetworkPolicy
metadata: {name: measure}
spec:
  selector: app == "measure"
  types: [Ingress, Egress]
  ingress:
    - {action: Allow, protocol: TCP, destination: {ports: [5201]}}
    - {action: Allow, protocol: ICMP}
  egress:
    - {action: Allow}
EOF
ocicat endpoint add c1 --netns "/run/netns/$CONTAINER" --label app=measure --ip "10.65.$HOST.10" >&2
echo "address=10.65.$HOST.10"

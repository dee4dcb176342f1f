# Host networking: the program uses the host's own links, addresses and ports (docker run --net host).
# hides: nothing; two containers cannot use one port   costs: no isolation, no policy for the container alone
echo "address=$HOST_ADDRESS"
echo namespace=host

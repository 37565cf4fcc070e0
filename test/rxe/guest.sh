# Second program of the machine: shared folders, kernel modules, network and RDMA device; then the command, then the end.
# The host wrote beside this file: settings (RELEASE of the kernel, MODULES: its folder on the host, HOST: 0, or the number on
# the wire, PATH), command (a shell script), shares (a line each: tag, folder).
cd /run/machine
source ./settings
export PATH HOME=/root TERM=dumb
: > started

mkdir -p "/lib/modules/$RELEASE"
mount --bind "$MODULES" "/lib/modules/$RELEASE"
while read -r tag folder; do
  mkdir -p "$folder"
  mount -t 9p -o trans=virtio,version=9p2000.L,msize=512000,cache=none "$tag" "$folder"
done < shares

ulimit -l unlimited
hostname "rxe$HOST"
ip link set lo up
modprobe -a virtio_console virtio_blk virtio_net fuse dummy veth ib_uverbs rdma_ucm rdma_rxe

# The address comes before the RDMA device: its GID table is made from the addresses that are there.
if [ "$HOST" = 0 ]; then
  interface=dummy0
  ip link add "$interface" type dummy
  ip address add 10.77.0.1/24 dev "$interface"
  ip address add fd77::1/64 dev "$interface" nodad
else
  interface=eth0
  ip address add "10.78.0.$HOST/24" dev "$interface"
fi
# An RDMA MTU of 4096 with its headers fits.
ip link set "$interface" mtu 9000 up
rdma link add rxe0 type rxe netdev "$interface"

# What the command says leaves through ports of its own, apart from the kernel's console.
port() {
  for _ in {1..100}; do
    for name in /sys/class/virtio-ports/*/name; do
      [ "$(cat "$name")" = "$1" ] || continue
      basename "$(dirname "$name")"
      return
    done
    sleep 0.1
  done
}
bash ./command > "/dev/$(port stdout)" 2> "/dev/$(port stderr)" < /dev/null
echo $? > status
sync
echo o > /proc/sysrq-trigger
sleep 60

#!/bin/busybox sh
# First program of the machine, alone with busybox in its initial RAM disk: makes the host's root file system, read-only
# over 9p, with an overlay in RAM on it, the root of what follows, and hands over to guest.sh.
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t devtmpfs dev /dev
for module in $(cat /modules/order); do insmod "/modules/$module"; done

share='trans=virtio,version=9p2000.L,msize=512000'
# cache=loose: whatever was read once is not looked up again; what the host changes meanwhile is not seen.
mount -t 9p -o "$share,cache=loose,ro" root /host &&
  mount -t tmpfs -o size=70% memory /memory && mkdir /memory/changes /memory/work &&
  mount -t overlay -o lowerdir=/host,upperdir=/memory/changes,workdir=/memory/work root /new || poweroff -f

for folder in proc sys dev run; do mkdir -p "/new/$folder"; done
mount -t proc proc /new/proc
mount -t sysfs sys /new/sys
mount -t devtmpfs dev /new/dev
mount -t tmpfs run /new/run
mkdir -p /new/dev/pts /new/dev/shm /new/run/machine
mount -t devpts devpts /new/dev/pts
mount -t tmpfs shm /new/dev/shm
mount -t 9p -o "$share,cache=none" machine /new/run/machine || poweroff -f
exec chroot /new /bin/bash /run/machine/guest.sh

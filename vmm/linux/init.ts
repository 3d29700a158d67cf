/** What runs first in a Linux guest of ours: mounts, then a shell on the serial console. */

/** Programs of BusyBox that are reachable by name. */
export const APPLETS = [
  'sh', 'awk', 'base64', 'cat', 'chmod', 'cmp', 'cp', 'cttyhack', 'cut', 'date', 'dd', 'df', 'dmesg', 'echo', 'env', 'find',
  'free', 'grep', 'head', 'hexdump', 'id', 'insmod', 'ls', 'md5sum', 'mkdir', 'mke2fs', 'mknod', 'mount', 'mv', 'od', 'poweroff', 'ps',
  'reboot', 'rm', 'sed', 'setsid', 'sha256sum', 'sleep', 'stty', 'sync', 'tail', 'tr', 'umount', 'uname', 'uptime', 'vi', 'wc',
] as const; // biome-ignore format: a list

/** Printed on the console when the shell is about to start. */
export const READY_MARK = 'nexus: guest ready';

/** Modules of a guest's disk and its file systems, in the order in which they need each other. */
export const DISK_MODULES = [
  'virtio',
  'virtio_ring',
  'virtio_mmio',
  'virtio_blk',
  'crc32c_generic',
  'crc16',
  'mbcache',
  'jbd2',
  'ext4',
];

export const INIT = `#!/bin/busybox sh
export PATH=/bin:/usr/bin HOME=/root TERM=linux TPM2TOOLS_TCTI=device:/dev/tpmrm0
mount -t devtmpfs devtmpfs /dev
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t securityfs securityfs /sys/kernel/security
if [ -e /sys/bus/acpi/devices/LNRO0005:00 ]; then
  for module in ${DISK_MODULES.join(' ')}; do
    [ ! -e /lib/modules/$module.ko ] || insmod /lib/modules/$module.ko
  done
fi
echo '${READY_MARK}'
cd /root
while :; do setsid cttyhack sh; done
`;

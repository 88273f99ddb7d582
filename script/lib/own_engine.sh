#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# A Docker engine in namespaces of its own, and a command that uses it; script/lib/own_engine.py
# starts this as the first process of new network, mount, process, IPC and UTS namespaces.
#
#   own_engine.sh DIR CGROUP LOG COMMAND [ARGUMENT...]
#
# When the process ends, the kernel ends all others and removes the interfaces, rules, settings and
# mounts that were made. What is left on the machine is DIR and the groups below CGROUP. Says
# "ready" on the descriptor GODWIT_READY_FD when a network may be attached, and waits for a line of
# standard input. Status 3: the kernel lacks something that overlay networks need.
set -euo pipefail
dir=$1 cgroup=$2 log=$3
shift 3
export PATH=/usr/sbin:/usr/bin:/sbin:/bin

lacks() { printf 'test-swarm: %s\n' "$*" >&2; exit 3; }

# The machine's /run, /etc and /opt stay as they are: what the engine writes there ends with it.
private_folders() {
    mount -t tmpfs -o mode=755 tmpfs /run
    mkdir -p /run/lock /run/etc/upper /run/etc/work
    if mount -t overlay overlay -o lowerdir=/etc,upperdir=/run/etc/upper,workdir=/run/etc/work /etc \
        2>/dev/null; then
        rm -f /etc/resolv.conf
        echo "nameserver 198.18.127.3" >/etc/resolv.conf # slirp4netns, below
    else
        lacks "the kernel cannot mount an overlay (CONFIG_OVERLAY_FS)"
    fi
    mount -t tmpfs tmpfs /opt
}

# /sys of the new network namespace, with the machine's control groups in it.
own_sysfs() {
    mkdir -p /run/cgroup
    mount --rbind /sys/fs/cgroup /run/cgroup
    mount -t sysfs sysfs /sys
    mount --rbind /run/cgroup /sys/fs/cgroup
}

check_network() {
    ip link set lo up
    ip link add godwit-t0 type bridge 2>/dev/null || lacks "the kernel has no bridges (CONFIG_BRIDGE)"
    ip link add godwit-t1 type veth peer name godwit-t2 2>/dev/null ||
        lacks "the kernel has no veth interfaces (CONFIG_VETH)"
    ip link add godwit-t3 type vxlan id 4242 dstport 0 2>/dev/null ||
        lacks "the kernel has no VXLAN (CONFIG_VXLAN), which overlay networks are made of"
    iptables -t nat -L -n >/dev/null 2>&1 ||
        lacks "the kernel has no NAT for iptables (CONFIG_NF_NAT, CONFIG_IP_NF_NAT or nf_tables)"
    ip link del godwit-t0
    ip link del godwit-t1
    ip link del godwit-t3
}

# The images' layers are overlays: their folder must be able to hold one's upper directory.
data_root() {
    mkdir -p "$dir/data" "$dir/try"/{lower,upper,work,merged}
    if mount -t overlay overlay "$dir/try/merged" 2>/dev/null \
        -o "lowerdir=$dir/try/lower,upperdir=$dir/try/upper,workdir=$dir/try/work"; then
        umount "$dir/try/merged"
    else
        mount -t tmpfs -o size=75% tmpfs "$dir/data"
    fi
}

start_engine() {
    DOCKER_HOST=unix:///run/godwit-docker.sock
    export DOCKER_HOST DOCKER_CONFIG=$dir/client
    mkdir -p "$DOCKER_CONFIG"
    dockerd --host "$DOCKER_HOST" --data-root "$dir/data" --exec-root /run/docker-exec \
        --pidfile /run/godwit-docker.pid --cgroup-parent "$cgroup" --storage-driver overlay2 \
        --exec-opt native.cgroupdriver=cgroupfs --log-level warn >>"$log" 2>&1 </dev/null &
    local engine=$! _
    for _ in {1..600}; do
        if docker version >/dev/null 2>&1; then return; fi
        if ! kill -0 "$engine" 2>/dev/null; then break; fi
        sleep 0.1
    done
    tail -n 15 "$log" >&2
    printf 'test-swarm: the engine did not start; its log is %s\n' "$log" >&2
    exit 1
}

private_folders
own_sysfs
check_network
data_root
echo ready >&"$GODWIT_READY_FD"
exec {GODWIT_READY_FD}>&-
read -r _
start_engine
"$@" </dev/null &
wait $!

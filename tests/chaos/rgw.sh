#!/usr/bin/env bash
# A Ceph object gateway (S3) of one monitor, one disk and one gateway on loopback, from Debian's
# packages unpacked into a folder: nothing is installed, and nothing outside the folder is touched.
#
#   rgw.sh fetch DIR            download and unpack (about 250 MB; needs apt's package lists)
#   rgw.sh up DIR [PORT]        make a fresh store and start it; prints its address
#   rgw.sh kill DIR PART        kill -9 one of: mon osd rgw
#   rgw.sh start DIR PART       start it again
#   rgw.sh down DIR             stop everything that this folder started
#
# Keys: AWS_ACCESS_KEY_ID=testing AWS_SECRET_ACCESS_KEY=testing
set -euo pipefail

command=${1:?fetch, up, kill, start or down}
dir=$(realpath -m "${2:?a folder}")
root=$dir/root
conf=$dir/ceph.conf
arch_lib=$root/usr/lib/$(uname -m)-linux-gnu

ceph_environment() {
  LD_LIBRARY_PATH=$arch_lib:$arch_lib/ceph:$root/lib/$(uname -m)-linux-gnu
  export LD_LIBRARY_PATH
  export PATH=$root/usr/bin:$root/usr/sbin:$PATH PYTHONPATH=$root/usr/lib/python3/dist-packages
  export CEPH_CONF=$conf
}

with_ceph() { (ceph_environment && exec "$@"); }

pid_of() { cat "$dir/run/$1.pid" 2>/dev/null || true; }

start_part() {
  local part=$1 program
  case $part in
    mon) program=(ceph-mon -i a) ;;
    osd) program=(ceph-osd -i 0) ;;
    rgw) program=(radosgw -n client.rgw) ;;
    *) echo "no part named $part" >&2; exit 2 ;;
  esac
  for _ in 1 2 3 4 5; do  # a disk that greets its monitor too early ends
    # exec, so that the process known to us is the part itself and not a shell that waits for it
    (ceph_environment && exec setsid "${program[@]}" -c "$conf" -f) >>"$dir/log/$part.out" 2>&1 &
    echo $! >"$dir/run/$part.pid"
    sleep 2
    kill -0 $! 2>/dev/null && return
  done
  echo "$part does not stay up, see $dir/log" >&2
  exit 1
}

fetch() {
  mkdir -p "$dir/debs" "$root"
  cd "$dir/debs"
  local wanted
  wanted=$(apt-get install --simulate --no-install-recommends radosgw ceph-mon ceph-osd ceph-common |
    awk '/^Inst/ {print $2}')
  for package in $wanted; do
    compgen -G "${package}_*.deb" >/dev/null || apt-get download --quiet "$package"
  done
  for deb in *.deb; do dpkg-deb --extract "$deb" "$root"; done
}

write_conf() {
  local port=$1 mon_port=$2 fsid=$3
  cat >"$conf" <<CONF
[global]
fsid = $fsid
mon host = v1:127.0.0.1:$mon_port
mon initial members = a
public addr = 127.0.0.1
ms bind msgr2 = false
auth cluster required = none
auth service required = none
auth client required = none
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 8
osd crush chooseleaf type = 0
mon allow pool size one = true
mon max pg per osd = 2000
run dir = $dir/run
admin socket = $dir/run/\$name.asok
pid file = $dir/run/\$name.own-pid
log file = $dir/log/\$name.log
plugin dir = $arch_lib/ceph
erasure code dir = $arch_lib/ceph/erasure-code
osd class dir = $arch_lib/rados-classes
osd class load list = *
osd class default list = *
setuser match path =
[mon.a]
mon data = $dir/data/mon
mon addr = 127.0.0.1:$mon_port
[osd.0]
osd data = $dir/data/osd
osd objectstore = bluestore
bluestore block create = true
bluestore block size = 10737418240
osd memory target = 1073741824
crush location = host=here root=default
[client.rgw]
rgw data = $dir/data/rgw
rgw frontends = beast endpoint=127.0.0.1:$port
rgw thread pool size = 64
CONF
}

up() {
  local port=${1:-5557} mon_port fsid disk
  mon_port=$((port + 1000))
  fsid=$(cat /proc/sys/kernel/random/uuid)
  disk=$(cat /proc/sys/kernel/random/uuid)
  rm -rf "$dir/data" "$dir/run" "$dir/log"
  mkdir -p "$dir"/{run,log,data/mon,data/osd,data/rgw}
  write_conf "$port" "$mon_port" "$fsid"
  with_ceph monmaptool --create --clobber --addv a "[v1:127.0.0.1:$mon_port]" --fsid "$fsid" \
    "$dir/monmap" >/dev/null
  with_ceph ceph-mon -c "$conf" --mkfs -i a --monmap "$dir/monmap"
  start_part mon
  retry 30 with_ceph timeout 10 ceph -c "$conf" osd new "$disk"
  with_ceph ceph-osd -c "$conf" -i 0 --mkfs --osd-uuid "$disk" >>"$dir/log/mkfs.out" 2>&1
  start_part osd
  start_part rgw
  retry 120 curl --silent --max-time 2 --output /dev/null "http://127.0.0.1:$port/"
  with_ceph timeout 120 radosgw-admin -c "$conf" -n client.rgw user create --uid=testing \
    --display-name=testing --access-key=testing --secret-key=testing >/dev/null
  echo "http://127.0.0.1:$port"
}

retry() {
  local left=$1
  shift
  until "$@" >>"$dir/log/up.out" 2>&1; do
    left=$((left - 1))
    [ "$left" -gt 0 ] || { echo "gave up on: $*" >&2; exit 1; }
    sleep 1
  done
}

down() {
  for signal in TERM KILL; do
    for part in rgw osd mon; do
      local pid
      pid=$(pid_of "$part")
      [ -z "$pid" ] || kill -"$signal" "$pid" 2>/dev/null || true
    done
    sleep 2
  done
}

case $command in
  fetch) fetch ;;
  up) up "${3:-}" ;;
  kill) kill -KILL "$(pid_of "${3:?mon, osd or rgw}")" ;;
  start) start_part "${3:?mon, osd or rgw}" ;;
  down) down ;;
  *) echo "no command named $command" >&2; exit 2 ;;
esac

#!/bin/sh
# Runs a command as if on a host of its own: it sees the code, its own folder (as /tmp) and the DAG files, and
# can write nowhere else. Called within new mount and UTS namespaces (hosts.py).
#
#   host.sh NAME OWN_FOLDER DAGS_FOLDER HIDDEN_FOLDERS -- COMMAND…     (HIDDEN_FOLDERS: separated by colons)
set -eu
name=$1 own=$2 dags=$3 hidden=$4
shift 5

hostname "$name"
mount --bind -o ro "$dags" "$own/home/dags"
# A checkout below /tmp must stay in sight when that becomes this host's own folder.
checkout=$(cd "$(dirname "$0")/../.." && pwd)
case $checkout in
/tmp/*)
    mkdir -p "$own/${checkout#/tmp/}"
    mount --bind "$checkout" "$own/${checkout#/tmp/}"
    mount -o remount,bind,ro "$own/${checkout#/tmp/}"
    ;;
esac
mount --rbind "$own" /tmp
IFS=:
for folder in $hidden; do
    # What lay below /tmp is gone already.
    [ ! -d "$folder" ] || mount -t tmpfs -o ro,size=4k tmpfs "$folder"
done
# Semaphores of multiprocessing.
mount -t tmpfs -o mode=1777 tmpfs /dev/shm
mount -o remount,bind,ro /
cd /tmp/cwd
exec "$@"

#!/bin/sh
# Installs the servers that the tests start and pip can't bring: only what is missing, only on Debian and Ubuntu.
set -eu

# Debian keeps some of them outside of the usual PATH.
PATH="$PATH:/usr/sbin:/usr/local/sbin:$(echo /usr/lib/postgresql/*/bin | tr ' ' ':')"

missing=""
command -v sshd > /dev/null || missing="$missing openssh-server"
command -v initdb > /dev/null || missing="$missing postgresql"
command -v mariadbd > /dev/null || missing="$missing mariadb-server"
command -v redis-server > /dev/null || missing="$missing redis-server"
# Azurite, the stand-in of Azure, is installed by npm when a test first needs it.
command -v npm > /dev/null || missing="$missing npm"
command -v vsftpd > /dev/null || missing="$missing vsftpd"
command -v chromium > /dev/null || missing="$missing chromium fonts-dejavu-core"
command -v openssl > /dev/null || missing="$missing openssl"
# They decrypt what was encrypted for a customer.
command -v age > /dev/null || missing="$missing age"
command -v gpg > /dev/null || missing="$missing gnupg"
# The users of that FTP server are none of this machine.
find /lib /usr/lib -name pam_pwdfile.so 2> /dev/null | grep -q . || missing="$missing libpam-pwdfile"

# ProFTPD's package and vsftpd's exclude each other: it is unpacked, and only the libraries are installed.
cd "$(dirname "$0")/.."
# What the second of its packages brings.
proftpd=.outfeed/proftpd/usr/lib/proftpd/mod_tls.so

[ -z "$missing" ] && [ -f "$proftpd" ] && exit 0

if ! command -v apt-get > /dev/null; then
    echo "the tests need these servers, please install them:$missing; and ProFTPD in .outfeed/proftpd" >&2
    exit 1
fi
as_root=""
[ "$(id -u)" = 0 ] || as_root="sudo"

# Nothing may start by itself: the tests start their own, on free ports.
export DEBIAN_FRONTEND=noninteractive RUNLEVEL=1
$as_root apt-get update -qq < /dev/null
packages="proftpd-core proftpd-mod-crypto"
# shellcheck disable=SC2086  # a list of packages
[ -f "$proftpd" ] || missing="$missing $(apt-cache depends $packages | sed -n 's/^  Depends: \(lib\)/\1/p' | sort -u | tr '\n' ' ')"
# shellcheck disable=SC2086  # a list of packages
$as_root apt-get install -y -qq --no-install-recommends --no-upgrade $missing < /dev/null
[ -f "$proftpd" ] && exit 0

fetched=$(mktemp -d)
# shellcheck disable=SC2086  # a list of packages
(cd "$fetched" && apt-get download -qq $packages < /dev/null)
mkdir -p .outfeed/proftpd
for package in "$fetched"/*.deb; do
    dpkg -x "$package" .outfeed/proftpd
done
rm -r "$fetched"

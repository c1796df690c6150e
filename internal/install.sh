#!/bin/sh
# Makes sure that a program is here, with the system's package manager if it may: as root,
# by sudo if that asks for no password, or by Homebrew. It never asks anything.
#
#   install.sh redis    redis-server and redis-cli 7.0 or later
#   install.sh cc       a C compiler, which "go test -race" needs on Linux
#   install.sh make     GNU make
#   install.sh valgrind valgrind, which "make instructions" needs
#   install.sh prometheus  prometheus and promtool, which "make metrics" needs
#   install.sh chromium Chromium or Chrome, which "make browser" needs
#   install.sh npm      npm, from which "make browser" has the checks of accessibility
#
# It ends with 0 if the program is here, else it says what to do and ends with 1. It
# starts no service.
set -eu

say() { printf '%s\n' "install.sh: $*" >&2; }

has() { command -v "$1" >/dev/null 2>&1; }

# The scripts of the rate limiter need Redis 7.0, or Valkey under Redis's name.
redis_here() {
	has redis-server && has redis-cli || return 1
	major=$(redis-server --version | sed -n 's/.* v=\([0-9]*\)\..*/\1/p')
	[ "${major:-0}" -ge 7 ]
}

here() {
	case $1 in
	redis) redis_here ;;
	cc) has gcc || has clang || has cc ;;
	make) has make ;;
	valgrind) has valgrind ;;
	prometheus) has prometheus && has promtool ;;
	chromium) has chromium || has chromium-browser || has google-chrome || [ -d "/Applications/Chromium.app" ] || [ -d "/Applications/Google Chrome.app" ] ;;
	npm) has npm ;;
	esac
}

as_root() {
	if [ "$(id -u)" = 0 ]; then
		"$@"
	else
		sudo -n "$@"
	fi
}

may_be_root() {
	[ "$(id -u)" = 0 ] || { has sudo && sudo -n true 2>/dev/null; }
}

# What must not stay when this script ends, however it does.
log=
policy=
cleanup() {
	[ -z "$log" ] || rm -f "$log"
	[ -z "$policy" ] || as_root rm -f "$policy"
}
trap cleanup EXIT
trap 'exit 1' HUP INT TERM

apt_lock='DPkg::Lock::Timeout=60'

# A new machine or container has no package lists, an old one has old ones.
apt_update() {
	as_root apt-get -qq -o "$apt_lock" update || say "the package lists may be old"
}

# Debian starts the services of what it installs, unless a policy forbids it.
apt_install() {
	if [ ! -e /usr/sbin/policy-rc.d ]; then
		policy=/usr/sbin/policy-rc.d
		printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null
		as_root chmod 755 "$policy"
	fi
	as_root env DEBIAN_FRONTEND=noninteractive \
		apt-get -qq -y -o "$apt_lock" --no-install-recommends install "$@"
}

# The version of the package, if it is too old: then there is nothing to install.
too_old=

# It also starts them at every boot from then on. A service that was there before is
# none of our business.
apt_install_redis() {
	version=$(apt-cache policy redis-server | sed -n 's/^ *Candidate: \([0-9]*:\)\{0,1\}\([0-9][0-9.]*\).*/\2/p')
	if [ -n "$version" ] && [ "${version%%.*}" -lt 7 ]; then
		too_old=$version
		return 1
	fi
	if has redis-server; then
		apt_install redis-server
		return
	fi
	apt_install redis-server || return
	if has systemctl; then
		as_root systemctl disable redis-server || true
	fi
}

# It starts Prometheus at every boot, too, unless it is told not to.
apt_install_prometheus() {
	apt_install prometheus || return
	if has systemctl; then
		as_root systemctl disable prometheus || true
	fi
}

# install THING, in each manager's words.
install() {
	if has brew && [ "$(id -u)" != 0 ]; then
		case $1 in cc) return 1 ;; chromium) HOMEBREW_NO_AUTO_UPDATE=1 brew install -q --cask chromium ;; npm) HOMEBREW_NO_AUTO_UPDATE=1 brew install -q node ;; *) HOMEBREW_NO_AUTO_UPDATE=1 brew install -q "$1" ;; esac
	elif ! may_be_root; then
		say "cannot install it: not root, and no sudo without a password"
		return 1
	elif has apt-get; then
		apt_update
		case $1 in redis) apt_install_redis ;; prometheus) apt_install_prometheus ;; cc) apt_install gcc libc6-dev ;; chromium) apt_install chromium fonts-dejavu-core ;; *) apt_install "$1" ;; esac
	elif has dnf; then
		case $1 in
		redis) as_root dnf -q -y install redis || as_root dnf -q -y install valkey-compat-redis ;;
		cc) as_root dnf -q -y install gcc glibc-devel ;;
		prometheus) as_root dnf -q -y install golang-github-prometheus ;;
		*) as_root dnf -q -y install "$1" ;;
		esac
	elif has apk; then
		case $1 in
		redis) as_root apk -q add redis ;;
		cc) as_root apk -q add gcc musl-dev ;;
		*) as_root apk -q add "$1" ;;
		esac
	elif has pacman; then
		case $1 in
		redis) as_root pacman -Sy --noconfirm --needed redis || as_root pacman -Sy --noconfirm --needed valkey ;;
		*) as_root pacman -Sy --noconfirm --needed "$1" ;;
		esac
	else
		say "no package manager that it knows (apt-get, dnf, apk, pacman, brew)"
		return 1
	fi
}

advice() {
	case $1 in
	redis)
		if [ -n "$too_old" ]; then
			say "7.0 or later is needed, but the package of this system is Redis $too_old: start Docker, upgrade to"
			say "  a newer release of the system, use the packages of redis.io, or set REDIS_URL=redis://host:6379"
			return
		fi
		if has redis-server; then
			say "redis-server is here, but 7.0 or later is needed, with redis-cli: $(redis-server --version | cut -d' ' -f1-3)"
		fi
		say "install Redis 7.0 or later: sudo apt-get install redis-server (Debian, Ubuntu),"
		say "  brew install redis (macOS); or start Docker; or set REDIS_URL=redis://host:6379"
		;;
	cc) say "install a C compiler: sudo apt-get install gcc libc6-dev (Debian, Ubuntu), xcode-select --install (macOS)" ;;
	valgrind) say "install valgrind: sudo apt-get install valgrind (Debian, Ubuntu)" ;;
	prometheus) say "install Prometheus with promtool: sudo apt-get install prometheus (Debian, Ubuntu), brew install prometheus (macOS)" ;;
	chromium) say "install Chromium: sudo apt-get install chromium (Debian), brew install --cask chromium (macOS)" ;;
	npm) say "install npm: sudo apt-get install npm (Debian, Ubuntu), brew install node (macOS)" ;;
	make) say "install make: sudo apt-get install make (Debian, Ubuntu), xcode-select --install (macOS)" ;;
	esac
}

thing=${1:-}
case $thing in
redis | cc | make | valgrind | prometheus | chromium | npm) ;;
*)
	say "usage: install.sh redis|cc|make|valgrind|prometheus|chromium|npm"
	exit 2
	;;
esac
here "$thing" && exit 0
say "$thing is missing; installing it, which may take a minute"
log=$(mktemp)
install "$thing" >"$log" 2>&1 || cat "$log" >&2
here "$thing" && exit 0
advice "$thing"
exit 1

#!/usr/bin/env bash
# Shows that HTTP clients that were not made for this library back off right on its
# refusals: each calls a server until it is refused, waits as Retry-After says, and is
# let in at its first retry. The server's log is the proof.
#
#   bash integration_test/clients/run.sh
#
# Needs Go and curl (7.66 or later, which knows Retry-After); the npm clients, which it
# installs into a temporary folder, need Node.js 20 or later, and are left out without it.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

die() { printf 'run.sh: %s\n' "$*" >&2; exit 1; }
command -v curl >/dev/null || die "curl is not installed"

tmp=$(mktemp -d)
server= client=
finish() {
	local pid
	for pid in $client $server; do
		kill "$pid" 2>/dev/null || true
		wait "$pid" 2>/dev/null || true
	done
	rm -rf "$tmp"
}
trap finish EXIT

# run COMMAND...: runs a program so that finish ends it too, if a signal ends this script.
run() {
	"$@" &
	client=$!
	local status=0
	wait "$client" || status=$?
	client=
	return "$status"
}

"${GO:-go}" build -buildvcs=false -o "$tmp/server" ./server
mkfifo "$tmp/ready"
"$tmp/server" >"$tmp/ready" 2>"$tmp/log" &
server=$!
read -r url <"$tmp/ready" || die "the server did not start: $(cat "$tmp/log")"

call_curl() {
	local call
	for call in 1 2 3 4 5 6 7 8 9 10; do
		# Its complaint about a refusal is of interest only if it gave up.
		run curl --silent --show-error --fail --retry 3 --output "$tmp/body" "$url/curl" 2>"$tmp/complaint" ||
			{ cat "$tmp/complaint" >&2; return 1; }
		if grep -q '^/curl 429 ' "$tmp/log"; then return; fi
	done
	echo "the server refused none of $call calls" >&2
	return 1
}

call_npm() { run node "$tmp/$1.js" "$url/$1"; }

row='%-12s %-8s  %8s  %7s  %11s  %7s  %s\n'
let_in='^(200 )+429 200 $' # the responses to a client, in their order
failed=
# show NAME VERSION COMMAND...: has the client make its calls, and prints what the server saw.
show() {
	local name=$1 version=$2 verdict="let in at its first retry"
	shift 2
	"$@" || verdict="FAILED: the client gave up"
	local statuses
	statuses=$(awk -v path="/$name" '$1 == path { printf "%s ", $2 }' "$tmp/log")
	[[ $statuses =~ $let_in ]] || verdict="FAILED: the server answered $statuses"
	case $verdict in FAILED*) failed=yes ;; esac
	# shellcheck disable=SC2046,SC2059 # awk prints one word for each column
	printf "$row" "$name" "$version" $(awk -v path="/$name" '
		$1 == path { requests++; if (refused && !waited) waited = $4; if ($2 == 429) { refused++; told = $3 } }
		END { print requests + 0, refused + 0, told == "" ? "-" : told, waited == "" ? "-" : waited }
	' "$tmp/log") "$verdict"
}

npm_clients="got axios-retry"
if ! command -v node >/dev/null || ! command -v npm >/dev/null; then
	without="Node.js and npm are not installed"
elif ! node -e 'process.exit(parseInt(process.versions.node) < 20 ? 1 : 0)'; then
	without="Node.js $(node --version) is too old"
else
	without=
	cp package.json ./*.js "$tmp"
	run npm install --prefix "$tmp" --ignore-scripts --no-audit --no-fund --no-package-lock --loglevel error >/dev/null ||
		die "npm could not install the clients"
fi
export no_proxy=127.0.0.1 NO_PROXY=127.0.0.1 # no proxy stands before the server

# shellcheck disable=SC2059
printf "$row" client version requests refused Retry-After waited ""
show curl "$(curl --version | awk 'NR == 1 { print $2 }')" call_curl
if [ -n "$without" ]; then
	echo "$npm_clients: left out, as $without (20 or later is needed)"
else
	for name in $npm_clients; do
		show "$name" "$(node -p "JSON.parse(require('fs').readFileSync('$tmp/node_modules/$name/package.json')).version")" call_npm "$name"
	done
fi

if [ -n "$failed" ]; then
	printf '\nwhat the server saw (path, status, Retry-After, seconds since the last request):\n' >&2
	cat "$tmp/log" >&2
	exit 1
fi

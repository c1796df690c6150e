#!/usr/bin/env bash
# Looks for known vulnerabilities in what the module of the working directory calls, with
# govulncheck:
#
#   internal/vuln.sh
#
# It fails if there is one, and if the program cannot be built or run. The database is
# vuln.go.dev, or that of GOVULNDB. Where it cannot be reached nothing is known: that is
# said, and is no failure, for it is no fault of the code.
set -euo pipefail
bin=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)/bin

GOVULNCHECK=golang.org/x/vuln/cmd/govulncheck@v1.9.0

# Not "go run", which turns every exit code into 1: that of a finding is 3.
GOBIN=$bin "${GO:-go}" install "$GOVULNCHECK"

status=0
output=$("$bin/govulncheck" -db "${GOVULNDB:-https://vuln.go.dev}" ./... 2>&1) || status=$?
printf '%s\n' "$output"
case $status in
0) ;;
3)
	echo "vuln: FOUND: see above, and update what it names" >&2
	exit 1
	;;
*)
	# "fetching vulnerabilities" is what it was doing when it lost its database.
	case $output in
	*"fetching vulnerabilities"*)
		echo "vuln: NOT CHECKED: the vulnerability database cannot be reached, so nothing is known about vulnerabilities" >&2
		;;
	*)
		echo "vuln: govulncheck failed with exit code $status" >&2
		exit 1
		;;
	esac
	;;
esac

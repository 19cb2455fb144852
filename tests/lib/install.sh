# shellcheck shell=bash
# Sourced by tests/run and samples/quickstart: what must be installed, and the
# build. Debian 12 main packages only.
#
# install_packages build|demo|test|bench...   installs the named lists
# build_ringfence PRESET [OPTION...]    configures and builds build/PRESET

build_packages="build-essential cmake ninja-build pkg-config libyaml-dev libjansson-dev
libroaring-dev libuv1-dev libnftnl-dev libmnl-dev libssl-dev libnghttp2-dev node-llhttp
libldap-dev libsqlite3-dev libcurl4-openssl-dev libseccomp-dev check"

demo_packages="python3 python3-h2 python3-yaml iproute2 nftables conntrack slapd ldap-utils openssl curl
ca-certificates procps"

test_packages="python3-pytest etcd-server clang clang-format clang-tidy libclang-rt-14-dev nghttp2-client
mandoc iptables containernetworking-plugins python3-jsonschema python3-selenium chromium chromium-driver python3-kubernetes dnsmasq-base zsh fish"

# For tests/bench/run gate, which leaves out what is not there.
bench_packages="nginx-light haproxy nghttp2-client"

# kubectl may have come from elsewhere; Debian's package would then clash with it.
kubectl_package() {
	command -v kubectl >/dev/null || echo kubernetes-client
}

missing_packages() {
	for package in "$@"; do
		dpkg-query -W -f '${Status}' "$package" 2>/dev/null |
			grep -q 'install ok installed' || echo "$package"
	done
}

install_packages() {
	local wanted="" list missing
	for list in "$@"; do
		case $list in
		build) wanted="$wanted $build_packages" ;;
		demo) wanted="$wanted $demo_packages $(kubectl_package)" ;;
		test) wanted="$wanted $test_packages" ;;
		bench) wanted="$wanted $bench_packages" ;;
		esac
	done
	# shellcheck disable=SC2086
	missing=$(missing_packages $wanted)
	[ -n "$missing" ] || return 0
	if [ "$(id -u)" != 0 ]; then
		echo "These packages are missing, and only root can install them: ${missing//$'\n'/ }" >&2
		return 1
	fi
	echo "Installing ${missing//$'\n'/ }"
	apt-get update -qq
	# No service may start by being installed: slapd would.
	# shellcheck disable=SC2086
	RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive \
		apt-get install -y -qq --no-install-recommends $missing >/tmp/ringfence-apt.$$ 2>&1 || {
		cat /tmp/ringfence-apt.$$ >&2
		rm -f /tmp/ringfence-apt.$$
		return 1
	}
	rm -f /tmp/ringfence-apt.$$
}

build_ringfence() {
	local preset=$1 log
	shift
	log=$(mktemp)
	if ! { cmake --preset "$preset" "$@" && cmake --build --preset "$preset"; } >"$log" 2>&1; then
		tail -n 100 "$log" >&2
		rm -f "$log"
		return 1
	fi
	rm -f "$log"
}

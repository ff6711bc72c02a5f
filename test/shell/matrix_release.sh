# shellcheck shell=bash
# shellcheck disable=SC2016,SC2154		# what the other shell expands; what the script sets
#
# matrix_release.sh: a release of Debian in a directory, and running things in it.
#
# Sourced by test/matrix, with apart.sh; it sets directory (where the releases are) and work (where
# the copy of the tree is).

# make_release RELEASE: unless it is there already.  experimental is unstable with more.
make_release()
{
	local release=$1 place=$directory/$1 suite=${1/experimental/unstable}

	[ ! -e "$place/.ready" ] || return 0
	# Mounts of its own, as it leaves some behind if it is ended.
	rm -rf --one-file-system "$place"
	run_apart debootstrap --variant=minbase "$suite" "$place" \
		${DEBIAN_MIRROR:+"$DEBIAN_MIRROR"} || return
	# The lists of a mirror that is kept as it was may be older than they say they may.
	cat >"$place/etc/apt/apt.conf.d/90matrix" <<-'END'
		APT::Install-Recommends "false";
		APT::Update::Error-Mode "any";
		Acquire::Check-Valid-Until "false";
		Acquire::Languages "none";
		Acquire::Retries "3";
	END
	echo force-unsafe-io >"$place/etc/dpkg/dpkg.cfg.d/matrix"
	# Packages start no service and make no database cluster.
	printf '#!/bin/sh\nexit 101\n' >"$place/usr/sbin/policy-rc.d"
	chmod 755 "$place/usr/sbin/policy-rc.d"
	mkdir -p "$place/etc/postgresql-common/createcluster.d" "$place/src"
	echo 'create_main_cluster = false' \
		>"$place/etc/postgresql-common/createcluster.d/matrix.conf"
	[ "$release" != experimental ] || add_experimental "$place"
	in_release "$release" apt-get -q update && touch "$place/.ready"
}

# PostgreSQL and Redis come from there, and what they need.
add_experimental()
{
	sed 's/ unstable / experimental /' "$1/etc/apt/sources.list" \
		>"$1/etc/apt/sources.list.d/experimental.list"
	cat >"$1/etc/apt/preferences.d/matrix" <<-'END'
		Package: src:postgresql-19 src:redis
		Pin: release a=experimental
		Pin-Priority: 990
	END
}

# add_architecture RELEASE ARCHITECTURE: its packages can be installed, too.
add_architecture()
{
	[ ! -e "$directory/$1/.architecture-$2" ] || return 0
	in_release "$1" dpkg --add-architecture "$2" &&
		in_release "$1" apt-get -q update &&
		touch "$directory/$1/.architecture-$2"
}

# install_packages RELEASE PACKAGE...: quick if they are there.  What a run that was ended
# in the middle of it has left is brought to its end first.
install_packages()
{
	local release=$1 missing=() package

	shift
	for package in "$@"; do
		in_release "$release" dpkg-query -W -f '${db:Status-Status}' "$package" \
			2>/dev/null </dev/null | grep -q '^installed' || missing+=("$package")
	done
	[ ${#missing[@]} -eq 0 ] ||
		in_release "$release" env DEBIAN_FRONTEND=noninteractive bash -c '
			dpkg --configure --pending || true
			apt-get -q -y --fix-broken install "$@"
		' install "${missing[@]}"
}

# build_postgres16 RELEASE SOURCE: into /opt/postgresql-16 there, with what the tests need.
build_postgres16()
{
	local place=$directory/$1

	[ ! -e "$place/opt/postgresql-16/.ready" ] || return 0
	rm -rf "$place/opt/postgresql-16"
	mkdir -p "$place/opt/postgresql-16/source"
	tar -C "$2" --exclude=./.git -cf - . |
		tar -C "$place/opt/postgresql-16/source" -xf - &&
		in_release "$1" bash -euc '
			cd /opt/postgresql-16/source
			./configure --prefix=/opt/postgresql-16 --enable-tap-tests --with-openssl -q
			make -s -j2
			make -s install
			for part in contrib src/test/perl src/test/regress src/test/isolation; do
				make -s -j2 -C $part install
			done
			touch /opt/postgresql-16/.ready
		'
}

# unpack_arm64_headers RELEASE MAJOR: the headers of the server and what its extensions
# are made by, of which only one architecture's can be installed.
unpack_arm64_headers()
{
	[ ! -e "$directory/$1/opt/arm64/$2" ] || return 0
	in_release "$1" bash -euc '
		mkdir -p /opt/arm64
		cd /opt/arm64
		apt-get -q download "postgresql-server-dev-$1:arm64" "postgresql-client-$1:arm64"
		for package in *.deb; do
			dpkg -x "$package" .
		done
		touch "$1"
	' unpack "$2"
}

# in_release RELEASE COMMAND...: runs the command there as root, apart, with the copy of
# the tree in /src.
in_release()
{
	local release=$1

	shift
	in_system "$directory/$release" "${work:-}/src" "$@"
}

# shellcheck shell=bash
# shellcheck disable=SC2154		# the script sets them
#
# bare_system.sh: what test/packages tries in a bare Debian.
#
# Sourced by test/packages, with say.sh and apart.sh; it sets root, work, name (of the
# release), bare (the directory with that Debian) and transcript (a file, or nothing).
# Each try has a copy of its own, so that what one has installed the other has not.

# copy_system NAME: with the tarball unpacked in /root/inval.
copy_system()
{
	local place=$work/$1

	cp -a "$bare" "$place"
	mkdir -p "$place/root/inval"
	tar -xzf "$work/first.tar.gz" -C "$place/root/inval"
	printf 'APT::Get::Assume-Yes "true";\nAPT::Install-Recommends "false";\n' >"$place/etc/apt/apt.conf.d/zz-inval-test"
	# The lists of a mirror that is kept as it was may be older than they say they may.
	echo 'Acquire::Check-Valid-Until "false";' >>"$place/etc/apt/apt.conf.d/zz-inval-test"
	echo force-unsafe-io >"$place/etc/dpkg/dpkg.cfg.d/zz-inval-test"
	# Packages start no service.
	printf '#!/bin/sh\nexit 101\n' >"$place/usr/sbin/policy-rc.d"
	chmod 755 "$place/usr/sbin/policy-rc.d"
}

# in_copy NAME COMMANDS: of a shell there, in the source tree.
in_copy()
{
	in_system "$work/$1" '' env LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive \
		bash -euc "cd /root/inval/$name; $2"
}

# The pieces of shell under "Install" of README.md: 1 is from source, 2 makes packages.
install_piece()
{
	sed -n '/^## Install$/,/^## Getting started$/p' "$root/README.md" |
		awk -v wanted="$1" '/^```sh$/ { piece++; inside = 1; next } /^```$/ { inside = 0 } inside && piece == wanted'
}

try_packages()
{
	say "packages, as README.md says"
	copy_system packages
	in_copy packages "set -x; $(install_piece 2)"
	say "lintian of Debian $(cat "$bare/etc/debian_version")"
	in_copy packages "apt-get -q install lintian; lintian --version; lintian --fail-on error,warning --allow-root ../*.changes"
	check_hardening "$work/packages/root/inval"
	say "autopkgtest"
	# Its testbed is this copy, which is thrown away.
	in_copy packages "apt-get -q install autopkgtest
		autopkgtest -B ../postgresql-*-inval_*.deb ../python3-inval_*.deb . -- null"
	say "once more, as an upgrade"
	in_copy packages "apt-get -q install --reinstall ../postgresql-*-inval_*.deb"
	say "removed"
	in_copy packages "apt-get -q purge 'postgresql-*-inval' python3-inval; ! dpkg -l 'postgresql-*-inval' 2>/dev/null | grep ^ii"
	in_copy packages "! ls /usr/lib/postgresql/*/lib/inval.so 2>/dev/null"
}

# The packages of the next release, for who upgrades.
make_next_packages()
{
	say "packages of a next release"
	mkdir -p "$work/packages/root/next"
	tar -xzf "$work/first.tar.gz" -C "$work/packages/root/next"
	"$root/test/shell/next_release" "$work/packages/root/next/$name"
	in_copy packages "cd /root/next/$name; pg_buildext updatecontrol; dpkg-buildpackage -us -uc -B" >"$work/next.log" 2>&1 || {
		tail -n 60 "$work/next.log"
		die "the packages of a next release cannot be built"
	}
}

try_stranger()
{
	local place=$work/stranger

	say "a stranger, who has only the packages and the documents"
	copy_system stranger
	mkdir "$place/root/next"
	cp "$work"/packages/root/inval/postgresql-*-inval_*.deb "$place/root/inval/"
	cp "$work"/packages/root/next/postgresql-*-inval_*.deb "$place/root/next/"
	cp "$root/test/shell/stranger" "$place/root/"
	in_copy stranger "/root/stranger . /root/inval /root/next" >"$work/transcript" || {
		cat "$work/transcript"
		die 'the stranger came to grief'
	}
	cat "$work/transcript"
	[ -z "$transcript" ] || cp "$work/transcript" "$transcript"
}

try_source()
{
	say "from source, as README.md says"
	copy_system source
	in_copy source "set -x; $(install_piece 1)"
	in_copy source 'ls /usr/lib/postgresql/*/lib/inval.so; make -s uninstall; ! ls /usr/lib/postgresql/*/lib/inval.so 2>/dev/null'
}

# shellcheck shell=bash
#
# server.sh: which PostgreSQL it is, and a copy of it, into which anything may be
# installed.
#
# Sourced by test/setup, test/memory, test/server-tests and bench/run.

# major_of PG_CONFIG: prints the major version.
major_of()
{
	"$1" --version | sed -E 's/^[^0-9]*([0-9]+).*/\1/'
}

# copy_server PG_CONFIG DIRECTORY: PostgreSQL finds its files relative to its
# programs, so a copy is one of its own.  Sets bindir to where its programs are.
copy_server()
{
	local pg_config=$1 copy=$2 directory option headers

	for directory in "$(dirname "$("$pg_config" --bindir)")" \
		"$("$pg_config" --sharedir)"; do
		mkdir -p "$copy$(dirname "$directory")"
		cp -a "$directory" "$copy$(dirname "$directory")/"
	done
	bindir=$copy$("$pg_config" --bindir)
	# Where a copied pg_config believes the headers to be; the server's may be among the
	# client's.
	for option in --includedir --includedir-server; do
		headers=$("$bindir/pg_config" $option)
		[ ! -e "$headers" ] || continue
		mkdir -p "$(dirname "$headers")"
		ln -sfn "$("$pg_config" $option)" "$headers"
	done
}

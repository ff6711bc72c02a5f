# shellcheck shell=bash
# shellcheck disable=SC2154		# the script sets them
#
# matrix_table.sh: what came out of the cells of test/matrix, and the table of it.
#
# Sourced by test/matrix, which sets directory, cells and what cell_of sets.  A result is
# one line of the table.

# result_line OUTCOME [LOG]: prints that of the present cell.
result_line()
{
	local outcome=$1 log=${2:-} suites=()

	if [ "$outcome" = passed ] || [ "$outcome" = failed ]; then
		if [ "$server" = - ]; then
			suites=("$outcome: compiled, not run" '' '')
		else
			suites=("$(suite_result regress "$log")" "$(suite_result isolation "$log")"
				"$(suite_result tap "$log")")
		fi
	else
		suites=("$outcome" '' '')
	fi
	printf '| %s | %s | %s | %s | %s | %s | %s | %s |\n' "$(release_name)" \
		"$(postgres_version)" \
		"$(compiler_name) $(version_of "$(compiler_package)")" \
		"$(version_of libhiredis-dev)" "$(server_name)" "${suites[@]}"
}

# suite_result SUITE LOG: what its runner said at its end.
suite_result()
{
	sed -nE "/^== $1\$/,/^== /p" "$2" | sed -nE \
		-e 's/^ ?(# )?All ([0-9]+) tests passed.*/\2 passed/p' \
		-e 's/^ ?(# )?([0-9]+ of [0-9]+ tests failed).*/\2/p' \
		-e 's/^Files=([0-9]+), Tests=([0-9]+),.*/\2 in \1 files/p' \
		-e 's/^Result: FAIL/, failed/p' | tr -d '\n'
}

# The version of a package there without epoch and revision, or what else is given.
version_of()
{
	local version

	version=$(dpkg-query --admindir="$directory/$release/var/lib/dpkg" \
		-W -f '${Version}' "$1" 2>/dev/null) || version=${2:-}
	version=${version#*:}
	version=${version%%[-+]*}
	echo "${version/\~/}"
}

release_name()
{
	local number

	number=$(cat "$directory/$release/etc/debian_version" 2>/dev/null || true)
	case $release in
		testing | unstable | experimental) echo "$release" ;;
		*) echo "Debian ${number:-$release}" ;;
	esac
}

# Of a package, or of what was built from a source tree.
postgres_version()
{
	local header=$directory/$release/opt/postgresql-16/include/server/pg_config.h version=

	if [ "$major" != 16 ]; then
		version_of "postgresql-$major" "$major"
	else
		[ ! -e "$header" ] ||
			version=$(sed -nE 's/^#define PG_VERSION "(.*)"/\1/p' "$header")
		echo "${version:-16}"
	fi
}

compiler_package()
{
	case $compiler in
		aarch64*) echo gcc-aarch64-linux-gnu ;;
		# The package of this name only depends on the one with the version in its name.
		*) local number; number=$(version_of "$compiler"); echo "$compiler-${number%%.*}" ;;
	esac
}

compiler_name()
{
	case $compiler in
		aarch64*) echo gcc for arm64 ;;
		*) echo "$compiler" ;;
	esac
}

server_name()
{
	case $server in
		redis-server) echo "Redis $(version_of redis-server)" ;;
		valkey-server) echo "Valkey $(version_of valkey-server)" ;;
	esac
}

# write_table FILE: between the lines "<!-- matrix -->" and "<!-- end of matrix -->".
write_table()
{
	local table name

	grep -q '^<!-- matrix -->$' "$1" && grep -q '^<!-- end of matrix -->$' "$1" ||
		die "$1 has no place for the table: <!-- matrix --> and <!-- end of matrix -->"
	table=$(mktemp)
	{
		echo '| release | PostgreSQL | compiler | hiredis | server | regress | isolation | TAP |'
		echo '|---|---|---|---|---|---|---|---|'
		while read -r name _; do
			[ -n "$name" ] || continue
			if [ -e "$directory/results/$name" ]; then
				cat "$directory/results/$name"
			else
				cell_of "$name"
				result_line 'not run'
			fi
		done <<<"$cells"
	} >"$table"
	sed -i -e "/^<!-- matrix -->\$/r $table" \
		-e '/^<!-- matrix -->$/,/^<!-- end of matrix -->$/{/^<!--/!d}' "$1"
	rm -f "$table"
}

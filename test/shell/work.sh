# shellcheck shell=bash
#
# work.sh: a temporary directory with a copy of the tree, and its end.
#
# Sourced by test/run, test/memory, test/server-tests and bench/run, with say.sh and processes.sh.
# The directory is in $work, once there is one.

# make_work_dir PARENT DIRECTORY...: the copy is in src; these are empty.
make_work_dir()
{
	# Short, because Unix socket names in it may have 107 bytes.
	work=$(mktemp -d "$1/inval.XXXXXX")
	work=$(cd "$work" && pwd -P)
	shift
	(cd "$work" && mkdir src "$@")
	# shellcheck disable=SC2154		# the script sets it
	tar -C "$root" -cf - --exclude=./.git --exclude='*.o' --exclude='*.bc' \
		--exclude='*.so' --exclude=./tmp_check --exclude=./bench/results . |
		tar -C "$work/src" -xf -
}

# clean_up [COMMAND...]: to be trapped at exit.  The command comes when nothing
# lives in the directory any more and all is still there.
clean_up()
{
	local status=$?

	trap '' INT TERM
	[ -n "${work:-}" ] || exit $status
	end_processes_in "$work"
	[ $# -eq 0 ] || "$@"
	if [ "${KEEP:-}" = 1 ]; then
		say "kept: $work"
	else
		rm -rf "$work"
	fi
	exit $status
}

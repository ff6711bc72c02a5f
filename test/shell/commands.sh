# shellcheck shell=bash
#
# commands.sh: run commands as another user, and free of the caller's
# environment.
#
# Sourced by test/run, test/memory, test/server-tests, bench/run and demo/run.
# PostgreSQL refuses to run as root; whoever is not root runs everything himself, and then the
# user is an empty string.

# unprivileged_user NAME: prints the user who runs what root may not: the one
# of this name, or else nobody.  False if there is neither.
unprivileged_user()
{
	local user

	[ "$(id -u)" -eq 0 ] || return 0
	for user in "$1" nobody; do
		if id "$user" >/dev/null 2>&1; then
			echo "$user"
			return
		fi
	done
	return 1
}

# exec_as USER COMMAND...: replaces the (sub)shell by the command.
exec_as()
{
	local user=$1

	shift
	[ -z "$user" ] || set -- runuser -u "$user" -- "$@"
	exec "$@"
}

# run_as USER DIRECTORY COMMAND...: runs the command there, with an environment
# that does not depend on who called.  It runs in the background because a
# shell that waits can answer a signal at once.
run_as()
{
	local user=$1 directory=$2

	shift 2
	(
		cd "$directory" || exit
		unset MAKEFLAGS MFLAGS MAKELEVEL "${!PG@}" "${!LC_@}"
		exec_as "$user" "$@"
	) &
	wait $!
}

# make_logged LOG COMMAND...: runs a make command without what an outer make
# left behind.  The log is shown if it fails.
make_logged()
{
	local log=$1

	shift
	(
		unset MAKEFLAGS MFLAGS MAKELEVEL
		"$@" >"$log" 2>&1
	) || {
		cat "$log" >&2
		return 1
	}
}

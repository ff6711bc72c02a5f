# shellcheck shell=bash
#
# processes.sh: end the processes that live in a directory.
#
# Sourced by test/run, test/memory, test/server-tests and bench/run, whose servers and clients
# all have their working directory in the run's temporary directory.  That finds them however
# they were detached.

# The processes whose working directory is in the one given: servers, Redis,
# prove and all of their children.
processes_in()
{
	local directory=$1 link cwd pid

	for link in /proc/[0-9]*/cwd; do
		cwd=$(readlink "$link" 2>/dev/null) || continue
		pid=${link//[!0-9]/}
		case $cwd in
			"$directory" | "$directory"/*)
				[ "$pid" = $$ ] || echo "$pid"
				;;
		esac
	done
}

# First politely, so that the servers remove their shared memory (a postmaster
# takes SIGQUIT for an immediate shutdown), then surely.
end_processes_in()
{
	local signal pid

	for signal in TERM QUIT KILL; do
		for pid in $(processes_in "$1"); do
			kill -"$signal" "$pid" 2>/dev/null || true
			kill -CONT "$pid" 2>/dev/null || true
		done
		for _ in {1..30}; do
			[ -n "$(processes_in "$1")" ] || return 0
			sleep 0.1
		done
	done
}

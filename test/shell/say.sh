# shellcheck shell=bash
#
# say.sh: what a script says, and its last words.
#
# Sourced by test/run, test/memory, test/drills, test/differential,
# test/server-tests, test/packages and bench/run.
# The name that a script has in its complaints is in $program.

say()
{
	printf '== %s\n' "$*"
}

die()
{
	# shellcheck disable=SC2154		# the script sets it
	printf '%s: %s\n' "$program" "$*" >&2
	exit 2
}

# print_usage SCRIPT WORDS: the comment at its head, from "Usage" up to the
# line that begins with these words.
print_usage()
{
	sed -nE "/^# Usage/,/^# $2/{/^# $2/d;s/^# ?//;p}" "$1" >&2
}

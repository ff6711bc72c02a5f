# shellcheck shell=bash
# shellcheck disable=SC2016		# what the other shell expands
#
# apart.sh: run things with mounts and processes of their own, and in a directory that has
# a Debian.
#
# Sourced by test/matrix and test/packages.

# run_apart COMMAND...: with mounts, processes and shared memory of its own; all of these
# end with it, and it ends with us.  It runs in the background because a shell that waits
# can answer a signal at once.
run_apart()
{
	setpriv --pdeathsig KILL unshare --mount --pid --ipc --fork --kill-child "$@" 9>&- &
	apart=$!
	wait $apart
}

# The end of what runs apart, if we have to go before.
end_apart()
{
	[ -z "${apart:-}" ] || kill -KILL "$apart" 2>/dev/null || true
}

# in_system PLACE TREE COMMAND...: runs the command as root in the Debian that is in a
# directory; TREE, if there is one, is in /src there, and cannot be written to.
in_system()
{
	run_apart env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
		HOME=/root TERM=dumb bash -c '
			set -euo pipefail
			place=$1 tree=$2
			shift 2
			mount -t proc proc "$place/proc"
			mount --rbind /dev "$place/dev"
			mount -t tmpfs -o mode=1777 tmpfs "$place/dev/shm"
			if [ -d "$tree" ]; then
				mount --bind "$tree" "$place/src"
				mount -o remount,ro,bind "$place/src"
			fi
			cd "$place"
			# No exec: a process that changes its rights, as apt-get does, is no longer
			# killed with its parent; this one is, and all here end with it.
			status=0
			chroot "$place" "$@" || status=$?
			exit $status
		' in_system "$@"
}

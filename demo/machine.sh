# shellcheck shell=bash
#
# machine.sh: the machine behind the demo: packages, build, throwaway servers.
#
# Sourced by demo/run.  Everything that lives only for the demo is in one
# temporary directory, $stage: data, sockets, logs.  The servers are children
# of this shell, so their process ids are known from the first moment, and
# sessions of their own, so that Ctrl-C reaches the demo alone, which then
# stops them.  Nothing listens on TCP.
#
# PostgreSQL refuses to run as root: then both servers run as $owner, and the
# directory is theirs.

readonly START_SECONDS=60		# a server that takes longer will not come
readonly STOP_SECONDS=30		# the same for a server told to stop

stage=''						# the temporary directory
owner=''						# who runs the servers, if not the caller
pg_config='' library_directory='' script_directory=''
redis_server='' redis_cli='' redis_socket=''
postgres_pid='' redis_pid=''	# empty: not running

# --- Packages, build, install ----------------------------------------------

install_packages()
{
	pg_config=${PG_CONFIG:-}
	if [[ -n $pg_config ]]; then
		"$project/test/setup" >/dev/null || fail 'test/setup failed'
	else
		pg_config=$("$project/test/setup" | tail -n 1) ||
			fail 'test/setup failed'
	fi
	pg_config=$(command -v -- "$pg_config") ||
		fail 'test/setup named no pg_config that can be run'
	library_directory=$("$pg_config" --pkglibdir)
	script_directory=$("$pg_config" --sharedir)/extension
	PATH=$("$pg_config" --bindir):$PATH
	redis_server=$(command -v redis-server || command -v valkey-server) ||
		fail 'found neither redis-server nor valkey-server'
	redis_cli=$(command -v redis-cli || command -v valkey-cli) ||
		fail 'found neither redis-cli nor valkey-cli'
	say "$("$pg_config" --version)" "$("$redis_server" --version)"
}

# make_project LOG COMMAND...: runs a make command on the project, without what
# an outer make left behind, its job server above all, which does not reach
# this far.  The log is removed if all went well.  Copies of all objects for JIT, where
# the server has it, would take longer than all the rest.
#
# The output is redirected here, around one command, and not around the call:
# that would take the output of the traps along.
make_project()
{
	local log=$stage/$1
	shift
	env -u MAKEFLAGS -u MFLAGS -u MAKELEVEL "$@" -C "$project" \
		PG_CONFIG="$pg_config" with_llvm=no >"$log" 2>&1 </dev/null || return
	rm -f "$log"
}

build()
{
	make_project build.log make -j"$(nproc)" || fail 'the build failed'
	good 'built'
}

install_extension()
{
	local command=(make install)
	# An installation of one's own needs no sudo.
	if [[ ! -w $library_directory || ! -w $script_directory ]]; then
		command -v sudo >/dev/null ||
			fail "cannot write to $library_directory without sudo"
		command=(sudo "${command[@]}")
	fi
	make_project install.log "${command[@]}" || fail 'the installation failed'
	good "installed into $library_directory"
}

# --- The temporary directory -----------------------------------------------

# A path to a Unix socket has room for some 100 bytes, and a URL for no
# surprises: a TMPDIR that is long or odd gives way to /tmp.  So does any
# TMPDIR of root, because the servers' user might not get into it.
make_stage()
{
	local parent=/tmp
	if ((EUID != 0)) && [[ ${TMPDIR:-} =~ ^/[A-Za-z0-9._/-]{1,50}$ ]]; then
		parent=$TMPDIR
	fi
	stage=$(mktemp -d "$parent/inval-demo.XXXXXX") ||
		fail "could not create a directory in $parent"
	redis_socket=$stage/redis.sock
}

# Gives the stage to the user that will run the servers.  Called once the
# packages are there: one of them creates the user postgres.
choose_owner()
{
	owner=$(unprivileged_user postgres) ||
		fail 'found neither a user postgres nor nobody'
	if [[ -n $owner ]]; then
		chown -R "$owner:" "$stage"
	fi
}

# Replaces the current (sub)shell by a command run as the servers' user, in
# the stage, since the user may have no right to the caller's directory.
# setpriv and setsid only exec here: the process id stays.
become()
{
	cd "$stage" || exit
	if [[ -n $owner ]]; then
		set -- setpriv --reuid "$owner" --regid "$(id -g "$owner")" \
			--init-groups -- "$@"
	fi
	exec "$@"
}

# --- Servers ---------------------------------------------------------------
#
# A server is disowned once its process id is noted, so that the shell has
# nothing to say when it is killed on purpose.

create_cluster()
{
	(become initdb -D "$stage/data" -U postgres --auth=trust --no-sync \
		--encoding=UTF8 --locale=C >"$stage/initdb.log" 2>&1) ||
		fail 'initdb failed'
	rm -f "$stage/initdb.log"
	cat >>"$stage/data/postgresql.conf" <<-CONF
		shared_preload_libraries = 'inval'
		inval.redis_url = 'unix://$redis_socket?db=0'
		listen_addresses = ''
		unix_socket_directories = '$stage'
		shared_buffers = 32MB
	CONF
}

start_postgres()
{
	(become setsid postgres -D "$stage/data" >>"$stage/postgres.log" 2>&1) &
	postgres_pid=$!
	disown
	eventually "$START_SECONDS" 'PostgreSQL accepts connections' \
		answers "$postgres_pid" PostgreSQL \
		pg_isready -q -h "$stage" -U postgres -d postgres
}

# The append-only file keeps Redis' data over a kill, stale values included.
start_redis()
{
	mkdir -p "$stage/redis"
	if [[ -n $owner ]]; then
		chown "$owner:" "$stage/redis"
	fi
	(become setsid "$redis_server" --port 0 --unixsocket "$redis_socket" \
		--dir "$stage/redis" --save '' --appendonly yes --appendfsync no \
		>>"$stage/redis.log" 2>&1) &
	redis_pid=$!
	disown
	eventually "$START_SECONDS" 'Redis answers' \
		answers "$redis_pid" Redis redis_answers
}

# answers PID NAME COMMAND...: the command's result, while the server lives.
answers()
{
	local pid=$1 name=$2
	shift 2
	kill -0 "$pid" 2>/dev/null || fail "$name did not start"
	"$@"
}

redis_answers()
{
	[[ $(redis PING 2>/dev/null) == PONG ]]
}

# stop_process PID SIGNAL: sends the signal and waits for the process to end.
# False, with the process killed, when it does not end in time.
stop_process()
{
	local pid=$1 deadline=$((SECONDS + STOP_SECONDS)) status=0
	kill -s "$2" "$pid" 2>/dev/null || true
	kill -s CONT "$pid" 2>/dev/null || true	# it may be stopped, and deaf
	while kill -0 "$pid" 2>/dev/null; do
		if ((SECONDS >= deadline)); then
			status=1
			kill_family "$pid"
		fi
		sleep "$POLL_SECONDS"
	done
	return "$status"
}

# Kills a process and its children, the last resort for a PostgreSQL that
# does not stop.
kill_family()
{
	local children
	children=$(cat "/proc/$1/task/$1/children" 2>/dev/null) || true
	# shellcheck disable=SC2086		# a list of process ids
	kill -s KILL "$1" $children 2>/dev/null || true
}

# stop_postgres SIGNAL: INT stops fast, QUIT at once, without a checkpoint.
# The process id is forgotten only when the process is gone, so that a signal
# to the demo on the way leaves nothing behind.
stop_postgres()
{
	local status=0
	if [[ -n $postgres_pid ]]; then
		stop_process "$postgres_pid" "$1" || status=1
		postgres_pid=''
	fi
	return "$status"
}

stop_redis()
{
	local status=0
	if [[ -n $redis_pid ]]; then
		stop_process "$redis_pid" "$1" || status=1
		redis_pid=''
	fi
	return "$status"
}

# --- The end ---------------------------------------------------------------

# Stops what runs and removes what was made; safe to call at any time and
# again.  False if something had to be killed or is left.
tear_down()
{
	local pid status=0
	stop_postgres INT || status=1
	stop_redis TERM || status=1
	for pid in $(jobs -p); do		# interrupted between start and note
		stop_process "$pid" TERM || status=1
	done
	if [[ -n $stage ]]; then
		rm -rf "$stage" || status=1
	fi
	return "$status"
}

# The last lines of every log there is, to stderr.  The log of a step that
# went well is removed, so that what is left has to do with the failure.
show_logs()
{
	local log
	if [[ -z $stage ]]; then
		return
	fi
	for log in "$stage"/*.log; do
		if [[ -s $log ]]; then
			printf '\n--- the end of %s ---\n' "${log##*/}"
			tail -n 25 "$log"
		fi
	done >&2
}

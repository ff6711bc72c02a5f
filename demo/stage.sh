# shellcheck shell=bash
#
# stage.sh: what the demo shows and how it checks what it shows.
#
# Sourced by demo/run.  Every step prints the commands it runs exactly as it
# runs them, and every claim it makes is a check: what does not hold ends the
# demo with fail().

readonly POLL_SECONDS=0.05		# pause between two looks at a condition

step_number=0
step_title='before the first step'
failure=''						# why the demo failed, once it has

# Colours are for terminals whose owner did not refuse them (no-color.org).
choose_colours()
{
	heading_colour='' command_colour='' good_colour='' bad_colour='' plain=''
	if [[ -t 1 && -z ${NO_COLOR:-} && ${TERM:-dumb} != dumb ]]; then
		heading_colour=$'\e[1;34m'
		command_colour=$'\e[36m'
		good_colour=$'\e[32m'
		bad_colour=$'\e[1;31m'
		plain=$'\e[0m'
	fi
}

step()
{
	step_number=$((step_number + 1))
	step_title=$1
	printf '\n%s%d. %s%s\n' "$heading_colour" "$step_number" "$1" "$plain"
}

say()
{
	printf '   %s\n' "$@"
}

good()
{
	printf '   %sok: %s%s\n' "$good_colour" "$1" "$plain"
}

# Ends the demo.  on_exit() reports the reason, so that a step that dies
# without one is reported too.
fail()
{
	failure=$1
	exit 1
}

# --- SQL -------------------------------------------------------------------

psql_demo()
{
	psql -X -h "$stage" -U postgres -d demo -v ON_ERROR_STOP=1 \
		-P pager=off -P null='(null)' "$@"
}

# sql [OPTION...] SCRIPT: runs a psql script and shows it as a psql session
# would look.  psql itself echoes each statement as it sends it; awk only tells
# these lines from the results, by looking them up in the script.
sql()
{
	local script=${!#}
	psql_demo -e "${@:1:$#-1}" <<<"$script" 2>&1 |
		script=$script colour=$command_colour plain=$plain awk '
			BEGIN {
				count = split(ENVIRON["script"], line, "\n")
				for (i = 1; i <= count; i++)
					is_command[line[i]]
			}
			/^$/ { next }
			$0 in is_command {
				prompt = /^[ \t]/ ? "demo-#" : "demo=#"
				$0 = ENVIRON["colour"] prompt " " $0 ENVIRON["plain"]
			}
			{ print "   " $0 }' ||
		fail 'the SQL above gave an error'
}

# One value, for the checks and not for the eye.
value_of()
{
	psql_demo -A -t -q -c "$1"
}

# --- Redis -----------------------------------------------------------------

redis()
{
	"$redis_cli" -s "$redis_socket" "$@"
}

# Runs a Redis command and shows it with its answer on one line.
show_redis()
{
	local answer
	answer=$(redis --no-raw "$@") || fail "redis-cli $* failed"
	printf '   %sredis> %s%s   %s\n' \
		"$command_colour" "$*" "$plain" "$answer"
}

is_cached()
{
	[[ $(redis EXISTS "$1") == 1 ]]
}

is_gone()
{
	[[ $(redis EXISTS "$1") == 0 ]]
}

# cache KEY...: puts a value under each key, as an application would.
cache()
{
	local key
	for key in "$@"; do
		show_redis SET "$key" "step-$step_number"
		is_cached "$key" || fail "could not cache a value under $key"
	done
}

# gone KEY...: the keys are not in Redis, now and not later.
gone()
{
	local key
	for key in "$@"; do
		show_redis GET "$key"
		is_gone "$key" || fail "$key is still cached"
	done
	good 'gone'
}

# kept WHY KEY...: the keys are still in Redis.
kept()
{
	local key why=$1
	shift
	for key in "$@"; do
		show_redis GET "$key"
		is_cached "$key" || fail "$key is gone, though $why"
	done
	good "kept: $why"
}

# How many keys match a pattern.
count_keys()
{
	redis --scan --pattern "$1" | wc -l
}

# --- Conditions ------------------------------------------------------------

# eventually SECONDS WHAT COMMAND...: polls until the command succeeds; the
# demo fails when WHAT has not come true after SECONDS.
eventually()
{
	local seconds=$1 what=$2 deadline
	shift 2
	deadline=$((SECONDS + seconds))
	until "$@"; do
		((SECONDS < deadline)) || fail "not within $seconds s: $what"
		sleep "$POLL_SECONDS"
	done
}

# holds SQL: true when the SQL expression is true in the demo's database.
holds()
{
	local answer
	answer=$(value_of "SELECT $1") || fail "this SQL failed: SELECT $1"
	[[ $answer == t ]]
}

# queue_is KEY...: inval_queue shows exactly these keys.
queue_is()
{
	local expected queued
	expected=$(printf '%s\n' "$@" | sort)
	queued=$(value_of 'SELECT key FROM inval_queue' | sort)
	[[ $queued == "$expected" ]] ||
		fail "inval_queue holds $(wc -l <<<"$queued") keys, from $(
			head -n 1 <<<"$queued") on; expected: $*"
	good "inval_queue shows exactly what Redis has not confirmed ($#)"
}

queue_is_empty()
{
	holds 'NOT EXISTS (SELECT FROM inval_queue)'
}

target_is()
{
	holds "state = '$1' FROM inval_target_status"
}

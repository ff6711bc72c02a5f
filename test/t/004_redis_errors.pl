# Redis is there and says no: wrong password, no permission, loading, read-only,
# out of memory, or no sense at all.  An answer is not a confirmation unless it
# is one: nothing may be lost, and no password may show anywhere.

use strict;
use warnings;

use Inval::Test;
use PostgreSQL::Test::Utils;
use Test::More;

my $password = 'Tr0ub4dor-and-3';
my $redis = Inval::Redis->new(
	password => $password,
	acl => [ "app on >$password ~* &* +\@all" ]);
my $node = new_node('errors', url => $redis->tcp_url);
my $next = 1;

$node->safe_psql('postgres', q{
	CREATE TABLE at_commit (id int PRIMARY KEY, n int DEFAULT 0);
	CREATE TABLE together (id int PRIMARY KEY, n int DEFAULT 0);
	CREATE TABLE in_background (id int PRIMARY KEY, n int DEFAULT 0);
	INSERT INTO at_commit SELECT generate_series(1, 1000);
	INSERT INTO together SELECT generate_series(1, 1000);
	INSERT INTO in_background SELECT generate_series(1, 1000);
	SELECT inval_track('at_commit', 'id');
	SELECT inval_track('together', 'id');
	SELECT inval_track('in_background', 'id', delivery => 'background');
});

# Commit changes of fresh rows while Redis misbehaves; gives their keys.  Every other
# commit has two commands for Redis.
sub commit_changes
{
	my ($what, $server) = @_;
	my @ids = ($next .. $next + 4);
	my @keys = map { ("at_commit:$_", $_ % 2 ? "together:$_" : (), "in_background:$_") } @ids;
	my $session = $node->background_psql('postgres');

	$next += 5;
	$server->pipeline(map { [ 'SET', $_, 'cached' ] } @keys);
	foreach my $id (@ids)
	{
		my @tables = ('at_commit', $id % 2 ? 'together' : ());

		$session->query_safe(join '; ', 'BEGIN',
			(map { "UPDATE $_ SET n = n + 1 WHERE id = $id" } @tables), 'COMMIT');
		$session->query_safe("UPDATE in_background SET n = n + 1 WHERE id = $id");
	}
	$session->quit;
	return @keys;
}

sub stays_queued
{
	my ($what, $error, @keys) = @_;

	ok(poll_query($node, 'postgres',
			'SELECT count(DISTINCT key) FROM inval_queue', scalar(@keys)),
		"$what: commits succeed and every key stays queued");
	# Refused as a whole, the target has the reason; entry by entry, the queue.
	ok(poll_query($node, 'postgres', qq{
			SELECT bool_or(coalesce(last_error, '') ~ '$error')
			FROM (SELECT last_error FROM inval_target_status
				UNION ALL SELECT last_error FROM inval_queue) errors}),
		"$what: the status or the queue says why");
	return;
}

sub all_delivered
{
	my ($what, $server, @keys) = @_;

	ok(wait_keys_gone($server, @keys), "$what: every committed key is gone");
	ok(wait_queue_empty($node, 'postgres'), "$what: the queue is empty");
	ok(wait_target_state($node, 'postgres', 'up'), "$what: the target is up");
	return;
}

# The right password from the start.
my @keys = commit_changes('password', $redis);
all_delivered('password', $redis, @keys);

# A wrong one, then the right one by a reload.
set_redis_url($node, $redis->tcp_url(0, ":not-$password"));
@keys = commit_changes('wrong password', $redis);
stays_queued('wrong password', 'WRONGPASS|invalid', @keys);
set_redis_url($node, $redis->tcp_url(0, ":$password"));
all_delivered('right password', $redis, @keys);

# The same through ALTER SYSTEM, none at all, and a user of the ACL.
$node->safe_psql('postgres',
	"ALTER SYSTEM SET inval.redis_url = '" . $redis->tcp_url(0, 'app:wrong') . "'");
reload($node);
@keys = commit_changes('wrong user', $redis);
stays_queued('wrong user', 'WRONGPASS|invalid', @keys);
$node->safe_psql('postgres',
	"ALTER SYSTEM SET inval.redis_url = 'redis://127.0.0.1:" . $redis->port . "/0'");
reload($node);
stays_queued('no password', 'NOAUTH|[Aa]uthentication', @keys);
$node->safe_psql('postgres',
	"ALTER SYSTEM SET inval.redis_url = '"
	  . $redis->tcp_url(0, "app:$password") . "'");
reload($node);
all_delivered('right user', $redis, @keys);

# A user who may connect but not delete.
$redis->cmd('ACL', 'SETUSER', 'app', '-unlink', '-del');
@keys = commit_changes('no permission', $redis);
stays_queued('no permission', 'NOPERM|permission', @keys);
$redis->cmd('ACL', 'SETUSER', 'app', '+@all');
all_delivered('permission granted', $redis, @keys);

# A demoted primary: a replica whose own primary is nowhere.
$redis->cmd('REPLICAOF', '127.0.0.1', 1);
$redis->cmd('CONFIG', 'SET', 'replica-read-only', 'no');
my @readonly = commit_changes('about to be read-only', $redis);
all_delivered('a writable replica', $redis, @readonly);
$redis->cmd('MSET', map { ("at_commit:$_", 1, "in_background:$_", 1) } 900 .. 904);
$redis->cmd('CONFIG', 'SET', 'replica-read-only', 'yes');
$node->safe_psql('postgres', "UPDATE $_ SET n = 1 WHERE id BETWEEN 900 AND 904")
  foreach 'at_commit', 'in_background';
@readonly = map { ("at_commit:$_", "in_background:$_") } 900 .. 904;
stays_queued('read-only', 'READONLY|read only', @readonly);
$redis->cmd('REPLICAOF', 'NO', 'ONE');
all_delivered('promoted', $redis, @readonly);

password_hidden($node, 'postgres', $password, 'password');
no_crash($node, 'no server process crashed so far');

# What a real server does at moments that are hard to choose, shown by a proxy.
my $plain = Inval::Redis->new;
my $proxy = Inval::Proxy->new($plain);

$node->safe_psql('postgres', 'ALTER SYSTEM RESET inval.redis_url');
set_redis_url($node, $proxy->url);
@keys = commit_changes('proxy', $plain);
all_delivered('proxy', $plain, @keys);

my @cases = (
	[ 'loading', 'refuse LOADING Redis is loading the dataset in memory', 'LOADING|loading' ],
	[ 'out of memory', "error OOM command not allowed when used memory > 'maxmemory'.", 'OOM' ],
	[ 'no replica', 'error NOREPLICAS Not enough good replicas to write.', 'NOREPLICAS' ],
	[ 'cannot save', 'error MISCONF Redis is configured to save RDB snapshots', 'MISCONF' ],
	[ 'busy', 'refuse BUSY Redis is busy running a script', 'BUSY' ],
	[ 'cluster', 'error MOVED 3999 127.0.0.1:1', 'MOVED' ],
	[ 'garbage', 'garbage', '.' ],
	[ 'silence', 'mute', '.' ],
	[ 'hanging up', 'close', '.' ]);
foreach my $case (@cases)
{
	my ($what, $mode, $error) = @$case;

	$proxy->mode($mode);
	@keys = commit_changes($what, $plain);
	stays_queued($what, $error, @keys);
	# Not even PING is served, which the answer to one behind the others also says.
	is(times_logged($node, 'is no answer to the command'), 0, "$what: it was an answer")
	  if $what =~ /loading|busy/;
	is(scalar($plain->existing(@keys)), scalar(@keys), "$what: no key is gone yet");
	$proxy->mode('pass');
	all_delivered("after $what", $plain, @keys);
}

# A server that dies between two commands of one pipeline, again and again: what
# was confirmed is confirmed, and the rest comes through in the end.
$proxy->mode('half');
@keys = commit_changes('half a pipeline', $plain);
ok(poll_until(sub { $proxy->commands > 0 }, 'a broken pipeline'), 'half a pipeline');
$proxy->mode('pass');
all_delivered('after half a pipeline', $plain, @keys);

# A real server that loads for a while: it refuses even PING.
set_redis_url($node, $plain->unix_url);
$plain->fill('filler:', 1, 2000);
@keys = map { ("at_commit:$_", "in_background:$_") } 950 .. 954;
$plain->pipeline(map { [ 'SET', $_, 'cached' ] } @keys);
$plain->cmd('SAVE');
$plain->kill9;
$node->safe_psql('postgres', "UPDATE $_ SET n = 1 WHERE id BETWEEN 950 AND 954")
  foreach 'at_commit', 'in_background';
# Microseconds for each key
$plain->{config}{'key-load-delay'} = 1000;
$plain->{config}{'loading-process-events-interval-bytes'} = 1024;
$plain->start(wait => 'any');
ok(poll_until(sub { $plain->cmd('PING') eq 'PONG' }, 'Redis to load its data'), 'loaded');
all_delivered('after really loading', $plain, @keys);

# The name of the user makes the error long; what it is about comes at its end.
{
	my $user = 'u' x 150;
	my $strict = Inval::Redis->new(
		password => $password,
		acl => ["$user on >$password ~* &* +\@all -unlink"]);

	set_redis_url($node, $strict->tcp_url(0, "$user:$password"));
	@keys = commit_changes('a long name', $strict);
	ok(wait_target_state($node, 'postgres', 'down'),
		'a long name: who may not UNLINK at all is no entry that is refused');
	$strict->cmd('ACL', 'SETUSER', $user, '+unlink');
	all_delivered('a long name, permission granted', $strict, @keys);
}

# PING is not for everybody: whoever is told so has been answered.
{
	my @silent = (
		[ 'who may not PING' => acl => ['default on nopass ~* &* +@all -ping'] ],
		[ 'no PING' => config => { 'rename-command' => 'PING ""' } ]);

	foreach (@silent)
	{
		my ($what, %options) = @$_;
		my $silent = Inval::Redis->new(start => 0, %options);

		$silent->start(wait => 'any');
		set_redis_url($node, $silent->tcp_url);
		@keys = commit_changes($what, $silent);
		all_delivered($what, $silent, @keys);
	}
}

# A server without UNLINK has DEL.
{
	my $old = Inval::Redis->new(config => { 'rename-command' => 'UNLINK ""' });

	set_redis_url($node, $old->tcp_url);
	@keys = commit_changes('no UNLINK', $old);
	all_delivered('no UNLINK', $old, @keys);
	like($node->safe_psql('postgres', 'SELECT last_error FROM inval_target_status'),
		qr/does not know UNLINK/, 'no UNLINK: the status says so');
	$old->cmd('SET', 'at_commit:980', 'cached');
	$node->safe_psql('postgres', 'UPDATE at_commit SET n = n + 1 WHERE id = 980');
	is(scalar($old->existing('at_commit:980')), 0, 'no UNLINK: from then on gone at commit');
}
set_redis_url($node, $plain->unix_url);

# An answer that does not end: COMMIT must.
{
	set_redis_url($node, $proxy->url);
	ok(wait_target_state($node, 'postgres', 'up'), 'endless: up');
	$plain->cmd('SET', 'at_commit:990', 'cached');
	$proxy->mode('endless');
	$node->psql('postgres', 'UPDATE at_commit SET n = n + 1 WHERE id = 990',
		timeout => $PostgreSQL::Test::Utils::timeout_default, timed_out => \my $timed_out);
	ok(!$timed_out, 'endless: COMMIT ends');
	$proxy->mode('pass');
	ok(wait_keys_gone($plain, 'at_commit:990'), 'endless: the key goes when that is over');
}

no_crash($node, 'no server process crashed');
done_testing();

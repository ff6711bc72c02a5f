# Clusters as targets beside others: with a name in the URL, a user with few
# rights, a password in a file, over TLS; and what one node or one slot that does
# not serve means for the others.

use strict;
use warnings;

use File::Spec;
use Inval::Certificates;
use Inval::Cluster;
use Inval::Proxy;
use Inval::Test;
use PostgreSQL::Test::Utils;
use Test::More;

my $password = 'Tr0ub4dor-and-3';
my $file = File::Spec->rel2abs(PostgreSQL::Test::Utils::tempdir() . '/password');
my $here = Inval::Redis->new;
my $cluster = Inval::Cluster->new(replicas => 0);
my ($frozen, $other) = $cluster->nodes;
my $node = new_node('clusters', url => $here->unix_url,
	conf => "inval.commit_timeout = '2s'\ninval.retry_max = '200ms'\n");

sub sql
{
	my ($statement) = @_;

	return $node->safe_psql('postgres', $statement);
}

sub update
{
	return join '', map { "UPDATE team SET n = n + 1 WHERE id = $_;\n" } @_;
}

sub keys_of { return map { "team:$_" } @_; }

# The first of these whose keys the node has, or has not.
sub ids_of
{
	my ($owner, $has, $from, $to) = @_;

	return grep { ($cluster->owner("team:$_") == $owner) == $has } $from .. $to;
}

sub owed
{
	my ($ids) = @_;

	return "SELECT count(DISTINCT key) FROM inval_queue WHERE target = 'there'"
	  . ($ids ? ' AND key IN (' . join(',', map { "'$_'" } keys_of(@$ids)) . ')' : '');
}

sub delivered_by_worker
{
	return q{SELECT sum(delivered_by_worker) FROM inval_stats
		WHERE rule IS NOT NULL AND target = 'there'};
}

# May do what the README says, and no more.
umask 0077;
append_to_file($file, "$password\n");
$_->cmd('ACL', 'SETUSER', 'app', 'on', ">$password", '~*', '+unlink', '+hdel', '+ping',
	'+asking', '+cluster|slots') foreach $cluster->nodes;
sub url_by_name
{
	return 'redis+cluster://app@'
	  . join(',', map { 'localhost:' . $_->port } @_) . "?passfile=$file";
}
sql(sprintf q{SELECT inval_add_target('there', '%s')}, url_by_name($frozen, $other));
is(sql(q{SELECT address FROM inval_target_status WHERE target = 'there'}),
	'redis+cluster://' . join(',', map { 'localhost:' . $_->port } $frozen, $other),
	'the status has the address');
sql(q{
	CREATE TABLE team (id int PRIMARY KEY, n int DEFAULT 0);
	INSERT INTO team SELECT generate_series(1, 5000);
	SELECT inval_track('team', 'id', targets => '{default,there}')});

# Both, at commit, as soon as the worker has found out what the name means.
ok(poll_until(
		sub {
			$cluster->set(keys_of(1));
			sql(update(1));
			return !$cluster->existing(keys_of(1));
		},
		'delivery at commit'),
	'by name: gone at commit');
ok(wait_queue_empty($node, 'postgres'), 'by name: nothing is owed');
$_->fill('team:', 2, 500) foreach $here, $cluster;
my $by_worker = sql(delivered_by_worker());
sql(update(2 .. 20) . 'UPDATE team SET n = n + 1 WHERE id BETWEEN 21 AND 500');
is(scalar(() = ($here->existing(keys_of(2 .. 500)), $cluster->existing(keys_of(2 .. 500)))),
	0, 'keys are gone from both when COMMIT returns');
is(sql(delivered_by_worker()), $by_worker, 'without the worker');
is(sql(owed()), 0, 'nothing is owed');

# A slot that nobody serves, which is no matter of the node.
my $slot = Inval::Cluster::slot('team:501');
my $owner = $cluster->owner('team:501');
my ($neighbour) = ids_of($owner, 1, 502, 600);

$cluster->set(keys_of(501, $neighbour));
$owner->cmd('CLUSTER', 'DELSLOTS', $slot);
sql(update(501, $neighbour));
ok(poll_query($node, 'postgres', owed(), 1), 'a slot is not served: its key is queued');
is($owner->cmd('EXISTS', "team:$neighbour"), 0, 'keys of the other slots are gone');
is(sql(q{SELECT state FROM inval_target_status WHERE target = 'there'}), 'up',
	'a slot is not served: the target is up');
$owner->cmd('CLUSTER', 'ADDSLOTS', $slot);
ok(wait_keys_gone($cluster, keys_of(501)), 'the slot is served: its key goes');
ok(wait_queue_empty($node, 'postgres'), 'the slot is served: nothing is owed');
is(times_logged($node, 'node 127.* lost'), 0, 'no node was called lost for that');

# A node that stands still, and nobody takes its place.  The first commit with
# a key of it finds out.
my @orphans = ids_of($frozen, 1, 1001, 2000);
my @survivors = ids_of($frozen, 0, 1001, 2000);
my $old = $node->background_psql('postgres');

$_->fill('team:', 601, 4000) foreach $here, $cluster;
$old->query_safe(update(ids_of($frozen, 1, 601, 605)));
$frozen->freeze;
$old->query_safe(update($orphans[0]));
ok(poll_query($node, 'postgres', owed([ $orphans[0] ]), 1), 'frozen: its key is queued');
ok(poll_until(sub { times_logged($node, 'inval target "there": node 127.* is lost') },
		'the log'),
	'frozen: the log says so');

$by_worker = sql(delivered_by_worker());

# From now on nobody tries: had any of these to wait, it were for a minute, and all
# together for longer than the test has.
foreach my $session ($old, $node->background_psql('postgres'))
{
	$session->query_safe(q{SET inval.commit_timeout = '60s'});
	$session->query_safe(update(@orphans[ 1 .. 5 ], @survivors[ 0 .. 5 ]));
	is(scalar($cluster->existing(keys_of(@survivors[ 0 .. 5 ]))), 0,
		'frozen: keys of the others are gone at commit');
	is(scalar($here->existing(keys_of(@orphans[ 1 .. 5 ], @survivors[ 0 .. 5 ]))), 0,
		'frozen: those of another target, too');
	$cluster->set(keys_of(@survivors[ 0 .. 5 ]));
	$here->fill('team:', 1001, 2000);
	$session->quit;
}
is(sql(q{SELECT state FROM inval_target_status WHERE target = 'there'}), 'up',
	'frozen: the target is up');
is(sql(delivered_by_worker()), $by_worker, 'frozen: the worker had nothing to do with that');

# What a transaction owes to the others is delivered once.
@orphans = ids_of($frozen, 1, 2001, 4000);
sql('UPDATE team SET n = n + 1 WHERE id BETWEEN 2001 AND 4000');
ok(poll_query($node, 'postgres', owed([ 2001 .. 4000 ]), scalar @orphans),
	'frozen: of many keys only its own stay queued');
is(scalar($cluster->existing(keys_of(ids_of($frozen, 0, 2001, 4000)))), 0,
	'frozen: the others are gone');
$frozen->thaw;
ok(wait_keys_gone($cluster, keys_of(@orphans)), 'thawed: its keys go');
ok(wait_queue_empty($node, 'postgres'), 'thawed: nothing is owed');
ok(poll_until(sub { times_logged($node, 'inval target "there": node 127.* is back') }, 'the log'),
	'thawed: the log says so');
is(times_logged($node, 'inval target "there": node 127.* is (lost|back)'), 2,
	'one line for each change');
is(times_logged($node, 'inval target "there" is (down|up)'), 0, 'none of the target');

# With a rate, rows are delivered in parts; what the frozen node owes stays, however
# often it is met, and holds nothing of the others up.
sql(sprintf q{
	SELECT inval_add_target('there', '%s', max_rate => 400);
	SELECT inval_track('team', 'id', targets => '{default,there}', delivery => 'background')},
	url_by_name($frozen, $other));
@orphans = ids_of($frozen, 1, 4001, 4200);
@survivors = ids_of($frozen, 0, 4001, 4200);
$_->fill('team:', 4001, 4200) foreach $here, $cluster;
$frozen->freeze;
sql('UPDATE team SET n = n + 1 WHERE id BETWEEN 4001 AND 4200');
ok(wait_keys_gone($cluster, keys_of(@survivors)), 'frozen, with a rate: the others go');
ok(poll_query($node, 'postgres', owed(), scalar @orphans),
	'frozen, with a rate: only its own stay queued');
my ($later) = ids_of($frozen, 0, 1, 100);
$cluster->set(keys_of($later));
sql(update($later));
ok(wait_keys_gone($cluster, keys_of($later)), 'frozen, with a rate: what comes later goes');
is(sql(owed(\@orphans)), scalar @orphans, 'frozen, with a rate: nothing is forgotten');
$frozen->thaw;
ok(wait_keys_gone($cluster, keys_of(@orphans)), 'thawed, with a rate: its keys go');
ok(wait_queue_empty($node, 'postgres'), 'thawed, with a rate: nothing is owed');
sql(q{SELECT inval_track('team', 'id', targets => '{default,there}')});

# The first to find out, whichever node it is and although the session has yet to
# connect to all of them, still delivers at commit what is for the others: if the
# URL has addresses, because names are the worker's to resolve.
sql(sprintf q{SELECT inval_add_target('there', '%s')},
	url_by_name($cluster->nodes) =~ s/localhost/127.0.0.1/gr);
ok(poll_query($node, 'postgres', q{SELECT state = 'up' AND address ~ '127' AND last_error IS NULL
		FROM inval_target_status WHERE target = 'there'}), 'by address: up');
foreach my $lost ($cluster->nodes)
{
	my ($orphan) = ids_of($lost, 1, 101, 400);
	my @rest = ids_of($lost, 0, 101, 400);
	my $name = 'frozen before the first commit of a session';
	my $lines = times_logged($node, 'is lost');

	# The one before was away for long enough to be noticed by the others.
	poll_until(
		sub {
			!grep { $_->cmd('CLUSTER', 'INFO') !~ /^cluster_state:ok/m } $cluster->nodes;
		},
		'the cluster');
	$cluster->set(keys_of($orphan, @rest));
	$lost->freeze;
	# So that it is not the worker who delivers.
	my $worker = sql(q{SELECT worker_pid FROM inval_target_status WHERE target = 'there'});
	kill 'STOP', $worker;
	sql("BEGIN; UPDATE team SET n = n + 1 WHERE id = $orphan;
		UPDATE team SET n = n + 1 WHERE id BETWEEN 101 AND 400; COMMIT");
	is(scalar($cluster->existing(keys_of(@rest))), 0, "$name: the others get their keys");
	$lost->thaw;
	kill 'CONT', $worker;
	ok(wait_keys_gone($cluster, keys_of($orphan)), "$name: its keys go when it answers");
	is(times_logged($node, 'is lost'), $lines, "$name: nobody is called lost for one session");
	ok(wait_queue_empty($node, 'postgres'), "$name: nothing is owed");
}

# An answer that keys of one command never get, but from who is asked for several;
# from a node that is elsewhere than before.
my $proxy = Inval::Proxy->new($other);
my ($id) = ids_of($other, 1, 4001, 4100);
my ($witness) = ids_of($other, 0, 4001, 4100);

$cluster->announce($other, $proxy->{port});
$cluster->set(keys_of($id, $witness));
# Whoever still goes to the old place deletes the key all the same.
$node->restart;
$proxy->mode('error TRYAGAIN Multiple keys request during rehashing of slot');
ok(poll_until(
		sub {
			$cluster->set(keys_of($id));
			sql(update($id));
			return $cluster->existing(keys_of($id));
		},
		'the other place'),
	'TRYAGAIN: the key is not gone');
ok(poll_query($node, 'postgres', owed([$id]), 1), 'TRYAGAIN: the key is queued');
sql(update($witness));
ok(wait_keys_gone($cluster, keys_of($witness)), 'TRYAGAIN: another node goes on');
$proxy->mode('pass');
ok(wait_keys_gone($cluster, keys_of($id)), 'later it goes');
ok(wait_queue_empty($node, 'postgres'), 'later nothing is owed');
is(times_logged($node, 'is lost: TRYAGAIN'), 0, 'TRYAGAIN: no node was called lost');

# Who points to a node that nobody knows refuses the key, and somebody sees it.
$cluster->set(keys_of($id));
$proxy->mode(sprintf 'error ASK %d nowhere.example:6379', Inval::Cluster::slot("team:$id"));
sql(update($id));
ok(poll_query($node, 'postgres', qq{
		SELECT attempts > 0 AND last_error ~ 'ASK .* nowhere.example' FROM inval_queue
		WHERE target = 'there' AND key = 'team:$id'}),
	'sent to nowhere: the queue says so');
$proxy->mode('pass');
ok(wait_keys_gone($cluster, keys_of($id)), 'sent to nowhere: goes when there is a way');
ok(wait_queue_empty($node, 'postgres'), 'sent to nowhere: nothing is owed in the end');

# Over TLS
SKIP:
{
	my $certificates = Inval::Certificates->new or skip 'no openssl', 1;
	my ($status, $output, $error) = $node->psql('postgres',
		"SELECT inval_add_target('safe', 'rediss+cluster://127.0.0.1')");

	skip 'built without TLS', 1 if $status != 0 && $error =~ /built without TLS/;
	$certificates->certify('node', 'IP:127.0.0.1,DNS:cache.example', 10);
	my $safe = eval {
		Inval::Cluster->new(replicas => 0, password => $password,
			tls => [ map { $certificates->file($_) } 'ca.pem', 'node.pem', 'node.key' ]);
	} or skip "this Redis has no TLS: $@", 1;
	my $url = $safe->url . '?cacert=' . $certificates->file('ca.pem');

	sql(q{
		CREATE TABLE safe (id int PRIMARY KEY, n int DEFAULT 0);
		INSERT INTO safe SELECT generate_series(1, 200);
		SELECT inval_track('safe', 'id', targets => '{safe}')});
	foreach my $case ([ '', 'by address' ], [ '&sni=cache.example', 'by one name' ])
	{
		sql("SELECT inval_add_target('safe', '$url$case->[0]')");
		ok(wait_target_state($node, 'postgres', 'up', 'safe'), "TLS: up, $case->[1]");
		$safe->fill('safe:', 1, 200);
		sql('UPDATE safe SET n = n + 1; UPDATE safe SET n = n + 1 WHERE id = 1');
		ok(wait_keys_gone($safe, map { "safe:$_" } 1 .. 200), "TLS: gone, $case->[1]");
		ok(wait_queue_empty($node, 'postgres'), "TLS: nothing is owed, $case->[1]");
	}
	is(sql('SELECT count(*) > 0 FROM inval_stats
		WHERE target = $$safe$$ AND delivered_at_commit > 0'), 't', 'TLS: at commit');

	sql("SELECT inval_add_target('safe', '$url&sni=elsewhere.example')");
	$safe->set('safe:7');
	sql('UPDATE safe SET n = n + 1 WHERE id = 7');
	ok(wait_target_state($node, 'postgres', 'down', 'safe'), 'TLS: another name is refused');
	is(sql(q{SELECT last_error ~ 'certificate of the server refused' FROM inval_target_status
			WHERE target = 'safe'}), 't', 'TLS: with the reason');
	is(scalar($safe->existing('safe:7')), 1, 'TLS: and gets nothing');
	sql("SELECT inval_add_target('safe', '$url')");
	ok(wait_keys_gone($safe, 'safe:7'), 'TLS: put right, its key goes');
}

password_hidden($node, 'postgres', $password, 'password');
no_crash($node, 'no server process crashed');
done_testing();

# inval_peek shows what the target holds, wherever it is; and whoever is at the
# other end, it ends, and leaves nothing behind that a commit would stumble on.

use strict;
use warnings;

use Inval::Certificates;
use Inval::Cluster;
use Inval::Peer;
use Inval::Sentinels;
use Inval::Session;
use Inval::Test;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $redis = Inval::Redis->new;
my $node = new_node('peeking', url => $redis->unix_url,
	conf => "inval.commit_timeout = '2s'\ninval.reply_timeout = '1min'\ninval.retry_max = '200ms'\n");

sub sql
{
	my ($statement) = @_;

	return $node->safe_psql('postgres', $statement);
}

# How long an answer is waited for from now on, in ms
sub wait_for_answers
{
	my ($milliseconds) = @_;

	sql("ALTER SYSTEM SET inval.reply_timeout = $milliseconds");
	$node->reload;
	poll_query($node, 'postgres',
		"SELECT setting = '$milliseconds' FROM pg_settings WHERE name = 'inval.reply_timeout'");
	return;
}

# What a peek shows of some keys, one to a line
sub peek
{
	return sql('SELECT key, encode(value, $$escape$$), ttl IS NOT NULL FROM inval_peek('
		  . join(', ', map { "'$_'" } @_) . ')');
}

# In a session that goes on: the SQLSTATE of a peek, and what it says
sub ask
{
	my ($session, @keys) = @_;

	return $session->query('SELECT key, encode(value, $$escape$$) FROM inval_peek('
		  . join(', ', map { "'$_'" } @keys) . ')');
}

sql(q{
	CREATE TABLE team (id int PRIMARY KEY, n int DEFAULT 0);
	INSERT INTO team SELECT generate_series(1, 100);
	SELECT inval_track('team', 'id')});

# Values, in the order of the keys
$redis->cmd('SET', 'a', "x\0\xff");
$redis->cmd('SET', 'b', 'y', 'EX', 1000);
$redis->cmd('SET', 'empty', '');
is(peek('b', 'a', 'none', 'empty', 'a'), "b|y|t\na|x\\000\\377|f\nnone||f\nempty||f\na|x\\000\\377|f",
	'values, and which have an end');
is(sql(q{SELECT key, value IS NULL FROM inval_peek('none', 'empty')}), "none|t\nempty|f",
	'none is not the same as an empty one');
is(sql(q{SELECT ttl > '990 s' AND ttl <= '1000 s' FROM inval_peek('b')}), 't', 'how long it will live');
$redis->cmd('HSET', 'hash', 'a', 1);
my ($status, $output, $error) =
  $node->psql('postgres', q{SELECT key, value FROM inval_peek('hash', 'none', 'a')});
is($output, "hash|\nnone|\na|\\x7800ff", 'what is no string has no value');
like($error, qr/WARNING:  1 of the keys hold something else than a string/, 'and that is said');

# Truth and cache
sql('UPDATE team SET n = 1 WHERE id = 1');
$redis->cmd('SET', 'team:1', '1');
$redis->cmd('SET', 'team:2', '5');
is(sql(q{SELECT key FROM team, inval_peek('team:' || id)
	WHERE convert_from(value, 'UTF8') <> n::text}), 'team:2', 'compared with the table');

# Many at a time take a round trip, not one each.
my $many = 20000;
$redis->fill('many:', 1, $many);
is(sql("SELECT count(*), count(value), count(DISTINCT key) FROM inval_peek(VARIADIC
	(SELECT array_agg('many:' || n) FROM generate_series(1, 2 * $many) n))"),
	2 * $many . "|$many|" . 2 * $many, 'many keys');

# A paused target tells.
sql('SELECT inval_pause()');
is(peek('b'), 'b|y|t', 'while it is paused');
sql('SELECT inval_resume()');
ok(wait_target_state($node, 'postgres', 'up'), 'resumed');

# Values have a bound, and the connection is as good as ever.
my $session = Inval::Session->new($node, 'postgres', 'peeker');

is((ask($session, 'b'))[1], "b|y\n", 'a session peeks');
sub put
{
	my ($key, $megabytes) = @_;

	$redis->cmd('SETRANGE', $key, $megabytes * 1024 * 1024 - 1, 'x');
	return;
}
put('huge', 33);
put("large:$_", 12) foreach 1 .. 3;
foreach my $keys ([ 'b', 'huge', 'a' ], [ 'large:1', 'large:2', 'large:3', 'b' ])
{
	my ($state, $text) = ask($session, @$keys);

	is($state, '54000', "@$keys are too large");
	like($text, qr/They can have 32 MB together/, 'and what there is room for');
	is((ask($session, 'b'))[1], "b|y\n", 'what comes after is right');
	is(sql(q{SELECT state FROM inval_target_status}), 'up', 'and nobody else is told');
}
is(($session->query(q{SELECT octet_length(value) FROM inval_peek('large:1')}))[1],
	12 * 1024 * 1024 . "\n", 'less is shown');

# Who does not answer in time
wait_for_answers(500);
$redis->freeze;
my ($state, $text) = ask($session, 'a');
is($state, '08006', 'no answer') or diag($text);
like($text, qr/could not ask target "default": no answer in time/, 'and it says so');
$redis->thaw;
wait_for_answers(180_000);
is((ask($session, 'b'))[1], "b|y\n", 'the answer to an old question is not taken for that to a new one');

# Who is interrupted
my $pid = (split /\n/, ($session->query('SELECT pg_backend_pid()'))[1])[0];
$redis->freeze;
$session->ask(q{SELECT key, value FROM inval_peek('a')}, sub { ($state, $text) = @_; });
ok(poll_query($node, 'postgres', "SELECT state = 'active' FROM pg_stat_activity WHERE pid = $pid"),
	'it waits');
ok(poll_until(
		sub {
			sql("SELECT pg_cancel_backend($pid)") if $session->is_busy;
			Inval::Session::wait_for_any(0.1, $session);
			return !$session->is_busy;
		},
		'the cancellation'),
	'and can be cancelled');
is($state, '57014', 'it was');
$redis->thaw;
is((ask($session, 'b'))[1], "b|y\n", 'what comes after is right');
$redis->fill('team:', 1, 10);
$session->query('UPDATE team SET n = n + 1 WHERE id <= 10');
is(scalar($redis->existing(map { "team:$_" } 1 .. 10)), 0, 'commits of that session deliver');

# Whoever is at the other end
my $peer = Inval::Peer->new($redis);
my $liar = Inval::Session->new($node, 'postgres', 'lied to');
$liar->query("SET inval.redis_url = '" . $peer->url . "'");
foreach my $mode ('swap', 'surplus', 'answer :7\r\n', 'answer *1\r\n$1\r\nx\r\n', 'reset', 'half',
	'flood $9000000000\r\n')
{
	$peer->mode($mode);
	($state, $text) = ask($liar, 'b', 'hash', 'none');
	is($state, $mode =~ /flood/ ? '54000' : '08006', "not believed: $mode") or diag($text);
}
$peer->mode('answer -NOPERM this user has no permissions to run the \'get\' command\r\n');
($state, $text) = ask($liar, 'b');
is($state, '38000', 'a refusal');
like($text, qr/NOPERM .*HINT: .*GET and PTTL/s, 'and what is to be done');
$peer->mode('pass');
is((ask($liar, 'b', 'none'))[1], "b|y\nnone|\n", 'and then the truth');

# Where nobody is
$redis->stop;
($state, $text) = ask($session, 'b');
is($state, '08006', 'nobody is there') or diag($text);
$redis->start;
ok(poll_until(sub { (ask($session, 'b'))[0] eq '00000' }, 'it to be back'), 'until somebody is');

# Nothing outside of a namespace is asked for.
sql(sprintf q{ALTER SERVER inval_target_default OPTIONS (ADD namespace 'team:')});
($state, $text) = ask($session, 'team:1', 'b');
is($state, '44000', 'nothing outside of the namespace');
is((ask($session, 'team:1'))[0], '00000', 'what is inside');
sql(q{ALTER SERVER inval_target_default OPTIONS (DROP namespace)});

# A cluster: keys of all nodes, of a slot that has moved, and of one that is moving
my $cluster = Inval::Cluster->new(replicas => 0);
my $there = Inval::Session->new($node, 'postgres', 'of the cluster');
$there->query("SET inval.redis_url = '" . $cluster->url . "'");
$cluster->set("c:$_") foreach 1 .. 20;
my $count = q{SELECT count(*), count(value) FROM inval_peek(VARIADIC
	(SELECT array_agg('c:' || n) FROM generate_series(1, 30) n))};
is(($there->query($count))[1], "30|20\n", 'of a cluster');

my $slot = Inval::Cluster::slot('c:1');
my $source = $cluster->owner('c:1');
my ($destination) = grep { $_ != $source } $cluster->nodes;
$destination->cmd('CLUSTER', 'SETSLOT', $slot, 'IMPORTING', $cluster->id($source));
$source->cmd('CLUSTER', 'SETSLOT', $slot, 'MIGRATING', $cluster->id($destination));
$source->cmd('MIGRATE', '127.0.0.1', $destination->port, 'c:1', 0, 5000);
is(($there->query($count))[1], "30|20\n", 'where a slot is moving');

# What nobody wants to know is kept as well.
my $gate = Inval::Peer->new($destination);
my $chatter = 'x' x (1024 * 1024);
$gate->mode("only asking answer +$chatter" . '\r\n');
$cluster->announce($destination, $gate->{port});
my $told = Inval::Session->new($node, 'postgres', 'told much');
$told->query("SET inval.redis_url = '" . $cluster->url . "'");
($state, $text) = $told->query(q{SELECT count(*) FROM inval_peek(VARIADIC
	(SELECT array_agg('{c:1}' || n) FROM generate_series(1, 40) n))});
is($state, '54000', 'too much of what was not asked for') or diag(substr $text, 0, 500);
$gate->mode('pass');
foreach my $member ($destination, $source, $cluster->nodes)
{
	$member->cmd('CLUSTER', 'SETSLOT', $slot, 'NODE', $cluster->id($destination));
}
is(($there->query($count))[1], "30|20\n", 'where it has moved');

# Sentinels: the worker knows whom they name.
my $set = Inval::Sentinels->new;
$set->master->cmd('SET', 's', 'z');
set_redis_url($node, $set->url);
ok(poll_until(sub { (ask($session, 's'))[1] eq "s|z\n" }, 'the master'), 'of a master that sentinels name');

# TLS
my $certificates = Inval::Certificates->new;
SKIP:
{
	skip 'no openssl to make certificates with', 1 unless $certificates;
	my $dir = $certificates->file('.');
	my $port = PostgreSQL::Test::Cluster::get_free_port();

	$certificates->certify('right', 'DNS:localhost,IP:127.0.0.1', 10);
	my $safe = eval {
		Inval::Redis->new(config => {
				'tls-port' => $port,
				'tls-cert-file' => "$dir/right.pem",
				'tls-key-file' => "$dir/right.key",
				'tls-ca-cert-file' => "$dir/ca.pem",
				'tls-auth-clients' => 'no' });
	};
	skip 'this Redis has no TLS', 1 unless $safe;
	$safe->cmd('SET', 't', 'w' x 100_000);
	($state, $text) =
	  $session->query("SET inval.redis_url = 'rediss://127.0.0.1:$port?cacert=$dir/ca.pem'");
	skip 'inval has no TLS', 1 if $state ne '00000';
	is((ask($session, 't'))[1], 't|' . 'w' x 100_000 . "\n", 'over TLS');
}

no_crash($node, 'no server process crashed');
done_testing();

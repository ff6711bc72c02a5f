
# The worker brings the functions for readers into Redis, and only where they are
# missing or older.

use strict;
use warnings;

use Inval::Cluster;
use Inval::Peer;
use Inval::Test;
use Test::More;

my $redis = Inval::Redis->new;
my $node = new_node('library', url => $redis->unix_url,
	conf => "inval.sweep_interval = '50ms'\ninval.retry_max = '100ms'\n");

sub has_library
{
	my ($server) = @_;

	return sub { $server->cmd('FCALL', 'inval_version', 0) =~ /^\d+$/ };
}

# What the worker has found to be missing.
sub missing
{
	my ($target) = @_;

	return $node->safe_psql('postgres', sprintf q{
		SELECT last_error FROM inval_target_status WHERE target = '%s'}, $target || 'default');
}

# A library of that version, whose inval_get tells who made it.
sub other_library
{
	my ($version) = @_;

	return "#!lua name=inval\n"
	  . ($version ? "redis.register_function{function_name = 'inval_version', "
		  . "callback = function() return $version end, flags = {'no-writes'}}\n" : '')
	  . "redis.register_function('inval_get', function() return 'the other' end)\n";
}

sub add_target
{
	my ($name, $url) = @_;

	return $node->safe_psql('postgres', "SELECT inval_add_target('$name', '$url')");
}

ok(poll_until(has_library($redis), 'the library'), 'the worker loads the library');
my $version = $redis->cmd('FCALL', 'inval_version', 0);
is(missing(), '', 'nothing is missing');

# A Redis that comes back empty.
$redis->restart;
ok(poll_until(has_library($redis), 'the library'), 'and again into a server that lost it');
is($redis->calls('function|load'), 1, 'once');

# Other versions: newer ones stay, older ones and those without a version go.
foreach my $case ([ $version + 1, 'newer', 1 ], [ $version, 'same', 1 ], [ $version - 1, 'older', 0 ],
	[ undef, 'nameless', 0 ])
{
	my ($number, $what, $stays) = @$case;
	my $server = Inval::Redis->new;

	$server->cmd('FUNCTION', 'LOAD', other_library($number));
	add_target($what, $server->unix_url);
	ok(poll_until(sub { $server->calls('fcall') > 0 && has_library($server)->() }, 'a look'),
		"the worker looks at a library that is $what");
	poll_until(sub { $server->cmd('FCALL', 'inval_get', 1, 'k') ne 'the other' }, 'the library')
	  unless $stays;
	is(ref $server->cmd('FCALL', 'inval_get', 1, 'k') ? 'ours' : 'theirs', $stays ? 'theirs' : 'ours',
		$stays ? 'and leaves it' : 'and replaces it');
	is(missing($what), '', 'and misses nothing');
}

# Without the right to: everything else works, and it is shown.
my $strict = Inval::Redis->new(acl => [ 'app on >secret ~* +unlink +ping' ]);
add_target('forbidden', $strict->tcp_url(0, 'app:secret'));
ok(poll_until(
		sub { times_logged($node, qr/"forbidden" does not have the functions for readers: NOPERM/) },
		'the log'), 'that it may not is logged');
is(missing('forbidden'), '', 'but is no fault while no rule needs them');
my ($result, $out, $err) = $node->psql('postgres', q{
	CREATE TABLE fenced (id int);
	SELECT inval_track('fenced', 'id', fence => true, targets => '{forbidden}')});
like($err, qr/WARNING:  readers of target "forbidden" can have no leases\nDETAIL: .*NOPERM/,
	'who makes a rule that does is told');
like(missing('forbidden'), qr/no functions for readers: NOPERM/, 'then it is shown');
is(times_logged($node, qr/"forbidden" does not have the functions/), 1, 'the log says it once');
$strict->cmd('SET', 'touched', 'v');
$node->safe_psql('postgres', q{SELECT inval_touch('touched', target => 'forbidden')});
is($strict->cmd('EXISTS', 'touched'), 0, 'keys go at commit all the same');

# A server from before there were functions.
my $old = Inval::Redis->new(config => { 'rename-command' => 'FCALL ""' });
add_target('old', $old->unix_url);
ok(poll_until(
		sub { times_logged($node, qr/"old" does not have the functions .*: the server has no functions/) },
		'the log'), 'a server without functions is told of');
ok(wait_target_state($node, 'postgres', 'up', 'old'), 'and is up');

# What stands between us and Redis may know of no functions, and hang up on who asks, or
# say nothing: that is no outage.
my $peer = Inval::Peer->new($redis);
foreach my $case ([ 'reset', 'hangs up' ], [ 'flood x', 'floods' ],
	[ 'answer *1\r\n:1\r\n', 'answers a list' ], [ 'silent', 'is silent' ])
{
	my ($mode, $what) = @$case;
	my $name = $mode =~ s/ .*//r;

	$peer->mode("only fcall $mode");
	add_target($name, $peer->url);
	ok(poll_until(
			sub { times_logged($node, qr/"$name" does not have the functions for readers: ./) },
			'the log'), "who $what when asked for functions is told of");
	foreach my $i (1 .. 3)
	{
		$redis->cmd('SET', "$name:$i", 'v');
		$node->safe_psql('postgres',
			"SELECT inval_touch('$name:$i', delivery => 'background', target => '$name')");
		ok(wait_keys_gone($redis, "$name:$i"), 'and delivered to');
	}
	is(times_logged($node, qr/"$name" is down/), 0, 'and not called down');
	$node->safe_psql('postgres', "SELECT inval_drop_target('$name')");
}

# Somebody else's task.
$node->append_conf('postgresql.conf', "inval.load_library = off\n");
reload($node);
my $own = Inval::Redis->new;
add_target('own', $own->unix_url);
ok(poll_query($node, 'postgres', q{
		SELECT worker_pid IS NOT NULL FROM inval_target_status WHERE target = 'own'}), 'another worker');
$own->cmd('SET', 'touched', 'v');
$node->safe_psql('postgres', q{SELECT inval_touch('touched', delivery => 'background', target => 'own')});
ok(poll_until(sub { !$own->cmd('EXISTS', 'touched') }, 'the delivery'), 'delivers');
is($own->calls('fcall') + $own->calls('function|load'), 0, 'and loads nothing where it is not to');
$node->append_conf('postgresql.conf', "inval.load_library = on\n");
reload($node);
ok(poll_until(has_library($own), 'the library'), 'until it is to');

# A cluster: each node that has slots; one that comes back empty, too.
my $cluster = Inval::Cluster->new;
my @primaries = grep { $cluster->is_primary($_) } $cluster->nodes;
add_target('cluster', $cluster->url);
ok(poll_until(has_library($_), 'the library'), 'a node of a cluster has the library') foreach $cluster->nodes;
is($_->calls('function|load'), 1, 'which was loaded into each primary once') foreach @primaries;
is(missing('cluster'), '', 'nothing is missing');

no_crash($node, "no process crashed");
done_testing();

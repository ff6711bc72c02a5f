# The worker empties a table early when it has grown.  What is still owed in it
# then moves to another one, and must be found there at once, not only by the next
# regular look at everything, which is set to be a minute away here.

use strict;
use warnings;

use Inval::Test;
use PostgreSQL::Test::Utils;
use Test::More;

my $redis = Inval::Redis->new;
my $node = new_node('sweep', url => $redis->unix_url, conf => "inval.sweep_interval = '60s'\n");
# Keys of this length fill the outbox quickly.
my $key_length = 4000;
my $rounds = 20;

$node->safe_psql('postgres', qq{
	CREATE TABLE in_background (id int PRIMARY KEY, name text, n int DEFAULT 0)
		WITH (fillfactor = 50);
	INSERT INTO in_background
		SELECT i, (SELECT string_agg(md5(i || ',' || j), '')
			FROM generate_series(1, $key_length / 32) j)
		FROM generate_series(1, 1000) i;
	SELECT inval_track('in_background', key => 'b:{id}:{name}', delivery => 'background')});
append_to_file($node->basedir . '/load.sql', q{
\set id :client_id * 250 + random(1, 250)
UPDATE in_background SET n = n + 1 WHERE id = :id;
});

# The longest that a round's keys took, once it had ended.
my $most = 0;
foreach my $round (1 .. $rounds)
{
	$node->command_ok(
		[ 'pgbench', '-n', '-c', 4, '-t', 100, '-f', $node->basedir . '/load.sql',
			$node->connstr('postgres') ],
		"round $round");
	my $start = time;
	last unless ok(wait_queue_empty($node, 'postgres'), "round $round: the queue drains");
	$most = time - $start if time - $start > $most;
	last if $most >= 20;
}
cmp_ok($most, '<', 20, 'long before the next regular look');
no_crash($node, 'no server process crashed');

done_testing();

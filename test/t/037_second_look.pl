# What the worker, or inval_drain, looks up once more after the commit: it must not
# be kept from its work by a rule's query, whatever that does.

use strict;
use warnings;

use Inval::Test;
use PostgreSQL::Test::Utils;
use Test::More;

my $redis = Inval::Redis->new;
my $node = new_node('looks', url => $redis->unix_url);
my $alone = new_node('alone', url => $redis->unix_url(1), preload => 0);

# Functions that behave in sessions, and not when somebody looks again: those of the
# worker's, and those of a session that says so.
my $schema = q{
	CREATE TABLE link (article int, tag int);
	CREATE TABLE tag (id int PRIMARY KEY, n int);
	CREATE TABLE says (how text);
	INSERT INTO link VALUES (1, 1), (2, 2);
	INSERT INTO tag VALUES (1, 0), (2, 0);
	CREATE FUNCTION look(int) RETURNS int LANGUAGE plpgsql AS $$
	BEGIN
		IF (SELECT backend_type FROM pg_stat_activity WHERE pid = pg_backend_pid()) = 'client backend'
			AND current_setting('x.again', true) IS DISTINCT FROM 'on' THEN
			RETURN $1;
		ELSIF (SELECT how FROM public.says) = 'hang' THEN
			LOOP
				BEGIN
					PERFORM pg_sleep(60);
				EXCEPTION WHEN query_canceled THEN
				END;
			END LOOP;
		ELSIF (SELECT how FROM public.says) = 'sleep' THEN
			PERFORM pg_sleep(60);
		ELSIF (SELECT how FROM public.says) = 'fail' THEN
			RETURN $1 / (SELECT 0 FROM public.says);
		END IF;
		RETURN $1 + 10;
	END $$;
	SELECT inval_track('tag', key => 'article:{article}',
		via => 'SELECT look(article) AS article FROM link WHERE tag = {id}')};
$_->safe_psql('postgres', $schema) foreach $node, $alone;

my $looks = join(' UNION ALL ', map { "SELECT lane FROM inval_outbox_$_" } 0 .. 5);
$looks = "SELECT count(*) FROM ($looks) o WHERE lane = 'l'";
my $skipped = "SELECT sum(skipped) FROM inval_stats WHERE rule > 0";

sub says
{
	my ($server, $how) = @_;

	$server->safe_psql('postgres', qq{
		SELECT inval_stats_reset();
		TRUNCATE says; INSERT INTO says VALUES ('$how')});
	return;
}

# An error of the query: the other look-ups of the transaction go on.
$redis->pipeline(map { [ 'SET', "article:$_", 1 ] } 11, 12);
says($node, 'fail');
$node->safe_psql('postgres', 'UPDATE tag SET n = n + 1 WHERE id = 1');
ok(poll_query($node, 'postgres', $skipped, 1), 'a query that fails is counted');
is($node->safe_psql('postgres', $looks), 0, 'and its row is gone');

# One that catches the cancellation costs the worker its process, once.
says($node, 'hang');
my $worker = $node->safe_psql('postgres', 'SELECT worker_pid FROM inval_target_status');
$node->safe_psql('postgres', 'UPDATE tag SET n = n + 1 WHERE id = 1');
ok(poll_query($node, 'postgres', $skipped, 1), 'a query that does not end is given up, and counted');
isnt($node->safe_psql('postgres', 'SELECT worker_pid FROM inval_target_status'), $worker,
	'by another worker');
says($node, 'nothing');
$node->safe_psql('postgres', 'UPDATE tag SET n = n + 1 WHERE id = 2');
ok(wait_keys_gone($redis, 'article:12'), 'which works');

# A session that drains, where there is no worker
$redis->select_db(1)->pipeline(map { [ 'SET', "article:$_", 1 ] } 1, 2, 11, 12);
$alone->safe_psql('postgres', 'UPDATE tag SET n = n + 1');
is($alone->safe_psql('postgres', "SET x.again = 'on'; SELECT inval_drain()"), 2,
	'inval_drain counts what it finds itself');
is(join(' ', $redis->existing(map { "article:$_" } 1, 2, 11, 12)), '', 'which is gone');

says($alone, 'sleep');
$alone->safe_psql('postgres', 'UPDATE tag SET n = n + 1');
my ($status, $out, $err) = $alone->psql('postgres', "SET x.again = 'on'; SELECT inval_drain('100 ms')");
is($status, 0, 'a query that takes longer is no error');
like($err, qr/the queue is not empty yet/, 'but is said');
isnt($alone->safe_psql('postgres', $looks), 0, 'and stays');
($status, $out, $err) = $alone->psql('postgres',
	"SET x.again = 'on'; SET statement_timeout = '2s'; SELECT pg_sleep(1), inval_drain('50 ms') FROM generate_series(1, 10)");
like($err, qr/due to statement timeout/, "the session's own timeout is kept");
says($alone, 'nothing');
ok(poll_query($alone, 'postgres', "SET x.again = 'on'; SELECT count(inval_drain()); $looks", "1\n0"),
	'and is made later');

# A lock of somebody else
$alone->safe_psql('postgres', 'UPDATE tag SET n = n + 1');
my $session = $alone->background_psql('postgres');
$session->query_safe('BEGIN; LOCK TABLE link');
($status, $out, $err) = $alone->psql('postgres', 'SELECT inval_drain()');
is($status, 0, 'a lock is not waited for');
like($err, qr/the queue is not empty yet/, 'but said');
$session->query_safe('COMMIT');
$session->quit;
ok(poll_query($alone, 'postgres', "SELECT count(inval_drain()); $looks", "1\n0"),
	'and looked up when it is given back');

done_testing();

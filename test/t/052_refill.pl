# Write-through: what a rule's query gives is put back at its keys after they were
# invalidated, under a lease, so that it is never older than what it replaces.

use strict;
use warnings;

use Inval::Cluster;
use Inval::Test;
use Test::More;

my $redis = Inval::Redis->new;
my $node = new_node('refill', url => $redis->unix_url,
	conf => "inval.commit_timeout = '2s'\ninval.retry_max = '100ms'\ninval.sweep_interval = '50ms'\n" .
		"inval.refill_timeout = '10s'\n");

sub sql
{
	my ($statement) = @_;

	return $node->safe_psql('postgres', $statement);
}

sub value
{
	my ($key, $server) = @_;

	return ($server // $redis)->cmd('GET', $key) // '';
}

sub has_value
{
	my ($key, $value, $what, $server) = @_;

	ok(poll_until(sub { value($key, $server) eq $value }, $what), $what);
}

sub counted
{
	my ($column) = @_;

	return sql("SELECT coalesce(sum($column), 0) FROM inval_stats");
}

# Waits until nothing is to be put back any more.
sub wait_refills
{
	return poll_query($node, 'postgres',
		join(' + ', map { "(SELECT count(*) FROM inval_outbox_$_ WHERE lane IN ('f', 'F'))" } 0 .. 8)
		  =~ s/^/SELECT /r, '0');
}

sub library_of
{
	my ($server) = @_;

	return poll_until(sub { $server->cmd('FCALL', 'inval_version', 0) }, 'the library');
}

ok(library_of($redis), 'the worker has loaded the functions');
sql(q{
	CREATE TABLE article (id int PRIMARY KEY, slug text, body text, picture bytea);
	CREATE TABLE hold ();
	CREATE FUNCTION let_go() RETURNS boolean LANGUAGE plpgsql VOLATILE AS $$
		BEGIN
			WHILE EXISTS (SELECT FROM public.hold) LOOP
				PERFORM pg_sleep(0.01);
			END LOOP;
			RETURN true;
		END $$;
	SELECT inval_track('article', 'id', refill => 'SELECT body FROM article WHERE id = {id} AND let_go()',
		ttl => '1 hour')});

# From the row
sql(q{INSERT INTO article VALUES (1, 'one', 'first')});
has_value('article:1', 'first', 'a new row has its value');
cmp_ok($redis->cmd('PTTL', 'article:1'), '>', 3_500_000, 'which lives for the ttl');
is($redis->cmd('EXISTS', 'article:1:inval-lease{article:1}'), 0, 'and leaves no lease');
sql(q{UPDATE article SET body = 'second'});
has_value('article:1', 'second', 'a changed one has the new one');
sql(q{UPDATE article SET id = 2});
has_value('article:2', 'second', 'a key that is new has one');
ok(wait_refills(), 'all is done');
is($redis->cmd('EXISTS', 'article:1'), 0, 'and one that was left has none');
sql(q{BEGIN; UPDATE article SET body = 'never'; ROLLBACK});
sql(q{BEGIN; UPDATE article SET body = 'a'; SAVEPOINT s; UPDATE article SET body = 'b'; ROLLBACK TO s; COMMIT});
has_value('article:2', 'a', 'what is rolled back is put nowhere');
sql('UPDATE article SET body = NULL');
ok(wait_refills(), 'all is done');
is($redis->cmd('EXISTS', 'article:2'), 0, 'a NULL leaves the key absent');
is(counted('refill_failed'), 0, 'and is no failure');
sql('DELETE FROM article');
is(counted('refilled'), 4, 'what was put back is counted');

# A commit between the lease and the value
sql(q{INSERT INTO article VALUES (1, 'one', 'zero')});
has_value('article:1', 'zero', 'a value');
sql('INSERT INTO hold DEFAULT VALUES');
sql(q{UPDATE article SET body = 'old'});
ok(poll_until(sub { $redis->cmd('EXISTS', 'article:1:inval-lease{article:1}') }, 'the lease'),
	'the worker has the lease');
ok(poll_query($node, 'postgres', q{SELECT count(*) FROM pg_stat_activity
	WHERE backend_type LIKE 'inval%' AND wait_event = 'PgSleep'}, '1'), 'and is reading');
sql(q{UPDATE article SET body = 'new'});
my $before = counted('refilled');
sql('DELETE FROM hold');
has_value('article:1', 'new', 'of two values the newer one stays');
ok(wait_refills(), 'all is done');
is(value('article:1'), 'new', 'for good');
is(counted('refilled') - $before, 1, 'the older one was refused');

# The worker is killed between the lease and the value
sql('INSERT INTO hold DEFAULT VALUES');
sql(q{UPDATE article SET body = 'survives'});
ok(poll_query($node, 'postgres', q{SELECT count(*) FROM pg_stat_activity
	WHERE backend_type LIKE 'inval%' AND wait_event = 'PgSleep'}, '1'), 'the worker is reading');
my $pid = worker_pid($node, 'postgres');
sql("SELECT pg_terminate_backend($pid)");
sql('DELETE FROM hold');
has_value('article:1', 'survives', 'the next one puts it back');

# Somebody else was faster, or is.
sql('SELECT inval_pause()');
sql(q{UPDATE article SET body = 'paused'});
sql('SELECT inval_resume()');
has_value('article:1', 'paused', 'after a pause');

# Redis is away in the midst
sql('INSERT INTO hold DEFAULT VALUES');
sql(q{UPDATE article SET body = 'after the outage'});
ok(poll_query($node, 'postgres', q{SELECT count(*) FROM pg_stat_activity
	WHERE backend_type LIKE 'inval%' AND wait_event = 'PgSleep'}, '1'), 'the worker is reading');
$redis->stop;
sql('DELETE FROM hold');
$redis->start;
ok(library_of($redis), 'Redis is back');
has_value('article:1', 'after the outage', 'what could not be stored is put back later');
$redis->stop;
sql(q{SET inval.commit_timeout = '50ms'; UPDATE article SET body = 'during it'});
$redis->start;
has_value('article:1', 'during it', 'and so is what was changed meanwhile');

# Values: bytes, a large one, none
sql(q{
	SELECT inval_untrack('article');
	SELECT inval_track('article', key => 'picture:{id}', ttl => '1 hour',
		refill => 'SELECT picture FROM article WHERE id = {id}');
	UPDATE article SET picture = '\x000d0a00ff'});
has_value('picture:1', "\0\r\n\0\xff", 'bytes are bytes');
sql(q{UPDATE article SET picture = convert_to(repeat('x', 3000000), 'UTF8')});
ok(poll_until(sub { ($redis->cmd('STRLEN', 'picture:1') // 0) == 3_000_000 }, 'a large one'), 'a large one, too');
sql(q{UPDATE article SET picture = convert_to(repeat('x', 17000000), 'UTF8')});
ok(poll_query($node, 'postgres', 'SELECT sum(refill_failed) FROM inval_stats', '1'), 'too large a one is counted');
is($redis->cmd('EXISTS', 'picture:1'), 0, 'and its key stays absent');
like(slurp_log(), qr/could not put a value back: value is too large/, 'the log says why');
sql(q{UPDATE article SET picture = ''});
ok(poll_until(sub { $redis->cmd('EXISTS', 'picture:1') }, 'an empty one'), 'an empty value is one');

sub slurp_log
{
	return PostgreSQL::Test::Utils::slurp_file($node->logfile);
}

# Along a path, and by a query, whose columns come first
sql(q{
	SELECT inval_untrack('article');
	CREATE TABLE team (id int PRIMARY KEY, name text);
	CREATE TABLE project (id int PRIMARY KEY, team_id int REFERENCES team);
	CREATE TABLE task (id int PRIMARY KEY, project_id int REFERENCES project, n int DEFAULT 0);
	CREATE TABLE tag (id int PRIMARY KEY, name text);
	CREATE TABLE article_tag (article_id int, tag_id int);
	INSERT INTO team VALUES (5, 'red'), (6, 'blue');
	INSERT INTO project VALUES (1, 5);
	INSERT INTO tag VALUES (9, 'tag');
	INSERT INTO article_tag VALUES (1, 9), (2, 9);
	INSERT INTO article VALUES (2, 'two', 'of two');
	SELECT inval_track('task', key => 'team:{project_id.team_id}', ttl => '1 hour',
		refill => 'SELECT name || count(*) FROM team t JOIN project p ON p.team_id = t.id
			JOIN task k ON k.project_id = p.id
			WHERE t.id = (SELECT team_id FROM project WHERE id = {project_id}) GROUP BY name');
	SELECT inval_track('tag', key => 'tagged:{article_id}', ttl => '1 hour',
		via => 'SELECT article_id FROM article_tag WHERE tag_id = {id}',
		refill => 'SELECT id || body FROM article WHERE id = {article_id}');
	INSERT INTO task VALUES (1, 1), (2, 1)});
has_value('team:5', 'red2', 'along a path');
sql('DELETE FROM task WHERE id = 2');
has_value('team:5', 'red1', 'when a row goes, too');
sql('UPDATE tag SET name = name');
has_value('tagged:1', '1during it', 'each key that a query finds');
has_value('tagged:2', '2of two', 'has its own value');

# A row that leads elsewhere when the worker comes
sql('SELECT inval_pause()');
sql('UPDATE task SET n = n + 1');
sql('UPDATE project SET team_id = 6');
sql('SELECT inval_resume()');
ok(wait_refills(), 'all is done');
is($redis->cmd('EXISTS', 'team:5'), 0, 'no value of another key');

# Columns that the key does not tell hold only for the row as it was.
sql(q{
	SELECT inval_track('article', key => 'slug:{slug}', ttl => '1 hour',
		refill => 'SELECT body FROM article WHERE id = {id}')});
sql(q{UPDATE article SET body = 'by id' WHERE id = 1});
has_value('slug:one', 'by id', 'by a column that the key does not tell');
sql('SELECT inval_pause()');
sql(q{UPDATE article SET body = 'changed' WHERE id = 1});
sql(q{UPDATE article SET slug = 'other' WHERE id = 1});
sql('SELECT inval_resume()');
has_value('slug:other', 'changed', 'the key that the row feeds now');
ok(wait_refills(), 'all is done');
is($redis->cmd('EXISTS', 'slug:one'), 0, 'not the one that it fed');
sql(q{UPDATE article SET slug = 'x', body = 'a' WHERE id = 1; UPDATE article SET body = 'b' WHERE id = 1;
	UPDATE article SET body = 'a' WHERE id = 1});
has_value('slug:x', 'a', 'the last of several changes');

# Another row in its place
sql(q{
	CREATE TABLE page (id int PRIMARY KEY, slug text, body text, head text);
	SELECT inval_track('page', key => 'page:{slug}', ttl => '1 hour',
		refill => 'SELECT body FROM page WHERE id = {id}')});
sql('SELECT inval_pause()');
sql(q{INSERT INTO page VALUES (1, 'a', 'one'), (2, 'b', 'two')});
sql(q{UPDATE page SET slug = 'c' WHERE id = 1});
sql('VACUUM FULL page');
sql('SELECT inval_resume()');
ok(wait_refills(), 'the table was rewritten meanwhile');
is($redis->cmd('EXISTS', 'page:a'), 0, 'and the key that the row feeds no more is absent');
sql(q{BEGIN; TRUNCATE page; INSERT INTO page VALUES (1, 'd', 'x'); TRUNCATE page;
	INSERT INTO page VALUES (1, 'e', 'y'); COMMIT});
has_value('page:e', 'y', 'of two rows that had the same place the last one has its value');
ok(wait_refills(), 'all is done');
is($redis->cmd('EXISTS', 'page:d'), 0, 'and the first one none');

# Another query, which would take what was noted for another column
sql(q{
	SELECT inval_track('page', key => 'page:{slug}', ttl => '1 hour', refill => 'SELECT {body}::text');
	SELECT inval_pause()});
sql(q{UPDATE page SET body = 'body', head = 'head'});
sql(q{SELECT inval_track('page', key => 'page:{slug}', ttl => '1 hour', refill => 'SELECT {head}::text')});
sql('SELECT inval_resume()');
ok(wait_refills(), 'the query was replaced meanwhile');
is($redis->cmd('EXISTS', 'page:e'), 0, 'and nothing is put back by what the old one was asked by');
sql(q{UPDATE page SET head = 'new'});
has_value('page:e', 'new', 'the new one is asked from then on');
sql(q{SELECT inval_untrack('page')});
sql('SELECT inval_untrack(t) FROM unnest(ARRAY[\'article\', \'task\', \'tag\']::regclass[]) t');

# Delivered by the worker, in one transaction with what the commit delivers
sql(q{
	CREATE TABLE late (id int PRIMARY KEY, body text);
	SELECT inval_track('article', 'id');
	SELECT inval_track('late', 'id', delivery => 'background', refill => 'SELECT body FROM late WHERE id = {id}',
		ttl => '1 hour')});
$redis->cmd('SET', 'late:1', 'old');
sql(q{BEGIN; INSERT INTO late VALUES (1, 'worker'); UPDATE article SET body = 'x'; COMMIT});
has_value('late:1', 'worker', 'in the background');
foreach my $n (1 .. 3)
{
	sql(qq{BEGIN; UPDATE late SET body = 'w$n'; UPDATE article SET body = 'x'; COMMIT});
	has_value('late:1', "w$n", 'and again');
}
sql(q{INSERT INTO late SELECT i, 'many ' || i FROM generate_series(2, 3000) i});
ok(wait_refills(), 'many');
is(scalar(grep { value("late:$_") ne "many $_" } 2 .. 3000), 0, 'each has its value');
sql(q{BEGIN; UPDATE late SET body = 'prepared' WHERE id = 1; PREPARE TRANSACTION 'p'});
sql(q{COMMIT PREPARED 'p'});
has_value('late:1', 'prepared', 'prepared');

# Queries that misbehave.  None of them is owed for long, or keeps keys from going.
my %bad = (
	'sleeps' => [ 'SELECT pg_sleep(60)::text FROM late WHERE id = {id}', qr/canceling statement/ ],
	'fails' => [ 'SELECT (1 / (id - id))::text FROM late WHERE id = {id}', qr/division by zero/ ],
	'gives many' => [ 'SELECT body FROM late WHERE id <> {id}', qr/more than one row/ ],
	'writes' => [ 'SELECT writes() FROM late WHERE id = {id}', qr/read-only transaction/ ],
);
sql(q{CREATE FUNCTION writes() RETURNS text LANGUAGE plpgsql VOLATILE AS
	$$ BEGIN INSERT INTO public.late VALUES (-1); RETURN 'x'; END $$});
$node->append_conf('postgresql.conf', "inval.refill_timeout = '100ms'\n");
reload($node);
foreach my $what (sort keys %bad)
{
	my $failed = counted('refill_failed');

	sql(sprintf q{SELECT inval_track('late', 'id', refill => '%s', ttl => '1 hour')}, $bad{$what}[0]);
	$redis->cmd('SET', 'late:1', 'old');
	sql(q{UPDATE late SET body = 'x' WHERE id = 1});
	ok(poll_query($node, 'postgres', 'SELECT sum(refill_failed) FROM inval_stats', $failed + 1),
		"one that $what is counted");
	is($redis->cmd('EXISTS', 'late:1'), 0, 'and its key is absent');
	is($redis->cmd('EXISTS', 'late:1:inval-lease{late:1}'), 0, 'and free for readers');
	ok(wait_refills(), 'and owed no more');
	like(slurp_log(), $bad{$what}[1], 'the log says why');
}
is(sql('SELECT count(*) FROM late WHERE id = -1'), 0, 'nothing was written');

# Values that take their time when the query has ended, in which nobody asks whether it is
# canceled: that must not be meant for what the worker does next.
my $worker = worker_pid($node, 'postgres');
$node->append_conf('postgresql.conf', "inval.refill_timeout = '10ms'\n");
reload($node);
sql(q{SELECT inval_track('late', 'id', refill => 'SELECT body FROM late WHERE id = {id}', ttl => '1 hour')});
sql(q{UPDATE late SET body = repeat('x', 16000000) WHERE id = 1});
foreach (1 .. 5)
{
	sql('UPDATE late SET id = id WHERE id = 1');
	wait_refills();
}
is(worker_pid($node, 'postgres'), $worker, 'values that are late cost no process');
$node->append_conf('postgresql.conf', "inval.refill_timeout = '100ms'\n");
reload($node);

# One that catches that it is canceled costs a process, once.
sql(q{
	CREATE FUNCTION stubborn() RETURNS text LANGUAGE plpgsql VOLATILE AS $$
	BEGIN
		LOOP
			BEGIN
				PERFORM pg_sleep(60);
			EXCEPTION WHEN query_canceled THEN
				NULL;
			END;
		END LOOP;
	END $$;
	SELECT inval_track('late', 'id', refill => 'SELECT stubborn() FROM late WHERE id = {id}', ttl => '1 hour')});
my $failed = counted('refill_failed');
sql(q{UPDATE late SET body = 'x' WHERE id = 1});
ok(poll_query($node, 'postgres', 'SELECT sum(refill_failed) FROM inval_stats', $failed + 1), 'a stubborn one is given up');
like(slurp_log(), qr/does not let itself be canceled/, 'which is said');

# Nor does it cost what a paused rule owes by the same transaction.
my $held = sql(q{SELECT inval_track('late', key => 'held:{id}',
	refill => 'SELECT body FROM late WHERE id = {id}', ttl => '1 hour')});
sql("SELECT inval_pause($held)");
$failed = counted('refill_failed');
sql(q{UPDATE late SET body = 'held back' WHERE id = 1});
ok(poll_query($node, 'postgres', 'SELECT sum(refill_failed) FROM inval_stats', $failed + 1), 'given up again');
sql("SELECT inval_resume($held)");
has_value('held:1', 'held back', 'the value of a rule that was paused meanwhile is put back');
sql("SELECT inval_untrack_rule($held)");

# Rights that were lost: keys are removed, and none has a value.
sql(q{
	CREATE ROLE keeper;
	GRANT CREATE ON SCHEMA public TO keeper;
	GRANT USAGE ON FOREIGN SERVER inval_target_default TO keeper;
	CREATE TABLE secret (id int, body text);
	INSERT INTO secret VALUES (1, 'secret');
	CREATE TABLE kept (id int);
	ALTER TABLE kept OWNER TO keeper;
	GRANT SELECT ON secret TO keeper;
	SELECT inval_track('kept', 'id', refill => 'SELECT body FROM secret WHERE id = {id}', ttl => '1 hour');
	INSERT INTO kept VALUES (1)});
has_value('kept:1', 'secret', 'what the owner may read');
sql('REVOKE SELECT ON secret FROM keeper');
$failed = counted('refill_failed');
my (undef, undef, $told) = $node->psql('postgres', 'UPDATE kept SET id = id');
like($told, qr/puts no values back at its keys: permission denied for table secret/, 'who writes is told');
ok(wait_queue_empty($node, 'postgres'), 'the key is removed');
ok(wait_refills(), 'and nothing owed');
is($redis->cmd('EXISTS', 'kept:1'), 0, 'what he may not read any more is not put back');
is(counted('refill_failed'), $failed + 1, 'which is counted');

# Rules and tables that go meanwhile
sql(q{SELECT inval_track('late', 'id', refill => 'SELECT body FROM late WHERE id = {id}', ttl => '1 hour')});
foreach my $going (q{SELECT inval_untrack('late')}, 'ALTER TABLE late ALTER body TYPE varchar',
	'DROP TABLE late')
{
	sql(q{SELECT inval_track('late', 'id', refill => 'SELECT body FROM late WHERE id = {id}', ttl => '1 hour')});
	sql('SELECT inval_pause()');
	sql(q{UPDATE late SET body = 'gone' WHERE id = 1});
	sql($going);
	sql('SELECT inval_resume()');
	ok(wait_refills(), "after $going nothing is owed");
}
is($redis->cmd('EXISTS', 'late:1'), 0, 'and nothing there');

# A value that is not put back is no key that stays
sql('CREATE DATABASE leaving');
$node->safe_psql('leaving', q{
	CREATE EXTENSION inval;
	SELECT inval_pause();
	CREATE TABLE article (id int PRIMARY KEY, body text);
	SELECT inval_track('article', 'id', refill => 'SELECT body FROM article WHERE id = {id}', ttl => '1 hour')});
$node->safe_psql('leaving', q{INSERT INTO article VALUES (1, 'x')});
(undef, undef, $told) = $node->psql('leaving', 'DROP EXTENSION inval CASCADE');
like($told, qr/drops 1 queued invalidation$/m, 'only invalidations are lost with the extension');

# A cluster
my $cluster = Inval::Cluster->new(replicas => 0);
sql(sprintf q{SELECT inval_add_target('cluster', '%s')}, $cluster->url);
ok(library_of($_), 'a node of a cluster has the functions') foreach $cluster->nodes;
sql(q{
	CREATE TABLE spread (id int PRIMARY KEY, body text);
	SELECT inval_track('spread', 'id', refill => 'SELECT body FROM spread WHERE id = {id}', ttl => '1 hour',
		targets => '{cluster}');
	INSERT INTO spread SELECT i, 'v' || i FROM generate_series(1, 50) i});
ok(wait_refills(), 'a cluster');
is(scalar(grep { value("spread:$_", $cluster->owner("spread:$_")) ne "v$_" } 1 .. 50), 0, 'has each value where it belongs');
is(queue_length($node, 'postgres'), 0, 'the queue is empty');
no_crash($node);
done_testing();

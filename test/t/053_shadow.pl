# Rules in state "shadow" are tried out in production: what they would send is counted
# and listed, and nothing is sent.

use strict;
use warnings;

use Inval::Test;
use Test::More;

my $redis = Inval::Redis->new;
my $node = new_node('shadow', url => $redis->unix_url, conf => "inval.shadow_keys = 20\n");

sub sql
{
	my ($statement, $database) = @_;

	return $node->safe_psql($database // 'postgres', $statement);
}

sub listed
{
	return sql(q{SELECT string_agg(key, ',' ORDER BY at, key) FROM inval_shadow});
}

sql(q{
	CREATE TABLE article (id int PRIMARY KEY, n int DEFAULT 0);
	CREATE TABLE hash (id int, field text);
	SELECT inval_track('article', 'id', state => 'shadow', fence => true);
	SELECT inval_track('article', key => 'sent:{id}')});
$redis->cmd('SET', 'article:1', 'kept');
is(sql('SELECT count(*) FROM inval_shadow'), 0, 'nothing yet');

sql('INSERT INTO article VALUES (1)');
is(listed(), 'article:1', 'a key is listed');
is(sql(q{SELECT s.rule = r.id, s.target, s.action, s.field, s.at <= now(), s.xid = a.xmin::text::xid8
	FROM inval_shadow s, inval_rule r, article a WHERE r.state = 'shadow'}), 't|default|delete||t|t',
	'with all that there is to be said');
is($redis->cmd('EXISTS', 'article:1'), 1, 'and not sent');
is(sql(q{SELECT count(*) FROM inval_queue}), 0, 'nor queued');

sql('BEGIN; INSERT INTO article VALUES (2); ROLLBACK');
sql('BEGIN; INSERT INTO article VALUES (3); SAVEPOINT s; INSERT INTO article VALUES (4); ROLLBACK TO s; COMMIT');
is(listed(), 'article:1,article:3', 'what is rolled back is not listed');

sql(q{
	SELECT inval_track('hash', key => 'hash', field => '{field}', state => 'shadow');
	INSERT INTO hash VALUES (1, 'x')});
is(sql(q{SELECT key || '/' || field FROM inval_shadow LIMIT 1}), 'hash/x', 'the newest first, with its field');
sql(q{INSERT INTO hash SELECT 1, repeat(U&'\00e9', 3000)});
is(sql(q{SELECT length(field), octet_length(key || field) <= 1000 FROM inval_shadow LIMIT 1}), '498|t',
	'what is long is cut off between characters');
sql(q{INSERT INTO article SELECT generate_series(100, 1099)});
is(sql('SELECT count(*), min(key), max(key) FROM inval_shadow'), '20|article:1080|article:1099',
	'of many the last ones');
is(sql(q{SELECT sum(keys_queued) FROM inval_stats s, inval_rule r WHERE r.id = s.rule AND r.state = 'shadow'}),
	1004, 'all are counted');

# Whose they are, and who sees them
sql('CREATE DATABASE other');
sql('CREATE EXTENSION inval', 'other');
is(sql('SELECT count(*) FROM inval_shadow', 'other'), 0, 'other databases have their own');
sql('CREATE ROLE anybody; CREATE ROLE watcher IN ROLE pg_monitor');
like(error_of($node, 'SET ROLE anybody; SELECT * FROM inval_shadow'), qr/permission denied/,
	'keys are data');
is(sql('SET ROLE watcher; SELECT count(*), count(key), count(field) FROM inval_shadow'), '20|0|0',
	'who watches the queue sees that there are such');
sql('GRANT EXECUTE ON FUNCTION inval_key_right() TO watcher');
is(sql('SET ROLE watcher; SELECT count(*), count(key) FROM inval_shadow'), '20|20',
	'and the keys, if that is granted');

# It goes on as any rule.
sql(q{UPDATE inval_rule SET state = 'on' WHERE key = 'article:{id}'});
sql('UPDATE article SET n = 1 WHERE id = 1');
is($redis->cmd('EXISTS', 'article:1'), 0, 'switched on, it sends');
is(sql(q{SELECT count(*) FROM inval_shadow WHERE key = 'article:1'}), 0, 'and lists no more');
unlike(PostgreSQL::Test::Utils::slurp_file($node->logfile), qr/would have/, 'the log is not bothered');

# None, and without the library preloaded
$node->append_conf('postgresql.conf', "inval.shadow_keys = 0\n");
$node->restart;
sql(q{INSERT INTO hash VALUES (2, 'y')});
is(sql('SELECT count(*) FROM inval_shadow'), 0, 'none are kept where none are wanted');
$node->append_conf('postgresql.conf', "shared_preload_libraries = ''\n");
$node->restart;
sql(q{INSERT INTO hash SELECT 3, 'f' || i FROM generate_series(1, 30) i});
is(sql('SELECT count(*), min(field), max(field) FROM inval_shadow'), '8|f23|f30', 'a few without preloading');

no_crash($node);
done_testing();

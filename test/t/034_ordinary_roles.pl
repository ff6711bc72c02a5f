# What roles without superuser do with a database that has the extension: its
# owner dumps it, the owners of tables change their schema, and the extension's
# owner may be such a role himself.

use strict;
use warnings;

use Inval::Test;
use PostgreSQL::Test::Utils;
use Test::More;

my $redis = Inval::Redis->new;
my $node = new_node('ordinary',
	url => $redis->unix_url,
	extension => 0,
	conf => "inval.workers = 16\nmax_worker_processes = 32\ninval.commit_timeout = '60s'\n");
my $dir = $node->basedir;
my $there = $redis->unix_url(1) . '&password=hidden';

$node->safe_psql('postgres', q{
	CREATE ROLE ext LOGIN SUPERUSER;
	CREATE ROLE db_owner LOGIN;
	CREATE ROLE writer LOGIN;
	CREATE DATABASE app OWNER db_owner});
sub as
{
	my ($role, $sql, $db) = @_;

	return $node->safe_psql($db || 'app', $sql, extra_params => [ '-U', $role ]);
}

as('ext', 'CREATE EXTENSION inval');
as('ext', qq{SELECT inval_add_target('there', '$there', region => 'eu')});
as('ext', q{
	GRANT USAGE ON FOREIGN SERVER inval_target_there TO db_owner WITH GRANT OPTION;
	GRANT EXECUTE ON FUNCTION inval_touch TO writer;
	SELECT inval_set_var('sha', 'a1', 'b2');
	SELECT inval_guard('warn', 'tenant')});
as('db_owner', q{
	CREATE SCHEMA s;
	CREATE TABLE s.team (id int PRIMARY KEY, name text);
	CREATE TABLE s.event (id int, team int REFERENCES s.team) PARTITION BY RANGE (id);
	CREATE TABLE s.event_1 PARTITION OF s.event FOR VALUES FROM (0) TO (10);
	CREATE MATERIALIZED VIEW s.mv AS SELECT id FROM s.team;
	SELECT inval_track('s.team', key => '{$sha}:team:{id}');
	SELECT inval_track('s.event', key => 'team:{team}', targets => '{default,there}');
	SELECT inval_track('s.mv', key => 'mv:{id}');
	INSERT INTO s.team VALUES (1, 'one')});

# A dump by the database's owner, of all that is there.
sub dumped
{
	my ($role, @options) = @_;
	my ($out, $err) = ('', '');
	my $ok = IPC::Run::run([ 'pg_dump', '-U', $role, @options, $node->connstr('app') ],
		'>', \$out, '2>', \$err);

	ok($ok, "pg_dump as $role @options") || diag($err);
	is($err, '', "pg_dump as $role @options: no complaints");
	unlike($out, qr/hidden/, "pg_dump as $role @options: no secret") if $role ne 'ext';
	return $out;
}

foreach my $options ([], ['--schema-only'], ['--data-only'], ['-Fc'], ['--inserts'], ['-n', 's'])
{
	dumped('db_owner', @$options);
}

# What a dump has of rights: that of the target "default" if it was changed.
unlike(dumped('db_owner'), qr/inval_target_default/, 'rights as CREATE EXTENSION makes them are not dumped');
as('ext', q{
	REVOKE USAGE ON FOREIGN SERVER inval_target_default FROM PUBLIC;
	GRANT USAGE ON FOREIGN SERVER inval_target_default TO db_owner;
	SELECT inval_pause('there')});

my $rights = q{
	SELECT string_agg(s.srvname || ' ' || coalesce(r.rolname, 'PUBLIC') || ' ' || a.is_grantable,
		', ' ORDER BY s.srvname, r.rolname)
	FROM pg_foreign_server s CROSS JOIN aclexplode(s.srvacl) a
		LEFT JOIN pg_roles r ON r.oid = a.grantee
	WHERE a.grantee <> s.srvowner};
my $granted = as('ext', $rights);
is($granted, 'inval_target_default db_owner false, inval_target_there db_owner true',
	'the rights that are to be restored');

foreach my $role ('db_owner', 'ext')
{
	my $db = "restored_by_$role";
	my $rules = 'SELECT string_agg(concat_ws(\'|\', id, relation, key, targets), \', \' ORDER BY id) FROM inval_rule';

	append_to_file("$dir/$db.sql", dumped($role));
	$node->safe_psql('postgres', "CREATE DATABASE $db OWNER db_owner");
	$node->command_ok([ 'psql', '-X', '-q', '-U', 'ext', '-v', 'ON_ERROR_STOP=1', '-o', '/dev/null',
			'-f', "$dir/$db.sql", $node->connstr($db) ], "$db: restored");
	is(as('ext', $rights, $db), $granted, "$db: the rights are the same");
	is(as('ext', $rules, $db), as('ext', $rules), "$db: the rules are the same");
	is(as('ext', 'SELECT count(*) FROM pg_foreign_server', $db), as('ext', 'SELECT count(*) FROM pg_foreign_server'),
		"$db: so is what is set");
	isnt($node->psql($db, q{SELECT inval_touch('x')}, extra_params => [ '-U', 'writer' ]), 0,
		"$db: who had no right has none");
	like(dumped($role), qr/REVOKE ALL ON FOREIGN SERVER inval_target_default FROM PUBLIC/,
		"$db: a dump of it says so again");

	# The number of a new rule is none of a restored one.
	is(as('db_owner', q{SELECT inval_track('s.team', key => 'new:{id}')}, $db), 4, "$db: a new rule has a new number");

	# A URL is in dumps by superusers only; who says it again has the target back.
	is(as('ext', q{SELECT count(*) FROM inval_target_status WHERE target = 'there'}, $db),
		$role eq 'ext' ? 1 : 0, "$db: the URL of a target is a secret");
	as('ext', qq{SELECT inval_add_target('there', '$there', region => 'eu')}, $db);
	is(as('ext', q{SELECT state || ' ' || region FROM inval_target_status WHERE target = 'there'}, $db),
		'paused eu', "$db: the target is there again, with its pause");
	is(as('ext', $rights, $db), $granted, "$db: and with its rights");
	as('ext', 'DROP EXTENSION inval', $db);
	is(as('ext', 'SELECT count(*) FROM pg_foreign_server', $db), 0, "$db: all that goes with the extension");
}

# The extension's owner is no superuser any more.
$node->safe_psql('postgres', 'ALTER ROLE ext NOSUPERUSER');
as('db_owner', q{
	CREATE TABLE s.event_2 PARTITION OF s.event FOR VALUES FROM (10) TO (20);
	CREATE TABLE s.event_3 (id int, team int REFERENCES s.team);
	ALTER TABLE s.event ATTACH PARTITION s.event_3 FOR VALUES FROM (20) TO (30);
	CREATE TABLE s.child () INHERITS (s.team);
	SELECT inval_track('s.team', key => 'new:{id}');
	SELECT inval_track('s.team', key => 'new:{id}', delivery => 'background');
	SELECT inval_track('s.mv', key => 'mv:new:{id}');
	SELECT inval_untrack('s.mv', 'mv:{id}')});
is( as('ext', q{
		SELECT string_agg(format('%s %s', tgrelid::regclass, tgenabled), ', ' ORDER BY tgrelid::regclass::text)
		FROM pg_trigger WHERE tgname = '00_inval_row'}),
	join(', ', map { "s.$_ A" } qw(child event_1 event_2 event_3 team)),
	'tables have their triggers, though the extension\'s owner is no superuser');
$redis->pipeline(map { [ 'SET', $_, 1 ] } 'team:1', 'a1:team:1', 'new:7', 'mv:new:1');
as('db_owner', q{
	INSERT INTO s.event VALUES (1, 1), (11, 1), (21, 1);
	UPDATE s.team SET name = 'uno';
	INSERT INTO s.child VALUES (7, 'seven');
	REFRESH MATERIALIZED VIEW s.mv});
ok(wait_keys_gone($redis, 'team:1', 'a1:team:1', 'new:7', 'mv:new:1'), 'and changes are captured');
as('db_owner', q{
	ALTER TABLE s.team RENAME COLUMN id TO team_id;
	ALTER TABLE s.event DETACH PARTITION s.event_3;
	ALTER TABLE s.team DISABLE TRIGGER USER;
	ALTER TABLE s.child NO INHERIT s.team;
	DROP TABLE s.event_2;
	SELECT inval_untrack('s.event')});
is( as('ext', q{SELECT string_agg(key, ' ' ORDER BY key) FROM inval_rule}),
	'mv:new:{id} new:{team_id} {$sha}:team:{team_id}', 'rules follow the schema');
is( as('ext', q{
		SELECT string_agg(format('%s %s', tgrelid::regclass, tgenabled), ', ' ORDER BY tgrelid::regclass::text)
		FROM pg_trigger WHERE tgname = '00_inval_row'}), 's.team A', 'and so do triggers');
as('ext', q{
	SELECT inval_set_var('sha', 'c3');
	SELECT inval_guard('error', 'tenant');
	SELECT inval_resume('there');
	SELECT inval_drop_target('there');
	SELECT inval_touch('by:ext');
	SELECT inval_drain()});
my ($status, undef, $error) = $node->psql('app', q{CREATE TABLE s.guarded (tenant int)}, extra_params => [ '-U', 'db_owner' ]);
isnt($status, 0, 'a guard is a guard');
dumped('db_owner');

# What a query of a rule locks for its session is not locked for good by the worker,
# which looks the keys up once more.
as('db_owner', q{
	CREATE FUNCTION s.locking(int) RETURNS int LANGUAGE plpgsql AS $$
		BEGIN
			PERFORM pg_advisory_lock(1, $1);
			RAISE LOG 'locked for %', session_user;
			RETURN $1;
		END $$;
	CREATE TABLE s.locked (id int);
	SELECT inval_track('s.locked', key => 'locked:{x}', via => 'SELECT s.locking({id}) AS x FROM s.team');
	INSERT INTO s.locked VALUES (1)});
ok(poll_until(sub { times_logged($node, 'LOG:  locked for db_owner') >= 2 }, 'the worker to look up'),
	'the worker has called a function that takes a lock, in the session of the owner');
ok(poll_query($node, 'app', q{SELECT count(*) = 0 FROM pg_locks WHERE locktype = 'advisory'}),
	'and does not keep it');
no_crash($node, 'no server process crashed');

done_testing();

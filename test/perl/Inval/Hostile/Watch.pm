=pod

=head1 NAME

Inval::Hostile::Watch - the owner beside hostile roles, and what must not happen to him

=head1 DESCRIPTION

C<watch_begin> makes the server, a Redis and the owner's tables; C<watch_turn> is one
turn of the owner's, after which all is looked at; C<watch_end> looks at what takes
until the end.

Redis database 0 is the target "default", the owner's.  Database 1 is "yard", which the
hostile roles may use, and has a namespace.

=cut

package Inval::Hostile::Watch;

use strict;
use warnings;

use Exporter 'import';
use List::Util ();
use PostgreSQL::Test::Utils;
use Time::HiRes ();

use Inval::Hostile::Words qw(hostile_seed);
use Inval::Random;
use Inval::Redis;
use Inval::Test;

our @EXPORT = qw(
  watch_begin
  watch_turn
  watch_end
  watch_complain
  watch_look_for_secrets
);

# What is in all that the hostile roles may not read.
my $secret = 'hidden' . '-words';

# Rows that the owner changes; those above are never changed.
my $rows = 50;

# Of everything that is not theirs: who has it, and what rights there are.
my $everything = q{
	SELECT format('%s %s %s %s', t.class, t.name, t.owner, t.acl) FROM (
		SELECT 'role' AS class, rolname AS name,
			concat(rolsuper, rolcreaterole, rolcreatedb, rolreplication, rolbypassrls) AS owner, NULL AS acl
		FROM pg_roles
		UNION ALL SELECT 'member', roleid::regrole::text, member::regrole::text, admin_option::text FROM pg_auth_members
		UNION ALL SELECT 'schema', nspname, nspowner::regrole::text, nspacl::text FROM pg_namespace
			WHERE nspname !~ '^(hostile|pg_t)'
		UNION ALL SELECT 'relation', oid::regclass::text, relowner::regrole::text, relacl::text FROM pg_class
			WHERE relnamespace IN ('public'::regnamespace, 'own'::regnamespace)
				AND oid::regclass::text !~ 'scratch|part_'
		UNION ALL SELECT 'column', attrelid::regclass::text, attname, attacl::text FROM pg_attribute
			WHERE attrelid IN (SELECT oid FROM pg_class WHERE relnamespace = 'own'::regnamespace) AND attacl IS NOT NULL
		UNION ALL SELECT 'function', oid::regprocedure::text, proowner::regrole::text, proacl::text FROM pg_proc
			WHERE pronamespace IN ('public'::regnamespace, 'own'::regnamespace)
		UNION ALL SELECT 'server', srvname, srvowner::regrole::text, concat(srvacl, srvoptions) FROM pg_foreign_server
			WHERE srvname !~ '^inval_rule_'
		UNION ALL SELECT 'mapping', srvname, usename, NULL FROM pg_user_mappings
		UNION ALL SELECT 'event trigger', evtname, evtowner::regrole::text, evtenabled::text FROM pg_event_trigger
		UNION ALL SELECT 'extension', extname, extowner::regrole::text, extversion FROM pg_extension
		UNION ALL SELECT 'policy', polname, polrelid::regclass::text, NULL FROM pg_policy
			WHERE polrelid::regclass::text ~ '^own'
		UNION ALL SELECT 'rule', key, targets::text, concat(relation, via, state) FROM inval_rule
			WHERE relation::text ~ '^own' AND relation::text <> 'own.scratch'
		UNION ALL SELECT 'trigger', tgname, tgrelid::regclass::text, tgenabled::text FROM pg_trigger
			WHERE NOT tgisinternal AND tgrelid::regclass::text ~ '^own' AND tgrelid::regclass::text !~ 'scratch|part_') t
	ORDER BY 1};

# An owner's session that waits for a lock which a hostile one has, one that who may
# only read cannot have.
my $waiting = q{
	SELECT format('%s waits for %s on %s %s, which %s has: %s', w.query, l.mode, l.locktype,
		l.relation::regclass, h.mode, a.query)
	FROM pg_stat_activity w
		JOIN pg_locks l ON l.pid = w.pid AND NOT l.granted AND l.waitstart < now() - interval '1 second'
		JOIN pg_locks h ON h.granted AND h.locktype = l.locktype AND h.mode <> 'AccessShareLock'
			AND (h.database, h.relation, h.page, h.tuple, h.virtualxid, h.transactionid, h.classid, h.objid, h.objsubid)
				IS NOT DISTINCT FROM
				(l.database, l.relation, l.page, l.tuple, l.virtualxid, l.transactionid, l.classid, l.objid, l.objsubid)
		JOIN pg_stat_activity a ON a.pid = h.pid AND a.usename ~ '^hostile'
	WHERE w.usename = 'owner' AND l.locktype <> 'extend' AND a.pid = ANY (pg_blocking_pids(w.pid))};

sub watch_begin
{
	my (%options) = @_;
	my $redis = Inval::Redis->new;
	my $node = new_node('hostile', url => $redis->unix_url,
		conf => "max_prepared_transactions = 3\ninval.workers = 8\nlog_min_error_statement = panic\n"
		  . "fsync = off\ninval.retry_max = 200ms\n");
	my $watch = { node => $node, redis => $redis, complaints => [], totals => {}, kinds => {}, parts => 0, roles => $options{roles} };
	my $roles = join "\n", map { qq{
		CREATE ROLE hostile$_ LOGIN IN ROLE hostile_gang;
		CREATE SCHEMA hostile$_ AUTHORIZATION hostile$_;
		GRANT USAGE ON SCHEMA hostile$_ TO owner;} } 1 .. $options{roles};
	my $yard = $redis->unix_url(1);

	$node->safe_psql('postgres', qq{
		CREATE ROLE owner LOGIN;
		CREATE ROLE hostile_gang;
		$roles
		CREATE SCHEMA own AUTHORIZATION owner;
		GRANT USAGE ON SCHEMA own TO hostile_gang;
		SELECT inval_add_target('yard', '$yard', namespace => 'yard:');
		REVOKE USAGE ON FOREIGN SERVER inval_target_default FROM PUBLIC;
		GRANT USAGE ON FOREIGN SERVER inval_target_default TO owner;
		GRANT USAGE ON FOREIGN SERVER inval_target_yard TO hostile_gang});
	as_owner($watch, qq{
		CREATE TABLE own.team (id int PRIMARY KEY, name text, secret text);
		CREATE TABLE own.task (id int PRIMARY KEY, team_id int REFERENCES own.team, secret text);
		CREATE TABLE own.tag (id int PRIMARY KEY, n int);
		CREATE TABLE own.article_tag (article_id int, tag_id int);
		CREATE TABLE own.secret (id int PRIMARY KEY, word text);
		CREATE TABLE own.nobody (id int PRIMARY KEY, word text);
		CREATE TABLE own.part (id int, n int) PARTITION BY RANGE (id);
		CREATE TABLE own.part_1 PARTITION OF own.part FOR VALUES FROM (0) TO (1000);
		INSERT INTO own.team SELECT i, 'name' || i, '$secret' FROM generate_series(1, 2 * $rows) i;
		INSERT INTO own.task SELECT i, i, '$secret' FROM generate_series(1, 2 * $rows) i;
		INSERT INTO own.tag SELECT i, 0 FROM generate_series(1, 2 * $rows) i;
		INSERT INTO own.article_tag SELECT i, i FROM generate_series(1, 2 * $rows) i;
		INSERT INTO own.part SELECT i, 0 FROM generate_series(1, 2 * $rows) i;
		INSERT INTO own.secret SELECT i, '$secret' FROM generate_series(1, 5) i;
		INSERT INTO own.nobody SELECT i, '$secret' FROM generate_series(1, 5) i;
		CREATE MATERIALIZED VIEW own.summary AS SELECT id, secret AS word FROM own.team;
		CREATE VIEW own.hidden_view AS SELECT * FROM own.secret;
		CREATE FUNCTION own.definer() RETURNS text LANGUAGE sql SECURITY DEFINER AS 'SELECT current_user::text';
		ALTER TABLE own.nobody ENABLE ROW LEVEL SECURITY;
		CREATE POLICY p ON own.nobody USING (false);
		GRANT SELECT (id, name) ON own.team TO hostile_gang;
		GRANT SELECT (id, team_id) ON own.task TO hostile_gang;
		GRANT SELECT ON own.tag, own.article_tag, own.nobody, own.part TO hostile_gang;
		SELECT inval_track('own.team', key => 'o:team:{id}');
		SELECT inval_track('own.task', key => 'o:task:{id}:{team_id.name}');
		SELECT inval_track('own.tag', key => 'o:article:{article_id}',
			via => 'SELECT article_id FROM own.article_tag WHERE tag_id = {id}');
		SELECT inval_track('own.part', key => 'o:part:{id}', delivery => 'background');
		SELECT inval_track('own.summary', key => 'o:summary:{id}')});
	as_owner($watch, scratch());
	$node->safe_psql('postgres', $options{sabotage}) if $options{sabotage};
	$watch->{everything} = $node->safe_psql('postgres', $everything);
	$watch->{started} = $node->safe_psql('postgres', 'SELECT pg_postmaster_start_time()');
	sentinels($watch);
	start_monitor($watch);
	return $watch;
}

sub scratch
{
	return qq{
		CREATE TABLE own.scratch (id int PRIMARY KEY, word text);
		INSERT INTO own.scratch SELECT i, 'w' FROM generate_series(1, 2 * $rows) i;
		GRANT SELECT ON own.scratch TO hostile_gang;
		SELECT inval_track('own.scratch', key => 'o:scratch:{id}')};
}

sub as_owner
{
	my ($watch, $sql) = @_;

	return $watch->{node}->safe_psql('postgres', $sql, extra_params => [ '-U', 'owner' ]);
}

# Keys that nothing removes: of rows that nobody changes, and of nobody's.
sub sentinels
{
	my ($watch) = @_;
	my @keys = map { ("sentinel:$_", "o:team:" . ($rows + $_), "o:article:" . ($rows + $_), "o:part:" . ($rows + $_)) } 1 .. 20;
	my $other = [ 'yar', 'yard', 'k:1', 'sentinel:1', 'o:team:1' ];

	$watch->{sentinels} = [ @keys, 'yard:1', 'yard:1:1', '', 'k:1' ];
	$watch->{redis}->pipeline(map { [ 'SET', $_, 1 ] } @{ $watch->{sentinels} });
	$watch->{others} = $other;
	$watch->{redis}->select_db(1);
	$watch->{redis}->pipeline(map { [ 'SET', $_, 1 ] } @$other);
	$watch->{redis}->select_db(0);
	return;
}

# What Redis is sent.
sub start_monitor
{
	my ($watch) = @_;
	my $name = PostgreSQL::Test::Utils::tempdir() . '/monitor';

	$watch->{commands} = $name;
	$watch->{monitor} = IPC::Run::start([ 'redis-cli', '-s', $watch->{redis}->sock, 'MONITOR' ], '<', \undef,
		'>', $name, '2>', '/dev/null');
	poll_until(sub { -s $name }, 'MONITOR') or die 'Redis does not tell its commands';
	return;
}

sub watch_complain
{
	my ($watch, $what) = @_;

	push @{ $watch->{complaints} }, $what if @{ $watch->{complaints} } < 50;
	return;
}

sub watch_look_for_secrets
{
	my ($watch, $text, $where) = @_;

	watch_complain($watch, "$where: what must not be read: $1") if $text =~ /([^\n]{0,200}$secret[^\n]{0,50})/;
	return;
}

# ---------------------------------------------------------------------------
# A turn
# ---------------------------------------------------------------------------

sub watch_turn
{
	my ($watch) = @_;

	$watch->{totals}{turns}++;
	write_rows($watch);
	change_schema($watch) if chance(0.25);
	look($watch) if chance(0.3);
	restore_hostile($watch) if chance(0.3);
	return;
}

# What the hostile roles have lost by what they did themselves, they are given again;
# what they have prepared for longer than anybody waits is rolled back.
sub restore_hostile
{
	my ($watch) = @_;
	my $node = $watch->{node};

	foreach my $role (map { "hostile$_" } 1 .. $watch->{roles})
	{
		my ($out, $err) = ('', '');

		$node->psql('postgres', qq{
			SET lock_timeout = '1s'; SET client_min_messages = error;
			CREATE SCHEMA IF NOT EXISTS $role AUTHORIZATION $role;
			GRANT USAGE ON SCHEMA $role TO owner;
			GRANT USAGE ON FOREIGN SERVER inval_target_yard TO hostile_gang;
			GRANT USAGE ON SCHEMA own TO hostile_gang}, stdout => \$out, stderr => \$err);
		$node->psql('postgres', "SET statement_timeout = '5s'; " . hostile_seed($role),
			stdout => \$out, stderr => \$err, on_error_stop => 0, extra_params => [ '-U', $role ])
		  if $node->safe_psql('postgres', "SELECT to_regprocedure('$role.spy(text)') IS NULL") eq 't';
	}
	foreach my $gid (split /\n/, $node->safe_psql('postgres',
			q{SELECT gid FROM pg_prepared_xacts WHERE prepared < now() - interval '5 seconds'}))
	{
		$node->psql('postgres', "ROLLBACK PREPARED '$gid'", stderr => \my $gone);
	}
	return;
}

# The owner changes rows, in one transaction; their keys must go.
sub write_rows
{
	my ($watch) = @_;
	my @ids = map { between(1, $rows) } 1 .. 3;
	my $in = join ', ', @ids;
	my @keys = map { ("o:team:$_", "o:task:$_:name$_", "o:article:$_", "o:part:$_", "o:scratch:$_") } @ids;
	my ($out, $err) = ('', '');
	my ($status, $begin, $committed);

	$watch->{redis}->pipeline(map { [ 'SET', $_, 1 ] } @keys);
	$begin = Time::HiRes::time();
	$status = $watch->{node}->psql('postgres', qq{
		SET statement_timeout = '60s';
		BEGIN;
		UPDATE own.team SET secret = secret WHERE id IN ($in);
		UPDATE own.task SET secret = secret WHERE id IN ($in);
		UPDATE own.tag SET n = n + 1 WHERE id IN ($in);
		UPDATE own.part SET n = n + 1 WHERE id IN ($in);
		UPDATE own.scratch SET word = word || 'x' WHERE id IN ($in);
		COMMIT}, stdout => \$out, stderr => \$err, extra_params => [ '-U', 'owner' ]);
	$committed = Time::HiRes::time();
	$watch->{totals}{commits}++;
	return watch_complain($watch, "the owner cannot commit: $err") if $status != 0;
	watch_complain($watch, "keys of the owner stay: " . join ' ', $watch->{redis}->existing(@keys))
	  unless poll_until(sub { !$watch->{redis}->existing(@keys) }, 'keys of the owner');
	$watch->{totals}{'keys removed'} += @keys;
	note_longest($watch, 'longest transaction, in ms', $committed - $begin);
	note_longest($watch, 'longest wait for keys after it, in ms', Time::HiRes::time() - $committed);
	return;
}

sub note_longest
{
	my ($watch, $what, $seconds) = @_;

	$watch->{totals}{$what} = List::Util::max($watch->{totals}{$what} || 0, int(1000 * $seconds));
	return;
}

# The owner changes what hostile rules read.  He may wait for those who read.
sub change_schema
{
	my ($watch) = @_;
	my $low = 1000 + 10 * $watch->{parts}++;
	my $high = $low + 10;
	my ($out, $err) = ('', '');
	my $path = 'SET LOCAL search_path = hostile1, pg_catalog, own, public';
	my $sql = pick(
		q{TRUNCATE own.scratch; INSERT INTO own.scratch SELECT i, 'w' FROM generate_series(1, 100) i},
		q{ALTER TABLE own.scratch ALTER word TYPE text USING 'w'},
		q{ALTER TABLE own.scratch RENAME word TO term; ALTER TABLE own.scratch RENAME term TO word},
		q{ALTER TABLE own.scratch RENAME TO scratch_2; ALTER TABLE own.scratch_2 RENAME TO scratch},
		q{ALTER TABLE own.scratch ADD COLUMN e int; ALTER TABLE own.scratch DROP COLUMN e CASCADE},
		'DROP TABLE own.scratch CASCADE;' . scratch(),
		"CREATE TABLE own.part_x PARTITION OF own.part FOR VALUES FROM ($low) TO ($high); DROP TABLE own.part_x",
		"CREATE TABLE own.part_x (id int, n int); ALTER TABLE own.part ATTACH PARTITION own.part_x FOR VALUES FROM ($low) TO ($high);"
		  . 'ALTER TABLE own.part DETACH PARTITION own.part_x; DROP TABLE own.part_x',
		q{SELECT inval_track('own.team', key => 'o:other:{id}'); SELECT inval_untrack('own.team', 'o:other:{id}')},
		q{REVOKE SELECT ON own.scratch FROM hostile_gang; GRANT SELECT ON own.scratch TO hostile_gang},
		# Nothing in these that is found by the search path, but what inval does.
		"$path; UPDATE own.task SET secret = secret", "$path; TRUNCATE own.scratch; INSERT INTO own.scratch SELECT i, 'w' FROM pg_catalog.generate_series(1, 100) i",
		"$path; SELECT FROM public.inval_track('own.team', key => 'o:other:{id}'); SELECT FROM public.inval_untrack('own.team', 'o:other:{id}')",
		'REFRESH MATERIALIZED VIEW own.summary', 'CREATE TEMP TABLE x (id int); DROP TABLE x CASCADE', 'ANALYZE own.scratch');
	my $status = $watch->{node}->psql('postgres', "SET lock_timeout = '20s'; SET client_min_messages = warning; BEGIN; $sql; COMMIT",
		stdout => \$out, stderr => \$err, extra_params => [ '-U', 'owner' ]);

	$watch->{totals}{'changes of the schema'}++;
	if ($status != 0 && $err =~ /deadlock detected|lock timeout|has changed meanwhile/)
	{
		$watch->{totals}{'changes of the schema that gave up'}++;
	}
	elsif ($status != 0)
	{
		watch_complain($watch, "the owner cannot change his schema: $sql: $err");
	}
	return;
}

# ---------------------------------------------------------------------------
# What is looked at
# ---------------------------------------------------------------------------

sub look
{
	my ($watch) = @_;
	my ($node, $redis) = @$watch{ 'node', 'redis' };
	my ($out, $err) = ('', '');
	my @gone;

	look_at_rights($watch);
	@gone = absent($redis, @{ $watch->{sentinels} });
	watch_complain($watch, "keys of others are gone: @gone") if @gone;
	$redis->select_db(1);
	@gone = absent($redis, @{ $watch->{others} });
	$redis->select_db(0);
	watch_complain($watch, "keys outside the namespace are gone: @gone") if @gone;

	# What those with rights may do runs nobody's code with them.
	$node->psql('postgres', q{
		SET statement_timeout = '10s';
		SET search_path = hostile1, pg_catalog, public;
		SELECT FROM public.inval_coverage('id');
		TABLE public.inval_queue; TABLE public.inval_stats; TABLE public.inval_rule; TABLE public.inval_target_status;
		RESET search_path;
		DO $$
			DECLARE r record;
			BEGIN
				FOR r IN SELECT relation FROM inval_rule WHERE relation::text ~ '^hostile' LIMIT 3 LOOP
					BEGIN PERFORM inval_preview(r.relation); EXCEPTION WHEN OTHERS THEN NULL; END;
				END LOOP;
			END $$}, stdout => \$out, stderr => \$err, on_error_stop => 0);
	return;
}

# Both have moments when they are made anew.
sub look_at_rights
{
	my ($watch) = @_;
	my %now;
	my %then = map { $_ => 1 } split /\n/, $watch->{everything};
	my ($out, $err) = ('', '');

	$watch->{node}->psql('postgres', $everything, stdout => \$out, stderr => \$err);
	return if $err =~ /cache lookup failed|does not exist|could not open/;
	%now = map { $_ => 1 } split /\n/, $out;
	watch_complain($watch, "somebody else's: " . join ', ', map { "new: $_" } grep { !$then{$_} } sort keys %now)
	  if grep { !$then{$_} } keys %now;
	watch_complain($watch, "somebody else's: " . join ', ', map { "gone: $_" } grep { !$now{$_} } sort keys %then)
	  if grep { !$now{$_} } keys %then;
	watch_complain($watch, "cannot look: $err") if $err;
	return;
}

sub absent
{
	my ($redis, @keys) = @_;
	my %there = map { $_ => 1 } $redis->existing(@keys);

	return grep { !$there{$_} } @keys;
}

sub watch_end
{
	my ($watch) = @_;
	my $node = $watch->{node};
	my $prepared;

	$node->safe_psql('postgres', q{
		SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE usename ~ '^hostile'});
	$prepared = $node->safe_psql('postgres', 'SELECT gid FROM pg_prepared_xacts');
	$node->safe_psql('postgres', "ROLLBACK PREPARED '$_'") foreach split /\n/, $prepared;
	write_rows($watch);
	look($watch);
	# What is to be repeated waits for its time.
	watch_complain($watch, 'the queue does not drain: '
		  . $node->safe_psql('postgres', 'SELECT target, key, last_error FROM inval_queue WHERE queued_at < now() LIMIT 3'))
	  unless poll_query($node, 'postgres', 'SELECT count(*) = 0 FROM inval_queue WHERE queued_at < now()');
	eval { $watch->{monitor}->kill_kill };
	look_at_commands($watch);
	look_at_log($watch);
	watch_complain($watch, 'the server was started anew')
	  if $node->safe_psql('postgres', 'SELECT pg_postmaster_start_time()') ne $watch->{started};
	return;
}

sub look_at_commands
{
	my ($watch) = @_;

	open my $file, '<', $watch->{commands} or die "no commands: $!";
	while (my $line = <$file>)
	{
		my ($db, $keys) = $line =~ /^[\d.]+ \[(\d+) [^\]]*\] "UNLINK" (.*)/ or next;

		watch_look_for_secrets($watch, $keys, 'a command to Redis');
		foreach my $key ($keys =~ /"((?:[^"\\]|\\.)*)"/g)
		{
			$watch->{totals}{ $db ? 'keys of the hostile' : 'keys of the owner' }++;
			watch_complain($watch, "not a key of database $db: $key")
			  unless $key =~ ($db ? qr/^yard:/ : qr/^o:/);
		}
	}
	close $file;
	return;
}

sub look_at_log
{
	my ($watch) = @_;

	open my $file, '<', $watch->{node}->logfile or die "no log: $!";
	while (my $line = <$file>)
	{
		watch_complain($watch, $line) if $line =~ /PANIC|terminated by signal|TRAP:|stack smashing|hostile code runs as (?!itself)/;
		$watch->{totals}{'calls in the worker'}++ if $line =~ /hostile code runs as itself/;
		watch_complain($watch, $line) if $line =~ /WARNING: .*(?:leak|you don't own|not owned|still referenced)/;
	}
	close $file;
	return;
}

1;

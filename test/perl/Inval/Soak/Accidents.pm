=pod

=head1 NAME

Inval::Soak::Accidents - what happens during a soak, and further load

=cut

package Inval::Soak::Accidents;

use strict;
use warnings;

use Exporter 'import';
use IPC::Run ();
use PostgreSQL::Test::Utils;
use Time::HiRes qw(time);

use Inval::Consistency::Faults;
use Inval::Test;

our @EXPORT = qw(
  have_accident
  pass_soak_time
  make_soak_tables
  look_at_soak_tables
  keep_watched
  stop_watched
  leak
);

my $big_rows = 20_000;
my $watched_sessions = 2;
my $watched_rows = 400;

# What may happen to the server besides drills and what Inval::Consistency::Faults has.
# mild: also while a drill goes on, whatever that does to Redis; rough: ends processes.
my @accidents = (
	{ name => 'FLUSHALL', code => \&_flush },
	{ name => 'a transaction of 20,000 rows', code => sub { _change_much($_[0], 1) } },
	{ name => 'a transaction of 20,000 rows', code => sub { _change_much($_[0], 0) }, mild => 1 },
	{ name => 'DDL at a tracked table', code => \&_alter, mild => 1 },
	{ name => 'a tracked table comes and goes', code => \&_come_and_go, mild => 1 },
	{ name => 'other settings', code => \&_set, mild => 1 },
	{ name => 'a drain is cancelled', code => \&_drain, mild => 1 },
	{ name => 'a target is paused for a while', code => \&_pause },
	{ name => 'VACUUM FULL of the outbox', code => \&_vacuum, mild => 1 },
	{ name => 'immediate shutdown of PostgreSQL', code => sub { _restart($_[0], 'immediate') },
		rough => 1 },
	{ name => 'fast restart of PostgreSQL', code => sub { _restart($_[0], 'fast') }, rough => 1 },
);

=pod

=head2 have_accident($soak)

One of all that may happen now.

=head2 pass_soak_time($soak, $seconds)

In the midst of a drill: a while of random length, in which mild things may happen.

=cut

sub have_accident
{
	my ($soak) = @_;
	my @all = (
		_drills($soak),
		(grep { !$_->{rough} || $soak->is_rough } @accidents),
		_faults('single', 'connections', 'sessions'),
		$soak->is_rough ? _faults('processes') : ());

	_let_happen($soak, $all[ int rand @all ]);
	poll_query($soak->node, 'postgres', 'SELECT true')
	  or $soak->complain('the server does not come back');
	return;
}

sub pass_soak_time
{
	my ($soak, $seconds) = @_;
	my @mild = ((grep { $_->{mild} } @accidents), _faults('sessions'));
	my $end = time + $seconds * ($soak->{calm} ? 1 : 0.5 + 8 * rand() ** 4);

	_let_happen($soak, $mild[ int rand @mild ])
	  if !$soak->{calm} && $seconds > 0.3 && rand() < 0.4;
	select undef, undef, undef, 0.05 while time < $end;
	return;
}

sub _let_happen
{
	my ($soak, $accident) = @_;

	$soak->{say}->("  $accident->{name}") if $soak->{verbose};
	if (!eval { $soak->{happened}{ $accident->{name} }++ if $accident->{code}->($soak); 1 })
	{
		$soak->complain("$accident->{name}: $@");
	}
	return;
}

sub _faults
{
	my (@groups) = @_;

	return map {
		my ($name, $code) = @$_;

		+{ name => $name, code => sub { $code->($_[0]->consistency) } }
	} consistency_faults(@groups);
}

sub _drills
{
	my ($soak) = @_;
	my @drills;

	foreach my $target (sort keys %{ $soak->{places} })
	{
		my $place = $soak->{places}{$target};

		foreach my $definition (@{ $place->{definitions} })
		{
			my $code = sub {
				my $drill = $soak->{drills}{$target};

				$drill->fault($definition->{happen}, $place);
				$definition->{mend}->($drill, $place) if $definition->{mend};
				return 1;
			};

			push @drills, { name => "drill $definition->{name}", code => $code };
		}
	}
	return @drills;
}

# --- What happens ---

sub _flush
{
	my ($soak) = @_;

	$soak->consistency->redis->cmd('FLUSHALL');
	return 1;
}

# With witnesses, if Redis can be written to.
sub _change_much
{
	my ($soak, $fill) = @_;

	$soak->consistency->redis->fill('big:', 1, $big_rows) if $fill;
	$soak->node->safe_psql('postgres', 'UPDATE soak_big SET n = n + 1');
	return 1;
}

sub _random_of
{
	return $_[ int rand @_ ];
}

# At one of the tables of a drill.  Whatever it is, nothing may be lost by it.
sub _alter
{
	my ($soak) = @_;
	my $target = _random_of(sort keys %{ $soak->{places} });
	my $table = _random_of('at_commit', 'in_background');
	my $delivery = $table eq 'at_commit' ? 'commit' : 'background';
	my $statements = _random_of(
		"ALTER TABLE $table ADD COLUMN more int DEFAULT 1; ALTER TABLE $table DROP COLUMN more",
		"ALTER TABLE $table ADD COLUMN at timestamptz DEFAULT clock_timestamp();
			ALTER TABLE $table DROP COLUMN at",
		"BEGIN; ALTER TABLE $table RENAME TO another; ALTER TABLE another RENAME TO $table; COMMIT",
		"BEGIN; LOCK $table; SELECT inval_untrack('$table');
			SELECT inval_track('$table', key => '$table:{id}', delivery => '$delivery',
				targets => '{$target}'); COMMIT",
		"CREATE INDEX soon ON $table (n); DROP INDEX soon",
		"VACUUM FULL $table");

	return $soak->node->psql('postgres', "SET lock_timeout = '5s';
		SET search_path = soak_$target, public; $statements",
		stdout => \my $out, stderr => \my $error) == 0;
}

sub _come_and_go
{
	my ($soak) = @_;
	my $target = _random_of(sort keys %{ $soak->{places} });

	$soak->node->safe_psql('postgres', qq{
		SET client_min_messages = error;
		CREATE TABLE soak_guest (id int PRIMARY KEY, n int) PARTITION BY RANGE (id);
		CREATE TABLE soak_guest_1 PARTITION OF soak_guest FOR VALUES FROM (1) TO (1000);
		CREATE TABLE soak_guest_2 PARTITION OF soak_guest FOR VALUES FROM (1000) TO (3000);
		SELECT inval_track('soak_guest', key => 'guest:{id}', targets => '{$target}');
		INSERT INTO soak_guest SELECT i, 0 FROM generate_series(1, 2999) i;
		UPDATE soak_guest SET n = 1;
		ALTER TABLE soak_guest DETACH PARTITION soak_guest_1;
		TRUNCATE soak_guest;
		DROP TABLE soak_guest, soak_guest_1});
	return 1;
}

sub _set
{
	my ($soak) = @_;
	my %values = (
		'inval.commit_timeout' => [qw(50ms 200ms 1s)],
		'inval.batch_keys' => [qw(100 1000 10000)],
		'inval.retry_max' => [qw(100ms 200ms 1s)],
		'inval.sweep_interval' => [qw(50ms 100ms 1s)],
		'inval.pending_memory' => [qw(64kB 1MB 16MB)],
		'inval.fence_life' => [qw(2s 30s)],
		'inval.max_connections' => [qw(0 4)],
	);
	my $name = _random_of(sort keys %values);
	my $value = _random_of(@{ $values{$name} });

	$soak->node->safe_psql('postgres', "ALTER SYSTEM SET $name = '$value'");
	$soak->node->safe_psql('postgres', 'SELECT pg_reload_conf()');
	return 1;
}

sub _drain
{
	my ($soak) = @_;

	$soak->node->psql('postgres', "SET statement_timeout = '200ms'; SELECT inval_drain('1 min')",
		stdout => \my $out, stderr => \my $error);
	return 1;
}

sub _pause
{
	my ($soak) = @_;
	my $target = _random_of(sort keys %{ $soak->{places} });

	$soak->node->safe_psql('postgres', "SELECT inval_pause('$target')");
	pass_soak_time($soak, 0.7);
	$soak->node->safe_psql('postgres', "SELECT inval_resume('$target')");
	return 1;
}

sub _vacuum
{
	my ($soak) = @_;

	$soak->node->psql('postgres',
		"SET statement_timeout = '2s'; VACUUM FULL inval_outbox_" . int(rand 9),
		stdout => \my $out, stderr => \my $error);
	return 1;
}

sub _restart
{
	my ($soak, $mode) = @_;

	$soak->node->stop($mode);
	$soak->node->start;
	return 1;
}

# --- Tables and sessions of our own ---

=pod

=head2 make_soak_tables($soak), look_at_soak_tables($soak)

Tables that no drill has; what is wrong with their keys.

=head2 keep_watched($soak), stop_watched($soak)

Sessions that commit to every target, are called C<watched>, and live long.

=head2 leak($soak)

Lets one of those that are called so grow.

=cut

sub make_soak_tables
{
	my ($soak) = @_;
	my $targets = join ',', sort keys %{ $soak->{places} };

	$soak->node->safe_psql('postgres', qq{
		CREATE TABLE soak_big (id int PRIMARY KEY, n int NOT NULL DEFAULT 0) WITH (fillfactor = 50);
		INSERT INTO soak_big SELECT generate_series(1, $big_rows);
		SELECT inval_track('soak_big', key => 'big:{id}');
		CREATE TABLE soak_item (id int PRIMARY KEY, n int NOT NULL DEFAULT 0) WITH (fillfactor = 50);
		INSERT INTO soak_item SELECT generate_series(1, $watched_rows);
		SELECT inval_track('soak_item', key => 'soak:{id}', fence => true);
		SELECT inval_track('soak_item', key => 'soak:all:{id}', targets => '{$targets}')});
	append_to_file($soak->node->basedir . '/watched.sql', q{
\set id :part * 200 + random(1, 200)
UPDATE soak_item SET n = n + 1 WHERE id = :id;
BEGIN;
SAVEPOINT a;
UPDATE soak_item SET n = n + 1 WHERE id = :id;
ROLLBACK TO a;
UPDATE soak_item SET n = n + 1 WHERE id = :id;
COMMIT;
BEGIN;
UPDATE soak_item SET n = n + 1 WHERE id BETWEEN :part * 200 + 1 AND :part * 200 + 50;
ROLLBACK;
SELECT inval_touch('soak:touched:' || :id);
});
	return;
}

sub look_at_soak_tables
{
	my ($soak) = @_;
	my @there = $soak->consistency->redis->existing(map { "big:$_" } 1 .. $big_rows);

	return @there ? "keys of a large transaction are still there: @there[0 .. ($#there < 5 ? $#there : 5)]" : ();
}

sub keep_watched
{
	my ($soak) = @_;

	foreach my $number (0 .. $watched_sessions - 1)
	{
		my $session = $soak->{watched}[$number];

		next if $session && $session->pumpable;
		eval { $session->finish } if $session;
		$soak->{watched}[$number] =
		  _start_watched($soak, $soak->node->basedir . '/watched.sql', 5, $number);
	}
	return;
}

sub stop_watched
{
	my ($soak) = @_;

	foreach my $session (grep { $_ } @{ $soak->{watched} || [] })
	{
		eval { $session->kill_kill };
	}
	return;
}

sub leak
{
	my ($soak) = @_;
	my $script = $soak->node->basedir . '/leak.sql';

	return if $soak->is_rough || $soak->{watched}[$watched_sessions];
	append_to_file($script, "\\set n random(1, 1000000000)\n"
		  . "PREPARE leak_:n AS SELECT count(*) FROM pg_class JOIN pg_attribute ON true;\n");
	$soak->{watched}[$watched_sessions] = _start_watched($soak, $script, 10, 0);
	return;
}

sub _start_watched
{
	my ($soak, $script, $rate, $number) = @_;

	local $ENV{PGAPPNAME} = 'watched';
	return IPC::Run::start(
		[ 'pgbench', '-n', '-R', $rate, '-T', 1_000_000, '-D', "part=$number", '-f', $script,
			$soak->node->connstr('postgres') ],
		'>', '/dev/null', '2>', '/dev/null');
}

1;

=pod

=head1 NAME

Inval::Consistency - readers and writers, all at once, and what of the cache was too old

=head1 SYNOPSIS

  my $result = Inval::Consistency->new('fence', seconds => 5)->run;
  is(violations($result), '', 'the promise of the mode was kept');

=head1 DESCRIPTION

A mode is a kind of rule, a kind of reader, and what goes wrong meanwhile
(Inval::Consistency::Modes).  F<test/consist/load> runs the clients and judges what
they read; here is what is around it: servers, accidents (Inval::Consistency::Faults),
and the look at what is left.

It goes in rounds.  At the end of each all clients stand still, and once the queue is
empty no key may hold what the database has not; then they go on.

=cut

package Inval::Consistency;

use strict;
use warnings;

use Carp;
use Exporter 'import';
use File::Basename;
use IPC::Run ();
use PostgreSQL::Test::Utils;
use Symbol qw(gensym);
use Test::More;

use Inval::Consistency::Faults;
use Inval::Consistency::Modes;
use Inval::Proxy::Fault;
use Inval::Sentinels;
use Inval::Test;

our @EXPORT = qw(build_consistency violations);

my $directory = dirname(__FILE__) . '/../../consist';
my ($node, $built);
my $last_conf = {};

# What every mode has unless it says otherwise, for test/consist/load.
my %load = (
	readers => 8,
	writers => 4,
	rate => 500,
);

=pod

=head2 build_consistency

Builds the programs in F<test/consist>; returns that directory.

=cut

sub build_consistency
{
	my ($out, $err) = ('', '');

	IPC::Run::run([ 'make', '-s', '-C', $directory ], '>', \$out, '2>', \$err)
	  or croak "could not build the load: $out$err"
	  unless $built;
	$built = 1;
	return $directory;
}

=pod

=head2 new($mode, %options)

The name of a mode.  Options: C<seconds> of a round, C<rounds>; C<reads>: as many more
rounds as it takes to have so many values checked; C<seed>; C<load>, settings of the
load; C<broken>: as many rounds as it takes to notice, up to a limit; C<proxied>: inval
reaches Redis by an L<Inval::Proxy::Fault>.

=cut

sub new
{
	my ($class, $name, %options) = @_;

	return bless {
		mode => consistency_mode($name),
		seconds => 2,
		rounds => 2,
		reads => 0,
		seed => 1,
		load => {},
		broken => 0,
		%options,
		happened => {},
		left => 0,
		rounds_done => 0,
	}, $class;
}

=pod

=head2 is_possible

Whether this inval has what the mode needs: rules of its kind.

=cut

sub is_possible
{
	my ($self) = @_;

	_node();
	$self->_make_tables;
	return 1 if eval { $self->_track; 1 };
	croak $@ unless $@ =~ /is not supported by this version of inval/;
	return 0;
}

=pod

=head2 prepare

Tables, rules and Redis, without any load.

=head2 start_load, go, stand_still, end_load

What C<run> does, by hand: to be called in this order, C<go> and C<stand_still> again and
again. C<stand_still> waits until all clients do; only then C<look> finds what is left behind.

=head2 run

All of it.  Returns the result: the numbers that F<test/consist/main.c> prints, and C<mode>,
C<left> (values of all rounds that were none of the database's), C<rounds>,
C<seconds>, C<faults> (how often what happened), C<complaints> (what the load said).

=cut

sub prepare
{
	my ($self) = @_;

	$self->_start_redis;
	$self->_configure;
	$self->_make_tables;
	$self->_track;
	return $self;
}

sub run
{
	my ($self) = @_;
	my $began = time;

	srand $self->{seed};
	$self->prepare;
	$self->start_load;
	do
	{
		$self->go;
		pass_time($self, $self->{seconds});
		$self->stand_still;
		$self->look;
	} until $self->_is_enough;
	return { %{ $self->end_load }, seconds => time - $began };
}

sub end_load
{
	my ($self) = @_;

	close $self->{input};
	$self->{process}->finish;
	croak 'the load failed: ' . $self->_said if $self->{process}->result(0);
	return {
		%{ $self->{numbers} },
		mode => $self->{mode},
		left => $self->{left},
		rounds => $self->{rounds_done},
		faults => $self->{happened},
		complaints => $self->_said,
	};
}

# After that many rounds nothing will be noticed any more.
my $most_rounds = 40;

sub _is_enough
{
	my ($self) = @_;

	return $self->{rounds_done} == $most_rounds
	  || violations({ %$self, %{ $self->{numbers} } })
	  if $self->{broken};
	return $self->{rounds_done} >= $self->{rounds}
	  && $self->{numbers}->{checked} >= $self->{reads};
}

# One server for all modes; what else its configuration has is said by who asks first.
sub _node
{
	my ($conf) = @_;

	return $node ||= new_node('consistency', url => 'unix:///nowhere?db=0',
		conf => "max_wal_size = 4GB\ninval.sweep_interval = '100ms'\ninval.retry_max = '200ms'\n"
		  . ($conf || ''));
}

sub _start_redis
{
	my ($self) = @_;

	if ($self->{mode}->{sentinels})
	{
		$self->{sentinels} = Inval::Sentinels->new;
		poll_until(sub { $self->{sentinels}->is_well }, 'a master and its replica')
		  or croak 'sentinels do not work';
		return;
	}
	# It writes down what it does before it answers, so that it forgets nothing when
	# it is killed; not when the machine is.  inval is a user of its own.
	$self->{single} = Inval::Redis->new(
		acl => ['inval on >secret ~* &* +@all'],
		config => $self->{mode}->{faults} ? { appendonly => 'yes', appendfsync => 'no' } : {});
	$self->{proxy} = Inval::Proxy::Fault->new($self->{single}) if $self->{proxied};
	return;
}

sub url
{
	my ($self) = @_;

	return $self->{sentinels}->url if $self->{sentinels};
	return ($self->{proxy} || $self->{single})->tcp_url(0, 'inval:secret');
}

# The server that has the keys now.
sub redis
{
	my ($self) = @_;

	return $self->{single} || $self->{sentinels}->master->reconnect;
}

sub node { return $node; }

# Without faults a commit that runs out of time would be one.  What the last mode had is
# taken out: adjust_conf changes no setting that is not there yet.
sub _configure
{
	my ($self) = @_;
	my $mode = $self->{mode};
	my %conf = (
		'inval.commit_timeout' => $mode->{faults} ? "'200ms'" : "'10s'",
		'inval.redis_url' => "'" . $self->url . "'",
		%{ $mode->{conf} || {} });

	_node()->adjust_conf('postgresql.conf', $_, undef)
	  foreach keys %conf, keys %$last_conf;
	$last_conf = \%conf;
	$node->append_conf('postgresql.conf', join '', map { "$_ = $conf{$_}\n" } sort keys %conf);
	reload($node);
	$self->_wait_ready or croak 'the target is not ready';
	return;
}

# The worker knows the target, and has loaded the functions for readers.
sub _wait_ready
{
	my ($self) = @_;

	return poll_until(
		sub {
			$node->safe_psql('postgres',
				q{SELECT state FROM inval_target_status WHERE target = 'default'}) eq 'up'
			  && $self->redis->cmd('FCALL', 'inval_version', 0);
		},
		'a target with functions for readers');
}

# As in test/consist/world.c.
sub _make_tables
{
	$node->safe_psql('postgres', q{
		SET client_min_messages = warning;
		DROP TABLE IF EXISTS item, task, project, team, article_tag, tag;
		CREATE TABLE item (id int PRIMARY KEY, v int NOT NULL DEFAULT 1) WITH (fillfactor = 50);
		CREATE TABLE team (id int PRIMARY KEY);
		CREATE TABLE project (id int PRIMARY KEY, team_id int NOT NULL REFERENCES team);
		CREATE TABLE task (id int PRIMARY KEY, project_id int NOT NULL REFERENCES project,
			v int NOT NULL DEFAULT 1) WITH (fillfactor = 50);
		CREATE TABLE tag (id int PRIMARY KEY, v int NOT NULL DEFAULT 1) WITH (fillfactor = 50);
		CREATE TABLE article_tag (article_id int, tag_id int REFERENCES tag,
			PRIMARY KEY (article_id, tag_id));
		INSERT INTO item SELECT generate_series(1, 24);
		INSERT INTO team SELECT generate_series(1, 16);
		INSERT INTO project SELECT i, i FROM generate_series(1, 16) i;
		INSERT INTO task SELECT i, (i + 1) / 2 FROM generate_series(1, 32) i;
		INSERT INTO tag SELECT generate_series(1, 16);
		INSERT INTO article_tag SELECT i, i FROM generate_series(1, 16) i
			UNION ALL SELECT i, i % 16 + 1 FROM generate_series(1, 16) i;
		CREATE INDEX ON task (project_id);
		CREATE INDEX ON project (team_id);
		CREATE INDEX ON article_tag (tag_id);
		ANALYZE});
	return;
}

# How long a key is cached is the load's business, but a refill needs to be told.
sub _track
{
	my ($self) = @_;
	my %refill = (
		item => 'SELECT v::text FROM item WHERE id = {id}',
		task => q{SELECT string_agg(t.v::text, ' ' ORDER BY t.id)
			FROM task t JOIN project p ON p.id = t.project_id
			WHERE p.team_id = (SELECT team_id FROM project WHERE id = {project_id})},
	);
	my %key = (
		item => q{'item:{id}'},
		task => q{'tasks:{project_id.team_id}'},
		tag => q{'article:{article_id}',
			via => 'SELECT article_id FROM article_tag WHERE tag_id = {id}'},
	);

	foreach my $table (sort keys %key)
	{
		my $rule = $self->{mode}->{rule};

		$rule .= ", refill => \$q\$$refill{$table}\$q\$, ttl => '1 minute'"
		  if $self->{mode}->{refill} && $refill{$table};
		$node->safe_psql('postgres', "SELECT inval_track('$table', key => $key{$table}$rule)");
	}
	return;
}

sub start_load
{
	my ($self) = @_;
	my $program = build_consistency() . '/load';
	my %settings = (
		%load,
		%{ $self->{mode}->{load} },
		%{ $self->{load} },
		seed => $self->{seed},
		redis => $self->{single} ? $self->{single}->sock
		: 'sentinels:' . join(',', map { '127.0.0.1:' . $_->port } $self->{sentinels}->sentinels));
	my $input = gensym;

	$self->{out} = PostgreSQL::Test::Utils::tempdir() . '/load';
	local %ENV = (
		%ENV,
		PGHOST => $node->host,
		PGPORT => $node->port,
		PGDATABASE => 'postgres',
		PGOPTIONS => '-c client_min_messages=error',
		PGCONNECT_TIMEOUT => 10);
	$self->{process} = IPC::Run::start(
		[ $program, map { "$_=$settings{$_}" } sort keys %settings ],
		'<pipe', $input, '>', $self->{out}, '2>', "$self->{out}.errors");
	$self->{input} = $input;
	return;
}

# Something for the load to do.
sub _tell
{
	my ($self, $word) = @_;

	syswrite $self->{input}, "$word\n" or croak "could not tell the load: $!";
	return;
}

sub _said
{
	my ($self) = @_;

	return slurp_file("$self->{out}.errors");
}

sub go
{
	my ($self) = @_;

	$self->_tell('go');
	return;
}

sub stand_still
{
	my ($self) = @_;

	$self->_tell('pause');
	$self->{rounds_done}++;
	poll_until(
		sub {
			my @lines = slurp_file($self->{out}) =~ /^paused (.*)$/mg;

			croak 'the load ended: ' . $self->_said unless $self->{process}->pumpable;
			return 0 unless @lines == $self->{rounds_done};
			$self->{numbers} = { map { split /=/ } split ' ', $lines[-1] };
		},
		'all clients to stand still') or croak 'the load does not stand still';
	return;
}

sub look
{
	my ($self) = @_;

	$self->_wait_quiet;
	$self->{left} += $self->_count_left;
	return;
}

# Everything is delivered, to who has the keys now.
sub _wait_quiet
{
	my ($self) = @_;

	if ($self->{sentinels})
	{
		poll_until(sub { $self->{sentinels}->is_well }, 'a master and its replica');
		poll_query($node, 'postgres',
			'SELECT address ~ \':' . $self->redis->port . '\M\' FROM inval_target_status');
	}
	$self->_wait_ready;
	wait_queue_empty($node, 'postgres') or croak 'the queue does not become empty';
	return;
}

# How many keys hold what the database has not.
sub _count_left
{
	my ($self) = @_;
	my %right = map { split /\|/ } split /\n/, $node->safe_psql('postgres', q{
		SELECT 'item:' || id, v::text FROM item
		UNION ALL SELECT 'tasks:' || p.team_id, string_agg(t.v::text, ' ' ORDER BY t.id)
			FROM task t JOIN project p ON p.id = t.project_id GROUP BY p.team_id
		UNION ALL SELECT 'article:' || a.article_id, string_agg(t.v::text, ' ' ORDER BY t.id)
			FROM article_tag a JOIN tag t ON t.id = a.tag_id GROUP BY a.article_id});
	my @keys = sort keys %right;
	my @values = $self->redis->pipeline(map { [ 'GET', $_ ] } @keys);
	my @left = grep { defined $values[$_] && $values[$_] ne $right{ $keys[$_] } } 0 .. $#keys;

	note(sprintf 'left behind: %s is %s, not %s', $keys[$_], $values[$_], $right{ $keys[$_] })
	  foreach @left;
	return scalar @left;
}

=pod

=head2 violations($result)

In what the mode's promise was not kept, in words; nothing if it was.

=cut

sub violations
{
	my ($result) = @_;
	my %words = (
		visible => 'values that had been superseded for every observer',
		returned => 'values whose change had returned to its client',
		delivered => 'values that lived on when their invalidation had been delivered',
		left => 'values left behind in the end',
	);

	return join ', ', map { "$result->{$_} $words{$_}" }
	  grep { $result->{$_} } @{ $result->{mode}->{never} };
}

1;

=pod

=head1 NAME

Inval::Concurrent - answers that are cached while random transactions run at the same time

=head1 DESCRIPTION

Sessions run random transactions (Inval::Random::Trade) on a small shop
(Inval::Random::Shop), all at once, in rounds.  Readers fill the cache meanwhile, as an
application would: a miss is asked of the tables, and the answer stored in Redis.
When a round has ended, and inval has nothing left to do, no answer that is cached may
be another than the tables give.

=head2 How readers fill

A reader puts a mark of its own under the key, then asks, and stores the answer only if
its mark is still there.  So an answer from before a commit is never stored after that
commit's keys were removed, which is a race that inval does not promise to win; whatever
else is stale is inval's fault.  Nobody waits for anybody: sessions are not serialized.

A reader asks in READ COMMITTED, one statement for all answers of a kind that are
missing, so what is removed is back moments later.

=cut

package Inval::Concurrent;

use strict;
use warnings;

use Exporter 'import';
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes;

use Inval::Random;
use Inval::Random::Shop;
use Inval::Random::Trade;
use Inval::Session;
use Inval::Test;

our @EXPORT = qw(
  concurrent_node
  concurrent_run
  concurrent_report
);

my $mark = 'being asked for by';
my $number_of_marks = 0;

# Store an answer where one's own mark is still there.
my $store = q{if redis.call('GET', KEYS[1]) == ARGV[1] then
	redis.call('SET', KEYS[1], ARGV[2]) return 1 end return 0};

# Anything that inval itself, or the server, should not say: the rest is what random
# transactions that meet run into.
# The server says XX000 itself when two commands write one row of its catalogs, and
# when ALTER COLUMN TYPE meets a constraint that is newer than the transaction's snapshot.
my $unusual = qr/^(?!XX000: (?:tuple concurrently|could not find tuple for constraint))(?:XX|53|54|57P|58|F0|HV|0A000.*inval|gone)/;

=pod

=head2 concurrent_node($name, $redis)

A server for such runs.

=cut

sub concurrent_node
{
	my ($name, $redis) = @_;
	my $node = new_node($name,
		url => $redis->unix_url,
		extension => 0,
		conf => join "\n",
		'inval.workers = 4',
		'max_worker_processes = 12',
		'max_prepared_transactions = 20',
		"inval.sweep_interval = '50ms'",
		# So that commit_delay delays.
		'fsync = on',
		'full_page_writes = off',
		'commit_siblings = 0',
		"deadlock_timeout = '30ms'",
		"lock_timeout = '1s'",
		"statement_timeout = '30s'",
		'client_min_messages = warning',
		'jit = off');

	$node->safe_psql('postgres', 'CREATE ROLE keeper; CREATE ROLE scribe; CREATE ROLE quill');
	return $node;
}

=pod

=head2 concurrent_run($node, $redis, %options)

Runs shops and returns what came of it: C<totals>, C<about> (what transactions were
about), C<errors> (by SQLSTATE), C<complaints>.  Options: C<seed>; C<shops>, one after
the other; C<rounds> of each; C<transactions> of a round; C<sessions>; C<only>, the number
of one shop that is run alone; C<weight>, of what transactions are about; C<sabotage>, SQL
that makes a hole to be found; C<show>, to be called with progress.

=cut

sub concurrent_run
{
	my ($node, $redis, %options) = @_;
	my $run = { totals => {}, about => {}, errors => {}, complaints => [], options => \%options,
		node => $node, redis => $redis };

	foreach my $number (1 .. $options{shops})
	{
		next if $options{only} && $number != $options{only};
		run_shop($run, $number);
	}
	return $run;
}

sub run_shop
{
	my ($run, $number) = @_;
	my $options = $run->{options};
	my $database = "concurrent_$number";

	seed($run, $number, 0, 0);
	my $shop = Inval::Random::Shop->new;
	my $setup = $shop->setup;

	$run->{redis}->cmd('FLUSHALL');
	$run->{node}->safe_psql('postgres', "CREATE DATABASE $database");
	$run->{node}->safe_psql($database, "CREATE EXTENSION inval; $setup" . ($options->{sabotage} || ''));
	my $session = sub { Inval::Session->new($run->{node}, $database, $_[0]) };
	my $world = { number => $number, shop => $shop, setup => $setup, untracked => {}, prepared => [],
		log => [], names => $session->('names'), finisher => $session->('finisher'),
		writers => [ map { $session->("session $_") } 1 .. $options->{sessions} ],
		readers => { map { $_ => $session->("reader of $_") } $shop->kinds } };

	foreach my $round (1 .. $options->{rounds})
	{
		$world->{round} = $round;
		$world->{log} = [];
		run_round($run, $world);
		last if $world->{dead} || @{ $run->{complaints} } >= 20;
	}
	$options->{show}->(sprintf 'after shop %d: %d transactions, %d complaints', $number,
		$run->{totals}{transactions}, scalar @{ $run->{complaints} }) if $options->{show};
	$_->quit foreach @$world{qw(names finisher)}, @{ $world->{writers} }, values %{ $world->{readers} };
	poll_query($run->{node}, 'postgres', 'SELECT true');
	$run->{node}->safe_psql('postgres', "DROP DATABASE $database WITH (FORCE)");
	return;
}

# What is random depends on the place only, and not on who comes first.
sub seed
{
	my ($run, @place) = @_;
	my $seed = $run->{options}{seed};

	$seed = ($seed * 1_000_003 + $_ * 7919 + 12_345) % 2**31 foreach @place;
	srand $seed;
	return;
}

# ---------------------------------------------------------------------------
# A round
# ---------------------------------------------------------------------------

sub run_round
{
	my ($run, $world) = @_;
	my @writers = @{ $world->{writers} };
	my $left = $run->{options}{transactions};
	my $number = 0;

	seed($run, $world->{number}, $world->{round}, 0);
	my %weight = (%{ round_weight() }, %{ $run->{options}{weight} || {} });
	fill($run, $world, $_) foreach $world->{shop}->kinds;
	wait_idle($run, $world, values %{ $world->{readers} });
	while (!$world->{dead} && ($left > 0 || grep { $_->is_busy } @writers))
	{
		foreach my $writer (grep { !$_->is_busy } @writers)
		{
			next if $left <= 0;
			$left--;
			$number++;
			seed($run, $world->{number}, $world->{round}, $number);
			begin($run, $world, $writer, $number, random_trade($world->{shop}, %weight));
		}
		begin($run, $world, $world->{finisher}, ++$number, finish_prepared($world))
		  if @{ $world->{prepared} } && !$world->{finisher}->is_busy && chance(0.2);
		fill($run, $world, $_) foreach $world->{shop}->kinds;
		Inval::Session::wait_for_any(0.005, @writers, $world->{finisher}, values %{ $world->{readers} });
	}
	tidy($run, $world, $number);
	wait_idle($run, $world, @writers, values %{ $world->{readers} });
	settle($run, $world) && check($run, $world) unless $world->{dead};
	$run->{totals}{rounds}++;
	return;
}

# Some rounds have rows only, and some little else than DDL.
sub round_weight
{
	return pick({}, {}, { rows => 15 },
		{ map { $_ => 0 } qw(ddl truncate swap parts untrack retrack relink rekey members alone) });
}

sub finish_prepared
{
	my ($world) = @_;
	my $name = shift @{ $world->{prepared} };

	return unless $name;
	return { steps => [ (chance(0.8) ? 'COMMIT' : 'ROLLBACK') . " PREPARED '$name'" ],
		ends => 'alone', ddl => 1, about => 'prepared' };
}

# What is left is finished, and most of what was untracked tracked again.
sub tidy
{
	my ($run, $world, $number) = @_;
	my $writer = $world->{finisher};

	wait_idle($run, $world, $writer);
	while (!$world->{dead} && (my $trade = finish_prepared($world)))
	{
		begin($run, $world, $writer, ++$number, $trade);
		wait_idle($run, $world, $writer);
	}
	foreach my $table (sort keys %{ $world->{untracked} })
	{
		next if $world->{dead} || chance(0.3);
		begin($run, $world, $writer, ++$number, trade_that_tracks($world->{shop}, $table));
		wait_idle($run, $world, $writer);
	}
	return;
}

sub wait_idle
{
	my ($run, $world, @sessions) = @_;

	Inval::Session::wait_for_any(0.1, @sessions) while grep { $_->is_busy } @sessions;
	return;
}

sub begin
{
	my ($run, $world, $writer, $number, $trade) = @_;

	$trade->{number} = $number;
	$trade->{step} = 0;
	$trade->{left} = [ @{ $trade->{steps} } ];
	$run->{about}{ $trade->{about} }++;
	go_on($run, $world, $writer, $trade);
	return;
}

# Sends the next statement of a transaction.
sub go_on
{
	my ($run, $world, $writer, $trade) = @_;
	my $left = $trade->{left};

	if (@$left && ref $left->[0])
	{
		seed($run, $world->{number}, $world->{round}, $trade->{number}, ++$trade->{step});
		splice @$left, 0, 1, $left->[0]->();
	}
	my $statement = shift @$left;
	if (!defined $statement && !$trade->{ending}++)
	{
		$trade->{name} = "$world->{number} $world->{round} $trade->{number}";
		$statement = { commit => 'COMMIT', rollback => 'ROLLBACK',
			prepare => "PREPARE TRANSACTION '$trade->{name}'" }->{ $trade->{ends} };
	}
	return ended($run, $world, $trade) unless defined $statement;
	my $began = Time::HiRes::time;
	$writer->ask($statement, sub {
		my ($code, $text) = @_;

		note_answer($run, $world, $began, $writer, $trade, $statement, $code, $text);
		return if $world->{dead};
		if ($code ne '00000')
		{
			$trade->{failed} = 1;
			# Nothing does anything before that.
			shift @$left while $code eq '25P02' && @$left && $left->[0] !~ /^ROLLBACK TO/;
		}
		go_on($run, $world, $writer, $trade);
	});
	return;
}

sub ended
{
	my ($run, $world, $trade) = @_;

	$run->{totals}{transactions}++;
	push @{ $world->{prepared} }, $trade->{name} if $trade->{ends} eq 'prepare';
	if (!$trade->{failed})
	{
		$world->{untracked}{ $trade->{untracks} } = 1 if $trade->{untracks};
		delete $world->{untracked}{ $trade->{tracks} } if $trade->{tracks};
		$run->{totals}{'transactions without an error'}++;
	}
	learn_names($world) if $trade->{ddl};
	return;
}

sub learn_names
{
	my ($world) = @_;
	my ($code, $text) = $world->{names}->query($world->{shop}->names_query);

	$world->{shop}->set_names($text) if $code eq '00000';
	return;
}

sub note_answer
{
	my ($run, $world, $began, $session, $trade, $statement, $code, $text) = @_;
	my ($error) = $text =~ /(?:ERROR|FATAL|PANIC):  (.*)/;

	write_log($world, $began, $session->name . " #$trade->{number}",
		$statement . ($code eq '00000' ? '' : "  -- $code " . ($error || '')),
		map { "  -- $_" } $text =~ /(WARNING:  .*)/g);
	$run->{warnings}{$1}++ while $text =~ /WARNING:  \w+: ([^"\n]*)/g;
	return if $code eq '00000';
	$run->{errors}{$code}++;
	complain($run, $world, $error || "$code $text", $statement) if ($error || $code) =~ $unusual;
	$world->{dead} = 1 if $code eq 'gone';
	return;
}

sub write_log
{
	my ($world, $began, @line) = @_;

	$world->{began} = $began unless @{ $world->{log} };
	push @{ $world->{log} }, sprintf '%.4f to %.4f %s', $began - $world->{began},
	  Time::HiRes::time - $world->{began}, join ': ', @line;
	return;
}

# ---------------------------------------------------------------------------
# The cache
# ---------------------------------------------------------------------------

# Has the reader of a kind ask for what is missing, unless it is at it.
sub fill
{
	my ($run, $world, $kind) = @_;
	my $reader = $world->{readers}{$kind};

	return if $reader->is_busy;
	my @keys = $world->{shop}->keys_of_kind($kind);
	my $values = $run->{redis}->cmd('MGET', @keys);
	my @missing = grep { !defined $values->[$_] || $values->[$_] =~ /^$mark/ } 0 .. $#keys;
	return unless @missing;
	@missing = @keys[@missing];
	my $own = "$mark " . ++$number_of_marks;
	my $began = Time::HiRes::time;
	# First the mark, then the snapshot.
	$run->{redis}->pipeline(map { [ 'SET', $_, $own ] } @missing);
	$reader->ask($world->{shop}->answers($kind), sub {
		my ($code, $text) = @_;

		if ($code ne '00000')
		{
			$run->{errors}{"reader $code"}++;
			$world->{dead} = 1 if $code eq 'gone';
			return $world->{dead} ? undef : learn_names($world);
		}
		my %answer = answers_in($text);
		my @stored = $run->{redis}->pipeline(
			map { [ 'EVAL', $store, 1, $_, $own, defined $answer{$_} ? $answer{$_} : '' ] } @missing);

		foreach my $n (0 .. $#missing)
		{
			$run->{totals}{ $stored[$n] ? 'answers cached' : 'answers not cached' }++;
			write_log($world, $began, $reader->name,
				"$missing[$n] is \"" . ($answer{ $missing[$n] } || '') . '"' . ($stored[$n] ? '' : ', not cached'));
		}
	});
	return;
}

sub answers_in
{
	my ($text) = @_;

	return map { /^(\w+:\w+)\|(.*)/ ? ($1, $2) : () } split /\n/, $text;
}

# Waits until nothing is queued, nor to be looked up again.
sub settle
{
	my ($run, $world) = @_;
	my $looks = join ' UNION ALL ', map { "SELECT lane FROM inval_outbox_$_" } 0 .. 5;
	my $text = '';

	return 1 if poll_until(
		sub {
			(undef, $text) = $world->{names}->query(
				"SELECT (SELECT count(*) FROM ($looks) o WHERE lane = 'l'), (SELECT count(*) FROM inval_queue)");
			return $text eq "0|0\n";
		},
		'the queue to be empty');
	complain($run, $world, "the queue does not get empty: $text", '');
	$world->{dead} = 1;
	return 0;
}

# Compares all that is cached with the tables.
sub check
{
	my ($run, $world) = @_;
	my $shop = $world->{shop};
	my %excused = map { $_ => 1 } map { $shop->kinds_of($_) } keys %{ $world->{untracked} };

	learn_names($world);
	foreach my $kind (grep { !$excused{$_} } $shop->kinds)
	{
		my ($code, $text) = $world->{names}->query($shop->answers($kind));
		my @keys = $shop->keys_of_kind($kind);
		my $values = $run->{redis}->cmd('MGET', @keys);
		my %answer = answers_in($text);

		complain($run, $world, "cannot be asked: $text", '') if $code ne '00000';
		foreach my $n (0 .. $#keys)
		{
			my $is = defined $answer{ $keys[$n] } ? $answer{ $keys[$n] } : '';

			next if !defined $values->[$n] || $values->[$n] =~ /^$mark/;
			$run->{totals}{'answers compared'}++;
			next if $values->[$n] eq $is;
			complain($run, $world, "$keys[$n] is \"$is\", and \"$values->[$n]\" is cached", '');
			$run->{redis}->cmd('DEL', $keys[$n]);
		}
	}
	check_rules($run, $world);
	return;
}

# Nobody has taken rules away but those who were to.
sub check_rules
{
	my ($run, $world) = @_;
	my $shop = $world->{shop};
	my ($code, $text) = $world->{names}->query(
		"SELECT relation, count(*) FROM inval_rule WHERE state = 'on' GROUP BY relation");
	my %rules = map { /^(.*)\|(\d+)$/ ? ($1, $2) : () } split /\n/, $text;

	foreach my $table (grep { !$world->{untracked}{$_} } $shop->tracked_tables)
	{
		my $there = $rules{ $shop->table_name($table) } || 0;

		next if $there == $shop->rules_of($table);
		complain($run, $world, "$table has $there rules", '');
		$world->{untracked}{$table} = 1;
	}
	return;
}

# ---------------------------------------------------------------------------
# What came of it
# ---------------------------------------------------------------------------

sub complain
{
	my ($run, $world, $what, $statement) = @_;
	my $file = "$PostgreSQL::Test::Utils::log_path/concurrent_$world->{number}_$world->{round}.log";

	push @{ $run->{complaints} },
	  { shop => $world->{number}, round => $world->{round}, what => $what, text => $statement,
		log => [ @{ $world->{log} } ], setup => $world->{setup}, file => $file };
	open my $out, '>', $file or die "could not write $file: $!";
	print {$out} "$_\n" foreach $world->{setup}, @{ $world->{log} }, $what;
	close $out;
	return;
}

=pod

=head2 concurrent_report($run, $show)

Calls C<$show> with the totals, and with the complaints; of the first one with the
end of what was done in its round, of which a file has all.

=cut

sub concurrent_report
{
	my ($run, $show) = @_;
	my @complaints = @{ $run->{complaints} };

	$show->('totals: ' . counts_text(%{ $run->{totals} }));
	$show->('transactions: ' . counts_text(%{ $run->{about} }));
	$show->('errors: ' . counts_text(%{ $run->{errors} }));
	$show->('warnings: ' . counts_text(%{ $run->{warnings} || {} }));
	return unless @complaints;
	$show->(scalar(@complaints) . ' complaints');
	foreach (@complaints[ 0 .. ($#complaints < 9 ? $#complaints : 9) ])
	{
		$show->("shop $_->{shop} round $_->{round}: $_->{what} ($_->{file})");
	}
	my @log = @{ $complaints[0]{log} };
	my ($key) = $complaints[0]{what} =~ /^(\w+:\w+) is/;
	# Of answers to other questions it takes none.
	@log = grep { !/: reader of / || /\b\Q$key\E\b/ } @log if $key;
	$show->("what was done in the round of the first:\n"
		  . join "\n", @log > 150 ? @log[ -150 .. -1 ] : @log);
	return;
}

1;

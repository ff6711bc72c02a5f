=pod

=head1 NAME

Inval::Hostile - roles that mean harm beside an owner who does not

=head1 DESCRIPTION

Some sessions of ordinary roles run random SQL (Inval::Hostile::Grammar), each in a
process of its own.  Meanwhile an owner changes his tracked tables, and his schema.
What must not happen whatever the hostile ones do is looked for by
Inval::Hostile::Watch, and is a complaint:

=over

=item a process of the server dies

=item a role has rights that it had not, or something of others has changed

=item what a hostile role may not read is in what it was told, or in a command to Redis

=item code of a hostile role runs as anybody else

=item a key of others is removed, or one outside the namespace of their target

=item a commit of the owner fails, or its keys stay

=item the owner waits for a lock that a hostile session could not have without inval

=back

=cut

package Inval::Hostile;

use strict;
use warnings;

use Exporter 'import';
use PostgreSQL::Test::Utils;
use POSIX ();

use Inval::Hostile::Grammar;
use Inval::Hostile::Words qw(hostile_seed);
use Inval::Hostile::Watch;
use Inval::Test;

our @EXPORT = qw(
  hostile_run
);

# Statements of a session, after which there is another
my $length = 60;

# What a session may take: all of its statements time out.
my $session_limit = 300;

=pod

=head2 hostile_run(%options)

Options: C<seed>; C<roles>, how many sessions there are at a time; C<seconds>, or
C<scripts>, how many sessions each role has one after the other, which with one role
can be repeated; C<keep>, a directory for the scripts and what they were told.
C<sabotage> is SQL to be run first.  Returns C<complaints>, a list of texts;
C<totals>, what was counted; C<kinds>, how often which statement succeeded and failed.

=cut

sub hostile_run
{
	my (%options) = @_;
	my $watch = watch_begin(roles => $options{roles}, sabotage => $options{sabotage});
	my $deadline = $options{seconds} ? time + $options{seconds} : undef;
	my $directory = $options{keep} || PostgreSQL::Test::Utils::tempdir();
	my @children;

	foreach my $number (1 .. $options{roles})
	{
		my $role = "hostile$number";

		$watch->{node}->safe_psql('postgres', hostile_seed($role), extra_params => [ '-U', $role ]);
		push @children, start_child($watch, $role, $options{seed} + $number, $directory,
			$deadline, $options{scripts});
	}
	srand $options{seed};
	while (children_are_running(\@children))
	{
		watch_turn($watch);
		# One is enough.
		last if @{ $watch->{complaints} };
	}
	end_children(@children);
	watch_end($watch);
	read_outputs($watch, $directory);
	return { complaints => $watch->{complaints}, totals => $watch->{totals}, kinds => $watch->{kinds} };
}

# A process that runs one session of a role after the other.
sub start_child
{
	my ($watch, $role, $seed, $directory, $deadline, $scripts) = @_;
	my @psql = ('psql', '-X', '-q', '-A', '-t', '-U', $role, '-v', 'ON_ERROR_STOP=0',
		$watch->{node}->connstr('postgres'));
	my $pid = fork;

	die "could not fork: $!" unless defined $pid;
	return $pid if $pid;

	# Whatever ends this process, it must not end what belongs to the other one.
	$SIG{TERM} = $SIG{INT} = sub { POSIX::_exit(1) };
	srand $seed;
	for (my $number = 1; $deadline ? time < $deadline : $number <= $scripts; $number++)
	{
		my $name = "$directory/$role.$number";

		write_file("$name.sql", hostile_script($role, $length));
		eval {
			IPC::Run::run([ @psql, '-f', "$name.sql" ], '<', '/dev/null', '>', "$name.out", '2>&1',
				IPC::Run::timeout($session_limit));
		};
		append_to_file("$name.out", "\@stuck\n") if $@;
	}
	POSIX::_exit(0);
}

sub write_file
{
	my ($name, $text) = @_;

	open my $file, '>', $name or die "could not write $name: $!";
	print $file $text;
	close $file;
	return;
}

sub children_are_running
{
	my ($children) = @_;

	@$children = grep { waitpid($_, POSIX::WNOHANG()) == 0 } @$children;
	return scalar @$children;
}

# Their sessions are ended by watch_end.
sub end_children
{
	my (@children) = @_;

	kill 'TERM', @children;
	waitpid($_, 0) foreach @children;
	return;
}

# What the sessions were told.
sub read_outputs
{
	my ($watch, $directory) = @_;

	foreach my $name (sort glob "$directory/*.out")
	{
		my $output = slurp_file($name);

		$watch->{totals}{sessions}++;
		while ($output =~ /^\@(\w+) (true|false)$/mg)
		{
			$watch->{kinds}{$1}{$2}++;
			$watch->{totals}{ $2 eq 'true' ? 'statements that failed' : 'statements that succeeded' }++;
		}
		watch_look_for_secrets($watch, $output, $name);
		watch_complain($watch, "$name: a session does not end") if $output =~ /^\@stuck/m;
		$watch->{totals}{"internal error: $1"}++ while $output =~ /ERROR:  XX000: (?!no$)([^\n]{1,60})/mg;
	}
	return;
}

1;

=pod

=head1 NAME

Inval::Session - a psql that runs while the test goes on

=head1 DESCRIPTION

Many of them can be at work at the same time: C<ask> sends a statement and comes
back at once, C<wait_for_any> tells which have answered since.

=cut

package Inval::Session;

use strict;
use warnings;

use Carp;
use IO::Select;
use IPC::Open3;
use Time::HiRes;

my $end = 'the end of an answer:';

=pod

=head2 new($node, $database, $name)

Starts one, as a superuser.

=cut

sub new
{
	my ($class, $node, $database, $name) = @_;
	my $self = bless { name => $name, text => '', callback => undef, gone => 0 }, $class;

	$self->{pid} = open3($self->{in}, $self->{out}, undef,
		$node->installed_command('psql'), '-XAtq', '-d', $node->connstr($database));
	$self->{in}->autoflush(1);
	$self->query('\set VERBOSITY verbose');
	return $self;
}

sub name { return $_[0]->{name}; }
sub is_busy { return defined $_[0]->{callback}; }

=pod

=head2 ask($statement, $callback)

Sends a statement.  C<wait_for_any> will call C<< $callback->($sqlstate, $text) >>,
which may ask again.  The SQLSTATE of a session that has ended is C<gone>.

=head2 query($statement)

Waits for the answer, and returns the two.

=cut

sub ask
{
	my ($self, $statement, $callback) = @_;
	local $SIG{PIPE} = 'IGNORE';

	croak "session $self->{name} is busy" if $self->{callback};
	$self->{callback} = $callback;
	# psql reads lines, and takes its own commands to the end of theirs.
	my $code = ':SQLSTATE';
	if ($statement =~ /\A\\/)
	{
		$code = '00000';
	}
	else
	{
		$statement =~ s/\s*\n\s*/ /g;
		$statement .= ';';
	}
	print { $self->{in} } "$statement\n\\echo $end $code\n";
	return;
}

sub query
{
	my ($self, $statement) = @_;
	my @answer;

	$self->ask($statement, sub { @answer = @_ });
	$self->_read until @answer;
	return @answer;
}

=pod

=head2 wait_for_any($seconds, @sessions)

Calls back those that have answered; waits for the first one at most that long.

=cut

sub wait_for_any
{
	my ($seconds, @sessions) = @_;
	my %of = map { fileno($_->{out}) => $_ } grep { $_->is_busy } @sessions;
	my $select = IO::Select->new(map { $_->{out} } values %of);

	foreach my $out ($select->can_read($seconds))
	{
		$of{ fileno $out }->_read;
	}
	return;
}

sub _read
{
	my ($self) = @_;
	my ($callback, @answer);

	if (!sysread $self->{out}, $self->{text}, 65536, length $self->{text})
	{
		@answer = ('gone', $self->{text});
	}
	elsif ($self->{text} =~ s/\A(.*?)^\Q$end\E (\w*)\n//ms)
	{
		# What the library says by itself has none: there is no connection any more.
		@answer = ($2 || 'gone', $1);
	}
	return unless @answer;
	$callback = $self->{callback};
	$self->{callback} = undef;
	$callback->(@answer);
	return;
}

=pod

=head2 quit()

=cut

sub quit
{
	my ($self) = @_;

	close $self->{in};
	close $self->{out};
	waitpid $self->{pid}, 0;
	return;
}

1;

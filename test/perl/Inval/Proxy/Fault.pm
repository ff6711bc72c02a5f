=pod

=head1 NAME

Inval::Proxy::Fault - a network between PostgreSQL and Redis that fails as networks do

=head1 SYNOPSIS

  my $proxy = Inval::Proxy::Fault->new($redis);
  $proxy->mode('delay 30');
  $proxy->mode('pass');

=head1 DESCRIPTION

An Inval::Proxy with further modes, for use under load:

  delay MS      commands arrive that much later, in order
  reset PERCENT that share of the commands resets the connection instead of arriving
  cut PERCENT   that share of the commands arrives half, then the connection is reset
  hold PERCENT  that share of the commands, and all that follow by the same connection,
                is read and not answered; they arrive after all when the mode
                changes, the last ones first, whoever has given up meanwhile
  twice         every command arrives, and once more, up to 50 ms later, by another way

=cut

package Inval::Proxy::Fault;

use strict;
use warnings;

use parent 'Inval::Proxy';

use IO::Socket::UNIX;
use List::Util qw(max min);
use Socket qw(SOL_SOCKET SO_LINGER);
use Time::HiRes qw(time);

# In seconds: how late the second copy of a command may be.
my $latest_copy = 0.05;

=pod

=head2 copies

How many commands have arrived by another way than they were sent, so far.

=head2 errors

What the server answered to those, if it was an error.

=cut

sub copies
{
	my ($self) = @_;

	return -s "$self->{dir}/copies" || 0;
}

sub errors
{
	my ($self) = @_;

	return -e "$self->{dir}/errors"
	  ? PostgreSQL::Test::Utils::slurp_file("$self->{dir}/errors")
	  : '';
}

# Handle the whole commands in the input; false if the client is to be closed.
sub _answer
{
	my ($self, $client, $server, $input) = @_;
	my $mode = $self->_mode;

	return $self->SUPER::_answer($client, $server, $input)
	  unless $mode =~ /^(delay|reset|cut|hold|twice)\b ?(\d*)/ || $self->{due}{$server};
	my ($what, $number) = ($1 || 'delay', $2 || 0);

	while (my ($raw) = Inval::Proxy::_take_command($input))
	{
		if ($what eq 'delay')
		{
			$self->_send_later($server, $raw, $number / 1000);
		}
		elsif ($what eq 'hold' && ($self->{holding}{$client} || rand 100 < $number))
		{
			push @{ $self->{held} }, $raw;
			$self->{holding}{$client} = $client;
		}
		elsif ($what eq 'twice')
		{
			syswrite $server, $raw;
			push @{ $self->{copies} }, [ time + rand $latest_copy, $raw ];
		}
		elsif ($what eq 'hold' || rand 100 >= $number)
		{
			syswrite $server, $raw;
		}
		else
		{
			syswrite $server, substr $raw, 0, length($raw) / 2 if $what eq 'cut';
			_reset_at_close($client);
			return 0;
		}
	}
	return 1;
}

# Within a connection nothing overtakes what was sent before.
sub _send_later
{
	my ($self, $server, $raw, $seconds) = @_;
	my $due = max(time + $seconds, $self->{due}{$server} || 0);

	$self->{due}{$server} = $due;
	push @{ $self->{later} }, [ $due, $server, $raw ];
	return;
}

sub _reset_at_close
{
	my ($socket) = @_;

	setsockopt $socket, SOL_SOCKET, SO_LINGER, pack('ii', 1, 0);
	return;
}

sub _patience
{
	my ($self) = @_;
	my @due = map { $_->[0] } @{ $self->{later} || [] }, @{ $self->{copies} || [] };

	return max(0.0005, min(0.05, map { $_ - time } @due));
}

sub _turn
{
	my ($self) = @_;
	my $now = time;
	my @later = @{ $self->{later} || [] };
	my @copies = @{ $self->{copies} || [] };

	$self->{later} = [ grep { $_->[0] > $now } @later ];
	foreach my $item (grep { $_->[0] <= $now } @later)
	{
		my ($due, $server, $raw) = @$item;

		syswrite $server, $raw if defined fileno $server;
		delete $self->{due}{$server} if $self->{due}{$server} <= $due;
	}
	$self->{copies} = [ grep { $_->[0] > $now } @copies ];
	$self->_copy(map { $_->[1] } grep { $_->[0] <= $now } @copies);
	$self->_release if @{ $self->{held} || [] } && $self->_mode !~ /^hold/;
	return;
}

# What was held arrives, the other way round.  Its senders find their connections
# closed, as after a partition.
sub _release
{
	my ($self) = @_;

	foreach my $client (values %{ $self->{holding} })
	{
		shutdown $client, 2 if defined fileno $client;
	}
	$self->_copy(reverse @{ $self->{held} });
	$self->{held} = [];
	$self->{holding} = {};
	return;
}

# Sends commands by a connection of our own and looks at the answers.
sub _copy
{
	my ($self, @commands) = @_;
	my $redis;

	return unless @commands;
	$redis = $self->{copier} ||= IO::Socket::UNIX->new(Peer => $self->{redis}->sock);
	return unless $redis;
	foreach my $raw (@commands)
	{
		syswrite $redis, $raw;
		my $answer = readline $redis;

		_append("$self->{dir}/copies", '.');
		_append("$self->{dir}/errors", $answer) if !defined $answer || $answer =~ /^-/;
		# Whoever has closed it may be well again the next time.
		return $self->{copier} = undef unless defined $answer;
	}
	return;
}

sub _append
{
	my ($path, $text) = @_;

	open my $file, '>>', $path or die "could not write $path: $!";
	print $file defined $text ? $text : "no answer\n";
	close $file;
	return;
}

1;

=pod

=head1 NAME

Inval::Readers - many connections to a Redis server, which ask at the same time

=head1 SYNOPSIS

  my $readers = Inval::Readers->new($redis, 500);
  my @answers = $readers->ask([ 'GET', 'k' ]);

=cut

package Inval::Readers;

use strict;
use warnings;

use Inval::Redis;

=pod

=head2 new($redis, $count)

Connects so many readers to an Inval::Redis.

=head2 ask($command)

Each reader sends the command, and when all have, the answers are read: one for each.
Dies with the server's words if one is an error.

=cut

sub new
{
	my ($class, $redis, $count) = @_;

	return bless { readers => [ map { $redis->another } 1 .. $count ] }, $class;
}

sub ask
{
	my ($self, $command) = @_;

	$_->send_command(@$command) foreach @{ $self->{readers} };
	return map { $_->receive_reply } @{ $self->{readers} };
}

1;

=pod

=head1 NAME

Inval::Sentinels - two throwaway Redis servers, and three sentinels that watch them

=head1 SYNOPSIS

  my $set = Inval::Sentinels->new;
  my $old = $set->master;
  $old->kill9;
  poll_until(sub { $set->master != $old }, 'a failover');

=cut

package Inval::Sentinels;

use strict;
use warnings;

use Carp;

use Inval::Redis;

# Redis servers without a password: the URL needs none.
sub new
{
	my ($class) = @_;
	my @servers =
	  map { Inval::Redis->new(config => { 'repl-diskless-sync-delay' => 0 }) } 1 .. 2;
	my $self = bless { servers => \@servers, sentinels => [] }, $class;

	$servers[1]->cmd('REPLICAOF', '127.0.0.1', $servers[0]->port);
	push @{ $self->{sentinels} }, Inval::Redis->new(
		sentinel => 1,
		config => {
			'sentinel monitor' => 'keys 127.0.0.1 ' . $servers[0]->port . ' 2',
			'sentinel down-after-milliseconds' => 'keys 500',
			'sentinel failover-timeout' => 'keys 3000' })
	  foreach 1 .. 3;
	return $self;
}

sub servers { return @{ $_[0]->{servers} }; }
sub sentinels { return @{ $_[0]->{sentinels} }; }

sub url
{
	my ($self) = @_;

	return 'redis+sentinel://'
	  . join(',', map { '127.0.0.1:' . $_->port } $self->sentinels) . '/keys/0';
}

=pod

=head2 master

The server that the sentinels name.

=head2 is_well

Whether there are a master, a replica that follows it, and sentinels that know of
all.

=cut

sub master
{
	my ($self) = @_;
	my %server_at = map { $_->port => $_ } $self->servers;

	foreach my $sentinel ($self->sentinels)
	{
		my $answer =
		  eval { $sentinel->cmd('SENTINEL', 'GET-MASTER-ADDR-BY-NAME', 'keys') };

		return $server_at{ $answer->[1] } if $answer;
	}
	croak 'no sentinel answers';
}

sub is_well
{
	my ($self) = @_;
	my $master = $self->master;
	my ($replica) = grep { $_ != $master } $self->servers;

	return $master->cmd('ROLE')->[0] eq 'master'
	  && $replica->cmd('ROLE')->[3] eq 'connected'
	  && !grep {
		$_->cmd('SENTINEL', 'CKQUORUM', 'keys') !~ /^OK 3 usable/
		  || @{ $_->cmd('SENTINEL', 'REPLICAS', 'keys') } != 1
	  } $self->sentinels;
}

1;

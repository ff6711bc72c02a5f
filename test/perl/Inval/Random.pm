=pod

=head1 NAME

Inval::Random - small random choices

=cut

package Inval::Random;

use strict;
use warnings;

use Exporter 'import';

our @EXPORT = qw(
  between
  chance
  pick
  pick_weighted
  some
);

# A whole number from the first to the last.
sub between
{
	my ($first, $last) = @_;

	return $first + int(rand($last - $first + 1));
}

sub chance
{
	my ($probability) = @_;

	return rand() < $probability;
}

sub pick
{
	return $_[ int(rand @_) ];
}

# A key of name => weight pairs.
sub pick_weighted
{
	my (%weight) = @_;
	my @names = sort keys %weight;
	my $sum = 0;

	$sum += $_ foreach values %weight;
	my $dice = rand $sum;
	foreach my $name (@names)
	{
		return $name if ($dice -= $weight{$name}) < 0;
	}
	return $names[-1];
}

# That many of them, in random order; fewer if there are fewer.
sub some
{
	my ($number, @all) = @_;
	my @some;

	push @some, splice @all, int(rand @all), 1 while @all && $number-- > 0;
	return @some;
}

1;

=pod

=head1 NAME

Inval::Installation - a PostgreSQL of a test's own, with other scripts of inval

=head1 DESCRIPTION

What a server installs is in directories that a test must not write to, and finds by where
its program is.  So here is another tree with the same layout: programs are copied, all
else are links, and F<extension> can be written to.

=cut

package Inval::Installation;

use strict;
use warnings;

use Carp;
use File::Basename qw(basename dirname);
use File::Path qw(make_path);
use PostgreSQL::Test::Utils;

=pod

=head2 new()

Makes the tree, which ends with the test.

=head2 path($self)

What C<< PostgreSQL::Test::Cluster->new >> takes as C<install_path>.

=head2 write_script($self, $name, $text)

Installs a file beside the extension's others.

=head2 script($self, $name)

The text of one that is there.

=cut

sub new
{
	my ($class) = @_;
	my $self = bless { root => PostgreSQL::Test::Utils::tempdir_short() }, $class;
	my %from = map { $_ => _ask($_) } qw(bindir pkglibdir sharedir);
	my $common = $from{bindir};

	# The longest directory that has all of them stands for the new root.
	$common = dirname($common) while grep { index("$_/", "$common/") != 0 } values %from;
	$common = '' if $common eq '/';
	foreach my $name (keys %from)
	{
		my $to = $self->{$name} = $self->{root} . substr($from{$name}, length $common);

		make_path($to);
		system_or_bail('cp', '-r', $name eq 'bindir' ? () : '--symbolic-link', "$from{$name}/.", $to);
	}
	return $self;
}

sub path { return dirname($_[0]->{bindir}); }

sub write_script
{
	my ($self, $name, $text) = @_;
	my $file = "$self->{sharedir}/extension/$name";

	unlink $file;
	PostgreSQL::Test::Utils::append_to_file($file, $text);
	return;
}

sub script
{
	my ($self, $name) = @_;

	return slurp_file("$self->{sharedir}/extension/$name");
}

sub _ask
{
	my ($what) = @_;
	my $directory = `pg_config --$what`;

	chomp $directory;
	croak "pg_config --$what says nothing" unless $directory;
	return $directory;
}

1;

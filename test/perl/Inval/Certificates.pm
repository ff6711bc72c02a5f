=pod

=head1 NAME

Inval::Certificates - certificates for tests of TLS

=head1 SYNOPSIS

  my $certificates = Inval::Certificates->new or plan skip_all => 'no openssl';
  $certificates->certify('right', 'DNS:localhost,IP:127.0.0.1', 10);
  $certificates->file('right.pem'); $certificates->file('right.key');
  $certificates->file('ca.pem');

=head1 DESCRIPTION

An authority of its own, in a temporary directory, and what it signs.

=cut

package Inval::Certificates;

use strict;
use warnings;

use File::Spec;
use Carp;
use IPC::Run ();
use PostgreSQL::Test::Utils;

my @new_key = ('-newkey', 'rsa:2048', '-nodes');

=pod

=head2 new

Nothing, if there is no openssl.

=head2 certify($name, $alternatives, $days)

Makes F<$name.pem> and F<$name.key>.

=head2 file($name)

Where that file is.

=cut

sub new
{
	my ($class) = @_;
	my $self;

	return unless grep { -x "$_/openssl" } split /:/, $ENV{PATH};
	$self = bless { dir => File::Spec->rel2abs(PostgreSQL::Test::Utils::tempdir()) }, $class;
	_openssl('req', '-x509', @new_key, '-keyout', $self->file('ca.key'),
		'-out', $self->file('ca.pem'), '-subj', '/CN=authority', '-days', 10);
	return $self;
}

sub file
{
	my ($self, $name) = @_;

	return "$self->{dir}/$name";
}

sub certify
{
	my ($self, $name, $alternatives, $days) = @_;

	append_to_file($self->file("$name.ext"), "subjectAltName=$alternatives\n");
	_openssl('req', @new_key, '-keyout', $self->file("$name.key"),
		'-out', $self->file("$name.csr"), '-subj', "/CN=$name");
	_openssl('x509', '-req', '-in', $self->file("$name.csr"),
		'-CA', $self->file('ca.pem'), '-CAkey', $self->file('ca.key'),
		'-CAcreateserial', '-extfile', $self->file("$name.ext"),
		'-days', $days, '-out', $self->file("$name.pem"));
	return;
}

sub _openssl
{
	my @command = ('openssl', @_);
	my ($out, $err) = ('', '');

	IPC::Run::run(\@command, '>', \$out, '2>', \$err) or croak "@command: $err";
	return;
}

1;
